/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#include "nvme.h"

#define REGISTER_MASK_SET   0x0c
#define REGISTER_MASK_CLEAR 0x10

static int region_offset(int device, uint32_t index, off_t *ret) {
        struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

        if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
                return -errno;
        *ret = (off_t) info.offset;
        return 0;
}

static int enable_memory(int device) {
        const uint16_t command = PCI_COMMAND_MEMORY;
        off_t config = 0;
        int r;

        r = region_offset(device, VFIO_PCI_CONFIG_REGION_INDEX, &config);
        if (r < 0)
                return r;
        return pwrite(device, &command, sizeof(command), config + PCI_COMMAND) == sizeof(command) ? 0 : -EIO;
}

static int open_registers(int device, off_t *ret) {
        int r;

        r = enable_memory(device);
        if (r < 0)
                return r;
        return region_offset(device, VFIO_PCI_BAR0_REGION_INDEX, ret);
}

int nvme_write_mask(int device, uint32_t mask) {
        const uint32_t others = ~mask;
        off_t registers = 0;
        int r;

        r = open_registers(device, &registers);
        if (r < 0)
                return r;
        if (pwrite(device, &mask, sizeof(mask), registers + REGISTER_MASK_SET) != sizeof(mask) ||
            pwrite(device, &others, sizeof(others), registers + REGISTER_MASK_CLEAR) != sizeof(others))
                return -EIO;
        return 0;
}

int nvme_read_mask(int device, uint32_t *ret) {
        off_t registers = 0;
        int r;

        r = open_registers(device, &registers);
        if (r < 0)
                return r;
        return pread(device, ret, sizeof(*ret), registers + REGISTER_MASK_SET) == sizeof(*ret) ? 0 : -EIO;
}
