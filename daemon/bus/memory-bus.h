/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Memory on the bus
 *
 * The methods of a lease by which the holder of a mediated one lets its devices reach memory.
 */

#include <systemd/sd-bus.h>

int lease_method_map_memory(sd_bus_message *m, void *userdata, sd_bus_error *error);
int lease_method_unmap_memory(sd_bus_message *m, void *userdata, sd_bus_error *error);
