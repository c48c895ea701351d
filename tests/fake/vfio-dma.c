/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: dma */

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vfio-dma.h"
#include "vfio-state.h"

static void dma_read(const char *container, char ret_name[96], char ret_state[STATE_MAX]) {
        snprintf(ret_name, 96, "dma-%s", container);
        state_read(ret_name, ret_state);
}

/* Those of the mappings that are not wholly in the range. -EINVAL: one is cut by it. */
static int dma_without(const char *state, uint64_t iova, uint64_t last, char ret[STATE_MAX], uint64_t *ret_size) {
        uint64_t from, size;
        char flags[8];
        size_t n = 0;
        int taken;

        *ret_size = 0;
        ret[0] = '\0';
        for (; sscanf(state, "%" SCNx64 " %" SCNx64 " %7s\n%n", &from, &size, flags, &taken) == 3; state += taken) {
                if (from >= iova && from + (size - 1) <= last) {
                        *ret_size += size;
                        continue;
                }
                if (from <= last && from + (size - 1) >= iova)
                        return -EINVAL;
                n += snprintf(ret + n, STATE_MAX - n, "%" PRIx64 " %" PRIx64 " %s\n", from, size, flags);
        }
        return 0;
}

int dma_map(const char *container, const struct vfio_iommu_type1_dma_map *map) {
        char name[96], state[STATE_MAX], rest[STATE_MAX];
        uint64_t last = map->iova + (map->size - 1), size;

        if (map->argsz < sizeof(*map) || map->size == 0 || last < map->iova)
                return -EINVAL;
        if (map->flags == 0 || (map->size | map->iova | map->vaddr) % sysconf(_SC_PAGESIZE) != 0)
                return -EINVAL;

        dma_read(container, name, state);
        if (dma_without(state, map->iova, last, rest, &size) < 0 || size > 0)
                return -EEXIST;

        snprintf(state + strlen(state), STATE_MAX - strlen(state), "%" PRIx64 " %" PRIx64 " %x\n", (uint64_t) map->iova,
                 (uint64_t) map->size, map->flags);
        state_write(name, state);
        return 0;
}

int dma_unmap(const char *container, struct vfio_iommu_type1_dma_unmap *unmap) {
        bool all = unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL;
        char name[96], state[STATE_MAX], rest[STATE_MAX];
        uint64_t size;
        int r;

        if (unmap->argsz < sizeof(*unmap) || (all ? unmap->iova != 0 || unmap->size != 0 : unmap->size == 0))
                return -EINVAL;

        dma_read(container, name, state);
        r = dma_without(state, unmap->iova, all ? UINT64_MAX : unmap->iova + (unmap->size - 1), rest, &size);
        if (r < 0)
                return r;

        state_write(name, rest);
        unmap->size = size;
        return 0;
}

void dma_forget(const char *container) {
        char name[96];

        snprintf(name, sizeof(name), "dma-%s", container);
        state_write(name, "");
}
