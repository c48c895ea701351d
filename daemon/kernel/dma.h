/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Dma
 *
 * What devices can reach of memory, by way of a container of the type 1 model. A memfd that is sealed against
 * shrinking is mapped for the moment of the call only: the kernel pins its pages, and keeps them pinned and in the
 * IOMMU after the process that asked has gone. Mapping may have to find all of the memory first, and all
 * calls wait for the container's lock, so they run in a job's child, as JobWork. The kernel counts the pages against
 * RLIMIT_MEMLOCK of the process that maps, so against each child's by itself.
 */

#include <stdbool.h>
#include <stdint.h>

#include "job.h"

typedef enum DmaStep {
        DMA_STEP_NONE,
        DMA_STEP_MEMORY, /* mmap() */
        DMA_STEP_MAP,    /* VFIO_IOMMU_MAP_DMA */
        DMA_STEP_UNMAP,  /* VFIO_IOMMU_UNMAP_DMA */
        _DMA_STEP_MAX,
} DmaStep;

typedef struct DmaRange {
        uint64_t iova, size;
} DmaRange;

typedef struct DmaPlan {
        int container;
        int memory; /* dma_map() */
        uint64_t offset;
        bool read, write; /* what the device may do */
        DmaRange range;   /* but for dma_unmap_all() */
        const DmaRange *ranges; /* dma_unmap_all(), for kernels that cannot do it at once */
        unsigned n_ranges;
} DmaPlan;

typedef struct DmaResult {
        DmaStep step; /* where it failed; NONE: it did not */
        int error;    /* errno, positive */
} DmaResult;

/* Never waits, whatever @fd is. -EINVAL: no memfd. -EPERM: it may be made smaller. */
int dma_check_memory(int fd, uint64_t *ret_size);

/* What offset, size and IOVA must be multiples of. */
uint64_t dma_page_size(void);

void dma_map(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);

/* A range that is not mapped is none to complain about. */
void dma_unmap(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);

/* All that is mapped in the container, by whomever; where the kernel cannot do that, the ranges. Goes on after a
 * failure. */
void dma_unmap_all(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);
