/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: what leases hang on. When it goes, that is a trigger and no proof: see broker-end.c. */

#include <string.h>

#include "broker-internal.h"
#include "kernel/fdstore.h"

static void lease_on_cut(void *userdata) {
        Lease *lease = userdata;

        /* Who asked for something else to hang on may close the lifeline. */
        if (lease->bond == LEASE_BOND_LIFELINE)
                broker_end_lease(broker_of(lease), lease, LEASE_END_HOLDER_GONE);
}

static void lease_on_process_end(void *userdata) {
        Lease *lease = userdata;

        broker_end_lease(broker_of(lease), lease, LEASE_END_HOLDER_GONE);
}

int broker_bond_lease(Broker *broker, Lease *lease, const BrokerRequest *request) {
        lease->bond = request->bond;

        switch (request->bond) {
        case LEASE_BOND_LIFELINE:
        case LEASE_BOND_BUS:
                return 0;
        case LEASE_BOND_PIDFD:
                return lifeline_new_process(&lease->process, broker->event, request->pidfd, lease_on_process_end,
                                            lease);
        case LEASE_BOND_UNIT:
                lease->unit = strdup(request->unit);
                lease->invocation = strdup(request->invocation);
                return lease->unit && lease->invocation ? 0 : -ENOMEM;
        case _LEASE_BOND_MAX:
                break;
        }

        return -EINVAL;
}

int broker_tie_lease(Broker *broker, Lease *lease, int *ret_fd) {
        char stored[FDSTORE_NAME_MAX], kept[JOURNAL_NAME_MAX];
        Lifeline *lifeline;
        int r;

        broker_lifeline_name(lease, kept);
        r = lifeline_new(&lifeline, broker->event, journal_dir(broker->journal), kept, lease_on_cut, lease, ret_fd);
        if (r < 0)
                return r;

        lease_hold_by(lease, lifeline);
        if (lease->process && broker->journal) {
                fdstore_name_process(stored, lease->id);
                fdstore_add(stored, lifeline_fd(lease->process));
        }
        return 0;
}

int broker_tie_again(Broker *broker, Lease *lease, int pidfd) {
        char name[JOURNAL_NAME_MAX];
        Lifeline *lifeline;
        int r;

        broker_lifeline_name(lease, name);
        r = lifeline_reopen(&lifeline, broker->event, journal_dir(broker->journal), name, lease_on_cut, lease);
        if (r < 0)
                return r;

        lease_hold_by(lease, lifeline);
        if (lease->bond != LEASE_BOND_PIDFD)
                return 0;
        return lifeline_new_process(&lease->process, broker->event, pidfd, lease_on_process_end, lease);
}

void broker_end_leases_of_name(Broker *broker, const char *name) {
        Lease *lease, *next;

        for (lease = TAILQ_FIRST(&broker->leases.queue); lease; lease = next) {
                next = TAILQ_NEXT(lease, all);
                if (lease->bond == LEASE_BOND_BUS && strcmp(lease->sender, name) == 0)
                        broker_end_lease(broker, lease, LEASE_END_HOLDER_GONE);
        }
}

void broker_end_leases_of_unit(Broker *broker, const char *unit, const char *invocation) {
        Lease *lease, *next;

        for (lease = TAILQ_FIRST(&broker->leases.queue); lease; lease = next) {
                next = TAILQ_NEXT(lease, all);
                if (lease->bond == LEASE_BOND_UNIT && strcmp(lease->unit, unit) == 0 &&
                    (!invocation || strcmp(lease->invocation, invocation) != 0))
                        broker_end_lease(broker, lease, LEASE_END_HOLDER_GONE);
        }
}
