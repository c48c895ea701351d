/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* User */

#include <assert.h>

#include "core/user.h"
#include "errors.h"

int user_get(User **ret, struct UserList *users, uid_t uid) {
        User *user;

        LIST_FOREACH(user, users, all)
                if (user->uid == uid) {
                        *ret = user;
                        return 0;
                }

        user = calloc(1, sizeof(*user));
        if (!user)
                return -ENOMEM;

        user->uid = uid;
        LIST_INSERT_HEAD(users, user, all);

        *ret = user;
        return 0;
}

User *user_free(User *user) {
        if (!user)
                return NULL;

        LIST_REMOVE(user, all);
        free(user);
        return NULL;
}

int user_charge(User *user, unsigned max) {
        if (user->n_leases < max) {
                user->n_leases++;
                return 0;
        }

        if (user->n_leases == 0)
                user_free(user);
        return VFB_ERROR_QUOTA_EXCEEDED;
}

void user_discharge(User *user) {
        assert(user->n_leases > 0);

        if (--user->n_leases == 0)
                user_free(user);
}

int user_charge_memory(User *user, uint64_t bytes, unsigned max, uint64_t bytes_max) {
        if (user->n_mappings >= max || bytes > bytes_max || user->mapped_bytes > bytes_max - bytes)
                return VFB_ERROR_QUOTA_EXCEEDED;

        user->n_mappings++;
        user->mapped_bytes += bytes;
        return 0;
}

void user_discharge_memory(User *user, unsigned n, uint64_t bytes) {
        assert(user->n_mappings >= n && user->mapped_bytes >= bytes);

        user->n_mappings -= n;
        user->mapped_bytes -= bytes;
}
