/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Leases that hang on something else than their lifeline: a name on the bus, a process, a unit. */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME "0000:03:00.0"
#define EDU  "0000:01:00.0"
#define UNIT "soak.service"
#define RUN  "0123456789abcdef0123456789abcdef"

#define QUERIES_MAX 16

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
        world_start_systemd(world);
}

static void make_world_that_is_kept(void) {
        world_start(&world, &(WorldSpec) { .keep = true });
        world_start_systemd(world);
}

static void make_world_without_systemd(void) {
        world_start(&world, &(WorldSpec) {});
}

static void end_world(void) {
        world = world_stop(world);
}

static void systemd_set(const char *method, const char *types, ...) {
        va_list arguments;
        int r;

        va_start(arguments, types);
        r = sd_bus_call_methodv(world->bus, "org.freedesktop.systemd1", "/test", "test.Systemd", method, NULL, NULL, types,
                                arguments);
        va_end(arguments);
        ck_assert_int_ge(r, 0);
}

static Grant *acquire(sd_bus *bus, const Request *request) {
        Grant *grant = NULL;
        const char *refusal = grant_acquire(&grant, bus, request);

        ck_assert_msg(grant, "%s: %s", refusal, ask_message());
        return grant;
}

static const char *property(const Grant *grant, const char *name) {
        return ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, name);
}

static void check_stays_active(const Grant *grant) {
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_uint_eq(vfio_called(world, "unset-container"), 0);
}

/* It is over, and was only begun by that: the device stays taken while its holder has it open. */
static void check_lingers_and_ends(Grant *grant) {
        WAIT_FOR(world, strcmp(lease_state(world->bus, grant->lease), "lingering") == 0);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        grant_close_fds(grant);
        await_removal(world, grant->lease, "holder-gone");
        check_nothing_held(world);
        grant_free(grant);
        grant_free(must_acquire(world->bus, NVME));
        WAIT_FOR(world, world_signals(world, VFB_PATH " LeaseRemoved ") == 1);
        world_forget_signals(world);
}

static pid_t spawn(int *ret_pidfd) {
        pid_t pid = world_spawn_holder(STDERR_FILENO);

        *ret_pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        ck_assert_int_ge(*ret_pidfd, 0);
        return pid;
}

START_TEST(leaving_the_bus_ends_a_lease_that_is_bound_to_it) {
        sd_bus *bus = world_connect(world, world_user());
        Grant *grant = acquire(bus, &(Request) { .wants = NVME, .lifetime = "bus" });

        ck_assert_str_eq(property(grant, "BoundTo"), "bus");
        ck_assert_str_eq(property(grant, "Unit"), "");
        grant_close_lifeline(grant);
        check_stays_active(grant);
        sd_bus_flush_close_unref(world_connect(world, world_user())); /* another one leaves */
        check_stays_active(grant);

        sd_bus_flush_close_unref(bus);
        check_lingers_and_ends(grant);
}
END_TEST

START_TEST(released_it_ends_as_any_other) {
        Grant *grant = acquire(world->bus, &(Request) { .wants = NVME, .lifetime = "bus" });

        grant_close_fds(grant);
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
        await_removal(world, grant->lease, "released");
        check_nothing_held(world);
        grant_free(grant);
}
END_TEST

START_TEST(end_of_the_process_ends_a_lease_that_is_bound_to_it) {
        int pidfd;
        pid_t pid = spawn(&pidfd);
        Grant *grant = acquire(world->bus, &(Request) { .wants = NVME, .lifetime = "pidfd", .pidfd = pidfd });

        close(pidfd);
        ck_assert_str_eq(property(grant, "BoundTo"), "pidfd");
        WAIT_FOR(world, count_fds(world->daemon_pid, "pidfd") == 1); /* that of a job goes with it */
        grant_close_lifeline(grant);
        check_stays_active(grant);
        world_kill(pid, SIGKILL);
        check_lingers_and_ends(grant);
}
END_TEST

START_TEST(what_is_no_living_process_is_refused) {
        char path[64];
        int pipes[2], dead, fds[5];
        pid_t pid = spawn(&dead);

        snprintf(path, sizeof(path), "/proc/%d", pid);
        fds[0] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitid(P_PID, (id_t) pid, &(siginfo_t) {}, WEXITED | WNOWAIT), 0);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .lifetime = "pidfd", .pidfd = dead }), REFUSED("InvalidOption"));
        waitpid(pid, NULL, 0);

        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        fds[1] = pipes[0];
        fds[2] = pipes[1];
        fds[3] = eventfd(1, EFD_CLOEXEC);
        fds[4] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        for (int times = 0; times < 20; times++) {
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .lifetime = "pidfd", .pidfd = dead }), REFUSED("InvalidOption"));
                for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
                        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .lifetime = "pidfd", .pidfd = fds[i] }), REFUSED("InvalidOption"));
        }
        ck_assert_uint_eq(polkit_asked(world), 0);
        ck_assert_uint_eq(vfio_called(world, ""), 0);
        check_nothing_held(world);
        close(dead);
        for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
                close(fds[i]);
}
END_TEST

