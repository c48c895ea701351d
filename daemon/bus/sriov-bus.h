/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Virtual functions on the bus: a facet of devices that may have some. */

typedef struct Device Device;
typedef struct Server Server;

int sriov_register(Server *server);

/* A device has come or gone: if it is a virtual function, its PF has others now. */
void sriov_emit_changed(Server *server, const Device *device);
