/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO: devices
 *
 * What a device is beside its group: registers in a file, an interrupt, a count of resets. As with the model, the
 * state is locked.
 */

#include "vfio-model.h"

/* A descriptor, or -errno. The first of them resets the device. */
int device_open(const char *address);

/* Brings the attribute up to date. */
void device_refresh_enable(const char *address);

int device_get_info(const Object *object, void *argument);
int device_get_region_info(const Object *object, void *argument);
int device_set_irqs(const Object *object, void *argument);
int device_do_reset(const Object *object, void *argument);
