/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Broker
 *
 * Joins core (who may hold what) and kernel (/sys, /dev, ioctl), and knows no bus: the bus layer
 * asks it, and it tells an observer what happened. Owns devices, groups, users and leases. What it hands
 * out as const pointers is borrowed until the loop turns.
 */

#include <stdbool.h>
#include <stdint.h>

#include "core/device.h"
#include "core/finding.h"
#include "core/group.h"
#include "core/lease.h"
#include "core/origin.h"
#include "core/pool.h"
#include "core/term.h"
#include "names.h"

#define BROKER_WANTS_MAX 64
#define BROKER_FDS_MAX   VFB_FDS_PER_MESSAGE
#define BROKER_SCOPE_MAX 256

typedef struct sd_event sd_event;
typedef struct Broker Broker;
typedef struct Config Config;

/* What happened, after it happened. @group_changed says that who may have the devices of the group may have
 * changed; it is called for the group and means its devices too. */
typedef struct BrokerObserver {
        void (*device_new)(const Device *device, void *userdata);
        void (*device_removed)(const Device *device, void *userdata);
        void (*device_changed)(const Device *device, void *userdata);
        void (*group_new)(const Group *group, void *userdata);
        void (*group_removed)(const Group *group, void *userdata);
        void (*group_changed)(const Group *group, void *userdata);
        void (*lease_new)(const Lease *lease, void *userdata);
        void (*lease_changed)(const Lease *lease, void *userdata);
        void (*lease_revoke_requested)(const Lease *lease, const char *reason, uint64_t deadline_usec, void *userdata);
        void (*lease_stepped)(const Lease *lease, void *userdata);
        void (*lease_removed)(const Lease *lease, void *userdata);
        void (*n_leases_changed)(unsigned n, void *userdata);
        void (*lease_expiring)(const Lease *lease, void *userdata); /* soon, and not yet */
        void (*lease_renewed)(const Lease *lease, void *userdata);
        void (*lease_moved)(const Lease *lease, void *userdata); /* to another holder */
        void (*lease_lost_device)(const Lease *lease, const Device *device, const char *cause, void *userdata);
} BrokerObserver;

/* @root: "" for the machine itself, or the folder that holds sys/ and dev/ (tests). */
int broker_new(Broker **ret, sd_event *event, const Config *config, const char *root);
Broker *broker_free(Broker *broker);
DEFINE_CLEANUP(Broker, broker_free)

/* From here on what must survive the daemon is kept in @directory, which nobody else may write into. */
int broker_keep_state(Broker *broker, const char *directory);

void broker_observe(Broker *broker, const BrokerObserver *observer, void *userdata);

/* Reads all of /sys and follows it from here on. */
int broker_start(Broker *broker);

/* Takes over what an earlier daemon has left in the directory and in systemd's fd store. After broker_start(). */
int broker_restore(Broker *broker);

const Config *broker_config(const Broker *broker);

/* Whether Acquire may take devices from host drivers, for who may do that. */
bool broker_binds_on_acquire(const Broker *broker);

/* inventory */

const DeviceList *broker_devices(const Broker *broker);
const GroupList *broker_groups(const Broker *broker);
const LeaseList *broker_leases(const Broker *broker);

const Device *broker_find_device(const Broker *broker, const char *id);
const Group *broker_find_group(const Broker *broker, unsigned number);
const Lease *broker_find_lease(const Broker *broker, const char *id);

/* Stores those that match, at most @max, and how many there are. VFB_ERROR_INVALID_SELECTOR. */
int broker_select(Broker *broker, const char *selector, const Device **ret, unsigned max, unsigned *ret_n);

/* None matches: of another bus than PCI's only those are listed that are in an IOMMU group. An error if it is one of
 * the others, and why. */
int broker_find_unlisted(Broker *broker, const char *selector, Findings *findings);

bool broker_device_is_vf(Broker *broker, const Device *device);

/* Whether it may have virtual functions; which it has, in order of their index (@ret to be freed; returns how many);
 * and of which device it is one itself (NULL: none), at which place (-1). */
