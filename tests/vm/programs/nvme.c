/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "nvme.h"
#include "pci.h"

#define REGISTER_MASK_SET       0x0c
#define REGISTER_MASK_CLEAR     0x10
#define REGISTER_CONFIGURATION  0x14
#define REGISTER_STATUS         0x1c
#define REGISTER_QUEUE_SIZES    0x24
#define REGISTER_SUBMISSIONS    0x28
#define REGISTER_COMPLETIONS    0x30
#define REGISTER_DOORBELL       0x1000

#define ENABLE         0x1U
#define READY          0x1U
#define ENTRY_SIZES    ((6U << 16) | (4U << 20)) /* 64 and 16 bytes, as powers of two */
#define TWO_ENTRIES    ((1U << 16) | 1U)
#define IDENTIFY       0x06U
#define THE_CONTROLLER 1U
#define COMMAND_ID     (0x17U << 16)
#define PHASE          (1U << 16)

#define PAGE      4096
#define TRIES_MAX 2000

static int open_registers(int device, uint16_t command, off_t *ret) {
        int r;

        r = pci_enable(device, command);
        return r < 0 ? r : pci_registers(device, ret);
}

int nvme_write_mask(int device, uint32_t mask) {
        off_t registers = 0;
        int r;

        r = open_registers(device, PCI_COMMAND_MEMORY, &registers);
        if (r == 0)
                r = pci_write(device, registers + REGISTER_MASK_SET, mask);
        return r < 0 ? r : pci_write(device, registers + REGISTER_MASK_CLEAR, ~mask);
}

int nvme_read_mask(int device, uint32_t *ret) {
        off_t registers = 0;
        int r;

        r = open_registers(device, PCI_COMMAND_MEMORY, &registers);
        return r < 0 ? r : pci_read(device, registers + REGISTER_MASK_SET, ret);
}

static int write_address(int device, off_t at, uint64_t address) {
        int r;

        r = pci_write(device, at, (uint32_t) address);
        return r < 0 ? r : pci_write(device, at + 4, (uint32_t) (address >> 32));
}

static int enable(int device, off_t registers, bool on) {
        int r;

        r = pci_write(device, registers + REGISTER_CONFIGURATION, on ? ENABLE | ENTRY_SIZES : 0);
        return r < 0 ? r : pci_await(device, registers + REGISTER_STATUS, READY, on ? READY : 0);
}

static int set_queues(int device, off_t registers, uint64_t submissions, uint64_t completions) {
        int r;

        r = pci_write(device, registers + REGISTER_QUEUE_SIZES, TWO_ENTRIES);
        if (r == 0)
                r = write_address(device, registers + REGISTER_SUBMISSIONS, submissions);
        return r < 0 ? r : write_address(device, registers + REGISTER_COMPLETIONS, completions);
}

static int await_completion(const volatile uint32_t *completion) {
        const struct timespec pause = { .tv_nsec = 5000000 };

        for (int tries = 0; tries < TRIES_MAX; tries++) {
                uint32_t last = le32toh(completion[3]);

                if (last & PHASE)
                        return last >> 17 ? -EIO : 0;
                (void) nanosleep(&pause, NULL);
        }
        return -ETIME;
}

int nvme_identify(int device, void *memory, uint64_t iova, char ret_serial[NVME_SERIAL_MAX]) {
        const char *answer = (const char *) memory + 2 * PAGE;
        uint32_t *command = memory;
        off_t registers = 0;
        int r;

        memset(memory, 0, NVME_MEMORY_SIZE);
        command[0] = htole32(IDENTIFY | COMMAND_ID);
        command[6] = htole32((uint32_t) (iova + 2 * PAGE));
        command[7] = htole32((uint32_t) ((iova + 2 * PAGE) >> 32));
        command[10] = htole32(THE_CONTROLLER);

        r = open_registers(device, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, &registers);
        if (r == 0)
                r = enable(device, registers, false);
        if (r == 0)
                r = set_queues(device, registers, iova, iova + PAGE);
        if (r == 0)
                r = enable(device, registers, true);
        if (r == 0)
                r = pci_write(device, registers + REGISTER_DOORBELL, 1);
        if (r == 0)
                r = await_completion((const volatile uint32_t *) ((const char *) memory + PAGE));
        if (r < 0)
                return r;

        memcpy(ret_serial, answer + 4, NVME_SERIAL_MAX - 1);
        ret_serial[NVME_SERIAL_MAX - 1] = '\0';
        ret_serial[strcspn(ret_serial, " ")] = '\0';
        return enable(device, registers, false);
}
