/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What outlives the daemon: leases, quarantine, and the truth about both. */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME     "0000:03:00.0"
#define EDU      "0000:01:00.0"
#define SHARED   "0000:06:0d.0"
#define COMPANION "0000:06:0d.1"
#define NO_RESET "0000:00:10.0"

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .keep = true });
}

static void end_world(void) {
        await_nothing_kept(world);
        world = world_stop(world);
}

static void restart(void) {
        world_end_daemon(world);
        world_start_daemon(world);
}

static void release(const char *lease) {
        ck_assert_str_eq(ask(world->bus, lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
}

/* Of two readings of one end: the two clocks of the kernel that are behind it are not read at one time. */
static bool is_same_end(uint64_t a, uint64_t b) {
        return (a > b ? a - b : b - a) < 1000000;
}

static const char *facts(const char *lease) {
        return ask(world->bus, lease, "org.freedesktop.DBus.Properties", "GetAll", "s", VFB_INTERFACE_LEASE);
}

START_TEST(lease_goes_on_over_deaths_and_restarts) {
        Grant *grant = NULL;
        char before[2048];

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME "," SHARED, .label = "näme \"1\"" }), "");
        snprintf(before, sizeof(before), "%s", facts(grant->lease));
        ck_assert_ptr_nonnull(strstr(before, "näme"));
        ck_assert_uint_eq(keeper_count(world->keeper, ""), 3);

        for (int times = 0; times < 5; times++) {
                if (times % 2)
                        restart();
                else
                        world_crash_daemon(world);
                ck_assert_str_eq(facts(grant->lease), before);
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = COMPANION }), REFUSED("Leased"));
                ck_assert_uint_eq(keeper_count(world->keeper, ""), 3);
                ck_assert_uint_eq(count_kept(world, "lease-"), 1);
        }
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "container,device:" NVME), "");

        vfio_forget(world);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME) && is_free(world, COMPANION));
        ck_assert_uint_ge(vfio_called(world, "group-14 unset-container 0"), 1);
        ck_assert_uint_eq(vfio_called(world, NVME " open 0"), 1); /* the reset gate */
        check_nothing_held(world);
}
END_TEST

START_TEST(holder_that_goes_while_nobody_looks_is_missed) {
        Grant *grant = must_acquire(world->bus, NVME);
        unsigned n = vfio_resets(world, NVME);

        world_end_daemon(world);
        grant_free(grant);
        world_start_daemon(world);
        WAIT_FOR(world, is_free(world, NVME));
        ck_assert_uint_eq(vfio_resets(world, NVME), n + 1);
        ck_assert_uint_eq(count_kept(world, "lease-"), 0);
}
END_TEST

START_TEST(what_is_still_open_after_a_restart_stays_reserved) {
        Grant *grant = must_acquire(world->bus, NVME);
        pid_t holder = world_spawn_holder(grant_find(grant, "device:" NVME)->fd);
        char lease[128];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_free(grant);
        WAIT_FOR(world, strcmp(lease_state(world->bus, lease), "lingering") == 0);
        for (int times = 0; times < 3; times++) {
                world_crash_daemon(world);
                ck_assert_str_eq(lease_state(world->bus, lease), "lingering");
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        }
        world_kill(holder, SIGKILL);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(death_in_the_middle_of_a_reset_does_not_skip_it) {
        Grant *grant = must_acquire(world->bus, NVME);
        char lease[128];
        unsigned n;

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        vfio_fail(world, NVME, "open-hangs", "");
        grant_free(grant);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(lease_state(world->bus, lease), "cleaning");
        world_crash_daemon(world);
        n = vfio_resets(world, NVME);
        ck_assert(!is_free(world, NVME));
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, is_free(world, NVME));
        ck_assert_uint_gt(vfio_resets(world, NVME), n);
}
END_TEST

START_TEST(death_in_the_middle_of_an_acquire_leaves_nothing) {
        for (int times = 0; times < 3; times++) {
                Pending pending = {};

                vfio_fail(world, NVME, "open-hangs", "");
                pending_start(&pending, world->bus, &(Request) { .wants = NVME });
                WAIT_FOR(world, vfio_delayed(world) > 0);
                world_crash_daemon(world);
                WAIT_FOR(world, pending.answered);
                ck_assert_str_ne(pending.refusal, "");
                pending_end(&pending);
                vfio_fail(world, NVME, "open-hangs", NULL);
                WAIT_FOR(world, is_free(world, NVME) && keeper_count(world->keeper, "") == 0);
                ck_assert_uint_eq(count_kept(world, "l"), 0);
                grant_free(must_acquire(world->bus, NVME));
                WAIT_FOR(world, is_free(world, NVME));
        }
}
END_TEST

