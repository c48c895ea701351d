/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NIC
 *
 * QEMU's e1000 and e1000e, driven through a VFIO device descriptor, wherever it comes from. All functions return 0 or
 * a negative errno.
 */

#include <stddef.h>
#include <stdint.h>

#define NIC_MEMORY_SIZE ((size_t) 2 * 4096)

/* DMA both ways: the device fetches an order and a frame out of @memory, which it knows as @iova, sends the frame, and writes
 * into the order that it has. */
int nic_send(int device, void *memory, uint64_t iova);
