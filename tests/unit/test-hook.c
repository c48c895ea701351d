/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/hook.h"
#include "suite.h"
#include "tree.h"

#define OURS    (&(HOOK_FOLDER "/")[1])
#define VENDORS (&(HOOK_FOLDER_VENDOR "/")[1])
#define PROGRAM "/usr/lib/vfio-broker/release.d/clean"
#define RIGHT   "[Hook]\nMatch=class=nvme\nExec=" PROGRAM "\n"

static Tree *tree;
static HookList hooks;
static Device nvme = { .facts = { .id = "0000:03:00.0", .class = 0x010802, .vendor = 0x1b36, .driver = "vfio-pci" }, .is_vf = 0 };
static Device nic = { .facts = { .id = "0000:02:00.0", .class = 0x020000, .vendor = 0x8086, .driver = "vfio-pci" }, .is_vf = 0 };

static const char *path_of(const char *name) {
        static char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", tree_root(tree), name[0] == '/' ? name + 1 : name);
        return path;
}

static void set(const char *folder, const char *name, const char *text) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s%s", folder, name);
        ck_assert_int_ge(tree_write(tree, path, text), 0);
}

static void make_world(void) {
        ck_assert_int_ge(tree_new(&tree), 0);
        ck_assert_int_eq(chmod(tree_root(tree), 0755), 0);
        set(VENDORS, "clean", "#!/bin/sh\n");
        ck_assert_int_eq(chmod(path_of(PROGRAM), 0755), 0);
}

static void end_world(void) {
        tree = tree_free(tree);
}

static void load(unsigned n) {
        for (int times = 0; times < 20; times++)
                hooks_load(&hooks, tree_root(tree));
        ck_assert_uint_eq(hooks.n, n);
}

/* The only hook there is, from that text */
static const Hook *load_text(const char *text) {
        set(OURS, "a.hook", text);
        load(1);
        return &hooks.items[0];
}

static void check_runs(const Hook *hook) {
        char why[HOOK_WRONG_MAX] = "";

        ck_assert_msg(hook_check(hook, tree_root(tree), why) == 0, "%s", why);
}

static void check_wrong(const Hook *hook, const char *text) {
        char why[HOOK_WRONG_MAX] = "";

        ck_assert_int_eq(hook_check(hook, tree_root(tree), why), -EPERM);
        ck_assert_msg(strstr(why, text), "\"%s\" is not in \"%s\"", text, why);
}

START_TEST(without_folders_there_are_none) {
        ck_assert_int_eq(unlink(path_of(PROGRAM)), 0);
        ck_assert_int_eq(rmdir(path_of(HOOK_FOLDER_VENDOR)), 0);
        load(0);
        set(OURS, "README", "not one");
        set(OURS, ".hidden.hook", "not one either");
        set(OURS, ".hook", "nor this");
        load(0);
}
END_TEST

START_TEST(hook_is_as_its_file_says) {
        const Hook *hook = load_text("# a comment\n[Hook]\nMatch = class=nvme vendor=1b36 ; another\nExec=" PROGRAM "\n"
                                     "TimeoutSec=86400\nCapabilities=CAP_SYS_ADMIN  CAP_SYS_RAWIO\n");

        ck_assert_str_eq(hook->name, "a");
        ck_assert_str_eq(hook->exec, PROGRAM);
        ck_assert_str_eq(hook->wrong, "");
        ck_assert_uint_eq(hook->timeout_sec, 86400);
        ck_assert_uint_eq(hook->capabilities, UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_SYS_RAWIO);
        ck_assert(hook_matches(hook, &nvme));
        ck_assert(!hook_matches(hook, &nic));
        check_runs(hook);

        hook = load_text(RIGHT);
        ck_assert_uint_eq(hook->timeout_sec, 60);
        ck_assert_uint_eq(hook->capabilities, 0);
}
END_TEST

START_TEST(order_is_by_name_and_the_administrators_go_before_the_vendors) {
        static const char *const expected[] = { "10-first", "20-ours", "30-both", "40-vendors" };

        set(VENDORS, "40-vendors.hook", RIGHT);
        set(VENDORS, "30-both.hook", "[Hook]\nMatch=class=network\nExec=" PROGRAM "\n");
        set(VENDORS, "10-first.hook", RIGHT);
        set(VENDORS, "05-masked.hook", RIGHT);
        set(OURS, "20-ours.hook", RIGHT);
        set(OURS, "30-both.hook", RIGHT);
        ck_assert_int_eq(symlink("/dev/null", path_of(HOOK_FOLDER "/05-masked.hook")), 0);
        load(4);
        for (unsigned i = 0; i < 4; i++) {
                ck_assert_str_eq(hooks.items[i].name, expected[i]);
                check_runs(&hooks.items[i]);
                ck_assert(hook_matches(&hooks.items[i], &nvme) && !hook_matches(&hooks.items[i], &nic));
        }
}
END_TEST

