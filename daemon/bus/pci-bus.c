/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PCI functions on the bus */

#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "bus/append.h"
#include "bus/paths.h"
#include "bus/pci-bus.h"
#include "bus/server.h"

static int pci_property_id(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);

        if (!device)
                return -ENOENT;

        if (strcmp(property, "VendorId") == 0)
                return sd_bus_message_append(m, "q", device->facts.vendor);
        if (strcmp(property, "DeviceId") == 0)
                return sd_bus_message_append(m, "q", device->facts.device);
        if (strcmp(property, "SubsystemVendorId") == 0)
                return sd_bus_message_append(m, "q", device->facts.subsystem_vendor);
        if (strcmp(property, "SubsystemDeviceId") == 0)
                return sd_bus_message_append(m, "q", device->facts.subsystem_device);
        if (strcmp(property, "Class") == 0)
                return sd_bus_message_append(m, "u", device->facts.class);
        if (strcmp(property, "Address") == 0)
                return sd_bus_message_append(m, "s", device_id(device));
        return -EINVAL;
}

static int pci_property_boot_vga(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);

        if (!device)
                return -ENOENT;

        return sd_bus_message_append(m, "b", broker_device_boot_vga(server_broker(userdata), device));
}

static int pci_property_physfn(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Broker *broker = server_broker(userdata);
        const Device *device = device_of_path(broker, path);
        char physfn[DEVICE_ID_MAX];

        if (!device)
                return -ENOENT;

        broker_device_physfn(broker, device, physfn);
        return append_device(m, broker_find_device(broker, physfn));
}

static int pci_property_vf_index(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);

        if (!device)
                return -ENOENT;

        return sd_bus_message_append(m, "i", broker_device_vf_index(server_broker(userdata), device));
}

static int pci_property_bars(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        int r;

        if (!device)
                return -ENOENT;

        r = sd_bus_message_open_container(m, 'a', "(uts)");
        for (unsigned i = 0; r >= 0 && i < device->facts.n_bars; i++) {
                const DeviceBar *bar = &device->facts.bars[i];
                char flags[24];

                snprintf(flags, sizeof(flags), "0x%llx", (unsigned long long) bar->flags);
                r = sd_bus_message_append(m, "(uts)", bar->index, bar->size, flags);
        }
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

const sd_bus_vtable pci_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_PROPERTY("Address", "s", pci_property_id, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("VendorId", "q", pci_property_id, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("DeviceId", "q", pci_property_id, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("SubsystemVendorId", "q", pci_property_id, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("SubsystemDeviceId", "q", pci_property_id, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Class", "u", pci_property_id, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("BootVga", "b", pci_property_boot_vga, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("PhysicalFunction", "o", pci_property_physfn, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("VirtualFunctionIndex", "i", pci_property_vf_index, 0, 0),
        SD_BUS_PROPERTY("Bars", "a(uts)", pci_property_bars, 0, SD_BUS_VTABLE_PROPERTY_CONST),

        SD_BUS_VTABLE_END
};
