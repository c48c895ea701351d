/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Paths
 *
 * Where devices, groups and leases are on the bus. There is one vtable for all objects of a kind, asked for every path
 * below theirs: a function that finds says which of them there are, and one that enumerates lists them. What their
 * getters and methods get is the server: they look the object up by its path, as it may go while a call waits.
 */

#include <stdbool.h>

#define PATH_MAX_BYTES 128

typedef struct Broker Broker;
typedef struct Device Device;
typedef struct Group Group;
typedef struct Lease Lease;

/* NULL gives "/". */
void path_of_device(const Device *device, char ret[PATH_MAX_BYTES]);
void path_of_group(const Group *group, char ret[PATH_MAX_BYTES]);
void path_of_lease(const Lease *lease, char ret[PATH_MAX_BYTES]);

/* The other way round; NULL if there is none. */
const Device *device_of_path(const Broker *broker, const char *path);
const Group *group_of_path(const Broker *broker, const char *path);
const Lease *lease_of_path(const Broker *broker, const char *path);

/* What a function that finds returns. */
int path_found(bool found, void *userdata, void **ret_found);

/* What a function that enumerates returns, begun for at most so many. Owned by nobody until its end, which must come:
 * there it says whether there was enough memory, and sd-bus owns the list. */
typedef struct Paths {
        char **items; /* NULL-terminated; NULL: there was not enough memory */
        unsigned n, max;
} Paths;

void paths_begin(Paths *ret, unsigned max);
void paths_add(Paths *paths, const char *path);
int paths_end(Paths *paths, char ***ret);
