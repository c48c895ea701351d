/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Paths
 *
 * The service's object paths, and the ids in them. Templates are for sd_bus_path_decode_many(): what stands for the %
 * is the id. A device's path has its kind before its name.
 */

#include "names.h"

#define GROUP_TEMPLATE VFB_PATH_GROUP "/%"
#define LEASE_TEMPLATE VFB_PATH_LEASE "/%"

/* "0000:06:0d.0", "mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", to be freed. 1: it is a device's. 0: it is not. */
int device_id_of_path(const char *path, char **ret);
