/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <fcntl.h>
#include <stdio.h>

#include "kernel/suspects.h"
#include "suite.h"
#include "tree.h"

#define OURS   "0000:01:00.0"
#define OTHER  "0000:03:00.0"
#define LENGTH UINT64_C(0x1000)

static Tree *tree;
static Suspects suspects;
static int sysfs;

static void set(const char *address, const char *name, const char *value) {
        char path[128];

        snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/%s", address, name);
        ck_assert_int_eq(tree_write(tree, path, value), 0);
}

/* One BAR, of that index */
static void set_bar(const char *address, unsigned index, uint64_t start, uint64_t size) {
        char text[1024];
        size_t n = 0;

        for (unsigned i = 0; i < 7; i++)
                n += (size_t) snprintf(text + n, sizeof(text) - n, "0x%016jx 0x%016jx 0x%016x\n",
                                       (uintmax_t) (i == index ? start : 0), (uintmax_t) (i == index ? start + size - 1 : 0),
                                       i == index ? 0x40200 : 0);
        set(address, "resource", text);
}

static void load(void) {
        static const SuspectAddress ours[] = { OURS }, others[] = { OTHER };

        suspects_done(&suspects);
        ck_assert_int_eq(suspects_load(&suspects, sysfs, ours, 1, others, 1), 0);
        ck_assert_uint_eq(suspects.n, 2);
}

static void make_world(void) {
        ck_assert_int_eq(tree_new(&tree), 0);
        ck_assert_int_eq(tree_add_document(tree), 0);
        sysfs = tree_open(tree, "sys");
        ck_assert_int_ge(sysfs, 0);
        set(OURS, "enable", "1\n");
        set_bar(OURS, 0, 0xfe000000, 0x100000);
        set_bar(OTHER, 0, 0xfd000000, 0x4000);
        load();
}

static void end_world(void) {
        suspects_done(&suspects);
        suspects = (Suspects) {};
        close(sysfs);
        tree = tree_free(tree);
}

START_TEST(only_open_device_is_the_one) {
        ck_assert_int_eq(suspects_judge_any(&suspects), GUILT_SURE);
}
END_TEST

START_TEST(with_another_open_it_may_be_that) {
        set(OTHER, "enable", "1\n");
        load();
        ck_assert_int_eq(suspects_judge_any(&suspects), GUILT_MAYBE);
}
END_TEST

START_TEST(closed_device_is_none) {
        set(OURS, "enable", "0\n");
        load();
        ck_assert_int_eq(suspects_judge_any(&suspects), GUILT_NONE);
        set(OTHER, "enable", "1\n");
        load();
        ck_assert_int_eq(suspects_judge_any(&suspects), GUILT_NONE);
}
END_TEST

START_TEST(device_of_another_kind_may_be_any) {
        char target[128], path[128];

        ck_assert_int_eq(tree_write(tree, "sys/devices/platform/thing/x", ""), 0);
        ck_assert_int_eq(tree_write(tree, "sys/class/vfio-dev/vfio7/dev", ""), 0);
        snprintf(target, sizeof(target), "../../../devices/platform/thing");
        snprintf(path, sizeof(path), "%s/sys/class/vfio-dev/vfio7/device", tree_root(tree));
        ck_assert_int_eq(symlink(target, path), 0);
        ck_assert(suspects_refresh(&suspects, sysfs));
        ck_assert_int_eq(suspects_judge_any(&suspects), GUILT_MAYBE);
        load();
        ck_assert_int_eq(suspects_judge_any(&suspects), GUILT_MAYBE);
        ck_assert_int_eq(suspects_judge_named(&suspects, OURS), GUILT_SURE);
}
END_TEST

START_TEST(device_opened_meanwhile_is_noticed) {
        ck_assert(!suspects_refresh(&suspects, sysfs));
        set(OTHER, "enable", "1\n");
        ck_assert(suspects_refresh(&suspects, sysfs));
        ck_assert_int_eq(suspects_judge_any(&suspects), GUILT_MAYBE);
        set(OTHER, "enable", "0\n");
        ck_assert(!suspects_refresh(&suspects, sysfs));
        ck_assert_int_eq(suspects_judge_any(&suspects), GUILT_MAYBE);
}
END_TEST

