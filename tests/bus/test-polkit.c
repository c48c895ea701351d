/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Between the question and polkit's answer: nothing is looked at or changed, nobody else waits, and what was true
 * before is not trusted after. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME   "0000:03:00.0"
#define EDU    "0000:01:00.0"
#define HOST   "0000:02:00.0"
#define SHARED "0000:06:0d.0"
#define TWENTY 20

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *refusal(const char *wants) {
        return refusal_of(world->bus, &(Request) { .wants = wants });
}

/* A call of @bus that polkit is silent about */
static void ask_silent_polkit(Pending *pending, sd_bus *bus, const char *wants) {
        polkit_set(world, "SetAnswer", "s", "silent");
        pending_start(pending, bus, &(Request) { .wants = wants });
        WAIT_FOR(world, polkit_waiting(world) == 1);
}

START_TEST(polkit_that_says_no_is_obeyed) {
        polkit_set(world, "SetAnswer", "s", "no");
        for (int times = 0; times < TWENTY; times++)
                ck_assert_str_eq(refusal(NVME), DENIED);
        ck_assert_uint_eq(polkit_asked(world), TWENTY);
        check_nothing_opened(world);
}
END_TEST

START_TEST(one_no_is_enough) {
        polkit_set(world, "SetAnswerFor", "sss", "device.id", EDU, "no");
        ck_assert_str_eq(refusal(NVME "," EDU), DENIED);
        ck_assert_str_eq(refusal(EDU "," NVME), DENIED);
        check_nothing_opened(world);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(polkit_that_makes_no_sense_is_no) {
        static const char *const answers[] = { "error", "garbage" };

        for (int i = 0; i < 2; i++) {
                polkit_set(world, "SetAnswer", "s", answers[i]);
                for (int times = 0; times < TWENTY; times++)
                        ck_assert_str_eq(refusal(NVME), REFUSED("AuthorityUnavailable"));
                check_nothing_opened(world);
        }
}
END_TEST

START_TEST(polkit_that_dies_is_no) {
        polkit_set(world, "SetAnswer", "s", "crash");
        ck_assert_str_eq(refusal(NVME), REFUSED("AuthorityUnavailable"));
        check_nothing_opened(world);
        world_end_polkit(world);
        ck_assert_str_eq(refusal(NVME), REFUSED("AuthorityUnavailable"));
        world_start_polkit(world);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

/* Who may not have it is told neither that somebody has it, nor that it is not there, nor that it is not ready. */
START_TEST(refused_caller_learns_nothing) {
        static const char *const wants[] = { NVME, SHARED, "0000:06:0d.1", "0000:ff:00.0", HOST, "0000:00:02.0", "0000:04:00.0", EDU };
        char plain[256] = "";
        Grant *grant = must_acquire(world->bus, SHARED);

        ck_assert_int_ge(tree_set_driver(world->tree, "0000:04:00.1", "igb"), 0);
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_QUARANTINE, "yes");
        ck_assert_str_eq(ask(world->bus, device_path(EDU), VFB_INTERFACE_DEVICE, "Quarantine", "st", "dirty", UINT64_C(0)), "");

        for (int challenge = 0; challenge < 2; challenge++) {
                polkit_set(world, "SetAnswer", "s", challenge ? "challenge" : "no");
                plain[0] = '\0';
                for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
                        char message[256], *at;

                        ck_assert_str_eq(refusal(wants[i]),
                                         challenge ? "!org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" : DENIED);
                        snprintf(message, sizeof(message), "%s", ask_message());
                        at = strstr(message, wants[i]);
                        if (at)
                                memset(at, '*', strlen(wants[i]));
                        if (!plain[0])
                                snprintf(plain, sizeof(plain), "%s", message);
                        ck_assert_str_eq(message, plain);
                }
        }
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_uint_eq(vfio_called(world, " open "), 3); /* those of the lease */
        grant_free(grant);
}
END_TEST

