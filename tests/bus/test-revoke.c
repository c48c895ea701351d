/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A lease is taken back: the conversation, and the force after it. */

#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define NVME "0000:03:00.0"
#define EDU  "0000:01:00.0"

#define SECOND UINT64_C(1000000)
#define LONG   (250 * SECOND)

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nRevokeKillSec=0\n" });
}

/* Whoever is to end by SIGTERM has the time to do so. */
static void make_patient_world(void) {
        world_start(&world, &(WorldSpec) { .keep = true, .config = "[Limits]\nRevokeDelayMaxSec=5\nRevokeKillSec=600\n" });
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *id_of(const char *lease) {
        return ask_property(world->bus, lease, VFB_INTERFACE_LEASE, "Id");
}

static const char *take_back(sd_bus *bus, const char *lease, uint64_t grace_usec) {
        return ask(bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id_of(lease), "maintenance", grace_usec, UINT64_C(0));
}

static const char *complete(sd_bus *bus, const char *lease) {
        return ask(bus, lease, VFB_INTERFACE_LEASE, "RevokeComplete", "");
}

/* How many of the steps that were told begin like that; the last message has them all. */
static bool has_step(const char *lease, const char *step) {
        char line[256];

        snprintf(line, sizeof(line), "%s PropertiesChanged " VFB_INTERFACE_LEASE " [{RevokeSteps [", lease);
        world_signals(world, "");
        for (const char *p = world->signals; (p = strstr(p, line)); p++) {
                size_t n = strcspn(p, "\n");

                if (memmem(p, n, step, strlen(step)))
                        return true;
        }
        return false;
}

START_TEST(holder_is_told_and_its_answer_ends_it) {
        Grant *grant = must_acquire(world->bus, NVME);
        char lease[128];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        ck_assert_str_eq(take_back(world->bus, lease, LONG), "");
        ck_assert_str_eq(lease_state(world->bus, lease), "revoking");
        WAIT_FOR(world, world_signals(world, "RevokeRequested maintenance ") == 1);
        WAIT_FOR(world, has_step(lease, "asked: "));
        WAIT_FOR(world, has_step(lease, "interrupt: the holder listens for it on none"));

        /* nothing more is handed out, and nobody else gets it */
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME), REFUSED("NoSuchLease"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));

        grant_close_fds(grant);
        ck_assert_str_eq(complete(world->bus, lease), "");
        see_removal(world, lease, "revoked");
        WAIT_FOR(world, has_step(lease, "let-go: the holder says so"));
        ck_assert(!has_step(lease, "deadline"));
        ck_assert_uint_eq(daemon_logged(world, "is revoked: its holder let go when asked"), 1);
        ck_assert_uint_eq(vfio_called(world, "unmap-dma"), 0);
        check_nothing_held(world);
        ck_assert_ptr_nonnull(strchr(complete(world->bus, lease), '!'));
        grant_free(grant);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(descriptors_on_their_way_are_not_handed_out_either) {
        Grant *grant = must_acquire(world->bus, NVME);
        Call call;

        vfio_fail(world, NVME, "open-hangs", "");
        call_start(&call, world->bus, grant->lease, VFB_INTERFACE_LEASE, "GetFds", "ast", 1, "device:" NVME, UINT64_C(0));
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(take_back(world->bus, grant->lease, LONG), "");
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("NoSuchLease"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "revoking");
        grant_free(grant);
}
END_TEST

START_TEST(holder_may_let_go_in_any_way) {
        Grant *grant = must_acquire(world->bus, NVME);
        char lease[128];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        ck_assert_str_eq(take_back(world->bus, lease, LONG), "");
        grant_free(grant);
        see_removal(world, lease, "revoked");
        WAIT_FOR(world, has_step(lease, "let-go: holder-gone"));
        check_nothing_held(world);
}
END_TEST

