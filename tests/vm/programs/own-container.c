/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * own-container: what somebody without a lease gets from a /dev/vfio/vfio of their own, which anybody may
 * open. Prints what each call answered.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void say(const char *what, int r) {
        printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "ok");
}

int main(void) {
        static uint8_t memory[4096] __attribute__((aligned(4096)));
        struct vfio_iommu_type1_dma_map map = {
                .argsz = sizeof(map),
                .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                .vaddr = (uintptr_t) memory,
                .size = sizeof(memory),
        };
        int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);

        say("open", container);
        say("set-iommu", ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU));
        say("map", ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
        return 0;
}
