/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices that are taken from host drivers for a lease, and what becomes of them afterwards. */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NIC    "0000:02:00.0" /* on e1000e, alone in group 13 */
#define FIRST  "0000:06:0d.0" /* on uio, in group 26 with */
#define SECOND "0000:06:0d.1" /* on e1000 */
#define NVME   "0000:03:00.0" /* on vfio-pci from the start */

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = tree_add_document_on_the_host, .keep = true, .config = "[Binding]\nOnAcquire=yes\n" });
}

static void make_world_of_little_patience(void) {
        world_start(&world, &(WorldSpec) { .build = tree_add_document_on_the_host, .keep = true, .config = "[Binding]\nOnAcquire=yes\nDriverTimeoutSec=3\n" });
}

static void make_world_without(void) {
        world_start(&world, &(WorldSpec) { .build = tree_add_document_on_the_host, .keep = true });
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *driver(const char *address) {
        return driver_state(world, address);
}

static bool all_is_as_before(void) {
        return strcmp(driver(NIC), "e1000e (null)") == 0 && strcmp(driver(FIRST), "uio (null)") == 0 &&
               strcmp(driver(SECOND), "e1000 (null)") == 0;
}

static void check_before(void) {
        WAIT_FOR(world, device_is(world, NIC, "host") && device_is(world, FIRST, "host"));
        ck_assert(all_is_as_before());
        check_nothing_held(world);
}

START_TEST(device_is_bound_for_the_lease_and_goes_back_after_it) {
        for (int times = 0; times < 5; times++) {
                Grant *grant = must_acquire(world->bus, NIC);

                ck_assert_str_eq(driver(NIC), "vfio-pci vfio-pci");
                ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Restore"), "previous");
                ck_assert_str_eq(device_property(world, NIC, "RestoreDriver"), "e1000e");
                ck_assert_ptr_nonnull(grant_find(grant, "device:" NIC));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NIC }), REFUSED("Leased"));
                grant_free(grant);
                check_before();
        }
        ck_assert_uint_eq(vfio_resets(world, NIC), 10); /* before the host had it back, each time */
}
END_TEST

START_TEST(companions_go_along_and_back) {
        Grant *grant = must_acquire(world->bus, FIRST);

        ck_assert_str_eq(driver(FIRST), "vfio-pci vfio-pci");
        ck_assert_str_eq(driver(SECOND), "vfio-pci vfio-pci");
        grant_free(grant);
        check_before();
        grant = must_acquire(world->bus, SECOND "," NIC "," NVME);
        ck_assert_str_eq(driver(FIRST), "vfio-pci vfio-pci");
        ck_assert_str_eq(driver(NIC), "vfio-pci vfio-pci");
        grant_free(grant);
        check_before();
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = FIRST, .companions = "refuse" }), REFUSED("NotViable"));
                ck_assert_ptr_nonnull(strstr(ask_message(), SECOND));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = FIRST, .companions = "all" }), REFUSED("InvalidOption"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = FIRST, .restore = "all" }), REFUSED("InvalidOption"));
        }
        check_before();
}
END_TEST

START_TEST(it_may_stay_with_vfio_or_without_a_driver) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NIC, .restore = "keep" }), "");
        world_crash_daemon(world);
        ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Restore"), "keep");
        grant_free(grant);
        WAIT_FOR(world, device_is(world, NIC, "available"));
        ck_assert_str_eq(driver(NIC), "vfio-pci vfio-pci");
        world_crash_daemon(world);
        ck_assert(device_is(world, NIC, "available"));
        ck_assert_str_eq(restore_device(world, NIC), "");
        check_before();

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = FIRST, .restore = "none" }), "");
        grant_free(grant);
        WAIT_FOR(world, device_is(world, FIRST, "host"));
        ck_assert_str_eq(driver(FIRST), "- (null)");
        ck_assert_str_eq(driver(SECOND), "- (null)");
        world_crash_daemon(world);
        grant_free(must_acquire(world->bus, FIRST)); /* what it was before is not what it was now */
        WAIT_FOR(world, device_is(world, FIRST, "host"));
        ck_assert_str_eq(device_property(world, SECOND, "RestoreDriver"), "e1000");
        ck_assert_str_eq(restore_device(world, SECOND), "");
        ck_assert_str_eq(driver(SECOND), "e1000 (null)");
        ck_assert_int_ge(tree_set_driver(world->tree, FIRST, "uio"), 0);
}
END_TEST

