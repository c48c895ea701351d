/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Drivers on the bus
 *
 * Bind and Restore of a device: one transaction over what hangs together in its IOMMU group, so polkit is asked about
 * each device whose driver would change, before anything of it does.
 */

#include <systemd/sd-bus.h>

#include "broker.h"
#include "bus/sender.h"

/* Options of Bind and of Acquire. */
int companions_parse(const char *name, BrokerCompanions *ret, sd_bus_error *error);
int on_host_use_parse(const char *name, bool *ret_steal, sd_bus_error *error);

void device_log_refused(const Sender *sender, const Device *device, const sd_bus_error *error);

int device_method_bind(sd_bus_message *m, void *userdata, sd_bus_error *error);
int device_method_restore(sd_bus_message *m, void *userdata, sd_bus_error *error);

int device_property_host_uses(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *m, void *userdata, sd_bus_error *error);
