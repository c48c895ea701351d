/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Broker, inside
 *
 * What the broker-*.c files share: the broker itself, and its tasks. A task is a job of the kernel layer on
 * behalf of a lease; a lease is not freed while it has one.
 */

#include <stddef.h>
#include <sys/queue.h>

#include "broker.h"
#include "config.h"
#include "core/hook.h"
#include "core/journal.h"
#include "core/origin.h"
#include "core/selector.h"
#include "kernel/dma.h"
#include "kernel/hostuse.h"
#include "kernel/iommu-state.h"
#include "kernel/vfio.h"

typedef struct Binding Binding;
typedef struct Hwdb Hwdb;
typedef struct Job Job;
typedef struct LogEvent LogEvent;
typedef struct Nodes Nodes;
typedef struct Search Search;
typedef struct Task Task;
typedef struct Claim Claim;
typedef struct Uevent Uevent;
LIST_HEAD(BindingList, Binding);
LIST_HEAD(TaskList, Task);
TAILQ_HEAD(TaskQueue, Task);
LIST_HEAD(SearchList, Search);

/* Each is a process. */
#define LEASE_TASKS_MAX 8

/* The DMA of a mediated lease is cut, or could not be (@r is an errno). @n mappings of @bytes were there. */
typedef void (*BrokerCut)(int r, unsigned n, uint64_t bytes, void *userdata);

struct Broker {
        sd_event *event;
        Config config;
        char *root;
        int sys_fd, dev_fd;
        int host_fd; /* of /proc for what the host itself uses: a test's, if it has one */
        int proc_fd; /* of the machine, also where the two others are a test's */
        DeviceList devices;
        GroupList groups;
        struct UserList users;
        LeaseList leases;
        struct TaskList tasks;
        unsigned n_tasks;
        unsigned n_cuts; /* among them */
        struct BindingList bindings; /* see broker-binding-steps.c */
        unsigned n_bindings;
        PoolList pools;
        HookList hooks;
        BrokerRunHook run_hook; /* NULL: nobody can */
        void *run_hook_userdata;
        struct TaskQueue rounds; /* of release hooks; these tasks are not among n_tasks */
        unsigned n_rounds;       /* of them that do not wait */
        bool starts_rounds;
        struct SearchList searches; /* see broker-holders.c */
        unsigned n_searches;
        pid_t spared; /* never gets a signal; 0: nobody */
        Uevent *uevent;
        sd_event_source *leave_timer; /* see broker-follow.c */
        sd_event_source *due_timer;   /* see broker-settle.c; NULL: no device is due */
        uint64_t due_usec;            /* how long it waits */
        IommuState iommu; /* see broker-iommu.c */
        bool noiommu;     /* VFIO's mode of that name is on */
        bool scanning;
        Hwdb *hwdb;
        HostView *host_view; /* see broker-host.c */
        uint64_t host_view_iteration;
        Journal *journal; /* NULL: nothing is kept */
        BrokerObserver observer;
        void *userdata; /* of the observer */
};

struct Task {
        LIST_ENTRY(Task) all;
        Broker *broker;
        Lease *lease;
        Job *job;
        VfioPlan plan;
        BrokerAcquired done; /* NULL: nobody waits (any more) */
        BrokerMapped mapped; /* likewise, of MapMemory and UnmapMemory */
        BrokerCut cut;       /* likewise */
        void *userdata;
        DmaPlan dma;
        Claim *claim;    /* NULL: it is for the holder that there is */
        int error;       /* of the map that is being undone */
        bool is_cut;
        unsigned places[BROKER_FDS_MAX]; /* what is to be handed out, see broker-acquire.c */
        unsigned n_places;
        unsigned where[VFIO_GROUPS_MAX]; /* in the lease each group of a detach's plan is */

        /* The gate, and the round of release hooks that it goes on with, see broker-hooks.c */
        TAILQ_ENTRY(Task) round;
        bool clean; /* all that has been judged so far */
        bool in_round, round_runs;
        uint64_t hooks[VFIO_DEVICES_MAX]; /* that each device of the plan has yet to pass, as bits of their places */
        unsigned hook_device, hook;       /* where the round is */
};

/* The lease list is the broker's. */
static inline Broker *broker_of(const Lease *lease) {
        return (Broker *) ((char *) lease->list - offsetof(Broker, leases));
}

/* And so is the device list. */
static inline Broker *broker_of_device(const Device *device) {
        return (Broker *) ((char *) device->list - offsetof(Broker, devices));
}

#define NOTIFY(broker, what, ...)                                                        \
        ({                                                                               \
                if ((broker)->observer.what)                                             \
                        (broker)->observer.what(__VA_ARGS__, (broker)->userdata);        \
        })

