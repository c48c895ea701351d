/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Paths
 *
 * Templates of the service's object paths for sd_bus_path_decode_many(): what stands for the % is the id.
 * A device's path has its kind before the id.
 */

#include "names.h"

#define DEVICE_TEMPLATE VFB_PATH_DEVICE "/pci%"
#define GROUP_TEMPLATE  VFB_PATH_GROUP "/%"
#define LEASE_TEMPLATE  VFB_PATH_LEASE "/%"
