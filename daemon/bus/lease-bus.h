/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Leases on the bus. */

#include <stdint.h>

typedef struct Device Device;
typedef struct Lease Lease;
typedef struct Server Server;

int lease_register(Server *server);
void lease_emit_changed(Server *server, const Lease *lease);
void lease_emit_moved(Server *server, const Lease *lease);
void lease_emit_renewed(Server *server, const Lease *lease);

/* To the bus name that acquired it, and to nobody else. */
void lease_emit_expiring(Server *server, const Lease *lease);
void lease_emit_revoke_requested(Server *server, const Lease *lease, const char *reason, uint64_t deadline_usec);
void lease_emit_device_gone(Server *server, const Lease *lease, const Device *device, const char *cause);
