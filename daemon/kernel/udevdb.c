/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Udev's database */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-device.h>
#include <systemd/sd-login.h>

#include "cleanup.h"
#include "udevdb.h"

static void device_unrefp(sd_device **device) {
        sd_device_unref(*device);
}

bool udevdb_read(const char *subsystem, const char *name, const char *property, char *ret, size_t size) {
        _cleanup_(device_unrefp) sd_device *device = NULL;
        const char *value;

        if (sd_device_new_from_subsystem_sysname(&device, subsystem, name) < 0 ||
            sd_device_get_property_value(device, property, &value) < 0 || strlen(value) >= size)
                return false;

        strcpy(ret, value);
        return true;
}

bool udevdb_read_seat(const char *input, char *ret, size_t size) {
        /* Not among them: the sockets of a sound card, which are inputs, too. */
        static const char *const kinds[] = { "ID_INPUT_KEYBOARD", "ID_INPUT_MOUSE",    "ID_INPUT_POINTINGSTICK",
                                             "ID_INPUT_TABLET",   "ID_INPUT_TOUCHPAD", "ID_INPUT_TOUCHSCREEN" };
        _cleanup_(device_unrefp) sd_device *device = NULL;
        const char *value;

        if (sd_device_new_from_subsystem_sysname(&device, "input", input) < 0 ||
            sd_device_has_current_tag(device, "seat") <= 0)
                return false;

        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
                if (sd_device_get_property_value(device, kinds[i], &value) >= 0 && strcmp(value, "1") == 0) {
                        if (sd_device_get_property_value(device, "ID_SEAT", &value) < 0)
                                value = "seat0";
                        return snprintf(ret, size, "%s", value) < (int) size;
                }
        return false;
}

bool udevdb_seat_is_active(const char *seat) {
        _cleanup_(freep) char *session = NULL;

        return sd_seat_get_active(seat, &session, NULL) >= 0;
}
