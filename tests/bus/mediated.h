/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Mediated
 *
 * Leases of mode mediated, as the tests use them: memory for them, what of it is mapped, and calls that are not waited for.
 */

#include "ask.h"
#include "call.h"
#include "world.h"

#define NVME     "0000:03:00.0"
#define EDU      "0000:01:00.0"
#define PAIR     "0000:04:00.0"
#define PAGE     UINT64_C(4096)
#define IOVA     UINT64_C(0x100000)
#define SHRINK   F_SEAL_SHRINK
#define READ     UINT64_C(1)
#define WRITE    UINT64_C(2)
#define BOTH     UINT64_C(3)

/* A call that is not waited for */
Grant *acquire_mediated(sd_bus *bus, const char *wants);
void release(World *world, const Grant *grant);

/* A memfd, to be closed. */
int memory_new(uint64_t size, int seals);

/* What was answered: "", or a refusal. */
const char *map_as(sd_bus *bus, const char *lease, int fd, uint64_t offset, uint64_t size, uint64_t iova, uint64_t flags);
const char *unmap_as(sd_bus *bus, const char *lease, uint64_t iova, uint64_t size);
const char *map(World *world, const Grant *grant, int fd, uint64_t offset, uint64_t size, uint64_t iova);
const char *unmap(World *world, const Grant *grant, uint64_t iova, uint64_t size);
/* A memfd of one page at @iova, that nobody keeps a descriptor of */
const char *map_page(World *world, const Grant *grant, uint64_t iova);

void send_map(Call *call, sd_bus *bus, const char *lease, int fd, uint64_t iova);

/* What the fake kernel has mapped now, in all containers; good until the next call. */
const char *mapped(World *world);
