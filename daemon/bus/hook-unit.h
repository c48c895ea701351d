/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * HookUnit
 *
 * A release hook as a transient unit: what systemd is told about it. The sandbox is one for all hooks, and each of its
 * walls is named in hook-unit.c. Owns nothing.
 */

#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct BrokerHook BrokerHook;

#define HOOK_UNIT_MAX  64
#define HOOK_STOP_USEC UINT64_C(10000000) /* between SIGTERM and SIGKILL, once its time is over */

/* One for each lease: as long as there is one its hooks run one after the other, also over a restart of ours. */
void hook_unit_name(const BrokerHook *hook, char ret[HOOK_UNIT_MAX]);

/* The arguments of StartTransientUnit() */
int hook_unit_append(sd_bus_message *m, const char *name, const BrokerHook *hook);
