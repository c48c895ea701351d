/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Binding
 *
 * One transaction over the drivers of some devices: from host drivers to VFIO, or back. Owned by the broker's list;
 * ends by itself. It knows its devices by name and generation, since any of them may be unplugged meanwhile. What
 * broker-binding-steps.c, broker-elsewhere.c and the object itself share; others use broker-drivers.h.
 */

#include "broker-drivers.h"
#include "core/origin.h"
#include "kernel/bind.h"
#include "kernel/job.h"
#include "kernel/opened.h"

typedef enum BindingPhase {
        BINDING_ELSEWHERE, /* whether anybody else has one of them open */
        BINDING_LOOK,
        BINDING_TO,
        BINDING_BACK,
} BindingPhase;

typedef struct BindingDevice {
        char id[DEVICE_ID_MAX];
        uint64_t generation;
        char wanted[ORIGIN_DRIVER_MAX]; /* VFIO driver */
        BindState before;
        Nodes nodes; /* that it had then */
        bool was_known; /* the broker had changed it before, and nobody else has changed its driver since */
        char wanted_before[ORIGIN_DRIVER_MAX]; /* of what was known */
} BindingDevice;

struct Binding {
        LIST_ENTRY(Binding) all;
        Broker *broker;
        Job *job;
        sd_event_source *deadline;
        BindingGoal goal;
        BindingPhase phase;
        unsigned at;  /* the device that is in work */
        unsigned n_deaths; /* of children that were to bring it back */
        bool late;    /* it takes too long */
        bool steal;   /* also what the host needs */
        uid_t uid;    /* -1: nobody has asked */
        char lease[ORIGIN_LEASE_MAX];
        SriovState sriov;
        OpenedResult opened;   /* while it is searched for who has it */
        BindResult result;     /* of the job that has ended, while virtual functions are looked at */
        FunctionCursor cursor; /* how many were */
        bool has_waited;       /* for that, so that the device itself may be another by now */
        bool undo; /* what a crash has left half done */
        bool blind; /* whoever has them open */
        bool again; /* what keeps them has been told before */
        int r;             /* what there is to tell, 0 for success */
        Findings findings; /* likewise, why */
        BrokerBound done;  /* NULL: nobody waits (any more) */
        void *userdata;
        unsigned n;
        BindingDevice devices[BINDING_DEVICES_MAX];
};

/* NULL: it has gone. */
Device *binding_device(const Binding *binding, unsigned i);

/* Who is meant; nothing is to be done yet. */
void binding_plan_device(const Binding *binding, const Device *device, BindPlan *ret);

/* While they move nobody gets them. */
void binding_set_moving(Binding *binding, bool moving);

/* Logs it, and keeps the first for who waits. @r: a refusal or negative errno. Returns what is kept of a refusal, which
 * may get another fix; NULL: nothing. */
Finding *binding_fail(Binding *binding, int r, const char *id, const char *driver, const char *format, ...)
        __attribute__((format(printf, 5, 6)));
void binding_explain(Binding *binding, const BindResult *result, const char *wanted);

/* Tells who waits that the kernel does not come back, and by @holders who has the device open; "": nobody known. */
void binding_fail_late(Binding *binding, const char *holders);

/* The one is written down, the other is what the kernel is told. */
OriginFunctions functions_of_state(const SriovState *state);
SriovState state_of_functions(const OriginFunctions *functions);

/* The driver is not the broker's doing, and stays. */
bool binding_is_of_functions(const Binding *binding, const Origin *origin);

/* A lease's end undoes what was done for the lease, and a crash what had not been done; not what was there before. */
bool binding_keeps_set(const Binding *binding, const Origin *origin);

/* What is not forgotten with this way back, as it is the way back from something else. */
void binding_keep_origin(const Binding *binding, BindingDevice *item, Origin *origin);

/* Tells who waits how it went, once. */
void binding_tell(Binding *binding);

/* The same, and it is over. */
void binding_end(Binding *binding);

/* While polkit thought, or another device was in work, somebody may have mounted it. A refusal, which is noted. */
int binding_check_host(Binding *binding, unsigned i);

/* Writes down what all the devices were, before the first write to /sys. After a failure nothing is written down. */
int binding_write_down(Binding *binding);

/* Nothing has been written to /sys for this device, or it is as it was. */
void binding_forget(Binding *binding, unsigned i);

/* Of the first @n, which have arrived, somebody else may have taken one meanwhile.
 * false: so it is, and it is theirs. */
bool binding_has_kept(Binding *binding, unsigned n);

/* The devices whose turn has not come yet have nothing to come back from. */
void binding_forget_rest(Binding *binding);

/* Before the first write to /sys: refuses, and ends the binding, if somebody has something of it open through VFIO
 * without a lease, for whom the kernel would wait. Who opens it later is met by the deadline. Else goes on with
 * binding_enter(). */
void binding_look_elsewhere(Binding *binding);

/* Nobody is in the way. */
void binding_enter(Binding *binding);

/* The kernel does not come back: tells who waits, once it is known who has the device open, or not. */
void binding_find_holders(Binding *binding);
