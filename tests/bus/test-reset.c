/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How devices are reset between two leases, and who may have them then. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
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

/* The configuration says something about each device that the tests use. */
static void make_world_with_rules(void) {
        world_start(&world, &(WorldSpec) { .config = "[Reset]\nPolicy=required\n"
                                                     "[Reset class=nvme]\nOneTime=yes\n"
                                                     "[Reset 0000:06:0d.0]\nPolicy=none\n"
                                                     "[Reset 0000:04:00.0]\nPolicy=preferred\n" });
        other = world_connect(world, OTHER);
}

static void end_world(void) {
        sd_bus_flush_close_unref(other);
        world = world_stop(world);
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
        ck_assert_str_eq(device_property(world, address, "Availability"), "quarantined");
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

        ck_assert_str_eq(device_property(world, NIC, "ResetScope"),
                         "[/org/vfiobroker1/device/pci_30000_3a06_3a0d_2e0 /org/vfiobroker1/device/pci_30000_3a06_3a0d_2e1]");
        grant = must_acquire(world->bus, NIC);
        ck_assert_str_eq(grant_find(grant, "device:" NIC)->attributes, "{reset none available}");
        ck_assert_uint_eq(bus_resets(NIC), 0);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NIC));
        ck_assert_uint_eq(bus_resets(NIC), 1);
        ck_assert_uint_eq(bus_resets(EDU), 1);
        ck_assert_uint_eq(daemon_logged(world, "reset=" BUS), 1);

        grant = must_acquire(other, NIC);
        ck_assert_str_eq(grant_find(grant, "device:" NIC)->attributes, "{reset " BUS "}");
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NIC));
}
END_TEST

START_TEST(what_the_bus_has_done_is_forgotten_with_the_driver) {
        Grant *grant;

        use(world->bus, NIC);
        ck_assert_int_ge(tree_set_driver(world->tree, NIC, "e1000"), 0);
        udev_send(world, "bind", NIC);
        WAIT_FOR(world, device_is(world, NIC, "host"));
        ck_assert_int_ge(tree_set_driver(world->tree, NIC, "vfio-pci"), 0);
        udev_send(world, "bind", NIC);
        WAIT_FOR(world, is_free(world, NIC));
        grant = must_acquire(world->bus, NIC);
        ck_assert_str_eq(grant_find(grant, "device:" NIC)->attributes, "{reset none available}");
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NIC));
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
        WAIT_FOR(world, is_free(world, NEIGHBOUR));
}
END_TEST

START_TEST(bus_is_left_alone_if_it_has_a_device_of_the_host_or_in_quarantine) {
        ck_assert_str_eq(ask(world->bus, device_path(NEIGHBOUR), VFB_INTERFACE_DEVICE, "Quarantine", "st", "evidence", UINT64_C(0)), "");
        use(world->bus, NIC);
        ck_assert_uint_eq(bus_resets(NIC) + bus_resets(NEIGHBOUR), 0);
        unquarantine(NEIGHBOUR);

        ck_assert_int_ge(tree_set_driver(world->tree, NEIGHBOUR, "e1000"), 0);
        udev_send(world, "bind", NEIGHBOUR);
        WAIT_FOR(world, device_is(world, NEIGHBOUR, "host"));
        use(world->bus, NIC);
        ck_assert_uint_eq(vfio_called(world, "bus-reset"), 0);
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = NIC }), REFUSED("ResetFailed"));
}
END_TEST

START_TEST(idle_neighbour_is_reset_as_well_and_kept_from_others_meanwhile) {
        vfio_fail(world, NIC, "bus-reset-hangs", "");
        grant_free(must_acquire(world->bus, NIC));
        WAIT_FOR(world, vfio_delayed(world) > 0); /* before, the neighbour is still to be had */
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = NEIGHBOUR }), REFUSED("HeldElsewhere"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "is being reset"));
        vfio_fail(world, NIC, "bus-reset-hangs", NULL);
        WAIT_FOR(world, is_free(world, NIC));
        ck_assert_uint_eq(bus_resets(NEIGHBOUR), 1);
        ck_assert_uint_eq(daemon_logged(world, "reset=bus (scope: 3 devices)"), 1);
        grant_free(must_acquire(other, NEIGHBOUR));
        WAIT_FOR(world, is_free(world, NEIGHBOUR));
}
END_TEST

