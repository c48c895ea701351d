/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal 9: from exec to READY=1, and how much memory
 *
 * Three daemons in turns with the plain service: 16, 1,000 and 4,000 devices. What a device adds is compared with
 * opening and reading the same attributes in the same round. Then the memory of the largest with leases.
 */

#include <fcntl.h>
#include <stdio.h>

#include "bench.h"

#define ROUNDS 15
#define FEW    16
#define SOME   1000
#define MANY   4000

/* Without asserts, which are system calls themselves */
static bool read_attribute(int dirfd, const char *address, const char *name) {
        char path[128], text[4096];
        ssize_t n;
        int fd;

        snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/%s", address, name);
        fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        n = read(fd, text, sizeof(text));
        close(fd);
        return n >= 0;
}

/* What has to be read of a device, in so many system calls, and nothing done with it */
static double walk(World *world, unsigned n_devices) {
        int dirfd = open(tree_root(world->tree), O_PATH | O_DIRECTORY | O_CLOEXEC);
        double start = now_usec();
        char path[128], target[256];
        bool fine = true;

        for (unsigned i = 0; i < n_devices; i++) {
                const char *address = stage_address(i);

                fine = fine && read_attribute(dirfd, address, "uevent") && read_attribute(dirfd, address, "numa_node") &&
                       read_attribute(dirfd, address, "reset_method") && read_attribute(dirfd, address, "resource");
                snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", address);
                fine = fine && readlinkat(dirfd, path, target, sizeof(target)) > 0;
        }
        start = now_usec() - start;
        close(dirfd);
        ck_assert(fine);
        return start;
}

static double start_once(World *world, Program program, Memory *ret_memory) {
        double usec;
        pid_t pid = program_start(world, program, UNDER_NOTHING, &usec);

        memory_read(pid, ret_memory);
        program_stop(world, pid);
        return usec;
}

static void print_memory(const char *name, const Memory *memory) {
        printf("%s: RSS %zu kB, PSS %zu kB, private dirty %zu kB\n", name, memory->rss, memory->pss, memory->private_dirty);
}

static double kb_each(const Memory *many, const Memory *few, unsigned n) {
        return ((double) many->rss - (double) few->rss) / n;
}

START_TEST(ready_soon_and_small) {
        World *few = stage_new(FEW), *some = stage_new(SOME);
        double plain[ROUNDS], small[ROUNDS], large[ROUNDS], each[ROUNDS], walked[ROUNDS];
        Memory plain_memory, few_memory, some_memory;

        for (size_t i = 0; i < ROUNDS; i++) {
                plain[i] = start_once(few, PROGRAM_PLAIN, &plain_memory);
                small[i] = start_once(few, PROGRAM_DAEMON, &few_memory);
                large[i] = start_once(some, PROGRAM_DAEMON, &some_memory);
                walked[i] = walk(some, SOME) / SOME;
                each[i] = (large[i] - small[i]) / (SOME - FEW);
        }
        printf("plain %.0f us, daemon with %d devices %.0f us, with %d %.0f us; reading a device's files %.1f us\n", median(plain, ROUNDS),
               FEW, median(small, ROUNDS), SOME, median(large, ROUNDS), median(walked, ROUNDS));
        print_memory("plain", &plain_memory);
        print_memory("daemon, 16 devices", &few_memory);
        print_memory("daemon, 1000 devices", &some_memory);
        row_print(&(Row){ .name = "9 exec to READY with 16 devices / plain", .measured = median_ratio(small, plain, ROUNDS),
                          .goal = 2, .bound = 2.5, .stand_in = "1" });
        row_print(&(Row){ .name = "9 us a device (goal 15 on a quiet machine)", .measured = median(each, ROUNDS),
                          .stand_in = "8 for identity, 25 in full" });
        row_print(&(Row){ .name = "9 a device / reading its files", .measured = median_ratio(each, walked, ROUNDS),
                          .goal = 1.5, .bound = 2.25, .stand_in = "1" });
        row_print(&(Row){ .name = "9 RSS with 16 devices, MB", .measured = few_memory.rss / 1024.0,
                          .goal = 4, .bound = 4, .stand_in = "2.9" });
        row_print(&(Row){ .name = "9 RSS with 16 devices / plain", .measured = (double) few_memory.rss / plain_memory.rss,
                          .stand_in = "1" });
        row_print(&(Row){ .name = "9 RSS a device, kB, 16 to 1000", .measured = kb_each(&some_memory, &few_memory, SOME - FEW),
                          .goal = 1, .bound = 1, .stand_in = "-" });
        world_stop(few);
        world_stop(some);
        rows_check();
}
END_TEST

static void acquire_all(World *world, Held *held, unsigned from, unsigned to) {
        for (unsigned i = from; i < to; i++)
                timed_acquire(&held[i], world->bus, i, NULL);
        WAIT_FOR(world, count_children(world->daemon_pid) == 0);
}

START_TEST(small_with_many_devices_and_leases) {
        World *world = stage_new(MANY);
        Held *held = calloc(MANY, sizeof(*held));
        Memory none, one, some, many;

        world->daemon_pid = program_start(world, PROGRAM_DAEMON_NO_VFIO, UNDER_NOTHING, NULL);
        memory_read(world->daemon_pid, &none);
        acquire_all(world, held, 0, 1);
        memory_read(world->daemon_pid, &one);
        acquire_all(world, held, 1, SOME);
        memory_read(world->daemon_pid, &some);
        acquire_all(world, held, SOME, MANY);
        memory_read(world->daemon_pid, &many);

        print_memory("4000 devices", &none);
        print_memory("4000 devices, 1 lease", &one);
        print_memory("4000 devices, 1000 leases", &some);
        print_memory("4000 devices, 4000 leases", &many);
        row_print(&(Row){ .name = "9 RSS a device, kB, over 4 MB with 4000", .measured = (none.rss - 4096.0) / MANY,
                          .goal = 1, .bound = 1, .stand_in = "-" });
        row_print(&(Row){ .name = "9 RSS a lease, kB, 1 to 1000", .measured = kb_each(&some, &one, SOME - 1),
                          .goal = 1, .bound = 1, .stand_in = "0.5" });
        row_print(&(Row){ .name = "9 RSS a lease, kB, 1000 to 4000", .measured = kb_each(&many, &some, MANY - SOME),
                          .goal = 1, .bound = 1, .stand_in = "0.5" });

        /* first the daemon, so that it has not the end of 4,000 leases on its hands */
        program_stop(world, TAKE(world->daemon_pid, 0));
        for (size_t i = 0; i < MANY; i++)
                closep(&held[i].lifeline);
        free(held);
        world_stop(world);
        rows_check();
}
END_TEST

int main(void) {
        return bench_run("start", (const TTest *const[]){ ready_soon_and_small, small_with_many_devices_and_leases }, 2, false);
}
