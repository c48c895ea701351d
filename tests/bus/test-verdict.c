/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What polkit says of a lease is about whose it was when polkit was asked. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define NVME  "0000:03:00.0"
#define THIRD 2U

#define NOTHING UINT64_C(0)
#define GRACE   UINT64_C(60000000) /* who has the device, and would be ended, is the test */

static World *world;
static sd_bus *other, *third;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
        other = world_connect(world, OTHER);
        third = world_connect(world, THIRD);
}

static void end_world(void) {
        other = sd_bus_flush_close_unref(other);
        third = sd_bus_flush_close_unref(third);
        world = world_stop(world);
}

static Grant *hand_over(const Grant *grant) {
        const char *token = ask(other, grant->lease, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "uid", "u", THIRD);
        Grant *claimed;

        ck_assert_uint_eq(strlen(token), 32);
        ck_assert_str_eq(grant_claim(&claimed, third, token), "");
        return claimed;
}

/* What somebody asks for who has nothing to do with the lease */
enum { RELEASE, REVOKE, LIST_HOLDERS, N_METHODS };

static void start(Call *call, const char *lease, int method) {
        char id[64];

        snprintf(id, sizeof(id), "%s", ask_property(world->bus, lease, VFB_INTERFACE_LEASE, "Id"));
        if (method == REVOKE)
                call_start(call, world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id, "", GRACE, NOTHING);
        else
                call_start(call, world->bus, lease, VFB_INTERFACE_LEASE, method == RELEASE ? "Release" : "ListHolders",
                           "t", NOTHING);
}

static void check_last_question_is_about(uid_t uid) {
        const char *calls = ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", "");
        const char *last = calls;
        char text[32];

        while (strstr(last + 1, "{lease.uid "))
                last = strstr(last + 1, "{lease.uid ");
        snprintf(text, sizeof(text), "{lease.uid %u}", (unsigned) uid);
        ck_assert_msg(strncmp(last, text, strlen(text)) == 0, "%s is not about %s", last, text);
}

/* The lease changes hands while polkit thinks about a question. */
static Grant *hand_over_meanwhile(Call *call, Grant *grant, int method) {
        Grant *claimed;

        polkit_set(world, "SetAnswerFor", "sss", "lease.uid", "1", "silent");
        start(call, grant->lease, method);
        WAIT_FOR(world, polkit_waiting(world) == 1);
        check_last_question_is_about(OTHER);
        claimed = hand_over(grant);
        grant_free(grant);
        return claimed;
}

START_TEST(yes_about_the_old_holder_is_none_about_the_new_one) {
        Grant *claimed;
        Call call;

        polkit_set(world, "SetAnswerFor", "sss", "lease.uid", "2", "no");
        claimed = hand_over_meanwhile(&call, must_acquire(other, NVME), _i);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, DENIED);
        check_last_question_is_about(THIRD);
        ck_assert_str_eq(lease_state(world->bus, claimed->lease), "active");
        call_end(&call);
        grant_free(claimed);
}
END_TEST

START_TEST(yes_about_the_new_holder_counts) {
        Grant *claimed;
        Call call;

        claimed = hand_over_meanwhile(&call, must_acquire(other, NVME), _i);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, call.answered);
        ck_assert_msg(call.answer[0] != '!', "%s", call.answer);
        if (_i != LIST_HOLDERS)
                ck_assert_str_ne(lease_state(world->bus, claimed->lease), "active");
        call_end(&call);
        grant_free(claimed);
}
END_TEST

/* Nobody is asked twice for that. */
START_TEST(lease_that_is_over_by_then_is_none) {
        Grant *grant = must_acquire(other, NVME);
        unsigned n;
        Call call;

        polkit_set(world, "SetAnswerFor", "sss", "lease.uid", "1", "silent");
        start(&call, grant->lease, _i);
        WAIT_FOR(world, polkit_waiting(world) == 1);
        n = polkit_asked(world);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, call.answered);
        if (_i == REVOKE)
                ck_assert_str_eq(call.answer, REFUSED("NoSuchLease"));
        else
                ck_assert_str_eq(call.answer, "!org.freedesktop.DBus.Error.UnknownObject");
        ck_assert_uint_eq(polkit_asked(world), n);
        call_end(&call);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("verdict");
        TCase *tcase = suite_add_case(suite, "verdict", make_world, end_world);

        if (world_is_root()) {
                tcase_add_loop_test(tcase, yes_about_the_old_holder_is_none_about_the_new_one, 0, N_METHODS);
                tcase_add_loop_test(tcase, yes_about_the_new_holder_counts, 0, N_METHODS);
                tcase_add_loop_test(tcase, lease_that_is_over_by_then_is_none, 0, N_METHODS);
        }
        return suite_run(suite);
}
