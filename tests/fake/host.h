/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Host
 *
 * A fake host that uses its devices: the tree's sys/, proc/ and what udev and logind would say, which stands in for the
 * daemon's own file of that (kernel/udevdb). One at a time. It has the tree's document, and
 *
 *   0000:03:00.0   nvme0n1 (259:0), nvme0n1p1 (259:1), nvme0n1p2 (259:2)
 *   0000:02:00.0   eth7, up
 *
 * and whatever is mounted is on vda1 (254:1), which is no device's. What goes wrong ends the test.
 */

#include "kernel/hostuse.h"

#define HOST_NVME    "0000:03:00.0"
#define HOST_NIC     "0000:02:00.0"
#define HOST_DISPLAY "0000:00:02.0"
#define HOST_EDU     "0000:01:00.0"
#define HOST_BLOCK   "sys/devices/pci0000:00/" HOST_NVME "/nvme/nvme0/nvme0n1"
#define HOST_NET     "sys/devices/pci0000:00/" HOST_NIC "/net/eth7"
#define HOST_MOUNTS  "23 1 254:1 / / rw - ext4 /dev/vda1 rw\n"

void host_start(void);
void host_end(void);

/* A file, and a link with the folders that it needs. */
void host_put(const char *path, const char *text);
void host_put_link(const char *path, const char *target);
void host_remove(const char *path);

/* A block device that is none of a PCI device: "dm-0", "md0/md0p1" */
void host_put_virtual_disk(const char *path, const char *number);

/* "@upper holds @lower", the latter a path below sys/. */
void host_put_holder(const char *lower, const char *upper);

/* "kind: text" of each, with a newline between them; "" for none. Good until the next call. */
const char *host_uses(const char *address);
const char *host_uses_on(const char *bus, const char *name);

/* What hostuse_find() returns. */
int host_find(const char *address, HostUse ret[HOSTUSE_MAX]);
int host_find_on(const char *bus, const char *name, HostUse ret[HOSTUSE_MAX]);
