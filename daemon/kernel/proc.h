/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Proc
 *
 * What /proc says about one process, thread or descriptor, as plain values. Whoever is looked at may
 * want to deceive us: names are cleaned, and nothing is decided by a path that a file can be given. Reading the
 * mappings of a process may wait for that process, so all of this is for a job's child.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define PROC_NAME_MAX 16 /* as the kernel has it, with its NUL */

/* Opens a file below @dirfd for reading by lines. NULL with errno. */
FILE *proc_open(int dirfd, const char *path);

/* @dirfd is that of the process. Printable ASCII; "?" if it is gone. */
void proc_name(int dirfd, char ret[PROC_NAME_MAX]);

/* 0 if it is gone */
pid_t proc_parent(int dirfd);

/* Whether the descriptor is only a place in the file system (O_PATH), and no open file. @fdinfo is the folder. */
bool proc_is_path_only(int fdinfo, const char *number);

/* Whether descriptor @theirs of @pid and @ours of this process are the same open file: not the same path, nor the
 * same inode. False also where we may not know. */
bool proc_same_file(pid_t pid, unsigned theirs, int ours);

/* Whether two threads are sure to share their descriptors, their memory. */
bool proc_shares_files(pid_t one, pid_t other);
bool proc_shares_memory(pid_t one, pid_t other);
