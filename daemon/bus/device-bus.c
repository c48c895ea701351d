/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices on the bus */

#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "broker.h"
#include "bus/append.h"
#include "bus/authorizer.h"
#include "bus/bind-bus.h"
#include "bus/details.h"
#include "bus/device-bus.h"
#include "bus/options.h"
#include "bus/paths.h"
#include "bus/pci-bus.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "errors.h"
#include "names.h"

static int device_find_object(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                              sd_bus_error *error) {
        return path_found(device_of_path(server_broker(userdata), path), userdata, ret_found);
}

/* A facet of PCI functions alone. */
static int device_find_pci(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                           sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);

        return path_found(device && device->facts.kind == DEVICE_KIND_PCI, userdata, ret_found);
}

static int device_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        const DeviceList *devices = broker_devices(server_broker(userdata));
        char path[PATH_MAX_BYTES];
        const Device *device;
        Paths paths;

        paths_begin(&paths, devices->n);
        TAILQ_FOREACH(device, &devices->queue, all) {
                path_of_device(device, path);
                paths_add(&paths, path);
        }
        return paths_end(&paths, ret);
}

static int device_quarantine(sd_bus_message *m, Server *server, const char *reason, sd_bus_error *error) {
        Sender sender;
        const Device *device;
        Ask ask = {};
        int r;

        device = device_of_path(server_broker(server), sd_bus_message_get_path(m));
        if (!device)
                return bus_refuse(error, VFB_ERROR_DEVICE_GONE, NULL);

        r = ask_about(&ask, VFB_ACTION_QUARANTINE, device_id(device), device->generation);
        if (r >= 0)
                r = details_of_device(&ask, server, device);
        if (r >= 0)
                r = authorizer_check(server_authorizer(server), m, &ask, 1, &sender, error);
        ask_done(&ask);
        if (r < 0)
                return r;
        if (r == 0)
                return 1;

        r = broker_quarantine(server_broker(server), device, reason, sender.uid);
        if (r < 0)
                return r;

        return sd_bus_reply_method_return(m, NULL);
}

static int device_method_quarantine(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *reason;
        int r;

        r = reason_read(m, &reason, error);
        if (r < 0)
                return r;
        r = flags_read_none(m, error);
        if (r < 0)
                return r;

        return device_quarantine(m, userdata, *reason ? reason : "no reason given", error);
}

static int device_method_unquarantine(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int r;

        r = flags_read_none(m, error);
        if (r < 0)
                return r;

        return device_quarantine(m, userdata, NULL, error);
}

/* One getter for all: which property it is, is a matter of data, not of control. */
static int device_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);

        if (!device)
                return -ENOENT;

        if (strcmp(property, "Id") == 0)
                return sd_bus_message_append(m, "s", device_id(device));
        if (strcmp(property, "Generation") == 0)
                return sd_bus_message_append(m, "t", device->generation);
        if (strcmp(property, "Kind") == 0)
                return sd_bus_message_append(m, "s", device_kind_name(device->facts.kind));
        if (strcmp(property, "Bindable") == 0)
                return sd_bus_message_append(m, "b", broker_is_bindable(device));
        if (strcmp(property, "Driver") == 0)
                return sd_bus_message_append(m, "s", device->facts.driver);
        if (strcmp(property, "RestoreDriver") == 0)
                return sd_bus_message_append(m, "s", broker_restore_driver(device));
        if (strcmp(property, "IsVfioDriver") == 0)
                return sd_bus_message_append(m, "b", device->facts.vfio_driver);
        if (strcmp(property, "NumaNode") == 0)
                return sd_bus_message_append(m, "i", device->facts.numa_node);
        if (strcmp(property, "Availability") == 0)
                return sd_bus_message_append(m, "s", broker_availability(device));
        if (strcmp(property, "Tainted") == 0)
                return append_words(m, broker_device_is_noiommu(device) ? "noiommu" : "");
        if (strcmp(property, "ResetMethods") == 0)
                return append_words(m, device->facts.reset_methods);
        return -EINVAL;
}

static int device_property_names(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        char vendor[256], model[256], both[520];

        if (!device)
                return -ENOENT;

        broker_device_names(server_broker(userdata), device, vendor, sizeof(vendor), model, sizeof(model));
        if (strcmp(property, "Vendor") == 0)
                return sd_bus_message_append(m, "s", vendor);
        if (strcmp(property, "Model") == 0)
                return sd_bus_message_append(m, "s", model);

        snprintf(both, sizeof(both), "%s%s%s", vendor, *vendor && *model ? " " : "", model);
        return sd_bus_message_append(m, "s", both);
}

static int device_property_syspath(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        char syspath[1024];

        if (!device)
                return -ENOENT;

        broker_device_syspath(server_broker(userdata), device, syspath, sizeof(syspath));
        return sd_bus_message_append(m, "s", syspath);
}

static int device_property_cdev(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        char cdev[128];

        if (!device)
                return -ENOENT;

        broker_device_cdev(server_broker(userdata), device, cdev, sizeof(cdev));
        return sd_bus_message_append(m, "s", cdev);
}

