/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Keeper
 *
 * Plays systemd's fd store for one daemon: a thread that takes FDSTORE=1, FDSTOREREMOVE=1 and BARRIER=1 from a
 * notify socket. A thread, since the daemon waits for the barrier while the test waits for the daemon.
 */

#include <stdbool.h>
#include <stddef.h>

#define KEEPER_MAX 64

typedef struct Keeper Keeper;

/* Listens at @path, which is removed first. */
Keeper *keeper_new(const char *path);
Keeper *keeper_free(Keeper *keeper);

/* For the next daemon: descriptors (borrowed) and their names with colons between them. Returns how many. */
size_t keeper_list(Keeper *keeper, int ret_fds[KEEPER_MAX], char *ret_names, size_t size);

/* How many of the names hold @what. */
unsigned keeper_count(Keeper *keeper, const char *what);

/* Forgets all, as systemd before 254 does at a stop. */
void keeper_empty(Keeper *keeper);
