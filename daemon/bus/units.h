/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Units
 *
 * What systemd says of the units that leases hang on, asked for without waiting. A unit is meant as it runs now:
 * started anew, it is another run with another invocation id, and what hung on the old one has ended. Owned by the
 * server.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"

#define UNIT_NAME_MAX  256
#define INVOCATION_MAX 33

typedef struct Units Units;
typedef struct UnitQuery UnitQuery;

typedef struct UnitRun {
        char name[UNIT_NAME_MAX]; /* its own, not an alias */
        char invocation[INVOCATION_MAX];
        bool active; /* it has begun, and not ended */
} UnitRun;

/* @r 0: @run is what there is. -ENOENT: there is no such unit. Other negative: systemd does not say. The query is over,
 * and is freed by whoever has it; here is the place to. */
typedef void (*UnitKnown)(int r, const UnitRun *run, void *userdata);

/* Something about a unit has changed, or may have while nobody heard of it (@name is NULL then: about any). */
typedef void (*UnitChanged)(const char *name, void *userdata);

int units_new(Units **ret, sd_bus *bus, UnitChanged changed, void *userdata);
Units *units_free(Units *units);
DEFINE_CLEANUP(Units, units_free)

/* @name "": the unit of the process @pid. From the first query on units are followed, so that no change between its
 * answer and the lease is missed. */
int unit_query_new(UnitQuery **ret, Units *units, const char *name, pid_t pid, UnitKnown known, void *userdata);
UnitQuery *unit_query_free(UnitQuery *query);
DEFINE_CLEANUP(UnitQuery, unit_query_free)
