/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mediated leases: what their devices can reach of memory, and that it ends with the lease. */

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ask.h"
#include "watch.h"

#define NVME     "0000:03:00.0"
#define EDU      "0000:01:00.0"
#define PAIR     "0000:04:00.0"
#define PAGE     UINT64_C(4096)
#define IOVA     UINT64_C(0x100000)
#define SHRINK   F_SEAL_SHRINK
#define READ     UINT64_C(1)
#define WRITE    UINT64_C(2)
#define BOTH     UINT64_C(3)
#define SMALL    "[Limits]\nMappingsPerLeaseMax=3\nMappingsPerUserMax=4\nMediatedBytesPerLeaseMax=32K\nMediatedBytesPerUserMax=40960\n"

/* A sanitizer has its own ways with memory, and tells of leaks by itself. */
#if defined(__SANITIZE_ADDRESS__)
#define GROWTH_KB 4096
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GROWTH_KB 4096
#endif
#endif
#ifndef GROWTH_KB
#define GROWTH_KB 256
#endif

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void make_world_of_small_limits(void) {
        world_start(&world, &(WorldSpec) { .config = SMALL });
}

static void make_world_of_patience(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nRevokeKillSec=60\n" });
}

static void end_world(void) {
        world = world_stop(world);
}

static Grant *acquire_mediated(sd_bus *bus, const char *wants) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, bus, &(Request) { .wants = wants, .mode = "mediated" }), "");
        return grant;
}

static int memory_new(uint64_t size, int seals) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, (off_t) size), 0);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

static const char *map_as(sd_bus *bus, const char *lease, int fd, uint64_t offset, uint64_t size, uint64_t iova, uint64_t flags) {
        return ask(bus, lease, VFB_INTERFACE_LEASE, "MapMemory", "htttt", fd, offset, size, iova, flags);
}

static const char *unmap_as(sd_bus *bus, const char *lease, uint64_t iova, uint64_t size) {
        return ask(bus, lease, VFB_INTERFACE_LEASE, "UnmapMemory", "tt", iova, size);
}

static const char *map(const Grant *grant, int fd, uint64_t offset, uint64_t size, uint64_t iova) {
        return map_as(world->bus, grant->lease, fd, offset, size, iova, BOTH);
}

static const char *unmap(const Grant *grant, uint64_t iova, uint64_t size) {
        return unmap_as(world->bus, grant->lease, iova, size);
}

/* A memfd of one page at @iova, that nobody keeps a descriptor of */
static const char *map_page(const Grant *grant, uint64_t iova) {
        int fd = memory_new(PAGE, SHRINK);
        const char *answer = map(grant, fd, 0, PAGE, iova);

        close(fd);
        return answer;
}

/* What the fake kernel has mapped now, in all containers; good until the next call. */
static const char *mapped(void) {
        static char text[4096];
        char *number = world_read(world, "fake/containers");
        size_t n = 0;

        text[0] = '\0';
        for (int i = 1; i <= atoi(number); i++) {
                char name[32], *part;

                snprintf(name, sizeof(name), "fake/dma-%d", i);
                part = world_read(world, name);
                n += (size_t) snprintf(text + n, sizeof(text) - n, "%s", part);
                free(part);
        }
        free(number);
        return text;
}

static bool is_free(const char *address) {
        return strcmp(ask_property(world->bus, device_path(address), VFB_INTERFACE_DEVICE, "Availability"), "available") == 0;
}

static void release(const Grant *grant) {
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
}

/* A call that is not waited for */
typedef struct Call {
        bool answered;
        char answer[128];
        sd_bus_slot *slot;
} Call;

static int call_on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *refusal = sd_bus_message_get_error(m);
        Call *call = userdata;

        call->answered = true;
        snprintf(call->answer, sizeof(call->answer), "%s%s", refusal ? "!" : "", refusal ? refusal->name : "");
        return 0;
}

