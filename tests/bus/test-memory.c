/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mediated leases: what their devices can reach of memory. */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mediated.h"
#include "suite.h"
#include "watch.h"

#define SMALL "[Limits]\nMappingsPerLeaseMax=3\nMappingsPerUserMax=4\nMediatedBytesPerLeaseMax=32K\nMediatedBytesPerUserMax=40960\n"

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void make_world_of_small_limits(void) {
        world_start(&world, &(WorldSpec) { .config = SMALL });
}

static void end_world(void) {
        world = world_stop(world);
}

START_TEST(client_gets_the_devices_and_never_the_container) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU "," NVME);

        ck_assert_uint_eq(grant->n_fds, 2);
        ck_assert(grant->complete);
        ck_assert_str_eq(grant->fds[0].role, "device:" EDU);
        ck_assert_str_eq(grant->fds[1].role, "device:" NVME);
        ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Mode"), "mediated");
        ck_assert_ptr_nonnull(strstr(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Features"), "mode:mediated"));

        ck_assert_str_eq(grant_get_fds(grant, world->bus, "container"), INVALID_ARGS);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "group:14"), INVALID_ARGS);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME ",container"), INVALID_ARGS);
        ck_assert_uint_eq(grant->n_fds, 2);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME), "");
        ck_assert_str_eq(grant->fds[2].role, "device:" NVME);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, ""), "");
        ck_assert_uint_eq(grant->n_fds, 3);
}
END_TEST

START_TEST(memory_is_mapped_and_taken_back) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(4 * PAGE, SHRINK);

        ck_assert_str_eq(map_as(world->bus, grant->lease, fd, 0, PAGE, IOVA, READ), "");
        ck_assert_str_eq(map_as(world->bus, grant->lease, fd, PAGE, 3 * PAGE, IOVA + PAGE, WRITE), "");
        ck_assert_str_eq(map_as(world->bus, grant->lease, fd, 3 * PAGE, PAGE, -PAGE, BOTH), "");
        close(fd);
        ck_assert_str_eq(mapped(world), "100000 1000 1\n101000 3000 2\nfffffffffffff000 1000 3\n");
        ck_assert_str_eq(unmap(world, grant, IOVA + PAGE, 3 * PAGE), "");
        ck_assert_str_eq(unmap(world, grant, -PAGE, PAGE), "");
        ck_assert_str_eq(mapped(world), "100000 1000 1\n");
        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), "");
        ck_assert_str_eq(mapped(world), "");
        ck_assert_str_eq(map_page(world, grant, IOVA), "");
        ck_assert_uint_eq(polkit_asked(world), 1); /* for Acquire */
}
END_TEST

START_TEST(wrong_ranges_and_flags_map_nothing) {
        static const struct {
                uint64_t offset, size, iova, flags;
                const char *refusal;
        } cases[] = {
                { 1, PAGE, IOVA, BOTH, INVALID_ARGS },
                { 0, PAGE - 1, IOVA, BOTH, INVALID_ARGS },
                { 0, PAGE, IOVA + 2048, BOTH, INVALID_ARGS },
                { 0, 0, IOVA, BOTH, INVALID_ARGS },
                { 0, 3 * PAGE, IOVA, BOTH, INVALID_ARGS },
                { PAGE, 2 * PAGE, IOVA, BOTH, INVALID_ARGS },
                { 2 * PAGE, PAGE, IOVA, BOTH, INVALID_ARGS },
                { 3 * PAGE, PAGE, IOVA, BOTH, INVALID_ARGS },
                { -PAGE, 2 * PAGE, IOVA, BOTH, INVALID_ARGS },
                { 0, 2 * PAGE, -PAGE, BOTH, INVALID_ARGS },
                { 0, -PAGE, 2 * PAGE, BOTH, INVALID_ARGS },
                { 0, PAGE, IOVA, 0, REFUSED("InvalidOption") },
        };
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(2 * PAGE, SHRINK);

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_str_eq(map_as(world->bus, grant->lease, fd, cases[i].offset, cases[i].size, cases[i].iova, cases[i].flags),
                                 cases[i].refusal);
        for (int bit = 2; bit < 64; bit++)
                ck_assert_str_eq(map_as(world->bus, grant->lease, fd, 0, PAGE, IOVA, BOTH | UINT64_C(1) << bit), REFUSED("InvalidOption"));
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 0);
        ck_assert_str_eq(map(world, grant, fd, 0, 2 * PAGE, IOVA), "");
        close(fd);
}
END_TEST

