/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Udev's database
 *
 * What udev and logind know of a device and its seat beyond /sys, asked by libsystemd; nothing of it is kept. Always
 * of the machine itself, so tests have a stand-in.
 */

#include <stdbool.h>
#include <stddef.h>

/* A property of the device. False: it has none, or there is no such device. */
bool udevdb_read(const char *subsystem, const char *name, const char *property, char *ret, size_t size);

/* The seat that an input device belongs to, if it is for people: keys, a pointer, a touch screen. */
bool udevdb_read_seat(const char *input, char *ret, size_t size);

/* Somebody is logged in there and in the foreground. */
bool udevdb_seat_is_active(const char *seat);