bool broker_device_is_pf(Broker *broker, const Device *device);
unsigned broker_functions_total(Broker *broker, const Device *device);
unsigned broker_functions_current(Broker *broker, const Device *device);
int broker_list_functions(Broker *broker, const Device *device, const Device ***ret);
const Device *broker_device_pf(Broker *broker, const Device *device);
int broker_device_vf_index(Broker *broker, const Device *device);

#define BROKER_NAMES_MAX 66

typedef struct BrokerName {
        char text[DEVICE_PATH_MAX + 8]; /* "path:pci-0000:00:03.1/00.0" */
} BrokerName;

/* The selectors that mean this device also after its address has changed; returns how many there are. */
unsigned broker_persistent_ids(Broker *broker, const Device *device, BrokerName ret[BROKER_NAMES_MAX]);

/* pools */

/* Reads pools.d beside the configuration file; before it there are none. */
void broker_load_pools(Broker *broker, const char *config);
const PoolList *broker_pools(const Broker *broker);

/* For who may not have a device of a pool, whatever polkit says. */
#define BROKER_FIX_OTHERS_POOL "its AllowUser= and AllowGroup= say for whom it is, see vfio-broker.pool(5)"

/* The selector means any one of a pool, whether there is such a pool or not. */
bool broker_is_pool(const char *selector);

bool broker_pool_has(Broker *broker, const Pool *pool, const Device *device);

/* How many of its devices are free. */
unsigned broker_pool_available(Broker *broker, const Pool *pool);

/* -ENOENT: no such processor. -ENODATA: it has no NUMA node. */
int broker_cpu_node(Broker *broker, unsigned cpu, int *ret);

/* Facts that are rarely asked for, and read from /sys at each question. Empty where there are none. */
void broker_device_names(Broker *broker, const Device *device, char *ret_vendor, size_t vendor_size, char *ret_model,
                         size_t model_size);
void broker_device_physfn(Broker *broker, const Device *device, char ret[DEVICE_ID_MAX]);
void broker_device_cdev(Broker *broker, const Device *device, char *ret, size_t size);
bool broker_device_boot_vga(Broker *broker, const Device *device);
void broker_device_syspath(Broker *broker, const Device *device, char *ret, size_t size);

/* Stores the devices that a reset of its bus would hit, itself among them, and how many there are. 0: its bus has no
 * reset. At most BROKER_SCOPE_MAX are named. */
void broker_device_reset_scope(Broker *broker, const Device *device, const Device *ret[BROKER_SCOPE_MAX],
                               unsigned *ret_n);
void broker_group_type(Broker *broker, const Group *group, char *ret, size_t size);

typedef struct BrokerRegion {
        uint64_t first, last;
        char kind[24]; /* "direct-relaxable" is the longest */
} BrokerRegion;

int broker_group_regions(Broker *broker, const Group *group, BrokerRegion *ret, unsigned max);

bool broker_has_legacy(Broker *broker);
bool broker_is_tainted(Broker *broker, const char *by); /* "noiommu", "unsafe-interrupts", "acs-override" */
bool broker_device_is_noiommu(const Device *device);
bool broker_allows_noiommu(const Device *device); /* it is, and may be had */

/* "available", "leased", "host", "not-viable", "no-iommu", "quarantined" */
const char *broker_availability(const Device *device);

/* What stands in the way of the device for anybody. So many others of its group are named at most, since what is told
 * of all devices would grow with the square of their number. */
#define BROKER_NAMED_MAX 4
int broker_device_findings(const Device *device, Findings *findings);

/* The same for the group, each of its devices by name. */
int broker_group_findings(const Group *group, Findings *findings);

/* requests */

typedef enum BrokerCompanions {
        BROKER_COMPANIONS_AUTO, /* those that the host has go along */
        BROKER_COMPANIONS_INCLUDE,
        BROKER_COMPANIONS_REFUSE,
} BrokerCompanions;

typedef struct BrokerWant {
        const char *selector;
        const char *token; /* VF token, or NULL */
} BrokerWant;

/* One device wanted. @device NULL: the selector names none, or more than one, or what it named has @gone. */
typedef struct BrokerTarget {
        const char *selector; /* of the request */
        const char *token;
        const Device *device;
        unsigned n_matches;
        bool gone;
        const Pool *pool;      /* any one of it is wanted; NULL: a certain device */
        const Device *instead; /* where none of it is free: one that polkit can be asked about, if there is any */
} BrokerTarget;

