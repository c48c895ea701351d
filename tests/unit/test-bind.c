/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Changes of drivers, as the child makes them, on the fake kernel. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "fake/vfio.h"
#include "kernel/bind.h"
#include "kernel/sysfs.h"
#include "kernel/variant.h"
#include "suite.h"
#include "tree.h"

#define NIC "0000:02:00.0" /* on e1000e */
#define PATH "sys/devices/pci0000:00/" NIC

static Tree *tree;
static int sys;

static void make_tree(void) {
        ck_assert_int_ge(tree_new(&tree), 0);
        ck_assert_int_ge(tree_add_document(tree), 0);
        ck_assert_int_eq(fake_vfio_use(tree_root(tree)), 0);
        sys = tree_open(tree, "sys");
        ck_assert_int_ge(sys, 0);
}

static void end_tree(void) {
        closep(&sys);
        tree_free(tree);
}

static BindState look(void) {
        BindPlan plan = { .sys = sys, .bus = "pci", .name = NIC };
        BindResult result = {};

        bind_look(&plan, &result, NULL, NULL);
        ck_assert_int_eq(result.step, BIND_STEP_NONE);
        return result.state;
}

static BindResult move(void (*function)(const void *, void *, int *, size_t *), const BindState *state) {
        BindPlan plan = { .sys = sys, .bus = "pci", .name = NIC, .ours = "vfio-pci", .state = *state };
        BindResult result = {};

        function(&plan, &result, NULL, NULL);
        return result;
}

static const BindState to_vfio = { .driver = "vfio-pci", .vfio = true };

static void fail_next(const char *what, const char *value) {
        char path[128];

        snprintf(path, sizeof(path), "fail/" NIC "/%s", what);
        ck_assert_int_ge(tree_write(tree, path, value), 0);
}

static void check_same(const BindState *a, const BindState *b) {
        ck_assert_str_eq(a->driver, b->driver);
        ck_assert_str_eq(a->override, b->override);
        ck_assert_str_eq(a->power, b->power);
        ck_assert_int_eq(a->vfio, b->vfio);
}

START_TEST(to_vfio_and_back_is_as_before) {
        static const char *const overrides[] = { "(null)\n", "\n", "e1000e\n" }, *const powers[] = { "on\n", "auto\n" };

        for (int i = 0; i < 6; i++) {
                BindState before, now;

                ck_assert_int_ge(tree_write(tree, PATH "/driver_override", overrides[i % 3]), 0);
                ck_assert_int_ge(tree_write(tree, PATH "/power/control", powers[i % 2]), 0);
                before = look();
                ck_assert_str_eq(before.driver, "e1000e");
                ck_assert_str_eq(before.override, i % 3 == 2 ? "e1000e" : "");

                ck_assert_int_eq(move(bind_to, &to_vfio).step, BIND_STEP_NONE);
                now = look();
                ck_assert_str_eq(now.driver, "vfio-pci");
                ck_assert_str_eq(now.override, "vfio-pci");
                ck_assert(now.vfio);
                ck_assert_int_eq(move(bind_to, &to_vfio).step, BIND_STEP_NONE); /* once more is nothing */

                ck_assert_int_eq(move(bind_back, &before).step, BIND_STEP_NONE);
                now = look();
                check_same(&now, &before);
                ck_assert_int_eq(move(bind_back, &before).step, BIND_STEP_NONE);
        }
}
END_TEST

/* While it was on VFIO */
START_TEST(override_that_somebody_else_has_set_stays) {
        BindState before = look(), now;

        ck_assert_int_eq(move(bind_to, &to_vfio).step, BIND_STEP_NONE);
        ck_assert_int_ge(tree_write(tree, PATH "/driver_override", "theirs\n"), 0);
        for (int times = 0; times < 2; times++) {
                ck_assert_int_eq(move(bind_back, &before).step, BIND_STEP_NONE);
                now = look();
                ck_assert_str_eq(now.driver, "e1000e");
                ck_assert_str_eq(now.override, "theirs");
        }
}
END_TEST

