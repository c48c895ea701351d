/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Variant
 *
 * Which VFIO driver a device is for: that of its bus, or a variant of it which the modules' own list (modules.alias,
 * "vfio_pci:" lines) names for the device with the fewest wildcards. A variant knows more of its device, its state
 * for migration for one; only on PCI and CDX can there be any. Nothing is loaded here.
 */

#include <stdbool.h>
#include <stddef.h>

#define VARIANT_NAME_MAX 64

/* The driver of VFIO that any device of the bus can be given to by driver_override. NULL: there is none. */
const char *variant_plain(const char *bus);

/*
 * @root: "" or a test's folder, for lib/modules; @sys: descriptor of /sys; @modalias: of the device. Stores the
 * driver's name, and that of its module. 0: it can be bound to. -ENOENT: it is not there, and has to be loaded:
 * the driver's name is then the module's. -EINVAL: no driver of VFIO is for this bus.
 */
int variant_find(const char *root, int sys, const char *bus, const char *modalias, char ret_driver[VARIANT_NAME_MAX],
                 char ret_module[VARIANT_NAME_MAX]);

/* Whether there is such a driver, and the driver is the bus's own or one of those that the list names for the device,
 * whatever the number of its wildcards. -ENOENT: not loaded. -EINVAL: it is none of them. */
int variant_check(const char *root, int sys, const char *bus, const char *modalias, const char *driver);

/* What the bus's own driver means by the errno (positive) with which it did not take a device, and what may be done.
 * NULL: no more than what the errno is called. */
const char *variant_explain(const char *bus, int error, const char **ret_fix);