START_TEST(refused_lease_keeps_no_descriptor) {
        int pidfd;
        pid_t pid = spawn(&pidfd);
        const Request request = { .wants = NVME, .lifetime = "pidfd", .pidfd = pidfd };

        polkit_set(world, "SetAnswer", "s", "no");
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &request), DENIED);
        polkit_set(world, "SetAnswer", "s", "yes");
        vfio_fail(world, NVME, "open-errno", "5");
        for (int times = 0; times < 5; times++)
                ck_assert_str_eq(refusal_of(world->bus, &request), "!System.Error.EIO");
        check_nothing_held(world);
        world_kill(pid, SIGKILL);
        close(pidfd);
}
END_TEST

START_TEST(process_that_ends_before_the_lease_begins_gets_none) {
        int pidfd;
        pid_t pid = spawn(&pidfd);
        Pending slow;

        vfio_fail(world, NVME, "open-hangs", "");
        pending_start(&slow, world->bus, &(Request) { .wants = NVME, .lifetime = "pidfd", .pidfd = pidfd });
        close(pidfd);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        world_kill(pid, SIGKILL);
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, slow.answered);
        ck_assert_str_ne(slow.refusal, "");
        pending_end(&slow);
        check_nothing_held(world);
        ck_assert_uint_eq(world_signals(world, "LeaseNew"), 0);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(options_that_do_not_fit_are_refused) {
        int pidfd;
        pid_t pid = spawn(&pidfd);
        char long_name[300];
        const Request requests[] = {
                { .wants = NVME, .lifetime = "pidfd" },
                { .wants = NVME, .pidfd = pidfd },
                { .wants = NVME, .lifetime = "bus", .pidfd = pidfd },
                { .wants = NVME, .lifetime = "unit", .pidfd = pidfd },
                { .wants = NVME, .unit = UNIT },
                { .wants = NVME, .lifetime = "bus", .unit = UNIT },
                { .wants = NVME, .lifetime = "pidfd", .pidfd = pidfd, .unit = UNIT },
                { .wants = NVME, .lifetime = "unit", .unit = long_name },
                { .wants = NVME, .lifetime = "Bus" },
                { .wants = NVME, .lifetime = "" },
        };

        memset(long_name, 'u', sizeof(long_name) - 1);
        long_name[sizeof(long_name) - 1] = '\0';
        systemd_set("SetUnit", "sss", UNIT, "active", RUN);
        for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
                ck_assert_msg(strcmp(refusal_of(world->bus, &requests[i]), REFUSED("InvalidOption")) == 0, "case %zu", i);
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Acquire", "a(sa{sv})a{sv}t", 1, NVME, 0, 2, "lifetime", "s", "pidfd",
                             "pidfd", "u", 1, UINT64_C(0)),
                         REFUSED("InvalidOption"));
        ck_assert_uint_eq(polkit_asked(world), 0);
        check_nothing_held(world);
        world_kill(pid, SIGKILL);
        close(pidfd);
}
END_TEST

static Grant *acquire_for_unit(void) {
        systemd_set("SetUnit", "sss", UNIT, "active", RUN);
        return acquire(world->bus, &(Request) { .wants = NVME, .lifetime = "unit", .unit = UNIT });
}

START_TEST(end_of_the_unit_ends_a_lease_that_is_bound_to_it) {
        static const char *const ends[] = { "inactive", "failed" };

        for (size_t i = 0; i < 2; i++) {
                Grant *grant = acquire_for_unit();

                ck_assert_str_eq(property(grant, "BoundTo"), "unit");
                ck_assert_str_eq(property(grant, "Unit"), UNIT);
                grant_close_lifeline(grant);
                vfio_forget(world);
                systemd_set("SetUnit", "sss", "other.service", "failed", RUN);
                systemd_set("SetUnit", "sss", UNIT, "reloading", RUN);
                systemd_set("SetUnit", "sss", UNIT, "deactivating", RUN);
                check_stays_active(grant);
                systemd_set("SetUnit", "sss", UNIT, ends[i], RUN);
                check_lingers_and_ends(grant);
        }
}
END_TEST

START_TEST(unit_that_is_started_anew_is_another_one) {
        Grant *grant = acquire_for_unit();

        systemd_set("SetUnit", "sss", UNIT, "active", "ffffffffffffffffffffffffffffffff");
        check_lingers_and_ends(grant);
}
END_TEST