START_TEST(device_with_a_reset_of_its_own_keeps_nobody_from_its_neighbour) {
        Grant *grant = must_acquire(world->bus, EDU);

        vfio_fail(world, EDU, "open-hangs", "");
        grant_free(grant);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        grant_free(must_acquire(other, NEIGHBOUR));
        WAIT_FOR(world, is_free(world, NEIGHBOUR)); /* before the other's group is idle, and its bus may be reset */
        ck_assert(!is_free(world, EDU));
        vfio_fail(world, EDU, "open-hangs", NULL);
        WAIT_FOR(world, is_free(world, EDU));
        ck_assert_uint_eq(bus_resets(EDU), 0);
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
        ck_assert(is_free(world, EDU));
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
        ck_assert(is_free(world, NIC));
}
END_TEST

/* With that option or flag; whether it has @failed */
static void use_with(const Request *request, bool failed) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, request), "");
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, VFB_PATH " LeaseRemoved ") > 0);
        ck_assert_int_eq(world_signals(world, " failed") > 0, failed);
        world_forget_signals(world);
}

START_TEST(required_and_not_proved_is_quarantined) {
        use_with(&(Request) { .wants = NO_RESET, .reset = "required" }, true);
        check_quarantined(NO_RESET, "required, and none of its own works");
        unquarantine(NO_RESET);
        use(world->bus, NO_RESET); /* and that was as ever */
        ck_assert(is_free(world, NO_RESET));
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = NO_RESET }), REFUSED("ResetFailed"));

        vfio_fail(world, NIC, "bus-reset-errno", "25");
        use_with(&(Request) { .wants = NIC, .reset = "required" }, true);
        check_quarantined(NIC, "that of its bus failed");
}
END_TEST

START_TEST(required_and_proved_is_free) {
        use_with(&(Request) { .wants = NVME "," NIC, .reset = "required" }, false);
        ck_assert(is_free(world, NVME) && is_free(world, NIC));
        ck_assert_uint_eq(daemon_logged(world, "reset=flr"), 1);
        ck_assert_uint_eq(daemon_logged(world, "reset=" BUS), 1);
        use(other, NVME "," NIC);
}
END_TEST

START_TEST(required_and_taken_from_its_driver_is_quarantined) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .reset = "required" }), "");
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "nvme"), 0);
        udev_send(world, "bind", NVME);
        WAIT_FOR(world, world_signals(world, "DeviceGone") > 0);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, VFB_PATH " LeaseRemoved ") > 0);
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "vfio-pci"), 0);
        udev_send(world, "bind", NVME);
        WAIT_FOR(world, strcmp(device_property(world, NVME, "Driver"), "vfio-pci") == 0);
        check_quarantined(NVME, "left its driver");
}
END_TEST

START_TEST(nobody_gets_less_than_what_is_configured) {
        static const struct {
                const char *device, *reset;
                bool less;
        } cases[] = {
                { NO_RESET, "none", true },          { NO_RESET, "preferred", true },        { NO_RESET, "required", false },
                { "0000:04:00.0", "none", true },    { "0000:04:00.0", "preferred", false }, { "0000:04:00.0", "required", false },
                { EDU, "none", false },              { EDU, "preferred", false },            { EDU, "required", false },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                Request request = { .wants = cases[i].device, .reset = cases[i].reset };

                if (!cases[i].less) {
                        use_with(&request, strcmp(cases[i].device, NO_RESET) == 0);
                        if (strcmp(cases[i].device, NO_RESET) == 0)
                                unquarantine(NO_RESET);
                        continue;
                }
                ck_assert_str_eq(refusal_of(world->bus, &request), REFUSED("InvalidOption"));
                ck_assert_ptr_nonnull(strstr(ask_message(), "less than what is configured"));
                polkit_set(world, "SetAnswer", "s", "no");
                ck_assert_str_eq(refusal_of(world->bus, &request), DENIED); /* and is not told what that is */
                polkit_set(world, "SetAnswer", "s", "yes");
        }
        check_nothing_held(world);
        for (size_t i = 0; i < 4; i++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = EDU, .reset = (const char *[]){ "", "must", "None", "bus" }[i] }), REFUSED("InvalidOption"));
}
END_TEST

START_TEST(configured_as_required_needs_no_asking) {
        use(world->bus, NO_RESET);
        check_quarantined(NO_RESET, "required");
}
END_TEST

/* Nor must the reset of its neighbour hit it, so that one fails. */
START_TEST(none_is_not_reset_and_for_anybody) {
        unsigned n = vfio_resets(world, EDU);

        use(world->bus, EDU);
        ck_assert_uint_eq(vfio_resets(world, EDU), n + 1); /* as it was opened for the client */
        ck_assert_uint_eq(daemon_logged(world, "reset=not wanted"), 1);
        ck_assert(is_free(world, EDU));
        use(other, EDU);

        use(world->bus, NIC);
        ck_assert_uint_eq(bus_resets(EDU), 0);
        check_quarantined(NIC, "nor can its bus be reset");
}
END_TEST

