/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Broker, inside: drivers
 *
 * What the broker-*.c files share of changes of drivers, and of the number of virtual functions: how one is begun, what
 * stands in its way, and what becomes of the drivers after a lease and after a death. One that is under way is a
 * Binding (broker-binding.h), owned by the broker's list.
 */

#include "broker-internal.h"
#include "kernel/sriov.h"

#define BINDING_DEVICES_MAX 128

typedef enum BindingGoal {
        BINDING_GOAL_BIND,    /* to VFIO; all or none */
        BINDING_GOAL_RESTORE, /* to what they were */
        BINDING_GOAL_NONE,    /* to no driver, and what they were is not forgotten */
        BINDING_GOAL_SRIOV,   /* a PF gets another number of virtual functions, or keeps those that it has */
        BINDING_GOAL_UNSET,   /* those back that it had before such a change, which nobody has seen the end of */
} BindingGoal;

typedef struct BindingSpec {
        BindingGoal goal;
        bool steal; /* also what the host needs */
        bool must; /* there is no limit for what only goes back */
        bool blind; /* something is done already, so it goes on whoever has them open */
        bool again; /* what keeps them has been told before */
        uid_t uid; /* -1: nobody has asked */
        const char *lease; /* NULL: for none */
        SriovState sriov;      /* of BINDING_GOAL_SRIOV; an autoprobe of -1 stays as it is */
        bool undo;             /* of a restore: only of the last bind, which nobody has seen the end of */
} BindingSpec;

/* VFB_ERROR_RATE_LIMITED. */
int binding_new(Binding **ret, Broker *broker, const BindingSpec *spec);
Binding *binding_free(Binding *binding);
DEFINE_CLEANUP(Binding, binding_free)

/* @wanted: the VFIO driver; NULL on the way back. VFB_ERROR_QUOTA_EXCEEDED. */
int binding_add(Binding *binding, const Device *device, const char *wanted);
Broker *binding_broker(const Binding *binding);
bool binding_is_empty(const Binding *binding);
void binding_on_done(Binding *binding, BrokerBound done, void *userdata);

/* Nothing happens before the loop turns; from here on the binding is the broker's. */
int binding_start(Binding *binding);

/* Of these, none of which is to get a VFIO driver: a way back, or a number of virtual functions. @done may be NULL. */
int broker_start_binding(Broker *broker, const BindingSpec *spec, const Device *const *devices, unsigned n,
                         BrokerBound done, void *userdata);

void broker_abandon_bindings(Broker *broker, void *userdata);

/* Learns which devices are virtual functions of that one. */
void broker_learn_functions(Broker *broker, const char *id);

/* How far that has come: each of them takes a while, and others want to be served in between. */
typedef struct FunctionCursor {
        uint64_t generation; /* of the last that was known */
        bool knew_all;
        SriovFunction *functions; /* those that there are, listed once; NULL: not yet, or it is at the end */
        int n, place;
} FunctionCursor;

void function_cursor_done(FunctionCursor *cursor);

/* Reads the virtual functions of the device anew, those that it had and that are known to be and those that it has, at
 * most so many. Returns false when it has come to the end. */
bool broker_refresh_functions(Broker *broker, const char *id, FunctionCursor *cursor, unsigned max);

/* Errors for what stands in the way of the end of all virtual functions of the device: leases, the host, changes of
 * their drivers. */
int broker_find_functions(Broker *broker, const Device *device, bool steal, Findings *findings);

/* Somebody else has changed the driver, or it is as it was: there is nothing to go back to. */
void broker_drop_origin(Broker *broker, Device *device);

/* What an earlier daemon has left on its way. */
void broker_resume_bindings(Broker *broker);

/* Whether the driver of one of its devices is being changed. */
bool broker_group_is_moving(const Group *group);

/* What stands in the way of a device as long as others have it, or its group: lease, reset, move. */
int broker_find_taken(const Device *device, Findings *findings);

/* The same for what is done to itself only: of a PF in no group, say. */
int broker_find_own_move(const Device *device, Findings *findings);

/* What a bind of it would mean, as notes: what goes along, and what it would be refused for. @alone: of itself only,
 * since what goes along was looked at for another device of its group. */
int broker_find_bind(Broker *broker, const Device *device, bool alone, Findings *findings);

/* What stands in the way of taking the device and its companions from host drivers for a lease, but for what others
 * have of it; and, as notes, what would be taken. @alone: likewise. */
int broker_find_bind_for_lease(Broker *broker, const Device *device, bool alone, const BrokerRequest *request,
                               Findings *findings);

/* Takes what is not on VFIO yet of the lease's groups from host drivers. @done is called only if something of that is
 * @ret_under_way. */
int broker_bind_for_lease(Broker *broker, const Lease *lease, bool steal, BrokerBound done, void *userdata,
                          bool *ret_under_way);

/* The lease has begun: from now on what its holder wants to become of the drivers counts, and that is written down. One
 * that never begins is undone. */
void broker_note_restore(Broker *broker, const Lease *lease);

/* The lease is no more: what becomes of the drivers that were changed for it. What is kept by something else that is
 * going on (a lease of a virtual function, say) is due, and goes back after that: something has ended, or is tried
 * again in a while. An administrator who binds it meanwhile wants it to stay. */
void broker_settle_drivers(Broker *broker, Group *group, const char *lease);
void broker_wake_due(Broker *broker);
void broker_wait_for_due(Broker *broker);
void broker_keep_bound(Broker *broker, Group *group);

/* What stands in the way of a way back of these, which are of one group if they are of any; and of that only what there
 * is about others that would go with them. */
int broker_find_restore(Broker *broker, const Device *const *devices, unsigned n, Findings *findings);
int broker_find_going(Broker *broker, const Device *const *devices, unsigned n, Findings *findings);

/* An error for each use that the host has for the device; with @steal only for what is never taken, and else a note. */
int broker_find_host_uses(Broker *broker, const Device *device, bool steal, const char *about, Findings *findings);

/* Right before it is taken: whether it may not be, and why. And if it may, a line about what the host loses by that. */
bool broker_host_keeps(Broker *broker, const Device *device, bool steal, BrokerUse *ret);
void broker_log_stolen(Broker *broker, const Device *device, uid_t uid, const char *lease);
