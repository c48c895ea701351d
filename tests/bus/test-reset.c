/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How devices are reset between two leases, and who may have them then. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "watch.h"

#define EDU       "0000:06:0d.0"
#define NIC       "0000:06:0d.1" /* without a reset of its own */
#define NEIGHBOUR "0000:06:0e.0" /* on their bus, in a group of its own */
#define NVME      "0000:03:00.0"
#define NO_RESET  "0000:00:10.0"

#define BUS "bus (scope: 2 devices)"

static World *world;
static sd_bus *other;

static int build_neighbour(Tree *tree) {
        TreePci card = { .address = NEIGHBOUR, .parent = "0000:00:1e.0", .driver = "vfio-pci", .class = 0x020000,
                         .vendor = 0x8086, .device = 0x100e, .group = 30, .numa_node = -1 };
        int r;

        r = tree_add_document(tree);
        return r < 0 ? r : tree_add_pci(tree, &card);
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
        other = world_connect(world, OTHER);
}

static void make_world_with_neighbour(void) {
        world_start(&world, &(WorldSpec) { .build = build_neighbour });
        other = world_connect(world, OTHER);
}

static void end_world(void) {
        sd_bus_flush_close_unref(other);
        world = world_stop(world);
}

static const char *availability(const char *address) {
        return ask_property(world->bus, device_path(address), VFB_INTERFACE_DEVICE, "Availability");
}

static bool is_free(const char *address) {
        return strcmp(availability(address), "available") == 0;
}

static unsigned bus_resets(const char *address) {
        char name[64];
        char *text;
        unsigned n;

        snprintf(name, sizeof(name), "fake/bus-resets-%s", address);
        text = world_read(world, name);
        n = strtoul(text, NULL, 10);
        free(text);
        return n;
}

/* A lease from begin to end, and then the devices are free or quarantined. */
static void use(sd_bus *bus, const char *wants) {
        grant_free(must_acquire(bus, wants));
        WAIT_FOR(world, world_signals(world, VFB_PATH " LeaseRemoved ") > 0);
        world_forget_signals(world);
}

/* Nobody may have it, for a reason in which @why is said. */
static void check_quarantined(const char *address, const char *why) {
        ck_assert_str_eq(availability(address), "quarantined");
        for (int times = 0; times < 20; times++) {
                ck_assert_str_eq(refusal_of(other, &(Request) { .wants = address }), REFUSED("Quarantined"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = address }), REFUSED("Quarantined"));
                ck_assert_msg(strstr(ask_message(), why), "%s", ask_message());
        }
        check_nothing_held(world);
}

static void unquarantine(const char *address) {
        ck_assert_str_eq(ask(world->bus, device_path(address), VFB_INTERFACE_DEVICE, "Unquarantine", "t", UINT64_C(0)), "");
}

START_TEST(bus_is_reset_where_the_device_cannot_be) {
        Grant *grant;

        ck_assert_str_eq(ask_property(world->bus, device_path(NIC), VFB_INTERFACE_DEVICE, "ResetScope"),
                         "[/org/vfiobroker1/device/pci_30000_3a06_3a0d_2e0 /org/vfiobroker1/device/pci_30000_3a06_3a0d_2e1]");
        grant = must_acquire(world->bus, NIC);
        ck_assert_str_eq(grant_find(grant, "device:" NIC)->attributes, "{reset none available}");
        ck_assert_uint_eq(bus_resets(NIC), 0);
        grant_free(grant);
        WAIT_FOR(world, is_free(NIC));
        ck_assert_uint_eq(bus_resets(NIC), 1);
        ck_assert_uint_eq(bus_resets(EDU), 1);
        ck_assert_uint_eq(daemon_logged(world, "reset=" BUS), 1);

        grant = must_acquire(other, NIC);
        ck_assert_str_eq(grant_find(grant, "device:" NIC)->attributes, "{reset " BUS "}");
        grant_free(grant);
        WAIT_FOR(world, is_free(NIC));
}
END_TEST

START_TEST(what_the_bus_has_done_is_forgotten_with_the_driver) {
        Grant *grant;

        use(world->bus, NIC);
        ck_assert_int_ge(tree_set_driver(world->tree, NIC, "e1000"), 0);
        udev_send(world, "bind", NIC);
        WAIT_FOR(world, strcmp(availability(NIC), "host") == 0);
        ck_assert_int_ge(tree_set_driver(world->tree, NIC, "vfio-pci"), 0);
        udev_send(world, "bind", NIC);
        WAIT_FOR(world, is_free(NIC));
        grant = must_acquire(world->bus, NIC);
        ck_assert_str_eq(grant_find(grant, "device:" NIC)->attributes, "{reset none available}");
        grant_free(grant);
        WAIT_FOR(world, is_free(NIC));
}
END_TEST

