/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fdstore
 *
 * The descriptors that systemd keeps for the service (FDSTORE=1 of sd_notify(3)), so that a daemon that dies
 * leaves them open, and the next one finds them: each under a name of its own. A device's descriptor is never
 * among them. Without systemd nothing is kept and nothing is found. A name is at most 255 bytes and
 * has no colon: systemd would keep a descriptor of another name under "stored".
 */

#include <stddef.h>

#include "cleanup.h"

#define FDSTORE_NAME_MAX 64

typedef struct StoredFd {
        char name[FDSTORE_NAME_MAX];
        int fd; /* -EBADF once it was taken */
} StoredFd;

typedef struct Fdstore {
        StoredFd *items;
        size_t n;
} Fdstore;

/* The names of what a lease keeps. */
void fdstore_name_container(char ret[FDSTORE_NAME_MAX], const char *lease);
void fdstore_name_group(char ret[FDSTORE_NAME_MAX], unsigned group, const char *lease);
void fdstore_name_process(char ret[FDSTORE_NAME_MAX], const char *lease);

/* The other way round, for a group. -EINVAL: it is no group's. @ret_lease is in @name. */
int fdstore_parse_group(const char *name, unsigned *ret_group, const char **ret_lease);

/* What was kept for us; once in a process. fdstore_done() closes what was not taken. */
int fdstore_receive(Fdstore *ret);
void fdstore_done(Fdstore *store);

/* Takes the descriptor of that name; -EBADF if there is none. */
int fdstore_take(Fdstore *store, const char *name);

/* Both only tell systemd. What fails is not kept, which is seen at the next start. */
void fdstore_add(const char *name, int fd);
void fdstore_remove(const char *name);

/* Waits until systemd has done what it was told: only in a job's child. */
void fdstore_barrier(void);
