/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Origin
 *
 * What a device was before the broker took it from its driver, or changed the number of its virtual functions, and so
 * what it will be again. It is written down before the first write to /sys and forgotten after the last. Owned by the
 * device; it ends with the restore, or with the device.
 */

#include <stdbool.h>

#define ORIGIN_DRIVER_MAX   64
#define ORIGIN_OVERRIDE_MAX 128
#define ORIGIN_POWER_MAX    16
#define ORIGIN_LEASE_MAX    16

typedef struct json_object json_object;

typedef enum OriginStep {
        ORIGIN_BINDING,   /* on its way to the VFIO driver; who finds this after a crash brings it back */
        ORIGIN_BOUND,     /* as it is to be */
        ORIGIN_RESTORING, /* on its way back; who finds this after a crash goes on with it */
        ORIGIN_SETTING,   /* its virtual functions are being changed; who finds this brings back those there were */
        _ORIGIN_STEP_MAX,
} OriginStep;

/* What is to become of a device after the lease that it was bound for. */
typedef enum OriginRestore {
        ORIGIN_PREVIOUS, /* as it was before */
        ORIGIN_KEEP,     /* stays with VFIO */
        ORIGIN_NONE,     /* without a driver; what it was before is not forgotten */
        _ORIGIN_RESTORE_MAX,
} OriginRestore;

/* Of a PF; of anything else, zeroes. */
typedef struct OriginFunctions {
        int known;
        unsigned count;
        int autoprobe; /* -1: no such attribute */
} OriginFunctions;

typedef struct Origin {
        char driver[ORIGIN_DRIVER_MAX];     /* "": none */
        char override[ORIGIN_OVERRIDE_MAX]; /* likewise */
        char power[ORIGIN_POWER_MAX];       /* power/control; "": unknown */
        char wanted[ORIGIN_DRIVER_MAX];     /* the VFIO driver; "": the driver is not the broker's doing */
        OriginStep step;
        char lease[ORIGIN_LEASE_MAX]; /* that it was bound for; "": by hand */
        OriginRestore restore;        /* after that lease */
        OriginFunctions functions;    /* the virtual functions that there were */
        OriginFunctions set;          /* those that somebody has had the broker make since, if @known */
} Origin;

#define ORIGIN_FUNCTIONS_MAX 65535

/* There is nothing to give back but virtual functions. */
static inline bool origin_is_of_functions(const Origin *origin) {
        return !origin->wanted[0];
}

/* As the journal keeps it. NULL: no memory. */
json_object *origin_to_json(const Origin *origin);

/* false: it is none that this program could have written. */
bool origin_from_json(json_object *object, Origin *ret);

const char *origin_step_name(OriginStep step);
const char *origin_restore_name(OriginRestore restore);

/* -EINVAL: it is no name of one. */
int origin_restore_from_name(const char *name, OriginRestore *ret);