START_TEST(memory_must_be_a_memfd_that_cannot_shrink) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fds[] = { memory_new(PAGE, 0), memory_new(PAGE, F_SEAL_GROW), open("/dev/zero", O_RDWR | O_CLOEXEC), open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
                      open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600), dup(grant->fds[0].fd), dup(grant->lifeline), open("/", O_PATH | O_CLOEXEC) };

        for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
                ck_assert_int_ge(fds[i], 0);
                (void) ftruncate(fds[i], PAGE);
                ck_assert_msg(strcmp(map(world, grant, fds[i], 0, PAGE, IOVA), INVALID_ARGS) == 0, "%zu: %s", i, ask_message());
                ck_assert_ptr_nonnull(strstr(ask_message(), "F_SEAL_SHRINK"));
                close(fds[i]);
        }
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 0);
        ck_assert_str_eq(map_page(world, grant, IOVA), "");
}
END_TEST

START_TEST(device_may_not_write_what_the_caller_may_not) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(PAGE, SHRINK), readable;
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        readable = open(path, O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(readable, 0);
        ck_assert_str_eq(map_as(world->bus, grant->lease, readable, 0, PAGE, IOVA, WRITE), INVALID_ARGS);
        ck_assert_str_eq(map_as(world->bus, grant->lease, readable, 0, PAGE, IOVA, BOTH), INVALID_ARGS);
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 0);
        ck_assert_str_eq(map_as(world->bus, grant->lease, readable, 0, PAGE, IOVA, READ), "");
        close(readable);
        close(fd);

        fd = memory_new(PAGE, SHRINK | F_SEAL_FUTURE_WRITE);
        ck_assert_str_eq(map(world, grant, fd, 0, PAGE, IOVA + PAGE), INVALID_ARGS);
        close(fd);
        ck_assert_str_eq(mapped(world), "100000 1000 1\n");
}
END_TEST

START_TEST(ranges_do_not_overlap) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(4 * PAGE, SHRINK);

        ck_assert_str_eq(map(world, grant, fd, 0, 2 * PAGE, IOVA), "");
        ck_assert_str_eq(map(world, grant, fd, 0, 2 * PAGE, IOVA), INVALID_ARGS);
        ck_assert_str_eq(map(world, grant, fd, 0, PAGE, IOVA + PAGE), INVALID_ARGS);
        ck_assert_str_eq(map(world, grant, fd, 0, 2 * PAGE, IOVA - PAGE), INVALID_ARGS);
        ck_assert_str_eq(map(world, grant, fd, 0, 4 * PAGE, IOVA - PAGE), INVALID_ARGS);
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 1);
        ck_assert_str_eq(map(world, grant, fd, 0, PAGE, IOVA - PAGE), "");
        ck_assert_str_eq(map(world, grant, fd, 0, PAGE, IOVA + 2 * PAGE), "");
        close(fd);
}
END_TEST

START_TEST(only_what_is_mapped_can_be_taken_back) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(4 * PAGE, SHRINK);

        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), INVALID_ARGS);
        ck_assert_str_eq(map(world, grant, fd, 0, 2 * PAGE, IOVA), "");
        ck_assert_str_eq(map(world, grant, fd, 0, 2 * PAGE, IOVA + 2 * PAGE), "");
        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), INVALID_ARGS);
        ck_assert_str_eq(unmap(world, grant, IOVA + PAGE, PAGE), INVALID_ARGS);
        ck_assert_str_eq(unmap(world, grant, IOVA, 4 * PAGE), INVALID_ARGS);
        ck_assert_str_eq(unmap(world, grant, IOVA + 1, 2 * PAGE), INVALID_ARGS);
        ck_assert_str_eq(unmap(world, grant, 0, UINT64_MAX), INVALID_ARGS);
        ck_assert_uint_eq(vfio_called(world, "unmap-dma"), 0);
        ck_assert_str_eq(unmap(world, grant, IOVA, 2 * PAGE), "");
        ck_assert_str_eq(unmap(world, grant, IOVA, 2 * PAGE), INVALID_ARGS);
        ck_assert_str_eq(mapped(world), "102000 2000 3\n");
        close(fd);
}
END_TEST

