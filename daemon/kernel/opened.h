/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Opened
 *
 * Whether somebody has one of some VFIO devices open, or just its group. A group has one open file at a time in all of
 * the machine, which each open device of it keeps, so to open it tells; it is closed at once. That is true for a moment
 * only, and does not say who: see holders.h. systemd may still have a group for us that we have just let go of, and a
 * child of ours that ends: only with a device of it in use is it sure to be somebody else's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "scan.h"

typedef struct OpenedDevice {
        uint32_t group;
        bool noiommu;
        char address[PCI_ADDRESS_MAX]; /* "": not of PCI, and whether it is in use is not known */
} OpenedDevice;

typedef struct OpenedPlan {
        int dev, sys; /* descriptors of /dev and /sys */
        const OpenedDevice *devices;
        unsigned n;
} OpenedPlan;

typedef struct OpenedResult {
        bool busy;   /* the group of this one is open, */
        bool in_use; /* and the kernel has enabled it for whoever has it open; if possible it is such a one */
        OpenedDevice device;
} OpenedResult;

/* Whether somebody has the PCI device open, if it is on VFIO: 1 or 0, or negative errno if that is not known. */
int opened_in_use(int sysfs, const char *address);

/* As JobWork: to open a group may wait for who opens a device of it. */
void opened_find(const void *plan, void *result, int *fds, size_t *n_fds);
