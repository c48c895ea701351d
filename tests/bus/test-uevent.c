/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices that come, go and change their driver, with the test as udev. Needs root: only root's messages count. */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME   "0000:03:00.0"
#define EDU    "0000:01:00.0"
#define SHARED "0000:06:0d.0"

/* After the half of that the daemon may look again. */
#define LEAVE_USEC UINT64_C(250000)

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void end_world(void) {
        world = world_stop(world);
}

START_TEST(change_of_driver_is_followed) {
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", "e1000"), 0);
        udev_send(world, "bind", "0000:06:0d.1");
        WAIT_FOR(world, strcmp(device_property(world, "0000:06:0d.1", "Driver"), "e1000") == 0);
        ck_assert_str_eq(device_property(world, "0000:06:0d.1", "Availability"), "host");
        ck_assert_str_eq(device_property(world, SHARED, "Availability"), "not-viable");
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "Viable"), "no");
        WAIT_FOR(world, world_signals(world, "{Driver e1000}") > 0);
        WAIT_FOR(world, world_signals(world, "{Availability not-viable}") > 0);
        WAIT_FOR(world, world_signals(world, "{Viable no}") > 0);

        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", NULL), 0);
        udev_send(world, "unbind", "0000:06:0d.1");
        WAIT_FOR(world, strcmp(device_property(world, "0000:06:0d.1", "Driver"), "") == 0);
        ck_assert_str_eq(device_property(world, SHARED, "Availability"), "available");
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:02:00.0", "vfio-pci"), 0);
        udev_send(world, "bind", "0000:02:00.0");
        WAIT_FOR(world, strcmp(device_property(world, "0000:02:00.0", "Availability"), "available") == 0);
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
        WAIT_FOR(world, strcmp(device_property(world, EDU, "Driver"), "") == 0);
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
                ck_assert_str_ne(device_property(world, card.address, "Generation"), generation);
                snprintf(generation, sizeof(generation), "%s", device_property(world, card.address, "Generation"));
                ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/50", VFB_INTERFACE_GROUP, "Viable"), "yes");

                ck_assert_int_ge(tree_remove(world->tree, card.address), 0);
                udev_send(world, "remove", card.address);
                snprintf(line, sizeof(line), VFB_PATH " DeviceRemoved %s %s", card.address, device_path(card.address));
                WAIT_FOR(world, world_signals(world, line) == 1);
                WAIT_FOR(world, world_signals(world, "InterfacesRemoved " VFB_PATH_GROUP "/50") == 1);
                ck_assert_int_eq(device_property(world, card.address, "Id")[0], '!');
                world_forget_signals(world);
        }
}
END_TEST

/* Nobody hears of a change of what he has not been told is there; and a change is told of once. */
START_TEST(newcomer_is_announced_before_its_group_has_changed) {
        TreePci card = { .address = "0000:06:0d.2", .driver = "e1000", .class = 0x020000, .vendor = 0x8086, .device = 0x100e, .group = 26,
                         .numa_node = -1 };
        char added[256], changed[256], group[256];

        snprintf(added, sizeof(added), VFB_PATH " InterfacesAdded %s ", device_path(card.address));
        snprintf(changed, sizeof(changed), "%s PropertiesChanged ", device_path(card.address));
        snprintf(group, sizeof(group), VFB_PATH_GROUP "/26 PropertiesChanged ");
        ck_assert_int_ge(tree_add_pci(world->tree, &card), 0);
        udev_send(world, "add", card.address);
        WAIT_FOR(world, world_signals(world, "{Viable no}") > 0);
        WAIT_FOR(world, world_signals(world, changed) > 0);
        ck_assert_uint_eq(world_signals(world, added), 1);
        ck_assert(strstr(world->signals, added) < strstr(world->signals, changed));
        ck_assert_uint_eq(world_signals(world, group), 1);
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
        ck_assert_str_eq(device_property(world, EDU, "Availability"), "available");
        ck_assert_str_eq(device_property(world, NVME, "Availability"), "host");
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

        vfio_fail(world, NVME, "open-hangs", "");
        pending_start(&slow, world->bus, &(Request) { .wants = NVME "," EDU });
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        udev_send(world, "remove", NVME);
        WAIT_FOR(world, world_signals(world, "DeviceRemoved") == 1);
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, slow.answered);
        ck_assert_str_eq(slow.refusal, REFUSED("DeviceGone"));
        pending_end(&slow);
        WAIT_FOR(world, is_free(world, EDU));
        check_nothing_held(world);
}
END_TEST

static const TreePci nvme = { .address = NVME, .driver = "vfio-pci", .reset_methods = "flr bus", .class = 0x010802, .vendor = 0x1b36,
                              .device = 0x0010, .subsystem_vendor = 0x1af4, .subsystem_device = 0x1100, .group = 14, .numa_node = -1 };

