/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Leases that are handed over: to whom, how often, and whose they are then. */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define NVME   "0000:03:00.0"
#define EDU    "0000:01:00.0"
#define SHARED "0000:06:0d.0"
#define MSEC   UINT64_C(1000)

static World *world;
static sd_bus *other;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
        other = world_connect(world, OTHER);
}

static void make_world_of_one_lease_each(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nLeasesPerUserMax=1\n" });
        other = world_connect(world, OTHER);
}

static void make_world_that_is_kept(void) {
        world_start(&world, &(WorldSpec) { .keep = true });
        other = world_connect(world, OTHER);
}

static void end_world(void) {
        other = sd_bus_flush_close_unref(other);
        world = world_stop(world);
}

/* The token, or a refusal. */
static const char *offer_to(const Grant *grant, sd_bus *bus, uid_t uid, uint64_t timeout_usec) {
        return ask(bus, grant->lease, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 2, "uid", "u", (uint32_t) uid, "timeout-usec", "t", timeout_usec);
}

static const char *must_offer(const Grant *grant, uid_t uid) {
        const char *token = offer_to(grant, world->bus, uid, 60000 * MSEC);

        ck_assert_msg(strlen(token) == 32, "%s: %s", token, ask_message());
        return token;
}

static const char *claim_refusal(sd_bus *bus, const char *token) {
        Grant *grant = NULL;
        const char *refusal = grant_claim(&grant, bus, token);

        grant_free(grant);
        return refusal;
}

static const char *property(const char *lease, const char *name) {
        return ask_property(world->bus, lease, VFB_INTERFACE_LEASE, name);
}

static void check_is_of(const Grant *grant, uid_t uid) {
        char text[16];

        snprintf(text, sizeof(text), "%u", uid);
        ck_assert_str_eq(property(grant->lease, "Uid"), text);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
}

static void await_end(Grant *grant) {
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, " LeaseRemoved ") == 1);
        world_forget_signals(world);
        check_nothing_held(world);
}

START_TEST(lease_goes_to_whom_it_is_offered) {
        Grant *grant = must_acquire(world->bus, NVME), *claimed = NULL;
        unsigned n = polkit_asked(world), n_resets = vfio_resets(world, NVME);
        const char *calls;
        char name[64];

        ck_assert_str_eq(grant_claim(&claimed, other, must_offer(grant, OTHER)), "");
        ck_assert_str_eq(claimed->lease, grant->lease);
        ck_assert_uint_eq(claimed->n_fds, 2);
        ck_assert_str_eq(claimed->fds[0].role, "container");
        ck_assert_str_eq(claimed->fds[1].role, "device:" NVME);
        ck_assert(claimed->complete);

        /* polkit was asked about the claimer, and the device */
        ck_assert_uint_eq(polkit_asked(world), n + 1);
        calls = ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", "");
        snprintf(name, sizeof(name), "(system-bus-name %s " VFB_ACTION_ACQUIRE, ({ const char *s; sd_bus_get_unique_name(other, &s); s; }));
        ck_assert_msg(strstr(calls, name) && strstr(strstr(calls, name), NVME), "%s not in %s", name, calls);
        ck_assert_ptr_nonnull(strstr(strstr(calls, name), "{lease.label }"));

        check_is_of(claimed, OTHER);
        WAIT_FOR(world, world_signals(world, "[{BoundTo lifeline} {Unit } {Uid 1}") == 1);
        ck_assert_uint_eq(daemon_logged(world, "is handed over to uid 1"), 1);
        ck_assert_uint_eq(vfio_resets(world, NVME), n_resets); /* the old holder had it open all the time */

        /* what the old one does is of no matter */
        grant_free(grant);
        for (int times = 0; times < 20; times++)
                check_is_of(claimed, OTHER);
        ck_assert_uint_eq(vfio_called(world, "unset-container"), 0);
        await_end(claimed);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(old_holder_has_no_say_any_more) {
        Grant *grant = must_acquire(world->bus, NVME), *claimed = NULL;

        ck_assert_str_eq(grant_claim(&claimed, other, must_offer(grant, OTHER)), "");
        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), DENIED);
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Renew", "t", UINT64_C(0)), REFUSED("NotHolder"));
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "container"), REFUSED("NotHolder"));
        ck_assert_str_eq(offer_to(grant, world->bus, world_user(), 1000 * MSEC), REFUSED("NotHolder"));
        check_is_of(claimed, OTHER);

        /* and the new one has all of it */
        ck_assert_str_eq(grant_get_fds(claimed, other, "device:" NVME), "");
        ck_assert_str_eq(ask(other, claimed->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
        grant_free(grant);
        await_end(claimed);
}
END_TEST

START_TEST(whatever_is_wrong_is_refused_alike) {
        static const char *const wrong[] = { "", "x", "00000000000000000000000000000000", "0000000000000000000000000000000000000000" };
        Grant *grant = must_acquire(world->bus, NVME);
        unsigned n = polkit_asked(world);
        char token[64], first[256], almost[64];

        snprintf(token, sizeof(token), "%s", must_offer(grant, OTHER));
        snprintf(almost, sizeof(almost), "%s", token);
        almost[31] = almost[31] == '0' ? '1' : '0';

        ck_assert_str_eq(claim_refusal(world->bus, token), DENIED); /* it is for somebody else */
        snprintf(first, sizeof(first), "%s", ask_message());
        for (int times = 0; times < 20; times++) {
                for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                        ck_assert_str_eq(claim_refusal(other, wrong[i]), DENIED);
                        ck_assert_str_eq(ask_message(), first);
                }
                ck_assert_str_eq(claim_refusal(other, almost), DENIED);
                ck_assert_str_eq(claim_refusal(world->bus, token), DENIED);
                ck_assert_str_eq(ask_message(), first);
        }
        ck_assert_uint_eq(polkit_asked(world), n);
        check_is_of(grant, world_user());
        ck_assert_str_eq(claim_refusal(other, token), ""); /* and it is still good */
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 0);
        grant_close_fds(grant);
        await_end(grant);
}
END_TEST

