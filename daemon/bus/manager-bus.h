/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager on the bus: the inventory, Explain and Acquire. */

typedef struct Device Device;
typedef struct Lease Lease;
typedef struct Server Server;

int manager_register(Server *server);

void manager_emit_device(Server *server, const char *signal, const Device *device);
void manager_emit_lease_new(Server *server, const Lease *lease);
void manager_emit_n_leases(Server *server);
void manager_emit_lease_removed(Server *server, const Lease *lease);
