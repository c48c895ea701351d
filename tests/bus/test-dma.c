/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library's functions for DMA memory against the real daemon: the same in all modes. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <vfio-broker.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME "0000:03:00.0"
#define PAGE UINT64_C(4096)
#define IOVA UINT64_C(0x100000)
#define BOTH (VFB_DMA_READ | VFB_DMA_WRITE)

static const char *const modes[] = { "legacy", "legacy-raw", "mediated" };

static World *world;
static vfb *connection;
static vfb_lease *lease;

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nMediatedBytesPerLeaseMax=16M\n" });
        ck_assert_int_eq(setenv("DBUS_SYSTEM_BUS_ADDRESS", world->address, 1), 0);
        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
}

static void end_world(void) {
        lease = vfb_lease_free(lease);
        connection = vfb_free(connection);
        world = world_stop(world);
}

static void acquire(const char *mode) {
        vfb_error *error = NULL;
        vfb_request *request;
        int r;

        ck_assert_int_eq(vfb_request_new(&request), 0);
        ck_assert_int_eq(vfb_request_add_device(request, NVME, NULL), 0);
        ck_assert_int_eq(vfb_request_set_mode(request, mode), 0);
        r = vfb_acquire(connection, request, &lease, &error);
        ck_assert_msg(r == 0, "%s", error ? vfb_error_text(error) : "");
        vfb_request_free(request);
}

/* What the fake kernel has mapped in the lease's container; good until the next call */
static const char *mapped(void) {
        static char text[4096];
        char *state = world_read(world, "fake/dma-1");

        snprintf(text, sizeof(text), "%s", state);
        free(state);
        return text;
}

/* Fails with that, says why, and leaves the outputs alone. */
static void check_refused(int r, int number, vfb_error **error) {
        ck_assert_int_eq(r, -number);
        ck_assert_ptr_nonnull(*error);
        ck_assert_int_eq(vfb_error_number(*error), number);
        ck_assert_str_ne(vfb_error_text(*error), "");
        *error = vfb_error_free(*error);
}

START_TEST(memory_is_new_and_zero_and_writable) {
        void *address = NULL;
        uint8_t *bytes;

        acquire(modes[_i]);
        ck_assert_str_eq(vfb_lease_mode(lease), modes[_i]);
        ck_assert_int_eq(vfb_dma_alloc(lease, 2 * PAGE, IOVA, BOTH, &address, NULL), 0);
        ck_assert_str_eq(mapped(), "100000 2000 3\n");
        bytes = address;
        for (size_t i = 0; i < 2 * PAGE; i++)
                ck_assert_uint_eq(bytes[i], 0);
        memset(bytes, 7, 2 * PAGE);
        ck_assert_int_eq(vfb_dma_unmap(lease, IOVA, 2 * PAGE, NULL), 0);
        ck_assert_str_eq(mapped(), "");
        ck_assert_uint_eq(bytes[2 * PAGE - 1], 7);
        ck_assert_int_eq(munmap(address, 2 * PAGE), 0);
}
END_TEST

START_TEST(part_of_a_memfd_is_mapped) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        size_t n_fds;

        acquire(modes[_i]);
        ck_assert_int_eq(ftruncate(fd, 4 * PAGE), 0);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        n_fds = count_fds(getpid(), "");
        ck_assert_int_eq(vfb_dma_map(lease, fd, PAGE, 2 * PAGE, IOVA, VFB_DMA_READ, NULL), 0);
        ck_assert_int_eq(vfb_dma_map(lease, fd, 0, 4 * PAGE, IOVA + 2 * PAGE, VFB_DMA_WRITE, NULL), 0);
        ck_assert_str_eq(mapped(), "100000 2000 1\n102000 4000 2\n");
        ck_assert_uint_eq(count_fds(getpid(), ""), n_fds);
        close(fd);
        ck_assert_int_eq(vfb_dma_unmap(lease, IOVA, 2 * PAGE, NULL), 0);
        ck_assert_str_eq(mapped(), "102000 4000 2\n");
}
END_TEST

