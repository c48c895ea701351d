/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pool */

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pool.h"
#include "core/settings.h"

#define SUFFIX      ".conf"
#define DEVICES_MAX 100000

static int set_description(void *object, const char *value) {
        Pool *pool = object;

        for (const char *p = value; *p; p++)
                if (*p < ' ' || *p > '~')
                        return -EINVAL;
        if (pool->description[0] || !*value || strlen(value) >= sizeof(pool->description))
                return -EINVAL;

        strcpy(pool->description, value);
        return 0;
}

static int add_device(void *object, const char *value) {
        Pool *pool = object;
        PoolDevice *device = &pool->devices[pool->n_devices];

        if (pool->n_devices == POOL_DEVICES_MAX || selector_parse(&device->selector, value) != 0 ||
            device->selector.pool[0])
                return -EINVAL;

        strcpy(device->text, value);
        pool->n_devices++;
        return 0;
}

static bool is_number(const char *text) {
        size_t n = strlen(text);

        return n > 0 && n <= 10 && strspn(text, "0123456789") == n;
}

static int parse_id(const char *text, uint32_t *ret) {
        unsigned long long number = strtoull(text, NULL, 10);

        if (number >= UINT32_MAX)
                return -EINVAL;

        *ret = (uint32_t) number;
        return 0;
}

static int add_user(Pool *pool, const char *name) {
        const struct passwd *entry = is_number(name) ? NULL : getpwnam(name);

        uint32_t uid = entry ? entry->pw_uid : 0;

        if (pool->n_users == POOL_OWNERS_MAX || (!entry && (!is_number(name) || parse_id(name, &uid) < 0)))
                return -EINVAL;

        pool->users[pool->n_users++] = uid;
        return 0;
}

static int add_group(Pool *pool, const char *name) {
        const struct group *entry = is_number(name) ? NULL : getgrnam(name);

        uint32_t gid = entry ? entry->gr_gid : 0;

        if (pool->n_groups == POOL_OWNERS_MAX || (!entry && (!is_number(name) || parse_id(name, &gid) < 0)))
                return -EINVAL;

        pool->groups[pool->n_groups++] = gid;
        return 0;
}

/* A list that is empty would let in everybody. */
static int add_words(Pool *pool, const char *value, int (*add)(Pool *pool, const char *word)) {
        char word[256];
        int r = -EINVAL;

        for (size_t n; *(value += strspn(value, " \t")); value += n) {
                n = strcspn(value, " \t");
                if (n >= sizeof(word))
                        return -EINVAL;
                snprintf(word, sizeof(word), "%.*s", (int) n, value);
                r = add(pool, word);
                if (r < 0)
                        return r;
        }
        return r;
}

static int add_users(void *object, const char *value) {
        return add_words(object, value, add_user);
}

static int add_groups(void *object, const char *value) {
        return add_words(object, value, add_group);
}

static int set_number(const char *value, unsigned *ret) {
        unsigned long number = strtoul(value, NULL, 10);

        if (*ret != 0 || !is_number(value) || number == 0 || number > DEVICES_MAX)
                return -EINVAL;

        *ret = (unsigned) number;
        return 0;
}

static int set_max(void *object, const char *value) {
        return set_number(value, &((Pool *) object)->max);
}

static int set_max_per_user(void *object, const char *value) {
        return set_number(value, &((Pool *) object)->max_per_user);
}

static int set_one_time(void *object, const char *value) {
        Pool *pool = object;

        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
                return -EINVAL;

        pool->one_time = value[0] == 'y';
        return 0;
}

static const Setting settings[] = {
        { "Pool", "Description", set_description, "one line of at most 160 plain characters" },
        { "Pool", "Device", add_device, "a selector of devices without a pool in it, nor one of 16" },
        { "Pool", "AllowUser", add_users, "names or numbers of users who are there, nor of 32" },
        { "Pool", "AllowGroup", add_groups, "names or numbers of groups that are there, nor of 32" },
        { "Pool", "Max", set_max, "one number from 1 to 100000" },
        { "Pool", "MaxPerUser", set_max_per_user, "one number from 1 to 100000" },
        { "Pool", "OneTime", set_one_time, "yes or no" },
};

