/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices of other buses than PCI's: from the list to a lease and back. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define DMA_NAME  "fe000000.dma"
#define DMA       "platform:" DMA_NAME
#define HOST_NAME "fe010000.ethernet"
#define HOST      "platform:" HOST_NAME
#define UUID      "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define MDEV      "mdev:" UUID
#define LOOSE     "mdev:a297db4a-f4c2-11e6-90f6-d3b88d6c9525"

static World *world;

static int build(Tree *tree) {
        int r = tree_add_document(tree);

        if (r >= 0)
                r = tree_add_other(tree, "platform", DMA_NAME, "vfio-platform", 60);
        if (r >= 0)
                r = tree_add_other(tree, "platform", HOST_NAME, "macb", 61);
        if (r >= 0)
                r = tree_add_other(tree, "platform", "serial8250", "serial8250", -1);
        if (r >= 0)
                r = tree_add_other(tree, "mdev", UUID, "vfio_mdev", 62);
        return r < 0 ? r : tree_add_other(tree, "mdev", &LOOSE[strlen("mdev:")], NULL, -1);
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build });
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *get_device(const char *selector) {
        return ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", selector);
}

START_TEST(they_are_in_the_model) {
        const char *list = ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListDevices", "a{sv}t", 0, UINT64_C(0));

        ck_assert_msg(strstr(list, "(" DMA " " VFB_PATH_DEVICE "/platform_fe000000_2edma vfio-platform available"), "%s", list);
        ck_assert_msg(strstr(list, "(" HOST " "), "%s", list);
        ck_assert_msg(strstr(list, "(" MDEV " "), "%s", list);
        ck_assert_msg(strstr(list, "(" LOOSE " "), "%s", list);
        ck_assert_ptr_null(strstr(list, "serial8250"));

        ck_assert_str_eq(device_property(world, DMA, "Kind"), "platform");
        ck_assert_str_eq(device_property(world, MDEV, "Kind"), "mdev");
        ck_assert_str_eq(device_property(world, MDEV, "Id"), MDEV);
        ck_assert_str_eq(device_property(world, MDEV, "SysfsPath"), "/sys/devices/mdev/" UUID);
        ck_assert_str_eq(device_property(world, DMA, "IsVfioDriver"), "yes");
        ck_assert_str_eq(device_property(world, HOST, "Availability"), "host");
        ck_assert_str_eq(device_property(world, DMA, "Group"), VFB_PATH_GROUP "/60");
        ck_assert_str_eq(get_device(MDEV), device_path(MDEV));
        ck_assert_str_eq(get_device("mdev:"), REFUSED("InvalidSelector"));
        ck_assert_str_eq(get_device("mdev:../../pci"), REFUSED("NoSuchDevice"));
        ck_assert_str_eq(get_device("platform:fe0000.none"), REFUSED("NoSuchDevice"));

        /* one that is there, but none of ours, is told why */
        ck_assert_str_eq(get_device("platform:serial8250"), REFUSED("IommuDisabled"));
        ck_assert_msg(strstr(ask_message(), "platform:serial8250 is in no IOMMU group"), "%s", ask_message());
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = "platform:serial8250" }), REFUSED("IommuDisabled"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = "platform:fe0000.none" }), REFUSED("NoSuchDevice"));
        ck_assert_str_eq(device_property(world, HOST, "Bindable"), "yes");
        ck_assert_str_eq(device_property(world, MDEV, "Bindable"), "no");
        ck_assert_str_eq(device_property(world, "0000:00:1e.0", "Bindable"), "no");
}
END_TEST

/* What is PCI's is not asked of them, nor made up. */
START_TEST(they_have_no_facet_of_pci) {
        ck_assert_int_eq(ask_property(world->bus, device_path(DMA), VFB_INTERFACE_PCI, "Address")[0], '!');
        ck_assert_int_ne(ask_property(world->bus, device_path("0000:03:00.0"), VFB_INTERFACE_PCI, "Address")[0], '!');
        ck_assert_str_eq(device_property(world, DMA, "ResetScope"), "[]");
        ck_assert_str_eq(device_property(world, DMA, "HostUses"), "[]");
        ck_assert_str_eq(device_property(world, DMA, "ResetMethods"), "[vfio]");
}
END_TEST

