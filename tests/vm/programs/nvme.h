/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVMe's interrupt mask
 *
 * The one register of the test machine that shows a reset: it is set through a VFIO device descriptor,
 * stays over a close, and is clear after a reset. (QEMU's edu keeps its registers over a bus reset.)
 * Both return 0 or a negative errno.
 */

#include <stdint.h>

int nvme_write_mask(int device, uint32_t mask);
int nvme_read_mask(int device, uint32_t *ret);
