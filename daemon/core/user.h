/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * User
 *
 * One uid and what it holds. Owned by the list that it is linked into; exists while a lease is charged
 * to it.
 */

#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "cleanup.h"

typedef struct User User;
LIST_HEAD(UserList, User);

struct User {
        LIST_ENTRY(User) all;
        uid_t uid;
        unsigned n_leases;
        unsigned n_mappings; /* of mediated leases */
        uint64_t mapped_bytes;
};

/* Finds the user, or makes one. */
int user_get(User **ret, struct UserList *users, uid_t uid);
User *user_free(User *user);

/* VFB_ERROR_QUOTA_EXCEEDED: @max are charged already. May free the user that holds nothing. */
int user_charge(User *user, unsigned max);

/* May free the user. */
void user_discharge(User *user);

/* One mapping more. VFB_ERROR_QUOTA_EXCEEDED: @max of them, or @bytes_max, are charged already or would be exceeded. */
int user_charge_memory(User *user, uint64_t bytes, unsigned max, uint64_t bytes_max);
void user_discharge_memory(User *user, unsigned n, uint64_t bytes);
