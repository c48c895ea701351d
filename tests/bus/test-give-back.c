/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The way back to host drivers, when something goes wrong on it: children that die, records of half of it, other devices. */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define NIC    "0000:02:00.0" /* on e1000e, alone in group 13 */
#define FIRST  "0000:06:0d.0" /* on uio, in group 26 with */
#define SECOND "0000:06:0d.1" /* on e1000 */
#define LONELY "0000:08:00.0" /* on nvme, may have virtual functions, in no group */

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document_on_the_host(tree);
        if (r >= 0)
                r = tree_add_pci(tree, &(TreePci) { .address = LONELY, .vendor = 0x1b36, .device = 0x10, .class = 0x10802, .group = -1, .driver = "nvme" });
        return r < 0 ? r : tree_add_sriov(tree, LONELY, 4);
}

#define MANY 30

/* Of a group of so many, the first of them is a bridge. */
static const char *one_of_many(unsigned i) {
        static char addresses[MANY][16];

        snprintf(addresses[i], sizeof(addresses[i]), "0000:09:%02x.%u", i / 8, i % 8);
        return addresses[i];
}

static int build_many(Tree *tree) {
        int r = build(tree);

        for (unsigned i = 0; r >= 0 && i < MANY; i++)
                r = tree_add_pci(tree, &(TreePci) { .address = one_of_many(i), .vendor = 0x8086, .device = 0x1000 + i, .group = 40,
                                                    .class = i == 0 ? 0x60400 : 0x20000, .driver = i == 0 ? "pcieport" : i % 5 == 0 ? NULL : "e1000" });
        return r;
}

static void make_world_of_many(void) {
        world_start(&world, &(WorldSpec) { .build = build_many, .keep = true, .config = "[Binding]\nOnAcquire=yes\n" });
}

#define TOO_MANY 129

static const char *one_of_too_many(unsigned i) {
        static char address[16];

        snprintf(address, sizeof(address), "0000:0a:%02x.%u", i / 8, i % 8);
        return address;
}

static int build_too_many(Tree *tree) {
        int r = build(tree);

        for (unsigned i = 0; r >= 0 && i < TOO_MANY; i++)
                r = tree_add_pci(tree, &(TreePci) { .address = one_of_too_many(i), .vendor = 0x8086, .device = 0x1000, .group = 41,
                                                    .class = 0x20000, .driver = "e1000" });
        return r;
}

static void make_world_of_too_many(void) {
        world_start(&world, &(WorldSpec) { .build = build_too_many, .keep = true, .config = "[Binding]\nOnAcquire=yes\n" });
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nDriverTimeoutSec=30\n" });
}

static void end_world(void) {
        ck_assert_uint_eq(count_origins(world), 0);
        world = world_stop(world);
}

static bool all_is_as_before(void) {
        return strcmp(driver_state(world, NIC), "e1000e (null)") == 0 && strcmp(driver_state(world, FIRST), "uio (null)") == 0 &&
               strcmp(driver_state(world, SECOND), "e1000 (null)") == 0;
}

static void must_bind(const char *address) {
        ck_assert_str_eq(bind_device(world, address), "");
        ck_assert_str_eq(driver_state(world, address), "vfio-pci vfio-pci");
}

START_TEST(child_that_dies_on_the_way_back_is_followed_by_another) {
        Call call;

        must_bind(FIRST);
        vfio_fail(world, SECOND, "unbind-hangs", "");
        call_change_driver(&call, world->bus, FIRST, false);
        vfio_kill_delayed(world);
        ck_assert(device_is(world, FIRST, "held"));
        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, "");
        ck_assert(all_is_as_before() && device_is(world, FIRST, "host"));
        call_end(&call);
}
END_TEST

START_TEST(where_each_child_dies_it_is_kept_for_another_try) {
        Call call;

        must_bind(NIC);
        vfio_fail(world, NIC, "unbind-hangs", "");
        call_change_driver(&call, world->bus, NIC, false);
        for (int times = 0; times < 4; times++) {
                vfio_kill_delayed(world);
                ck_assert(times == 3 || device_is(world, NIC, "held"));
        }
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("DriverBindFailed"));
        ck_assert_str_eq(device_property(world, NIC, "RestoreDriver"), "e1000e");
        call_end(&call);
        vfio_fail(world, NIC, "unbind-hangs", NULL);
        ck_assert_str_eq(restore_device(world, NIC), "");
        ck_assert(all_is_as_before());
}
END_TEST

/* Each device has a record of its own, and a daemon may die between two of them. */
START_TEST(way_back_of_a_group_that_is_half_written_down_is_gone_by_all) {
        static const char *const half[] = { FIRST, SECOND };
        char path[PATH_MAX];
        Call call;

        must_bind(FIRST);
        snprintf(path, sizeof(path), "%s/run/device-%s.new", tree_root(world->tree), half[_i]);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        vfio_fail(world, SECOND, "unbind-hangs", "");
        call_change_driver(&call, world->bus, FIRST, false);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        world_crash_daemon(world);
        ck_assert_int_eq(rmdir(path), 0);
        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        WAIT_FOR(world, all_is_as_before() && device_is(world, FIRST, "host"));
        ck_assert_uint_eq(count_origins(world), 0);
        call_end(&call);
}
END_TEST

