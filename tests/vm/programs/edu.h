/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Edu
 *
 * QEMU's educational PCI device, driven through VFIO descriptors wherever they come from. It has a DMA
 * engine, an interrupt and a register that keeps its value. The descriptors stay the
 * caller's and must outlive the Edu. All functions return 0 or a negative errno.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Edu Edu;

/* Maps the registers of @device, and lets it be a bus master: VFIO leaves that off. -ENODEV: not an edu. */
int edu_new(Edu **ret, int device);
/* Unmaps all of it from this process. What a container maps stays mapped there. */
Edu *edu_free(Edu *edu);

/* Two pages, sealed, at edu_iova(): for callers that let somebody else map them for the device. */
int edu_memory_fd(const Edu *edu);
size_t edu_memory_size(const Edu *edu);
uint64_t edu_iova(const Edu *edu);
/* Maps the two pages for the device, in a type 1 container. */
int edu_map_memory(Edu *edu, int container);
int edu_unmap_memory(Edu *edu, int container);

/* A pattern goes to the device and comes back to the other page. -EBADMSG: it came back as something else. */
int edu_check_dma(Edu *edu);
/* Goes on with that until it fails. */
int edu_check_dma_forever(Edu *edu);
/* The pattern once more to the other page: 1: it arrived. 0: nothing has changed in either page, although the device says
 * that it is done. -EBADMSG: something else has come. */
int edu_try_write(Edu *edu);
/* An MSI arrives through an eventfd. -ETIME: it does not. */
int edu_check_msi(Edu *edu);

/*
 * A register that nothing in the machine clears: the model has no reset, so it keeps the value over
 * the bus reset that the kernel does and believes in. What shows a reset is in nvme.h.
 */
void edu_write_canary(Edu *edu, uint32_t value);
uint32_t edu_read_canary(const Edu *edu);
