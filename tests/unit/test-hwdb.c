/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A database of one entry, in a mount namespace where /etc is the test's. The layout is that of systemd's
 * hwdb.bin: a header, one node of the trie whose prefix is the whole pattern, its values, the strings.
 */

#include <check.h>
#include <endian.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernel/hwdb.h"
#include "namespace.h"
#include "suite.h"

#define DATABASE "/etc/udev/hwdb.bin"
#define EDU      "pci:v00001234d000011E8sv00001AF4sd00001100bc00scFFi00"
#define OTHER    "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"

typedef struct Image {
        char signature[8];
        uint64_t tool_version, file_size, header_size, node_size, child_size, value_size;
        uint64_t root, nodes_size, strings_size;
        uint64_t prefix;
        uint8_t n_children, padding[7];
        uint64_t n_values;
        uint64_t values[2][2];
        char pattern[32], vendor_key[32], vendor[32], model_key[32], model[32];
} Image;

static Hwdb *hwdb;
static char vendor[64], model[64];

#define OFFSET(field) htole64(offsetof(Image, field))

static void write_database(void) {
        Image image = {
                .signature = "KSLPHHRH",
                .file_size = htole64(sizeof(image)),
                .header_size = OFFSET(prefix),
                .node_size = htole64(offsetof(Image, values) - offsetof(Image, prefix)),
                .child_size = htole64(16),
                .value_size = htole64(16),
                .root = OFFSET(prefix),
                .nodes_size = htole64(offsetof(Image, pattern) - offsetof(Image, prefix)),
                .strings_size = htole64(sizeof(image) - offsetof(Image, pattern)),
                .prefix = OFFSET(pattern),
                .n_values = htole64(2),
                .values = { { OFFSET(vendor_key), OFFSET(vendor) }, { OFFSET(model_key), OFFSET(model) } },
                .pattern = "pci:v00001234d000011E8*",
                .vendor_key = " ID_VENDOR_FROM_DATABASE",
                .vendor = "Caf\xc3\xa9 QEMU",
                .model_key = " ID_MODEL_FROM_DATABASE",
                .model = "Educational Device",
        };
        _cleanup_(closep) int fd = open(DATABASE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        ck_assert_int_eq(write(fd, &image, sizeof(image)), sizeof(image));
}

static void make_world(void) {
        ck_assert_int_eq(hwdb_new(&hwdb), 0);
        memset(vendor, 'x', sizeof(vendor));
        memset(model, 'x', sizeof(model));
}

static void end_world(void) {
        unlink(DATABASE);
        ck_assert_ptr_null(hwdb_free(hwdb));
        ck_assert_ptr_null(hwdb_free(NULL));
}

START_TEST(without_a_database_everything_is_unknown) {
        for (int i = 0; i < 3; i++) {
                hwdb_lookup(hwdb, EDU, vendor, sizeof(vendor), model, sizeof(model));
                ck_assert_str_eq(vendor, "");
                ck_assert_str_eq(model, "");
        }
}
END_TEST

START_TEST(what_is_in_the_database_is_known) {
        write_database();
        hwdb_lookup(hwdb, EDU, vendor, sizeof(vendor), model, sizeof(model));
        ck_assert_str_eq(vendor, "Caf\xc3\xa9 QEMU");
        ck_assert_str_eq(model, "Educational Device");
        hwdb_lookup(hwdb, OTHER, vendor, sizeof(vendor), model, sizeof(model));
        ck_assert_str_eq(vendor, "");
        ck_assert_str_eq(model, "");
}
END_TEST

START_TEST(the_database_is_opened_at_the_first_question) {
        Hwdb *other;

        ck_assert_int_eq(hwdb_new(&other), 0);
        write_database();
        hwdb_lookup(hwdb, EDU, vendor, sizeof(vendor), model, sizeof(model));
        ck_assert_str_ne(model, "");
        unlink(DATABASE);
        hwdb_lookup(other, EDU, vendor, sizeof(vendor), model, sizeof(model));
        ck_assert_str_eq(model, "");
        hwdb_lookup(hwdb, EDU, vendor, sizeof(vendor), model, sizeof(model));
        ck_assert_str_ne(model, "");
        hwdb_free(other);
}
END_TEST

START_TEST(a_name_is_cut_between_characters) {
        write_database();
        hwdb_lookup(hwdb, EDU, vendor, 4, model, 1);
        ck_assert_str_eq(vendor, "Caf");
        ck_assert_str_eq(model, "");
        hwdb_lookup(hwdb, EDU, vendor, 5, model, 19);
        ck_assert_str_eq(vendor, "Caf"); /* half of the next does not come along */
        ck_assert_str_eq(model, "Educational Device");
        hwdb_lookup(hwdb, EDU, vendor, 6, model, 18);
        ck_assert_str_eq(vendor, "Caf\xc3\xa9");
        ck_assert_str_eq(model, "Educational Devic");
        vendor[0] = model[0] = 'x';
        hwdb_lookup(hwdb, EDU, vendor, 0, model, 0);
        ck_assert_int_eq(vendor[0], 'x');
        ck_assert_int_eq(model[0], 'x');
}
END_TEST

static bool enter_namespace(void) {
        return namespace_enter(CLONE_NEWNS) &&
               mount("tmpfs", "/etc", "tmpfs", 0, "mode=0777") == 0 && mkdir("/etc/udev", 0777) == 0;
}

int main(void) {
        Suite *suite = suite_create("hwdb");
        TCase *tcase = suite_add_case(suite, "hwdb", make_world, end_world);

        if (!enter_namespace()) {
                puts("1..0 # SKIP no mount namespace to keep a database in");
                return EXIT_SUCCESS;
        }
        tcase_add_test(tcase, without_a_database_everything_is_unknown);
        tcase_add_test(tcase, what_is_in_the_database_is_known);
        tcase_add_test(tcase, the_database_is_opened_at_the_first_question);
        tcase_add_test(tcase, a_name_is_cut_between_characters);
        return suite_run(suite);
}