/* Word of one that has gone may come when another of its kind is there, or when that word is known. */
START_TEST(word_of_one_that_was_there_before_is_no_news) {
        Grant *grant = must_acquire(world->bus, NVME);

        for (int times = 0; times < 20; times++)
                udev_send(world, times % 2 ? "add" : "remove", NVME);
        udev_send(world, "remove", EDU "0");
        ck_assert_int_ge(tree_set_driver(world->tree, EDU, NULL), 0);
        udev_send(world, "unbind", EDU); /* known to come last */
        WAIT_FOR(world, strcmp(device_property(world, EDU, "Driver"), "") == 0);
        ck_assert_uint_eq(world_signals(world, "DeviceNew") + world_signals(world, "DeviceRemoved") + world_signals(world, "DeviceGone"), 0);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
}
END_TEST

/* Gone and come again before anybody looked, and nothing in /sys looks different. */
START_TEST(another_one_like_it_is_not_the_one_that_was_leased) {
        Grant *grant = must_acquire(world->bus, NVME);
        char generation[32], line[256];

        snprintf(generation, sizeof(generation), "%s", device_property(world, NVME, "Generation"));
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &nvme), 0);
        udev_send(world, "change", NVME);
        snprintf(line, sizeof(line), "%s DeviceGone %s unplug", grant->lease, device_path(NVME));
        WAIT_FOR(world, world_signals(world, line) == 1);
        WAIT_FOR(world, world_signals(world, VFB_PATH " DeviceNew " NVME) == 1);
        ck_assert_uint_eq(world_signals(world, VFB_PATH " DeviceRemoved " NVME), 1);
        ck_assert_str_ne(device_property(world, NVME, "Generation"), generation);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        WAIT_FOR(world, is_free(world, NVME));
        grant_free(must_acquire(world->bus, NVME));
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 2);
        check_nothing_held(world);
}
END_TEST

/* The daemon does not get to run, and more is said than there is room for. */
START_TEST(nothing_is_missed_when_messages_are_lost) {
        TreePci card = { .address = "0000:07:00.0", .class = 0x020000, .vendor = 0x8086, .device = 0x10d3, .group = 50, .numa_node = -1 };
        char generation[32];

        snprintf(generation, sizeof(generation), "%s", device_property(world, NVME, "Generation"));
        ck_assert_int_eq(kill(world->daemon_pid, SIGSTOP), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &card), 0);
        ck_assert_int_ge(tree_remove(world->tree, EDU), 0);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &nvme), 0);
        udev_flood(world);
        ck_assert_int_eq(kill(world->daemon_pid, SIGCONT), 0);

        WAIT_FOR(world, world_signals(world, VFB_PATH " DeviceNew 0000:07:00.0") == 1);
        WAIT_FOR(world, world_signals(world, VFB_PATH " DeviceRemoved " EDU) == 1);
        WAIT_FOR(world, world_signals(world, VFB_PATH " DeviceNew " NVME) == 1);
        ck_assert_str_ne(device_property(world, NVME, "Generation"), generation);
        ck_assert_int_eq(device_property(world, EDU, "Id")[0], '!');
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

/* As after "remove" and "rescan" in another order: two groups have each other's number. */
START_TEST(groups_that_change_numbers_are_followed) {
        TreePci first = { .address = EDU, .driver = "vfio-pci", .class = 0x00ff00, .vendor = 0x1234, .device = 0x11e8, .group = 14,
                          .numa_node = -1 },
                second = nvme;
        Grant *grant;
        char line[256];

        second.group = 12;
        ck_assert_int_ge(tree_remove(world->tree, EDU), 0);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &first), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &second), 0);
        udev_send(world, "add", NVME);
        udev_send(world, "remove", EDU);
        udev_send(world, "remove", NVME);
        udev_send(world, "add", EDU);

        WAIT_FOR(world, strcmp(device_property(world, EDU, "Group"), VFB_PATH_GROUP "/14") == 0);
        WAIT_FOR(world, strcmp(device_property(world, NVME, "Group"), VFB_PATH_GROUP "/12") == 0);
        snprintf(line, sizeof(line), "[%s]", device_path(NVME));
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/12", VFB_INTERFACE_GROUP, "Devices"), line);
        grant = must_acquire(world->bus, NVME);
        snprintf(line, sizeof(line), "[%s]", grant->lease);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/12", VFB_INTERFACE_GROUP, "Leases"), line);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/14", VFB_INTERFACE_GROUP, "Leases"), "[]");
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        check_nothing_held(world);
}
END_TEST

