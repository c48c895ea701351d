/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Device
 *
 * One function that a program may want to drive, and whether it can be had. Owned by the list that it
 * is linked into; it ends when the kernel says that it has gone. What it is (DeviceFacts) is replaced
 * as a whole whenever /sys is read again; who it is (the generation) never changes, so that a request
 * which waited can tell this device from a later one at the same address.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "cleanup.h"

#define DEVICE_ID_MAX   64 /* "0000:06:0d.0"; on another bus "mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" */
#define DEVICE_BARS_MAX 7
#define DEVICE_PATH_MAX 96
#define DEVICE_SERIAL_MAX 64
#define DEVICE_RESET_MAX 40 /* "bus (scope: 2 devices)" */

typedef struct Device Device;
typedef struct Group Group;
typedef struct Origin Origin;
TAILQ_HEAD(DeviceQueue, Device);

/* All devices, in the order of their appearance, and by id. */
typedef struct DeviceList {
        struct DeviceQueue queue;
        void *by_id; /* tsearch(3) */
        unsigned n;
} DeviceList;

/* The bus that it is on, as /sys/bus calls it. */
typedef enum DeviceKind {
        DEVICE_KIND_PCI,
        DEVICE_KIND_PLATFORM,
        DEVICE_KIND_MDEV,
        DEVICE_KIND_AP,
        DEVICE_KIND_CCW,
        DEVICE_KIND_FSL_MC,
        DEVICE_KIND_CDX,
        DEVICE_KIND_AMBA,
        _DEVICE_KIND_MAX,
} DeviceKind;

typedef struct DeviceBar {
        uint64_t size;
        uint32_t flags; /* the kernel has no higher ones of a BAR */
        uint8_t index;
} DeviceBar;

/* The texts but for the id are words (core/word.h), since there may be thousands of devices. */
typedef struct DeviceFacts {
        char id[DEVICE_ID_MAX];
        const char *container; /* that of the object, on a bus that has such; "": none */
        DeviceKind kind;
        uint64_t instance; /* the kernel's number for this one, as opposed to others of the same id */
        const char *driver; /* "" for none */
        const char *modalias;
        uint32_t class;
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        int numa_node;
        bool vfio_driver;
        const char *reset_methods;
        DeviceBar bars[DEVICE_BARS_MAX];
        unsigned n_bars;
} DeviceFacts;

/* What it is called besides its address. Each is learnt once; the serial only while a host driver has it. */
typedef struct DeviceNames {
        char path[DEVICE_PATH_MAX];     /* "pci-0000:00:03.1/00.0"; "": unknown */
        bool path_is_vfs;               /* and it was known to be one */
        char serial[DEVICE_SERIAL_MAX]; /* "": none, or not known yet */
} DeviceNames;

/* To a host driver since broker_look_again() has begun: polkit was asked before that, about what there was then. */
typedef enum DeviceCame {
        DEVICE_CAME_NOT,
        DEVICE_CAME_FROM_NONE, /* who wanted the device itself was asked whether it may be bound */
        DEVICE_CAME_FROM_VFIO, /* nobody was */
} DeviceCame;

/* Bound for a lease that is over, and kept by something; it goes back by itself after that. */
typedef enum DeviceDue {
        DEVICE_DUE_NOT,
        DEVICE_DUE_NEEDED, /* the broker knows of somebody who needs it as it is */
        DEVICE_DUE_OPEN,   /* somebody has it open without a lease */
} DeviceDue;

struct Device {
        TAILQ_ENTRY(Device) all;      /* in the broker's list */
        TAILQ_ENTRY(Device) siblings; /* in its group's */
        DeviceList *list;
        Group *group;                /* borrowed; NULL for none */
        uint64_t generation;
        DeviceFacts facts;
        DeviceNames names;

        bool seen;        /* by the scan that is under way */
        int is_vf, is_pf; /* -1: nobody asked the kernel yet */
        char vf_token[40];          /* of a PF on VFIO: the one that its VFs want; "": not known */
        const char *physfn;         /* where @is_vf is 1: the PF; a word */
        int vf_index;               /* among those of the PF; -1: not known (yet) */
        char *quarantine; /* why; NULL: it is not */
        bool hooks_due;   /* a release hook has begun on it, and not all of them have ended well yet */
        bool unclean;     /* was not reset since @last_uid had it */
        bool reset_works, reset_fails; /* at an open of ours, once at least */
        bool bus_works;                /* a reset of its bus has worked, likewise */
        char bus_reset[DEVICE_RESET_MAX]; /* what has made it clean since its last user, if that was its bus's; or "" */
        uid_t last_uid;
        Origin *origin; /* ours; NULL: the broker has not changed its driver */
        DeviceDue due;  /* see there */
        bool moving;    /* its driver is being changed */
        DeviceCame came; /* see there */
        bool leaving;   /* the kernel takes it from its driver, which waits for whoever has it open */
        uint64_t ask_usec; /* when they are asked for it (CLOCK_MONOTONIC); 0: never, or they were */
        char *record; /* what the journal has of it; NULL: nothing */
};

/* A text of the facts that is NULL is "". -EEXIST: there is one of this id. */
int device_new(Device **ret, DeviceList *devices, const DeviceFacts *facts);
Device *device_free(Device *device);
DEFINE_CLEANUP(Device, device_free)

Device *device_find(const DeviceList *devices, const char *id);

static inline const char *device_id(const Device *device) {
        return device->facts.id;
}

const char *device_kind_name(DeviceKind kind);

/* "fsl-mc:dprc.1" and the like; a PCI function's address as it is. */
void device_id_make(char ret[DEVICE_ID_MAX], DeviceKind kind, const char *name);

/* What begins with none of the other kinds is taken for PCI's. @ret_name is what the bus calls it. */
DeviceKind device_id_split(const char *id, const char **ret_name);

/* What its bus calls it, and VFIO, too. */
const char *device_bus_name(const Device *device);

/* Moves it to @group (NULL: none). */
void device_join(Device *device, Group *group);

/* The device's driver does DMA for the host, so nobody else may have the group. */
bool device_is_blocker(const Device *device);

/*
 * The kernel lists methods as it finds the device, before it knows its neighbours, and so may list some
 * that cannot work. A device whose resets failed from the first has none; if one worked before, it has one.
 */
bool device_has_reset(const Device *device);

/* The same for the device alone, without its bus's. */
bool device_has_own_reset(const Device *device);
void device_note_reset(Device *device, bool works);

/* Its bus was reset, with so many devices on it; 0: it was not, since its last user. */
void device_note_bus_reset(Device *device, unsigned scope);

/* @reason NULL: no longer. -ENOMEM. */
int device_set_quarantine(Device *device, const char *reason);