START_TEST(only_the_holder_maps) {
        Grant *grant = acquire_mediated(world->bus, EDU);
        sd_bus *other = world_connect(world, OTHER);
        int fd = memory_new(PAGE, SHRINK);

        ck_assert_str_eq(map_page(world, grant, IOVA), "");
        ck_assert_str_eq(map_as(other, grant->lease, fd, 0, PAGE, IOVA + PAGE, BOTH), REFUSED("NotHolder"));
        ck_assert_str_eq(map_as(other, grant->lease, fd, 0, PAGE, IOVA, 77), REFUSED("NotHolder"));
        ck_assert_str_eq(unmap_as(other, grant->lease, IOVA, PAGE), REFUSED("NotHolder"));
        ck_assert_str_eq(mapped(world), "100000 1000 3\n");
        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), "");
        close(fd);
        grant_free(grant);
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(other_modes_map_for_themselves) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, EDU);

        ck_assert_str_eq(map_page(world, grant, IOVA), INVALID_ARGS);
        ck_assert_ptr_nonnull(strstr(ask_message(), "mode=mediated"));
        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), INVALID_ARGS);
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 0);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
}
END_TEST

START_TEST(refusals_of_the_kernel_are_told_and_record_nothing) {
        static const struct {
                const char *fault, *refusal;
        } cases[] = {
                { "22 1", INVALID_ARGS }, /* EINVAL: no address that the IOMMU translates */
                { "28 1", REFUSED("QuotaExceeded") }, /* ENOSPC: dma_entry_limit */
                { "12 1", "!System.Error.ENOMEM" },
                { "14 1", "!System.Error.EFAULT" },
        };
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                vfio_fail(world, "container", "map-dma-errno", cases[i].fault);
                ck_assert_str_eq(map_page(world, grant, IOVA), cases[i].refusal);
                ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), INVALID_ARGS);
        }
        ck_assert_str_eq(map_page(world, grant, IOVA), "");

        vfio_fail(world, "container", "unmap-dma-errno", "5 1");
        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), "!System.Error.EIO");
        ck_assert_str_eq(map_page(world, grant, IOVA), INVALID_ARGS);
        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), "");
}
END_TEST

START_TEST(child_that_dies_leaves_nothing_mapped) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(PAGE, SHRINK);
        Call call;

        vfio_fail(world, "container", "map-dma-hangs", "");
        send_map(&call, world->bus, grant->lease, fd, IOVA);
        vfio_kill_delayed(world);
        WAIT_FOR(world, call.answered);
        ck_assert_ptr_eq(strstr(call.answer, "!System.Error."), call.answer);
        ck_assert_uint_eq(vfio_called(world, "unmap-dma 0"), 1);
        vfio_fail(world, "container", "map-dma-hangs", NULL);
        ck_assert_str_eq(map(world, grant, fd, 0, PAGE, IOVA), "");
        call_end(&call);
        close(fd);
}
END_TEST

START_TEST(caller_that_leaves_meanwhile_leaves_a_record) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        sd_bus *leaver = world_connect(world, world_user());
        int fd = memory_new(PAGE, SHRINK);
        Call call;

        vfio_fail(world, "container", "map-dma-hangs", "");
        send_map(&call, leaver, grant->lease, fd, IOVA);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        call_end(&call);
        world_leave(world, leaver);
        vfio_fail(world, "container", "map-dma-hangs", NULL);
        settled_fds(world); /* and the daemon knows that it is done */
        ck_assert_str_eq(mapped(world), "100000 1000 3\n");
        ck_assert_str_eq(map(world, grant, fd, 0, PAGE, IOVA), INVALID_ARGS);
        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), "");
        close(fd);
}
END_TEST

START_TEST(slow_map_holds_up_nobody) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(PAGE, SHRINK);
        Call calls[9];

        vfio_fail(world, "container", "map-dma-hangs", "");
        for (unsigned i = 0; i < 9; i++)
                send_map(&calls[i], world->bus, grant->lease, fd, IOVA + i * PAGE);
        WAIT_FOR(world, calls[8].answered);
        ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Version");
        for (unsigned i = 0; i < 8; i++)
                ck_assert(!calls[i].answered);
        vfio_fail(world, "container", "map-dma-hangs", NULL);
        for (unsigned i = 0; i < 9; i++) {
                WAIT_FOR(world, calls[i].answered);
                ck_assert_str_eq(calls[i].answer, i < 8 ? "" : REFUSED("RateLimited"));
                call_end(&calls[i]);
        }
        close(fd);
}
END_TEST

