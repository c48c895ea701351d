/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Host use
 *
 * Whether the host itself needs a device, so that taking it from its driver would take the disk that the machine
 * stands on, the network that its administrator comes by, or the screen and keys in front of somebody. A view is what
 * the host has at one moment, read once for any number of devices; whoever makes it frees it.
 *
 * Reading it does not block: nothing is opened that could be busy, and no attribute is read that the kernel shows only
 * under the lock of a device (sriov_numvfs), of the network's configuration (rtnetlink) or of the consoles (vtconsole's
 * "bind"), since a driver that hangs may have any of these for ever. Tables without a limit of their own are read up to
 * a limit, and what cannot be known then counts as a use.
 */

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"

#define HOSTUSE_MAX 16 /* of one device; more say nothing new */

typedef struct HostUse {
        char kind[16];  /* "block", "network", "display", "console", "input", "sriov", "mdev", "share" */
        char text[160]; /* "nvme0n1p2 is mounted on /srv", printable ASCII */
        bool never;     /* the machine, or the broker, stands on it: it is never taken */
} HostUse;

typedef struct HostView HostView;

/* @sys, @proc: descriptors of /sys and /proc, which stay open longer than the view. Whatever could not be read is told
 * by hostuse_find(). */
int hostview_new(HostView **ret, int sys, int proc);
HostView *hostview_free(HostView *view);
DEFINE_CLEANUP(HostView, hostview_free)

/* @bus as in /sys/bus, and what it calls the device. What is below it goes with its driver, and so do virtual
 * functions; all of that counts as part of it. Returns how many uses there are, at most HOSTUSE_MAX, those that are
 * never taken among them in any case; or negative errno: then nobody knows, which must count as a use. */
int hostuse_find(HostView *view, const char *bus, const char *name, HostUse ret[HOSTUSE_MAX]);
