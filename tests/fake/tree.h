/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tree
 *
 * A fake root in a temporary directory, with what the daemon reads of /sys and opens in /dev. It moves as
 * the kernel does: a group's node in dev/vfio is there while one of its devices is on a VFIO
 * driver, and a group goes with its last device. In the fake a driver counts as VFIO when its name
 * begins with "vfio-" or contains "-vfio-". The nodes are regular files, so ioctls on them are ENOTTY.
 *
 * A file is replaced in one step and a device's link in bus/pci/devices is the last to come and the
 * first to go, so a daemon that reads meanwhile sees no half of either.
 */

#include <stdbool.h>

#include "cleanup.h"

typedef struct Tree Tree;

typedef struct TreePci {
        const char *address;
        const char *parent; /* NULL: on the root bus */
        const char *driver; /* NULL: none */
        const char *reset_methods; /* NULL: no such attribute, as for a device that cannot be reset */
        const char *physfn; /* NULL: not a VF */
        unsigned class, vendor, device, subsystem_vendor, subsystem_device;
        int group; /* -1: none */
        int numa_node;
        bool boot_vga;
} TreePci;

int tree_new(Tree **ret);

/* Removes it all from the disk. */
Tree *tree_free(Tree *tree);
DEFINE_CLEANUP(Tree, tree_free)

const char *tree_root(Tree *tree);

/* A folder below the root, such as "sys"; the caller's. */
int tree_open(Tree *tree, const char *folder);

/* -ENODEV: no such parent. -EEXIST: the address is taken. */
int tree_add_pci(Tree *tree, const TreePci *pci);

/* @driver: NULL for none. -ENODEV: no such device. */
int tree_set_driver(Tree *tree, const char *address, const char *driver);

/* The VFIO driver of the device begins to let go of it, and is not through with that. -ENODEV: no such device. */
int tree_begin_unbind(Tree *tree, const char *address);

/* The driver is loaded, and may be bound to. Those of devices are anyhow. */
int tree_add_driver(Tree *tree, const char *driver);

/* Makes a PF of a device, that may have so many VFs, and has none. */
int tree_add_sriov(Tree *tree, const char *address, unsigned total);

/* One of another bus than PCI's, "platform" or "mdev"; or in another one: "dprc.1/dprc.2/dpni.1" of "fsl-mc" is
 * called dpni.1. @driver: NULL for none. @group: -1 for none. To be removed with tree_remove_other(), and to be added
 * anew for another driver. */
int tree_add_other(Tree *tree, const char *bus, const char *name, const char *driver, int group);

/* As tree_add_driver(), on that bus. */
int tree_add_other_driver(Tree *tree, const char *bus, const char *driver);
int tree_remove_other(Tree *tree, const char *bus, const char *name);

/* With everything below it. */
int tree_remove(Tree *tree, const char *address);

/* Writes @value as it is, and makes the folders that are missing. */
int tree_write(Tree *tree, const char *path_below_root, const char *value);

/* The world that most tests live in:
 *
 *   0000:00:02.0                 display, boot VGA     no group   no driver
 *   0000:00:10.0                 1234:11e8             group 9    vfio-pci   no reset
 *   0000:00:1e.0                 bridge                no group   no driver
 *     0000:06:0d.0, .1           1234:11e8, 8086:100e  group 26   vfio-pci   pm; no reset
 *   0000:01:00.0                 1234:11e8             group 12   vfio-pci   bus
 *   0000:02:00.0                 8086:10d3             group 13   e1000e     flr
 *   0000:03:00.0                 1b36:0010 (NVMe)      group 14   vfio-pci   flr bus
 *   0000:04:00.0, .1             8086:10c9             group 15   vfio-pci   flr
 */
int tree_add_document(Tree *tree);

/* The same, and its NVMe is on its driver and may have @total virtual functions. */
int tree_add_document_with_functions(Tree *tree, unsigned total);

/* The same, and group 26 is on drivers of the host: its first device on uio, the other one on e1000. */
int tree_add_document_on_the_host(Tree *tree);