/* 3 mappings and 32 KiB a lease, 4 mappings and 40 KiB a user */
START_TEST(lease_and_user_have_limits) {
        Grant *grant = acquire_mediated(world->bus, EDU), *other = acquire_mediated(world->bus, NVME);
        int fd = memory_new(9 * PAGE, SHRINK);

        ck_assert_str_eq(map(world, grant, fd, 0, 9 * PAGE, IOVA), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(map(world, grant, fd, 0, 8 * PAGE, IOVA), "");
        ck_assert_str_eq(map(world, grant, fd, 0, PAGE, 0), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(map(world, other, fd, 0, 3 * PAGE, IOVA), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(map(world, other, fd, 0, 2 * PAGE, IOVA), "");
        ck_assert_str_eq(unmap(world, grant, IOVA, 8 * PAGE), "");

        for (unsigned i = 1; i < 4; i++)
                ck_assert_str_eq(map(world, grant, fd, 0, PAGE, IOVA + i * PAGE), "");
        ck_assert_str_eq(map(world, grant, fd, 0, PAGE, IOVA), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(map(world, other, fd, 0, PAGE, 0), REFUSED("QuotaExceeded"));
        ck_assert_uint_eq(vfio_called(world, " map-dma"), 5);

        /* The end gives all of it back, although the device is still open. */
        release(world, grant);
        WAIT_FOR(world, strcmp(map(world, other, fd, 0, 6 * PAGE, 0), "") == 0);
        close(fd);
        grant_free(grant);
        grant_free(other);
        WAIT_FOR(world, is_free(world, EDU) && is_free(world, NVME));
}
END_TEST

START_TEST(refused_maps_cost_nothing) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);

        for (unsigned times = 0; times < 20; times++) {
                vfio_fail(world, "container", "map-dma-errno", "12 1");
                ck_assert_str_eq(map_page(world, grant, IOVA), "!System.Error.ENOMEM");
                ck_assert_str_eq(map_page(world, grant, IOVA), "");
                ck_assert_str_eq(map_page(world, grant, IOVA), INVALID_ARGS);
                ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), "");
        }
}
END_TEST

static void cycle(const Grant *grant, unsigned times) {
        for (unsigned i = 0; i < times; i++) {
                ck_assert_str_eq(map_page(world, grant, IOVA), "");
                ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), "");
        }
}

START_TEST(hundred_maps_leave_no_trace) {
        Grant *grant = acquire_mediated(world->bus, EDU);
        size_t n_fds, kb;

        cycle(grant, 30);
        n_fds = settled_fds(world);
        kb = memory_kb(world->daemon_pid);
        cycle(grant, 100);
        WAIT_FOR(world, count_fds(world->daemon_pid, "") == n_fds);
        ck_assert_uint_le(memory_kb(world->daemon_pid), kb + GROWTH_KB);
        ck_assert_uint_eq(count_fds(world->daemon_pid, "memfd"), 0);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, EDU));
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("memory");
        TCase *tcase;

        tcase = suite_add_case(suite, "memory", make_world, end_world);
        tcase_add_test(tcase, client_gets_the_devices_and_never_the_container);
        tcase_add_test(tcase, memory_is_mapped_and_taken_back);
        tcase_add_test(tcase, wrong_ranges_and_flags_map_nothing);
        tcase_add_test(tcase, memory_must_be_a_memfd_that_cannot_shrink);
        tcase_add_test(tcase, device_may_not_write_what_the_caller_may_not);
        tcase_add_test(tcase, ranges_do_not_overlap);
        tcase_add_test(tcase, only_what_is_mapped_can_be_taken_back);
        tcase_add_test(tcase, other_modes_map_for_themselves);
        tcase_add_test(tcase, refusals_of_the_kernel_are_told_and_record_nothing);
        tcase_add_test(tcase, child_that_dies_leaves_nothing_mapped);
        tcase_add_test(tcase, caller_that_leaves_meanwhile_leaves_a_record);
        tcase_add_test(tcase, slow_map_holds_up_nobody);
        tcase_add_test(tcase, hundred_maps_leave_no_trace);
        if (world_is_root())
                tcase_add_test(tcase, only_the_holder_maps);
        tcase = suite_add_case(suite, "limits", make_world_of_small_limits, end_world);
        tcase_add_test(tcase, lease_and_user_have_limits);
        tcase_add_test(tcase, refused_maps_cost_nothing);
        return suite_run(suite);
}
