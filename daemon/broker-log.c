/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: what the journal is told of a lease */

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "broker-internal.h"
#include "log.h"

void broker_lease_ids(const Lease *lease, char *ret, size_t size) {
        size_t n = 0;

        *ret = '\0';
        for (unsigned i = 0; i < lease->n_devices && n < size; i++)
                n += (size_t) snprintf(ret + n, size - n, "%s%s", i > 0 ? " " : "", lease->devices[i].id);
}

void broker_log_lease(const Lease *lease, const LogEvent *event, const char *format, ...) {
        char devices[BROKER_LEASE_IDS_MAX];
        LogEvent whole = *event;
        va_list ap;

        broker_lease_ids(lease, devices, sizeof(devices));
        whole.lease = lease->id;
        whole.device = devices;
        whole.uid = &lease->user->uid;

        va_start(ap, format);
        log_event_va(&whole, format, ap);
        va_end(ap);
}

void broker_log_acquired(const Lease *lease) {
        char devices[BROKER_LEASE_IDS_MAX], drivers[BROKER_LEASE_IDS_MAX];
        size_t n = 0;

        broker_lease_ids(lease, devices, sizeof(devices));
        drivers[0] = '\0';
        for (unsigned i = 0; i < lease->n_devices && n < sizeof(drivers); i++)
                if (lease->devices[i].device)
                        n += (size_t) snprintf(drivers + n, sizeof(drivers) - n, "%s%s", n > 0 ? " " : "",
                                               lease->devices[i].device->facts.driver);
        broker_log_lease(lease, &(LogEvent){ .id = LOG_ID_ACQUIRED, .priority = LOG_INFO, .driver = drivers },
                         "Lease %s begins: %s for uid %u", lease->id, devices, (unsigned) lease->user->uid);
}
