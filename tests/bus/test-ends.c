/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What ends a lease besides its lifeline and Release: time. All of it only begins the one way out. */

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME "0000:03:00.0"
#define EDU  "0000:01:00.0"
#define SEC  UINT64_C(1000000)
#define MSEC UINT64_C(1000)

#define LONGEST (400 * SEC) /* of leases in a world with a limit */

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void make_world_with_a_limit(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nLeaseDurationMaxSec=400\n" });
}

static void make_world_of_short_leases(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nLeaseDurationMaxSec=1\n" });
}

static void end_world(void) {
        world = world_stop(world);
}

static Grant *acquire_for(sd_bus *bus, uint64_t duration_usec) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, bus, &(Request) { .wants = NVME, .duration_usec = duration_usec }), "");
        return grant;
}

static const char *renew(sd_bus *bus, const Grant *grant, uint64_t duration_usec) {
        return ask(bus, grant->lease, VFB_INTERFACE_LEASE, "Renew", "t", duration_usec);
}

static uint64_t wall_now(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t) now.tv_sec * SEC + (uint64_t) now.tv_nsec / 1000;
}

/* It is that long after a moment between @begin and now. The two clocks of the kernel that are behind it are not read at
 * one time. */
static bool is_after(uint64_t usec, uint64_t begin, uint64_t duration_usec) {
        return usec + SEC > begin + duration_usec && usec < wall_now() + duration_usec + SEC;
}

START_TEST(lease_without_a_time_has_no_end) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, NVME);

        ck_assert_uint_eq(lease_expires(world, grant), 0);
        ck_assert_ptr_nonnull(strstr(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListLeases", "t", UINT64_C(0)), " active 1 0)]"));
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseDurationMaxUSec"), "0");
}
END_TEST

START_TEST(time_is_told_and_listed) {
        uint64_t begin = wall_now();
        _cleanup_(grant_freep) Grant *grant = acquire_for(world->bus, 3600 * SEC);
        const char *rows = ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListLeases", "t", UINT64_C(0));

        ck_assert(is_after(lease_expires(world, grant), begin, 3600 * SEC));
        ck_assert(is_after(strtoull(strstr(rows, " active 1 ") + strlen(" active 1 "), NULL, 10), begin, 3600 * SEC));
}
END_TEST

