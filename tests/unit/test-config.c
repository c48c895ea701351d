/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"
#include "suite.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static char directory[] = "/tmp/vfio-broker-config-XXXXXX";
static char path[PATH_MAX];
static const Config untouched = { 11, 22, 33 };
static Config config;
static int log_fd;

static void make_world(void) {
        unsetenv("JOURNAL_STREAM");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/vfio-broker.conf", directory);
        config = untouched;
        log_fd = memfd_create("log", MFD_CLOEXEC);
        ck_assert_int_ge(log_fd, 0);
        ck_assert_int_ge(dup2(log_fd, STDERR_FILENO), 0);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw) {
        return remove(name);
}

static void end_world(void) {
        nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        close(log_fd);
}

/* @name: "" for the main file, or of a drop-in. */
static void set(const char *name, const char *text) {
        char file[PATH_MAX + 300];
        FILE *f;

        if (*name) {
                snprintf(file, sizeof(file), "%s.d", path);
                (void) mkdir(file, 0755);
                snprintf(file, sizeof(file), "%s.d/%s", path, name);
        } else {
                snprintf(file, sizeof(file), "%s", path);
        }
        f = fopen(file, "we");
        ck_assert_ptr_nonnull(f);
        ck_assert_int_ge(fputs(text, f), 0);
        ck_assert_int_eq(fclose(f), 0);
}

static void check_config(unsigned leases, unsigned per_user, unsigned devices) {
        ck_assert_uint_eq(config.leases_max, leases);
        ck_assert_uint_eq(config.leases_per_user_max, per_user);
        ck_assert_uint_eq(config.devices_per_lease_max, devices);
}

static void check_log(const char *text) {
        static char log[1 << 16];
        ssize_t n = pread(log_fd, log, sizeof(log) - 1, 0);

        ck_assert_int_ge(n, 0);
        log[n] = '\0';
        if (*text)
                ck_assert_msg(strstr(log, text), "\"%s\" is not in: %s", text, log);
        else
                ck_assert_str_eq(log, "");
}

START_TEST(without_a_file_the_defaults_are) {
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(config_load(&config, path), 0);
        check_config(4096, 64, 64);
        config_default(&config);
        check_config(4096, 64, 64);
        check_log("");
}
END_TEST

START_TEST(an_empty_file_changes_nothing) {
        set("", "# nothing\n\n; nothing either\n[Limits]\n");
        ck_assert_int_eq(config_load(&config, path), 0);
        check_config(4096, 64, 64);
        check_log("");
}
END_TEST

START_TEST(what_the_file_says_is_so) {
        set("", "[Limits]\nLeasesMax=100\n  \nLeasesPerUserMax = 7 ; a comment\nDevicesPerLeaseMax=3\nLeaseDurationMaxSec=86400\n");
        ck_assert_int_eq(config_load(&config, path), 0);
        check_config(100, 7, 3);
        ck_assert_uint_eq(config.lease_duration_max_sec, 86400);
        check_log("");
}
END_TEST

START_TEST(sizes_may_have_a_suffix) {
        static const struct {
                const char *text;
                uint64_t bytes;
        } right[] = {
                { "0", 0 }, { "4096", 4096 }, { "8K", 8192 }, { "1M", 1 << 20 }, { "3G", UINT64_C(3) << 30 }, { "2T", UINT64_C(2) << 40 },
                { "18446744073709551615", UINT64_MAX },
        };
        static const char *const wrong[] = {
                "", "-1", "1k", "1KB", "1 K", "K", "0x10", "1.5G", "18446744073709551616", "18446744073709551615K", "16777216T", "much",
        };
        char text[128];

        for (size_t i = 0; i < N_ELEMENTS(right); i++) {
                snprintf(text, sizeof(text), "[Limits]\nMediatedBytesPerLeaseMax=%s\nMediatedBytesPerUserMax=%s\n", right[i].text, right[i].text);
                set("", text);
                ck_assert_int_eq(config_load(&config, path), 0);
                ck_assert_uint_eq(config.mediated_bytes_per_lease_max, right[i].bytes);
                ck_assert_uint_eq(config.mediated_bytes_per_user_max, right[i].bytes);
        }
        check_log("");

        for (size_t i = 0; i < N_ELEMENTS(wrong); i++) {
                config = untouched;
                snprintf(text, sizeof(text), "[Limits]\nMediatedBytesPerUserMax=%s\n", wrong[i]);
                set("", text);
                ck_assert_msg(config_load(&config, path) == -EINVAL, "%s", wrong[i]);
                check_config(untouched.leases_max, untouched.leases_per_user_max, untouched.devices_per_lease_max);
        }
        check_log("MediatedBytesPerUserMax");
}
END_TEST