/* -EINVAL, and @ret_why. */
static int pool_parse(Pool *pool, const char *path, char ret_why[POOL_WRONG_MAX]) {
        SettingsFault fault;
        int r;

        r = settings_load(path, settings, sizeof(settings) / sizeof(*settings), pool, &fault);
        if (r < 0 && fault.line > 0)
                snprintf(ret_why, POOL_WRONG_MAX, "line %u: %.400s", fault.line, fault.why);
        else if (r < 0)
                snprintf(ret_why, POOL_WRONG_MAX, "%s", fault.why);
        else if (pool->n_devices == 0)
                snprintf(ret_why, POOL_WRONG_MAX, "there is no Device=");
        else
                return 0;
        return -EINVAL;
}

static int pool_new(Pool **ret, const char *folder, const char *file, char ret_path[PATH_MAX],
                    char ret_why[POOL_WRONG_MAX]) {
        _cleanup_(freep) Pool *pool = calloc(1, sizeof(*pool));
        char name[NAME_MAX + 1];

        snprintf(ret_path, PATH_MAX, "%s/%s", folder, file);
        snprintf(ret_why, POOL_WRONG_MAX, "%s", strerror(ENOMEM));
        if (!pool)
                return -ENOMEM;

        snprintf(name, sizeof(name), "%.*s", (int) (strlen(file) - strlen(SUFFIX)), file);
        if (!selector_name_is_valid(name)) {
                snprintf(ret_why, POOL_WRONG_MAX, "a pool's name has letters, digits and -_. (32 at most)");
                return -EINVAL;
        }
        strcpy(pool->name, name);

        if (pool_parse(pool, ret_path, ret_why) < 0)
                return -EINVAL;

        *ret = TAKE_PTR(pool);
        return 0;
}

static int is_pool(const struct dirent *entry) {
        size_t n = strlen(entry->d_name), suffix = strlen(SUFFIX);

        return n > suffix && entry->d_name[0] != '.' && strcmp(entry->d_name + n - suffix, SUFFIX) == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

void pools_load(PoolList *ret, const char *folder, PoolWrong wrong, void *userdata) {
        char path[PATH_MAX], why[POOL_WRONG_MAX];
        struct dirent **entries;
        int n;

        *ret = (PoolList){};
        n = scandir(folder, &entries, is_pool, compare_names);
        if (n < 0) {
                if (errno != ENOENT)
                        wrong(folder, strerror(errno), userdata);
                return;
        }

        for (int i = 0; i < n; i++) {
                if (ret->n == POOLS_MAX)
                        wrong(entries[i]->d_name, "there are more than 64 pools", userdata);
                else if (pool_new(&ret->items[ret->n], folder, entries[i]->d_name, path, why) < 0)
                        wrong(path, why, userdata);
                else
                        ret->n++;
                free(entries[i]);
        }
        free(entries);
}

void pools_done(PoolList *pools) {
        for (unsigned i = 0; i < pools->n; i++)
                free(pools->items[i]);
        pools->n = 0;
}

const Pool *pools_find(const PoolList *pools, const char *name) {
        for (unsigned i = 0; i < pools->n; i++)
                if (strcmp(pools->items[i]->name, name) == 0)
                        return pools->items[i];

        return NULL;
}

bool pool_allows(const Pool *pool, uid_t uid, const gid_t *groups, unsigned n_groups) {
        if (uid == 0 || (pool->n_users == 0 && pool->n_groups == 0))
                return true;

        for (unsigned i = 0; i < pool->n_users; i++)
                if (pool->users[i] == uid)
                        return true;
        for (unsigned i = 0; i < pool->n_groups; i++)
                for (unsigned j = 0; j < n_groups; j++)
                        if (pool->groups[i] == groups[j])
                                return true;

        return false;
}
