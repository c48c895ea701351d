/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO: virtual functions
 *
 * What the kernel does when somebody writes to sriov_numvfs of a device that the tree has made a PF of, and what
 * vfio-pci makes of the tokens of its VFs.
 */

#include <stdbool.h>
#include <stddef.h>

/* @path: below the root. */
bool sriov_is_about(const char *path);

/* 0 or -errno */
int sriov_write(const char *path, const char *data, size_t size);

/* @argument: the device's name, and maybe a token behind it. */
int sriov_check_token(const char *address, const char *argument);