START_TEST(mappings_are_limited_by_lease_and_user) {
        config_default(&config);
        ck_assert_uint_eq(config.mappings_per_lease_max, 1024);
        ck_assert_uint_eq(config.mappings_per_user_max, 4096);
        ck_assert_uint_eq(config.mediated_bytes_per_lease_max, UINT64_C(1) << 30);
        ck_assert_uint_eq(config.mediated_bytes_per_user_max, UINT64_C(4) << 30);

        set("", "[Limits]\nMappingsPerLeaseMax=5\nMappingsPerUserMax=0\n");
        ck_assert_int_eq(config_load(&config, path), 0);
        ck_assert_uint_eq(config.mappings_per_lease_max, 5);
        ck_assert_uint_eq(config.mappings_per_user_max, 0);
        set("", "[Limits]\nMappingsPerLeaseMax=65536\n");
        ck_assert_int_eq(config_load(&config, path), -EINVAL);
}
END_TEST

static void check_rule(unsigned i, const char *text, ResetPolicy policy, int one_time) {
        ck_assert_uint_gt(config.reset.n, i);
        ck_assert_str_eq(config.reset.rules[i].text, text);
        ck_assert_int_eq(config.reset.rules[i].policy, policy);
        ck_assert_int_eq(config.reset.rules[i].one_time, one_time);
}

START_TEST(resets_have_rules_for_all_and_for_some) {
        set("", "[Reset]\nPolicy=none\n[Reset class=nvme]\nPolicy=required\nOneTime=yes\n");
        set("10.conf", "[Reset class=nvme]\nOneTime=no\n[Reset 0000:06:0d.0]\nPolicy=preferred\n");
        ck_assert_int_eq(config_load(&config, path), 0);
        ck_assert_uint_eq(config.reset.n, 3);
        check_rule(0, "", RESET_POLICY_NONE, -1);
        check_rule(1, "class=nvme", RESET_POLICY_REQUIRED, 0); /* the drop-in goes on where the file has ended */
        check_rule(2, "0000:06:0d.0", RESET_POLICY_PREFERRED, -1);
        check_log("");
}
END_TEST

static const char *const wrong_resets[] = {
        "[Reset]\nPolicy=must\n",
        "[Reset]\nPolicy=\n",
        "[Reset]\nOneTime=1\n",
        "[Reset serial:test]\nPolicy=none\n",
        "[Reset alias:test]\nPolicy=none\n",
        "[Reset class=unheard-of]\nPolicy=none\n",
        "[Reset vendor=1234 device=11e8 driver=vfio-pci-of-mine]\nPolicy=none\n" /* which inih cuts off */,
};

START_TEST(a_wrong_reset_makes_all_of_it_void) {
        set("", wrong_resets[_i]);
        ck_assert_int_eq(config_load(&config, path), -EINVAL);
        ck_assert_int_eq(memcmp(&config, &untouched, sizeof(config)), 0);
        check_log("vfio-broker.conf: [Reset");
}
END_TEST

START_TEST(more_resets_than_there_is_room_for_make_all_of_it_void) {
        char text[RESET_RULES_MAX * 40 + 80] = "";

        for (unsigned i = 0; i < RESET_RULES_MAX; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "[Reset group:%u]\nPolicy=none\n", i);
        set("", text);
        ck_assert_int_eq(config_load(&config, path), 0);
        ck_assert_uint_eq(config.reset.n, RESET_RULES_MAX);
        config = untouched;
        strcat(text, "[Reset]\nPolicy=none\n");
        set("", text);
        ck_assert_int_eq(config_load(&config, path), -EINVAL);
        ck_assert_int_eq(memcmp(&config, &untouched, sizeof(config)), 0);
}
END_TEST

START_TEST(aliases_are_names_for_selectors_and_the_last_word_counts) {
        set("", "[Alias lab-nic]\nDevice=path:pci-0000:00:0a.0/00.0\n[Alias disk_1.a]\nDevice=serial:test class=nvme\n");
        set("10.conf", "[Alias lab-nic]\nDevice=02:00.0\n");
        ck_assert_int_eq(config_load(&config, path), 0);
        ck_assert_uint_eq(config.aliases.n, 2);
        ck_assert_str_eq(aliases_find(&config.aliases, "lab-nic")->selector.address, "0000:02:00.0");
        ck_assert_str_eq(aliases_find(&config.aliases, "disk_1.a")->selector.serial, "test");
        ck_assert_ptr_null(aliases_find(&config.aliases, "lab"));
        ck_assert_ptr_null(aliases_find(&config.aliases, ""));
        check_log("");
}
END_TEST