/* Makes a task of @lease, with an empty plan. */
int task_new(Task **ret, Broker *broker, Lease *lease);
Task *task_free(Task *task);
DEFINE_CLEANUP(Task, task_free)

/* The child gets /dev and /sys, and @keep. @done finds the task as its userdata. */
int task_start(Task *task, JobWork work, JobDone done, const int *keep, size_t n_keep);

/* The same for one that goes by its DMA plan. The child gets the container and, if it is not negative, @memory. */
int task_start_dma(Task *task, JobWork work, JobDone done, int memory);

/* What the task opens is kept in the fd store, what it lets go of is not any more. */
void task_plan_store(Task *task);

/* Opens and hands out what GetFds would, or for a claim the first page of all. Takes the task once it is under way;
 * @done may be called before. Refusals as of broker_get_fds(). */
int broker_open_places(Task **task, const char *const *roles, unsigned n_roles, BrokerAcquired done, void *userdata);

/* The lease of the task becomes its claimer's, whose lifeline is @ret_lifeline, and that is written down; or it stays
 * the holder's as it was. VFB_ERROR_QUOTA_EXCEEDED, VFB_ERROR_RATE_LIMITED. */
int broker_change_hands(Task *task, int *ret_lifeline);
void broker_tell_claimed(Lease *lease);
Claim *claim_free(Claim *claim);

/* @opens_first: nobody has it open, so that it may be reset. */
void plan_device(VfioDevicePlan *planned, const Device *device, bool opens_first);

/* How that device of the lease, which is there, is to be opened. */
void task_plan_device(Task *task, VfioDevicePlan *planned, const LeaseDevice *device, bool opens_first);

/* An error if the device's SR-IOV family is split between users who have not agreed on that: the driver of a PF can see
 * and alter what its VFs do. */
int broker_find_family(Broker *broker, const BrokerRequest *request, unsigned target, Findings *findings);

/* Somebody has a VF of it, which would end with its VFIO driver; by another lease than that one. */
bool broker_has_leased_function(Broker *broker, const Device *device, const Lease *besides);

/* Makes the VF tokens that the lease's devices need, or takes those in force. */
int broker_choose_tokens(Broker *broker, Lease *lease);

/* Which of its devices guards its VFs by the token that it has. */
bool broker_gives_token(Broker *broker, const LeaseDevice *device);

/* Puts the lease's devices that are still there into the plan, and all its groups. */
void task_plan_devices(Task *task);

/* What /sys says of it: all of it, or what may change while it stays the same. -ENODEV: it is not there, or none of
 * ours. -EBADMSG: that makes no sense. */
int broker_scan_device(Broker *broker, const char *id, bool in_full, DeviceFacts *ret, int *ret_group);
int broker_scan_all(Broker *broker);
int broker_scan_kind(Broker *broker, DeviceKind kind);

/* It has gone, or another one has its id. Waits for nothing, and so does the next. */
bool broker_device_has_come_anew(Broker *broker, const Device *device);
bool broker_device_is_let_go(Broker *broker, const Device *device); /* by its driver, which may wait for somebody */
bool broker_device_is_locked(Broker *broker, const Device *device); /* to read anything of it may take as long */

/* Its lease has it, and it is on no VFIO driver. The lease is not told while it moves, but at the next look. */
bool broker_device_is_lost(const Device *device);

/* The scan comes to one that must not be read, and which is there still. */
bool broker_skip_locked(Broker *broker, const char *id, uint64_t instance);

/* What a scan has found; of one that is there already; and one that has gone. */
int broker_on_found(Broker *broker, const DeviceFacts *facts, int group);
int broker_update(Broker *broker, Device *device, const DeviceFacts *facts, int group);
void broker_remove(Broker *broker, Device *device);

/* A device that left its lease's hands while it was leased: gone, or taken from its driver. */
void broker_lose_device(Broker *broker, Device *device, const char *cause, bool stays);

/* The kernel takes it from its driver, or has done so. Whoever has it is asked for it in a moment. */
void broker_let_leave(Broker *broker, Device *device, bool leaves);

/* Nothing can call that off any more. */
int broker_find_leaving(const char *about, const Device *device, Findings *findings);

/* What the machine has of an IOMMU, and what a group that is new has. */
void broker_look_at_iommu(Broker *broker);
void broker_look_at_group(Broker *broker, Group *group);

