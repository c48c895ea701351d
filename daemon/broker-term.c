/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: how long leases last */

#include <inttypes.h>
#include <syslog.h>

#include "broker-internal.h"
#include "errors.h"
#include "log.h"

static uint64_t duration_max_usec(const Broker *broker) {
        return (uint64_t) broker->config.lease_duration_max_sec * 1000000;
}

bool broker_duration_is_allowed(const Broker *broker, uint64_t duration_usec) {
        uint64_t max = duration_max_usec(broker);

        return max == 0 || duration_usec <= max;
}

static void lease_on_warning(void *userdata) {
        Lease *lease = userdata;

        NOTIFY(broker_of(lease), lease_expiring, lease);
}

static void lease_on_over(void *userdata) {
        Lease *lease = userdata;

        broker_end_lease(broker_of(lease), lease, LEASE_END_EXPIRED);
}

int broker_limit_lease(Broker *broker, Lease *lease, uint64_t duration_usec) {
        uint64_t until_usec = 0;
        Term *term = NULL;
        int r;

        if (duration_usec == 0)
                duration_usec = duration_max_usec(broker);

        if (duration_usec > 0) {
                until_usec = term_now_usec() + duration_usec;
                r = term_new(&term, broker->event, until_usec, term_warning_usec(duration_usec), lease_on_warning,
                             lease_on_over, lease);
                if (r < 0)
                        return r;
        }

        term_free(lease->term);
        lease->term = term;
        lease->duration_usec = duration_usec;
        lease->until_usec = until_usec;
        return 0;
}

int broker_resume_limit(Broker *broker, Lease *lease, uint64_t duration_usec, uint64_t until_usec) {
        lease->duration_usec = duration_usec;
        lease->until_usec = until_usec;
        if (until_usec == 0)
                return 0;

        return term_new(&lease->term, broker->event, until_usec, term_warning_usec(duration_usec), lease_on_warning,
                        lease_on_over, lease);
}

uint64_t broker_lease_expires_usec(const Lease *lease) {
        return lease->until_usec > 0 ? term_wall_usec(lease->until_usec) : 0;
}

int broker_renew(Broker *broker, const Lease *borrowed, uint64_t duration_usec) {
        Lease *lease = (Lease *) borrowed;
        uint64_t duration_was = lease->duration_usec, until_was = lease->until_usec;
        Term *term_was;
        int r;

        if (lease->state != LEASE_ACTIVE)
                return VFB_ERROR_NO_SUCH_LEASE;
        if (!broker_duration_is_allowed(broker, duration_usec))
                return VFB_ERROR_QUOTA_EXCEEDED;

        term_was = TAKE_PTR(lease->term);
        r = broker_limit_lease(broker, lease, duration_usec);
        if (r >= 0)
                r = broker_record_lease(broker, lease);
        if (r < 0) {
                /* A restart would end it when it was to end before, so nothing else may be promised. */
                term_free(lease->term);
                lease->term = term_was;
                lease->duration_usec = duration_was;
                lease->until_usec = until_was;
                return r;
        }
        term_free(term_was);

        broker_log_lease(lease, &(LogEvent){ .id = LOG_ID_RENEWED, .priority = LOG_INFO },
                         lease->term ? "Lease %s is renewed, for %" PRIu64 " s"
                                     : "Lease %s is renewed, without a limit",
                         lease->id, lease->duration_usec / 1000000);
        NOTIFY(broker, lease_renewed, lease);
        return 0;
}
