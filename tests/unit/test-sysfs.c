/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kernel/sysfs.h"
#include "suite.h"
#include "tree.h"

static Tree *tree;
static int root;

static void make_world(void) {
        ck_assert_int_eq(tree_new(&tree), 0);
        root = tree_open(tree, ".");
        ck_assert_int_ge(root, 0);
}

static void end_world(void) {
        close(root);
        tree = tree_free(tree);
}

static void write_bytes(const char *path, const void *bytes, size_t n) {
        _cleanup_(closep) int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        ck_assert_int_eq(write(fd, bytes, n), n);
}

START_TEST(a_value_comes_without_its_newline) {
        char value[8] = "xxxxxxx";

        ck_assert_int_eq(tree_write(tree, "a", "abc\n"), 0);
        ck_assert_int_eq(sysfs_read(root, "a", value, sizeof(value)), 0);
        ck_assert_str_eq(value, "abc");
}
END_TEST

START_TEST(only_the_last_newline_goes) {
        char value[8];

        ck_assert_int_eq(tree_write(tree, "a", "a\nb\n\n"), 0);
        ck_assert_int_eq(sysfs_read(root, "a", value, sizeof(value)), 0);
        ck_assert_str_eq(value, "a\nb\n");
}
END_TEST

START_TEST(an_empty_value_is_an_empty_string) {
        char value[8] = "xxxxxxx";

        ck_assert_int_eq(tree_write(tree, "a", ""), 0);
        ck_assert_int_eq(sysfs_read(root, "a", value, sizeof(value)), 0);
        ck_assert_str_eq(value, "");
        ck_assert_int_eq(tree_write(tree, "a", "\n"), 0);
        ck_assert_int_eq(sysfs_read(root, "a", value, sizeof(value)), 0);
        ck_assert_str_eq(value, "");
}
END_TEST

START_TEST(a_value_that_just_fits_is_read_and_one_more_byte_is_refused) {
        char value[5];

        ck_assert_int_eq(tree_write(tree, "a", "1234"), 0);
        ck_assert_int_eq(sysfs_read(root, "a", value, sizeof(value)), 0);
        ck_assert_str_eq(value, "1234");
        ck_assert_int_eq(tree_write(tree, "a", "12345"), 0);
        ck_assert_int_eq(sysfs_read(root, "a", value, sizeof(value)), -EFBIG);
}
END_TEST

START_TEST(a_nul_byte_is_refused_wherever_it_is) {
        char value[16];

        write_bytes("a", "\0bc\n", 4);
        ck_assert_int_eq(sysfs_read(root, "a", value, sizeof(value)), -EBADMSG);
        write_bytes("a", "ab\0", 3);
        ck_assert_int_eq(sysfs_read(root, "a", value, sizeof(value)), -EBADMSG);
}
END_TEST

START_TEST(a_missing_attribute_says_so) {
        char value[8];

        ck_assert_int_eq(sysfs_read(root, "a", value, sizeof(value)), -ENOENT);
        ck_assert_int_eq(sysfs_readlink_name(root, "a", value, sizeof(value)), -ENOENT);
        ck_assert(!sysfs_exists(root, "a"));
        ck_assert_int_eq(sysfs_read(root, "sys", value, sizeof(value)), -EISDIR);
        ck_assert(sysfs_exists(root, "sys"));
}
END_TEST

START_TEST(a_link_gives_its_last_component) {
        char name[6];

        ck_assert_int_eq(symlinkat("../../kernel/12345", root, "a"), 0);
        ck_assert_int_eq(sysfs_readlink_name(root, "a", name, sizeof(name)), 0);
        ck_assert_str_eq(name, "12345");
        ck_assert_int_eq(symlinkat("12345", root, "b"), 0);
        ck_assert_int_eq(sysfs_readlink_name(root, "b", name, sizeof(name)), 0);
        ck_assert_str_eq(name, "12345");
}
END_TEST

START_TEST(a_link_to_a_name_that_is_too_long_is_refused) {
        char name[6];

        ck_assert_int_eq(symlinkat("../123456", root, "a"), 0);
        ck_assert_int_eq(sysfs_readlink_name(root, "a", name, sizeof(name)), -EFBIG);
}
END_TEST

START_TEST(reading_leaves_no_descriptor_behind) {
        char value[4];
        int before = dup(root), after;

        close(before);
        tree_write(tree, "a", "12345678");
        tree_write(tree, "b", "1");
        for (int i = 0; i < 20; i++) {
                sysfs_read(root, "a", value, sizeof(value));
                sysfs_read(root, "b", value, sizeof(value));
                sysfs_read(root, "c", value, sizeof(value));
        }
        after = dup(root);
        close(after);
        ck_assert_int_eq(before, after);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("sysfs");
        TCase *tcase = suite_add_case(suite, "sysfs", make_world, end_world);

        tcase_add_test(tcase, a_value_comes_without_its_newline);
        tcase_add_test(tcase, only_the_last_newline_goes);
        tcase_add_test(tcase, an_empty_value_is_an_empty_string);
        tcase_add_test(tcase, a_value_that_just_fits_is_read_and_one_more_byte_is_refused);
        tcase_add_test(tcase, a_nul_byte_is_refused_wherever_it_is);
        tcase_add_test(tcase, a_missing_attribute_says_so);
        tcase_add_test(tcase, a_link_gives_its_last_component);
        tcase_add_test(tcase, a_link_to_a_name_that_is_too_long_is_refused);
        tcase_add_test(tcase, reading_leaves_no_descriptor_behind);
        return suite_run(suite);
}
