/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices that come, go and change their driver, with the test as udev. Needs root: only root's messages count. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "watch.h"

#define NVME   "0000:03:00.0"
#define EDU    "0000:01:00.0"
#define SHARED "0000:06:0d.0"

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *device_property(const char *address, const char *name) {
        return ask_property(world->bus, device_path(address), VFB_INTERFACE_DEVICE, name);
}

START_TEST(change_of_driver_is_followed) {
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", "e1000"), 0);
        udev_send(world, "bind", "0000:06:0d.1");
        WAIT_FOR(world, strcmp(device_property("0000:06:0d.1", "Driver"), "e1000") == 0);
        ck_assert_str_eq(device_property("0000:06:0d.1", "Availability"), "host");
        ck_assert_str_eq(device_property(SHARED, "Availability"), "not-viable");
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "Viable"), "no");
        WAIT_FOR(world, world_signals(world, "{Driver e1000}") > 0);
        WAIT_FOR(world, world_signals(world, "{Availability not-viable}") > 0);
        WAIT_FOR(world, world_signals(world, "{Viable no}") > 0);

        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", NULL), 0);
        udev_send(world, "unbind", "0000:06:0d.1");
        WAIT_FOR(world, strcmp(device_property("0000:06:0d.1", "Driver"), "") == 0);
        ck_assert_str_eq(device_property(SHARED, "Availability"), "available");
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:02:00.0", "vfio-pci"), 0);
        udev_send(world, "bind", "0000:02:00.0");
        WAIT_FOR(world, strcmp(device_property("0000:02:00.0", "Availability"), "available") == 0);
        grant_free(must_acquire(world->bus, "0000:02:00.0"));
}
END_TEST

START_TEST(news_without_news_tell_nobody) {
        for (int times = 0; times < 20; times++)
                udev_send(world, "change", NVME);
        udev_send(world, "change", "0000:99:00.0");
        udev_send(world, "change", "../../etc/passwd");
        ck_assert_int_ge(tree_set_driver(world->tree, EDU, NULL), 0);
        udev_send(world, "unbind", EDU); /* known to come last */
        WAIT_FOR(world, strcmp(device_property(EDU, "Driver"), "") == 0);
        ck_assert_uint_eq(world_signals(world, device_path(NVME)), 0);
        ck_assert_uint_eq(world_signals(world, "DeviceNew"), 0);
        ck_assert_uint_eq(world_signals(world, "DeviceRemoved"), 0);
}
END_TEST

START_TEST(device_comes_and_goes) {
        TreePci card = { .address = "0000:07:00.0", .driver = "vfio-pci", .reset_methods = "flr", .class = 0x020000, .vendor = 0x8086,
                         .device = 0x10d3, .group = 50, .numa_node = -1 };
        char generation[32] = "", line[256];

        for (int times = 0; times < 5; times++) {
                ck_assert_int_ge(tree_add_pci(world->tree, &card), 0);
                udev_send(world, "add", card.address);
                snprintf(line, sizeof(line), VFB_PATH " DeviceNew %s %s", card.address, device_path(card.address));
                WAIT_FOR(world, world_signals(world, line) == 1);
                WAIT_FOR(world, world_signals(world, "InterfacesAdded " VFB_PATH_GROUP "/50") == 1);
                ck_assert_str_ne(device_property(card.address, "Generation"), generation);
                snprintf(generation, sizeof(generation), "%s", device_property(card.address, "Generation"));
                ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/50", VFB_INTERFACE_GROUP, "Viable"), "yes");

                ck_assert_int_ge(tree_remove(world->tree, card.address), 0);
                udev_send(world, "remove", card.address);
                snprintf(line, sizeof(line), VFB_PATH " DeviceRemoved %s %s", card.address, device_path(card.address));
                WAIT_FOR(world, world_signals(world, line) == 1);
                WAIT_FOR(world, world_signals(world, "InterfacesRemoved " VFB_PATH_GROUP "/50") == 1);
                ck_assert_int_eq(device_property(card.address, "Id")[0], '!');
                world_forget_signals(world);
        }
}
END_TEST

START_TEST(device_that_leaves_takes_its_lease_along) {
        Grant *grant = must_acquire(world->bus, NVME);
        char line[256];

        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        udev_send(world, "remove", NVME);
        snprintf(line, sizeof(line), "%s DeviceGone %s unplug", grant->lease, device_path(NVME));
        WAIT_FOR(world, world_signals(world, line) == 1);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        grant_close_fds(grant);
        snprintf(line, sizeof(line), " %s removed", grant->lease);
        WAIT_FOR(world, world_signals(world, line) == 1);
        ck_assert_uint_eq(world_signals(world, "LeaseRemoved"), 1);
        check_nothing_held(world);
        grant_free(grant);
}
END_TEST

START_TEST(lease_goes_on_with_what_is_left) {
        Grant *grant = must_acquire(world->bus, NVME "," EDU);
        char line[256];

        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "nvme"), 0);
        udev_send(world, "bind", NVME);
        snprintf(line, sizeof(line), "%s DeviceGone %s driver", grant->lease, device_path(NVME));
        WAIT_FOR(world, world_signals(world, line) == 1);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        snprintf(line, sizeof(line), "[%s]", device_path(EDU));
        ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Devices"), line);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME), REFUSED("DeviceGone"));
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" EDU), "");
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        check_nothing_held(world);
        ck_assert_str_eq(device_property(EDU, "Availability"), "available");
        ck_assert_str_eq(device_property(NVME, "Availability"), "host");
}
END_TEST

START_TEST(only_the_holder_is_told_that_a_device_went) {
        sd_bus *holder = world_connect(world, USER);
        Grant *grant = must_acquire(holder, NVME);

        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        udev_send(world, "remove", NVME);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        ck_assert_uint_eq(world_signals(world, "DeviceGone"), 0);
        sd_bus_flush_close_unref(holder);
}
END_TEST

START_TEST(device_that_leaves_during_a_slow_open_is_gone) {
        Pending slow;

        vfio_fail(world, NVME, "open-delay-ms", "300");
        pending_start(&slow, world->bus, &(Request) { .wants = NVME "," EDU });
        WAIT_FOR(world, vfio_called(world, "container set-iommu 0") == 1);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        udev_send(world, "remove", NVME);
        WAIT_FOR(world, slow.answered);
        ck_assert_str_eq(slow.refusal, REFUSED("DeviceGone"));
        pending_end(&slow);
        WAIT_FOR(world, strcmp(device_property(EDU, "Availability"), "available") == 0);
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("uevent");
        TCase *tcase = tcase_create("uevent");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, make_world, end_world);
        if (world_is_root()) {
                tcase_add_test(tcase, change_of_driver_is_followed);
                tcase_add_test(tcase, news_without_news_tell_nobody);
                tcase_add_test(tcase, device_comes_and_goes);
                tcase_add_test(tcase, device_that_leaves_takes_its_lease_along);
                tcase_add_test(tcase, lease_goes_on_with_what_is_left);
                tcase_add_test(tcase, only_the_holder_is_told_that_a_device_went);
                tcase_add_test(tcase, device_that_leaves_during_a_slow_open_is_gone);
        }
        srunner_run_all(runner, CK_ENV);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
