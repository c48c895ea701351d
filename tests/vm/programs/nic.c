/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <time.h>

#include "nic.h"
#include "pci.h"

#define REGISTER_TRANSMIT   0x0400
#define REGISTER_RING_LOW   0x3800
#define REGISTER_RING_HIGH  0x3804
#define REGISTER_RING_SIZE  0x3808
#define REGISTER_RING_FIRST 0x3810
#define REGISTER_RING_LAST  0x3818

#define TRANSMIT_ENABLE 0x2U
#define RING_BYTES      128U
/* In the third word of an order: the frame ends here, and say so when it is done */
#define ORDER_LAST   (1U << 24)
#define ORDER_REPORT (8U << 24)
/* In the fourth */
#define ORDER_DONE 1U

#define PAGE        4096
#define FRAME_BYTES 60U
#define TRIES_MAX   2000

static int set_ring(int device, off_t registers, uint64_t iova) {
        const struct {
                off_t at;
                uint32_t value;
        } writes[] = {
                { REGISTER_RING_LOW, (uint32_t) iova }, { REGISTER_RING_HIGH, (uint32_t) (iova >> 32) },
                { REGISTER_RING_SIZE, RING_BYTES },     { REGISTER_RING_FIRST, 0 },
                { REGISTER_RING_LAST, 0 },              { REGISTER_TRANSMIT, TRANSMIT_ENABLE },
                { REGISTER_RING_LAST, 1 }, /* go */
        };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof(writes) / sizeof(*writes); i++)
                r = pci_write(device, registers + writes[i].at, writes[i].value);
        return r;
}

int nic_send(int device, void *memory, uint64_t iova) {
        const struct timespec pause = { .tv_nsec = 5000000 };
        volatile uint32_t *order = memory;
        off_t registers = 0;
        int r;

        memset(memory, 0, NIC_MEMORY_SIZE);
        memset((char *) memory + PAGE, 0xff, 6); /* to everybody */
        order[0] = htole32((uint32_t) (iova + PAGE));
        order[1] = htole32((uint32_t) ((iova + PAGE) >> 32));
        order[2] = htole32(FRAME_BYTES | ORDER_LAST | ORDER_REPORT);

        r = pci_enable(device, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        if (r == 0)
                r = pci_registers(device, &registers);
        if (r == 0)
                r = set_ring(device, registers, iova);
        if (r < 0)
                return r;

        for (int tries = 0; tries < TRIES_MAX; tries++) {
                if (le32toh(order[3]) & ORDER_DONE)
                        return 0;
                (void) nanosleep(&pause, NULL);
        }
        return -ETIME;
}
