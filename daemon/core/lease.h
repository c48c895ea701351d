/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lease
 *
 * The right of one holder to some devices and to the whole of their IOMMU groups. It hangs on a lifeline, or on
 * something else that may go, may have an end of time, and goes one way out: over, until nobody has a device open
 * any more (lingering), until the devices are reset (cleaning), gone. Where the holder never had the container
 * (mediated), its DMA ends first. It keeps the groups' descriptors, which nobody else can open meanwhile, and the
 * container's, but never a device's: VFIO counts open files, so a copy here would keep the device busy, and its DMA
 * going, after the holder has died. Owned by the list that it is linked into.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "core/device.h"
#include "core/lifeline.h"
#include "core/offer.h"
#include "core/mapping.h"
#include "core/origin.h"
#include "core/reset-policy.h"
#include "core/revocation.h"
#include "core/term.h"
#include "core/user.h"

#define LEASE_ID_MAX      16
#define LEASE_LABEL_MAX   64 /* characters; four bytes each at most */
#define LEASE_DEVICES_MAX 64

typedef struct Lease Lease;
typedef struct sd_event_source sd_event_source;
TAILQ_HEAD(LeaseQueue, Lease);

typedef struct LeaseList {
        struct LeaseQueue queue; /* the oldest first */
        void *by_id; /* tsearch(3) */
        unsigned n;
} LeaseList;

typedef enum LeaseState {
        LEASE_PREPARING,
        LEASE_ACTIVE,
        LEASE_REVOKING,
        LEASE_LINGERING,
        LEASE_CLEANING,
        LEASE_FAILED,
        _LEASE_STATE_MAX,
} LeaseState;

typedef enum LeaseMode {
        LEASE_MODE_LEGACY,
        LEASE_MODE_LEGACY_RAW,
        LEASE_MODE_MEDIATED,
        _LEASE_MODE_MAX,
} LeaseMode;

/* What ends the lease when it has gone. */
typedef enum LeaseBond {
        LEASE_BOND_LIFELINE,
        LEASE_BOND_BUS,   /* the holder's unique name */
        LEASE_BOND_PIDFD, /* a process */
        LEASE_BOND_UNIT,  /* a run of a systemd unit */
        _LEASE_BOND_MAX,
} LeaseBond;

typedef enum LeaseEnd {
        LEASE_END_NONE,
        LEASE_END_RELEASED,
        LEASE_END_HOLDER_GONE,
        LEASE_END_EXPIRED,
        LEASE_END_REVOKED,
        LEASE_END_REMOVED,
        LEASE_END_FAILED,
        _LEASE_END_MAX,
} LeaseEnd;

typedef enum LeaseCut {
        LEASE_CUT_NONE,
        LEASE_CUT_RUNNING,
        LEASE_CUT_FAILED, /* to be tried again */
} LeaseCut;

typedef struct LeaseDevice {
        char id[DEVICE_ID_MAX];
        char token[40];
        Device *device; /* borrowed; NULL: gone */
        unsigned group; /* index into the lease's groups */
        bool token_made; /* by the broker */
} LeaseDevice;

struct Lease {
        TAILQ_ENTRY(Lease) all;
        LeaseList *list;
        char id[LEASE_ID_MAX];
        LeaseState state;
        LeaseMode mode;
        LeaseBond bond;
        LeaseEnd end;
        char *label; /* NULL: none, see lease_label() */
        User *user; /* charged */
        char *sender; /* unique bus name */
        pid_t pid;
        bool one_time;  /* its holder wants nobody to get the devices afterwards, before an administrator says so */
        bool announced; /* others have heard of it */
        uint64_t created_usec;
        ResetPolicy reset; /* what its holder has asked for; RESET_POLICY_UNSET: nothing */
        OriginRestore restore; /* what becomes of the drivers that were changed for it */

        LeaseDevice *devices;
        Group **groups; /* borrowed; each has this lease */
        int *group_fds; /* ours; negative: not open */
        unsigned n_devices, n_devices_max, n_groups;