typedef struct BrokerRequest {
        const BrokerTarget *targets;
        unsigned n_targets;
        LeaseMode mode;
        const char *label;
        bool bind;                       /* devices may be taken from host drivers; the caller may do that */
        BrokerCompanions companions;
        bool steal;                      /* also what the host needs; likewise */
        OriginRestore restore;
        ResetPolicy reset; /* RESET_POLICY_UNSET: as it is configured */
        bool one_time;
        uint64_t duration_usec; /* 0: as long as anybody may */
        LeaseBond bond;
        int pidfd;                    /* of LEASE_BOND_PIDFD; borrowed, and checked */
        const char *unit, *invocation; /* of LEASE_BOND_UNIT */
        uid_t uid;
        const gid_t *groups; /* of the user, for pools */
        unsigned n_groups;
        pid_t pid;
        const char *sender;
} BrokerRequest;

/* Which device of a pool it is to be, if there are several. */
typedef struct BrokerChoice {
        const BrokerRequest *as; /* who asks, and how; it has no targets yet */
        int numa_node;           /* rather one near this; negative: wherever */
        bool (*was_asked)(const Device *device, void *userdata); /* rather one that polkit was asked about; or NULL */
        void *userdata;
} BrokerChoice;

/* @ret has room for BROKER_WANTS_MAX. VFB_ERROR_INVALID_SELECTOR; VFB_ERROR_QUOTA_EXCEEDED: more than that. */
int broker_resolve(Broker *broker, const BrokerWant *wants, unsigned n_wants, const BrokerChoice *choice,
                   BrokerTarget *ret, unsigned *ret_n);

/* Reads the devices that are meant, and their groups, anew from /sys, and drops those that are not the same any
 * more. No other device that was found before may be used afterwards. */
int broker_look_again(Broker *broker, BrokerTarget *targets, unsigned n);

/* All that there is to say before the kernel is asked. */
int broker_examine(Broker *broker, const BrokerRequest *request, Findings *findings);

typedef struct BrokerFd {
        char role[DEVICE_ID_MAX + 16];
        int fd; /* borrowed */
        const char *attribute; /* "model", "reset", or NULL */
        char value[DEVICE_RESET_MAX];
        char vf_token[40]; /* of a PF: the one that its VFs want; "" */
} BrokerFd;

typedef struct BrokerFds {
        BrokerFd items[BROKER_FDS_MAX];
        unsigned n;
        bool complete;
} BrokerFds;

/* @r 0: here it is; @lifeline and @fds are borrowed, so copy before returning. Positive: @why says it.
 * Negative: errno. @lease is NULL unless @r is 0. Returns negative if the holder could not be told: then
 * the lease ends. */
typedef int (*BrokerAcquired)(int r, const Finding *why, const Lease *lease, int lifeline, const BrokerFds *fds,
                              void *userdata);

/* 0: under way, @done will be called once. Positive: refused, and @findings says why. */
int broker_acquire(Broker *broker, const BrokerRequest *request, Findings *findings, BrokerAcquired done,
                   void *userdata);

/* The caller that waited under @userdata has gone: the lease will not begin. */
void broker_abandon(Broker *broker, void *userdata);

/* Further descriptors of an active lease. @roles: those, or if @n_roles is 0 those that were not handed out
 * yet. VFB_ERROR_NO_SUCH_LEASE: it is over. VFB_ERROR_INVALID_ARGS: no such role. VFB_ERROR_DEVICE_GONE.
 * VFB_ERROR_RATE_LIMITED: too many are waiting for it already. */
/* @done may be called before this returns. */
int broker_get_fds(Broker *broker, const Lease *lease, const char *const *roles, unsigned n_roles,
                   BrokerAcquired done, void *userdata);

/* memory of mediated leases */

typedef struct BrokerMemory {
        int fd; /* borrowed */
        uint64_t offset, size, iova;
        uint64_t flags; /* VFB_MAP_* */
} BrokerMemory;

/* @r as with BrokerAcquired. */
typedef void (*BrokerMapped)(int r, const Finding *why, void *userdata);