static void send_map(Call *call, sd_bus *bus, const char *lease, int fd, uint64_t iova) {
        *call = (Call) {};
        ck_assert_int_ge(sd_bus_call_method_async(bus, &call->slot, VFB_BUS_NAME, lease, VFB_INTERFACE_LEASE, "MapMemory", call_on_answer, call,
                                                  "htttt", fd, UINT64_C(0), PAGE, iova, BOTH),
                         0);
        ck_assert_int_ge(sd_bus_flush(bus), 0);
}

/* The daemon's next child is the one that maps. */
static void start_map(Call *call, sd_bus *bus, const char *lease, int fd, uint64_t iova) {
        settled_fds(world);
        send_map(call, bus, lease, fd, iova);
}

static pid_t child_of_daemon(void) {
        char path[64], line[64];
        pid_t pid = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", world->daemon_pid, world->daemon_pid);
        file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        if (fgets(line, sizeof(line), file))
                pid = atoi(line);
        fclose(file);
        return pid;
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
        ck_assert_str_eq(mapped(), "100000 1000 1\n101000 3000 2\nfffffffffffff000 1000 3\n");
        ck_assert_str_eq(unmap(grant, IOVA + PAGE, 3 * PAGE), "");
        ck_assert_str_eq(unmap(grant, -PAGE, PAGE), "");
        ck_assert_str_eq(mapped(), "100000 1000 1\n");
        ck_assert_str_eq(unmap(grant, IOVA, PAGE), "");
        ck_assert_str_eq(mapped(), "");
        ck_assert_str_eq(map_page(grant, IOVA), "");
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
        ck_assert_str_eq(map(grant, fd, 0, 2 * PAGE, IOVA), "");
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
                ck_assert_msg(strcmp(map(grant, fds[i], 0, PAGE, IOVA), INVALID_ARGS) == 0, "%zu: %s", i, ask_message());
                ck_assert_ptr_nonnull(strstr(ask_message(), "F_SEAL_SHRINK"));
                close(fds[i]);
        }
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 0);
        ck_assert_str_eq(map_page(grant, IOVA), "");
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
        ck_assert_str_eq(map(grant, fd, 0, PAGE, IOVA + PAGE), INVALID_ARGS);
        close(fd);
        ck_assert_str_eq(mapped(), "100000 1000 1\n");
}
END_TEST

START_TEST(ranges_do_not_overlap) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(4 * PAGE, SHRINK);

        ck_assert_str_eq(map(grant, fd, 0, 2 * PAGE, IOVA), "");
        ck_assert_str_eq(map(grant, fd, 0, 2 * PAGE, IOVA), INVALID_ARGS);
        ck_assert_str_eq(map(grant, fd, 0, PAGE, IOVA + PAGE), INVALID_ARGS);
        ck_assert_str_eq(map(grant, fd, 0, 2 * PAGE, IOVA - PAGE), INVALID_ARGS);
        ck_assert_str_eq(map(grant, fd, 0, 4 * PAGE, IOVA - PAGE), INVALID_ARGS);
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 1);
        ck_assert_str_eq(map(grant, fd, 0, PAGE, IOVA - PAGE), "");
        ck_assert_str_eq(map(grant, fd, 0, PAGE, IOVA + 2 * PAGE), "");
        close(fd);
}
END_TEST

START_TEST(only_what_is_mapped_can_be_taken_back) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(4 * PAGE, SHRINK);

        ck_assert_str_eq(unmap(grant, IOVA, PAGE), INVALID_ARGS);
        ck_assert_str_eq(map(grant, fd, 0, 2 * PAGE, IOVA), "");
        ck_assert_str_eq(map(grant, fd, 0, 2 * PAGE, IOVA + 2 * PAGE), "");
        ck_assert_str_eq(unmap(grant, IOVA, PAGE), INVALID_ARGS);
        ck_assert_str_eq(unmap(grant, IOVA + PAGE, PAGE), INVALID_ARGS);
        ck_assert_str_eq(unmap(grant, IOVA, 4 * PAGE), INVALID_ARGS);
        ck_assert_str_eq(unmap(grant, IOVA + 1, 2 * PAGE), INVALID_ARGS);
        ck_assert_str_eq(unmap(grant, 0, UINT64_MAX), INVALID_ARGS);
        ck_assert_uint_eq(vfio_called(world, "unmap-dma"), 0);
        ck_assert_str_eq(unmap(grant, IOVA, 2 * PAGE), "");
        ck_assert_str_eq(unmap(grant, IOVA, 2 * PAGE), INVALID_ARGS);
        ck_assert_str_eq(mapped(), "102000 2000 3\n");
        close(fd);
}
END_TEST