/* A way back that has failed is no reason to take the device from its next holder. */
START_TEST(what_is_leased_is_not_brought_back_by_the_next_daemon) {
        Grant *grant;

        must_bind(NIC);
        vfio_fail(world, NIC, "unbind-errno", "16");
        ck_assert_str_eq(restore_device(world, NIC), REFUSED("DriverBindFailed"));
        grant = must_acquire(world->bus, NIC);
        vfio_fail(world, NIC, "unbind-errno", NULL);
        vfio_forget(world);
        world_crash_daemon(world);
        ck_assert(device_is(world, NIC, "leased"));
        ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "State"), "active");
        grant_free(grant);
        WAIT_FOR(world, device_is(world, NIC, "available"));
        ck_assert_uint_eq(vfio_called(world, NIC " unbind"), 0);
        ck_assert_str_eq(restore_device(world, NIC), "");
        ck_assert(all_is_as_before());
}
END_TEST

START_TEST(device_that_goes_in_the_middle_is_gone_and_the_other_is_as_it_was) {
        bool back = _i == 1;
        Call call;

        if (back)
                must_bind(FIRST);
        vfio_fail(world, SECOND, "unbind-hangs", "");
        call_change_driver(&call, world->bus, FIRST, !back);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(driver_state(world, SECOND), back ? "vfio-pci (null)" : "e1000 vfio-pci");
        ck_assert_int_ge(tree_remove(world->tree, SECOND), 0);
        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("DeviceGone"));
        ck_assert_str_eq(driver_state(world, FIRST), "uio (null)");
        ck_assert(device_is(world, FIRST, "host"));
        call_end(&call);
}
END_TEST

/* With the same address, and nothing else in common */
START_TEST(another_device_does_not_get_what_was_before) {
        ck_assert_str_eq(ask(world->bus, device_path(NIC), VFB_INTERFACE_DEVICE, "Quarantine", "st", "broken", UINT64_C(0)), "");
        must_bind(FIRST);
        world_end_daemon(world);
        ck_assert_int_ge(tree_remove(world->tree, NIC), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &(TreePci) { .address = NIC, .vendor = 0x1b36, .device = 0x10, .class = 0x10802, .group = 13 }), 0);
        ck_assert_int_ge(tree_remove(world->tree, FIRST), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &(TreePci) { .address = FIRST, .vendor = 0x1b36, .device = 0x10, .class = 0x10802, .group = 26 }), 0);
        world_start_daemon(world);
        ck_assert_str_eq(device_property(world, NIC, "Availability"), "host");
        ck_assert_str_eq(device_property(world, FIRST, "RestoreDriver"), "");
        ck_assert_str_eq(device_property(world, SECOND, "RestoreDriver"), "e1000");
        ck_assert_str_eq(restore_device(world, SECOND), "");
        ck_assert_str_eq(driver_state(world, SECOND), "e1000 (null)");
        ck_assert_uint_eq(vfio_called(world, FIRST " probe"), 1); /* the first one */
}
END_TEST