/* A stop by a systemd that keeps no descriptors over it */
START_TEST(lease_without_its_descriptors_goes_on_for_who_has_them) {
        Grant *grant = must_acquire(world->bus, NVME);

        for (int times = 0; times < 3; times++) {
                world_end_daemon(world);
                keeper_empty(world->keeper);
                world_start_daemon(world);
                WAIT_FOR(world, count_children(world->daemon_pid) == 0);
                ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
                ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME), REFUSED("HeldElsewhere"));
                ck_assert_msg(strstr(ask_message(), "was lost with an earlier run of the service"), "%s", ask_message());
        }
        release(grant->lease);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        vfio_forget(world);
        grant_close_fds(grant);
        WAIT_FOR(world, is_free(world, NVME));
        ck_assert_uint_eq(vfio_called(world, NVME " open 0"), 1);
        grant_free(grant);
}
END_TEST

START_TEST(lease_whose_container_died_with_the_daemon_ends) {
        Grant *grant = must_acquire(world->bus, NVME);

        world_end_daemon(world);
        keeper_empty(world->keeper);
        for (unsigned i = 0; i < grant->n_fds; i++)
                closep(&grant->fds[i].fd);
        grant->n_fds = 0;
        world_start_daemon(world);
        WAIT_FOR(world, is_free(world, NVME));
        ck_assert_uint_ge(daemon_logged(world, "has not outlived"), 1);
        grant_free(grant);
}
END_TEST

START_TEST(quarantine_outlives_the_daemon) {
        const char *path = device_path(NVME);

        ck_assert_str_eq(ask(world->bus, path, VFB_INTERFACE_DEVICE, "Quarantine", "st", "bröken \"\\", UINT64_C(0)), "");
        for (int times = 0; times < 3; times++) {
                world_crash_daemon(world);
                ck_assert_str_eq(ask_property(world->bus, path, VFB_INTERFACE_DEVICE, "Availability"), "quarantined");
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Quarantined"));
                ck_assert_ptr_nonnull(strstr(ask_message(), "bröken \"\\"));
        }
        ck_assert_str_eq(ask(world->bus, path, VFB_INTERFACE_DEVICE, "Unquarantine", "t", UINT64_C(0)), "");
        ck_assert_uint_eq(count_kept(world, "device-"), 0);
        world_crash_daemon(world);
        ck_assert(is_free(world, NVME));
}
END_TEST

START_TEST(what_was_asked_for_is_kept_over_a_death) {
        Grant *once = NULL, *required = NULL;

        ck_assert_str_eq(grant_acquire(&once, world->bus, &(Request) { .wants = NVME, .flags = VFB_ACQUIRE_ONE_TIME }), "");
        ck_assert_str_eq(grant_acquire(&required, world->bus, &(Request) { .wants = NO_RESET, .reset = "required" }), "");
        world_crash_daemon(world);
        grant_free(once);
        grant_free(required);
        WAIT_FOR(world, count_kept(world, "lease-") == 0);
        for (int times = 0; times < 3; times++) {
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Quarantined"));
                ck_assert_ptr_nonnull(strstr(ask_message(), "one-time use"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NO_RESET }), REFUSED("Quarantined"));
                ck_assert_ptr_nonnull(strstr(ask_message(), "is required"));
                restart();
        }
        check_nothing_held(world);
}
END_TEST

START_TEST(device_that_was_not_reset_is_remembered) {
        sd_bus *other = world_connect(world, OTHER);

        vfio_fail(world, NO_RESET, "reset-fails", "");
        grant_free(must_acquire(world->bus, NO_RESET));
        WAIT_FOR(world, is_free(world, NO_RESET));
        world_crash_daemon(world);
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = NO_RESET }), REFUSED("ResetFailed"));
        grant_free(must_acquire(world->bus, NO_RESET));
        WAIT_FOR(world, is_free(world, NO_RESET));
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(raw_lease_goes_on_and_is_proved_over_by_the_group) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .mode = "legacy-raw" }), "");
        world_crash_daemon(world);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "group:14"), "");
        release(grant->lease);
        for (int times = 0; times < 2; times++) {
                world_crash_daemon(world);
                ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
                WAIT_FOR(world, keeper_count(world->keeper, "") == 0); /* it would be in the way of the question */
        }
        grant_close_fds(grant);
        WAIT_FOR(world, is_free(world, NVME));
        grant_free(grant);
}
END_TEST

/* Shared memory of a page that cannot shrink, mapped for the device */
static void map_page(const Grant *grant, uint64_t iova) {
        int fd = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        ck_assert_int_eq(ftruncate(fd, 4096), 0);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "MapMemory", "htttt", fd, UINT64_C(0), UINT64_C(4096),
                             iova, UINT64_C(3)), "");
        close(fd);
}