START_TEST(unit_that_is_gone_has_ended) {
        Grant *grant = acquire_for_unit();

        systemd_set("RemoveUnit", "s", "other.service");
        check_stays_active(grant);
        systemd_set("RemoveUnit", "s", UNIT);
        check_lingers_and_ends(grant);
}
END_TEST

START_TEST(one_unit_may_have_many_leases) {
        Grant *grant = acquire_for_unit();
        Grant *other = acquire(world->bus, &(Request) { .wants = EDU, .lifetime = "unit", .unit = UNIT });

        grant_close_fds(grant);
        grant_close_fds(other);
        systemd_set("SetUnit", "sss", UNIT, "failed", RUN);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 2);
        check_nothing_held(world);
        grant_free(grant);
        grant_free(other);
}
END_TEST

START_TEST(without_a_name_it_is_the_callers_own_unit) {
        Grant *grant;

        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .lifetime = "unit" }), REFUSED("InvalidOption"));
        systemd_set("SetUnit", "sss", UNIT, "activating", RUN); /* as it is before READY=1 */
        systemd_set("SetUnitOf", "us", (uint32_t) getpid(), UNIT);
        grant = acquire(world->bus, &(Request) { .wants = NVME, .lifetime = "unit" });
        ck_assert_str_eq(property(grant, "Unit"), UNIT);
        systemd_set("SetUnit", "sss", UNIT, "inactive", RUN);
        check_lingers_and_ends(grant);
}
END_TEST

START_TEST(unit_that_does_not_run_is_refused) {
        const Request request = { .wants = NVME, .lifetime = "unit", .unit = UNIT };

        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &request), REFUSED("InvalidOption"));
        systemd_set("SetUnit", "sss", UNIT, "inactive", RUN);
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &request), REFUSED("InvalidOption"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "no unit that runs"));
        ck_assert_uint_eq(vfio_called(world, ""), 0);
        check_nothing_held(world);
}
END_TEST

static unsigned count_queries(void) {
        return (unsigned) strtoul(ask_at(world->bus, "org.freedesktop.systemd1", "/test", "test.Systemd", "GetQueries", ""),
                                  NULL, 10);
}

START_TEST(polkit_comes_before_systemd) {
        polkit_set(world, "SetAnswer", "s", "no");
        systemd_set("SetUnit", "sss", UNIT, "active", RUN);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .lifetime = "unit", .unit = UNIT }), DENIED);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .lifetime = "unit", .unit = "none.service" }), DENIED);
        ck_assert_uint_eq(count_queries(), 0);
        check_nothing_held(world);
}
END_TEST

START_TEST(systemd_that_is_slow_holds_up_nobody) {
        sd_bus *other = world_connect(world, world_user());
        Pending slow;

        systemd_set("SetUnit", "sss", UNIT, "active", RUN);
        systemd_set("SetSilent", "b", 1);
        pending_start(&slow, other, &(Request) { .wants = NVME, .lifetime = "unit", .unit = UNIT });
        WAIT_FOR(world, count_queries() == 1);
        grant_free(must_acquire(world->bus, NVME)); /* it has not been taken yet */
        pending_end(&slow);
        sd_bus_flush_close_unref(other);
        check_nothing_held(world);
}
END_TEST

/* Each that waits keeps its message. */
START_TEST(one_user_has_so_many_questions_to_systemd) {
        sd_bus *bus = world_connect(world, world_user());
        Request request = { .wants = NVME, .lifetime = "unit", .unit = UNIT };
        Pending slow[QUERIES_MAX];
        Grant *grant;

        systemd_set("SetUnit", "sss", UNIT, "active", RUN);
        systemd_set("SetSilent", "b", 1);
        for (int i = 0; i < QUERIES_MAX; i++) {
                pending_start(&slow[i], bus, &request);
                WAIT_FOR(world, (sd_bus_process(bus, NULL), count_queries() == (unsigned) i + 1));
        }
        for (int times = 0; times < 5; times++)
                ck_assert_str_eq(refusal_of(world->bus, &request), REFUSED("RateLimited"));
        ck_assert_uint_eq(count_queries(), QUERIES_MAX);
        for (int i = 0; i < QUERIES_MAX; i++)
                pending_end(&slow[i]);
        world_leave(world, bus);
        systemd_set("SetSilent", "b", 0);
        grant = acquire_for_unit();
        systemd_set("SetUnit", "sss", UNIT, "failed", RUN);
        check_lingers_and_ends(grant);
}
END_TEST

START_TEST(systemd_that_comes_back_is_asked_again) {
        Grant *grant = acquire_for_unit();

        world_end_systemd(world);
        check_stays_active(grant);

        /* it remembers nothing, the unit included */
        world_start_systemd(world);
        check_lingers_and_ends(grant);
        grant = acquire_for_unit();
        systemd_set("SetUnit", "sss", UNIT, "failed", RUN);
        check_lingers_and_ends(grant);
}
END_TEST

