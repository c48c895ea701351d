/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pool
 *
 * Devices of which one is as good as another, by name: "pool:lab-vf" is any free one of them. Described by NAME.conf
 * in the folder pools.d; who may have one, and how many, on top of what polkit says. A file that is wrong in any way,
 * or says what nobody here knows, is no pool: half of its words could let in whom the other half keeps out. Owned by
 * the list.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "core/selector.h"

#define POOLS_MAX            64
#define POOL_DEVICES_MAX     16 /* selectors */
#define POOL_OWNERS_MAX      32 /* users, and as many groups */
#define POOL_DESCRIPTION_MAX 161
#define POOL_WRONG_MAX       512

typedef struct PoolDevice {
        char text[SELECTOR_MAX + 1];
        Selector selector;
} PoolDevice;

typedef struct Pool {
        char name[SELECTOR_NAME_MAX];
        char description[POOL_DESCRIPTION_MAX]; /* plain ASCII */
        PoolDevice devices[POOL_DEVICES_MAX];   /* one of them must match */
        unsigned n_devices;
        uid_t users[POOL_OWNERS_MAX]; /* neither these nor groups: everybody */
        gid_t groups[POOL_OWNERS_MAX];
        unsigned n_users, n_groups;
        unsigned max, max_per_user; /* devices at a time; 0: any number */
        bool one_time;
} Pool;

typedef struct PoolList {
        Pool *items[POOLS_MAX]; /* in order of name */
        unsigned n;
} PoolList;

/* @path is not used, and @why says why not. */
typedef void (*PoolWrong)(const char *path, const char *why, void *userdata);

/* The folder may be missing. */
void pools_load(PoolList *ret, const char *folder, PoolWrong wrong, void *userdata);
void pools_done(PoolList *pools);

/* NULL: there is none of that name. */
const Pool *pools_find(const PoolList *pools, const char *name);

/* Root may have one of every pool. */
bool pool_allows(const Pool *pool, uid_t uid, const gid_t *groups, unsigned n_groups);