static const char *const restores[] = { NULL, "keep", "none" };

/* Whatever is to become of it after a lease: there was none. */
START_TEST(failure_at_the_second_leaves_the_first_as_it_was) {
        static const struct {
                const char *object, *fault, *value, *refusal;
        } cases[] = {
                { SECOND, "probe-errno", "22 2", REFUSED("DriverBindFailed") },
                { SECOND, "unbind-errno", "16 1", REFUSED("DriverBindFailed") },
                { "group-26", "open-errno", "16", REFUSED("HeldElsewhere") },
                { FIRST, "open-errno", "13 1", REFUSED("VfTokenRequired") },
        };

        for (int i = 0; i < 3; i++) {
                vfio_fail(world, cases[_i].object, cases[_i].fault, cases[_i].value);
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NIC "," FIRST, .restore = restores[i] }), cases[_i].refusal);
                vfio_fail(world, cases[_i].object, cases[_i].fault, NULL);
                check_before();
        }
        grant_free(must_acquire(world->bus, NIC "," FIRST));
        check_before();
}
END_TEST

/* Bound, and the lease not open yet. */
START_TEST(death_before_the_lease_leaves_everything_as_it_was) {
        Pending pending = {};

        vfio_fail(world, FIRST, "open-hangs", "");
        pending_start(&pending, world->bus, &(Request) { .wants = FIRST, .restore = restores[_i] });
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(driver(SECOND), "vfio-pci vfio-pci");
        world_crash_daemon(world);
        vfio_fail(world, FIRST, "open-hangs", NULL);
        WAIT_FOR(world, pending.answered);
        pending_end(&pending);
        check_before();
}
END_TEST

START_TEST(polkit_is_asked_for_the_bind_as_well) {
        unsigned n = polkit_asked(world);

        grant_free(must_acquire(world->bus, NVME));
        WAIT_FOR(world, device_is(world, NVME, "available"));
        ck_assert_uint_eq(polkit_asked(world), n + 1);
        grant_free(must_acquire(world->bus, FIRST));
        ck_assert_uint_eq(polkit_asked(world), n + 1 + 3); /* acquire, bind, and bind of its companion */
        check_before();
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_BIND, "no");
        for (int times = 0; times < 5; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = FIRST }), DENIED);
        ck_assert_uint_eq(vfio_called(world, " override "), 4);
        check_before();
}
END_TEST

START_TEST(device_that_went_back_while_polkit_thought_is_asked_about_again) {
        Pending pending = {};
        Grant *grant = must_acquire(world->bus, FIRST);
        unsigned n;

        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_ACQUIRE, "silent");
        n = polkit_asked(world);
        pending_start(&pending, world->bus, &(Request) { .wants = FIRST });
        WAIT_FOR(world, polkit_waiting(world) == 1);
        ck_assert_uint_eq(polkit_asked(world), n + 1);
        grant_free(grant);
        check_before();
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, polkit_waiting(world) == 1 && polkit_asked(world) == n + 2);
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_BIND, "no");
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, DENIED);
        ck_assert_uint_eq(polkit_asked(world), n + 3);
        pending_end(&pending);
        check_before();
}
END_TEST

START_TEST(hang_is_answered_and_undone) {
        Pending pending;

        vfio_fail(world, SECOND, "unbind-hangs", "");
        do
                pending_start(&pending, world->bus, &(Request) { .wants = FIRST });
        while (!vfio_hangs(world, &pending.answered, FIRST));
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, REFUSED("DriverUnbindTimeout"));
        ck_assert(device_is(world, FIRST, "held"));
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "0");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = FIRST }), REFUSED("HeldElsewhere"));
        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        pending_end(&pending);
        check_before();
}
END_TEST

START_TEST(holder_that_goes_while_it_is_bound_gets_nothing) {
        sd_bus *other = world_connect(world, world_user());
        Pending pending = {};

        vfio_fail(world, FIRST, "unbind-hangs", "");
        pending_start(&pending, other, &(Request) { .wants = FIRST });
        WAIT_FOR(world, vfio_delayed(world) > 0);
        pending_end(&pending);
        world_leave(world, other);
        vfio_fail(world, FIRST, "unbind-hangs", NULL);
        check_before();
}
END_TEST

