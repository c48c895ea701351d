/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names
 *
 * What a PCI function can be called by besides its address, which changes when a new card shifts the numbers of
 * buses: the way to it through slots, and what it says of itself. Nothing here takes the lock of the device (links,
 * folders, and attributes of the interface or the controller above it), so that a driver that hangs in its unbind
 * holds up nobody.
 */

#include <stddef.h>

#include "kernel/scan.h"

#define NAMES_PATH_MAX   96
#define NAMES_SERIAL_MAX 64

/* "pci-0000:00:03.1/00.0": the root bus and the slots from there on down. A VF on a bus behind its PF's is
 * "pci-0000:00:03.1/10.0+1"; @physfn is its PF, "" for none.
 * -ENODEV: not there. -EBADMSG: it makes no sense. -EFBIG. */
int names_path(int sysfs, const char *address, const char *physfn, char *ret, size_t size);

/* The NVMe controller's serial number or the permanent address of its network interface, whichever is there: a driver
 * of the host's must be bound. Letters, digits and ".:+-_"; what else is in it is "_". -ENODATA: it has none, or none
 * now. */
int names_serial(int sysfs, const char *address, char ret[NAMES_SERIAL_MAX]);

/* The function that the network interface belongs to. -ENODATA: no such interface, or of no PCI function. */
int names_interface_owner(int sysfs, const char *interface, char ret[PCI_ADDRESS_MAX]);

/* -ENOENT: no such processor. -ENODATA: the machine has no NUMA nodes. */
int names_cpu_node(int sysfs, unsigned cpu, int *ret);
