/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVMe
 *
 * Driven through a VFIO device descriptor, wherever it comes from. All functions return 0 or a negative errno.
 */

#include <stddef.h>
#include <stdint.h>

#define NVME_MEMORY_SIZE ((size_t) 3 * 4096)
#define NVME_SERIAL_MAX  21

/* The interrupt mask is the one register of the test machine that shows a reset: it stays over a close, and is clear
 * after a reset. (QEMU's edu keeps its registers over a bus reset.) */
int nvme_write_mask(int device, uint32_t mask);
int nvme_read_mask(int device, uint32_t *ret);

/* DMA both ways: the device fetches a command out of @memory, which it knows as @iova, and writes there who it is. */
int nvme_identify(int device, void *memory, uint64_t iova, char ret_serial[NVME_SERIAL_MAX]);
