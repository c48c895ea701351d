/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Holders on the bus
 *
 * Who still has something of a lease: a method, since the answer takes a child that reads all of /proc, and
 * since polkit may have to ask somebody. Both are more than a property can wait for.
 */

#include <systemd/sd-bus.h>

int lease_method_list_holders(sd_bus_message *m, void *userdata, sd_bus_error *error);
