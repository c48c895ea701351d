/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: asking for a lease
 *
 * A revocation begins as a conversation: the holder is told, on the bus and by the interrupt that VFIO has for it,
 * and has until the deadline to let go. Then comes force, in broker-force.c. The deadline holds also once the holder
 * has let go, since somebody else may have a device then.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "broker-internal.h"
#include "kernel/opened.h"
#include "log.h"

void broker_log_revocation(const Lease *lease, const char *id, int priority, const char *text, const char *reason) {
        broker_log_lease(lease, &(LogEvent){ .id = id, .priority = priority, .reason = reason },
                         "Lease %s %s: %s", lease->id, text, reason);
}

void broker_take_step(Lease *lease, const char *format, ...) {
        char text[512];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);

        (void) revocation_add_step(lease->revocation, text);
        broker_note_lease(broker_of(lease), lease);
        broker_log_revocation(lease, LOG_ID_REVOKE_STEP, LOG_NOTICE, "is being revoked", text);
        NOTIFY(broker_of(lease), lease_stepped, lease);
}

/* It was told of the deadline at the beginning. */
static void revoke_on_warning(void *userdata) {
}

static void revoke_on_deadline(void *userdata) {
        Lease *lease = userdata;

        broker_force(broker_of(lease), lease);
}

static void request_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        const VfioResult *result = data;
        Task *task = userdata;
        Broker *broker = task->broker;
        Lease *lease = task->lease;
        unsigned n = 0;

        task->job = NULL;
        for (unsigned i = 0; r == 0 && i < task->plan.n_devices; i++)
                n += result->told[i];
        broker_take_step(lease, n > 0 ? "interrupt: the holder listens for it on %u of %u devices"
                                      : "interrupt: the holder listens for it on none of its devices",
                         n, task->plan.n_devices);

        task_free(task);
        if (lease_is_over(lease))
                broker_continue_end(broker, lease);
}

static int broker_request(Broker *broker, Lease *lease) {
        _cleanup_(task_freep) Task *task = NULL;
        VfioPlan *plan;
        unsigned n = 0;
        int r;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;

        plan = &task->plan;
        task_plan_devices(task);
        /* Only those that are open: to open another one would reset it. */
        for (unsigned i = 0; i < plan->n_devices; i++)
                if (opened_in_use(broker->sys_fd, plan->devices[i].address) > 0)
                        plan->devices[n++] = plan->devices[i];
        plan->n_devices = n;
        memcpy(plan->group_fds, lease->group_fds, lease->n_groups * sizeof(int));
        if (n == 0)
                return 0;

        r = task_start(task, vfio_request, request_on_done, lease->group_fds, lease->n_groups);
        if (r < 0)
                return r;

        TAKE_PTR(task);
        return 0;
}

static void broker_ask_holder(Broker *broker, Lease *lease, uint64_t grace_usec) {
        int r;

        broker_take_step(lease, "asked: the holder has %" PRIu64 " s", grace_usec / 1000000);
        NOTIFY(broker, lease_revoke_requested, lease, lease->revocation->reason,
               term_wall_usec(lease->revocation->until_usec));

        r = broker_request(broker, lease);
        if (r < 0)
                broker_take_step(lease, "interrupt: not sent, %s", strerror(-r));
}

static int revocation_set_deadline(Broker *broker, Lease *lease, uint64_t until_usec) {
        Revocation *revocation = lease->revocation;
        Term *deadline;
        int r;

        r = term_new(&deadline, broker->event, until_usec, 0, revoke_on_warning, revoke_on_deadline, lease);
        if (r < 0)
                return r;

        term_free(revocation->deadline);
        revocation->deadline = deadline;
        revocation->until_usec = until_usec;
        return 0;
}

int broker_resume_revocation(Broker *broker, Lease *lease) {
        return revocation_set_deadline(broker, lease, lease->revocation->until_usec);
}

/* Who was to be told may not have been, when a daemon died. */
void broker_ask_again(Broker *broker) {
        Lease *lease;

        TAILQ_FOREACH(lease, &broker->leases.queue, all)
                if (lease->state == LEASE_REVOKING)
                        NOTIFY(broker, lease_revoke_requested, lease, lease->revocation->reason,
                               term_wall_usec(lease->revocation->until_usec));
}

