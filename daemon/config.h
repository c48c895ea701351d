/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config
 *
 * The few things that are neither policy (polkit) nor the service's surroundings (the unit): limits, resets, names.
 * vfio-broker.conf and the drop-ins in vfio-broker.conf.d/ beside it, in order of name. A value that
 * makes no sense makes the whole new configuration void, so that no half of it is ever in force.
 */

#include <stdbool.h>
#include <stdint.h>

#include "core/alias.h"
#include "core/reset-policy.h"

typedef struct Config {
        unsigned leases_max;
        unsigned leases_per_user_max;
        unsigned devices_per_lease_max; /* at most LEASE_DEVICES_MAX */
        unsigned lease_duration_max_sec; /* 0: no limit */
        unsigned revoke_delay_max_sec; /* that a holder may have to give a lease back */
        unsigned revoke_kill_sec;      /* between SIGTERM and SIGKILL */
        unsigned mappings_per_lease_max; /* these four of mediated leases */
        unsigned mappings_per_user_max;
        uint64_t mediated_bytes_per_lease_max;
        uint64_t mediated_bytes_per_user_max;
        ResetRules reset;
        Aliases aliases;
        bool bind_on_acquire; /* Acquire takes devices from host drivers */
        bool allow_noiommu; /* devices that can write to all of memory are handed out */
        unsigned driver_timeout_sec; /* how long a driver may take to let go of a device, or to take it */
} Config;

void config_default(Config *ret);

/* @path may be missing, and @ret is then the default. -EINVAL: a value or a line is wrong; it is logged
 * with file and line, and @ret is untouched. Unknown sections and keys are logged and passed over. */
int config_load(Config *ret, const char *path);
