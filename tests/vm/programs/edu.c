/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "edu.h"

#define REGISTER_ID              0x00
#define REGISTER_CANARY          0x04
#define REGISTER_RAISE           0x60
#define REGISTER_ACKNOWLEDGE     0x64
#define REGISTER_DMA_SOURCE      0x80
#define REGISTER_DMA_DESTINATION 0x88
#define REGISTER_DMA_COUNT       0x90
#define REGISTER_DMA_COMMAND     0x98

#define ID            0x010000edU
#define DMA_BUFFER    0x40000U
#define DMA_START     1U
#define DMA_TO_MEMORY 2U
/* Less than the buffer: QEMU ends, on the spot, when a transfer touches the buffer's last byte. */
#define DMA_COUNT 2048U
/* The device reaches the lowest 256 MiB only. */
#define DMA_IOVA 0x1000000U

#define PATIENCE_MS 300000

struct Edu {
        int device;
        int memory_fd;
        uint8_t *memory;
        size_t page;
        volatile uint8_t *registers;
        size_t registers_size;
        uint32_t turn;
};

static uint32_t edu_read(const Edu *edu, size_t at) {
        return *(const volatile uint32_t *) (edu->registers + at);
}

static void edu_write(Edu *edu, size_t at, uint32_t value) {
        *(volatile uint32_t *) (edu->registers + at) = value;
}

static int edu_region(const Edu *edu, uint32_t index, struct vfio_region_info *ret) {
        *ret = (struct vfio_region_info){ .argsz = sizeof(*ret), .index = index };
        return ioctl(edu->device, VFIO_DEVICE_GET_REGION_INFO, ret) < 0 ? -errno : 0;
}

static int edu_map_registers(Edu *edu) {
        struct vfio_region_info bar;
        void *p;
        int r;

        r = edu_region(edu, VFIO_PCI_BAR0_REGION_INDEX, &bar);
        if (r < 0)
                return r;

        p = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, edu->device, (off_t) bar.offset);
        if (p == MAP_FAILED)
                return -errno;

        edu->registers = p;
        edu->registers_size = bar.size;
        return edu_read(edu, REGISTER_ID) == ID ? 0 : -ENODEV;
}

static int edu_enable(const Edu *edu) {
        struct vfio_region_info config;
        uint16_t command;
        int r;

        r = edu_region(edu, VFIO_PCI_CONFIG_REGION_INDEX, &config);
        if (r < 0)
                return r;

        if (pread(edu->device, &command, sizeof(command), (off_t) config.offset + PCI_COMMAND) != sizeof(command))
                return -EIO;

        command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
        if (pwrite(edu->device, &command, sizeof(command), (off_t) config.offset + PCI_COMMAND) != sizeof(command))
                return -EIO;
        return 0;
}

