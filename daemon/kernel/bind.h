/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bind
 *
 * Changes a device's driver, by driver_override and never by new_id, which would take every other device of the same
 * kind as well. The order is: who may take it, off the old driver, on to the new one; and then the device's
 * driver link is read, since a probe that has failed reports success. The VFs of a PF go before its driver, which would
 * leave them behind, and VFIO takes no PF that has some; they come after it. An unbind may block for ever and cannot be
 * interrupted, and so may any attribute of a device that is being unbound: all of this runs in a job's child.
 * It is done in the same way on every bus whose devices have a driver_override; virtual functions are PCI's alone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nodes.h"
#include "scan-bus.h"
#include "sriov.h"

#define BIND_DRIVER_MAX   64
#define BIND_OVERRIDE_MAX 128
#define BIND_POWER_MAX    16

/* What there is to bring back: all that a change of the driver may change. */
typedef struct BindState {
        char driver[BIND_DRIVER_MAX];     /* "": none */
        char override[BIND_OVERRIDE_MAX]; /* likewise; some kernels write that as "(null)" */
        char power[BIND_POWER_MAX];       /* power/control, which VFIO leaves behind as "on"; "": no such attribute */
        bool vfio;                        /* has vfio-dev/, whatever the driver is called */
        SriovState sriov;                 /* not a PF's: nothing is changed about it */
} BindState;

typedef enum BindStep {
        BIND_STEP_NONE,
        BIND_STEP_LOOK,
        BIND_STEP_OVERRIDE, /* driver_override, or power/control */
        BIND_STEP_UNBIND,
        BIND_STEP_DRIVER, /* there is no driver of that name (any more) */
        BIND_STEP_PROBE, /* the driver did not take it */
        BIND_STEP_VFIO,  /* it did, and is no driver of VFIO */
        BIND_STEP_SRIOV, /* the number of virtual functions */
        _BIND_STEP_MAX,
} BindStep;

typedef struct BindPlan {
        int sys; /* descriptor of /sys */
        const char *bus; /* as in /sys/bus */
        char name[BUS_NAME_MAX];
        uint64_t instance; /* as scan-bus.h has it: nothing is done to another one of its name; 0: whoever is there */
        char ours[BIND_DRIVER_MAX]; /* of bind_back(): what bind_to() has left in driver_override */
        BindState state;   /* to be reached; with @vfio the driver must prove to be one of VFIO */
} BindPlan;

typedef struct BindResult {
        BindStep step; /* where it failed; NONE: it did not */
        int error;     /* errno, positive */
        BindState state; /* of bind_look(): as it is; of the others, as far as it was reached: driver and vfio */
        Nodes nodes;     /* of bind_look() */
} BindResult;

/* As JobWork, all of them. Looks only. */
void bind_look(const void *plan, void *result, int *fds, size_t *n_fds);

/* Binds to the plan's driver, and leaves it in driver_override. */
void bind_to(const void *plan, void *result, int *fds, size_t *n_fds);

/* Makes the plan's state of whatever there is: driver or none, driver_override, power/control. Where one of
 * several drivers could take the device, the plan's is the one. A driver_override that none of these steps has left
 * there is somebody else's, set meanwhile, and stays. */
void bind_back(const void *plan, void *result, int *fds, size_t *n_fds);

/* Makes the plan's number of virtual functions, and nothing else. */
void bind_sriov(const void *plan, void *result, int *fds, size_t *n_fds);
