/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/journal.h"
#include "suite.h"

#define TEXT "{\"id\":\"l-7f3k2m\",\"state\":\"active\"}"

static char directory[] = "/tmp/vfio-broker-journal-XXXXXX";
static Journal *journal;

static void make_world(void) {
        ck_assert_ptr_nonnull(mkdtemp(directory));
        ck_assert_int_eq(journal_new(&journal, directory), 0);
}

static void remove_entry(const char *name, void *userdata) {
        journal_remove(journal, name);
}

static void end_world(void) {
        ck_assert_int_eq(journal_list(journal, "", remove_entry, NULL), 0);
        journal = journal_free(journal);
        ck_assert_int_eq(rmdir(directory), 0);
}

static size_t load(const char *name, char *ret, size_t size) {
        int fd = openat(journal_dir(journal), name, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        ck_assert_int_ge(fd, 0);
        n = read(fd, ret, size);
        ck_assert_int_gt(n, 0);
        close(fd);
        return (size_t) n;
}

static void store(const char *name, const char *data, size_t size) {
        int fd = openat(journal_dir(journal), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, data, size), (ssize_t) size);
        close(fd);
}

static void check_content(const char *name, const char *expected) {
        char *text = NULL;

        ck_assert_int_eq(journal_read(journal, name, &text), 0);
        ck_assert_str_eq(text, expected);
        free(text);
}

static void check_unreadable(const char *name, int expected) {
        char *text = NULL;

        ck_assert_int_eq(journal_read(journal, name, &text), expected);
        ck_assert_ptr_null(text);
}

START_TEST(what_was_written_is_read) {
        struct stat st;

        ck_assert_int_eq(journal_write(journal, "a", TEXT), 0);
        check_content("a", TEXT);
        ck_assert_int_eq(journal_write(journal, "a", ""), 0);
        check_content("a", "");
        ck_assert_int_eq(fstatat(journal_dir(journal), "a", &st, 0), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0600);

        journal_remove(journal, "a");
        check_unreadable("a", -ENOENT);
        journal_remove(journal, "a");
}
END_TEST

START_TEST(a_file_that_ends_early_is_noticed_wherever_it_ends) {
        char data[512];
        size_t size;

        ck_assert_int_eq(journal_write(journal, "a", TEXT), 0);
        size = load("a", data, sizeof(data));
        for (size_t n = 0; n < size; n++) {
                store("a", data, n);
                check_unreadable("a", -EBADMSG);
        }
        store("a", data, size);
        check_content("a", TEXT);
        data[size] = 'x';
        store("a", data, size + 1);
        check_unreadable("a", -EBADMSG);
}
END_TEST

START_TEST(every_flipped_bit_is_noticed) {
        char data[512], *text;
        size_t size;
        int r;

        ck_assert_int_eq(journal_write(journal, "a", TEXT), 0);
        size = load("a", data, sizeof(data));
        for (size_t bit = 0; bit < size * 8; bit++) {
                data[bit / 8] ^= (char) (1 << bit % 8);
                store("a", data, size);
                text = NULL;
                r = journal_read(journal, "a", &text);
                /* the version is one of the bits; a letter of the checksum's may be large or small */
                if (r == 0)
                        ck_assert_str_eq(text, TEXT);
                else
                        ck_assert_msg(r == -EBADMSG || r == -EPROTONOSUPPORT, "bit %zu: %d", bit, r);
                free(text);
                data[bit / 8] ^= (char) (1 << bit % 8);
        }
}
END_TEST

START_TEST(a_later_version_is_told_from_damage) {
        static const char *const later[] = { "vfio-broker-state 2 00000000 0\n", "vfio-broker-state 17 what ever\n" };

        store("a", later[0], strlen(later[0]));
        check_unreadable("a", -EPROTONOSUPPORT);
        store("a", later[1], strlen(later[1]));
        check_unreadable("a", -EBADMSG); /* not even a seal */
}
END_TEST

