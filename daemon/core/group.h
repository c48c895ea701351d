/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Group
 *
 * An IOMMU group: the unit of ownership, since its devices can reach each other behind the IOMMU's
 * back. Owned by the list that it is linked into; it exists while it has devices or a lease. A lease
 * takes whole groups.
 */

#include <stdbool.h>

#include "core/device.h"

typedef struct Lease Lease;
TAILQ_HEAD(GroupQueue, Group);

/* All groups, in the order of their appearance, and by number. */
typedef struct GroupList {
        struct GroupQueue queue;
        void *by_number; /* tsearch(3) */
        unsigned n;
} GroupList;

struct Group {
        TAILQ_ENTRY(Group) all;
        GroupList *list;
        unsigned number;
        bool noiommu; /* the kernel has made it for a device that no IOMMU holds back */
        struct DeviceQueue devices;
        Lease *lease; /* borrowed; NULL: nobody's */
        const Lease *reset_for; /* borrowed; for which its devices are being reset, as neighbours on a bus */
};

/* Finds the group, or makes one. */
int group_get(Group **ret, GroupList *groups, unsigned number);
Group *group_free(Group *group);
DEFINE_CLEANUP(Group, group_free)

Group *group_find(const GroupList *groups, unsigned number);

/* A device that stands in the way of the whole group, the first by address; NULL: it is viable. */
Device *group_first_blocker(const Group *group);

/* One of its devices is on a VFIO driver, so that the kernel has a node for it. */
bool group_has_vfio(const Group *group);

/* Nobody needs it any more. */
bool group_is_empty(const Group *group);
