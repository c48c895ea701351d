/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices on the bus, and what PCI functions have besides. */

typedef struct Device Device;
typedef struct Server Server;

int device_register(Server *server);

/* Its driver or its group has changed. */
void device_emit_changed(Server *server, const Device *device);

/* Who has it, or may have it, may have changed. */
void device_emit_standing(Server *server, const Device *device);
