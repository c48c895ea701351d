/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Host use
 *
 * Whether the host itself needs a device, so that taking it from its driver would take the disk that the machine
 * stands on, or the network that its administrator comes by. Seen from sysfs, the mounts of the first process, the
 * swaps and the routes; nothing is opened that could be busy, so it does not block.
 */

#include <stddef.h>

#define HOSTUSE_MAX 16 /* of one device; more say nothing new */

typedef struct HostUse {
        char kind[16];  /* "block", "network", "display", "sriov" */
        char text[128]; /* "nvme0n1p2 is mounted on /boot", printable ASCII */
} HostUse;

/* @sys, @proc: descriptors of /sys and /proc. Returns how many there are, at most HOSTUSE_MAX, or negative errno:
 * then nobody knows, which must count as a use. */
int hostuse_find(int sys, int proc, const char *address, HostUse ret[HOSTUSE_MAX]);