static int device_property_persistent_ids(sd_bus *bus, const char *path, const char *interface, const char *property,
                                          sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        BrokerName names[BROKER_NAMES_MAX];
        unsigned n;
        int r;

        if (!device)
                return -ENOENT;

        n = broker_persistent_ids(server_broker(userdata), device, names);
        r = sd_bus_message_open_container(m, 'a', "s");
        for (unsigned i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(m, "s", names[i].text);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int device_property_group(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        char group[PATH_MAX_BYTES];

        if (!device)
                return -ENOENT;

        path_of_group(device->group, group);
        return sd_bus_message_append(m, "o", group);
}

static int device_property_lease(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        char lease[PATH_MAX_BYTES];

        if (!device)
                return -ENOENT;

        path_of_lease(device->group ? device->group->lease : NULL, lease);
        return sd_bus_message_append(m, "o", lease);
}

static int device_property_blockers(sd_bus *bus, const char *path, const char *interface, const char *property,
                                    sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        Findings findings = {};
        int r;

        if (!device)
                return -ENOENT;

        r = broker_device_findings(device, &findings);
        if (r >= 0)
                r = append_blockers(m, &findings);
        findings_done(&findings);
        return r;
}

static int device_property_reset_scope(sd_bus *bus, const char *path, const char *interface, const char *property,
                                       sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        const Device *scope[BROKER_SCOPE_MAX];
        unsigned n;
        int r;

        if (!device)
                return -ENOENT;

        broker_device_reset_scope(server_broker(userdata), device, scope, &n);
        r = sd_bus_message_open_container(m, 'a', "o");
        for (unsigned i = 0; r >= 0 && i < n; i++)
                r = append_device(m, scope[i]);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

/* Two are for who asks for them by name, and not in what is told of all devices, or of each that comes: for one of them
 * much of /sys and /proc is read, and the other names all that is on the same bus. */
static const sd_bus_vtable device_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("Quarantine",
                                SD_BUS_ARGS("s", reason, "t", flags),
                                SD_BUS_NO_RESULT,
                                device_method_quarantine,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Unquarantine",
                                SD_BUS_ARGS("t", flags),
                                SD_BUS_NO_RESULT,
                                device_method_unquarantine,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Bind",
                                SD_BUS_ARGS("s", driver, "a{sv}", options, "t", flags),
                                SD_BUS_NO_RESULT,
                                device_method_bind,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Restore",
                                SD_BUS_ARGS("t", flags),
                                SD_BUS_NO_RESULT,
                                device_method_restore,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_PROPERTY("Id", "s", device_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Generation", "t", device_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Kind", "s", device_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Bindable", "b", device_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Name", "s", device_property_names, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("PersistentIds", "as", device_property_persistent_ids, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("SysfsPath", "s", device_property_syspath, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Vendor", "s", device_property_names, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Model", "s", device_property_names, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Driver", "s", device_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("RestoreDriver", "s", device_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("IsVfioDriver", "b", device_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Cdev", "s", device_property_cdev, 0, 0),
        SD_BUS_PROPERTY("Group", "o", device_property_group, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Tainted", "as", device_property, 0, 0),
        SD_BUS_PROPERTY("NumaNode", "i", device_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Availability", "s", device_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Blockers", "a(ssa{sv})", device_property_blockers, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("HostUses", "a(ss)", device_property_host_uses, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
        SD_BUS_PROPERTY("Lease", "o", device_property_lease, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ResetMethods", "as", device_property, 0, 0),
        SD_BUS_PROPERTY("ResetScope", "ao", device_property_reset_scope, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),

        SD_BUS_VTABLE_END
};

int device_register(Server *server) {
        sd_bus *bus = server_bus(server);
        int r;

        r = sd_bus_add_fallback_vtable(bus, NULL, VFB_PATH_DEVICE, VFB_INTERFACE_DEVICE, device_vtable,
                                       device_find_object, server);
        if (r < 0)
                return r;
        r = sd_bus_add_fallback_vtable(bus, NULL, VFB_PATH_DEVICE, VFB_INTERFACE_PCI, pci_vtable, device_find_pci,
                                       server);
        if (r < 0)
                return r;

        return sd_bus_add_node_enumerator(bus, NULL, VFB_PATH_DEVICE, device_enumerate, server);
}

void device_emit_changed(Server *server, const Device *device) {
        char path[PATH_MAX_BYTES];

        path_of_device(device, path);
        sd_bus_emit_properties_changed(server_bus(server), path, VFB_INTERFACE_DEVICE, "Driver", "IsVfioDriver",
                                       "Group", "PersistentIds", NULL);
}

void device_emit_standing(Server *server, const Device *device) {
        char path[PATH_MAX_BYTES];

        path_of_device(device, path);
        sd_bus_emit_properties_changed(server_bus(server), path, VFB_INTERFACE_DEVICE, "Availability", "Blockers",
                                       "Lease", "RestoreDriver", NULL);
}
