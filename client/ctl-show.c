/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker show */

#include <errno.h>
#include <string.h>

#include "ctl.h"

static void show_line(const char *label, const char *text) {
        if (*text)
                say(stdout, "%14s: %s\n", label, text);
}

/* The strings of an array in one line. */
static void show_words(const char *label, json_object *array) {
        size_t n = json_length(array);

        if (n == 0)
                return;

        say(stdout, "%14s:", label);
        for (size_t i = 0; i < n; i++)
                say(stdout, " %s", json_object_get_string(json_object_array_get_idx(array, i)) ?: "-");
        say(stdout, "\n");
}

static unsigned number(json_object *object, const char *key) {
        return (unsigned) json_object_get_int64(json_object_object_get(object, key));
}

static void show_function(json_object *device) {
        const char *pf = json_text(device, "physical_function");
        json_object *functions = json_object_object_get(device, "functions");

        if (*pf)
                say(stdout, "%14s: %s of %s\n", "VF", json_text(device, "virtual_function_index"), pf);
        if (json_object_object_get(device, "total"))
                say(stdout, "%14s: %s of %s\n", "VFs", json_text(device, "current"), json_text(device, "total"));
        show_words("", functions);
}

static void show_pci(json_object *device) {
        json_object *bars = json_object_object_get(device, "bars");

        if (!json_object_object_get(device, "address"))
                return;

        say(stdout, "%14s: %04x:%04x, subsystem %04x:%04x, class %06x\n", "PCI", number(device, "vendor_id"),
            number(device, "device_id"), number(device, "subsystem_vendor_id"),
            number(device, "subsystem_device_id"), number(device, "class"));
        show_function(device);

        for (size_t i = 0; i < json_length(bars); i++) {
                json_object *bar = json_object_array_get_idx(bars, i);

                say(stdout, "%14s: %s: %s bytes, flags %s\n", i == 0 ? "BARs" : "",
                    json_text(bar, "index"), json_text(bar, "size"), json_text(bar, "flags"));
        }
}

static void show_group(const Inventory *inventory, json_object *device) {
        const char *group_number = json_text(device, "group");
        json_object *group = json_object_object_get(inventory->groups, group_number), *devices;

        if (!group) {
                show_line("Group", *group_number ? group_number : "none");
                return;
        }

        devices = json_object_object_get(group, "devices");
        say(stdout, "%14s: %s, %s, %s\n", "Group", group_number,
            json_object_get_boolean(json_object_object_get(group, "viable")) ? "viable" : "not viable",
            json_text(group, "domain_type"));
        show_words("Together with", devices);
}

static void show_state(const Inventory *inventory, json_object *device) {
        json_object *blockers = json_object_object_get(device, "blockers"), *lease;

        show_line("State", json_text(device, "availability"));
        for (size_t i = 0; i < json_length(blockers); i++) {
                json_object *blocker = json_object_array_get_idx(blockers, i);

                say(stdout, "%14s: %s\n", i == 0 ? "Because" : "", json_text(blocker, "text"));
                show_line("", json_text(json_object_object_get(blocker, "data"), "fix"));
        }

        lease = json_object_object_get(inventory->leases, json_text(device, "lease"));
        if (lease)
                say(stdout, "%14s: %s, %s, uid %s, pid %s%s%s\n", "Lease", json_text(lease, "id"),
                    json_text(lease, "state"), json_text(lease, "uid"), json_text(lease, "pid"),
                    *json_text(lease, "label") ? ", " : "", json_text(lease, "label"));
}

static void show_uses(json_object *device) {
        json_object *uses = json_object_object_get(device, "host_uses");

        for (size_t i = 0; i < json_length(uses); i++)
                say(stdout, "%14s: %s\n", i == 0 ? "Host needs it" : "",
                    json_text(json_object_array_get_idx(uses, i), "text"));
}

static void show_device(const Inventory *inventory, json_object *device) {
        const char *driver = json_text(device, "driver");

        show_line("Device", json_text(device, "id"));
        show_line("Name", json_text(device, "name"));
        show_words("Also called", json_object_object_get(device, "persistent_ids"));
        show_line("In sysfs", json_text(device, "sysfs_path"));
        show_pci(device);
        say(stdout, "%14s: %s%s\n", "Driver", *driver ? driver : "none",
            json_object_get_boolean(json_object_object_get(device, "is_vfio_driver")) ? " (VFIO)" : "");
        show_line("Restored to", json_text(device, "restore_driver"));
        show_uses(device);
        show_line("Cdev", json_text(device, "cdev"));
        if (json_object_get_int(json_object_object_get(device, "numa_node")) >= 0)
                show_line("NUMA node", json_text(device, "numa_node"));
        show_words("Tainted", json_object_object_get(device, "tainted"));
        show_words("Reset by", json_object_object_get(device, "reset_methods"));
        show_words("Bus reset hits", json_object_object_get(device, "reset_scope"));
        show_group(inventory, device);
        show_state(inventory, device);
}

/* What is not told of all devices together. Whoever has gone meanwhile, or does not know it, says nothing. */
static void add_property(json_object *device, sd_bus *bus, const char *path, const char *property, const char *type,
                         const char *key) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_object *value;

        if (sd_bus_get_property(bus, VFB_BUS_NAME, path, VFB_INTERFACE_DEVICE, property, NULL, &reply, type) >= 0 &&
            json_from_bus(&value, reply) >= 0)
                json_object_object_add(device, key, json_name_structs(property, value));
}

int ctl_show(Ctl *ctl, char **args) {
        _cleanup_(freep) char *selector = join_words(args), *path = NULL, *id = NULL;
        const char *kind;
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(inventory_done) Inventory inventory = {};
        json_object *device;
        int r;

        if (!selector)
                return fail(ctl, -ENOMEM, NULL);

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = bus_manager_get(bus, "GetDevice", selector, &path, &error);
        if (r < 0)
                return fail(ctl, r, error);

        r = inventory_load(&inventory, bus, &error);
        if (r < 0)
                return fail(ctl, r, error);

        kind = kind_of_path(path, &id);
        device = kind && strcmp(kind, "device") == 0 ? json_object_object_get(inventory.devices, id) : NULL;
        if (!device) {
                (void) vfb_error_new(&error, "org.vfiobroker1.Error.DeviceGone", NULL);
                return fail(ctl, -ENODEV, error);
        }

        add_property(device, bus, path, "HostUses", "a(ss)", "host_uses");
        add_property(device, bus, path, "ResetScope", "ao", "reset_scope");
        if (ctl->json)
                print_json(ctl, device);
        else
                show_device(&inventory, device);
        return EXIT_SUCCESS;
}
