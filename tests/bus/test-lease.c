/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a lease ends, and what happens until its devices are free. */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME     "0000:03:00.0"
#define EDU      "0000:01:00.0"
#define SHARED   "0000:06:0d.0"
#define NO_RESET "0000:00:10.0"

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void end_world(void) {
        world = world_stop(world);
}

/* PropertiesChanged of the lease's state, in which order whatever they are told */
static bool was_in_state(const char *lease, const char *state) {
        char line[256];

        snprintf(line, sizeof(line), "%s PropertiesChanged " VFB_INTERFACE_LEASE " [{State %s}", lease, state);
        return world_signals(world, line) > 0;
}

START_TEST(last_close_of_the_lifeline_ends_the_lease) {
        Grant *grant = must_acquire(world->bus, NVME);
        char lease[128];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_free(grant);
        await_removal(world, lease, "holder-gone");
        check_nothing_held(world);
        ck_assert(is_free(world, NVME));
        ck_assert_str_eq(device_property(world, NVME, "Lease"), "/");
        ck_assert_ptr_nonnull(strstr(lease_state(world->bus, lease), "!"));
}
END_TEST

START_TEST(states_are_told_as_they_pass) {
        Grant *grant = must_acquire(world->bus, NVME);
        char lease[128];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        WAIT_FOR(world, world_signals(world, "LeaseNew") == 1);
        WAIT_FOR(world, world_signals(world, "{Availability leased}") > 0);
        vfio_fail(world, NVME, "open-hangs", "");
        grant_free(grant);
        WAIT_FOR(world, was_in_state(lease, "lingering"));
        WAIT_FOR(world, was_in_state(lease, "cleaning"));
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        WAIT_FOR(world, world_signals(world, "InterfacesRemoved") == 1);
        WAIT_FOR(world, world_signals(world, "{Availability available}") > 0);
}
END_TEST

START_TEST(end_resets_the_devices_and_says_so) {
        Grant *grant = must_acquire(world->bus, NVME "," EDU);
        unsigned n = vfio_resets(world, NVME), n_other = vfio_resets(world, EDU);

        vfio_forget(world);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
        ck_assert_uint_eq(vfio_resets(world, NVME), n + 1);
        ck_assert_uint_eq(vfio_resets(world, EDU), n_other + 1);
        ck_assert_uint_ge(vfio_called(world, "group-14 unset-container 0"), 1);
        ck_assert_uint_eq(vfio_called(world, "container open 0"), 1); /* a fresh one: the client may still have the old */
        ck_assert_uint_ge(daemon_logged(world, "reset=flr"), 1);
        ck_assert_uint_ge(daemon_logged(world, "reset=bus"), 1);
}
END_TEST

START_TEST(release_begins_the_end_and_the_last_close_is_it) {
        Grant *grant = must_acquire(world->bus, NVME);

        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
        ck_assert_uint_eq(polkit_asked(world), 1); /* for Acquire */
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME), REFUSED("NoSuchLease"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        grant_close_fds(grant);
        await_removal(world, grant->lease, "released");
        check_nothing_held(world);
        ck_assert_ptr_nonnull(strstr(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "!"));
        grant_free(grant);
}
END_TEST

