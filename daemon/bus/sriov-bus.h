/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Virtual functions on the bus
 *
 * A facet of devices that may have some, and who tells when these are others: functions come by the dozen, so it is
 * told when all else is done. Owned by the server.
 */

#include "cleanup.h"

typedef struct Device Device;
typedef struct FunctionWatch FunctionWatch;
typedef struct Server Server;

int sriov_register(Server *server);

int function_watch_new(FunctionWatch **ret, Server *server);
FunctionWatch *function_watch_free(FunctionWatch *watch);
DEFINE_CLEANUP(FunctionWatch, function_watch_free)

/* A device has come or gone: if it is a virtual function, its PF has others now. */
void function_watch_touch(FunctionWatch *watch, const Device *device);
