/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ladder on the fake kernel: what a reset of a bus hits, when it is done, and what is seen afterwards. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake/vfio.h"
#include "fds.h"
#include "kernel/reset.h"
#include "suite.h"
#include "tree.h"

#define EDU "0000:06:0d.0"
#define NIC "0000:06:0d.1"

static Tree *tree;
static VfioPlan plan;
static VfioResult result;
static int n_fds_before;

static int open_folder(const char *name) {
        int fd = tree_open(tree, name);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static void set_fault(const char *address, const char *fault, const char *value) {
        char path[160];

        snprintf(path, sizeof(path), "fail/%s/%s", address, fault);
        ck_assert_int_eq(tree_write(tree, path, value), 0);
}

/* Of @address, by its bus */
static unsigned count_resets(const char *address) {
        char path[200], text[16] = "";
        FILE *file;

        snprintf(path, sizeof(path), "%s/fake/bus-resets-%s", tree_root(tree), address);
        file = fopen(path, "re");
        if (!file)
                return 0;
        ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
        fclose(file);
        return strtoul(text, NULL, 10);
}

static void make_world(void) {
        ck_assert_int_eq(tree_new(&tree), 0);
        ck_assert_int_eq(tree_add_document(tree), 0);
        ck_assert_int_eq(fake_vfio_use(tree_root(tree)), 0);
        plan = (VfioPlan){
                .dev = open_folder("dev"),
                .sys = open_folder("sys"),
                .n_groups = 1,
                .groups = { 26 },
                .group_fds = { -EBADF },
                .n_devices = 1,
                .devices = { { .address = NIC, .bus = true } },
        };
        result = (VfioResult){ 0 };
        n_fds_before = count_fds();
}

static void end_world(void) {
        close(plan.dev);
        close(plan.sys);
        tree = tree_free(tree);
}

/* All is given back, whatever came of it. */
static void run_gate(void) {
        int fds[JOB_FDS_MAX];
        size_t n_fds = 0;

        result = (VfioResult){ 0 };
        reset_gate(&plan, &result, fds, &n_fds);
        ck_assert_int_eq(result.step, VFIO_STEP_NONE);
        ck_assert_uint_eq(n_fds, 0);
        ck_assert_int_eq(count_fds(), n_fds_before);
}

/* A second bus below the bridge, and a neighbour in a group of its own */
static void add_neighbour(int group, const char *driver) {
        TreePci card = { .address = "0000:06:0e.0", .parent = "0000:00:1e.0", .driver = driver, .class = 0x020000,
                         .vendor = 0x8086, .device = 0x100e, .group = group, .numa_node = -1 };

        ck_assert_int_eq(tree_add_pci(tree, &card), 0);
}

START_TEST(scope_is_all_below_the_bridge) {
        TreePci bridge = { .address = "0000:06:0f.0", .parent = "0000:00:1e.0", .class = 0x060400, .group = -1 };
        TreePci below = { .address = "0000:07:00.0", .parent = "0000:06:0f.0", .class = 0x020000, .group = -1 };
        ResetScope scope;

        ck_assert_int_eq(reset_scope(plan.sys, NIC, &scope), 0);
        ck_assert_uint_eq(scope.n, 2);
        ck_assert_str_eq(scope.addresses[0], EDU);
        ck_assert_str_eq(scope.addresses[1], NIC);

        ck_assert_int_eq(tree_add_pci(tree, &bridge), 0);
        ck_assert_int_eq(tree_add_pci(tree, &below), 0);
        ck_assert_int_eq(reset_scope(plan.sys, EDU, &scope), 0);
        ck_assert_uint_eq(scope.n, 4);
        ck_assert_str_eq(scope.addresses[3], "0000:07:00.0");
        ck_assert_int_eq(reset_scope(plan.sys, "0000:07:00.0", &scope), 0);
        ck_assert_uint_eq(scope.n, 1);

        ck_assert_int_eq(reset_scope(plan.sys, "0000:01:00.0", &scope), 0);
        ck_assert_uint_eq(scope.n, 0); /* a root bus */
        ck_assert_int_eq(reset_scope(plan.sys, "0000:77:00.0", &scope), -ENODEV);
}
END_TEST

START_TEST(scope_has_a_limit) {
        char address[16];
        ResetScope scope;
        TreePci card = { .address = address, .parent = "0000:00:1e.0", .class = 0x020000, .group = -1 };

        for (unsigned i = 0; i < RESET_SCOPE_MAX - 2; i++) {
                snprintf(address, sizeof(address), "0000:%02x:%02x.%x", 0x10 + i / 200, i % 200 / 8, i % 8);
                ck_assert_int_eq(tree_add_pci(tree, &card), 0);
        }
        ck_assert_int_eq(reset_scope(plan.sys, NIC, &scope), 0);
        ck_assert_uint_eq(scope.n, RESET_SCOPE_MAX);
        snprintf(address, sizeof(address), "0000:20:00.0");
        ck_assert_int_eq(tree_add_pci(tree, &card), 0);
        ck_assert_int_eq(reset_scope(plan.sys, NIC, &scope), -E2BIG);
}
END_TEST

START_TEST(function_comes_before_the_bus) {
        strcpy(plan.devices[0].address, EDU);
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_FUNCTION);
        ck_assert_uint_eq(count_resets(EDU), 0);
}
END_TEST

