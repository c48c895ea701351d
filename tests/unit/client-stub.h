/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Client stub
 *
 * What the files of the service have of each other that answers the library and the command in their tests.
 */

#include <systemd/sd-bus.h>

/* Three devices, two of them in the one group that there is. */
int stub_publish_devices(sd_bus *bus);
int stub_method_list_devices(sd_bus_message *m, void *userdata, sd_bus_error *error);
int stub_method_get_device(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* For any object: a method whose answer has nothing in it, and properties that are always the same. */
int stub_method_nothing(sd_bus_message *m, void *userdata, sd_bus_error *error);
int stub_property_fixed(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error);
int stub_property_objects(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error);