START_TEST(bus_is_left_alone_if_it_has_somebody_elses_device) {
        Grant *grant = must_acquire(other, NEIGHBOUR);

        for (int times = 0; times < 3; times++) {
                use(world->bus, NIC);
                ck_assert_uint_eq(bus_resets(NIC) + bus_resets(NEIGHBOUR), 0);
                ck_assert_str_eq(refusal_of(other, &(Request) { .wants = NIC }), REFUSED("ResetFailed"));
        }
        ck_assert_uint_eq(vfio_called(world, "bus-reset"), 0);
        ck_assert_str_eq(lease_state(other, grant->lease), "active");
        grant_free(grant);
        WAIT_FOR(world, is_free(NEIGHBOUR));
}
END_TEST

START_TEST(bus_is_left_alone_if_it_has_a_device_of_the_host_or_in_quarantine) {
        ck_assert_str_eq(ask(world->bus, device_path(NEIGHBOUR), VFB_INTERFACE_DEVICE, "Quarantine", "st", "evidence", UINT64_C(0)), "");
        use(world->bus, NIC);
        ck_assert_uint_eq(bus_resets(NIC) + bus_resets(NEIGHBOUR), 0);
        unquarantine(NEIGHBOUR);

        ck_assert_int_ge(tree_set_driver(world->tree, NEIGHBOUR, "e1000"), 0);
        udev_send(world, "bind", NEIGHBOUR);
        WAIT_FOR(world, strcmp(availability(NEIGHBOUR), "host") == 0);
        use(world->bus, NIC);
        ck_assert_uint_eq(vfio_called(world, "bus-reset"), 0);
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = NIC }), REFUSED("ResetFailed"));
}
END_TEST

START_TEST(idle_neighbour_is_reset_as_well_and_kept_from_others_meanwhile) {
        vfio_fail(world, NIC, "bus-reset-delay-ms", "500");
        grant_free(must_acquire(world->bus, NIC));
        WAIT_FOR(world, world_signals(world, "{State cleaning}") == 1); /* before, the neighbour is still to be had */
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = NEIGHBOUR }), REFUSED("HeldElsewhere"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "is being reset"));
        vfio_fail(world, NIC, "bus-reset-delay-ms", NULL);
        WAIT_FOR(world, is_free(NIC));
        ck_assert_uint_eq(bus_resets(NEIGHBOUR), 1);
        ck_assert_uint_eq(daemon_logged(world, "reset=bus (scope: 3 devices)"), 1);
        grant_free(must_acquire(other, NEIGHBOUR));
        WAIT_FOR(world, is_free(NEIGHBOUR));
}
END_TEST

START_TEST(device_that_is_not_as_before_is_quarantined) {
        static const struct {
                const char *fault, *why;
        } cases[] = {
                { "silent-after-reset", "does not answer" },
                { "other-after-reset", "another device" },
                { "master-after-reset", "may still do DMA" },
                { "bars-after-reset", "BARs were not restored" },
        };

        vfio_fail(world, NIC, cases[_i].fault, "");
        use(world->bus, NIC);
        check_quarantined(NIC, cases[_i].why);
        ck_assert(is_free(EDU));
}
END_TEST

START_TEST(reset_of_the_bus_that_has_worked_must_go_on_working) {
        vfio_fail(world, NIC, "bus-reset-errno", "25");
        use(world->bus, NIC);
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = NIC }), REFUSED("ResetFailed"));
        vfio_fail(world, NIC, "bus-reset-errno", NULL);
        use(world->bus, NIC);
        use(other, NIC);
        vfio_fail(world, NIC, "bus-reset-errno", "25");
        use(other, NIC);
        check_quarantined(NIC, "its reset after the last lease failed");
        vfio_fail(world, NIC, "bus-reset-errno", NULL);
        unquarantine(NIC);
        use(world->bus, NIC);
        ck_assert(is_free(NIC));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("reset");
        TCase *ladder = tcase_create("ladder"), *neighbour = tcase_create("neighbour");
        SRunner *runner = srunner_create(suite);
        int n;

        tcase_add_checked_fixture(ladder, make_world, end_world);
        tcase_add_checked_fixture(neighbour, make_world_with_neighbour, end_world);
        if (world_is_root()) {
                tcase_add_test(ladder, bus_is_reset_where_the_device_cannot_be);
                tcase_add_test(ladder, what_the_bus_has_done_is_forgotten_with_the_driver);
                tcase_add_loop_test(ladder, device_that_is_not_as_before_is_quarantined, 0, 4);
                tcase_add_test(ladder, reset_of_the_bus_that_has_worked_must_go_on_working);
                tcase_add_test(neighbour, bus_is_left_alone_if_it_has_somebody_elses_device);
                tcase_add_test(neighbour, bus_is_left_alone_if_it_has_a_device_of_the_host_or_in_quarantine);
                tcase_add_test(neighbour, idle_neighbour_is_reset_as_well_and_kept_from_others_meanwhile);
        }
        suite_add_tcase(suite, ladder);
        suite_add_tcase(suite, neighbour);
        srunner_run_all(runner, CK_ENV);
        n = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
