/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sysfs
 *
 * Attributes and links below a directory descriptor (of /sys, or of a test's tree). Values are
 * hostile until parsed: whatever is read here is bounded, NUL-terminated and without its newline.
 * Never used on "config", which wakes devices up and costs twenty times as much as an attribute.
 */

#include <stdbool.h>
#include <stddef.h>

/* -ENOENT: no such attribute. -EFBIG: longer than @size - 1. -EBADMSG: a NUL byte in it. */
int sysfs_read(int dirfd, const char *path, char *ret, size_t size);

/* The same, and no more than fits of what is longer: for files of /proc. */
int sysfs_read_start(int dirfd, const char *path, char *ret, size_t size);

/* The last component of what the link at @path points to. -ENOENT, -EFBIG as above. */
int sysfs_readlink_name(int dirfd, const char *path, char *ret, size_t size);

/* The whole of @text in one write, as an attribute wants it. What the kernel does with it happens before this returns,
 * which may be never. -ENOENT: no such attribute. */
int sysfs_write(int dirfd, const char *path, const char *text);

bool sysfs_exists(int dirfd, const char *path);