START_TEST(token_is_good_for_one_use) {
        Grant *grant = must_acquire(world->bus, NVME), *claimed = NULL;
        char token[64];

        snprintf(token, sizeof(token), "%s", must_offer(grant, OTHER));
        ck_assert_str_eq(grant_claim(&claimed, other, token), "");
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(claim_refusal(other, token), DENIED);
        check_is_of(claimed, OTHER);
        grant_free(grant);
        await_end(claimed);
}
END_TEST

START_TEST(offer_times_out) {
        Grant *grant = must_acquire(world->bus, NVME);
        const char *token = offer_to(grant, world->bus, OTHER, 50 * MSEC);
        uint64_t until = world_now() + 100 * MSEC;

        ck_assert_uint_eq(strlen(token), 32);
        WAIT_FOR(world, world_now() > until);
        ck_assert_str_eq(claim_refusal(other, token), DENIED);
        check_is_of(grant, world_user());
        await_end(grant);
}
END_TEST

START_TEST(new_offer_replaces_the_old) {
        Grant *grant = must_acquire(world->bus, NVME), *claimed = NULL;
        char first[64], second[64];

        snprintf(first, sizeof(first), "%s", must_offer(grant, OTHER));
        snprintf(second, sizeof(second), "%s", must_offer(grant, OTHER));
        ck_assert_str_ne(first, second);
        ck_assert_str_eq(claim_refusal(other, first), DENIED);
        ck_assert_str_eq(grant_claim(&claimed, other, second), "");
        grant_free(grant);
        await_end(claimed);
}
END_TEST

