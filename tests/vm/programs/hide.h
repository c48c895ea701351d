/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hide
 *
 * The ways in which a VFIO device can stay open without the program that got it: a child is made that has
 * the device in one of them, no other descriptor, and sleeps until it is killed.
 */

#include <sys/types.h>

/*
 * @how: "open" (the descriptor itself), "mapped" (its first region, no descriptor), "flight" (in a socket that
 * nobody reads), "uring" (a fixed file of an io_uring, no descriptor). Returns when it is so.
 */
int hide(const char *how, int device, pid_t *ret);