START_TEST(only_the_holder_maps) {
        Grant *grant = acquire_mediated(world->bus, EDU);
        sd_bus *other = world_connect(world, OTHER);
        int fd = memory_new(PAGE, SHRINK);

        ck_assert_str_eq(map_page(grant, IOVA), "");
        ck_assert_str_eq(map_as(other, grant->lease, fd, 0, PAGE, IOVA + PAGE, BOTH), REFUSED("NotHolder"));
        ck_assert_str_eq(map_as(other, grant->lease, fd, 0, PAGE, IOVA, 77), REFUSED("NotHolder"));
        ck_assert_str_eq(unmap_as(other, grant->lease, IOVA, PAGE), REFUSED("NotHolder"));
        ck_assert_str_eq(mapped(), "100000 1000 3\n");
        ck_assert_str_eq(unmap(grant, IOVA, PAGE), "");
        close(fd);
        grant_free(grant);
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(other_modes_map_for_themselves) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, EDU);

        ck_assert_str_eq(map_page(grant, IOVA), INVALID_ARGS);
        ck_assert_ptr_nonnull(strstr(ask_message(), "mode=mediated"));
        ck_assert_str_eq(unmap(grant, IOVA, PAGE), INVALID_ARGS);
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 0);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
}
END_TEST

/* All is taken back, and in the first place, while the client has its device. */
static void check_cut(const char *lease, const char *ioctls) {
        char *calls, *last, *detach;

        WAIT_FOR(world, strcmp(mapped(), "") == 0);
        WAIT_FOR(world, vfio_called(world, "unset-container 16") > 0);
        ck_assert_str_eq(lease_state(world->bus, lease), "lingering");
        ck_assert(!is_free(EDU));
        ck_assert_uint_eq(daemon_logged(world, "is cut"), 1);

        calls = vfio_calls(world);
        last = strstr(calls, ioctls);
        detach = strstr(calls, "unset-container");
        ck_assert_msg(last && detach && last < detach, "%s", calls);
        free(calls);
}

START_TEST(release_cuts_the_dma_of_who_keeps_the_device) {
        Grant *grant = acquire_mediated(world->bus, EDU);
        unsigned n = vfio_resets(world, EDU);

        ck_assert_str_eq(map_page(grant, IOVA), "");
        ck_assert_str_eq(map_page(grant, IOVA + PAGE), "");
        vfio_forget(world);
        release(grant);
        check_cut(grant->lease, "container unmap-dma 0");
        ck_assert_uint_eq(vfio_called(world, "unmap-dma"), 1);
        ck_assert_str_eq(map_page(grant, IOVA), REFUSED("NoSuchLease"));
        ck_assert_str_eq(unmap(grant, IOVA, PAGE), REFUSED("NoSuchLease"));
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 1); /* which is "unmap-dma" */

        grant_close_fds(grant);
        WAIT_FOR(world, is_free(EDU));
        ck_assert_uint_eq(vfio_resets(world, EDU), n + 1);
        check_nothing_held(world);
        grant_free(grant);
}
END_TEST

