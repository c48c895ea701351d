/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pools as their files say, or not at all. */

#include <check.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/pool.h"
#include "suite.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
#define RIGHT         "[Pool]\nDevice=class=nvme\n"

static char folder[] = "/tmp/vfio-broker-pools-XXXXXX";
static char said[4096]; /* what was wrong */
static PoolList pools;

static void make_world(void) {
        ck_assert_ptr_nonnull(mkdtemp(folder));
        said[0] = '\0';
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw) {
        return remove(name);
}

static void end_world(void) {
        pools_done(&pools);
        nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void set(const char *name, const char *text) {
        char path[PATH_MAX];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        f = fopen(path, "we");
        ck_assert_ptr_nonnull(f);
        ck_assert_int_ge(fputs(text, f), 0);
        ck_assert_int_eq(fclose(f), 0);
}

static void on_wrong(const char *path, const char *why, void *userdata) {
        size_t n = strlen(said);

        ck_assert_ptr_eq(userdata, folder);
        snprintf(said + n, sizeof(said) - n, "%s: %s\n", strrchr(path, '/') ? strrchr(path, '/') + 1 : path, why);
}

static void load(void) {
        pools_done(&pools);
        pools_load(&pools, folder, on_wrong, folder);
}

START_TEST(without_a_folder_there_are_none) {
        pools_load(&pools, "/nonexistent/pools.d", on_wrong, folder);
        ck_assert_uint_eq(pools.n, 0);
        ck_assert_ptr_null(pools_find(&pools, "lab"));
        ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(a_pool_is_as_its_file_says) {
        const Pool *pool;

        set("lab-vf.conf", "# ours\n[Pool]\nDescription=all of them, really\nDevice=pf=03:00.0\nDevice=alias:spare\nAllowUser=root 1000\n"
                           "AllowUser=4294967294\nAllowGroup=0\nMax=4\nMaxPerUser=2\nOneTime=yes\n");
        set("a.conf", RIGHT);
        set("readme", "nothing");
        set(".hidden.conf", "rubbish");
        load();
        ck_assert_str_eq(said, "");
        ck_assert_uint_eq(pools.n, 2);
        ck_assert_str_eq(pools.items[0]->name, "a");
        pool = pools_find(&pools, "lab-vf");
        ck_assert_str_eq(pool->description, "all of them, really");
        ck_assert_uint_eq(pool->n_devices, 2);
        ck_assert_str_eq(pool->devices[1].text, "alias:spare");
        ck_assert_uint_eq(pool->n_users, 3);
        ck_assert_uint_eq(pool->users[2], 4294967294U);
        ck_assert(pool->max == 4 && pool->max_per_user == 2 && pool->one_time);
        pool = pools_find(&pools, "a");
        ck_assert(pool->max == 0 && pool->max_per_user == 0 && !pool->one_time && !pool->description[0]);
}
END_TEST

START_TEST(who_is_not_named_is_kept_out) {
        const gid_t in[] = { 5, 7 }, out[] = { 5, 6 };
        const Pool *pool;

        set("all.conf", RIGHT);
        set("some.conf", RIGHT "AllowUser=1000\nAllowGroup=7 8\n");
        load();
        ck_assert(pool_allows(pools_find(&pools, "all"), 1001, NULL, 0));
        pool = pools_find(&pools, "some");
        ck_assert(pool_allows(pool, 1000, NULL, 0));
        ck_assert(pool_allows(pool, 1001, in, 2));
        ck_assert(!pool_allows(pool, 1001, out, 2));
        ck_assert(!pool_allows(pool, 1001, in, 1));
        ck_assert(!pool_allows(pool, (uid_t) -1, NULL, 0));
        ck_assert(pool_allows(pool, 0, NULL, 0));
}
END_TEST

static const struct {
        const char *text, *why;
} wrong[] = {
        { "", "there is no Device=" },
        { "[Pool]\n", "there is no Device=" },
        { "Device=class=nvme\n", "line 1: unknown key Device in section []" },
        { RIGHT "rubbish\n", "line 3: not an INI line" },
        { RIGHT "rubbish\nMax=0\n", "line 3: not an INI line" },
        { RIGHT "Max=0\nrubbish\n", "line 3: Max=0 is not" },
        { RIGHT "AllowUsers=root\n", "line 3: unknown key AllowUsers in section [Pool]" },
        { "[pool]\nDevice=class=nvme\n", "line 2: unknown key Device in section [pool]" },
        { "[Pool]\nDevice=eth0\n", "line 2: Device=eth0 is not a selector" },
        { "[Pool]\nDevice=\n", "line 2: Device= is not a selector" },
        { "[Pool]\nDevice=pool:other\n", "line 2: Device=pool:other is not a selector of devices without a pool" },
        { "[Pool]\nDevice=class=nvme pool:x\n", "line 2: Device=" },
        { RIGHT "AllowUser=\n", "line 3: AllowUser= is not" },
        { RIGHT "AllowUser=nobody-of-this-name\n", "line 3: AllowUser=nobody-of-this-name is not names or numbers of users who are there" },
        { RIGHT "AllowUser=root nobody-of-this-name\n", "line 3: AllowUser=" },
        { RIGHT "AllowUser=-1\n", "line 3: AllowUser=" },
        { RIGHT "AllowUser=4294967295\n", "line 3: AllowUser=" },
        { RIGHT "AllowUser=99999999999\n", "line 3: AllowUser=" },
        { RIGHT "AllowGroup=\n", "line 3: AllowGroup=" },
        { RIGHT "AllowGroup=no-group-of-this-name\n", "line 3: AllowGroup=" },
        { RIGHT "Max=0\n", "line 3: Max=0 is not one number from 1 to 100000" },
        { RIGHT "Max=100001\n", "line 3: Max=" },
        { RIGHT "Max=1x\n", "line 3: Max=" },
        { RIGHT "Max=99999999999999999999\n", "line 3: Max=" },
        { RIGHT "Max=1\nMax=2\n", "line 4: Max=" },
        { RIGHT "MaxPerUser=-1\n", "line 3: MaxPerUser=" },
        { RIGHT "OneTime=perhaps\n", "line 3: OneTime=perhaps is not yes or no" },
        { RIGHT "Description=\xc3\xa4\n", "line 3: Description=" },
        { RIGHT "Description=a\nDescription=b\n", "line 4: Description=" },
};

START_TEST(a_wrong_file_is_no_pool_and_harms_no_other) {
        char expected[512];

        set("a.conf", RIGHT);
        set("b.conf", wrong[_i].text);
        set("c.conf", RIGHT);
        load();
        snprintf(expected, sizeof(expected), "b.conf: %s", wrong[_i].why);
        ck_assert_msg(strncmp(said, expected, strlen(expected)) == 0, "%s, not %s", said, expected);
        ck_assert_uint_eq(pools.n, 2);
        ck_assert_ptr_null(pools_find(&pools, "b"));
        ck_assert_ptr_nonnull(pools_find(&pools, "c"));
}
END_TEST

START_TEST(names_are_plain_words) {
        static const char *const names[] = { "a b.conf", "a:b.conf", "..conf.conf", "012345678901234567890123456789012.conf", "\xc3\xa4.conf" };

        for (size_t i = 0; i < N_ELEMENTS(names); i++)
                set(names[i], RIGHT);
        set("0123456789012345678901234567890_.conf", RIGHT);
        load();
        ck_assert_uint_eq(pools.n, 1);
        ck_assert_ptr_nonnull(strstr(said, "a b.conf: a pool's name has letters"));
}
END_TEST

START_TEST(there_are_limits) {
        char text[4096] = "[Pool]\n", name[32];

        for (int i = 0; i < POOL_DEVICES_MAX; i++)
                strcat(text, "Device=class=nvme\n");
        for (int i = 0; i < POOLS_MAX - 1; i++) {
                snprintf(name, sizeof(name), "a%02d.conf", i);
                set(name, RIGHT);
        }
        set("b.conf", text);
        load();
        ck_assert_uint_eq(pools.n, POOLS_MAX);
        ck_assert_str_eq(said, "");
        set("c.conf", RIGHT);
        load();
        ck_assert_uint_eq(pools.n, POOLS_MAX);
        ck_assert_str_eq(said, "c.conf: there are more than 64 pools\n");

        said[0] = '\0';
        strcat(text, "Device=class=nvme\n");
        set("b.conf", text);
        load();
        ck_assert_int_eq(strncmp(said, "b.conf: line 18: Device=", 24), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("pool");
        TCase *tcase = suite_add_case(suite, "pool", make_world, end_world);

        tcase_add_test(tcase, without_a_folder_there_are_none);
        tcase_add_test(tcase, a_pool_is_as_its_file_says);
        tcase_add_test(tcase, who_is_not_named_is_kept_out);
        tcase_add_loop_test(tcase, a_wrong_file_is_no_pool_and_harms_no_other, 0, N_ELEMENTS(wrong));
        tcase_add_test(tcase, names_are_plain_words);
        tcase_add_test(tcase, there_are_limits);
        return suite_run(suite);
}