/* Its number is not that of who is meant, as of another one that has come to the same address. */
START_TEST(nothing_is_done_to_another_one_at_the_address) {
        void (*const functions[])(const void *, void *, int *, size_t *) = { bind_to, bind_back, bind_sriov, bind_look };
        BindPlan plan = { .sys = sys, .bus = "pci", .name = NIC, .state = { .driver = "vfio-pci", .override = "x", .power = "on" } };
        BindState before = look(), now;
        uint64_t instance;

        ck_assert_int_eq(scan_pci_instance(sys, NIC, &instance), 0);
        for (int i = 0; i < 4; i++) {
                BindResult result = {};

                plan.instance = instance + 1;
                functions[i](&plan, &result, NULL, NULL);
                ck_assert_int_eq(result.step, BIND_STEP_LOOK);
                ck_assert_int_eq(result.error, ENODEV);
        }
        now = look();
        check_same(&now, &before);

        plan.instance = instance;
        ck_assert_int_eq(({ BindResult result = {}; bind_to(&plan, &result, NULL, NULL); result.step; }), BIND_STEP_NONE);
        ck_assert_str_eq(look().driver, "vfio-pci");
}
END_TEST

START_TEST(nodes_of_the_device_and_of_what_is_below_it_are_known_before) {
        static const struct {
                const char *link, *target;
        } links[] = {
                { "char/1:7", PATH "/misc/some" },
                { "char/226:0", "sys/devices/pci0000:00/0000:03:00.0/drm/card0" },
                { "block/259:1", PATH "/nvme/nvme0/nvme0n1/nvme0n1p1" },
        };
        BindPlan plan = { .sys = sys, .bus = "pci", .name = NIC };
        BindResult result = {};

        for (int i = 0; i < 3; i++) {
                char path[PATH_MAX], target[PATH_MAX];

                snprintf(path, sizeof(path), "sys/dev/%.*s/.folder", (int) strcspn(links[i].link, "/"), links[i].link);
                ck_assert_int_ge(tree_write(tree, path, ""), 0);
                snprintf(path, sizeof(path), "%s/sys/dev/%s", tree_root(tree), links[i].link);
                snprintf(target, sizeof(target), "../../%s", links[i].target + strlen("sys/"));
                ck_assert_int_eq(symlink(target, path), 0);
        }
        bind_look(&plan, &result, NULL, NULL);
        ck_assert_int_eq(result.step, BIND_STEP_NONE);
        ck_assert_uint_eq(result.nodes.n, 2);
        ck_assert(nodes_have(&result.nodes, S_IFCHR, makedev(1, 7)) && nodes_have(&result.nodes, S_IFBLK, makedev(259, 1)));
        ck_assert(!nodes_have(&result.nodes, S_IFBLK, makedev(1, 7)) && !nodes_have(&result.nodes, S_IFCHR, makedev(226, 0)));
}
END_TEST

START_TEST(device_without_a_driver_is_without_one_again) {
        BindState before, now;

        ck_assert_int_ge(tree_set_driver(tree, NIC, NULL), 0);
        before = look();
        ck_assert_int_eq(move(bind_to, &to_vfio).step, BIND_STEP_NONE);
        ck_assert_int_eq(move(bind_back, &before).step, BIND_STEP_NONE);
        now = look();
        check_same(&now, &before);
        ck_assert_str_eq(now.driver, "");
}
END_TEST

START_TEST(probe_that_reports_success_and_has_failed_is_seen) {
        BindState before = look(), now;
        BindResult result;

        fail_next("probe-errno", "16 2");
        result = move(bind_to, &to_vfio);
        ck_assert_int_eq(result.step, BIND_STEP_PROBE);
        ck_assert_int_eq(result.error, EBUSY);
        ck_assert_int_eq(move(bind_back, &before).step, BIND_STEP_NONE);
        now = look();
        check_same(&now, &before);
}
END_TEST