START_TEST(cut_lifeline_cuts_the_dma) {
        Grant *grant = acquire_mediated(world->bus, EDU);

        ck_assert_str_eq(map_page(grant, IOVA), "");
        vfio_forget(world);
        grant_close_lifeline(grant);
        check_cut(grant->lease, "container unmap-dma 0");
        grant_free(grant);
        WAIT_FOR(world, is_free(EDU));
        check_nothing_held(world);
}
END_TEST

START_TEST(old_kernels_are_asked_for_each_mapping) {
        Grant *grant;

        vfio_fail(world, "container", "extensions", "1 3 4");
        grant = acquire_mediated(world->bus, EDU);
        for (unsigned i = 0; i < 3; i++)
                ck_assert_str_eq(map_page(grant, IOVA + i * PAGE), "");
        vfio_forget(world);
        release(grant);
        check_cut(grant->lease, "container unmap-dma 0\ncontainer unmap-dma 0\ncontainer unmap-dma 0\n");
        grant_free(grant);
        WAIT_FOR(world, is_free(EDU));
}
END_TEST

START_TEST(cut_that_fails_is_tried_again_and_holds_up_nothing) {
        Grant *grant = acquire_mediated(world->bus, EDU);

        ck_assert_str_eq(map_page(grant, IOVA), "");
        vfio_fail(world, "container", "unmap-dma-errno", "5 4"); /* all at once, and the one */
        release(grant);
        WAIT_FOR(world, strcmp(mapped(), "") == 0);
        WAIT_FOR(world, daemon_logged(world, "is cut") == 1);
        ck_assert_uint_eq(daemon_logged(world, "is not cut"), 1); /* not each time */
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");

        vfio_fail(world, "container", "unmap-dma-errno", NULL);
        grant_free(grant);
        WAIT_FOR(world, is_free(EDU));
        check_nothing_held(world);
}
END_TEST

START_TEST(lease_whose_dma_cannot_be_cut_ends_with_its_last_descriptor) {
        Grant *grant = acquire_mediated(world->bus, EDU);

        ck_assert_str_eq(map_page(grant, IOVA), "");
        vfio_fail(world, "container", "unmap-dma-errno", "5");
        release(grant);
        WAIT_FOR(world, daemon_logged(world, "is not cut") > 0);
        grant_free(grant);
        WAIT_FOR(world, is_free(EDU));
        ck_assert_str_eq(mapped(), "");
        check_nothing_held(world);
}
END_TEST

START_TEST(map_that_is_under_way_at_the_end_is_cut_as_well) {
        Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(PAGE, SHRINK);
        Call call;

        ck_assert_str_eq(map_page(grant, IOVA), "");
        vfio_fail(world, "container", "map-dma-delay-ms", "500");
        vfio_forget(world);
        start_map(&call, world->bus, grant->lease, fd, IOVA + PAGE);
        WAIT_FOR(world, count_children(world->daemon_pid) == 1);
        release(grant);
        WAIT_FOR(world, vfio_called(world, "unmap-dma 0") == 1); /* at once */
        ck_assert_uint_eq(vfio_called(world, "map-dma 0"), 1);
        ck_assert(!call.answered);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("NoSuchLease"));
        check_cut(grant->lease, "container map-dma 0\ncontainer check-extension 0\ncontainer unmap-dma 0\n");

        sd_bus_slot_unref(call.slot);
        close(fd);
        grant_free(grant);
        WAIT_FOR(world, is_free(EDU));
        check_nothing_held(world);
}
END_TEST

