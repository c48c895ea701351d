/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: what the host needs itself
 *
 * The one place that says so: whoever is to learn of further uses adds them to kernel/hostuse-*.c, and everything that
 * takes a device from its driver asks here. What the host has is read once for one turn of the loop: somebody who reads
 * the properties of a thousand devices with one call has them from the same view, and nobody gets an older one.
 */

#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>

#include "broker-drivers.h"
#include "errors.h"
#include "kernel/hostuse.h"
#include "log.h"

static int get_view(Broker *broker, HostView **ret) {
        uint64_t iteration = 0;
        int r;

        (void) sd_event_get_iteration(broker->event, &iteration);
        if (!broker->host_view || broker->host_view_iteration != iteration || iteration == 0) {
                broker->host_view = hostview_free(broker->host_view);
                r = hostview_new(&broker->host_view, broker->sys_fd, broker->host_fd);
                if (r < 0)
                        return r;
                broker->host_view_iteration = iteration;
        }
        *ret = broker->host_view;
        return 0;
}

unsigned broker_host_uses(Broker *broker, const Device *device, BrokerUse ret[BROKER_USES_MAX]) {
        _Static_assert(BROKER_USES_MAX == HOSTUSE_MAX && sizeof(*ret) == sizeof(HostUse), "one of them has grown");
        HostUse uses[HOSTUSE_MAX];
        HostView *view;
        int r;

        if (device->facts.vfio_driver)
                return 0;

        r = get_view(broker, &view);
        if (r >= 0)
                r = hostuse_find(view, device_kind_name(device->facts.kind), device_bus_name(device), uses);
        if (r < 0) {
                ret[0] = (BrokerUse){ .kind = "unknown", .never = true };
                snprintf(ret[0].text, sizeof(ret[0].text), "it cannot be told: %s (never taken)", strerror(-r));
                return 1;
        }

        for (int i = 0; i < r; i++) {
                ret[i].never = uses[i].never;
                strcpy(ret[i].kind, uses[i].kind);
                strcpy(ret[i].text, uses[i].text);
        }
        return (unsigned) r;
}

static int find_use(const Device *device, const BrokerUse *use, bool steal, const char *about, Findings *findings) {
        Finding *finding;
        int r;

        if (steal && !use->never)
                return findings_add_note(findings, SEVERITY_WARNING, vfb_error_code(VFB_ERROR_IN_USE_BY_HOST), about,
                                         "The host needs %s, and loses it: %s", device_id(device), use->text);

        r = findings_add_error(findings, &finding, VFB_ERROR_IN_USE_BY_HOST, about, "The host needs %s: %s",
                               device_id(device), use->text);
        if (r < 0)
                return r;
        snprintf(finding->culprit, sizeof(finding->culprit), "%s", device_id(device));
        snprintf(finding->driver, sizeof(finding->driver), "%s", device->facts.driver);
        return finding_set_fix(finding, "%s",
                               use->never ? "end that use first; --on-host-use=steal does not take it, either"
                                          : "end that use first, or take it all the same: --on-host-use=steal");
}

int broker_find_host_uses(Broker *broker, const Device *device, bool steal, const char *about, Findings *findings) {
        BrokerUse uses[BROKER_USES_MAX];
        unsigned n = broker_host_uses(broker, device, uses);
        int r = 0;

        /* What is never taken first: of several errors the first is told. */
        for (unsigned pass = 0; pass < 2; pass++)
                for (unsigned i = 0; r >= 0 && i < n; i++)
                        if (uses[i].never == (pass == 0))
                                r = find_use(device, &uses[i], steal, about, findings);
        return r;
}

bool broker_host_keeps(Broker *broker, const Device *device, bool steal, BrokerUse *ret) {
        BrokerUse uses[BROKER_USES_MAX];
        unsigned n = broker_host_uses(broker, device, uses);

        for (unsigned i = 0; i < n; i++)
                if (!steal || uses[i].never) {
                        *ret = uses[i];
                        return true;
                }
        return false;
}

void broker_log_stolen(Broker *broker, const Device *device, uid_t uid, const char *lease) {
        BrokerUse uses[BROKER_USES_MAX];
        unsigned n_uses = broker_host_uses(broker, device, uses);
        char text[1024] = "";
        size_t n = 0;

        if (n_uses == 0)
                return;

        for (unsigned i = 0; i < n_uses && n < sizeof(text); i++)
                n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? "; " : "", uses[i].text);
        log_event(&(LogEvent){ .id = LOG_ID_STOLEN,
                               .priority = LOG_WARNING,
                               .device = device_id(device),
                               .lease = lease[0] ? lease : NULL,
                               .driver = device->facts.driver,
                               .uid = &uid },
                  "The host loses %s, which it needs, as uid %u has asked for: %s", device_id(device), (unsigned) uid,
                  text);
}
