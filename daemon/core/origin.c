/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Origin */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "core/origin.h"

const char *origin_step_name(OriginStep step) {
        static const char *const names[_ORIGIN_STEP_MAX] = {
                [ORIGIN_BINDING] = "binding",
                [ORIGIN_BOUND] = "bound",
                [ORIGIN_RESTORING] = "restoring",
        };

        return names[step];
}

const char *origin_restore_name(OriginRestore restore) {
        static const char *const names[_ORIGIN_RESTORE_MAX] = {
                [ORIGIN_PREVIOUS] = "previous",
                [ORIGIN_KEEP] = "keep",
                [ORIGIN_NONE] = "none",
        };

        return names[restore];
}

int origin_restore_from_name(const char *name, OriginRestore *ret) {
        for (int i = 0; i < _ORIGIN_RESTORE_MAX; i++)
                if (strcmp(origin_restore_name((OriginRestore) i), name) == 0) {
                        *ret = (OriginRestore) i;
                        return 0;
                }
        return -EINVAL;
}
