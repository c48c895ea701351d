/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reset
 *
 * The gate between two leases, and what a reset hits. The kernel resets a device as it is opened and says whether
 * that worked; that is the receipt. Where it did not, there is one more rung: the reset of the whole bus, which the
 * kernel calls hot reset. It hits every device on the bus, so it is done only where all of them are in the hands
 * of whoever asks. A bus behind a conventional bridge takes a second, another one up to a minute: the gate
 * blocks, so it runs in a job's child.
 */

#include "scan.h"
#include "vfio.h"

#define RESET_SCOPE_MAX 256

typedef struct ResetScope {
        char addresses[RESET_SCOPE_MAX][PCI_ADDRESS_MAX]; /* in order, the device itself among them */
        unsigned n; /* 0: there is no bridge above that could do it */
} ResetScope;

/* What a reset of the device's bus would hit, as /sys has it: all below the same bridge. Does not block. -ENODEV: no
 * such device. -E2BIG: more than there is room for, and @ret has some of them. */
int reset_scope(int sysfs, const char *address, ResetScope *ret);

/* As JobWork. In a container of its own opens every device of the plan that is not to stay closed, which resets it,
 * and notes in reset_works whether that worked; where it did not, resets its bus if the plan allows that for the
 * device and if the kernel says that it hits nothing but the plan's groups and its idle ones, and looks at the device
 * afterwards. What it has come to is in resets. A device that has gone is passed over, and so is a group that has.
 * Detaches before it ends, also after a failure. Passes nothing. */
void reset_gate(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);
