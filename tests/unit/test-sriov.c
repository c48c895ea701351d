/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions, as the child makes them, on the fake kernel; and what hostile links and numbers come to. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake/vfio.h"
#include "kernel/bind.h"
#include "kernel/sriov.h"
#include "kernel/sysfs.h"
#include "suite.h"
#include "tree.h"

#define PF   "0000:03:00.0"
#define PATH "sys/devices/pci0000:00/" PF

static Tree *tree;
static int sys;

static void make_tree(void) {
        ck_assert_int_ge(tree_new(&tree), 0);
        ck_assert_int_ge(tree_add_document(tree), 0);
        ck_assert_int_ge(tree_set_driver(tree, PF, "nvme"), 0);
        ck_assert_int_ge(tree_add_sriov(tree, PF, 100), 0);
        ck_assert_int_eq(fake_vfio_use(tree_root(tree)), 0);
        sys = tree_open(tree, "sys");
        ck_assert_int_ge(sys, 0);
}

static void end_tree(void) {
        closep(&sys);
        tree_free(tree);
}

static void put(const char *path, const char *text) {
        ck_assert_int_ge(tree_write(tree, path, text), 0);
}

static void link_to(const char *name, const char *target) {
        char path[256];

        snprintf(path, sizeof(path), "%s/" PATH "/%s", tree_root(tree), name);
        ck_assert_int_eq(symlink(target, path), 0);
}

static int n_functions(void) {
        _cleanup_(freep) SriovFunction *functions = NULL;

        return sriov_list(sys, PF, &functions);
}

static void check_state(unsigned count, int autoprobe) {
        SriovState state;

        ck_assert_int_eq(sriov_look(sys, PF, &state), 0);
        ck_assert(state.is_pf);
        ck_assert_uint_eq(state.count, count);
        ck_assert_int_eq(state.autoprobe, autoprobe);
        ck_assert_int_eq(n_functions(), (int) count);
}

static int set(unsigned count, int autoprobe) {
        return sriov_set(sys, PF, &(SriovState) { true, count, autoprobe });
}

START_TEST(numbers_are_read_or_refused) {
        static const char *const texts[] = { "", "\n", "-1\n", " 1\n", "1 2\n", "0x10\n", "65536\n", "4294967297\n", "99999999999999999999999\n" };
        unsigned total;

        ck_assert_int_eq(sriov_read_total(sys, PF, &total), 0);
        ck_assert_uint_eq(total, 100);
        ck_assert_int_eq(sriov_read_total(sys, "0000:02:00.0", &total), -ENODATA);
        ck_assert_int_eq(sriov_read_total(sys, "../../x", &total), -ENODEV);
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                SriovState state;

                put(PATH "/sriov_totalvfs", texts[i]);
                ck_assert_int_eq(sriov_read_total(sys, PF, &total), -EBADMSG);
                put(PATH "/sriov_numvfs", texts[i]);
                ck_assert_int_eq(sriov_look(sys, PF, &state), -EBADMSG);
                ck_assert_int_eq(set(1, -1), -EBADMSG);
        }
        put(PATH "/sriov_totalvfs", "65535\n");
        ck_assert_int_eq(sriov_read_total(sys, PF, &total), 0);
        ck_assert_uint_eq(total, SRIOV_FUNCTIONS_MAX);
        ck_assert_int_eq(n_functions(), 0);
}
END_TEST

START_TEST(functions_are_listed_in_order_and_nothing_else_is) {
        static const char *const hostile[] = { "virtfn", "virtfnx", "virtfn-1", "virtfn1x", "virtfn70000", "virtfn99999999999999999999", "xvirtfn3" };
        _cleanup_(freep) SriovFunction *functions = NULL;

        ck_assert_int_eq(sriov_list(sys, "0000:02:00.0", &functions), 0);
        free(TAKE_PTR(functions));
        ck_assert_int_eq(sriov_list(sys, "0000:77:00.0", &functions), -ENODEV);
        ck_assert_int_eq(sriov_list(sys, "..", &functions), -ENODEV);
        for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++)
                link_to(hostile[i], "../0000:03:00.5");
        link_to("virtfn7", "../elsewhere");
        link_to("virtfn8", "../0123456789012345678901234567890123456789");
        put(PATH "/virtfn9", "no link");
        link_to("virtfn10", "../0000:03:01.3");
        link_to("virtfn2", "../0000:03:00.3");
        link_to("virtfn0", "../0000:03:00.1");
        ck_assert_int_eq(sriov_list(sys, PF, &functions), 3);
        ck_assert_uint_eq(functions[0].index, 0);
        ck_assert_str_eq(functions[0].address, "0000:03:00.1");
        ck_assert_uint_eq(functions[1].index, 2);
        ck_assert_uint_eq(functions[2].index, 10);
        ck_assert_str_eq(functions[2].address, "0000:03:01.3");
}
END_TEST

static int index_of(const char *function) {
        unsigned index;
        int r;

        r = sriov_index(sys, PF, function, &index);
        return r < 0 ? r : (int) index;
}