START_TEST(memory_of_a_mediated_lease_is_still_the_daemons_to_take) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .mode = "mediated" }), "");
        map_page(grant, 0x10000);
        map_page(grant, 0x20000);
        world_crash_daemon(world);
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "UnmapMemory", "tt", UINT64_C(0x10000), UINT64_C(4096)), "");
        map_page(grant, 0x10000);
        world_crash_daemon(world);

        /* the cut comes first, while the holder still has everything */
        vfio_forget(world);
        release(grant->lease);
        WAIT_FOR(world, daemon_logged(world, "2 mappings of 8192 bytes") == 1);
        ck_assert_uint_eq(vfio_called(world, "container unmap-dma 0"), 1);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(memory_whose_container_is_lost_is_nobodys_to_take) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .mode = "mediated" }), "");
        map_page(grant, 0x10000);
        keeper_empty(world->keeper);
        world_crash_daemon(world);
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "UnmapMemory", "tt", UINT64_C(0x10000), UINT64_C(4096)),
                         REFUSED("HeldElsewhere"));
        release(grant->lease);
        WAIT_FOR(world, daemon_logged(world, "is not cut: 1 mappings of 4096 bytes stay") == 1);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(time_goes_on_while_nobody_looks) {
        Grant *grant = NULL, *other = NULL;
        uint64_t before;

        ck_assert_str_eq(grant_acquire(&other, world->bus, &(Request) { .wants = EDU, .duration_usec = UINT64_C(3600000000) }), "");
        before = lease_expires(world, other);
        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .duration_usec = 200000 }), "");
        world_crash_daemon(world);
        WAIT_FOR(world, strcmp(lease_state(world->bus, grant->lease), "active") != 0);
        ck_assert_uint_ge(daemon_logged(world, "reason=expired"), 1);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
        ck_assert_str_eq(lease_state(world->bus, other->lease), "active");
        ck_assert(is_same_end(lease_expires(world, other), before));
        grant_free(other);
        WAIT_FOR(world, is_free(world, EDU));
}
END_TEST

/* The lifeline is closed in these: they hang on something else. */
static char *acquire_bound(sd_bus *bus, const Request *request, Grant **ret) {
        ck_assert_str_eq(grant_acquire(ret, bus, request), "");
        grant_close_lifeline(*ret);
        return (*ret)->lease;
}

START_TEST(name_on_the_bus_is_looked_for_after_a_restart) {
        sd_bus *other = world_connect(world, world_user());
        Grant *grant;
        const char *lease = acquire_bound(other, &(Request) { .wants = NVME, .lifetime = "bus" }, &grant);

        for (int times = 0; times < 3; times++) {
                world_crash_daemon(world);
                ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Version"); /* the answer about the name is in */
                ck_assert_str_eq(lease_state(world->bus, lease), "active");
                ck_assert_str_eq(ask_property(world->bus, lease, VFB_INTERFACE_LEASE, "BoundTo"), "bus");
        }

        world_end_daemon(world);
        grant_close_fds(grant);
        sd_bus_flush_close_unref(other);
        world_start_daemon(world);
        WAIT_FOR(world, is_free(world, NVME));
        ck_assert_uint_ge(daemon_logged(world, "reason=holder-gone"), 1);
        grant_free(grant);
}
END_TEST

START_TEST(process_is_still_watched_after_a_restart) {
        for (int while_down = 0; while_down < 2; while_down++) {
                pid_t pid = world_spawn_holder(STDERR_FILENO);
                int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
                Grant *grant;
                const char *lease = acquire_bound(world->bus, &(Request) { .wants = NVME, .lifetime = "pidfd", .pidfd = pidfd }, &grant);

                close(pidfd);
                WAIT_FOR(world, keeper_count(world->keeper, "pidfd-") == 1); /* there is no barrier for it */
                world_crash_daemon(world);
                ck_assert_str_eq(lease_state(world->bus, lease), "active");
                if (while_down)
                        world_end_daemon(world);
                world_kill(pid, SIGKILL);
                if (while_down)
                        world_start_daemon(world);
                WAIT_FOR(world, strcmp(lease_state(world->bus, lease), "active") != 0);
                grant_close_fds(grant);
                WAIT_FOR(world, is_free(world, NVME));
                grant_free(grant);
        }
}
END_TEST

START_TEST(device_that_left_its_driver_while_nobody_looked_is_judged_all_the_same) {
        Grant *required = NULL, *once = NULL;

        ck_assert_str_eq(grant_acquire(&required, world->bus, &(Request) { .wants = NVME, .reset = "required" }), "");
        ck_assert_str_eq(grant_acquire(&once, world->bus, &(Request) { .wants = EDU, .flags = VFB_ACQUIRE_ONE_TIME }), "");
        world_end_daemon(world);
        grant_free(required);
        grant_free(once);
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "nvme"), 0);
        ck_assert_int_ge(tree_set_driver(world->tree, EDU, ""), 0);
        world_start_daemon(world);
        WAIT_FOR(world, count_kept(world, "lease-") == 0);
        world_end_daemon(world);
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "vfio-pci"), 0);
        ck_assert_int_ge(tree_set_driver(world->tree, EDU, "vfio-pci"), 0);
        world_start_daemon(world);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Quarantined"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = EDU }), REFUSED("Quarantined"));
}
END_TEST

