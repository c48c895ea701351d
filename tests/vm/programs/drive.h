/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Drive
 *
 * DMA of the first device of a lease, with memory made for it and taken back. Return 0 or a negative errno.
 */

#include <vfio-broker.h>

#include "nvme.h"

int drive_nvme(vfb_lease *lease, char ret_serial[NVME_SERIAL_MAX], vfb_error **ret_error);

/* An e1000 or e1000e */
int drive_nic(vfb_lease *lease, vfb_error **ret_error);