        unsigned n_handed_out; /* descriptors, from the first */
        unsigned n_hands;      /* how often it has changed hands: each holder has a lifeline of their own */

        int container_fd;
        unsigned model;
        Mappings mappings; /* mediated: what the holder had us map; charged to the user */
        bool dma_stopped;  /* no more of it, from here on */
        LeaseCut cut;      /* of what is mapped */
        Lifeline *lifeline;
        Lifeline *process; /* of a lease that is bound to one */
        char *unit, *invocation; /* likewise, to a unit */
        Term *term; /* NULL: it has no end of time */
        uint64_t duration_usec, until_usec; /* the latter of CLOCK_BOOTTIME; 0: none */
        Offer *offer; /* NULL: to nobody */
        Revocation *revocation; /* NULL: nobody has asked for it */
        sd_event_source *timer; /* until the next look whether it is still open somewhere */
        uint64_t wait_usec;
        unsigned n_gate_deaths; /* of children that were to reset its devices, and said nothing */
        unsigned n_tasks; /* actions of the kernel that are under way for it; it is not freed before */
};

/* With room for @n_devices. @user is charged for it from here on. @id NULL: a new one. -EEXIST: there is one of
 * that id. */
int lease_new(Lease **ret, LeaseList *leases, User *user, unsigned n_devices, const char *id);

/* Gives back whatever it still has. Its groups are nobody's from here on. */
Lease *lease_free(Lease *lease);
DEFINE_CLEANUP(Lease, lease_free)

Lease *lease_find(const LeaseList *leases, const char *id);

/* What its holder calls it; "": nothing. -ENOMEM */
const char *lease_label(const Lease *lease);
int lease_set_label(Lease *lease, const char *label);

/* Adds the device and its group. The caller has made sure that both are free and that there is room. */
void lease_add_device(Lease *lease, Device *device, const char *token);

/* The same for one that has gone already: only its name and its group are left. */
void lease_add_gone(Lease *lease, const char *id, Group *group);

/* What the lease has of the device; NULL: it is not in the lease. */
const LeaseDevice *lease_find_device(const Lease *lease, const Device *device);
bool lease_has_device(const Lease *lease, const Device *device);

/* The device has gone; returns its index, -1 if it was not in the lease. */
int lease_drop_device(Lease *lease, Device *device);

unsigned lease_n_present(const Lease *lease);

/* Only along the table of allowed moves; anything else is a programming error. */
void lease_advance(Lease *lease, LeaseState state);

/* From here on @lifeline is the lease's. */
void lease_hold_by(Lease *lease, Lifeline *lifeline);

/* VFB_ERROR_INVALID_ARGS: it overlaps with one that is there. VFB_ERROR_QUOTA_EXCEEDED: of the user. */
int lease_add_mapping(Lease *lease, uint64_t iova, uint64_t size, unsigned user_max, uint64_t user_bytes_max);
void lease_remove_mapping(Lease *lease, Mapping *mapping);
void lease_clear_mappings(Lease *lease);

/* Charges @user for what is mapped, besides the lease's own. VFB_ERROR_QUOTA_EXCEEDED. */
int lease_charge_mappings(const Lease *lease, User *user, unsigned max, uint64_t bytes_max);

/* Closes what keeps the groups taken. */
void lease_close_groups(Lease *lease);

/* Of devices that no IOMMU holds back. */
bool lease_is_noiommu(const Lease *lease);

static inline bool lease_is_over(const Lease *lease) {
        return lease->end != LEASE_END_NONE;
}

const char *lease_state_name(LeaseState state);
const char *lease_mode_name(LeaseMode mode);
const char *lease_bond_name(LeaseBond bond);
/* -EINVAL: it is no name of one. */
int lease_bond_from_name(const char *name, LeaseBond *ret);
const char *lease_end_name(LeaseEnd end);