static int lease_begin_revocation(Broker *broker, Lease *lease, const char *reason, uint64_t until_usec, uid_t by) {
        char text[REVOCATION_REASON_MAX * 4 + 64];
        int r;

        r = revocation_new(&lease->revocation, reason);
        if (r < 0)
                return r;

        r = revocation_set_deadline(broker, lease, until_usec);
        if (r < 0) {
                lease->revocation = revocation_free(lease->revocation);
                return r;
        }

        snprintf(text, sizeof(text), "by uid %u, %s", (unsigned) by, *reason ? reason : "without a reason");
        broker_log_revocation(lease, LOG_ID_REVOKING, LOG_NOTICE, "is to be given back", text);
        if (lease_is_over(lease))
                broker_take_step(lease, "over: it has ended (%s), but somebody still has a device open",
                                 lease_end_name(lease->end));
        else
                broker_move_lease(broker, lease, LEASE_REVOKING);
        return 0;
}

int broker_revoke(Broker *broker, const Lease *borrowed, const char *reason, uint64_t grace_usec, uid_t by) {
        uint64_t max = (uint64_t) broker->config.revoke_delay_max_sec * 1000000, until_usec;
        Lease *lease = (Lease *) borrowed;
        int r;

        if (lease->state != LEASE_ACTIVE && lease->state != LEASE_REVOKING && lease->state != LEASE_LINGERING)
                return lease->announced ? 0 : VFB_ERROR_NO_SUCH_LEASE;

        grace_usec = grace_usec < max ? grace_usec : max;
        until_usec = term_now_usec() + grace_usec;

        if (lease->revocation) {
                if (lease->revocation->stage != REVOCATION_ASKED || until_usec >= lease->revocation->until_usec)
                        return 0;
                r = revocation_set_deadline(broker, lease, until_usec);
        } else {
                r = lease_begin_revocation(broker, lease, reason, until_usec, by);
        }
        if (r < 0)
                return r;

        if (lease->state == LEASE_REVOKING)
                broker_ask_holder(broker, lease, grace_usec);
        return 0;
}

void broker_revoke_complete(Broker *broker, const Lease *lease) {
        if (lease->state == LEASE_REVOKING)
                broker_end_lease(broker, (Lease *) lease, LEASE_END_REVOKED);
}

LeaseEnd broker_revoke_end(Lease *lease, LeaseEnd end) {
        if (!lease->revocation)
                return end;

        if (lease->revocation->stage == REVOCATION_ASKED)
                broker_take_step(lease, "let-go: %s",
                                 end == LEASE_END_REVOKED ? "the holder says so" : lease_end_name(end));

        /* How the holder let go does not matter: it was asked to. */
        return end == LEASE_END_REMOVED || end == LEASE_END_FAILED ? end : LEASE_END_REVOKED;
}

/* What did it, and what could not be done. */
void broker_revoke_report(const Lease *lease) {
        static const char *const texts[_REVOCATION_STAGE_MAX] = {
                [REVOCATION_ASKED] = "its holder let go when asked",
                [REVOCATION_CUT] = "its holder let go at the deadline",
                [REVOCATION_TERM] = "it came after the deadline, by SIGTERM or by itself",
                [REVOCATION_KILL] = "it came after SIGTERM",
        };
        const Revocation *revocation = lease->revocation;
        char text[256];

        if (!revocation)
                return;

        snprintf(text, sizeof(text), "%s%s%s%s",
                 revocation->n_kills > 0 ? "it came after SIGKILL" : texts[revocation->stage],
                 revocation->told_busy ? ", after it had been busy in spite of that" : "",
                 revocation->stage == REVOCATION_ASKED ? "" : "; not cut until then: the registers of its devices",
                 revocation->stage == REVOCATION_ASKED || lease->mode == LEASE_MODE_MEDIATED ? "" : ", and its DMA");
        broker_log_revocation(lease, LOG_ID_REVOKED, LOG_NOTICE, "is revoked", text);
}
