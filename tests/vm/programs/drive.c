/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/mman.h>

#include "drive.h"
#include "nic.h"

#define IOVA 0x1000000

static int allocate(vfb_lease *lease, size_t size, void **ret, vfb_error **ret_error) {
        return vfb_dma_alloc(lease, size, IOVA, VFB_DMA_READ | VFB_DMA_WRITE, ret, ret_error);
}

static void release(vfb_lease *lease, size_t size, void *memory) {
        (void) vfb_dma_unmap(lease, IOVA, size, NULL);
        (void) munmap(memory, size);
}

int drive_nvme(vfb_lease *lease, char ret_serial[NVME_SERIAL_MAX], vfb_error **ret_error) {
        void *memory;
        int r;

        r = allocate(lease, NVME_MEMORY_SIZE, &memory, ret_error);
        if (r < 0)
                return r;

        r = nvme_identify(vfb_lease_device_fd(lease, 0), memory, IOVA, ret_serial);
        release(lease, NVME_MEMORY_SIZE, memory);
        return r;
}

int drive_nic(vfb_lease *lease, vfb_error **ret_error) {
        void *memory;
        int r;

        r = allocate(lease, NIC_MEMORY_SIZE, &memory, ret_error);
        if (r < 0)
                return r;

        r = nic_send(vfb_lease_device_fd(lease, 0), memory, IOVA);
        release(lease, NIC_MEMORY_SIZE, memory);
        return r;
}