static const struct {
        const char *text, *why;
        bool all; /* it stands in the way of all devices, since nobody knows what it is for */
} wrong[] = {
        { "", "there is no Match=", true },
        { "[Hook]\nMatch=class=nvme\n", "there is no Exec=", false },
        { "[Hook]\nExec=" PROGRAM "\n", "there is no Match=", true },
        { RIGHT "rubbish\n", "a.hook:4: not an INI line", false },
        { RIGHT "Key=Value\n", "a.hook:4: unknown key Key in section [Hook]", false },
        { "[Other]\nMatch=class=nvme\n", "a.hook:2: unknown key Match in section [Other]", true },
        { "[Hook]\nMacth=class=nvme\nExec=" PROGRAM "\n", "a.hook:2: unknown key Macth", true },
        { "[Hook]\nMatch=class=nmve\nExec=" PROGRAM "\n", "a.hook:2: Match=class=nmve is not one selector", true },
        { "[Hook]\nMatch=serial:test\nExec=" PROGRAM "\n", "a.hook:2: Match=serial:test is not one selector", true },
        { "[Hook]\nMatch=alias:test\nExec=" PROGRAM "\n", "a.hook:2: Match=alias:test is not one selector", true },
        { "[Hook]\nMatch=\nExec=" PROGRAM "\n", "a.hook:2: Match= is not", true },
        { RIGHT "Match=class=network\n", "a.hook:4: Match=", true },
        { "[Hook]\nMatch=\nMatch=class=nvme\nExec=" PROGRAM "\n", "a.hook:2: Match= is not", true },
        { RIGHT "Match=class=network\nMatch=class=network\n", "a.hook:4: Match=", true },
        { RIGHT "Exec=/usr/bin/other\n", "a.hook:4: Exec=", false },
        { "[Hook]\nMatch=class=nvme\nExec=clean\n", "a.hook:3: Exec=clean is not one absolute path", false },
        { "[Hook]\nMatch=class=nvme\nExec=/usr/../clean\n", "a.hook:3: Exec=", false },
        { "[Hook]\nMatch=class=nvme\nExec=/usr/lib/..\n", "a.hook:3: Exec=", false },
        { "[Hook]\nMatch=class=nvme\nExec=/usr/./clean\n", "a.hook:3: Exec=", false },
        { "[Hook]\nMatch=class=nvme\nExec=//clean\n", "a.hook:3: Exec=", false },
        { "[Hook]\nMatch=class=nvme\nExec=/usr/lib/\n", "a.hook:3: Exec=", false },
        { "[Hook]\nMatch=class=nvme\nExec=/\n", "a.hook:3: Exec=", false },
        { "[Hook]\nMatch=class=nvme\nExec=\n", "a.hook:3: Exec=", false },
        { RIGHT "TimeoutSec=0\n", "a.hook:4: TimeoutSec=0 is not one number from 1 to 86400", false },
        { RIGHT "TimeoutSec=86401\n", "a.hook:4: TimeoutSec=", false },
        { RIGHT "TimeoutSec=1min\n", "a.hook:4: TimeoutSec=", false },
        { RIGHT "TimeoutSec=-1\n", "a.hook:4: TimeoutSec=", false },
        { RIGHT "TimeoutSec=5\nTimeoutSec=6\n", "a.hook:5: TimeoutSec=", false },
        { RIGHT "Capabilities=CAP_SYS_MODULE\n", "a.hook:4: Capabilities=CAP_SYS_MODULE is not of", false },
        { RIGHT "Capabilities=CAP_SYS_ADMIN all\n", "a.hook:4: Capabilities=", false },
};

START_TEST(wrong_file_is_a_hook_that_fails_for_what_it_may_be_meant_for) {
        const Hook *hook = load_text(wrong[_i].text);

        check_wrong(hook, wrong[_i].why);
        ck_assert(hook_matches(hook, &nvme));
        ck_assert_int_eq(hook_matches(hook, &nic), wrong[_i].all);
}
END_TEST

START_TEST(long_line_is_wrong_unless_it_is_a_comment) {
        char text[1024];

        snprintf(text, sizeof(text), "#%0300d\n" RIGHT, 0);
        check_runs(load_text(text));
        snprintf(text, sizeof(text), RIGHT "TimeoutSec=%0300d\n", 5);
        check_wrong(load_text(text), "a.hook:4: too long a line");
}
END_TEST