/* Lets the devices of an active lease reach part of a memfd. 0: under way, @done will be called once. Positive:
 * refused, and @findings says why: VFB_ERROR_NO_SUCH_LEASE: it is over. VFB_ERROR_INVALID_ARGS,
 * VFB_ERROR_INVALID_OPTION (flags), VFB_ERROR_QUOTA_EXCEEDED, VFB_ERROR_RATE_LIMITED. */
int broker_map_memory(Broker *broker, const Lease *lease, const BrokerMemory *memory, Findings *findings,
                      BrokerMapped done, void *userdata);

/* Takes back what was mapped by one call. Likewise. */
int broker_unmap_memory(Broker *broker, const Lease *lease, uint64_t iova, uint64_t size, Findings *findings,
                        BrokerMapped done, void *userdata);

void broker_release(Broker *broker, const Lease *lease, LeaseEnd end);

/*
 * Handing over
 *
 * An offer is for one user, or for one process if @pidfd (checked) is not negative; it replaces an earlier one.
 * VFB_ERROR_NO_SUCH_LEASE: it is over.
 */
int broker_offer(Broker *broker, const Lease *lease, uid_t uid, int pidfd, uint64_t timeout_usec,
                 char ret_token[OFFER_TOKEN_MAX]);

/* The lease that is offered under that token to that caller; NULL, whatever is wrong. */
const Lease *broker_find_offer(const Broker *broker, const char *token, uid_t uid, pid_t pid);

/* The claimer has been found to be the one, and may. 0: under way, and the offer is used up; @done will be called once,
 * or has been, as for an Acquire. VFB_ERROR_QUOTA_EXCEEDED and the refusals of broker_get_fds();
 * VFB_ERROR_RATE_LIMITED, too, while the holder waits for something. */
int broker_claim(Broker *broker, const Lease *lease, uid_t uid, pid_t pid, const char *sender, BrokerAcquired done,
                 void *userdata);

/* What leases hang on has gone: the bus name of their holder; or the unit, that now runs under another invocation id,
 * or not at all if @invocation is NULL. */
void broker_end_leases_of_name(Broker *broker, const char *name);
void broker_end_leases_of_unit(Broker *broker, const char *unit, const char *invocation);

/* The time limit. A duration of 0 is as long as anybody may, which need not have an end; none may be longer than
 * TERM_USEC_MAX. */
bool broker_duration_is_allowed(const Broker *broker, uint64_t duration_usec);

/* From now on. VFB_ERROR_NO_SUCH_LEASE: it is over. VFB_ERROR_QUOTA_EXCEEDED: longer than the configuration allows. */
int broker_renew(Broker *broker, const Lease *lease, uint64_t duration_usec);

/* As the clock on the wall is set now; 0: never. */
uint64_t broker_lease_expires_usec(const Lease *lease);

/* revocation */

/* Asks the holder for the lease, and takes it by force once @grace_usec have passed; whatever is more than the
 * configuration's limit is that limit. For a lease that is over but lingers there is nobody to ask. Again: the
 * earlier deadline holds. A lease that is being cleaned comes by itself. */
int broker_revoke(Broker *broker, const Lease *lease, const char *reason, uint64_t grace_usec, uid_t by);

/* Tells the holders once more, whom an earlier daemon may have told or not. */
void broker_ask_again(Broker *broker);

/* The holder's answer. Nothing if nobody had asked. */
void broker_revoke_complete(Broker *broker, const Lease *lease);

/* holders */

#define BROKER_HOLDERS_MAX 120

typedef struct BrokerHolder {
        pid_t pid;
        char name[16]; /* printable */
        char what[64]; /* "device container", of device, mapping, io-uring, group, container, lifeline */
        bool keeps;    /* a device from being free */
        bool signalled;
} BrokerHolder;

typedef struct BrokerHolders {
        BrokerHolder items[BROKER_HOLDERS_MAX];
        unsigned n;
        bool more; /* than these */
} BrokerHolders;

/* @lease NULL: it is gone by now. @r: 0 or negative errno. */
typedef void (*BrokerSearched)(int r, const Lease *lease, const BrokerHolders *holders, void *userdata);

