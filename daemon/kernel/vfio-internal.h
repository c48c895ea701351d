/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Vfio, inside
 *
 * What vfio.c (opening and detaching) and reset.c (the gate between two leases) share. Each function does one
 * step and, but for the quiet one, notes in the result where it failed. All return 0 or negative errno.
 */

#include "vfio.h"

/* Keeps the first failure. Returns -@error. */
int vfio_fail(VfioResult *result, VfioStep step, unsigned index, int error);

void vfio_check_plan(const VfioPlan *plan);

/* Finds the model, too. */
int vfio_open_container(const VfioPlan *plan, VfioResult *result, int *ret);
int vfio_set_iommu(int container, VfioResult *result, unsigned i);

/* The plan's group of that index. */
int vfio_open_group(const VfioPlan *plan, VfioResult *result, unsigned i, int *ret);
int vfio_attach_group(int group, int container, VfioResult *result, unsigned i);
int vfio_detach_group(int group, VfioResult *result, unsigned i);

/* Returns the descriptor. */
int vfio_open_device_quietly(int group, const VfioDevicePlan *device);

/* Whether the reset at its first open worked. */
int vfio_check_device(const VfioPlan *plan, int device, VfioResult *result, unsigned i);

/* Takes what was kept of the lease out of the fd store, and waits until that is done. */
void vfio_unstore(const VfioPlan *plan);

void vfio_pause_msec(long msec);