START_TEST(revocation_maps_no_more_and_cuts_at_its_deadline) {
        Grant *grant = acquire_mediated(world->bus, EDU);
        const char *id = ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Id");

        /* who keeps the device is this process */
        signal(SIGTERM, SIG_IGN);
        ck_assert_str_eq(map_page(grant, IOVA), "");
        ck_assert_str_eq(map_page(grant, IOVA + PAGE), "");
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id, "", UINT64_C(60000000), UINT64_C(0)), "");
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "revoking");
        ck_assert_str_eq(map_page(grant, IOVA + 2 * PAGE), REFUSED("NoSuchLease"));
        ck_assert_str_eq(unmap(grant, IOVA, PAGE), ""); /* to tidy up is what the time is for */
        ck_assert_str_eq(mapped(), "101000 1000 3\n");

        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id, "", UINT64_C(0), UINT64_C(0)), "");
        WAIT_FOR(world, world_signals(world, "dma-unmapped: for good, 1 mappings of 4096 bytes") > 0);
        ck_assert_str_eq(mapped(), "");
        ck_assert(!is_free(EDU));
        ck_assert_str_eq(unmap(grant, IOVA + PAGE, PAGE), REFUSED("NoSuchLease"));

        grant_free(grant);
        WAIT_FOR(world, is_free(EDU));
        check_nothing_held(world);
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
                ck_assert_str_eq(map_page(grant, IOVA), cases[i].refusal);
                ck_assert_str_eq(unmap(grant, IOVA, PAGE), INVALID_ARGS);
        }
        ck_assert_str_eq(map_page(grant, IOVA), "");

        vfio_fail(world, "container", "unmap-dma-errno", "5 1");
        ck_assert_str_eq(unmap(grant, IOVA, PAGE), "!System.Error.EIO");
        ck_assert_str_eq(map_page(grant, IOVA), INVALID_ARGS);
        ck_assert_str_eq(unmap(grant, IOVA, PAGE), "");
}
END_TEST

START_TEST(child_that_dies_leaves_nothing_mapped) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(PAGE, SHRINK);
        Call call;

        vfio_fail(world, "container", "map-dma-delay-ms", "60000");
        start_map(&call, world->bus, grant->lease, fd, IOVA);
        WAIT_FOR(world, child_of_daemon() > 0);
        ck_assert_int_eq(kill(child_of_daemon(), SIGKILL), 0);
        WAIT_FOR(world, call.answered);
        ck_assert_ptr_eq(strstr(call.answer, "!System.Error."), call.answer);
        ck_assert_uint_eq(vfio_called(world, "unmap-dma 0"), 1);
        vfio_fail(world, "container", "map-dma-delay-ms", NULL);
        ck_assert_str_eq(map(grant, fd, 0, PAGE, IOVA), "");
        sd_bus_slot_unref(call.slot);
        close(fd);
}
END_TEST

START_TEST(caller_that_leaves_meanwhile_leaves_a_record) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        sd_bus *leaver = world_connect(world, world_user());
        int fd = memory_new(PAGE, SHRINK);
        Call call;

        vfio_fail(world, "container", "map-dma-delay-ms", "200");
        start_map(&call, leaver, grant->lease, fd, IOVA);
        WAIT_FOR(world, count_children(world->daemon_pid) == 1);
        sd_bus_slot_unref(call.slot);
        sd_bus_flush_close_unref(leaver);
        WAIT_FOR(world, strcmp(mapped(), "100000 1000 3\n") == 0);
        vfio_fail(world, "container", "map-dma-delay-ms", NULL);
        ck_assert_str_eq(map(grant, fd, 0, PAGE, IOVA), INVALID_ARGS);
        ck_assert_str_eq(unmap(grant, IOVA, PAGE), "");
        close(fd);
}
END_TEST

START_TEST(slow_map_holds_up_nobody) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(PAGE, SHRINK);
        uint64_t begin;
        Call calls[9];

        vfio_fail(world, "container", "map-dma-delay-ms", "1000");
        for (unsigned i = 0; i < 9; i++)
                send_map(&calls[i], world->bus, grant->lease, fd, IOVA + i * PAGE);
        begin = world_now();
        ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Version");
        ck_assert_uint_lt(world_now() - begin, 500000);
        for (unsigned i = 0; i < 9; i++) {
                WAIT_FOR(world, calls[i].answered);
                ck_assert_str_eq(calls[i].answer, i < 8 ? "" : REFUSED("RateLimited"));
                sd_bus_slot_unref(calls[i].slot);
        }
        close(fd);
}
END_TEST