/* Why it is in no group; that its group protects nobody, or a warning where that is allowed; a lease of both kinds. */
int broker_find_no_group(const Device *device, Findings *findings);
int broker_find_noiommu(const Device *device, Findings *findings);
int broker_warn_noiommu(const Device *device, Findings *findings);
int broker_find_mix(const BrokerRequest *request, Findings *findings);

/* A selector, with what the configuration and the kernel say of names in it. Good for one look at the devices. */
typedef struct Matcher {
        Selector selector, alias;
        bool has_alias;
        const Pool *pool; /* NULL: it is about none */
        bool none;        /* nothing matches: there is no such alias or pool */
} Matcher;

void broker_prepare(Broker *broker, const Selector *selector, Matcher *ret);
bool broker_matches(Broker *broker, const Matcher *matcher, Device *device);

/* Puts a device into each target that is to be any one of a pool, if there is one that is free. */
void broker_choose(Broker *broker, const BrokerChoice *choice, BrokerTarget *targets, unsigned n);

/* What the pool of the target says about who asks; and why none of its devices is to be had. */
int broker_find_pool_limits(Broker *broker, const BrokerRequest *request, unsigned target, Findings *findings);
int broker_find_none_free(Broker *broker, const BrokerRequest *request, unsigned target, Findings *findings);

/* Why the target has no device. */
int broker_find_missing(Broker *broker, const BrokerRequest *request, unsigned target, Findings *findings);

/* All that stands in the way of one target. Of what others of its group do, all is said of the first of the group. */
int broker_find_about_target(Broker *broker, const BrokerRequest *request, unsigned target, Findings *findings);

/* What is not known yet of the device's names. Whether there was something new. */
bool broker_learn_names(Broker *broker, Device *device);

/* Reads the device anew. May free it, if it has gone or is another one. */
int broker_refresh(Broker *broker, const char *address);

/* The same for one whose driver is being changed, when the kernel is through with it. */
int broker_refresh_moved(Broker *broker, const char *address);
/* The same after a change of its driver: if it is a container of objects, these have gone with it, and come anew. */
int broker_refresh_with_objects(Broker *broker, const char *id);

/* Reads the device and its group anew. Nothing that was found before may be used afterwards, but leases and
 * their groups. */
int broker_refresh_group(Broker *broker, const char *address);

/* Writes down what the lease is now; without that a restart would not know it. */
int broker_record_lease(Broker *broker, const Lease *lease);

/* The same where a failure can only be told, not undone. */
void broker_note_lease(Broker *broker, const Lease *lease);
void broker_note_device(Broker *broker, Device *device);
int broker_record_device(Broker *broker, Device *device);

/* The same limit again, after a restart. */
int broker_resume_limit(Broker *broker, Lease *lease, uint64_t duration_usec, uint64_t until_usec);

/* There is nothing to know of it any more. */
void broker_forget_lease(Broker *broker, const Lease *lease);
void broker_forget_device(Broker *broker, const Device *device);

void broker_lifeline_name(const Lease *lease, char ret[JOURNAL_NAME_MAX]);

/* The lease hangs on what an earlier daemon has tied it to. @pidfd is of its process, if that is what it is. */
int broker_tie_again(Broker *broker, Lease *lease, int pidfd);

/* Frees the group if nobody needs it. */
void broker_tidy_group(Broker *broker, Group *group);

/* An error for every device of the group, but @asking for itself, that is in the host's hands: for @max of them, and if
 * there are more, one that says how many there are. */
int broker_find_blockers(const char *about, const Group *group, const Device *asking, unsigned max, Findings *findings);

/* What the kernel's answer means, as a finding. Returns 0, or negative errno for what is nobody's fault. */
int broker_explain_result(Broker *broker, const Lease *lease, const VfioPlan *plan, const VfioResult *result,
                          Findings *findings);

/* The lease is over, for the reason given; the first reason stays. May free the lease. */
void broker_end_lease(Broker *broker, Lease *lease, LeaseEnd end);

/* What is to end the lease; and, once it is open, the lifeline, whose other end the holder gets whatever that is. */
int broker_bond_lease(Broker *broker, Lease *lease, const BrokerRequest *request);
int broker_tie_lease(Broker *broker, Lease *lease, int *ret_fd);

/* Gives the lease that time from now on, or what the configuration allows if it is 0. */
int broker_limit_lease(Broker *broker, Lease *lease, uint64_t duration_usec);

/* Along the table of allowed moves, and tells who is told of it. */
void broker_move_lease(Broker *broker, Lease *lease, LeaseState state);

/* What is configured about the reset of the device. */
ResetPolicy broker_reset_policy(Broker *broker, const Device *device, bool *ret_one_time);