static const char *const wrong_aliases[] = {
        "[Alias]\nDevice=class=nvme\n",
        "[Alias a b]\nDevice=class=nvme\n",
        "[Alias a/b]\nDevice=class=nvme\n",
        "[Alias 012345678901234567890123456789012]\nDevice=class=nvme\n",
        "[Alias 0123456789012345678901234567890123456789012345678901]\nDevice=class=nvme\n" /* which inih cuts off */,
        "[Alias a]\nDevice=\n",
        "[Alias a]\nDevice=eth0\n",
        "[Alias a]\nDevice=alias:b\n" /* no loops */,
        "[Alias a]\nDevice=alias:a\n",
        "[Alias a]\nDevice=pool:a\n",
        "[Alias a]\nDevice=class=nvme alias:b\n",
};

START_TEST(a_wrong_alias_makes_all_of_it_void) {
        set("", "[Alias right]\nDevice=class=nvme\n");
        set("10.conf", wrong_aliases[_i]);
        ck_assert_int_eq(config_load(&config, path), -EINVAL);
        ck_assert_int_eq(memcmp(&config, &untouched, sizeof(config)), 0);
        check_log("10.conf: [Alias");
}
END_TEST

START_TEST(drop_ins_come_after_the_file_in_order_of_name) {
        set("", "[Limits]\nLeasesMax=1\nLeasesPerUserMax=1\nDevicesPerLeaseMax=1\n");
        set("90-c.conf", "[Limits]\nLeasesMax=90\n");
        set("10-a.conf", "[Limits]\nLeasesMax=10\nLeasesPerUserMax=10\n");
        set("50-b.conf", "[Limits]\nLeasesMax=50\nLeasesPerUserMax=50\n");
        ck_assert_int_eq(config_load(&config, path), 0);
        check_config(90, 50, 1);
}
END_TEST

START_TEST(drop_ins_need_no_file) {
        set("a.conf", "[Limits]\nLeasesMax=10\n");
        ck_assert_int_eq(config_load(&config, path), 0);
        check_config(10, 64, 64);
}
END_TEST

START_TEST(what_is_no_drop_in_is_passed_over) {
        set("a.conf~", "[Limits]\nLeasesMax=wrong\n");
        set("README", "rubbish");
        set(".hidden.conf", "[Limits]\nLeasesMax=wrong\n");
        set(".conf", "[Limits]\nLeasesMax=wrong\n");
        set("b.conf.rpmnew", "rubbish");
        ck_assert_int_eq(config_load(&config, path), 0);
        check_config(4096, 64, 64);
        check_log("");
}
END_TEST

START_TEST(an_unknown_key_is_warned_of_and_passed_over) {
        set("", "[Limits]\nLeasesMaximum=5\nleasesmax=6\nLeasesMax=7\n[Other]\nLeasesMax=8\n");
        ck_assert_int_eq(config_load(&config, path), 0);
        check_config(7, 64, 64);
        check_log("vfio-broker.conf:2: unknown key LeasesMaximum in section [Limits], passed over");
        check_log("vfio-broker.conf:3: unknown key leasesmax");
        check_log("vfio-broker.conf:6: unknown key LeasesMax in section [Other]");
        check_log(path);
}
END_TEST

static const char *const wrong[] = {
        "", " ", "x", "0", "100001", "-1", "+1", "1x", "0x10", "1 2", "1.5", "1e3", "4294967297", "18446744073709551617",
        "99999999999999999999999999999", "\"7\"", "%d", "\xff", "unlimited",
};

START_TEST(a_wrong_value_makes_all_of_it_void) {
        char text[200];

        snprintf(text, sizeof(text), "[Limits]\nLeasesPerUserMax=5\nLeasesMax=%s\nDevicesPerLeaseMax=5\n", wrong[_i]);
        set("", text);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(config_load(&config, path), -EINVAL);
        ck_assert_mem_eq(&config, &untouched, sizeof(config));
        check_log(":3: wrong value; nothing of the configuration is used");
        check_log("is not a number from 1 to 100000");
}
END_TEST