START_TEST(offer_ends_with_the_lease) {
        Grant *grant = must_acquire(world->bus, NVME);
        char token[64];

        snprintf(token, sizeof(token), "%s", must_offer(grant, OTHER));
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
        ck_assert_str_eq(claim_refusal(other, token), DENIED);
        ck_assert_str_eq(offer_to(grant, world->bus, OTHER, 1000 * MSEC), REFUSED("NoSuchLease"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        await_end(grant);
}
END_TEST

START_TEST(process_that_it_is_offered_to_and_no_other_may_claim_it) {
        Grant *grant = must_acquire(world->bus, NVME), *claimed = NULL;
        int own = (int) syscall(SYS_pidfd_open, getpid(), 0), theirs;
        pid_t pid = world_spawn_holder(STDERR_FILENO);
        const char *token;

        theirs = (int) syscall(SYS_pidfd_open, pid, 0);
        token = ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "pidfd", "h", theirs);
        ck_assert_uint_eq(strlen(token), 32);
        ck_assert_str_eq(claim_refusal(other, token), DENIED);
        ck_assert_str_eq(claim_refusal(world->bus, token), DENIED);
        check_is_of(grant, world_user());

        /* the test is the process behind both connections */
        token = ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "pidfd", "h", own);
        ck_assert_str_eq(grant_claim(&claimed, other, token), "");
        check_is_of(claimed, OTHER);
        grant_free(grant);
        await_end(claimed);
        world_kill(pid, SIGKILL);
        close(own);
        close(theirs);
}
END_TEST

START_TEST(offers_that_make_no_sense_are_refused) {
        Grant *grant = must_acquire(world->bus, NVME);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC), dead;
        pid_t pid = world_spawn_holder(STDERR_FILENO);
        const char *path = grant->lease;

        dead = (int) syscall(SYS_pidfd_open, pid, 0);
        world_kill(pid, SIGKILL);
        for (int times = 0; times < 20; times++) {
                ck_assert_str_eq(ask(world->bus, path, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 0), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, path, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "uid", "u", UINT32_MAX), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, path, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "uid", "s", "root"), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, path, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "pidfd", "h", null), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, path, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "pidfd", "h", dead), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, path, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 2, "uid", "u", 1, "pidfd", "h", null), REFUSED("InvalidOption"));
                ck_assert_str_eq(offer_to(grant, world->bus, OTHER, 0), REFUSED("InvalidOption"));
                ck_assert_str_eq(offer_to(grant, world->bus, OTHER, UINT64_MAX), REFUSED("InvalidOption"));
                ck_assert_str_eq(offer_to(grant, other, OTHER, 1000 * MSEC), REFUSED("NotHolder"));
        }
        check_is_of(grant, world_user());
        await_end(grant);
        close(null);
        close(dead);
}
END_TEST

START_TEST(polkit_must_let_the_claimer_have_the_devices) {
        Grant *grant = must_acquire(world->bus, NVME "," EDU), *claimed = NULL;
        char token[64];

        snprintf(token, sizeof(token), "%s", must_offer(grant, OTHER));
        polkit_set(world, "SetAnswerFor", "sss", "device.id", EDU, "no");
        for (int times = 0; times < 3; times++)
                ck_assert_str_eq(claim_refusal(other, token), DENIED);
        check_is_of(grant, world_user());
        polkit_set(world, "SetAnswerFor", "sss", "device.id", EDU, "yes");
        grant_close_lifeline(grant);
        WAIT_FOR(world, strcmp(lease_state(world->bus, grant->lease), "lingering") == 0);
        ck_assert_str_eq(grant_claim(&claimed, other, token), DENIED); /* too late */
        await_end(grant);
}
END_TEST

START_TEST(lease_counts_against_its_new_user) {
        Grant *grant = must_acquire(world->bus, NVME), *own = must_acquire(other, EDU), *claimed = NULL;
        char token[64];

        snprintf(token, sizeof(token), "%s", must_offer(grant, OTHER));
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(claim_refusal(other, token), REFUSED("QuotaExceeded"));
        check_is_of(grant, world_user());
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = SHARED }), REFUSED("QuotaExceeded"));
        grant_free(own);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        world_forget_signals(world);

        /* and the token is not used up by that */
        ck_assert_str_eq(grant_claim(&claimed, other, token), "");
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = SHARED }), REFUSED("QuotaExceeded"));
        grant_free(grant);
        grant = must_acquire(world->bus, SHARED);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        world_forget_signals(world);
        await_end(claimed);
}
END_TEST

START_TEST(claim_that_the_kernel_refuses_leaves_it_to_the_old_holder) {
        Grant *grant = must_acquire(world->bus, NVME);

        vfio_fail(world, NVME, "open-errno", "5");
        ck_assert_str_eq(claim_refusal(other, must_offer(grant, OTHER)), "!System.Error.EIO");
        check_is_of(grant, world_user());
        vfio_fail(world, NVME, "open-errno", NULL);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME), "");
        await_end(grant);
}
END_TEST

