/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Scan: any bus
 *
 * What /sys says about devices in the same way on every bus, as plain values. A bus is named as in /sys/bus: "pci",
 * "platform", "mdev". Names are those of its devices folder. Whoever is in neither a group nor the hands of VFIO is
 * none of ours, and is not there: of a platform bus that is nearly everything.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUS_NAME_MAX 56 /* "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "fe000000.ethernet"; longer ones are passed over */

typedef struct BusFacts {
        char name[BUS_NAME_MAX];
        char parent[BUS_NAME_MAX]; /* the folder that it is in: of what is in a container, that; "": not known */
        uint64_t instance;
        char driver[64]; /* "" for none */
        char modalias[128];
        int group; /* -1: none */
        int numa_node; /* -1: unknown */
        bool vfio_driver; /* has vfio-dev/ */
} BusFacts;

/* Those that are followed, but for "pci", which is scan.h's; NULL-terminated. */
extern const char *const scan_buses[];

/* Plain, and nothing that could lead elsewhere as part of a path. */
bool bus_name_is_valid(const char *name);

/* -ENODEV: not there (any more), or none of ours. */
int scan_bus_device(int sysfs, const char *bus, const char *name, BusFacts *ret);

/* Calls @found for each. Stops at the first non-zero, and returns it. One that @skip says true to is not read.
 * -ENOENT: no such bus. */
int scan_bus_all(int sysfs, const char *bus, bool (*skip)(const char *name, uint64_t instance, void *userdata),
                 int (*found)(const BusFacts *facts, void *userdata), void *userdata);

/* Which of all devices that there ever were has the name now. Waits for no lock, whatever is done with the device.
 * -ENODEV: none. */
int scan_bus_instance(int sysfs, const char *bus, const char *name, uint64_t *ret);

/* Neither a VFIO device nor a driver's link is there. While "uevent" still names the driver, the kernel is taking it
 * away, and waits for whoever has the device open: from Linux 6.6 on both go before that. Waits for no lock, either. */
bool scan_bus_is_let_go(int sysfs, const char *bus, const char *name);

/* "/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.0". -ENODEV: not there. */
int scan_bus_syspath(int sysfs, const char *bus, const char *name, char *ret, size_t size);

/* "vfio3" where the kernel offers a character device for it. -ENODATA: it does not. */
int scan_bus_cdev(int sysfs, const char *bus, const char *name, char *ret, size_t size);
