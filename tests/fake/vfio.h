/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO
 *
 * A library that plays the kernel's groups, containers and devices for the files below dev/vfio of the folder
 * that $FAKE_VFIO_ROOT names (a Tree's root, without symbolic links on the way). It takes the place of open(),
 * openat() and ioctl(): preloaded into the daemon, linked into tests. It keeps nothing in the process: a group and
 * a device are files with a lock on the open file description, so what was forked, passed over a socket,
 * mapped or killed counts as it does in the kernel.
 *
 *   fake/group-26         a group: which container it is attached to, and what was opened of it. Open: locked
 *                         exclusively. It is what opening dev/vfio/26 gives.
 *   fake/container-7      a container: its model and the groups attached to it.
 *   fake/dma-7            what is mapped in it: one line a mapping, "IOVA SIZE FLAGS", the numbers in hex.
 *   fake/device-ADDRESS   a device: its registers, 4096 bytes, which are region 0. Open: locked shared.
 *   fake/resets-ADDRESS   how often it was reset, and whether the reset at its last first open worked.
 *   fake/bus-resets-ADDRESS  how often it was reset with its bus.
 *   fake/delayed-PID      locked exclusively while that process is in a delay or hangs, see below.
 *   fake/log              one line a call, "PROGRAM OBJECT CALL RESULT": "vfio-brokerd group-26 open 0",
 *                         "vfio-brokerd 0000:06:0d.0 open 0". RESULT is an errno. OBJECT is "container" for all of
 *                         them, and the device for VFIO_GROUP_GET_DEVICE_FD, whose CALL is "open".
 *   fake/looks            how often a program has looked at something in /sys, a number of eight bytes; see vfio-looks.h.
 *
 * In /proc/PID/fd a device reads as in the kernel, for those who use readlinkat().
 *
 * Where /sys has "enable" for a device it is brought up to date when it is opened for reading.
 *
 * It is also the kernel of driver_override, bind, unbind and drivers_probe in the tree's /sys: what is written there moves
 * the device, "driver", "vfio-dev", "uevent" and the group's node with it. A probe without driver_override takes the
 * driver that it was on before VFIO. CALL is "unbind", "probe" or "bind" then, and in the log also "override".
 * fail/ADDRESS/probe-errno: no driver takes it, and only "bind" says so.
 *
 * A write to sriov_numvfs of a PF makes and removes functions, as "numvfs" in the log: the VF of index N is N + 1
 * places behind its PF, in a group of its own, 1000 + 256 * BUS + 8 * SLOT + FUNCTION. fail/ADDRESS/function-delay-ms:
 * each VF takes so long, or the VF at that address does. fail/ADDRESS/fewer-functions: so many are made, whatever was
 * asked for. A PF on VFIO makes some if sys/module/vfio_pci/parameters/enable_sriov says so, and guards them by a token
 * (fake/vf-token-ADDRESS).
 *
 * Faults are files. fail/OBJECT/CALL-errno: "ERRNO" or "ERRNO TIMES"; the call fails with it, for so many times
 * and then no more. fail/OBJECT/CALL-delay-ms: the call takes so long. fail/OBJECT/CALL-hangs: it waits until that
 * file has gone, as an unbind does while the device is open, or its fake/delayed-PID. Further
 * fail/ADDRESS/reset-fails: no reset of the device works, but for its bus's, whose call is "bus-reset". After that one
 * fail/ADDRESS/silent-after-reset, other-after-reset, master-after-reset, bars-after-reset: its "config" in /sys is all
 * ones, another device's, with the bus master on, without its first BAR. fail/ADDRESS/vf-token: the UUID that opens it.
 * fail/ADDRESS/listens: the holder has set up the interrupt that asks for the device.
 * fail/container/is-iommufd: it answers a request that only an iommufd knows.
 * fail/container/extensions: the models and extensions there are, instead of "1 3 4 9".
 *
 * Not as in the kernel: the reset at last close is not counted (the next first open clears the registers), and a
 * device may leave /sys while it is open.
 *
 * Under AddressSanitizer: the library itself is never built with it. A program built by gcc wants its
 * runtime first, so it is run with ASAN_OPTIONS=verify_asan_link_order=0, which one built by clang ignores.
 */

#define FAKE_VFIO_ROOT "FAKE_VFIO_ROOT"

/* Linking a test to the library takes a symbol that it uses: sets $FAKE_VFIO_ROOT for this process. */
int fake_vfio_use(const char *root);