/* 3 mappings and 32 KiB a lease, 4 mappings and 40 KiB a user */
START_TEST(lease_and_user_have_limits) {
        Grant *grant = acquire_mediated(world->bus, EDU), *other = acquire_mediated(world->bus, NVME);
        int fd = memory_new(9 * PAGE, SHRINK);

        ck_assert_str_eq(map(grant, fd, 0, 9 * PAGE, IOVA), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(map(grant, fd, 0, 8 * PAGE, IOVA), "");
        ck_assert_str_eq(map(grant, fd, 0, PAGE, 0), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(map(other, fd, 0, 3 * PAGE, IOVA), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(map(other, fd, 0, 2 * PAGE, IOVA), "");
        ck_assert_str_eq(unmap(grant, IOVA, 8 * PAGE), "");

        for (unsigned i = 1; i < 4; i++)
                ck_assert_str_eq(map(grant, fd, 0, PAGE, IOVA + i * PAGE), "");
        ck_assert_str_eq(map(grant, fd, 0, PAGE, IOVA), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(map(other, fd, 0, PAGE, 0), REFUSED("QuotaExceeded"));
        ck_assert_uint_eq(vfio_called(world, " map-dma"), 5);

        /* The end gives all of it back, although the device is still open. */
        release(grant);
        WAIT_FOR(world, strcmp(map(other, fd, 0, 6 * PAGE, 0), "") == 0);
        close(fd);
        grant_free(grant);
        grant_free(other);
        WAIT_FOR(world, is_free(EDU) && is_free(NVME));
}
END_TEST

START_TEST(refused_maps_cost_nothing) {
        _cleanup_(grant_freep) Grant *grant = acquire_mediated(world->bus, EDU);

        for (unsigned times = 0; times < 20; times++) {
                vfio_fail(world, "container", "map-dma-errno", "12 1");
                ck_assert_str_eq(map_page(grant, IOVA), "!System.Error.ENOMEM");
                ck_assert_str_eq(map_page(grant, IOVA), "");
                ck_assert_str_eq(map_page(grant, IOVA), INVALID_ARGS);
                ck_assert_str_eq(unmap(grant, IOVA, PAGE), "");
        }
}
END_TEST

static void cycle(const Grant *grant, unsigned times) {
        for (unsigned i = 0; i < times; i++) {
                ck_assert_str_eq(map_page(grant, IOVA), "");
                ck_assert_str_eq(unmap(grant, IOVA, PAGE), "");
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
        WAIT_FOR(world, is_free(EDU));
        check_nothing_held(world);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name, void (*make)(void)) {
        TCase *tcase = tcase_create(name);

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, make, end_world);
        return tcase;
}

int main(void) {
        Suite *suite = suite_create("memory");
        SRunner *runner = srunner_create(suite);
        TCase *tcase;
        int n_failed;

        tcase = add_case(suite, "memory", make_world);
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
        tcase = add_case(suite, "end", make_world);
        tcase_add_test(tcase, release_cuts_the_dma_of_who_keeps_the_device);
        tcase_add_test(tcase, cut_lifeline_cuts_the_dma);
        tcase_add_test(tcase, old_kernels_are_asked_for_each_mapping);
        tcase_add_test(tcase, cut_that_fails_is_tried_again_and_holds_up_nothing);
        tcase_add_test(tcase, lease_whose_dma_cannot_be_cut_ends_with_its_last_descriptor);
        tcase_add_test(tcase, map_that_is_under_way_at_the_end_is_cut_as_well);
        tcase = add_case(suite, "revocation", make_world_of_patience);
        tcase_add_test(tcase, revocation_maps_no_more_and_cuts_at_its_deadline);
        tcase = add_case(suite, "limits", make_world_of_small_limits);
        tcase_add_test(tcase, lease_and_user_have_limits);
        tcase_add_test(tcase, refused_maps_cost_nothing);
        srunner_run_all(runner, CK_ENV);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