START_TEST(claimer_that_leaves_leaves_it_to_the_old_holder) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *leaving = world_connect(world, OTHER);
        Grant *grant = must_acquire(world->bus, NVME);
        const char *token = must_offer(grant, OTHER);

        vfio_fail(world, NVME, "open-hangs", "");
        ck_assert_int_ge(sd_bus_message_new_method_call(leaving, &m, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, "Claim"), 0);
        ck_assert_int_ge(sd_bus_message_append(m, "sa{sv}t", token, 0, UINT64_C(0)), 0);
        ck_assert(sd_bus_send(leaving, m, NULL) >= 0 && sd_bus_flush(leaving) >= 0);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        world_leave(world, leaving);
        vfio_fail(world, NVME, "open-hangs", NULL);
        settled_fds(world);
        check_is_of(grant, world_user());
        ck_assert_str_eq(claim_refusal(other, token), DENIED);
        await_end(grant);
}
END_TEST

START_TEST(what_the_old_holder_was_bound_to_ends_it_no_more) {
        sd_bus *bus = world_connect(world, world_user());
        Grant *grant = NULL, *claimed = NULL;
        const char *token;

        ck_assert_str_eq(grant_acquire(&grant, bus, &(Request) { .wants = NVME, .lifetime = "bus" }), "");
        token = offer_to(grant, bus, OTHER, 60000 * MSEC);
        ck_assert_str_eq(grant_claim(&claimed, other, token), "");
        ck_assert_str_eq(property(claimed->lease, "BoundTo"), "lifeline");
        sd_bus_flush_close_unref(bus);
        grant_free(grant);
        for (int times = 0; times < 20; times++)
                check_is_of(claimed, OTHER);
        await_end(claimed);
}
END_TEST

/* What it waits for comes first, and then it is the old holder's no more; or it comes too late. */
START_TEST(nothing_of_the_old_holder_is_under_way_when_it_changes_hands) {
        Grant *grant = must_acquire(world->bus, NVME);
        char token[64];
        Call old, new;
        pid_t claim;
        size_t before = settled_fds(world);

        snprintf(token, sizeof(token), "%s", must_offer(grant, OTHER));
        vfio_fail(world, NVME, "open-hangs", "");
        call_start(&old, world->bus, grant->lease, VFB_INTERFACE_LEASE, "GetFds", "ast", 1, "device:" NVME, UINT64_C(0));
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(claim_refusal(other, token), REFUSED("RateLimited"));
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, old.answered);
        ck_assert_int_eq(old.answer[0], '[');

        /* The token is still good. Now it is the claim that comes first. */
        vfio_fail(world, NVME, "open-hangs", "");
        call_start(&new, other, VFB_PATH, VFB_INTERFACE_MANAGER, "Claim", "sa{sv}t", token, 0, UINT64_C(0));
        WAIT_FOR(world, (claim = vfio_delayed(world)) > 0);
        call_start(&old, world->bus, grant->lease, VFB_INTERFACE_LEASE, "GetFds", "ast", 1, "device:" NVME, UINT64_C(0));
        WAIT_FOR(world, vfio_delayed_beside(world, claim) > 0);
        vfio_let_go_on(world, claim);
        WAIT_FOR(world, ({ sd_bus_process(other, NULL); new.answered; }));
        ck_assert_str_eq(new.answer, REFUSED("RateLimited"));
        ck_assert(!old.answered);
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, old.answered);
        ck_assert_int_eq(old.answer[0], '[');
        check_is_of(grant, world_user());
        WAIT_FOR(world, count_fds(world->daemon_pid, "") == before);
        await_end(grant);
}
END_TEST

START_TEST(process_of_the_old_holder_ends_it_no_more) {
        pid_t pid = world_spawn_holder(STDERR_FILENO);
        int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        Grant *grant = NULL, *claimed = NULL;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .lifetime = "pidfd", .pidfd = pidfd }), "");
        close(pidfd);
        ck_assert_str_eq(grant_claim(&claimed, other, must_offer(grant, OTHER)), "");
        WAIT_FOR(world, count_fds(world->daemon_pid, "pidfd") == 0);
        world_kill(pid, SIGKILL);
        grant_free(grant);
        for (int times = 0; times < 20; times++)
                check_is_of(claimed, OTHER);
        await_end(claimed);
}
END_TEST