/* What it was before are its virtual functions. */
START_TEST(one_way_back_is_under_way_at_a_time_without_a_group_either) {
        char number[] = "sys/bus/pci/devices/" LONELY "/sriov_numvfs";
        _cleanup_(freep) char *text = NULL;
        Call call;

        ck_assert_str_ne(set_functions(world, LONELY, 2), "");
        ck_assert_uint_eq(count_origins(world), 1);
        vfio_fail(world, LONELY, "numvfs-hangs", "");
        call_change_driver(&call, world->bus, LONELY, false);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        for (int times = 0; times < 5; times++)
                ck_assert_str_eq(restore_device(world, LONELY), REFUSED("HeldElsewhere"));
        ck_assert(!call.answered);
        vfio_fail(world, LONELY, "numvfs-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, "");
        text = world_read(world, number);
        ck_assert_str_eq(text, "0\n");
        call_end(&call);
}
END_TEST

START_TEST(driver_that_is_not_loaded_any_more_is_named_and_waited_for) {
        char path[PATH_MAX], away[PATH_MAX];

        snprintf(path, sizeof(path), "%s/sys/bus/pci/drivers/e1000e", tree_root(world->tree));
        snprintf(away, sizeof(away), "%s/away", tree_root(world->tree));
        must_bind(NIC);
        ck_assert_int_eq(rename(path, away), 0);
        for (int times = 0; times < 2; times++) {
                ck_assert_str_eq(restore_device(world, NIC), REFUSED("DriverBindFailed"));
                ck_assert_msg(strstr(ask_message(), "modprobe e1000e"), "%s", ask_message());
                ck_assert_str_eq(driver_state(world, NIC), "- (null)");
                ck_assert_str_eq(device_property(world, NIC, "RestoreDriver"), "e1000e");
        }
        ck_assert_int_eq(rename(away, path), 0);
        ck_assert_str_eq(restore_device(world, NIC), "");
        ck_assert(all_is_as_before());
}
END_TEST

/* Of the same kind, at the same address, and on VFIO, too */
START_TEST(another_one_of_the_same_kind_does_not_get_it_either) {
        const TreePci nic = { .address = NIC, .vendor = 0x8086, .device = 0x10d3, .subsystem_vendor = 0x8086,
                               .class = 0x20000, .group = 13, .driver = "vfio-pci", .reset_methods = "flr" };
        Grant *grant;

        must_bind(NIC);
        grant = _i == 0 ? NULL : must_acquire(world->bus, NIC);
        world_end_daemon(world);
        ck_assert_int_ge(tree_remove(world->tree, NIC), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &nic), 0);
        world_start_daemon(world);
        ck_assert_str_eq(device_property(world, NIC, "RestoreDriver"), "");
        grant_free(grant);
        WAIT_FOR(world, device_is(world, NIC, "available"));
        ck_assert_str_eq(restore_device(world, NIC), INVALID_ARGS);
        ck_assert_str_eq(driver_state(world, NIC), "vfio-pci (null)");
        check_nothing_held(world);
}
END_TEST

static void check_many(const char *driver, const char *without, const char *but) {
        for (unsigned i = 0; i < MANY; i++)
                if (strcmp(one_of_many(i), but) != 0)
                        ck_assert_str_eq(driver_state(world, one_of_many(i)), i == 0 ? "pcieport (null)" : i % 5 == 0 ? without : driver);
}

START_TEST(group_of_many_goes_and_comes_back_as_one) {
        Grant *grant = must_acquire(world->bus, one_of_many(10)); /* which had no driver, as others that stay without */

        check_many("vfio-pci vfio-pci", "- (null)", one_of_many(10));
        ck_assert_str_eq(driver_state(world, one_of_many(10)), "vfio-pci vfio-pci");
        world_crash_daemon(world);
        grant_free(grant);
        WAIT_FOR(world, device_is(world, one_of_many(10), "host"));
        check_many("e1000 (null)", "- (null)", "");
        check_nothing_held(world);
}
END_TEST

START_TEST(group_of_too_many_is_refused_whole) {
        ck_assert_str_eq(bind_device(world, one_of_too_many(0)),
                         REFUSED("DriverBindFailed"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = one_of_too_many(0) }), REFUSED("DriverBindFailed"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = "group:41" }), REFUSED("QuotaExceeded"));
        for (unsigned i = 0; i < TOO_MANY; i++)
                ck_assert_str_eq(driver_state(world, one_of_too_many(i)), "e1000 (null)");
        check_nothing_held(world);

        /* With one less it is companions that are refused, as asked. */
        ck_assert_int_ge(tree_set_driver(world->tree, one_of_too_many(TOO_MANY - 1), NULL), 0);
        ck_assert_str_eq(ask(world->bus, device_path(one_of_too_many(0)), VFB_INTERFACE_DEVICE, "Bind", "sa{sv}t", "", 1, "companions",
                             "s", "refuse", UINT64_C(0)), REFUSED("NotViable"));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("give-back");
        TCase *tcase = suite_add_case(suite, "give-back", make_world, end_world);
        TCase *many = suite_add_case(suite, "many", make_world_of_many, end_world);
        TCase *too_many = suite_add_case(suite, "too-many", make_world_of_too_many, end_world);

        tcase_add_test(many, group_of_many_goes_and_comes_back_as_one);
        tcase_add_test(too_many, group_of_too_many_is_refused_whole);
        tcase_add_test(tcase, child_that_dies_on_the_way_back_is_followed_by_another);
        tcase_add_test(tcase, where_each_child_dies_it_is_kept_for_another_try);
        tcase_add_loop_test(tcase, way_back_of_a_group_that_is_half_written_down_is_gone_by_all, 0, 2);
        tcase_add_test(tcase, what_is_leased_is_not_brought_back_by_the_next_daemon);
        tcase_add_loop_test(tcase, device_that_goes_in_the_middle_is_gone_and_the_other_is_as_it_was, 0, 2);
        tcase_add_test(tcase, one_way_back_is_under_way_at_a_time_without_a_group_either);
        tcase_add_test(tcase, driver_that_is_not_loaded_any_more_is_named_and_waited_for);
        tcase_add_loop_test(tcase, another_one_of_the_same_kind_does_not_get_it_either, 0, 2);
        tcase_add_test(tcase, another_device_does_not_get_what_was_before);
        return suite_run(suite);
}