/* The file that cannot be written stands for a file system that is full. */
START_TEST(lease_is_not_renewed_if_a_restart_would_not_know_it) {
        Grant *grant = NULL;
        char path[PATH_MAX];
        uint64_t before;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .duration_usec = UINT64_C(60000000) }), "");
        before = lease_expires(world, grant);
        snprintf(path, sizeof(path), "%.4000s/run/lease-%.20s.new", tree_root(world->tree),
                 ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Id"));
        ck_assert_int_eq(mkdir(path, 0700), 0);
        ck_assert_int_eq(*ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Renew", "t", UINT64_C(36000000000)), '!');
        ck_assert(is_same_end(lease_expires(world, grant), before));
        ck_assert_int_eq(rmdir(path), 0);
        ck_assert_int_ne(*ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Renew", "t", UINT64_C(36000000000)), '!');
        ck_assert(!is_same_end(lease_expires(world, grant), before));
        grant_free(grant);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(process_of_a_lease_that_is_over_is_no_surprise) {
        pid_t pid = world_spawn_holder(STDERR_FILENO);
        int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        Grant *grant;
        const char *lease = acquire_bound(world->bus, &(Request) { .wants = NVME, .lifetime = "pidfd", .pidfd = pidfd }, &grant);

        close(pidfd);
        release(lease);
        world_crash_daemon(world);
        ck_assert_str_eq(lease_state(world->bus, lease), "lingering");
        ck_assert_uint_eq(daemon_logged(world, "belongs to no lease"), 0);
        grant_close_fds(grant);
        WAIT_FOR(world, is_free(world, NVME));
        grant_free(grant);
        world_kill(pid, SIGKILL);
}
END_TEST

START_TEST(many_leases_come_back_each_as_it_was) {
        static const char *const wants[] = { NVME, EDU, SHARED "," COMPANION, NO_RESET };
        Grant *grants[4];

        for (unsigned i = 0; i < 4; i++)
                grants[i] = must_acquire(world->bus, wants[i]);
        for (int times = 0; times < 10; times++) {
                world_crash_daemon(world);
                ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "4");
                for (unsigned i = 0; i < 4; i++)
                        ck_assert_str_eq(lease_state(world->bus, grants[i]->lease), "active");
        }
        for (unsigned i = 0; i < 4; i++)
                grant_free(grants[i]);
        WAIT_FOR(world, is_free(world, NVME) && is_free(world, EDU) && is_free(world, SHARED) && is_free(world, NO_RESET));
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("restart");
        TCase *tcase = suite_add_case(suite, "restart", make_world, end_world);

        tcase_add_test(tcase, lease_goes_on_over_deaths_and_restarts);
        tcase_add_test(tcase, holder_that_goes_while_nobody_looks_is_missed);
        tcase_add_test(tcase, what_is_still_open_after_a_restart_stays_reserved);
        tcase_add_test(tcase, death_in_the_middle_of_a_reset_does_not_skip_it);
        tcase_add_test(tcase, death_in_the_middle_of_an_acquire_leaves_nothing);
        tcase_add_test(tcase, lease_without_its_descriptors_goes_on_for_who_has_them);
        tcase_add_test(tcase, lease_whose_container_died_with_the_daemon_ends);
        tcase_add_test(tcase, quarantine_outlives_the_daemon);
        tcase_add_test(tcase, what_was_asked_for_is_kept_over_a_death);
        tcase_add_test(tcase, raw_lease_goes_on_and_is_proved_over_by_the_group);
        tcase_add_test(tcase, memory_of_a_mediated_lease_is_still_the_daemons_to_take);
        tcase_add_test(tcase, memory_whose_container_is_lost_is_nobodys_to_take);
        tcase_add_test(tcase, time_goes_on_while_nobody_looks);
        tcase_add_test(tcase, name_on_the_bus_is_looked_for_after_a_restart);
        tcase_add_test(tcase, process_is_still_watched_after_a_restart);
        tcase_add_test(tcase, device_that_left_its_driver_while_nobody_looked_is_judged_all_the_same);
        tcase_add_test(tcase, lease_is_not_renewed_if_a_restart_would_not_know_it);
        tcase_add_test(tcase, process_of_a_lease_that_is_over_is_no_surprise);
        tcase_add_test(tcase, many_leases_come_back_each_as_it_was);
        if (world_is_root())
                tcase_add_test(tcase, device_that_was_not_reset_is_remembered);
        return suite_run(suite);
}
