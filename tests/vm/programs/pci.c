/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "pci.h"

#define TRIES_MAX 2000

static int region_offset(int device, uint32_t index, off_t *ret) {
        struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

        if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
                return -errno;
        *ret = (off_t) info.offset;
        return 0;
}

int pci_enable(int device, uint16_t command) {
        off_t config = 0;
        int r;

        r = region_offset(device, VFIO_PCI_CONFIG_REGION_INDEX, &config);
        if (r < 0)
                return r;
        return pwrite(device, &command, sizeof(command), config + PCI_COMMAND) == sizeof(command) ? 0 : -EIO;
}

int pci_registers(int device, off_t *ret) {
        return region_offset(device, VFIO_PCI_BAR0_REGION_INDEX, ret);
}

int pci_read(int device, off_t at, uint32_t *ret) {
        return pread(device, ret, sizeof(*ret), at) == sizeof(*ret) ? 0 : -EIO;
}

int pci_write(int device, off_t at, uint32_t value) {
        return pwrite(device, &value, sizeof(value), at) == sizeof(value) ? 0 : -EIO;
}

int pci_await(int device, off_t at, uint32_t mask, uint32_t value) {
        const struct timespec pause = { .tv_nsec = 5000000 };
        uint32_t now = 0;
        int r;

        for (int tries = 0; tries < TRIES_MAX; tries++) {
                r = pci_read(device, at, &now);
                if (r < 0)
                        return r;
                if ((now & mask) == value)
                        return 0;
                (void) nanosleep(&pause, NULL);
        }
        return -ETIME;
}