START_TEST(answer_without_a_question_ends_nothing) {
        Grant *grant = must_acquire(world->bus, NVME);
        sd_bus *other = world_connect(world, OTHER);

        for (int times = 0; times < 20; times++) {
                ck_assert_str_eq(complete(world->bus, grant->lease), "");
                ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        }

        ck_assert_str_eq(take_back(world->bus, grant->lease, LONG), "");
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(complete(other, grant->lease), REFUSED("NotHolder"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "revoking");
        sd_bus_flush_close_unref(other);
        grant_free(grant);
}
END_TEST

START_TEST(interrupt_goes_to_open_devices_only) {
        Grant *grant = must_acquire(world->bus, NVME "," EDU);
        unsigned n = vfio_resets(world, EDU);
        GrantFd *edu = grant_find(grant, "device:" EDU);

        vfio_fail(world, NVME, "listens", "");
        vfio_fail(world, EDU, "listens", "");
        close(edu->fd);
        edu->fd = -EBADF;
        WAIT_FOR(world, count_children(world->daemon_pid) == 0); /* who opened it has copies for a moment */
        ck_assert_str_eq(take_back(world->bus, grant->lease, LONG), "");
        WAIT_FOR(world, has_step(grant->lease, "interrupt: the holder listens for it on 1 of 1 devices"));
        ck_assert_uint_eq(vfio_called(world, NVME " set-irqs 0"), 1);
        ck_assert_uint_eq(vfio_called(world, EDU " set-irqs"), 0);
        ck_assert_uint_eq(vfio_resets(world, EDU), n);
        grant_free(grant);
}
END_TEST

START_TEST(who_keeps_a_device_is_ended_at_the_deadline) {
        Grant *grant = must_acquire(world->bus, NVME);
        pid_t holder = world_spawn_holder(grant_find(grant, "device:" NVME)->fd), container = world_spawn_holder(grant->fds[0].fd);
        char lease[128], step[128];
        int status;

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_close_fds(grant);
        ck_assert_str_eq(take_back(world->bus, lease, 0), "");
        snprintf(step, sizeof(step), "sigterm: process %d (sleep), which has: device", (int) holder);
        WAIT_FOR(world, has_step(lease, step));
        see_removal(world, lease, "revoked");
        WAIT_FOR(world, has_step(lease, "deadline: "));
        WAIT_FOR(world, has_step(lease, "dma-unmapped: until"));
        ck_assert_uint_eq(vfio_called(world, "container unmap-dma 0"), 1);
        ck_assert_int_eq(waitpid(holder, &status, 0), holder);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        /* a container alone keeps nothing */
        ck_assert_int_eq(waitpid(container, &status, WNOHANG), 0);
        ck_assert_uint_ge(daemon_logged(world, "is revoked: it came after"), 1);
        check_nothing_held(world);
        world_kill(container, SIGKILL);
        grant_free(grant);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(who_ignores_sigterm_is_killed) {
        Grant *grant = must_acquire(world->bus, NVME);
        pid_t holder;
        char lease[128], step[128];
        int status;

        signal(SIGTERM, SIG_IGN); /* what is ignored stays so over exec */
        holder = world_spawn_holder(grant_find(grant, "device:" NVME)->fd);
        signal(SIGTERM, SIG_DFL);
        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_free(grant);
        WAIT_FOR(world, strcmp(lease_state(world->bus, lease), "lingering") == 0);

        /* there is nobody to ask any more */
        ck_assert_str_eq(take_back(world->bus, lease, 0), "");
        ck_assert_uint_eq(world_signals(world, "RevokeRequested"), 0);
        WAIT_FOR(world, has_step(lease, "over: it has ended (holder-gone)"));
        snprintf(step, sizeof(step), "sigkill: process %d (sleep)", (int) holder);
        WAIT_FOR(world, has_step(lease, step));
        see_removal(world, lease, "holder-gone");
        ck_assert_int_eq(waitpid(holder, &status, 0), holder);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        ck_assert_uint_eq(daemon_logged(world, "is revoked: it came after SIGKILL"), 1);
        check_nothing_held(world);
}
END_TEST

/* With another device open it cannot be told whose the one in the holder is. */
START_TEST(who_cannot_be_told_for_certain_is_not_ended) {
        Grant *grant = must_acquire(world->bus, NVME), *second = must_acquire(world->bus, EDU);
        pid_t holder = world_spawn_holder(grant_find(grant, "device:" NVME)->fd);
        char lease[128];
        int status;

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_free(grant);
        WAIT_FOR(world, strcmp(lease_state(world->bus, lease), "lingering") == 0);
        ck_assert_str_eq(take_back(world->bus, lease, 0), "");
        WAIT_FOR(world, has_step(lease, "busy: "));
        ck_assert_int_eq(waitpid(holder, &status, WNOHANG), 0);
        ck_assert_str_eq(lease_state(world->bus, lease), "lingering");
        ck_assert_str_eq(lease_state(world->bus, second->lease), "active");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        WAIT_FOR(world, daemon_logged(world, "cannot be taken back") >= 1);

        world_kill(holder, SIGKILL);
        see_removal(world, lease, "holder-gone");
        ck_assert_str_eq(lease_state(world->bus, second->lease), "active");
        grant_free(second);
}
END_TEST

START_TEST(deadline_is_bounded_and_only_comes_nearer) {
        Grant *grant = must_acquire(world->bus, NVME);
        char lease[128];
        uint64_t start = world_now();

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "RevokeDelayMaxUSec"), "5000000");
        ck_assert_str_eq(take_back(world->bus, lease, UINT64_MAX), "");
        ck_assert_str_eq(take_back(world->bus, lease, UINT64_MAX), "");
        WAIT_FOR(world, has_step(lease, "asked: the holder has 5 s"));
        WAIT_FOR(world, world_signals(world, "RevokeRequested maintenance") == 1);
        grant_close_fds(grant);
        WAIT_FOR(world, has_step(lease, "deadline: "));
        ck_assert_uint_ge(world_now() - start, 5 * SECOND - 100000);
        see_removal(world, lease, "revoked");
        world_forget_signals(world);
        grant_free(grant);

        grant = must_acquire(world->bus, NVME);
        snprintf(lease, sizeof(lease), "%s", grant->lease);
        ck_assert_str_eq(take_back(world->bus, lease, LONG), "");
        grant_close_fds(grant);
        ck_assert_str_eq(take_back(world->bus, lease, 0), "");
        see_removal(world, lease, "revoked");
        grant_free(grant);
}
END_TEST

