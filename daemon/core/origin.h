/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Origin
 *
 * What a device was before the broker took it from its driver, and so what it will be again. It is written down before
 * the first write to /sys and forgotten after the last. Owned by the device; it ends with the restore, or
 * with the device.
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
        _ORIGIN_STEP_MAX,
} OriginStep;

/* What is to become of a device after the lease that it was bound for. */
typedef enum OriginRestore {
        ORIGIN_PREVIOUS, /* as it was before */
        ORIGIN_KEEP,     /* stays with VFIO */
        ORIGIN_NONE,     /* without a driver; what it was before is not forgotten */
        _ORIGIN_RESTORE_MAX,
} OriginRestore;

typedef struct Origin {
        char driver[ORIGIN_DRIVER_MAX];     /* "": none */
        char override[ORIGIN_OVERRIDE_MAX]; /* likewise */
        char power[ORIGIN_POWER_MAX];       /* power/control; "": unknown */
        char wanted[ORIGIN_DRIVER_MAX];     /* the VFIO driver */
        OriginStep step;
        char lease[ORIGIN_LEASE_MAX]; /* that it was bound for; "": by hand */
        OriginRestore restore;        /* after that lease */
} Origin;

/* As the journal keeps it. NULL: no memory. */
json_object *origin_to_json(const Origin *origin);

/* false: it is none that this program could have written. */
bool origin_from_json(json_object *object, Origin *ret);

const char *origin_step_name(OriginStep step);
const char *origin_restore_name(OriginRestore restore);

/* -EINVAL: it is no name of one. */
int origin_restore_from_name(const char *name, OriginRestore *ret);
