/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Client stub: devices and their group */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client-stub.h"
#include "names.h"

typedef struct StubDevice {
        const char *id, *name, *sysfs_path, *driver, *availability, *group;
        int is_vfio, numa_node;
} StubDevice;

static StubDevice devices[] = {
        { "0000:00:1e.0", "PCI bridge", "/sys/devices/pci0000:00/0000:00:1e.0", "", "host",
          VFB_PATH_GROUP "/26", 0, -1 },
        { "0000:06:0d.0", "Sound \033[31mcard", "/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.0",
          "vfio-pci", "available", VFB_PATH_GROUP "/26", 1, 0 },
        { "0000:06:0d.1", "Modem", "/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.1", "e1000", "not-viable",
          "/", 0, 0 },
};

static int property_blockers(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        StubDevice *device = userdata;

        if (strcmp(device->availability, "available") == 0)
                return sd_bus_message_append(reply, "a(ssa{sv})", 0);
        return sd_bus_message_append(reply, "a(ssa{sv})", 1, "NotViable", "in the host's hands", 1, "fix",
                                     "s", "unbind it");
}

static int property_words(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "as", 2, "flr", "bus");
}

static int property_uses(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "a(ss)", 1, "block", "sda1 is mounted on /mnt");
}

int stub_property_objects(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "ao", 2, VFB_PATH_DEVICE "/pci_30000_3a06_3a0d_2e0",
                                     VFB_PATH_DEVICE "/pci_30000_3a06_3a0d_2e1");
}

int stub_property_fixed(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const struct {
                const char *property, *type, *text;
                uint64_t number;
        } values[] = {
                { "Class", "u", NULL, 0x040100 },
                { "CreatedUSec", "t", NULL, 1700000000000000 },
                { "DeviceId", "q", NULL, 0x10d3 },
                { "DomainType", "s", "DMA", 0 },
                { "ExpiresUSec", "t", NULL, 1700000003600000 },
                { "Id", "s", "l-1", 0 },
                { "Label", "s", "vpp \033[31msoak", 0 },
                { "Number", "u", NULL, 26 },
                { "RestoreDriver", "s", "snd_hda_intel", 0 },
                { "State", "s", "active", 0 },
                { "Uid", "u", NULL, 0 },
                { "VendorId", "q", NULL, 0x8086 },
                { "Viable", "b", NULL, 1 },
                { "Address", "s", "0000:06:0d.0", 0 },
        };

        for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
                if (strcmp(values[i].property, property) == 0) {
                        if (values[i].text)
                                return sd_bus_message_append(reply, "s", values[i].text);
                        if (*values[i].type == 't')
                                return sd_bus_message_append(reply, "t", values[i].number);
                        return sd_bus_message_append(reply, values[i].type, (int) values[i].number);
                }

        return -ENOENT;
}

int stub_method_nothing(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, NULL);
}

/* It is a companion that has to go along, whatever is to be bound. */
static int method_bind(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        devices[0].driver = "vfio-pci";
        return stub_method_nothing(m, userdata, error);
}

int stub_method_list_devices(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *key, *selector;

        if (sd_bus_message_read(m, "a{sv}", 1, &key, "s", &selector) > 0 && strcmp(selector, "class=nvme") == 0)
                return sd_bus_reply_method_return(m, "a(sosss)", 0);
        return sd_bus_reply_method_return(
                m, "a(sosss)", 3, devices[0].id, VFB_PATH_DEVICE "/pci_30000_3a00_3a1e_2e0", "", "host",
                "a bridge", devices[1].id, VFB_PATH_DEVICE "/pci_30000_3a06_3a0d_2e0", "vfio-pci", "available", "",
                devices[2].id, VFB_PATH_DEVICE "/pci_30000_3a06_3a0d_2e1", "e1000", "not-viable",
                "group 26 has a bridge");
}

int stub_method_get_device(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *selector;
        char *path;
        int r = sd_bus_message_read(m, "s", &selector);

        for (size_t i = 0; r >= 0 && i < sizeof(devices) / sizeof(*devices); i++)
                if (strcmp(devices[i].id, selector) == 0) {
                        sd_bus_path_encode_many(&path, VFB_PATH_DEVICE "/pci%", selector);
                        r = sd_bus_reply_method_return(m, "o", path);
                        free(path);
                        return r;
                }

        return sd_bus_error_set(error, "org.vfiobroker1.Error.NoSuchDevice", NULL);
}

static const sd_bus_vtable device_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Quarantine", "st", NULL, stub_method_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Bind", "sa{sv}t", NULL, method_bind, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Restore", "t", NULL, stub_method_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Unquarantine", "t", NULL, stub_method_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", NULL, offsetof(StubDevice, id), 0),
        SD_BUS_PROPERTY("Name", "s", NULL, offsetof(StubDevice, name), 0),
        SD_BUS_PROPERTY("SysfsPath", "s", NULL, offsetof(StubDevice, sysfs_path), 0),
        SD_BUS_PROPERTY("Driver", "s", NULL, offsetof(StubDevice, driver), 0),
        SD_BUS_PROPERTY("Availability", "s", NULL, offsetof(StubDevice, availability), 0),
        SD_BUS_PROPERTY("Group", "o", NULL, offsetof(StubDevice, group), 0),
        SD_BUS_PROPERTY("IsVfioDriver", "b", NULL, offsetof(StubDevice, is_vfio), 0),
        SD_BUS_PROPERTY("NumaNode", "i", NULL, offsetof(StubDevice, numa_node), 0),
        SD_BUS_PROPERTY("Blockers", "a(ssa{sv})", property_blockers, 0, 0),
        SD_BUS_PROPERTY("HostUses", "a(ss)", property_uses, 0, 0),
        SD_BUS_PROPERTY("PersistentIds", "as", property_words, 0, 0),
        SD_BUS_PROPERTY("ResetMethods", "as", property_words, 0, 0),
        SD_BUS_PROPERTY("RestoreDriver", "s", stub_property_fixed, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable pci_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Address", "s", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("VendorId", "q", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("DeviceId", "q", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("Class", "u", stub_property_fixed, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable group_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Number", "u", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("Devices", "ao", stub_property_objects, 0, 0),
        SD_BUS_PROPERTY("Viable", "b", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("DomainType", "s", stub_property_fixed, 0, 0),
        SD_BUS_VTABLE_END
};

int stub_publish_devices(sd_bus *bus) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < sizeof(devices) / sizeof(*devices); i++) {
                char *path;

                r = sd_bus_path_encode_many(&path, VFB_PATH_DEVICE "/pci%", devices[i].id);
                if (r >= 0)
                        r = sd_bus_add_object_vtable(bus, NULL, path, VFB_INTERFACE_DEVICE, device_vtable,
                                                     &devices[i]);
                if (r >= 0)
                        r = sd_bus_add_object_vtable(bus, NULL, path, VFB_INTERFACE_PCI, pci_vtable,
                                                     &devices[i]);
                free(path);
        }
        if (r < 0)
                return r;

        return sd_bus_add_object_vtable(bus, NULL, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, group_vtable, NULL);
}