START_TEST(bus_is_reset_once_for_all_that_wait) {
        set_fault(EDU, "reset-fails", "");
        plan.n_devices = 2;
        plan.devices[1] = (VfioDevicePlan){ .address = EDU, .bus = true };
        run_gate();
        for (unsigned i = 0; i < 2; i++) {
                ck_assert_int_eq(result.resets[i].how, VFIO_RESET_BUS);
                ck_assert_uint_eq(result.resets[i].scope, 2);
                ck_assert(!result.reset_works[i]);
        }
        ck_assert_uint_eq(count_resets(EDU), 1);
        ck_assert_uint_eq(count_resets(NIC), 1);
}
END_TEST

START_TEST(bus_is_left_alone_unless_the_plan_says_so) {
        plan.devices[0].bus = false;
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_NONE);
        ck_assert_uint_eq(count_resets(NIC), 0);
}
END_TEST

/* The kernel's list of what is hit counts, not what the plan believes. */
START_TEST(bus_with_somebody_elses_device_is_left_alone) {
        add_neighbour(30, "vfio-pci");
        plan.n_idle = 1;
        plan.idle[0] = 14; /* another one is */
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_NONE);
        ck_assert_uint_eq(count_resets(NIC), 0);
        ck_assert_uint_eq(count_resets("0000:06:0e.0"), 0);
}
END_TEST

START_TEST(bus_with_an_idle_group_is_reset_if_nobody_has_that_open) {
        char path[160];
        int fd;

        add_neighbour(30, "vfio-pci");
        plan.n_idle = 1;
        plan.idle[0] = 30;

        snprintf(path, sizeof(path), "%s/dev/vfio/30", tree_root(tree));
        fd = open(path, O_RDWR | O_CLOEXEC);
        n_fds_before = count_fds();
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_NONE);
        ck_assert_uint_eq(count_resets(NIC), 0);
        close(fd);

        n_fds_before = count_fds();
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_BUS);
        ck_assert_uint_eq(result.resets[0].scope, 3);
        ck_assert_uint_eq(count_resets("0000:06:0e.0"), 1);
}
END_TEST

START_TEST(bus_with_a_device_of_the_host_is_left_alone) {
        add_neighbour(26, "pci-stub"); /* which leaves the group viable */
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_NONE);
        ck_assert_uint_eq(count_resets(NIC), 0);
}
END_TEST

START_TEST(root_bus_has_no_reset) {
        plan.groups[0] = 9;
        strcpy(plan.devices[0].address, "0000:00:10.0");
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_NONE);
}
END_TEST

START_TEST(failed_reset_of_the_bus_is_told) {
        set_fault(NIC, "bus-reset-errno", "25");
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_FAILED);
        ck_assert_int_eq(result.resets[0].error, ENOTTY);
        ck_assert_uint_eq(count_resets(NIC), 0);
}
END_TEST

START_TEST(bus_that_is_locked_for_a_moment_is_asked_again) {
        set_fault(NIC, "bus-reset-errno", "11 3");
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_BUS);
}
END_TEST

static const struct {
        const char *fault;
        VfioDefect defect;
} defects[] = {
        { "silent-after-reset", VFIO_DEFECT_SILENT },
        { "other-after-reset", VFIO_DEFECT_OTHER },
        { "master-after-reset", VFIO_DEFECT_MASTER },
        { "bars-after-reset", VFIO_DEFECT_BARS },
};

START_TEST(device_that_is_not_as_before_is_broken) {
        set_fault(NIC, defects[_i].fault, "");
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_BROKEN);
        ck_assert_int_eq(result.resets[0].defect, defects[_i].defect);
        ck_assert_uint_eq(count_resets(NIC), 1);
}
END_TEST

START_TEST(device_that_cannot_be_looked_at_is_not_reset) {
        char path[160];

        snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" NIC "/config", tree_root(tree));
        ck_assert_int_eq(unlink(path), 0);
        run_gate();
        ck_assert_int_eq(result.resets[0].how, VFIO_RESET_FAILED);
        ck_assert_int_eq(result.resets[0].error, ENOENT);
        ck_assert_uint_eq(count_resets(NIC), 0);
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, scope_is_all_below_the_bridge);
        tcase_add_test(tcase, scope_has_a_limit);
        tcase_add_test(tcase, function_comes_before_the_bus);
        tcase_add_test(tcase, bus_is_reset_once_for_all_that_wait);
        tcase_add_test(tcase, bus_is_left_alone_unless_the_plan_says_so);
        tcase_add_test(tcase, bus_with_somebody_elses_device_is_left_alone);
        tcase_add_test(tcase, bus_with_an_idle_group_is_reset_if_nobody_has_that_open);
        tcase_add_test(tcase, bus_with_a_device_of_the_host_is_left_alone);
        tcase_add_test(tcase, root_bus_has_no_reset);
        tcase_add_test(tcase, failed_reset_of_the_bus_is_told);
        tcase_add_test(tcase, bus_that_is_locked_for_a_moment_is_asked_again);
        tcase_add_loop_test(tcase, device_that_is_not_as_before_is_broken, 0, sizeof(defects) / sizeof(*defects));
        tcase_add_test(tcase, device_that_cannot_be_looked_at_is_not_reset);
}

int main(void) {
        Suite *suite = suite_create("reset");
        TCase *tcase = suite_add_case(suite, "reset", make_world, end_world);

        add_tests(tcase);
        return suite_run(suite);
}