START_TEST(what_cannot_be_is_refused_alike) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        void *address = &fd;
        vfb_error *error = NULL;

        acquire(modes[_i]);
        ck_assert_int_eq(ftruncate(fd, 4 * PAGE), 0);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        check_refused(vfb_dma_alloc(lease, 0, IOVA, BOTH, &address, &error), EINVAL, &error);
        check_refused(vfb_dma_alloc(lease, PAGE + 1, IOVA, BOTH, &address, &error), EINVAL, &error);
        check_refused(vfb_dma_alloc(lease, PAGE, IOVA, 0, &address, &error), EINVAL, &error);
        check_refused(vfb_dma_alloc(lease, PAGE, IOVA, 4, &address, &error), EINVAL, &error);
        check_refused(vfb_dma_alloc(lease, PAGE, IOVA + 1, BOTH, &address, &error), EINVAL, &error);
        check_refused(vfb_dma_map(lease, -EBADF, 0, PAGE, IOVA, BOTH, &error), EBADF, &error);
        check_refused(vfb_dma_map(lease, fd, 0, 0, IOVA, BOTH, &error), EINVAL, &error);
        check_refused(vfb_dma_map(lease, fd, 1, PAGE, IOVA, BOTH, &error), EINVAL, &error);
        check_refused(vfb_dma_map(lease, fd, 0, PAGE, IOVA, 8 | BOTH, &error), EINVAL, &error);
        check_refused(vfb_dma_unmap(lease, IOVA, PAGE, &error), EINVAL, &error);
        ck_assert_ptr_eq(address, &fd);
        ck_assert_str_eq(mapped(), "");

        ck_assert_int_eq(vfb_dma_map(lease, fd, 0, 2 * PAGE, IOVA, BOTH, &error), 0);
        check_refused(vfb_dma_map(lease, fd, 0, 2 * PAGE, IOVA + PAGE, BOTH, &error), EINVAL, &error);
        check_refused(vfb_dma_unmap(lease, IOVA, PAGE, &error), EINVAL, &error);
        ck_assert_str_eq(mapped(), "100000 2000 3\n");

        vfio_fail(world, "container", "map-dma-errno", "12 1");
        check_refused(vfb_dma_alloc(lease, PAGE, 0, BOTH, &address, &error), ENOMEM, &error);
        vfio_fail(world, "container", "map-dma-errno", "28 1");
        check_refused(vfb_dma_alloc(lease, PAGE, 0, BOTH, &address, &error), EDQUOT, &error);
        ck_assert_int_eq(vfb_dma_alloc(lease, PAGE, 0, BOTH, &address, NULL), 0);
        munmap(address, PAGE);
        close(fd);
}
END_TEST

START_TEST(many_pieces_leave_no_trace_here) {
        size_t n_fds;

        acquire(modes[_i]);
        n_fds = count_fds(getpid(), "");
        for (int times = 0; times < 20; times++) {
                vfb_error *error = NULL;
                void *address;

                ck_assert_int_eq(vfb_dma_alloc(lease, PAGE, IOVA, BOTH, &address, NULL), 0);
                check_refused(vfb_dma_alloc(lease, PAGE, IOVA, BOTH, &address, &error), EINVAL, &error);
                ck_assert_int_eq(vfb_dma_unmap(lease, IOVA, PAGE, NULL), 0);
                munmap(address, PAGE);
        }
        ck_assert_uint_eq(count_fds(getpid(), ""), n_fds);
        ck_assert_uint_eq(count_fds(getpid(), "memfd"), 0);
}
END_TEST

START_TEST(what_the_service_refuses_comes_through) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        vfb_error *error = NULL;
        void *address;

        acquire("mediated");
        ck_assert_int_eq(ftruncate(fd, PAGE), 0);
        ck_assert_int_eq(vfb_dma_map(lease, fd, 0, PAGE, IOVA, BOTH, &error), -EINVAL);
        ck_assert_str_eq(vfb_error_name(error), "org.freedesktop.DBus.Error.InvalidArgs");
        ck_assert_ptr_nonnull(strstr(vfb_error_hint(error), "F_SEAL_SHRINK"));
        error = vfb_error_free(error);
        check_refused(vfb_dma_alloc(lease, 17 << 20, IOVA, BOTH, &address, &error), EDQUOT, &error);
        close(fd);

        ck_assert_int_eq(vfb_lease_release(lease, NULL), 0);
        check_refused(vfb_dma_alloc(lease, PAGE, IOVA, BOTH, &address, &error), ENOENT, &error);
        connection = vfb_free(connection);
        check_refused(vfb_dma_unmap(lease, IOVA, PAGE, &error), ENOTCONN, &error);
}
END_TEST

START_TEST(container_that_was_taken_is_not_used) {
        vfb_error *error = NULL;
        void *address;
        int fd;

        acquire("legacy");
        fd = vfb_lease_take_fd(lease, "container");
        check_refused(vfb_dma_alloc(lease, PAGE, IOVA, BOTH, &address, &error), EBADF, &error);
        check_refused(vfb_dma_unmap(lease, IOVA, PAGE, &error), EBADF, &error);
        close(fd);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("dma");
        TCase *tcase = suite_add_case(suite, "dma", make_world, end_world);
        int n = sizeof(modes) / sizeof(modes[0]);

        tcase_add_loop_test(tcase, memory_is_new_and_zero_and_writable, 0, n);
        tcase_add_loop_test(tcase, part_of_a_memfd_is_mapped, 0, n);
        tcase_add_loop_test(tcase, what_cannot_be_is_refused_alike, 0, n);
        tcase_add_loop_test(tcase, many_pieces_leave_no_trace_here, 0, n);
        tcase_add_test(tcase, what_the_service_refuses_comes_through);
        tcase_add_test(tcase, container_that_was_taken_is_not_used);
        return suite_run(suite);
}