START_TEST(function_is_known_by_its_distance_from_the_card_and_by_the_link_to_it) {
        static const char *const wrong[] = { "", "x\n", "0\n", "2\n", "65535\n", "65536\n", "-1\n" };
        char address[32];

        ck_assert_int_eq(set(20, 0), 0);
        for (unsigned i = 0; i < 20; i++) {
                snprintf(address, sizeof(address), "0000:03:%02x.%u", (i + 1) / 8, (i + 1) % 8);
                ck_assert_int_eq(index_of(address), (int) i);
        }
        ck_assert_int_eq(index_of("0000:03:02.5"), -ENODEV); /* would be the next */
        ck_assert_int_eq(index_of("../../etc"), -ENODEV);
        ck_assert_int_eq(index_of(PF), -ENODATA);
        ck_assert_int_eq(index_of("0000:02:00.0"), -ENODATA);
        ck_assert_int_eq(index_of("0001:03:00.1"), -ENODATA);

        /* a card that tells nonsense gives nobody the number of another */
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                put(PATH "/sriov_stride", wrong[i]);
                ck_assert_int_lt(index_of("0000:03:00.4"), 0);
        }
        put(PATH "/sriov_stride", "1\n");
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                put(PATH "/sriov_offset", wrong[i]);
                ck_assert_int_lt(index_of("0000:03:00.4"), 0);
        }
        ck_assert_int_eq(tree_write(tree, PATH "/sriov_offset", "1\n"), 0);
        ck_assert_int_eq(index_of("0000:03:00.4"), 3);
}
END_TEST

START_TEST(number_changes_by_way_of_none) {
        check_state(0, 1);
        ck_assert_int_eq(set(3, 0), 0);
        check_state(3, 0);
        ck_assert_int_eq(set(3, -1), 0);
        check_state(3, 0);
        ck_assert_int_eq(set(5, -1), 0);
        check_state(5, 0);
        ck_assert_int_eq(set(5, 1), 0); /* and they stay */
        check_state(5, 1);
        ck_assert_int_eq(set(100, 0), 0);
        check_state(100, 0);
        ck_assert_int_eq(set(2, -1), 0);
        check_state(2, 0);
        ck_assert_int_eq(set(0, 1), 0);
        check_state(0, 1);
}
END_TEST

START_TEST(what_fails_is_said) {
        SriovState state;

        ck_assert_int_eq(set(101, -1), -ERANGE);
        check_state(0, 1);
        put("fail/" PF "/fewer-functions", "2");
        ck_assert_int_eq(set(4, -1), -ENOSPC);
        check_state(2, 1);
        put("fail/" PF "/numvfs-errno", "5 1");
        ck_assert_int_eq(set(0, -1), -EIO);
        ck_assert_int_eq(set(0, -1), 0);
        ck_assert_int_ge(tree_set_driver(tree, PF, NULL), 0);
        ck_assert_int_eq(set(1, -1), -ENOENT);
        ck_assert_int_eq(set(0, -1), 0);

        /* of what is no PF */
        ck_assert_int_eq(sriov_look(sys, "0000:02:00.0", &state), 0);
        ck_assert(!state.is_pf);
        ck_assert_int_eq(sriov_set(sys, "0000:02:00.0", &(SriovState) { true, 1, -1 }), -ENOENT);
        ck_assert_int_eq(sriov_set(sys, "0000:02:00.0", &(SriovState) { true, 0, 1 }), 0);
}
END_TEST

START_TEST(driver_goes_after_its_functions_and_comes_before_them) {
        BindPlan plan = { .sys = sys, .bus = "pci", .name = PF };
        BindResult before = {}, result = {};

        ck_assert_int_eq(set(4, 0), 0);
        bind_look(&plan, &before, NULL, NULL);
        ck_assert_uint_eq(before.state.sriov.count, 4);

        plan.state = (BindState) { .driver = "vfio-pci", .vfio = true };
        bind_to(&plan, &result, NULL, NULL);
        ck_assert_int_eq(result.step, BIND_STEP_NONE);
        ck_assert_str_eq(result.state.driver, "vfio-pci");
        check_state(0, 0);

        plan.state = before.state;
        bind_back(&plan, &result, NULL, NULL);
        ck_assert_int_eq(result.step, BIND_STEP_NONE);
        ck_assert_str_eq(result.state.driver, "nvme");
        check_state(4, 0);

        /* one that does not let its functions go stays */
        put("fail/" PF "/numvfs-errno", "5 1");
        plan.state = (BindState) { .driver = "vfio-pci", .vfio = true };
        bind_to(&plan, &result, NULL, NULL);
        ck_assert_int_eq(result.step, BIND_STEP_SRIOV);
        ck_assert_int_eq(result.error, EIO);
        check_state(4, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("sriov");
        TCase *tcase = suite_add_case(suite, "sriov", make_tree, end_tree);

        tcase_add_test(tcase, numbers_are_read_or_refused);
        tcase_add_test(tcase, functions_are_listed_in_order_and_nothing_else_is);
        tcase_add_test(tcase, function_is_known_by_its_distance_from_the_card_and_by_the_link_to_it);
        tcase_add_test(tcase, number_changes_by_way_of_none);
        tcase_add_test(tcase, what_fails_is_said);
        tcase_add_test(tcase, driver_goes_after_its_functions_and_comes_before_them);
        return suite_run(suite);
}
