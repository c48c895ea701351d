/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager on the bus: Claim, which takes over what Lease.Offer has offered. */

#include <systemd/sd-bus.h>

int manager_method_claim(sd_bus_message *m, void *userdata, sd_bus_error *error);