START_TEST(name_of_the_kernel_is_certain) {
        set(OTHER, "enable", "1\n");
        load();
        ck_assert_int_eq(suspects_judge_named(&suspects, OURS), GUILT_SURE);
        ck_assert_int_eq(suspects_judge_named(&suspects, OTHER), GUILT_NONE);
        ck_assert_int_eq(suspects_judge_named(&suspects, "0000:99:00.0"), GUILT_NONE);
}
END_TEST

START_TEST(mapping_is_told_by_its_place) {
        set(OTHER, "enable", "1\n");
        load();
        /* the physical address, and the place in the first region of a descriptor, which only ours has room for */
        ck_assert_int_eq(suspects_judge_mapping(&suspects, 0xfe000000, LENGTH), GUILT_SURE);
        ck_assert_int_eq(suspects_judge_mapping(&suspects, 0xfe0ff000, LENGTH), GUILT_SURE);
        ck_assert_int_eq(suspects_judge_mapping(&suspects, 0x80000, LENGTH), GUILT_SURE);
        ck_assert_int_eq(suspects_judge_mapping(&suspects, 0, 0x100000), GUILT_SURE);

        ck_assert_int_eq(suspects_judge_mapping(&suspects, 0xfd000000, LENGTH), GUILT_NONE);
        ck_assert_int_eq(suspects_judge_mapping(&suspects, 0xfe0ff000, 2 * LENGTH), GUILT_NONE);
        ck_assert_int_eq(suspects_judge_mapping(&suspects, UINT64_MAX - 0xfff, LENGTH), GUILT_NONE);
        /* both have room for it */
        ck_assert_int_eq(suspects_judge_mapping(&suspects, 0, LENGTH), GUILT_MAYBE);
}
END_TEST

START_TEST(two_meanings_of_one_place_are_no_proof) {
        set(OTHER, "enable", "1\n");
        /* a region of the other's that is so large that its places look like addresses of ours */
        set_bar(OTHER, 0, 0x4000000000, 0x200000000);
        load();
        ck_assert_int_eq(suspects_judge_mapping(&suspects, 0xfe000000, LENGTH), GUILT_MAYBE);
        /* and one whose index does */
        set_bar(OURS, 2, UINT64_C(1) << 40, 0x10000);
        set_bar(OTHER, 1, 0x4000000000, 0x10000);
        load();
        ck_assert_int_eq(suspects_judge_mapping(&suspects, UINT64_C(1) << 40, LENGTH), GUILT_MAYBE);
        ck_assert_int_eq(suspects_judge_mapping(&suspects, UINT64_C(2) << 40, LENGTH), GUILT_SURE);
}
END_TEST

START_TEST(who_gives_up_is_sure_of_nothing) {
        suspects_give_up(&suspects);
        ck_assert_int_eq(suspects_judge_any(&suspects), GUILT_MAYBE);
        ck_assert_int_eq(suspects_judge_mapping(&suspects, 0xfe000000, LENGTH), GUILT_MAYBE);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("suspects");
        TCase *tcase = suite_add_case(suite, "suspects", make_world, end_world);

        tcase_add_test(tcase, only_open_device_is_the_one);
        tcase_add_test(tcase, with_another_open_it_may_be_that);
        tcase_add_test(tcase, closed_device_is_none);
        tcase_add_test(tcase, device_of_another_kind_may_be_any);
        tcase_add_test(tcase, device_opened_meanwhile_is_noticed);
        tcase_add_test(tcase, name_of_the_kernel_is_certain);
        tcase_add_test(tcase, mapping_is_told_by_its_place);
        tcase_add_test(tcase, two_meanings_of_one_place_are_no_proof);
        tcase_add_test(tcase, who_gives_up_is_sure_of_nothing);
        return suite_run(suite);
}