START_TEST(what_is_no_file_is_not_followed) {
        int dir = journal_dir(journal);

        ck_assert_int_eq(symlinkat("/etc/passwd", dir, "a"), 0);
        ck_assert_int_eq(mkfifoat(dir, "b", 0600), 0);
        check_unreadable("a", -EBADMSG);
        check_unreadable("b", -EBADMSG);
        ck_assert_int_eq(journal_write(journal, "a", TEXT), 0); /* takes its place */
        check_content("a", TEXT);
        ck_assert_int_eq(symlinkat("/etc/passwd", dir, "c.new"), 0);
        ck_assert_int_eq(journal_write(journal, "c", TEXT), -ELOOP);
        check_unreadable("c", -ENOENT);
}
END_TEST

START_TEST(a_write_that_fails_leaves_what_was_there) {
        struct rlimit none = { 0, RLIM_INFINITY };
        char *large = malloc(JOURNAL_TEXT_MAX + 2);

        ck_assert_int_eq(journal_write(journal, "a", TEXT), 0);
        memset(large, 'x', JOURNAL_TEXT_MAX + 1);
        large[JOURNAL_TEXT_MAX + 1] = '\0';
        ck_assert_int_eq(journal_write(journal, "a", large), -E2BIG);
        check_content("a", TEXT);
        large[JOURNAL_TEXT_MAX] = '\0';
        ck_assert_int_eq(journal_write(journal, "a", large), 0);
        check_content("a", large);
        free(large);

        ck_assert_int_eq(journal_write(journal, "a", TEXT), 0);
        signal(SIGXFSZ, SIG_IGN);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
        ck_assert_int_eq(journal_write(journal, "a", "other"), -EFBIG);
        check_content("a", TEXT);
        ck_assert_int_lt(faccessat(journal_dir(journal), "a.new", F_OK, 0), 0);
}
END_TEST

static void note(const char *name, void *userdata) {
        strcat(userdata, name);
        strcat(userdata, " ");
}

START_TEST(entries_are_listed_in_order_and_leftovers_go) {
        char names[256] = "";

        ck_assert_int_eq(journal_write(journal, "lease-b", TEXT), 0);
        ck_assert_int_eq(journal_write(journal, "lease-a", TEXT), 0);
        ck_assert_int_eq(journal_write(journal, "device-a", TEXT), 0);
        store("lease-c.new", "torn", 4);
        store("else.new", "torn", 4);
        ck_assert_int_eq(journal_list(journal, "lease-", note, names), 0);
        ck_assert_str_eq(names, "lease-a lease-b ");
        ck_assert_int_lt(faccessat(journal_dir(journal), "lease-c.new", F_OK, 0), 0);
        ck_assert_int_eq(faccessat(journal_dir(journal), "else.new", F_OK, 0), 0);
}
END_TEST

START_TEST(without_a_folder_nothing_is_kept_and_nothing_found) {
        char names[16] = "", *text = NULL;

        ck_assert_int_eq(journal_write(NULL, "a", TEXT), 0);
        ck_assert_int_eq(journal_read(NULL, "a", &text), -ENOENT);
        ck_assert_int_eq(journal_list(NULL, "", note, names), 0);
        ck_assert_str_eq(names, "");
        ck_assert_int_lt(journal_dir(NULL), 0);
        journal_remove(NULL, "a");
        journal_free(NULL);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("journal");
        TCase *tcase = suite_add_case(suite, "journal", make_world, end_world);

        tcase_add_test(tcase, what_was_written_is_read);
        tcase_add_test(tcase, a_file_that_ends_early_is_noticed_wherever_it_ends);
        tcase_add_test(tcase, every_flipped_bit_is_noticed);
        tcase_add_test(tcase, a_later_version_is_told_from_damage);
        tcase_add_test(tcase, what_is_no_file_is_not_followed);
        tcase_add_test(tcase, a_write_that_fails_leaves_what_was_there);
        tcase_add_test(tcase, entries_are_listed_in_order_and_leftovers_go);
        tcase_add_test(tcase, without_a_folder_nothing_is_kept_and_nothing_found);
        return suite_run(suite);
}
