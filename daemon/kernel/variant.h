/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Variant
 *
 * Which VFIO driver a device is for: the one that the modules' own list (modules.alias, "vfio_pci:" lines) names for
 * it with the fewest wildcards, which for most devices is vfio-pci. A variant knows more of its device, its state
 * for migration for one. Nothing is loaded here.
 */

#include <stdbool.h>
#include <stddef.h>

#define VARIANT_NAME_MAX 64

/*
 * @root: "" or a test's folder, for lib/modules; @sys: descriptor of /sys; @modalias: of the device. Stores the
 * driver's name, and that of its module. 0: it can be bound to. -ENOENT: it is not there, and has to be loaded:
 * the driver's name is then the module's.
 */
int variant_find(const char *root, int sys, const char *modalias, char ret_driver[VARIANT_NAME_MAX],
                 char ret_module[VARIANT_NAME_MAX]);

/* Whether there is such a driver, and the driver is vfio-pci or one of those that the list names for the device,
 * whatever the number of its wildcards. -ENOENT: not loaded. -EINVAL: it is none of them. */
int variant_check(const char *root, int sys, const char *modalias, const char *driver);