START_TEST(container_and_lifeline_left_behind_hold_nothing) {
        Grant *grant = must_acquire(world->bus, NVME);
        char lease[128];
        pid_t holder = world_spawn_holder(grant->fds[0].fd);

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        ck_assert_str_eq(grant->fds[0].role, "container");
        ck_assert_str_eq(ask(world->bus, lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
        grant_close_fds(grant);
        await_removal(world, lease, "released");
        check_nothing_held(world);
        grant_free(grant);
        world_kill(holder, SIGKILL);
}
END_TEST

START_TEST(others_need_polkit_to_revoke) {
        sd_bus *other = world_connect(world, OTHER), *same = world_connect(world, USER);
        Grant *grant = must_acquire(world->bus, NVME), *second = must_acquire(world->bus, EDU);
        char expected[64];

        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_str_eq(ask(other, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), DENIED);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_uint_eq(polkit_asked(world), 3);
        ck_assert_ptr_nonnull(strstr(ask_at(other, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", ""), VFB_ACTION_REVOKE));
        snprintf(expected, sizeof(expected), "{lease.uid %u}", USER);
        ck_assert_ptr_nonnull(strstr(ask_at(other, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", ""), expected));

        /* another process of the holder's does not */
        ck_assert_str_eq(ask(same, second->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
        grant_close_fds(second);
        await_removal(world, second->lease, "released");

        polkit_set(world, "SetAnswer", "s", "yes");
        ck_assert_str_eq(ask(other, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        grant_close_fds(grant);
        await_removal(world, grant->lease, "released");
        grant_free(grant);
        grant_free(second);
        sd_bus_flush_close_unref(other);
        sd_bus_flush_close_unref(same);
}
END_TEST

START_TEST(killed_client_leaves_nothing) {
        for (int times = 0; times < 5; times++) {
                _cleanup_(freep) char *lease = NULL;
                pid_t pid = world_spawn_peer(world, world_user(), SHARED ",0000:06:0d.1," NVME, &lease);

                ck_assert_msg(lease[0] == '/', "%s", lease);
                ck_assert_str_eq(lease_state(world->bus, lease), "active");
                world_kill(pid, SIGKILL);
                await_removal(world, lease, "holder-gone");
                check_nothing_held(world);
        }
}
END_TEST

START_TEST(copy_of_a_device_keeps_the_lease_lingering) {
        Grant *grant = must_acquire(world->bus, SHARED);
        pid_t holder = world_spawn_holder(grant_find(grant, "device:" SHARED)->fd);
        char lease[128];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_free(grant);
        WAIT_FOR(world, strcmp(lease_state(world->bus, lease), "lingering") == 0);
        for (int times = 0; times < 20; times++) {
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = SHARED }), REFUSED("Leased"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = "0000:06:0d.1" }), REFUSED("Leased"));
        }
        WAIT_FOR(world, daemon_logged(world, "still has") == 1);
        WAIT_FOR(world, vfio_called(world, "group-26 unset-container 16") >= 2);
        ck_assert_str_eq(lease_state(world->bus, lease), "lingering");

        world_kill(holder, SIGKILL);
        await_removal(world, lease, "holder-gone");
        check_nothing_held(world);
        grant_free(must_acquire(world->bus, SHARED));
}
END_TEST

START_TEST(copy_of_a_raw_group_keeps_the_lease_lingering) {
        Grant *grant = NULL;
        pid_t holder;
        char lease[128];

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .mode = "legacy-raw" }), "");
        holder = world_spawn_holder(grant_find(grant, "group:14")->fd);
        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_free(grant);
        WAIT_FOR(world, vfio_called(world, "group-14 open 16") >= 2);
        ck_assert_str_eq(lease_state(world->bus, lease), "lingering");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        world_kill(holder, SIGKILL);
        await_removal(world, lease, "holder-gone");
        check_nothing_held(world);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(lifeline_passed_on_holds_the_lease) {
        Grant *grant = must_acquire(world->bus, NVME);
        pid_t holder = world_spawn_holder(grant->lifeline);
        char lease[128];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_free(grant);
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(lease_state(world->bus, lease), "active");
        ck_assert_uint_eq(vfio_called(world, "unset-container"), 0);
        world_kill(holder, SIGKILL);
        await_removal(world, lease, "holder-gone");
        check_nothing_held(world);
}
END_TEST

START_TEST(leaving_the_bus_ends_no_lease) {
        sd_bus *bus = world_connect(world, world_user());
        Grant *grant = must_acquire(bus, NVME);

        sd_bus_flush_close_unref(bus);
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_uint_eq(vfio_called(world, "unset-container"), 0);
        grant_free(grant);
}
END_TEST

/* The same for a reset that fails and for a device that cannot even be opened for one */
static void check_quarantine(const char *fault, const char *value) {
        Grant *grant = must_acquire(world->bus, NVME "," EDU);
        char lease[128];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        vfio_fail(world, NVME, fault, value);
        grant_free(grant);
        await_removal(world, lease, "failed");
        check_nothing_held(world);
        ck_assert_str_eq(device_property(world, NVME, "Availability"), "quarantined");
        ck_assert_uint_ge(daemon_logged(world, "quarantined"), 1);
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Quarantined"));
        check_nothing_held(world);

        vfio_fail(world, NVME, fault, NULL);
        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_str_eq(ask(world->bus, device_path(NVME), VFB_INTERFACE_DEVICE, "Unquarantine", "t", UINT64_C(0)), DENIED);
        polkit_set(world, "SetAnswer", "s", "yes");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Quarantined"));
        ck_assert_str_eq(ask(world->bus, device_path(NVME), VFB_INTERFACE_DEVICE, "Unquarantine", "t", UINT64_C(0)), "");
        ck_assert(is_free(world, NVME));
        ck_assert_ptr_nonnull(strstr(ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", ""),
                                     VFB_ACTION_QUARANTINE));
        grant_free(must_acquire(world->bus, NVME));
}

START_TEST(failed_reset_quarantines) {
        check_quarantine("reset-fails", "");
        ck_assert(is_free(world, EDU));
}
END_TEST

START_TEST(failed_open_for_the_reset_quarantines) {
        check_quarantine("open-errno", "5");
}
END_TEST

START_TEST(quarantine_by_hand_outlasts_the_lease) {
        Grant *grant = must_acquire(world->bus, NVME);
        char reason[260];

        memset(reason, 'r', sizeof(reason));
        reason[257] = '\0';
        ck_assert_str_eq(ask(world->bus, device_path(NVME), VFB_INTERFACE_DEVICE, "Quarantine", "st", reason, UINT64_C(0)), INVALID_ARGS);
        ck_assert_str_eq(ask(world->bus, device_path(NVME), VFB_INTERFACE_DEVICE, "Quarantine", "st", "a\nb", UINT64_C(0)), INVALID_ARGS);
        ck_assert_str_eq(ask(world->bus, device_path(NVME), VFB_INTERFACE_DEVICE, "Quarantine", "st", "smells", UINT64_C(0)), "");
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Quarantined"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "smells"));
        ck_assert_str_eq(ask(world->bus, device_path(NVME), VFB_INTERFACE_DEVICE, "Unquarantine", "t", UINT64_C(0)), "");
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(device_without_a_reset_stays_with_its_user) {
        sd_bus *other = world_connect(world, OTHER);

        for (int times = 0; times < 3; times++) {
                grant_free(must_acquire(world->bus, NO_RESET));
                WAIT_FOR(world, is_free(world, NO_RESET));
                ck_assert_str_eq(refusal_of(other, &(Request) { .wants = NO_RESET }), REFUSED("ResetFailed"));
        }
        ck_assert_uint_ge(daemon_logged(world, "reset=none available"), 1);
        ck_assert_str_eq(ask(world->bus, device_path(NO_RESET), VFB_INTERFACE_DEVICE, "Unquarantine", "t", UINT64_C(0)), "");
        grant_free(must_acquire(other, NO_RESET));
        WAIT_FOR(world, is_free(world, NO_RESET));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NO_RESET }), REFUSED("ResetFailed"));
        sd_bus_flush_close_unref(other);
}
END_TEST

/* Through the group its holder had the companions too, whatever it asked for. */
START_TEST(raw_lease_answers_for_the_companions) {
        sd_bus *other = world_connect(world, OTHER);
        unsigned n = vfio_resets(world, "0000:04:00.1");
        Grant *grant = NULL;

        vfio_fail(world, "0000:06:0d.1", "bus-reset-errno", "25");
        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = SHARED ",0000:04:00.0", .mode = "legacy-raw" }), "");
        grant_free(TAKE_PTR(grant));
        WAIT_FOR(world, is_free(world, SHARED));
        ck_assert_uint_gt(vfio_resets(world, "0000:04:00.1"), n);
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = "0000:06:0d.1" }), REFUSED("ResetFailed"));
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(device_with_a_reset_goes_to_anybody) {
        sd_bus *other = world_connect(world, OTHER);

        grant_free(must_acquire(world->bus, NVME));
        WAIT_FOR(world, is_free(world, NVME));
        grant_free(must_acquire(other, NVME));
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(slow_open_holds_up_nobody) {
        Pending slow;

        vfio_fail(world, NVME, "open-hangs", "");
        pending_start(&slow, world->bus, &(Request) { .wants = NVME });
        WAIT_FOR(world, vfio_delayed(world) > 0);
        grant_free(must_acquire(world->bus, EDU));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListDevices", "a{sv}t", 0, UINT64_C(0));
        WAIT_FOR(world, is_free(world, EDU));
        ck_assert(!slow.answered);
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, slow.answered);
        ck_assert_str_eq(slow.refusal, "");
        pending_end(&slow);
}
END_TEST

