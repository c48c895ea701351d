/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Folder
 *
 * A folder of /sys or /proc, to be read entry by entry. Whoever opens it closes it: _cleanup_(folder_closep).
 */

#include <dirent.h>

/* -ENOENT: no such folder. */
int folder_open(DIR **ret, int dirfd, const char *path);

void folder_closep(DIR **folder);