START_TEST(a_wrong_value_in_a_drop_in_makes_all_of_it_void) {
        set("", "[Limits]\nLeasesMax=5\n");
        set("a.conf", "[Limits]\nLeasesMax=6\n");
        set("b.conf", "[Limits]\nDevicesPerLeaseMax=65\n");
        set("c.conf", "[Limits]\nLeasesMax=7\n");
        ck_assert_int_eq(config_load(&config, path), -EINVAL);
        ck_assert_mem_eq(&config, &untouched, sizeof(config));
        check_log("b.conf:2: wrong value");
}
END_TEST

START_TEST(a_line_that_is_no_setting_makes_all_of_it_void) {
        static const char *const lines[] = { "rubbish", "[Limits", "LeasesMax" };
        char text[100];

        snprintf(text, sizeof(text), "[Limits]\nLeasesMax=5\n%s\n", lines[_i]);
        set("", text);
        ck_assert_int_eq(config_load(&config, path), -EINVAL);
        ck_assert_mem_eq(&config, &untouched, sizeof(config));
        check_log(":3: not an INI line");
}
END_TEST

static const struct {
        const char *text;
        int r;
} edges[] = {
        { "LeasesMax=1", 0 }, { "LeasesMax=0", -EINVAL }, { "LeasesMax=100000", 0 }, { "LeasesMax=100001", -EINVAL },
        { "LeasesPerUserMax=0", 0 }, { "LeasesPerUserMax=100000", 0 }, { "LeasesPerUserMax=100001", -EINVAL },
        { "DevicesPerLeaseMax=1", 0 }, { "DevicesPerLeaseMax=0", -EINVAL }, { "DevicesPerLeaseMax=64", 0 }, { "DevicesPerLeaseMax=65", -EINVAL },
        { "LeaseDurationMaxSec=0", 0 }, { "LeaseDurationMaxSec=1000000000", 0 }, { "LeaseDurationMaxSec=1000000001", -EINVAL },
        { "LeasesMax=000000000000000000000005", 0 },
};

START_TEST(the_edges_are_inside) {
        char text[100];

        snprintf(text, sizeof(text), "[Limits]\n%s\n", edges[_i].text);
        set("", text);
        ck_assert_int_eq(config_load(&config, path), edges[_i].r);
        if (edges[_i].r < 0)
                ck_assert_mem_eq(&config, &untouched, sizeof(config));
}
END_TEST

/* inih would take what is behind the 199th character for a line of its own. */
static void set_long(const char *before, size_t n, const char *after) {
        static char text[20000];
        size_t used;

        used = (size_t) snprintf(text, sizeof(text), "[Limits]\nLeasesMax=5\n%s", before);
        memset(text + used, 'y', n - strlen(before));
        snprintf(text + used + n - strlen(before), 100, "%s\nDevicesPerLeaseMax=5\n", after);
        set("", text);
}

START_TEST(the_end_of_a_long_comment_is_no_setting) {
        static const char *const beginnings[] = { "# ", "; ", "  #" };

        for (size_t n = 190; n < 210; n++) {
                set_long(beginnings[_i], n, "LeasesMax=666");
                ck_assert_int_eq(config_load(&config, path), 0);
                check_config(5, 64, 5);
        }
        set_long(beginnings[_i], 10000, "LeasesMax=666");
        ck_assert_int_eq(config_load(&config, path), 0);
        check_config(5, 64, 5);
        check_log("");
}
END_TEST

START_TEST(a_long_line_makes_all_of_it_void) {
        set_long("LeasesPerUserMax=", 199, "LeasesMax=666");
        ck_assert_int_eq(config_load(&config, path), -EINVAL);
        set_long("x=", 199, "LeasesMax=666");
        ck_assert_int_eq(config_load(&config, path), -EINVAL);
        set_long("x=", 10000, "LeasesMax=666");
        ck_assert_int_eq(config_load(&config, path), -EINVAL);
        ck_assert_mem_eq(&config, &untouched, sizeof(config));
        check_log("conf:3: too long a line");
}
END_TEST

START_TEST(the_last_line_needs_no_end) {
        set("", "[Limits]\nLeasesMax=5\nLeasesPerUserMax=6");
        ck_assert_int_eq(config_load(&config, path), 0);
        check_config(5, 6, 64);
}
END_TEST