START_TEST(deadline_holds_over_deaths_of_the_daemon) {
        Grant *grant = must_acquire(world->bus, NVME);
        char lease[128];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        ck_assert_str_eq(take_back(world->bus, lease, LONG), "");
        WAIT_FOR(world, has_step(lease, "interrupt: "));
        world_forget_signals(world);
        world_crash_daemon(world);
        ck_assert_str_eq(lease_state(world->bus, lease), "revoking");
        ck_assert_ptr_nonnull(strstr(ask_property(world->bus, lease, VFB_INTERFACE_LEASE, "RevokeSteps"), "asked: the holder has 5 s"));
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME), REFUSED("NoSuchLease"));
        /* who was to be told is told again */
        WAIT_FOR(world, world_signals(world, "RevokeRequested maintenance ") == 1);

        grant_close_fds(grant);
        WAIT_FOR(world, has_step(lease, "deadline: "));
        see_removal(world, lease, "revoked");
        check_nothing_held(world);
        grant_free(grant);
}
END_TEST

START_TEST(force_goes_on_after_a_death_of_the_daemon) {
        Grant *grant = must_acquire(world->bus, NVME);
        pid_t holder = world_spawn_holder(grant_find(grant, "device:" NVME)->fd);
        char lease[128];
        int status;

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_free(grant);
        WAIT_FOR(world, strcmp(lease_state(world->bus, lease), "lingering") == 0);
        ck_assert_str_eq(take_back(world->bus, lease, SECOND), "");
        world_crash_daemon(world);
        see_removal(world, lease, "holder-gone");
        ck_assert_int_eq(waitpid(holder, &status, 0), holder);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        check_nothing_held(world);
}
END_TEST

START_TEST(others_need_polkit_and_learn_nothing) {
        sd_bus *other = world_connect(world, OTHER);
        Grant *grant = must_acquire(world->bus, NVME);
        char reason[258];

        memset(reason, 'r', sizeof(reason));
        reason[257] = '\0';
        polkit_set(world, "SetAnswer", "s", "no");
        for (int times = 0; times < 20; times++) {
                ck_assert_str_eq(take_back(other, grant->lease, 0), DENIED);
                ck_assert_str_eq(ask(other, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", "l-000000", "", UINT64_C(0), UINT64_C(0)), DENIED);
        }
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_uint_eq(world_signals(world, "RevokeRequested"), 0);

        polkit_set(world, "SetAnswer", "s", "yes");
        ck_assert_str_eq(ask(other, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", "l-000000", "", UINT64_C(0), UINT64_C(0)), REFUSED("NoSuchLease"));
        ck_assert_str_eq(ask(other, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id_of(grant->lease), "", UINT64_C(0), UINT64_C(1)), REFUSED("InvalidOption"));
        ck_assert_str_eq(ask(other, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id_of(grant->lease), reason, UINT64_C(0), UINT64_C(0)), INVALID_ARGS);
        ck_assert_str_eq(ask(other, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id_of(grant->lease), "a\nb", UINT64_C(0), UINT64_C(0)), INVALID_ARGS);
        ck_assert_str_eq(ask(other, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id_of(grant->lease), "a\xc2\x85" "b", UINT64_C(0), UINT64_C(0)), INVALID_ARGS);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_str_eq(take_back(other, grant->lease, LONG), "");
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "revoking");
        grant_free(grant);
        sd_bus_flush_close_unref(other);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("revoke");
        TCase *tcase = suite_add_case(suite, "revoke", make_world, end_world);
        TCase *patient = suite_add_case(suite, "patient", make_patient_world, end_world);

        tcase_add_test(tcase, holder_is_told_and_its_answer_ends_it);
        tcase_add_test(tcase, descriptors_on_their_way_are_not_handed_out_either);
        tcase_add_test(tcase, holder_may_let_go_in_any_way);
        tcase_add_test(tcase, interrupt_goes_to_open_devices_only);
        if (world_is_root()) {
                tcase_add_test(tcase, answer_without_a_question_ends_nothing);
                tcase_add_test(tcase, who_ignores_sigterm_is_killed);
                tcase_add_test(tcase, who_cannot_be_told_for_certain_is_not_ended);
                tcase_add_test(tcase, others_need_polkit_and_learn_nothing);
        }
        tcase_add_test(patient, deadline_is_bounded_and_only_comes_nearer);
        if (world_is_root()) {
                tcase_add_test(patient, who_keeps_a_device_is_ended_at_the_deadline);
                tcase_add_test(patient, deadline_holds_over_deaths_of_the_daemon);
                tcase_add_test(patient, force_goes_on_after_a_death_of_the_daemon);
        }
        return suite_run(suite);
}
