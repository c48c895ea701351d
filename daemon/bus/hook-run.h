/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * HookRunner
 *
 * Runs the broker's release hooks as transient units of systemd, one for each run: in a sandbox, with a limit of time,
 * their output in the journal. Nothing here waits: systemd is called asynchronously, and says by signals how a unit has
 * ended. A unit goes on when the daemon dies. Its name is the lease's, so that the next daemon's hooks wait for its
 * end. Owned by the server.
 */

#include "cleanup.h"

typedef struct Broker Broker;
typedef struct HookRunner HookRunner;
typedef struct sd_bus sd_bus;

/* From here on the broker's hooks are run by it. */
int hook_runner_new(HookRunner **ret, sd_bus *bus, Broker *broker);
HookRunner *hook_runner_free(HookRunner *runner);
DEFINE_CLEANUP(HookRunner, hook_runner_free)