START_TEST(death_at_any_time_ends_with_everything_as_it_was) {
        for (int times = 0; times < 3; times++) {
                Pending pending = {};
                Grant *grant;

                /* on its way to the lease */
                vfio_fail(world, SECOND, "unbind-hangs", "");
                pending_start(&pending, world->bus, &(Request) { .wants = FIRST });
                WAIT_FOR(world, vfio_delayed(world) > 0);
                world_crash_daemon(world);
                vfio_fail(world, SECOND, "unbind-hangs", NULL);
                WAIT_FOR(world, pending.answered);
                pending_end(&pending);
                check_before();

                /* bound, and the lease not open yet */
                pending = (Pending) {};
                vfio_fail(world, FIRST, "open-hangs", "");
                pending_start(&pending, world->bus, &(Request) { .wants = FIRST });
                WAIT_FOR(world, vfio_delayed(world) > 0);
                ck_assert_str_eq(driver(SECOND), "vfio-pci vfio-pci");
                world_crash_daemon(world);
                vfio_fail(world, FIRST, "open-hangs", NULL);
                vfio_forget(world);
                WAIT_FOR(world, pending.answered);
                pending_end(&pending);
                check_before();

                /* in the lease, which goes on; and at its end */
                grant = must_acquire(world->bus, FIRST);
                world_crash_daemon(world);
                ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
                ck_assert_str_eq(driver(SECOND), "vfio-pci vfio-pci");
                vfio_fail(world, SECOND, "unbind-hangs", "");
                grant_free(grant);
                WAIT_FOR(world, vfio_delayed(world) > 0);
                world_crash_daemon(world);
                vfio_fail(world, SECOND, "unbind-hangs", NULL);
                vfio_forget(world);
                check_before();
        }
}
END_TEST

START_TEST(what_is_quarantined_stays) {
        Grant *grant = must_acquire(world->bus, NIC);

        vfio_fail(world, NIC, "reset-fails", "");
        grant_free(grant);
        WAIT_FOR(world, device_is(world, NIC, "quarantined"));
        ck_assert_str_eq(driver(NIC), "vfio-pci vfio-pci");
        vfio_fail(world, NIC, "reset-fails", NULL);
        ck_assert_str_eq(ask(world->bus, device_path(NIC), VFB_INTERFACE_DEVICE, "Unquarantine", "t", UINT64_C(0)), "");
        ck_assert(device_is(world, NIC, "available"));
        ck_assert_str_eq(restore_device(world, NIC), "");
        check_before();
}
END_TEST

START_TEST(what_was_bound_by_hand_stays_bound) {
        ck_assert_str_eq(bind_device(world, NIC), "");
        grant_free(must_acquire(world->bus, NIC));
        WAIT_FOR(world, device_is(world, NIC, "available"));
        ck_assert_str_eq(driver(NIC), "vfio-pci vfio-pci");
        ck_assert_str_eq(restore_device(world, NIC), "");
        check_before();
}
END_TEST

START_TEST(without_the_setting_nothing_is_taken) {
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NIC, .companions = "include" }), REFUSED("NotVfio"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = FIRST }), REFUSED("NotVfio"));
        }
        ck_assert_uint_eq(vfio_called(world, " override "), 0);
        check_before();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("borrow");
        TCase *tcase = suite_add_case(suite, "borrow", make_world, end_world);
        TCase *limit = suite_add_case(suite, "limit", make_world_of_little_patience, end_world);
        TCase *without = suite_add_case(suite, "without", make_world_without, end_world);

        tcase_add_test(tcase, device_is_bound_for_the_lease_and_goes_back_after_it);
        tcase_add_test(tcase, companions_go_along_and_back);
        tcase_add_test(tcase, it_may_stay_with_vfio_or_without_a_driver);
        tcase_add_loop_test(tcase, failure_at_the_second_leaves_the_first_as_it_was, 0, 4);
        tcase_add_loop_test(tcase, death_before_the_lease_leaves_everything_as_it_was, 0, 3);
        tcase_add_test(limit, hang_is_answered_and_undone);
        tcase_add_test(tcase, holder_that_goes_while_it_is_bound_gets_nothing);
        tcase_add_test(tcase, death_at_any_time_ends_with_everything_as_it_was);
        tcase_add_test(tcase, what_is_quarantined_stays);
        tcase_add_test(tcase, what_was_bound_by_hand_stays_bound);
        tcase_add_test(without, without_the_setting_nothing_is_taken);
        if (world_is_root()) {
                tcase_add_test(tcase, polkit_is_asked_for_the_bind_as_well);
                tcase_add_test(tcase, device_that_went_back_while_polkit_thought_is_asked_about_again);
        }
        return suite_run(suite);
}