static void check_lease(const char *id, const char *name, unsigned group) {
        char role[96], line[128];

        for (unsigned times = 1; times <= 3; times++) {
                Grant *grant = must_acquire(world->bus, id);

                snprintf(role, sizeof(role), "device:%s", id);
                ck_assert_ptr_nonnull(grant_find(grant, role));
                snprintf(line, sizeof(line), "%s open 0", name);
                ck_assert_uint_ge(vfio_called(world, line), 1);
                snprintf(line, sizeof(line), "[%s]", device_path(id));
                ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Devices"), line);
                ck_assert_str_eq(device_property(world, id, "Availability"), "leased");
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = id }), REFUSED("Leased"));
                snprintf(line, sizeof(line), "group:%u", group);
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = line }), REFUSED("Leased"));
                ck_assert_str_eq(grant_get_fds(grant, world->bus, role), "");
                grant_free(grant);
                WAIT_FOR(world, is_free(world, id));
                ck_assert_uint_eq(vfio_resets(world, name), 2 * times); /* before it is handed out, and afterwards */
        }
        check_nothing_held(world);
}

START_TEST(they_are_had_by_their_groups) {
        check_lease(DMA, DMA_NAME, 60);
        check_lease(MDEV, UUID, 62);
}
END_TEST

/* Whoever asks for more descriptors has the device in use. */
START_TEST(a_device_in_use_is_not_reset) {
        Grant *grant = must_acquire(world->bus, DMA);
        unsigned n = vfio_resets(world, DMA_NAME);

        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" DMA), "");
        ck_assert_uint_eq(vfio_resets(world, DMA_NAME), n);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, DMA));
}
END_TEST

START_TEST(what_is_made_and_not_bound_says_so) {
        ck_assert_str_eq(bind_device(world, LOOSE), INVALID_ARGS);
        ck_assert_msg(strstr(ask_message(), "kind mdev") && strstr(ask_message(), "mdevctl start --uuid=a297db4a"), "%s", ask_message());
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = LOOSE }), REFUSED("IommuDisabled"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = HOST }), REFUSED("NotVfio"));
        ck_assert_ptr_nonnull(strstr(device_property(world, HOST, "Blockers"), "bind it: vfio-broker bind " HOST));
        ck_assert_str_eq(device_property(world, HOST, "Driver"), "macb");
        ck_assert_uint_eq(vfio_called(world, "open"), 0);
}
END_TEST

START_TEST(they_come_and_go) {
        Grant *grant = must_acquire(world->bus, MDEV);
        char line[192];

        ck_assert_int_ge(tree_remove_other(world->tree, "mdev", UUID), 0);
        udev_send_other(world, "remove", "mdev", UUID);
        snprintf(line, sizeof(line), "%s DeviceGone %s unplug", grant->lease, device_path(MDEV));
        WAIT_FOR(world, world_signals(world, line) == 1);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        ck_assert_uint_eq(world_signals(world, VFB_PATH " DeviceRemoved " MDEV), 1);

        ck_assert_int_ge(tree_add_other(world->tree, "platform", "fe020000.dma", "vfio-platform", 63), 0);
        udev_send_other(world, "add", "platform", "fe020000.dma");
        udev_send_other(world, "add", "platform", "serial8250");
        WAIT_FOR(world, world_signals(world, VFB_PATH " DeviceNew platform:fe020000.dma") == 1);
        ck_assert_uint_eq(world_signals(world, "DeviceNew"), 1);
        grant_free(must_acquire(world->bus, "platform:fe020000.dma"));
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 2);
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("kinds");
        TCase *tcase = suite_add_case(suite, "kinds", make_world, end_world);

        tcase_add_test(tcase, they_are_in_the_model);
        tcase_add_test(tcase, they_have_no_facet_of_pci);
        tcase_add_test(tcase, they_are_had_by_their_groups);
        tcase_add_test(tcase, a_device_in_use_is_not_reset);
        tcase_add_test(tcase, what_is_made_and_not_bound_says_so);
        if (world_is_root())
                tcase_add_test(tcase, they_come_and_go);
        return suite_run(suite);
}
