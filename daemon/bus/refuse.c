/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Refuse */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "broker.h"
#include "bus/refuse.h"
#include "errors.h"
#include "log.h"

/* Who may do nothing may be refused as often as they like. journald drops what a service says beyond thousands of lines
 * in half a minute, whatever it is about, and then the fate of everybody's leases would be told to nobody. */
#define LINES_MAX  100
#define LINES_USEC (10 * UINT64_C(1000000))

int bus_refuse(sd_bus_error *error, int r, const char *text) {
        const VfbErrorInfo *info = r > 0 ? vfb_error_info((VfbError) r) : NULL;
        char name[64];

        if (!info) {
                /* Not sd_bus_error_set_errno(): it gives some of them names that mean something else here, such as
                 * AccessDenied for the kernel's EACCES. */
                snprintf(name, sizeof(name), "System.Error.%s", strerrorname_np(r < 0 ? -r : EIO) ?: "EIO");
                return sd_bus_error_setf(error, name, "%s: %s", text ?: "The kernel, or the service itself, failed",
                                         strerror(r < 0 ? -r : EIO));
        }

        if (text)
                return sd_bus_error_setf(error, info->name, "%s: %s", info->text, text);
        return sd_bus_error_set(error, info->name, info->text);
}

int bus_refuse_descriptors(sd_bus_error *error, int r, const Lease *lease) {
        if (r != VFB_ERROR_HELD_ELSEWHERE)
                return bus_refuse(error, r, lease->id);

        return sd_bus_error_setf(error, vfb_error_info(VFB_ERROR_HELD_ELSEWHERE)->name,
                                 "The container of lease %s was lost with an earlier run of the service, so it has no "
                                 "descriptors to give; use those that are there, or release it and acquire it anew",
                                 lease->id);
}

int bus_refuse_finding(sd_bus_error *error, int r, const Finding *finding) {
        if (!finding)
                return bus_refuse(error, r, NULL);

        return sd_bus_error_setf(error, vfb_error_info(finding->error)->name, "%s%s%s", finding->text,
                                 finding->fix ? "; " : "", finding->fix ?: "");
}

/* The next line that is told says how many were not. */
static bool line_is_due(void) {
        static uint64_t since_usec;
        static unsigned n;
        uint64_t now_usec = term_now_usec();

        if (n > 0 && now_usec - since_usec >= LINES_USEC) {
                if (n > LINES_MAX)
                        log_line(LOG_NOTICE, "%u refusals more were not told", n - LINES_MAX);
                n = 0;
        }
        if (n == 0)
                since_usec = now_usec;
        return n++ < LINES_MAX;
}

void bus_log_refused(uid_t uid, const char *devices, const sd_bus_error *error) {
        if (!line_is_due())
                return;

        log_event(&(LogEvent){ .id = LOG_ID_REFUSED,
                               .priority = LOG_NOTICE,
                               .device = devices,
                               .error = error->name,
                               .uid = uid != (uid_t) -1 ? &uid : NULL },
                  "Refused %sto uid %u: %s", devices ? "" : "to hand over a lease ", (unsigned) uid,
                  error->message ?: error->name);
}