START_TEST(too_many_or_too_long_names_stand_in_the_way) {
        char name[NAME_MAX + 1];

        snprintf(name, sizeof(name), "%064d.hook", 1);
        set(OURS, name, RIGHT);
        load(1);
        check_wrong(&hooks.items[0], "the name is too long");
        ck_assert_int_eq(unlink(path_of((snprintf(name, sizeof(name), HOOK_FOLDER "/%064d.hook", 1), name))), 0);

        for (int i = 0; i < HOOKS_MAX; i++) {
                snprintf(name, sizeof(name), "%03d.hook", i);
                set(OURS, name, RIGHT);
        }
        load(HOOKS_MAX);
        check_runs(&hooks.items[HOOKS_MAX - 1]);
        set(OURS, "999.hook", RIGHT);
        load(HOOKS_MAX);
        check_runs(&hooks.items[0]);
        check_wrong(&hooks.items[HOOKS_MAX - 1], "there are more than");
        ck_assert(hook_matches(&hooks.items[HOOKS_MAX - 1], &nic));
}
END_TEST

START_TEST(what_is_no_file_is_not_followed) {
        load_text(RIGHT);
        ck_assert_int_eq(unlink(path_of(HOOK_FOLDER "/a.hook")), 0);
        ck_assert_int_eq(symlink("/dev/nullify", path_of(HOOK_FOLDER "/a.hook")), 0);
        load(1);
        check_wrong(&hooks.items[0], "is a link, not a file");
        ck_assert(hook_matches(&hooks.items[0], &nic));
        ck_assert_int_eq(unlink(path_of(HOOK_FOLDER "/a.hook")), 0);
        ck_assert_int_eq(mkdir(path_of(HOOK_FOLDER "/a.hook"), 0755), 0);
        load(1);
        check_wrong(&hooks.items[0], "is a folder, not a file");
}
END_TEST

/* What others than root can write: program, description, or a folder on the way to one of them. */
static const struct {
        const char *path;
        mode_t mode, right;
        bool at_start; /* what nobody may rely on is found when the descriptions are read */
} modes[] = {
        { PROGRAM, 0775, 0755, false },
        { PROGRAM, 0757, 0755, false },
        { PROGRAM, 0644, 0755, false },
        { HOOK_FOLDER_VENDOR, 0775, 0755, false },
        { "/usr/lib", 01777, 0755, false },
        { "/", 01777, 0755, false },
        { HOOK_FOLDER "/a.hook", 0646, 0644, true },
        { HOOK_FOLDER, 0777, 0755, true },
        { "/etc", 0775, 0755, true },
};

START_TEST(what_others_can_write_is_not_run) {
        const Hook *hook = load_text(RIGHT);

        check_runs(hook);
        ck_assert_int_eq(chmod(path_of(modes[_i].path), modes[_i].mode), 0);
        if (modes[_i].at_start) {
                hooks_load(&hooks, tree_root(tree));
                ck_assert_uint_ge(hooks.n, 1);
                ck_assert(hook_matches(hook, &nic));
        }
        check_wrong(hook, modes[_i].mode == 0644 ? "is not executable" : "can be written by others than root");
        ck_assert_int_eq(chmod(path_of(modes[_i].path), modes[_i].right), 0);
        load(1);
        check_runs(&hooks.items[0]);
}
END_TEST

START_TEST(what_is_not_roots_is_not_run) {
        const Hook *hook = load_text(RIGHT);

        ck_assert_int_eq(chown(path_of(modes[_i].path), 65534, 65534), 0);
        if (modes[_i].at_start)
                hooks_load(&hooks, tree_root(tree));
        check_wrong(hook, "belongs to user 65534, not to root");
        ck_assert_int_eq(chown(path_of(modes[_i].path), 0, 0), 0);
        load(1);
        check_runs(&hooks.items[0]);
}
END_TEST

START_TEST(program_that_is_a_link_or_gone_is_not_run) {
        const Hook *hook = load_text(RIGHT);

        ck_assert_int_eq(unlink(path_of(PROGRAM)), 0);
        check_wrong(hook, PROGRAM);
        ck_assert_int_eq(symlink("/bin/true", path_of(PROGRAM)), 0);
        check_wrong(hook, "is a link, not a file");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("hook");
        TCase *tcase = suite_add_case(suite, "hook", make_world, end_world);

        tcase_add_test(tcase, without_folders_there_are_none);
        tcase_add_test(tcase, hook_is_as_its_file_says);
        tcase_add_test(tcase, order_is_by_name_and_the_administrators_go_before_the_vendors);
        tcase_add_loop_test(tcase, wrong_file_is_a_hook_that_fails_for_what_it_may_be_meant_for, 0, sizeof(wrong) / sizeof(*wrong));
        tcase_add_test(tcase, long_line_is_wrong_unless_it_is_a_comment);
        tcase_add_test(tcase, too_many_or_too_long_names_stand_in_the_way);
        tcase_add_test(tcase, what_is_no_file_is_not_followed);
        tcase_add_loop_test(tcase, what_others_can_write_is_not_run, 0, sizeof(modes) / sizeof(*modes));
        tcase_add_test(tcase, program_that_is_a_link_or_gone_is_not_run);
        if (geteuid() == 0)
                tcase_add_loop_test(tcase, what_is_not_roots_is_not_run, 0, sizeof(modes) / sizeof(*modes));
        return suite_run(suite);
}
