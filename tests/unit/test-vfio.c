/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a regular file gives: it opens, and knows no VFIO request. What VFIO itself answers is proved in
 * the guest suite.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fds.h"
#include "kernel/reset.h"
#include "suite.h"
#include "tree.h"


static Tree *tree;
static VfioPlan plan;
static VfioResult result;
static int fds[JOB_FDS_MAX];
static size_t n_fds;
static int n_fds_before;

static void make_world(void) {
        ck_assert_int_eq(tree_new(&tree), 0);
        ck_assert_int_eq(tree_add_document(tree), 0);
        plan = (VfioPlan){
                .dev = tree_open(tree, "dev"),
                .n_groups = 2,
                .groups = { 26, 12 },
                .group_fds = { -EBADF, -EBADF },
                .n_devices = 2,
                .n_pass = 2,
                .devices = {
                        { .address = "0000:06:0d.0", .group = 0 },
                        { .address = "0000:01:00.0", .group = 1, .token = "5a7b5e4c-8f16-4d3c-8f0a-16a4b3dd8e4c" },
                },
        };
        ck_assert_int_ge(plan.dev, 0);
        result = (VfioResult){ 0 };
        n_fds = 0;
        n_fds_before = count_fds();
}

static void end_world(void) {
        close(plan.dev);
        tree = tree_free(tree);
}

static void check_failure(VfioStep step, int error, unsigned index) {
        ck_assert_int_eq(result.step, step);
        ck_assert_int_eq(result.error, error);
        ck_assert_uint_eq(result.index, index);
        ck_assert_uint_eq(n_fds, 0);
        for (unsigned i = 0; i < VFIO_DEVICES_MAX; i++)
                ck_assert(!result.reset_works[i]);
        ck_assert_int_eq(count_fds(), n_fds_before);
}

/* As the tests would, another time: the plan's own descriptors are not the work's to close. */
static int open_group_as_daemon(unsigned i) {
        char path[32];

        snprintf(path, sizeof(path), "vfio/%u", plan.groups[i]);
        plan.group_fds[i] = openat(plan.dev, path, O_RDWR | O_CLOEXEC);
        ck_assert_int_ge(plan.group_fds[i], 0);
        n_fds_before = count_fds();
        return plan.group_fds[i];
}

START_TEST(a_container_that_is_none_is_refused) {
        vfio_open(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_CONTAINER, ENOTTY, 0);
        result = (VfioResult){ 0 };
        reset_gate(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_CONTAINER, ENOTTY, 0);
}
END_TEST

START_TEST(a_container_that_is_not_there_is_told) {
        char path[160];

        snprintf(path, sizeof(path), "%s/dev/vfio/vfio", tree_root(tree));
        unlink(path);
        vfio_open(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_CONTAINER, ENOENT, 0);
        result = (VfioResult){ 0 };
        reset_gate(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_CONTAINER, ENOENT, 0);
}
END_TEST

START_TEST(a_failed_cleaning_leaves_the_daemons_group_open) {
        int fd = open_group_as_daemon(1);

        reset_gate(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_CONTAINER, ENOTTY, 0);
        ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
        close(fd);
}
END_TEST

START_TEST(devices_of_a_group_that_is_none_do_not_open) {
        int first = open_group_as_daemon(0), second = open_group_as_daemon(1);

        vfio_open_more(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_DEVICE, ENOTTY, 0);
        ck_assert_int_ge(fcntl(first, F_GETFD), 0);
        close(first);
        close(second);
}
END_TEST

START_TEST(no_device_asked_for_is_none_opened) {
        plan.n_pass = 0;
        vfio_open_more(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_NONE, 0, 0);
}
END_TEST

START_TEST(the_first_group_that_does_not_detach_is_named) {
        int fd = open_group_as_daemon(1);

        plan.n_groups = 3;
        plan.groups[2] = 12;
        plan.group_fds[2] = fd;
        vfio_detach(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_DETACH, ENOTTY, 1); /* and the group opened before it is closed again */
        ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
        close(fd);
}
END_TEST

START_TEST(groups_that_came_back_are_passed_in_order) {
        char path[160];

        vfio_detach(&plan, &result, fds, &n_fds);
        ck_assert_int_eq(result.step, VFIO_STEP_NONE);
        ck_assert_uint_eq(n_fds, 2);
        for (unsigned i = 0; i < 2; i++) {
                char link[64], target[160] = "";

                snprintf(link, sizeof(link), "/proc/self/fd/%d", fds[i]);
                ck_assert_int_gt(readlink(link, target, sizeof(target) - 1), 0);
                snprintf(path, sizeof(path), "%s/dev/vfio/%u", tree_root(tree), plan.groups[i]);
                ck_assert_str_eq(target, path);
                ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
                close(fds[i]);
        }
}
END_TEST

START_TEST(a_group_that_has_gone_is_named_and_nothing_is_passed) {
        ck_assert_int_eq(tree_remove(tree, "0000:01:00.0"), 0);
        vfio_detach(&plan, &result, fds, &n_fds);
        check_failure(VFIO_STEP_GROUP, ENOENT, 1);
}
END_TEST

START_TEST(models_have_names) {
        ck_assert_str_eq(vfio_model_name(VFIO_TYPE1v2_IOMMU), "type1v2");
        ck_assert_str_eq(vfio_model_name(VFIO_TYPE1_IOMMU), "type1");
        ck_assert_str_eq(vfio_model_name(0), "");
        ck_assert_str_eq(vfio_model_name(4711), "");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("vfio");
        TCase *tcase = suite_add_case(suite, "vfio", make_world, end_world);

        tcase_add_test(tcase, a_container_that_is_none_is_refused);
        tcase_add_test(tcase, a_container_that_is_not_there_is_told);
        tcase_add_test(tcase, a_failed_cleaning_leaves_the_daemons_group_open);
        tcase_add_test(tcase, devices_of_a_group_that_is_none_do_not_open);
        tcase_add_test(tcase, no_device_asked_for_is_none_opened);
        tcase_add_test(tcase, the_first_group_that_does_not_detach_is_named);
        tcase_add_test(tcase, groups_that_came_back_are_passed_in_order);
        tcase_add_test(tcase, a_group_that_has_gone_is_named_and_nothing_is_passed);
        tcase_add_test(tcase, models_have_names);
        return suite_run(suite);
}