/* The device has left the lease and is still there: what is to be said about it without a gate. */
void broker_judge_lost(Broker *broker, const Lease *lease, Device *device);

/* Nobody has a device of it open any more: resets them in a child, judges what came of it, and finishes the lease. */
int broker_start_gate(Broker *broker, Lease *lease);

/* Nobody gets the device before an administrator says so. */
void broker_quarantine_device(const Lease *lease, Device *device, const char *reason);

/* All that was to be done is done; unless all of it is @clean the lease has failed. Finishes it. */
void broker_close_gate(Broker *broker, Lease *lease, bool clean);

/* Before the gate: which release hooks the devices of the plan have to pass, and a note that they have to. */
void task_plan_hooks(Task *task);

/* The device of that place in the plan is not clean, so there is nothing for hooks to do. */
void task_drop_hooks(Task *task, unsigned i, Device *device);

/* The devices are judged: runs the hooks of those that still have some to pass, and closes the gate. Frees the task, at
 * once or later. */
void task_end_gate(Task *task);

/* It has passed all hooks that it had to. */
void broker_return_device(Broker *broker, Device *device);

/* After a restart: the last daemon's hooks have not ended well as far as anybody knows. */
void broker_doubt_device(Device *device);

/* Hooks run on the device, so that it may change its driver meanwhile. */
bool broker_hooks_expect(const Device *device);

/* The device leaves the lease for another driver, and is not seen again by its gate. */
void broker_miss_hooks(Broker *broker, const Lease *lease, Device *device);

/* The devices are free, or quarantined: forget the lease. */
void broker_finish_lease(Broker *broker, Lease *lease);

/* Takes back what the holder did not let go. The lease has a revocation. */
void broker_force(Broker *broker, Lease *lease);

/* Notes a step of the revocation, "word: what it was", where it can be asked for, and tells it. */
void broker_take_step(Lease *lease, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line about it: "Lease ID @text: @reason" */
void broker_log_revocation(const Lease *lease, const char *id, int priority, const char *text, const char *reason);

/* Of a lease that an earlier daemon has left: sets the deadline again, which may have passed. */
int broker_resume_revocation(Broker *broker, Lease *lease);

/* The end that counts, where the lease was to be given back; notes how it came. */
LeaseEnd broker_revoke_end(Lease *lease, LeaseEnd end);

/* The lease is gone: the journal's last word about its revocation, if there was one. */
void broker_revoke_report(const Lease *lease);

/* Goes on with its end after so long. */
void broker_wait_lease_usec(Broker *broker, Lease *lease, uint64_t usec);

/* Goes on with a lease that is over, unless a task is still under way for it. May free the lease. */
void broker_continue_end(Broker *broker, Lease *lease);

/*
 * Takes back all that the devices of a mediated lease can reach, whoever holds their descriptors: from @done on
 * nothing of theirs arrives in memory any more, and nothing is mapped again. 0: under way; @done (may be NULL) will
 * be called once. 1: there is nothing (any more) to cut, and @done is not called. A lease that is over goes on with
 * its end afterwards.
 */
int broker_cut_dma(Broker *broker, Lease *lease, BrokerCut done, void *userdata);

/* Something is mapped, and nobody is at it. */
bool broker_must_cut(const Lease *lease);

/* Starts a search for the lease's holders; with @signal those that keep a device get it. Also for a lease that is
 * over. VFB_ERROR_RATE_LIMITED. */
int broker_search(Broker *broker, const Lease *lease, int signal, BrokerSearched done, void *userdata);

/* The same for a group that need not be leased: who has something of it, or one of @nodes. @lease of @done is NULL.
 * @at_rest: nothing has been done yet to those of it that are to get another driver. */
int broker_search_group(Broker *broker, const Group *group, const Nodes *nodes, bool at_rest, BrokerSearched done,
                        void *userdata);

/* @all, or only those that keep a device, as far as there is room; "" if there are none. */
void broker_name_holders(const BrokerHolders *holders, bool all, char *ret, size_t size);

/* Nobody waits under @userdata any more. */
void broker_abandon_searches(Broker *broker, void *userdata);
Search *search_free(Search *search);

/* The ids of the lease's devices, separated by spaces. */
#define BROKER_LEASE_IDS_MAX 2048
void broker_lease_ids(const Lease *lease, char *ret, size_t size);

/* A line about the lease: its id, its devices and its holder need not be in @event. */
void broker_log_lease(const Lease *lease, const LogEvent *event, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void broker_log_acquired(const Lease *lease);

/* What a client and the journal are told of a reset: "flr" of "flr bus", "none available". */
void broker_reset_name(const Device *device, bool works, char *ret, size_t size);