START_TEST(device_that_was_replaced_meanwhile_is_not_the_one_that_was_asked_for) {
        Pending slow;

        systemd_set("SetUnit", "sss", UNIT, "active", RUN);
        polkit_set(world, "SetAnswer", "s", "silent");
        pending_start(&slow, world->bus, &(Request) { .wants = NVME, .lifetime = "unit", .unit = UNIT });
        WAIT_FOR(world, polkit_waiting(world) == 1);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, slow.answered);
        ck_assert_str_eq(slow.refusal, REFUSED("DeviceGone"));
        pending_end(&slow);
        check_nothing_held(world);
}
END_TEST

START_TEST(without_systemd_no_lease_hangs_on_a_unit) {
        for (int times = 0; times < 5; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .lifetime = "unit", .unit = UNIT }), REFUSED("InvalidOption"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "systemd does not answer"));
        check_nothing_held(world);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

/* The daemon dies twice: while what the lease hangs on is there, and while it goes. */
START_TEST(deaths_of_the_daemon_change_nothing) {
        sd_bus *bus = world_connect(world, world_user());
        int pidfd;
        pid_t pid = spawn(&pidfd);
        Grant *of_bus = acquire(bus, &(Request) { .wants = EDU, .lifetime = "bus" });
        Grant *of_process = acquire(world->bus, &(Request) { .wants = NVME, .lifetime = "pidfd", .pidfd = pidfd });
        Grant *of_unit;

        close(pidfd);
        systemd_set("SetUnit", "sss", UNIT, "active", RUN);
        of_unit = acquire(world->bus, &(Request) { .wants = "0000:06:0d.0", .lifetime = "unit", .unit = UNIT });
        for (int times = 0; times < 3; times++) {
                world_crash_daemon(world);
                check_stays_active(of_bus);
                check_stays_active(of_process);
                check_stays_active(of_unit);
                ck_assert_str_eq(property(of_process, "BoundTo"), "pidfd");
                ck_assert_str_eq(property(of_unit, "Unit"), UNIT);
        }

        world_end_systemd(world);
        world_start_systemd(world);
        systemd_set("SetUnit", "sss", UNIT, "active", "ffffffffffffffffffffffffffffffff");
        sd_bus_flush_close_unref(bus);
        world_kill(pid, SIGKILL);
        world_crash_daemon(world);
        WAIT_FOR(world, strcmp(lease_state(world->bus, of_bus->lease), "lingering") == 0);
        WAIT_FOR(world, strcmp(lease_state(world->bus, of_process->lease), "lingering") == 0);
        WAIT_FOR(world, strcmp(lease_state(world->bus, of_unit->lease), "lingering") == 0);
        grant_free(of_bus);
        grant_free(of_process);
        grant_free(of_unit);
        WAIT_FOR(world, strcmp(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "0") == 0);
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lifetimes");
        TCase *tcase = suite_add_case(suite, "lifetimes", make_world, end_world);

        tcase_add_test(tcase, leaving_the_bus_ends_a_lease_that_is_bound_to_it);
        tcase_add_test(tcase, released_it_ends_as_any_other);
        tcase_add_test(tcase, end_of_the_process_ends_a_lease_that_is_bound_to_it);
        tcase_add_test(tcase, what_is_no_living_process_is_refused);
        tcase_add_test(tcase, refused_lease_keeps_no_descriptor);
        tcase_add_test(tcase, process_that_ends_before_the_lease_begins_gets_none);
        tcase_add_test(tcase, options_that_do_not_fit_are_refused);
        tcase_add_test(tcase, end_of_the_unit_ends_a_lease_that_is_bound_to_it);
        tcase_add_test(tcase, unit_that_is_started_anew_is_another_one);
        tcase_add_test(tcase, unit_that_is_gone_has_ended);
        tcase_add_test(tcase, one_unit_may_have_many_leases);
        tcase_add_test(tcase, without_a_name_it_is_the_callers_own_unit);
        tcase_add_test(tcase, unit_that_does_not_run_is_refused);
        tcase_add_test(tcase, polkit_comes_before_systemd);
        tcase_add_test(tcase, systemd_that_is_slow_holds_up_nobody);
        tcase_add_test(tcase, one_user_has_so_many_questions_to_systemd);
        tcase_add_test(tcase, systemd_that_comes_back_is_asked_again);
        tcase_add_test(tcase, device_that_was_replaced_meanwhile_is_not_the_one_that_was_asked_for);
        tcase_add_test(suite_add_case(suite, "restart", make_world_that_is_kept, end_world),
                       deaths_of_the_daemon_change_nothing);
        tcase_add_test(suite_add_case(suite, "no systemd", make_world_without_systemd, end_world),
                       without_systemd_no_lease_hangs_on_a_unit);
        return suite_run(suite);
}
