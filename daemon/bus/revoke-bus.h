/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Revocation on the bus
 *
 * The administrator's part is a method of the Manager, the holder's part is on the lease.
 */

#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct Lease Lease;
typedef struct Server Server;

int manager_method_revoke(sd_bus_message *m, void *userdata, sd_bus_error *error);
int lease_method_revoke_complete(sd_bus_message *m, void *userdata, sd_bus_error *error);
int lease_property_revoke_steps(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *m, void *userdata, sd_bus_error *error);

void lease_emit_revoke_steps(Server *server, const Lease *lease);