START_TEST(time_goes_on_as_it_was) {
        Grant *grant = NULL, *claimed = NULL;

        /* once more with more time where the machine stands still for as long as that */
        for (uint64_t duration = 3000 * MSEC; !claimed; duration *= 2) {
                ck_assert_uint_lt(duration, PATIENCE);
                ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .duration_usec = duration }), "");
                (void) grant_claim(&claimed, other, offer_to(grant, world->bus, OTHER, PATIENCE));
                if (claimed)
                        grant_free(grant);
                else
                        await_end(grant);
        }
        WAIT_FOR(world, strcmp(lease_state(world->bus, claimed->lease), "lingering") == 0);
        ck_assert_uint_ge(daemon_logged(world, "reason=expired"), 1);
        await_end(claimed);
}
END_TEST

START_TEST(it_can_be_handed_on_and_back) {
        Grant *grant = must_acquire(world->bus, NVME), *claimed = NULL;

        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(grant_claim(&claimed, other, must_offer(grant, OTHER)), "");
                grant_free(grant);
                grant = NULL;
                ck_assert_str_eq(grant_claim(&grant, world->bus, offer_to(claimed, other, world_user(), 60000 * MSEC)), "");
                grant_free(claimed);
                check_is_of(grant, world_user());
        }
        ck_assert_str_eq(property(grant->lease, "BoundTo"), "lifeline");
        await_end(grant);
}
END_TEST

START_TEST(offers_are_forgotten_by_a_restart_and_claims_are_not) {
        Grant *grant = must_acquire(world->bus, NVME), *claimed = NULL;
        char token[64];

        snprintf(token, sizeof(token), "%s", must_offer(grant, OTHER));
        world_crash_daemon(world);
        ck_assert_str_eq(claim_refusal(other, token), DENIED);
        check_is_of(grant, world_user());

        ck_assert_str_eq(grant_claim(&claimed, other, must_offer(grant, OTHER)), "");
        grant_free(grant);
        world_crash_daemon(world);
        check_is_of(claimed, OTHER);
        world_forget_signals(world);
        await_end(claimed);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("handover");
        TCase *tcase;

        /* of two users, which needs root */
        if (world_is_root()) {
                tcase = suite_add_case(suite, "handover", make_world, end_world);
                tcase_add_test(tcase, lease_goes_to_whom_it_is_offered);
                tcase_add_test(tcase, old_holder_has_no_say_any_more);
                tcase_add_test(tcase, whatever_is_wrong_is_refused_alike);
                tcase_add_test(tcase, token_is_good_for_one_use);
                tcase_add_test(tcase, offer_times_out);
                tcase_add_test(tcase, new_offer_replaces_the_old);
                tcase_add_test(tcase, offer_ends_with_the_lease);
                tcase_add_test(tcase, process_that_it_is_offered_to_and_no_other_may_claim_it);
                tcase_add_test(tcase, offers_that_make_no_sense_are_refused);
                tcase_add_test(tcase, polkit_must_let_the_claimer_have_the_devices);
                tcase_add_test(tcase, claim_that_the_kernel_refuses_leaves_it_to_the_old_holder);
                tcase_add_test(tcase, claimer_that_leaves_leaves_it_to_the_old_holder);
                tcase_add_test(tcase, what_the_old_holder_was_bound_to_ends_it_no_more);
                tcase_add_test(tcase, nothing_of_the_old_holder_is_under_way_when_it_changes_hands);
                tcase_add_test(tcase, process_of_the_old_holder_ends_it_no_more);
                tcase_add_test(tcase, time_goes_on_as_it_was);
                tcase_add_test(tcase, it_can_be_handed_on_and_back);
                tcase_add_test(suite_add_case(suite, "restart", make_world_that_is_kept, end_world),
                               offers_are_forgotten_by_a_restart_and_claims_are_not);
                tcase_add_test(suite_add_case(suite, "limits", make_world_of_one_lease_each, end_world),
                               lease_counts_against_its_new_user);
        }
        return suite_run(suite);
}