START_TEST(driver_that_does_not_let_go_is_told_from_one_that_does_not_take_it) {
        BindResult result;

        fail_next("unbind-errno", "16 1");
        result = move(bind_to, &to_vfio);
        ck_assert_int_eq(result.step, BIND_STEP_UNBIND);
        ck_assert_str_eq(result.state.driver, "e1000e");
        fail_next("override-errno", "22 1");
        ck_assert_int_eq(move(bind_to, &to_vfio).step, BIND_STEP_OVERRIDE);
}
END_TEST

START_TEST(driver_counts_as_vfio_by_what_it_does) {
        static const BindState plain = { .driver = "e1000", .vfio = true };

        ck_assert_int_ge(tree_add_driver(tree, "e1000"), 0);
        ck_assert_int_eq(move(bind_to, &plain).step, BIND_STEP_VFIO);
        ck_assert_int_ge(tree_add_driver(tree, "e1000e-vfio-pci"), 0);
        ck_assert_int_eq(move(bind_to, &(BindState) { .driver = "e1000e-vfio-pci", .vfio = true }).step, BIND_STEP_NONE);
}
END_TEST

static void write_aliases(const char *text) {
        struct utsname name;
        char path[256];

        ck_assert_int_eq(uname(&name), 0);
        snprintf(path, sizeof(path), "lib/modules/%s/modules.alias", name.release);
        ck_assert_int_ge(tree_write(tree, path, text), 0);
}

START_TEST(list_of_modules_says_which_driver) {
        static const char modalias[] = "pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00";
        char driver[VARIANT_NAME_MAX], module[VARIANT_NAME_MAX];

        /* without a list, and with one that says nothing of it */
        ck_assert_int_eq(variant_find(tree_root(tree), sys, "pci", modalias, driver, module), 0);
        ck_assert_str_eq(driver, "vfio-pci");
        write_aliases("# comment\nalias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\nalias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
                      "alias vfio_pci:v00008087d*sv*sd*bc*sc*i* other_vfio_pci\n");
        ck_assert_int_eq(variant_find(tree_root(tree), sys, "pci", modalias, driver, module), 0);
        ck_assert_str_eq(driver, "vfio-pci");
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "pci", modalias, "other-vfio-pci"), -EINVAL);

        /* the fewest wildcards, not the first or the last */
        write_aliases("alias vfio_pci:v00008086d*sv*sd*bc*sc*i* intel_vfio_pci\n"
                      "alias vfio_pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e_vfio_pci\n"
                      "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n");
        ck_assert_int_eq(variant_find(tree_root(tree), sys, "pci", modalias, driver, module), -ENOENT);
        ck_assert_str_eq(module, "e1000e_vfio_pci");
        ck_assert_int_ge(tree_write(tree, "sys/module/e1000e_vfio_pci/drivers/pci:e1000e-vfio-pci", ""), 0);
        ck_assert_int_eq(variant_find(tree_root(tree), sys, "pci", modalias, driver, module), -ENOENT);
        ck_assert_int_ge(tree_add_driver(tree, "e1000e-vfio-pci"), 0);
        ck_assert_int_eq(variant_find(tree_root(tree), sys, "pci", modalias, driver, module), 0);
        ck_assert_str_eq(driver, "e1000e-vfio-pci");

        ck_assert_int_eq(variant_check(tree_root(tree), sys, "pci", modalias, "e1000e-vfio-pci"), 0);
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "pci", modalias, "vfio-pci"), 0);
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "pci", modalias, "e1000e"), -EINVAL);
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "pci", modalias, ""), -EINVAL);
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "pci", modalias, "../pci"), -EINVAL);
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "pci", "", "e1000e-vfio-pci"), -EINVAL);
}
END_TEST

