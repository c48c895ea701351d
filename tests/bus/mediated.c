/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mediated */

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mediated.h"
#include "watch.h"

Grant *acquire_mediated(sd_bus *bus, const char *wants) {
        Grant *grant = NULL;

        ck_assert_str_eq(grant_acquire(&grant, bus, &(Request) { .wants = wants, .mode = "mediated" }), "");
        return grant;
}

int memory_new(uint64_t size, int seals) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, (off_t) size), 0);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

const char *map_as(sd_bus *bus, const char *lease, int fd, uint64_t offset, uint64_t size, uint64_t iova, uint64_t flags) {
        return ask(bus, lease, VFB_INTERFACE_LEASE, "MapMemory", "htttt", fd, offset, size, iova, flags);
}

const char *unmap_as(sd_bus *bus, const char *lease, uint64_t iova, uint64_t size) {
        return ask(bus, lease, VFB_INTERFACE_LEASE, "UnmapMemory", "tt", iova, size);
}

const char *map(World *world, const Grant *grant, int fd, uint64_t offset, uint64_t size, uint64_t iova) {
        return map_as(world->bus, grant->lease, fd, offset, size, iova, BOTH);
}

const char *unmap(World *world, const Grant *grant, uint64_t iova, uint64_t size) {
        return unmap_as(world->bus, grant->lease, iova, size);
}

const char *map_page(World *world, const Grant *grant, uint64_t iova) {
        int fd = memory_new(PAGE, SHRINK);
        const char *answer = map(world, grant, fd, 0, PAGE, iova);

        close(fd);
        return answer;
}

const char *mapped(World *world) {
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

void release(World *world, const Grant *grant) {
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
}

void send_map(Call *call, sd_bus *bus, const char *lease, int fd, uint64_t iova) {
        call_start(call, bus, lease, VFB_INTERFACE_LEASE, "MapMemory", "htttt", fd, UINT64_C(0), PAGE, iova, BOTH);
}