/* The processes that have something of the lease; the daemon itself is none of them. broker_abandon() takes it back.
 * VFB_ERROR_RATE_LIMITED: too many ask already. */
int broker_list_holders(Broker *broker, const Lease *lease, BrokerSearched done, void *userdata);

/* A process that is never ended by force: the bus is not to blame for what is in its queues. */
void broker_spare(Broker *broker, pid_t pid);

/* drivers */

#define BROKER_USES_MAX  16
#define BROKER_MOVES_MAX 128

typedef struct BrokerUse {
        char kind[16];  /* as the kernel's, see hostuse.h, and "unknown" */
        char text[160]; /* printable */
        bool never;     /* nobody may take it, whatever policy says */
} BrokerUse;

/* What the host itself needs the device for; returns how many there are. Reads /sys and /proc, once for each turn of
 * the loop. */
unsigned broker_host_uses(Broker *broker, const Device *device, BrokerUse ret[BROKER_USES_MAX]);

/* The driver that it had before the broker changed it; "" if it had none, or still has it. */
const char *broker_restore_driver(const Device *device);

typedef struct BrokerBind {
        const char *driver; /* "": the VFIO driver that the modules' list names for the device */
        BrokerCompanions companions;
        bool steal; /* also what the host needs; the caller may do that */
        uid_t uid;
} BrokerBind;

/* Whether a bind can be asked for: not of bridges, nor of kinds without a driver_override, nor of what is in a
 * container and goes with that. */
bool broker_is_bindable(const Device *device);

/* The devices whose drivers a bind of @device, or a restore, would change; itself first, if it is one of them. */
unsigned broker_bind_scope(const Device *device, const Device *ret[BROKER_MOVES_MAX]);
unsigned broker_restore_scope(const Device *device, const Device *ret[BROKER_MOVES_MAX]);

/* @r: 0, or a refusal with @why, or negative errno. */
typedef void (*BrokerBound)(int r, const Finding *why, void *userdata);

/* The device, and its companions that are on host drivers, go to VFIO drivers, or none of them. Reads them anew, so
 * @device may be gone afterwards. 0: under way, @done will be called once. Positive: refused, and @findings says
 * why. */
int broker_bind(Broker *broker, const Device *device, const BrokerBind *bind, Findings *findings, BrokerBound done,
                void *userdata);

/* All of its group that were bound go back to what they were. Likewise. */
int broker_give_back(Broker *broker, const Device *device, uid_t uid, Findings *findings, BrokerBound done,
                     void *userdata);

typedef struct BrokerFunctions {
        unsigned count;
        int autoprobe; /* whether they are offered to the host's drivers; -1: as it is set */
        uid_t uid;
} BrokerFunctions;

/* The PF has that many virtual functions, or those that it had. @done is called when they are known. Else as
 * broker_bind(). */
int broker_set_functions(Broker *broker, const Device *device, const BrokerFunctions *wish, Findings *findings,
                         BrokerBound done, void *userdata);

/* release hooks */

/* One that is to run on a device, which is in nobody's hands meanwhile. */
typedef struct BrokerHook {
        char name[64];
        char exec[256]; /* absolute */
        char lease[LEASE_ID_MAX];
        char device[DEVICE_ID_MAX];
        char reset[DEVICE_RESET_MAX]; /* what the last reset was */
        unsigned group;
        uid_t uid; /* whose lease it was */
        uint64_t timeout_usec;
        uint64_t capabilities; /* 1 << CAP_X */
} BrokerHook;

/* @why NULL: it has succeeded. */
typedef void (*BrokerHookEnded)(const char *why, void *task);

/* 0: under way, and @ended will be called once, but not before this returns. @hook is borrowed. */
typedef int (*BrokerRunHook)(const BrokerHook *hook, BrokerHookEnded ended, void *task, void *userdata);

/* Reads their descriptions; before it there are none. */
void broker_load_hooks(Broker *broker);
void broker_use_hooks(Broker *broker, BrokerRunHook run, void *userdata);

/* @reason NULL: the administrator's word that it is clean. */
int broker_quarantine(Broker *broker, const Device *device, const char *reason, uid_t uid);
