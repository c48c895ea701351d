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

typedef struct Server Server;

/* Options of Bind and of Acquire. */
int companions_parse(const char *name, BrokerCompanions *ret, sd_bus_error *error);
int on_host_use_parse(const char *name, bool *ret_steal, sd_bus_error *error);

/* What the handler returns once the broker has been told to change the device of @m: @r is what it said, and if that is
 * no, the answer is the first of @findings, which are done with here, and a line in the journal. */
int device_change_begun(Server *server, sd_bus_message *m, int r, Findings *findings, const Sender *sender,
                        sd_bus_error *error);

int device_method_bind(sd_bus_message *m, void *userdata, sd_bus_error *error);
int device_method_restore(sd_bus_message *m, void *userdata, sd_bus_error *error);

int device_property_host_uses(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *m, void *userdata, sd_bus_error *error);
