/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Serial
 *
 * The serial number of a device as the journal keeps it: it can be read while a host driver has the device, and must
 * go on to name it when a VFIO driver does. It holds for the device that it was read of, by the kernel's number for
 * that, and for no later one at the same address. A value.
 */

#include <stdbool.h>

#include "core/device.h"

typedef struct json_object json_object;

typedef struct Serial {
        char text[DEVICE_SERIAL_MAX]; /* "": none */
        uint64_t instance;
} Serial;

/* Whether it would be lost with this daemon: with a host driver it can be read again. */
bool serial_must_be_kept(const Device *device);

/* NULL: no memory. */
json_object *serial_to_json(const Device *device);

/* false: it is none that this program could have written. */
bool serial_from_json(json_object *object, Serial *ret);

/* What was kept is this device's. */
void serial_give_back(const Serial *serial, Device *device);
