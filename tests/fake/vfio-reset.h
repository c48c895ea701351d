/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO: reset
 *
 * The reset of a bus (hot reset): whom it hits, and what VFIO wants to see before it does one: a descriptor of the
 * group of every device on the bus, and each of them on a VFIO driver. Below a bridge only.
 */

#include "vfio-model.h"

int reset_get_bus_info(const Object *object, void *argument);
int reset_bus(const Object *object, void *argument);