START_TEST(others_are_served_while_polkit_thinks) {
        sd_bus *other = world_connect(world, world_user());
        Pending pending;

        ask_silent_polkit(&pending, world->bus, NVME);
        for (int times = 0; times < TWENTY; times++)
                ck_assert_str_eq(ask_property(other, device_path(NVME), VFB_INTERFACE_DEVICE, "Availability"), "available");
        ck_assert(!pending.answered);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, "");
        pending_end(&pending);
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(caller_that_leaves_takes_the_question_back) {
        for (unsigned times = 1; times <= TWENTY; times++) {
                sd_bus *other = world_connect(world, world_user());
                Pending pending;

                ask_silent_polkit(&pending, other, NVME);
                pending_end(&pending);
                sd_bus_flush_close_unref(other);
                WAIT_FOR(world, polkit_cancelled(world) == times);
                ck_assert_uint_eq(polkit_waiting(world), 0);
        }
        check_nothing_opened(world);
        polkit_set(world, "SetAnswer", "s", "yes");
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(caller_that_leaves_between_two_questions_gets_nothing) {
        sd_bus *other = world_connect(world, world_user());
        Pending pending;

        polkit_set(world, "SetAnswerFor", "sss", "device.id", NVME, "yes");
        ask_silent_polkit(&pending, other, NVME "," EDU);
        ck_assert_uint_eq(polkit_asked(world), 2);
        pending_end(&pending);
        sd_bus_flush_close_unref(other);
        WAIT_FOR(world, polkit_cancelled(world) == 1);
        check_nothing_opened(world);
}
END_TEST

START_TEST(device_that_leaves_while_polkit_thinks_is_gone) {
        Pending pending;

        ask_silent_polkit(&pending, world->bus, NVME);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending.answered);
        ck_assert_msg(strcmp(pending.refusal, REFUSED("DeviceGone")) == 0 || strcmp(pending.refusal, REFUSED("NoSuchDevice")) == 0,
                      "%s", pending.refusal);
        pending_end(&pending);
        check_nothing_opened(world);
}
END_TEST

/* Needs the daemon to hear of it, so uevents. */
START_TEST(device_that_took_the_place_of_another_was_not_asked_for) {
        TreePci card = { .address = NVME, .driver = "vfio-pci", .reset_methods = "flr", .class = 0x020000, .vendor = 0x8086,
                         .device = 0x10d3, .group = 14, .numa_node = -1 };
        const char *old, *path = device_path(NVME);
        Pending pending;

        old = ask_property(world->bus, path, VFB_INTERFACE_DEVICE, "Generation");
        ask_silent_polkit(&pending, world->bus, NVME);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        udev_send(world, "remove", NVME);
        WAIT_FOR(world, world_signals(world, "DeviceRemoved " NVME) == 1);
        ck_assert_int_ge(tree_add_pci(world->tree, &card), 0);
        udev_send(world, "add", NVME);
        WAIT_FOR(world, world_signals(world, "DeviceNew " NVME) == 1);
        ck_assert_str_ne(device_property(world, NVME, "Generation"), old);

        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, REFUSED("DeviceGone"));
        pending_end(&pending);
        check_nothing_opened(world);
}
END_TEST

START_TEST(device_taken_while_polkit_thinks_is_leased) {
        _cleanup_(grant_freep) Grant *grant = NULL;
        Pending pending;

        ask_silent_polkit(&pending, world->bus, NVME);
        polkit_set(world, "SetAnswer", "s", "yes");
        grant = must_acquire(world->bus, NVME);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, REFUSED("Leased"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        pending_end(&pending);
}
END_TEST

START_TEST(late_no_changes_nothing) {
        Pending pending;

        ask_silent_polkit(&pending, world->bus, NVME);
        check_nothing_opened(world);
        polkit_set(world, "AnswerWaiting", "s", "no");
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, DENIED);
        pending_end(&pending);
        check_nothing_opened(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("polkit");
        TCase *tcase = suite_add_case(suite, "polkit", make_world, end_world);

        tcase_add_test(tcase, polkit_that_says_no_is_obeyed);
        tcase_add_test(tcase, one_no_is_enough);
        tcase_add_test(tcase, polkit_that_makes_no_sense_is_no);
        tcase_add_test(tcase, polkit_that_dies_is_no);
        tcase_add_test(tcase, refused_caller_learns_nothing);
        tcase_add_test(tcase, others_are_served_while_polkit_thinks);
        tcase_add_test(tcase, caller_that_leaves_takes_the_question_back);
        tcase_add_test(tcase, caller_that_leaves_between_two_questions_gets_nothing);
        tcase_add_test(tcase, device_that_leaves_while_polkit_thinks_is_gone);
        tcase_add_test(tcase, device_taken_while_polkit_thinks_is_leased);
        tcase_add_test(tcase, late_no_changes_nothing);
        if (world_is_root())
                tcase_add_test(tcase, device_that_took_the_place_of_another_was_not_asked_for);
        return suite_run(suite);
}