START_TEST(each_bus_has_a_driver_and_some_have_variants) {
        static const char modalias[] = "cdx:v10EEd8084sv10EEsd0001c020000";
        char driver[VARIANT_NAME_MAX], module[VARIANT_NAME_MAX];
        const char *fix;

        ck_assert_str_eq(variant_plain("platform"), "vfio-platform");
        ck_assert_ptr_null(variant_plain("mdev"));
        ck_assert_int_eq(variant_find(tree_root(tree), sys, "ap", "", driver, module), -EINVAL);
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "ccw", "", "vfio-pci"), -EINVAL);

        ck_assert_int_eq(variant_find(tree_root(tree), sys, "fsl-mc", "fsl-mc:v00001957ddprc", driver, module), -ENOENT);
        ck_assert_str_eq(driver, "vfio-fsl-mc");
        ck_assert_str_eq(module, "vfio_fsl_mc");
        ck_assert_int_ge(tree_add_other_driver(tree, "fsl-mc", "vfio-fsl-mc"), 0);
        ck_assert_int_eq(variant_find(tree_root(tree), sys, "fsl-mc", "fsl-mc:v00001957ddprc", driver, module), 0);
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "fsl-mc", "", "vfio-fsl-mc"), 0);
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "fsl-mc", "", "vfio-pci"), -EINVAL);

        /* the lines of one bus are none of another's */
        ck_assert_int_ge(tree_add_other_driver(tree, "cdx", "vfio-cdx"), 0);
        ck_assert_int_ge(tree_add_other_driver(tree, "cdx", "net-vfio-cdx"), 0);
        ck_assert_int_ge(tree_write(tree, "sys/module/net_vfio_cdx/drivers/cdx:net-vfio-cdx", ""), 0);
        write_aliases("alias vfio_pci:v10EEd8084sv*sd*c* net_vfio_cdx\nalias cdx:v10EEd8084sv*sd*c* net\nalias vfio_cdx:v*d*sv*sd*c* vfio_cdx\n");
        ck_assert_int_eq(variant_find(tree_root(tree), sys, "cdx", modalias, driver, module), 0);
        ck_assert_str_eq(driver, "vfio-cdx");
        write_aliases("alias vfio_cdx:v*d*sv*sd*c* vfio_cdx\nalias vfio_cdx:v10EEd8084sv*sd*c* net_vfio_cdx\n");
        ck_assert_int_eq(variant_find(tree_root(tree), sys, "cdx", modalias, driver, module), 0);
        ck_assert_str_eq(driver, "net-vfio-cdx");
        ck_assert_int_eq(variant_check(tree_root(tree), sys, "cdx", modalias, "vfio-cdx"), 0);

        ck_assert_ptr_nonnull(strstr(variant_explain("platform", ENOENT, &fix), "no reset"));
        ck_assert_ptr_nonnull(strstr(fix, "reset_required=0"));
        ck_assert_ptr_null(variant_explain("pci", ENOENT, &fix));
}
END_TEST

START_TEST(one_attribute_is_one_write) {
        ck_assert_int_eq(sysfs_write(sys, "nothing", "x"), -ENOENT);
        ck_assert_int_eq(sysfs_write(sys, "bus", "x"), -EISDIR);
        ck_assert_int_eq(sysfs_write(sys, "bus/pci/devices/" NIC "/driver_override", "vfio-pci"), 0);
        ck_assert_str_eq(look().override, "vfio-pci");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("bind");
        TCase *tcase = suite_add_case(suite, "bind", make_tree, end_tree);

        tcase_add_test(tcase, to_vfio_and_back_is_as_before);
        tcase_add_test(tcase, nodes_of_the_device_and_of_what_is_below_it_are_known_before);
        tcase_add_test(tcase, device_without_a_driver_is_without_one_again);
        tcase_add_test(tcase, override_that_somebody_else_has_set_stays);
        tcase_add_test(tcase, nothing_is_done_to_another_one_at_the_address);
        tcase_add_test(tcase, probe_that_reports_success_and_has_failed_is_seen);
        tcase_add_test(tcase, driver_that_does_not_let_go_is_told_from_one_that_does_not_take_it);
        tcase_add_test(tcase, driver_counts_as_vfio_by_what_it_does);
        tcase_add_test(tcase, list_of_modules_says_which_driver);
        tcase_add_test(tcase, each_bus_has_a_driver_and_some_have_variants);
        tcase_add_test(tcase, one_attribute_is_one_write);
        return suite_run(suite);
}