START_TEST(time_that_is_over_ends_the_lease_after_a_warning) {
        uint64_t begin = world_now();
        Grant *grant = acquire_for(world->bus, 400 * MSEC);
        char line[256];

        snprintf(line, sizeof(line), "%s Expiring ", grant->lease);
        WAIT_FOR(world, world_signals(world, line) == 1);
        ck_assert_uint_ge(world_now() - begin, 280 * MSEC);
        WAIT_FOR(world, strcmp(lease_state(world->bus, grant->lease), "lingering") == 0);
        ck_assert_uint_ge(world_now() - begin, 400 * MSEC);
        ck_assert_uint_eq(world_signals(world, "LeaseRemoved"), 0);

        /* its holder keeps what it has open, and so keeps the device from others */
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        ck_assert_uint_eq(world_signals(world, line), 1);
        grant_close_fds(grant);
        await_removal(world, grant->lease, "expired");
        check_nothing_held(world);
        grant_free(grant);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(only_the_holder_is_warned) {
        sd_bus *other = world_connect(world, world_user());
        Grant *grant = acquire_for(other, 300 * MSEC);

        grant_close_fds(grant);
        await_removal(world, grant->lease, "expired");
        ck_assert_uint_eq(world_signals(world, "Expiring"), 0);
        grant_free(grant);
        sd_bus_flush_close_unref(other);
}
END_TEST

/* With a time that is not over, nor about to be, when @change has been asked for: a few seconds, and more on a machine that
 * stands still for as long as that. */
static Grant *acquire_and(const char *(*change)(const Grant *grant, uint64_t duration), uint64_t *ret_duration) {
        for (uint64_t duration = 3 * SEC;; duration *= 2) {
                Grant *grant = acquire_for(world->bus, duration);
                const char *answer = change(grant, duration);

                *ret_duration = duration;
                if (world_signals(world, " Expiring ") == 0 && answer[0] != '!')
                        return grant;
                ck_assert_msg(duration < PATIENCE, "%s: %s", answer, ask_message());
                grant_free(grant);
                WAIT_FOR(world, world_signals(world, VFB_PATH " LeaseRemoved ") == 1);
                world_forget_signals(world);
        }
}

static const char *renew_for_longer(const Grant *grant, uint64_t duration) {
        uint64_t begin = wall_now();
        const char *answer = renew(world->bus, grant, duration + SEC);

        ck_assert(answer[0] == '!' || is_after(strtoull(answer, NULL, 10), begin, duration + SEC));
        return answer;
}

START_TEST(renewed_lease_lasts_longer) {
        uint64_t begin = world_now(), duration;
        Grant *grant = acquire_and(renew_for_longer, &duration);

        WAIT_FOR(world, world_signals(world, "[{ExpiresUSec ") == 1);
        ck_assert_uint_ge(daemon_logged(world, "is renewed"), 1);
        grant_close_fds(grant);
        await_removal(world, grant->lease, "expired");
        ck_assert_uint_ge(world_now() - begin, duration + SEC);
        grant_free(grant);
}
END_TEST

/* Lets so much time pass by a lease that begins now and is over then. */
static void let_pass(uint64_t usec) {
        Grant *other = NULL;

        ck_assert_str_eq(grant_acquire(&other, world->bus, &(Request) { .wants = EDU, .duration_usec = usec }), "");
        grant_close_fds(other);
        WAIT_FOR(world, world_signals(world, " expired") == 1);
        grant_free(other);
}

static const char *renew_for_ever(const Grant *grant, uint64_t duration) {
        return renew(world->bus, grant, 0);
}

START_TEST(time_can_be_taken_back) {
        uint64_t duration;
        Grant *grant = acquire_and(renew_for_ever, &duration);
        char line[256];

        ck_assert_uint_eq(lease_expires(world, grant), 0);
        let_pass(duration);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        snprintf(line, sizeof(line), "%s Expiring ", grant->lease);
        ck_assert_uint_eq(world_signals(world, line), 0);
        grant_free(grant);
}
END_TEST

START_TEST(lease_that_is_over_cannot_be_renewed) {
        Grant *grant = acquire_for(world->bus, 100 * MSEC);

        WAIT_FOR(world, strcmp(lease_state(world->bus, grant->lease), "lingering") == 0);
        ck_assert_str_eq(renew(world->bus, grant, 3600 * SEC), REFUSED("NoSuchLease"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        grant_close_fds(grant);
        await_removal(world, grant->lease, "expired");
        grant_free(grant);
}
END_TEST

static const char *release(const Grant *grant, uint64_t duration) {
        return ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0));
}

START_TEST(time_does_not_end_what_is_over) {
        uint64_t duration;
        Grant *grant = acquire_and(release, &duration);

        let_pass(duration);
        world_forget_signals(world);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        grant_close_fds(grant);
        await_removal(world, grant->lease, "released");
        grant_free(grant);
}
END_TEST

START_TEST(others_cannot_renew) {
        sd_bus *other = world_connect(world, OTHER), *root = world_connect(world, ROOT);
        uint64_t begin = wall_now();
        Grant *grant = acquire_for(world->bus, 3600 * SEC);

        for (int times = 0; times < 20; times++) {
                ck_assert_str_eq(renew(other, grant, 7200 * SEC), REFUSED("NotHolder"));
                ck_assert_str_eq(renew(root, grant, 7200 * SEC), REFUSED("NotHolder"));
        }
        ck_assert(is_after(lease_expires(world, grant), begin, 3600 * SEC));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        grant_free(grant);
        sd_bus_flush_close_unref(other);
        sd_bus_flush_close_unref(root);
}
END_TEST

START_TEST(a_thousand_years_are_refused) {
        uint64_t begin = wall_now();
        Grant *grant = acquire_for(world->bus, 3600 * SEC);

        ck_assert_str_eq(renew(world->bus, grant, UINT64_MAX), INVALID_ARGS);
        ck_assert_str_eq(renew(world->bus, grant, 1000 * UINT64_C(366) * 24 * 3600 * SEC), INVALID_ARGS);
        ck_assert(is_after(lease_expires(world, grant), begin, 3600 * SEC));
        grant_free(grant);
}
END_TEST

START_TEST(no_lease_lasts_longer_than_allowed) {
        const Request request = { .wants = NVME, .duration_usec = LONGEST + SEC };
        uint64_t begin;
        Grant *grant;

        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseDurationMaxUSec"), "400000000");
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &request), REFUSED("QuotaExceeded"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "400 seconds"));
        check_nothing_held(world);

        ck_assert_ptr_nonnull(strstr(request_explain(world->bus, &request), "no [(QuotaExceeded error"));

        /* and that is what a lease has that names no time */
        begin = wall_now();
        grant = must_acquire(world->bus, NVME);
        ck_assert(is_after(lease_expires(world, grant), begin, LONGEST));
        ck_assert_str_eq(renew(world->bus, grant, LONGEST + SEC), REFUSED("QuotaExceeded"));
        begin = wall_now();
        ck_assert(is_after(strtoull(renew(world->bus, grant, 0), NULL, 10), begin, LONGEST));
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(lease_that_names_no_time_ends_with_what_is_allowed) {
        uint64_t begin = world_now();
        Grant *grant = must_acquire(world->bus, NVME);

        grant_close_fds(grant);
        await_removal(world, grant->lease, "expired");
        ck_assert_uint_ge(world_now() - begin, SEC);
        grant_free(grant);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ends");
        TCase *tcase = suite_add_case(suite, "time", make_world, end_world);

        tcase_add_test(tcase, lease_without_a_time_has_no_end);
        tcase_add_test(tcase, time_is_told_and_listed);
        tcase_add_test(tcase, time_that_is_over_ends_the_lease_after_a_warning);
        tcase_add_test(tcase, only_the_holder_is_warned);
        tcase_add_test(tcase, renewed_lease_lasts_longer);
        tcase_add_test(tcase, time_can_be_taken_back);
        tcase_add_test(tcase, lease_that_is_over_cannot_be_renewed);
        tcase_add_test(tcase, time_does_not_end_what_is_over);
        tcase_add_test(tcase, a_thousand_years_are_refused);
        if (world_is_root())
                tcase_add_test(tcase, others_cannot_renew);
        tcase_add_test(suite_add_case(suite, "limit", make_world_with_a_limit, end_world), no_lease_lasts_longer_than_allowed);
        tcase_add_test(suite_add_case(suite, "short", make_world_of_short_leases, end_world),
                       lease_that_names_no_time_ends_with_what_is_allowed);
        return suite_run(suite);
}
