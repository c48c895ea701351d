/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pools on the bus
 *
 * The Manager's property, and who tells when it has changed: how many devices of each are free depends on much, so it
 * is counted when all else is done, however much has happened. Owned by the server.
 */

#include <systemd/sd-bus.h>

#include "cleanup.h"

typedef struct PoolWatch PoolWatch;
typedef struct Server Server;

int pool_watch_new(PoolWatch **ret, Server *server);
PoolWatch *pool_watch_free(PoolWatch *watch);
DEFINE_CLEANUP(PoolWatch, pool_watch_free)

/* Something about a device or a lease is not as it was. */
void pool_watch_touch(PoolWatch *watch);

int manager_property_pools(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *m, void *userdata, sd_bus_error *error);