START_TEST(what_cannot_be_read_is_an_error) {
        char drop_ins[PATH_MAX + 2];

        /* A file where there should be a folder, and the other way round: root may read anything else. */
        set("", "[Limits]\nLeasesMax=5\n");
        snprintf(drop_ins, sizeof(drop_ins), "%s.d", path);
        ck_assert_int_eq(symlink("vfio-broker.conf", drop_ins), 0);
        ck_assert_int_eq(config_load(&config, path), -ENOTDIR);
        ck_assert_mem_eq(&config, &untouched, sizeof(config));

        ck_assert_int_eq(unlink(drop_ins), 0);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(symlink("vfio-broker.conf", path), 0);
        ck_assert_int_eq(config_load(&config, path), -ELOOP);
        ck_assert_mem_eq(&config, &untouched, sizeof(config));
}
END_TEST

START_TEST(a_folder_is_no_file) {
        ck_assert_int_eq(mkdir(path, 0755), 0);
        ck_assert_int_eq(config_load(&config, path), -EIO);
        ck_assert_mem_eq(&config, &untouched, sizeof(config));
}
END_TEST

START_TEST(a_drop_in_that_leads_nowhere_is_passed_over) {
        char link[PATH_MAX + 20];

        set("a.conf", "[Limits]\nLeasesMax=5\n");
        snprintf(link, sizeof(link), "%s.d/b.conf", path);
        ck_assert_int_eq(symlink("nowhere", link), 0);
        ck_assert_int_eq(config_load(&config, path), 0);
        check_config(5, 64, 64);
}
END_TEST

START_TEST(a_hundred_drop_ins_leave_nothing) {
        int before, after;
        char name[16], text[64];

        for (int i = 0; i < 100; i++) {
                snprintf(name, sizeof(name), "%02d.conf", i);
                snprintf(text, sizeof(text), "[Limits]\nLeasesMax=%d\n", i + 1);
                set(name, text);
        }
        before = dup(log_fd);
        close(before);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(config_load(&config, path), 0);
        after = dup(log_fd);
        close(after);
        ck_assert_int_eq(before, after);
        ck_assert_uint_eq(config.leases_max, 100);
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, without_a_file_the_defaults_are);
        tcase_add_test(tcase, an_empty_file_changes_nothing);
        tcase_add_test(tcase, what_the_file_says_is_so);
        tcase_add_test(tcase, sizes_may_have_a_suffix);
        tcase_add_test(tcase, mappings_are_limited_by_lease_and_user);
        tcase_add_test(tcase, resets_have_rules_for_all_and_for_some);
        tcase_add_loop_test(tcase, a_wrong_reset_makes_all_of_it_void, 0, N_ELEMENTS(wrong_resets));
        tcase_add_test(tcase, more_resets_than_there_is_room_for_make_all_of_it_void);
        tcase_add_test(tcase, aliases_are_names_for_selectors_and_the_last_word_counts);
        tcase_add_loop_test(tcase, a_wrong_alias_makes_all_of_it_void, 0, N_ELEMENTS(wrong_aliases));
        tcase_add_test(tcase, drop_ins_come_after_the_file_in_order_of_name);
        tcase_add_test(tcase, drop_ins_need_no_file);
        tcase_add_test(tcase, what_is_no_drop_in_is_passed_over);
        tcase_add_test(tcase, an_unknown_key_is_warned_of_and_passed_over);
        tcase_add_loop_test(tcase, a_wrong_value_makes_all_of_it_void, 0, N_ELEMENTS(wrong));
        tcase_add_test(tcase, a_wrong_value_in_a_drop_in_makes_all_of_it_void);
        tcase_add_loop_test(tcase, a_line_that_is_no_setting_makes_all_of_it_void, 0, 3);
        tcase_add_loop_test(tcase, the_edges_are_inside, 0, N_ELEMENTS(edges));
        tcase_add_loop_test(tcase, the_end_of_a_long_comment_is_no_setting, 0, 3);
        tcase_add_test(tcase, a_long_line_makes_all_of_it_void);
        tcase_add_test(tcase, the_last_line_needs_no_end);
        tcase_add_test(tcase, what_cannot_be_read_is_an_error);
        tcase_add_test(tcase, a_folder_is_no_file);
        tcase_add_test(tcase, a_drop_in_that_leads_nowhere_is_passed_over);
        tcase_add_test(tcase, a_hundred_drop_ins_leave_nothing);
}

int main(void) {
        Suite *suite = suite_create("config");
        TCase *tcase = suite_add_case(suite, "config", make_world, end_world);

        add_tests(tcase);
        return suite_run(suite);
}