START_TEST(caller_that_leaves_during_a_slow_open_leaves_nothing) {
        sd_bus *other = world_connect(world, world_user());
        Pending slow;

        vfio_fail(world, NVME, "open-hangs", "");
        pending_start(&slow, other, &(Request) { .wants = NVME });
        WAIT_FOR(world, vfio_delayed(world) > 0);
        pending_end(&slow);
        world_leave(world, other);
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, is_free(world, NVME));
        check_nothing_held(world);
        ck_assert_uint_eq(world_signals(world, "LeaseNew"), 0);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(slow_reset_holds_up_nobody) {
        Grant *grant = must_acquire(world->bus, NVME);

        vfio_fail(world, NVME, "open-hangs", "");
        grant_free(grant);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        grant_free(must_acquire(world->bus, EDU));
        ck_assert(!is_free(world, NVME));
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(daemon_ends_in_peace_during_a_slow_open) {
        Pending slow;
        pid_t child;

        vfio_fail(world, NVME, "open-hangs", "");
        pending_start(&slow, world->bus, &(Request) { .wants = NVME });
        WAIT_FOR(world, (child = vfio_delayed(world)) > 0);
        world_end_daemon(world);
        WAIT_FOR(world, slow.answered);
        ck_assert_ptr_null(slow.grant);
        pending_end(&slow);
        WAIT_FOR(world, count_fds(child, "") == 0); /* it dies with the daemon */
}
END_TEST

START_TEST(daemon_ends_in_peace_while_leases_run) {
        Grant *grant = must_acquire(world->bus, NVME);

        world_end_daemon(world);
        grant_free(grant);
}
END_TEST

static void cycle(unsigned times) {
        for (unsigned i = 0; i < times; i++) {
                grant_free(must_acquire(world->bus, NVME));
                WAIT_FOR(world, is_free(world, NVME));
        }
        world_forget_signals(world);
}

START_TEST(thousand_leases_leave_no_trace) {
        size_t n_fds, kb;

        cycle(100);
        n_fds = settled_fds(world);
        kb = memory_kb(world->daemon_pid);
        cycle(getenv("LEASE_CYCLES") ? (unsigned) atoi(getenv("LEASE_CYCLES")) : 300);
        WAIT_FOR(world, count_fds(world->daemon_pid, "") == n_fds);
        ck_assert_uint_le(memory_kb(world->daemon_pid), kb + GROWTH_KB);
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lease");
        TCase *tcase = suite_add_case(suite, "lease", make_world, end_world);

        tcase_add_test(tcase, last_close_of_the_lifeline_ends_the_lease);
        tcase_add_test(tcase, states_are_told_as_they_pass);
        tcase_add_test(tcase, end_resets_the_devices_and_says_so);
        tcase_add_test(tcase, release_begins_the_end_and_the_last_close_is_it);
        tcase_add_test(tcase, container_and_lifeline_left_behind_hold_nothing);
        tcase_add_test(tcase, killed_client_leaves_nothing);
        tcase_add_test(tcase, copy_of_a_device_keeps_the_lease_lingering);
        tcase_add_test(tcase, copy_of_a_raw_group_keeps_the_lease_lingering);
        tcase_add_test(tcase, lifeline_passed_on_holds_the_lease);
        tcase_add_test(tcase, leaving_the_bus_ends_no_lease);
        tcase_add_test(tcase, failed_reset_quarantines);
        tcase_add_test(tcase, failed_open_for_the_reset_quarantines);
        tcase_add_test(tcase, quarantine_by_hand_outlasts_the_lease);
        tcase_add_test(tcase, slow_open_holds_up_nobody);
        tcase_add_test(tcase, caller_that_leaves_during_a_slow_open_leaves_nothing);
        tcase_add_test(tcase, slow_reset_holds_up_nobody);
        tcase_add_test(tcase, daemon_ends_in_peace_during_a_slow_open);
        tcase_add_test(tcase, daemon_ends_in_peace_while_leases_run);
        tcase_add_test(tcase, thousand_leases_leave_no_trace);
        if (world_is_root()) {
                tcase_add_test(tcase, others_need_polkit_to_revoke);
                tcase_add_test(tcase, device_without_a_reset_stays_with_its_user);
                tcase_add_test(tcase, raw_lease_answers_for_the_companions);
                tcase_add_test(tcase, device_with_a_reset_goes_to_anybody);
        }
        return suite_run(suite);
}