static int edu_allocate(Edu *edu) {
        size_t size = edu_memory_size(edu);
        void *p;

        edu->memory_fd = memfd_create("edu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (edu->memory_fd < 0)
                return -errno;

        if (ftruncate(edu->memory_fd, (off_t) size) < 0 ||
            fcntl(edu->memory_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)
                return -errno;

        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, edu->memory_fd, 0);
        if (p == MAP_FAILED)
                return -errno;

        edu->memory = p;
        return 0;
}

int edu_new(Edu **ret, int device) {
        Edu *edu;
        int r;

        edu = calloc(1, sizeof(*edu));
        if (!edu)
                return -ENOMEM;

        edu->device = device;
        edu->memory_fd = -EBADF;
        edu->page = (size_t) sysconf(_SC_PAGESIZE);

        r = edu_enable(edu);
        if (r == 0)
                r = edu_map_registers(edu);
        if (r == 0)
                r = edu_allocate(edu);
        if (r < 0) {
                edu_free(edu);
                return r;
        }

        *ret = edu;
        return 0;
}

Edu *edu_free(Edu *edu) {
        if (!edu)
                return NULL;

        if (edu->registers)
                (void) munmap((void *) edu->registers, edu->registers_size);
        if (edu->memory)
                (void) munmap(edu->memory, edu_memory_size(edu));
        if (edu->memory_fd >= 0)
                (void) close(edu->memory_fd);
        free(edu);
        return NULL;
}

int edu_memory_fd(const Edu *edu) {
        return edu->memory_fd;
}

size_t edu_memory_size(const Edu *edu) {
        return 2 * edu->page;
}

uint64_t edu_iova(const Edu *edu) {
        (void) edu;
        return DMA_IOVA;
}

int edu_map_memory(Edu *edu, int container) {
        struct vfio_iommu_type1_dma_map map = {
                .argsz = sizeof(map),
                .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                .vaddr = (uintptr_t) edu->memory,
                .iova = edu_iova(edu),
                .size = edu_memory_size(edu),
        };

        return ioctl(container, VFIO_IOMMU_MAP_DMA, &map) < 0 ? -errno : 0;
}

int edu_unmap_memory(Edu *edu, int container) {
        struct vfio_iommu_type1_dma_unmap unmap = {
                .argsz = sizeof(unmap),
                .iova = edu_iova(edu),
                .size = edu_memory_size(edu),
        };

        return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0 ? -errno : 0;
}

static int edu_transfer(Edu *edu, uint32_t source, uint32_t destination, uint32_t direction) {
        const struct timespec pause = { .tv_nsec = 5000000 };

        edu_write(edu, REGISTER_DMA_SOURCE, source);
        edu_write(edu, REGISTER_DMA_DESTINATION, destination);
        edu_write(edu, REGISTER_DMA_COUNT, DMA_COUNT);
        edu_write(edu, REGISTER_DMA_COMMAND, DMA_START | direction);

        for (int waited = 0; edu_read(edu, REGISTER_DMA_COMMAND) & DMA_START; waited += 5) {
                if (waited >= PATIENCE_MS)
                        return -ETIME;
                (void) nanosleep(&pause, NULL);
        }
        return 0;
}

int edu_check_dma(Edu *edu) {
        uint8_t *there = edu->memory, *back = edu->memory + edu->page;
        int r;

        /* Another pattern each time, so that an earlier answer is not taken for this one. */
        edu->turn++;
        for (size_t i = 0; i < DMA_COUNT; i++)
                there[i] = (uint8_t) (i * 7 + edu->turn);
        memset(back, 0, edu->page);

        r = edu_transfer(edu, DMA_IOVA, DMA_BUFFER, 0);
        if (r < 0)
                return r;

        r = edu_transfer(edu, DMA_BUFFER, DMA_IOVA + (uint32_t) edu->page, DMA_TO_MEMORY);
        if (r < 0)
                return r;

        return memcmp(there, back, DMA_COUNT) == 0 ? 0 : -EBADMSG;
}

int edu_try_write(Edu *edu) {
        uint8_t *there = edu->memory, *back = edu->memory + edu->page, before[2 * DMA_COUNT];
        int r;

        /* Whatever has been done to it meanwhile, the client makes it a bus master again. */
        r = edu_enable(edu);
        if (r < 0)
                return r;

        /* The device's buffer has what edu_check_dma() left there. */
        memset(back, ~there[0], DMA_COUNT);
        memcpy(before, there, DMA_COUNT);
        memcpy(before + DMA_COUNT, back, DMA_COUNT);
        r = edu_transfer(edu, DMA_BUFFER, DMA_IOVA + (uint32_t) edu->page, DMA_TO_MEMORY);
        if (r < 0)
                return r;

        if (memcmp(there, before, DMA_COUNT) != 0)
                return -EBADMSG;
        if (memcmp(back, before + DMA_COUNT, DMA_COUNT) == 0)
                return 0;
        return memcmp(back, there, DMA_COUNT) == 0 ? 1 : -EBADMSG;
}

int edu_check_dma_forever(Edu *edu) {
        int r;

        do
                r = edu_check_dma(edu);
        while (r == 0);
        return r;
}

/* An @event of -1 takes the interrupt away again. */
static int edu_set_msi(const Edu *edu, int event) {
        union {
                struct vfio_irq_set set;
                uint8_t bytes[sizeof(struct vfio_irq_set) + sizeof(int)];
        } irq = { .set = {
                          .argsz = sizeof(irq),
                          .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                          .index = VFIO_PCI_MSI_IRQ_INDEX,
                          .count = 1,
                  } };

        memcpy(irq.set.data, &event, sizeof(event));
        return ioctl(edu->device, VFIO_DEVICE_SET_IRQS, &irq) < 0 ? -errno : 0;
}

static int edu_wait_for_msi(Edu *edu, int event) {
        struct pollfd poller = { .fd = event, .events = POLLIN };
        uint64_t count;
        int r;

        edu_write(edu, REGISTER_RAISE, 1);
        r = poll(&poller, 1, PATIENCE_MS);
        edu_write(edu, REGISTER_ACKNOWLEDGE, 1);
        if (r < 0)
                return -errno;
        if (r == 0)
                return -ETIME;
        return read(event, &count, sizeof(count)) == sizeof(count) && count == 1 ? 0 : -EIO;
}

int edu_check_msi(Edu *edu) {
        int event, r, q;

        event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (event < 0)
                return -errno;

        r = edu_set_msi(edu, event);
        if (r == 0) {
                r = edu_wait_for_msi(edu, event);
                q = edu_set_msi(edu, -1);
                if (r == 0)
                        r = q;
        }
        (void) close(event);
        return r;
}

void edu_write_canary(Edu *edu, uint32_t value) {
        edu_write(edu, REGISTER_CANARY, value);
}

uint32_t edu_read_canary(const Edu *edu) {
        /* The device answers with the inverse of what was written. */
        return ~edu_read(edu, REGISTER_CANARY);
}