START_TEST(one_time_stays_reserved) {
        use_with(&(Request) { .wants = NVME "," EDU, .flags = VFB_ACQUIRE_ONE_TIME }, false);
        ck_assert_uint_eq(daemon_logged(world, "reset=flr"), 1);
        check_quarantined(NVME, "one-time use");
        check_quarantined(EDU, "one-time use");
        ck_assert(is_free(world, NIC)); /* of the same group, and nobody had it */

        unquarantine(NVME);
        use(other, NVME);
        ck_assert(is_free(world, NVME));
}
END_TEST

START_TEST(one_time_may_be_configured) {
        sd_bus *leaver = world_connect(world, world_user());
        Pending slow;

        vfio_fail(world, NVME, "open-hangs", "");
        pending_start(&slow, leaver, &(Request) { .wants = NVME });
        WAIT_FOR(world, vfio_delayed(world) > 0);
        pending_end(&slow);
        world_leave(world, leaver);
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, is_free(world, NVME)); /* that was no use */
        use(world->bus, NVME);
        check_quarantined(NVME, "one-time use");
        unquarantine(NVME);
        ck_assert(is_free(world, NVME));
}
END_TEST

START_TEST(one_time_and_failed_is_told_as_failed) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .flags = VFB_ACQUIRE_ONE_TIME }), "");
        vfio_fail(world, NVME, "reset-fails", "");
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, " failed") > 0);
        check_quarantined(NVME, "reset after the last lease failed");
}
END_TEST

/* Killed, it says nothing about the device: it is done again, and only then given up. */
START_TEST(reset_whose_child_is_killed_is_done_again) {
        char lease[128];
        Grant *grant;

        for (unsigned kills = 1; kills <= 3; kills += 2) {
                grant = must_acquire(world->bus, NVME);
                snprintf(lease, sizeof(lease), "%s", grant->lease);
                vfio_fail(world, NVME, "open-hangs", "");
                grant_free(grant);
                for (unsigned i = 0; i < kills; i++) {
                        WAIT_FOR(world, vfio_delayed(world) > 0);
                        ck_assert_str_eq(lease_state(world->bus, lease), "cleaning");
                        vfio_kill_delayed(world);
                        ck_assert(!is_free(world, NVME));
                }
                if (kills < 3) {
                        vfio_fail(world, NVME, "open-hangs", NULL);
                        WAIT_FOR(world, is_free(world, NVME));
                }
        }
        WAIT_FOR(world, device_is(world, NVME, "quarantined"));
        vfio_fail(world, NVME, "open-hangs", NULL);
        check_nothing_held(world);
}
END_TEST

static void add_policy_tests(TCase *plain, TCase *rules) {
        tcase_add_test(plain, required_and_not_proved_is_quarantined);
        tcase_add_test(plain, required_and_proved_is_free);
        tcase_add_test(plain, required_and_taken_from_its_driver_is_quarantined);
        tcase_add_test(plain, one_time_stays_reserved);
        tcase_add_test(plain, one_time_and_failed_is_told_as_failed);
        tcase_add_test(rules, nobody_gets_less_than_what_is_configured);
        tcase_add_test(rules, configured_as_required_needs_no_asking);
        tcase_add_test(rules, none_is_not_reset_and_for_anybody);
        tcase_add_test(rules, one_time_may_be_configured);
}

int main(void) {
        Suite *suite = suite_create("reset");
        TCase *ladder = suite_add_case(suite, "ladder", make_world, end_world);
        TCase *neighbour = suite_add_case(suite, "neighbour", make_world_with_neighbour, end_world);
        TCase *rules = suite_add_case(suite, "rules", make_world_with_rules, end_world);

        if (world_is_root()) {
                tcase_add_test(ladder, reset_whose_child_is_killed_is_done_again);
                add_policy_tests(ladder, rules);
                tcase_add_test(ladder, bus_is_reset_where_the_device_cannot_be);
                tcase_add_test(ladder, what_the_bus_has_done_is_forgotten_with_the_driver);
                tcase_add_loop_test(ladder, device_that_is_not_as_before_is_quarantined, 0, 4);
                tcase_add_test(ladder, reset_of_the_bus_that_has_worked_must_go_on_working);
                tcase_add_test(neighbour, bus_is_left_alone_if_it_has_somebody_elses_device);
                tcase_add_test(neighbour, bus_is_left_alone_if_it_has_a_device_of_the_host_or_in_quarantine);
                tcase_add_test(neighbour, device_with_a_reset_of_its_own_keeps_nobody_from_its_neighbour);
                tcase_add_test(neighbour, idle_neighbour_is_reset_as_well_and_kept_from_others_meanwhile);
        }
        return suite_run(suite);
}
