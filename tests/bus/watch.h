/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Watch
 *
 * What a test sees of its world, of devices and of the others beside the bus, and how it tells the fakes what to do:
 * polkit's answers and questions, the kernel's calls and faults, udev's messages, the daemon's descriptors.
 */

#include "world.h"

/* As the world's connection sees it; good for 31 further calls. */
const char *device_property(World *world, const char *address, const char *name);
bool device_is(World *world, const char *address, const char *availability);
bool is_free(World *world, const char *address);
/* As the calendar has it; 0: it has no time. */
uint64_t lease_expires(World *world, const Grant *grant);
/* Bind, and Restore, as they are mostly asked for; as ask() returns it. */
const char *bind_device(World *world, const char *address);
const char *restore_device(World *world, const char *address);
/* SetVirtualFunctions, likewise; idle ones are not offered to the host's drivers. */
const char *set_functions(World *world, const char *address, unsigned count);
const char *set_idle_functions(World *world, const char *address, unsigned count);

/* Waits for the one LeaseRemoved, and that has that reason; the second forgets the signals afterwards. */
void see_removal(World *world, const char *lease, const char *reason);
void await_removal(World *world, const char *lease, const char *reason);
/* One of the methods of the fake polkit */
void polkit_set(World *world, const char *method, const char *types, ...);
unsigned polkit_waiting(World *world);
/* How many questions it was asked, and how many of them were cancelled. */
unsigned polkit_asked(World *world);
unsigned polkit_cancelled(World *world);

/* The descriptors of @pid whose target holds @what; "" is all. */
size_t count_fds(pid_t pid, const char *what);
/* Those that an exec would pass on, but for the three that everybody has. */
size_t count_inheritable_fds(pid_t pid);
/* Its children: blocking work that goes on, and what has ended and is still on its way out. */
size_t count_children(pid_t pid);
size_t memory_kb(pid_t pid);
/* How much of that may have come where nothing may. A sanitizer has its own ways with memory, and tells of leaks by itself. */
#if defined(__SANITIZE_ADDRESS__)
#define GROWTH_KB 4096
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GROWTH_KB 4096
#endif
#endif
#ifndef GROWTH_KB
#define GROWTH_KB 256
#endif
/* The daemon's descriptors once no work of its goes on: what a job needs it has for the time of the job. */
size_t settled_fds(World *world);
/* How many files of the runtime directory have names that begin with @prefix. */
unsigned count_kept(World *world, const char *prefix);
/* Nothing of any lease is, after some time. */
void await_nothing_kept(World *world);
/* How many lines of the daemon's stderr hold @what. */
unsigned daemon_logged(World *world, const char *what);
/* No group is open, there is no lease, and no descriptor is more than there was. */
void check_nothing_held(World *world);
/* The same, and none was ever opened. */
void check_nothing_opened(World *world);

/* The fake kernel. How many of the daemon's calls so far, as "OBJECT CALL RESULT", hold @what. */
unsigned vfio_called(World *world, const char *what);
/* All of them, in order, to be freed. */
char *vfio_calls(World *world);
void vfio_forget(World *world);
/* How often the daemon and its children have looked at something in /sys, if the tree has had an empty "fake/looks". */
uint64_t vfio_looks(World *world);
unsigned vfio_resets(World *world, const char *address);
/* @value: NULL for no such fault. */
void vfio_fail(World *world, const char *object, const char *fault, const char *value);
/* A child of the daemon in a call with a "-delay-ms" or "-hangs", which it has seen; 0 if there is none. */
pid_t vfio_delayed(World *world);
/* Waits until what was asked for hangs there. If not, it has been answered: on so slow a machine a step before that was too
 * late for the limit, which is for the test to try again when @address is back. */
bool vfio_hangs(World *world, const bool *answered, const char *address);
/* One that is not @pid */
pid_t vfio_delayed_beside(World *world, pid_t pid);
/* For it the call hangs no longer, while it does for others. */
void vfio_let_go_on(World *world, pid_t pid);
/* Waits for it and kills it. When this returns it is no longer the one. */
void vfio_kill_delayed(World *world);

/* "e1000e (null)": driver, or "-", and driver_override; good for eight calls. */
const char *driver_state(World *world, const char *id);
/* How many devices have something written down to go back to. */
unsigned count_origins(World *world);

/* udev's word about a device, and about its VFIO device. */
void udev_send(World *world, const char *action, const char *address);
void udev_send_vfio(World *world, const char *action, const char *address);
void udev_send_other(World *world, const char *action, const char *bus, const char *name);
/* More than a reader has room for. */
void udev_flood(World *world);
