/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO: drivers
 *
 * What the kernel does when somebody writes to a device's driver_override or to a driver's bind and unbind, on whatever
 * bus.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* @path: below the root. */
bool bind_is_about(const char *path);

/* The device's folder in sys/bus, whatever its bus, or @name in it. */
void bind_device_path(char ret[PATH_MAX], const char *address, const char *name);

/* The last part of what a link of the device leads to; "" for none. */
void bind_read_link(const char *address, const char *name, char ret[64]);
void bind_read_driver(const char *address, char ret[64]);

/* 0 or -errno */
int bind_to_driver(const char *driver, const char *address);
int bind_write(const char *path, const char *data, size_t size);
