/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Holders
 *
 * The processes that have something of a lease, found by what the files are and never by what they are
 * called: the container by being the same open file as ours, the lifeline by its inode, a group by its device
 * number (a group has one open file at a time), a device by the kernel's word where it gives one and by
 * exclusion where it does not. What cannot be told for certain is not told, unless its process has something
 * of the lease for certain. Not found: what is on its way in a socket, or held by the kernel itself.
 *
 * Both functions run in a job's child, as JobWork: a HoldersPlan goes in, a HoldersResult comes out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "nodes.h"
#include "proc.h"
#include "suspects.h"

#define HOLDERS_MAX        120
#define HOLDERS_GROUPS_MAX 64

/* What a process has. */
#define HOLDER_LIFELINE  (1U << 0)
#define HOLDER_CONTAINER (1U << 1)
#define HOLDER_GROUP     (1U << 2)
#define HOLDER_DEVICE    (1U << 3)
#define HOLDER_MAPPING   (1U << 4) /* of a device's memory */
#define HOLDER_RING      (1U << 5) /* a device as a fixed file of an io_uring */
#define HOLDER_NODE      (1U << 6) /* a node that a host driver has made for a device */

/* What keeps a device from being free. */
#define HOLDER_KEEPS (HOLDER_GROUP | HOLDER_DEVICE | HOLDER_MAPPING | HOLDER_RING | HOLDER_NODE)

typedef struct HoldersPlan {
        int proc, sys, dev;   /* descriptors of /proc, /sys and /dev */
        int container;        /* ours; negative: none */
        uint64_t lifeline_dev, lifeline_ino; /* inode 0: none */
        uint32_t groups[HOLDERS_GROUPS_MAX];
        unsigned n_groups;
        const SuspectAddress *ours, *others; /* VFIO devices of the lease, and all others */
        unsigned n_ours, n_others;
        Nodes nodes;  /* of a device that is taken from a host driver */
        pid_t self;   /* the daemon: neither it nor its children are holders */
        pid_t spared; /* never gets a signal; 0: nobody */
        int signal;   /* for holders_signal() */
} HoldersPlan;

typedef struct Holder {
        uint32_t pid;
        uint16_t what;
        bool signalled;
        char name[PROC_NAME_MAX];
} Holder;

typedef struct HoldersResult {
        int error; /* errno, positive: the search failed */
        uint32_t n;
        bool more;   /* than there is room for */
        bool hidden; /* there are processes that could not be looked at */
        Holder items[HOLDERS_MAX];
} HoldersResult;

void holders_find(const void *plan, void *result, int *fds, size_t *n_fds);

/* The same, and those that keep a device (HOLDER_KEEPS) get the signal, each by a descriptor of the process and
 * only if it still does; never process 1, the daemon itself and who is spared. */
void holders_signal(const void *plan, void *result, int *fds, size_t *n_fds);
