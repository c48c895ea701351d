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

int bus_refuse_finding(sd_bus_error *error, int r, const Finding *finding) {
        if (!finding)
                return bus_refuse(error, r, NULL);

        return sd_bus_error_setf(error, vfb_error_info(finding->error)->name, "%s%s%s", finding->text,
                                 finding->fix ? "; " : "", finding->fix ?: "");
}

void bus_log_refused(uid_t uid, const char *devices, const sd_bus_error *error) {
        log_event(&(LogEvent){ .id = LOG_ID_REFUSED,
                               .priority = LOG_NOTICE,
                               .device = devices,
                               .error = error->name,
                               .uid = uid != (uid_t) -1 ? &uid : NULL },
                  "Refused to uid %u: %s", (unsigned) uid, error->message ?: error->name);
}
