/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: what the host needs itself
 *
 * The one place that says so: whoever is to learn of further uses (an address, a session, a console) adds them to
 * kernel/hostuse.c, and everything that takes a device from its driver asks here.
 */

#include <stdio.h>
#include <string.h>

#include "broker-internal.h"
#include "errors.h"
#include "kernel/hostuse.h"

unsigned broker_host_uses(Broker *broker, const Device *device, BrokerUse ret[BROKER_USES_MAX]) {
        _Static_assert(BROKER_USES_MAX == HOSTUSE_MAX && sizeof(*ret) == sizeof(HostUse), "one of them has grown");
        HostUse uses[HOSTUSE_MAX];
        int n;

        if (device->facts.vfio_driver)
                return 0;

        n = hostuse_find(broker->sys_fd, broker->host_fd, device_id(device), uses);
        if (n < 0) {
                ret[0] = (BrokerUse){ .kind = "unknown" };
                snprintf(ret[0].text, sizeof(ret[0].text), "it cannot be told: %s", strerror(-n));
                return 1;
        }

        for (int i = 0; i < n; i++) {
                strcpy(ret[i].kind, uses[i].kind);
                strcpy(ret[i].text, uses[i].text);
        }
        return (unsigned) n;
}

int broker_find_host_uses(Broker *broker, const Device *device, const char *about, Findings *findings) {
        BrokerUse uses[BROKER_USES_MAX];
        unsigned n = broker_host_uses(broker, device, uses);
        Finding *finding;
        int r;

        for (unsigned i = 0; i < n; i++) {
                r = findings_add_error(findings, &finding, VFB_ERROR_IN_USE_BY_HOST, about, "The host needs %s: %s",
                                       device_id(device), uses[i].text);
                if (r < 0)
                        return r;

                snprintf(finding->culprit, sizeof(finding->culprit), "%s", device_id(device));
                snprintf(finding->driver, sizeof(finding->driver), "%s", device->facts.driver);
                r = finding_set_fix(finding, "end that use first");
                if (r < 0)
                        return r;
        }
        return 0;
}
