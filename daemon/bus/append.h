/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Append
 *
 * How the daemon's nouns are written into messages: paths of objects, findings, lists of them. All
 * return what sd-bus returns.
 */

#include <systemd/sd-bus.h>

#include "cleanup.h"

#define PATH_MAX_BYTES 128

typedef struct Broker Broker;
typedef struct Device Device;
typedef struct Findings Findings;
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

/* A list of paths for a node enumerator. */
typedef struct Paths Paths;

int paths_new(Paths **ret, unsigned max);
Paths *paths_free(Paths *paths);
DEFINE_CLEANUP(Paths, paths_free)

int paths_add(Paths *paths, const char *path);

/* What sd-bus wants to have; frees the rest. */
char **paths_steal(Paths *paths);

/* a(ssssa{sv}): code, severity, device, text, data */
int append_findings(sd_bus_message *m, const Findings *findings);

/* a(ssa{sv}): code, text, data */
int append_blockers(sd_bus_message *m, const Findings *findings);

/* "flr bus" as an array of strings */
int append_words(sd_bus_message *m, const char *words);
