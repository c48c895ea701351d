/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Dma */

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dma.h"

int dma_check_memory(int fd, uint64_t *ret_size) {
        struct stat st;
        int seals;

        /* First, since fstat() asks the file system, which may be somebody's FUSE; seals are in the kernel alone. A
         * file of a tmpfs has them, too, but cannot get this one. */
        seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0)
                return -EINVAL;
        if (!(seals & F_SEAL_SHRINK))
                return -EPERM;

        if (fstat(fd, &st) < 0)
                return -errno;

        *ret_size = (uint64_t) st.st_size;
        return 0;
}

uint64_t dma_page_size(void) {
        return (uint64_t) sysconf(_SC_PAGESIZE);
}

/* Keeps the first failure. */
static void fail(DmaResult *result, DmaStep step, int error) {
        if (result->step == DMA_STEP_NONE)
                *result = (DmaResult){ .step = step, .error = error };
}

void dma_map(const void *plan_data, void *result_data, int fds[JOB_FDS_MAX], size_t *n_fds) {
        const DmaPlan *plan = plan_data;
        struct vfio_iommu_type1_dma_map map = {
                .argsz = sizeof(map),
                .flags = (plan->read ? VFIO_DMA_MAP_FLAG_READ : 0) | (plan->write ? VFIO_DMA_MAP_FLAG_WRITE : 0),
                .iova = plan->range.iova,
                .size = plan->range.size,
        };
        void *memory;

        if (plan->range.size > SIZE_MAX) {
                fail(result_data, DMA_STEP_MEMORY, EOVERFLOW);
                return;
        }

        /* Writable only where the device is to write: then the kernel refuses what the client itself may not write. */
        memory = mmap(NULL, (size_t) plan->range.size, PROT_READ | (plan->write ? PROT_WRITE : 0), MAP_SHARED,
                      plan->memory, (off_t) plan->offset);
        if (memory == MAP_FAILED) {
                fail(result_data, DMA_STEP_MEMORY, errno);
                return;
        }

        map.vaddr = (uintptr_t) memory;
        if (ioctl(plan->container, VFIO_IOMMU_MAP_DMA, &map) < 0)
                fail(result_data, DMA_STEP_MAP, errno);
        (void) munmap(memory, (size_t) plan->range.size);
}

static int unmap(int container, uint32_t flags, const DmaRange *range) {
        struct vfio_iommu_type1_dma_unmap request = {
                .argsz = sizeof(request),
                .flags = flags,
                .iova = range->iova,
                .size = range->size,
        };

        return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &request) < 0 ? -errno : 0;
}

void dma_unmap(const void *plan_data, void *result_data, int fds[JOB_FDS_MAX], size_t *n_fds) {
        const DmaPlan *plan = plan_data;
        int r;

        r = unmap(plan->container, 0, &plan->range);
        if (r < 0)
                fail(result_data, DMA_STEP_UNMAP, -r);
}

void dma_unmap_all(const void *plan_data, void *result_data, int fds[JOB_FDS_MAX], size_t *n_fds) {
        const DmaPlan *plan = plan_data;
        int r = -ENOTSUP;

        /* since Linux 5.12 */
        if (ioctl(plan->container, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL) > 0)
                r = unmap(plan->container, VFIO_DMA_UNMAP_FLAG_ALL, &(DmaRange){});
        if (r == 0)
                return;

        if (plan->n_ranges == 0)
                fail(result_data, DMA_STEP_UNMAP, -r); /* who knows what is mapped */
        for (unsigned i = 0; i < plan->n_ranges; i++) {
                r = unmap(plan->container, 0, &plan->ranges[i]);
                if (r < 0)
                        fail(result_data, DMA_STEP_UNMAP, -r);
        }
}
