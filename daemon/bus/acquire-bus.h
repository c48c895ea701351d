/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager on the bus: Acquire, and Explain, which answers the same question without acting. */

#include <systemd/sd-bus.h>

typedef struct BrokerFds BrokerFds;
typedef struct Finding Finding;
typedef struct Lease Lease;

int manager_method_acquire(sd_bus_message *m, void *userdata, sd_bus_error *error);
int manager_method_explain(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* A BrokerAcquired that answers the operation which is its userdata. */
int acquire_on_done(int r, const Finding *why, const Lease *lease, int lifeline, const BrokerFds *fds, void *userdata);

/* a(sha{sv}) */
int append_fds(sd_bus_message *m, const BrokerFds *fds);