/* The kernel has begun to take it and waits: who has it is asked, and named, and the kernel is not in a hurry. */
START_TEST(who_keeps_a_device_that_is_to_go_is_told) {
        Grant *grant = must_acquire(world->bus, NVME);
        char line[256];

        ck_assert_int_ge(tree_begin_unbind(world->tree, NVME), 0);
        udev_send_vfio(world, "remove", NVME);
        snprintf(line, sizeof(line), "%s DeviceGone %s driver", grant->lease, device_path(NVME));
        WAIT_FOR(world, world_signals(world, line) == 1);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        ck_assert_str_eq(device_property(world, NVME, "Driver"), "vfio-pci");
        ck_assert_str_eq(device_property(world, NVME, "Availability"), "leased");
        WAIT_FOR(world, daemon_logged(world, "The kernel takes " NVME " from driver vfio-pci, and waits for ") == 1);

        for (int times = 0; times < 20; times++)
                udev_send(world, "change", NVME);
        grant_close_fds(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        ck_assert_str_eq(device_property(world, NVME, "Availability"), "held");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("HeldElsewhere"));
        ck_assert_uint_eq(world_signals(world, "DeviceGone"), 1);

        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        udev_send(world, "remove", NVME);
        WAIT_FOR(world, world_signals(world, VFB_PATH " DeviceRemoved " NVME) == 1);
        grant_free(grant);
        check_nothing_held(world);
}
END_TEST

/* The kernel says so before /sys shows it. */
START_TEST(word_that_comes_too_early_is_not_forgotten) {
        Grant *grant = must_acquire(world->bus, NVME);
        uint64_t begin = world_now();
        char line[256];

        udev_send_vfio(world, "remove", NVME);
        udev_send(world, "change", EDU);
        ck_assert_int_ge(tree_set_driver(world->tree, EDU, NULL), 0);
        udev_send(world, "unbind", EDU); /* known to come last */
        WAIT_FOR(world, strcmp(device_property(world, EDU, "Driver"), "") == 0);
        ck_assert_int_ge(tree_begin_unbind(world->tree, NVME), 0);
        if (world_now() - begin > LEAVE_USEC)
                udev_send_vfio(world, "remove", NVME); /* on so slow a machine that it is not too early any more */
        snprintf(line, sizeof(line), "%s DeviceGone %s driver", grant->lease, device_path(NVME));
        WAIT_FOR(world, world_signals(world, line) == 1);
        WAIT_FOR(world, daemon_logged(world, "The kernel takes " NVME) == 1);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        check_nothing_held(world);
}
END_TEST

/* Who has closed it already need not be asked, and a driver may change its mind. On so slow a machine that what is done
 * at once takes too long nothing can be told of that. */
START_TEST(who_lets_go_at_once_is_not_asked) {
        Grant *grant = must_acquire(world->bus, NVME);
        uint64_t begin, until;
        char line[256];

        ck_assert_int_eq(kill(world->daemon_pid, SIGSTOP), 0);
        ck_assert_int_ge(tree_begin_unbind(world->tree, NVME), 0);
        udev_send_vfio(world, "remove", NVME);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        udev_send(world, "remove", NVME);
        ck_assert_int_eq(kill(world->daemon_pid, SIGCONT), 0);
        snprintf(line, sizeof(line), "%s DeviceGone %s unplug", grant->lease, device_path(NVME));
        WAIT_FOR(world, world_signals(world, line) == 1);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);

        begin = world_now();
        ck_assert_int_ge(tree_begin_unbind(world->tree, EDU), 0);
        udev_send_vfio(world, "remove", EDU);
        WAIT_FOR(world, device_is(world, EDU, "held"));
        ck_assert_int_ge(tree_set_driver(world->tree, EDU, NULL), 0);
        until = world_now();
        udev_send(world, "unbind", EDU);
        WAIT_FOR(world, device_is(world, EDU, "host"));
        ck_assert_int_ge(tree_set_driver(world->tree, EDU, "vfio-pci"), 0);
        udev_send(world, "bind", EDU);
        WAIT_FOR(world, is_free(world, EDU));
        ck_assert_uint_eq(daemon_logged(world, "The kernel takes " NVME), 0);
        ck_assert(daemon_logged(world, "The kernel takes ") == 0 || until - begin > LEAVE_USEC);
        grant_free(must_acquire(world->bus, EDU));
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 2);
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("uevent");
        TCase *tcase = suite_add_case(suite, "uevent", make_world, end_world);

        if (world_is_root()) {
                tcase_add_test(tcase, change_of_driver_is_followed);
                tcase_add_test(tcase, news_without_news_tell_nobody);
                tcase_add_test(tcase, device_comes_and_goes);
                tcase_add_test(tcase, newcomer_is_announced_before_its_group_has_changed);
                tcase_add_test(tcase, device_that_leaves_takes_its_lease_along);
                tcase_add_test(tcase, lease_goes_on_with_what_is_left);
                tcase_add_test(tcase, only_the_holder_is_told_that_a_device_went);
                tcase_add_test(tcase, device_that_leaves_during_a_slow_open_is_gone);
                tcase_add_test(tcase, word_of_one_that_was_there_before_is_no_news);
                tcase_add_test(tcase, another_one_like_it_is_not_the_one_that_was_leased);
                tcase_add_test(tcase, nothing_is_missed_when_messages_are_lost);
                tcase_add_test(tcase, groups_that_change_numbers_are_followed);
                tcase_add_test(tcase, who_keeps_a_device_that_is_to_go_is_told);
                tcase_add_test(tcase, word_that_comes_too_early_is_not_forgotten);
                tcase_add_test(tcase, who_lets_go_at_once_is_not_asked);
        }
        return suite_run(suite);
}
