/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* IOMMU groups on the bus */

#include <string.h>
#include <systemd/sd-bus.h>

#include "broker.h"
#include "bus/append.h"
#include "bus/group-bus.h"
#include "bus/paths.h"
#include "bus/server.h"
#include "names.h"

#define REGIONS_MAX 32

static int group_find_object(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                             sd_bus_error *error) {
        return path_found(group_of_path(server_broker(userdata), path), userdata, ret_found);
}

static int group_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        const GroupList *groups = broker_groups(server_broker(userdata));
        char path[PATH_MAX_BYTES];
        const Group *group;
        Paths paths;

        paths_begin(&paths, groups->n);
        TAILQ_FOREACH(group, &groups->queue, all) {
                path_of_group(group, path);
                paths_add(&paths, path);
        }
        return paths_end(&paths, ret);
}

static int group_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Broker *broker = server_broker(userdata);
        const Group *group = group_of_path(broker, path);
        char type[64];

        if (!group)
                return -ENOENT;

        if (strcmp(property, "Number") == 0)
                return sd_bus_message_append(m, "u", group->number);
        if (strcmp(property, "Viable") == 0)
                return sd_bus_message_append(m, "b", !group_first_blocker(group));

        broker_group_type(broker, group, type, sizeof(type));
        return sd_bus_message_append(m, "s", type);
}

static int group_property_devices(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Group *group = group_of_path(server_broker(userdata), path);
        const Device *device;
        int r;

        if (!group)
                return -ENOENT;

        r = sd_bus_message_open_container(m, 'a', "o");
        TAILQ_FOREACH(device, &group->devices, siblings)
                if (r >= 0)
                        r = append_device(m, device);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int group_property_blockers(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Group *group = group_of_path(server_broker(userdata), path);
        Findings findings = {};
        int r;

        if (!group)
                return -ENOENT;

        r = broker_group_findings(group, &findings);
        if (r >= 0)
                r = append_blockers(m, &findings);
        findings_done(&findings);
        return r;
}

static int group_property_regions(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Broker *broker = server_broker(userdata);
        const Group *group = group_of_path(broker, path);
        BrokerRegion regions[REGIONS_MAX];
        int n, r;

        if (!group)
                return -ENOENT;

        n = broker_group_regions(broker, group, regions, REGIONS_MAX);
        r = sd_bus_message_open_container(m, 'a', "(tts)");
        for (int i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(m, "(tts)", regions[i].first, regions[i].last, regions[i].kind);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int group_property_leases(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Group *group = group_of_path(server_broker(userdata), path);
        char lease[PATH_MAX_BYTES];

        if (!group)
                return -ENOENT;

        if (!group->lease)
                return sd_bus_message_append(m, "ao", 0);

        path_of_lease(group->lease, lease);
        return sd_bus_message_append(m, "ao", 1, lease);
}

static const sd_bus_vtable group_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_PROPERTY("Number", "u", group_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Devices", "ao", group_property_devices, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Viable", "b", group_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Blockers", "a(ssa{sv})", group_property_blockers, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DomainType", "s", group_property, 0, 0),
        SD_BUS_PROPERTY("ReservedRegions", "a(tts)", group_property_regions, 0, 0),
        SD_BUS_PROPERTY("Leases", "ao", group_property_leases, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),

        SD_BUS_VTABLE_END
};

int group_register(Server *server) {
        int r;

        r = sd_bus_add_fallback_vtable(server_bus(server), NULL, VFB_PATH_GROUP, VFB_INTERFACE_GROUP, group_vtable,
                                       group_find_object, server);
        if (r < 0)
                return r;

        return sd_bus_add_node_enumerator(server_bus(server), NULL, VFB_PATH_GROUP, group_enumerate, server);
}

void group_emit_changed(Server *server, const Group *group) {
        char path[PATH_MAX_BYTES];

        path_of_group(group, path);
        sd_bus_emit_properties_changed(server_bus(server), path, VFB_INTERFACE_GROUP, "Devices", "Viable", "Blockers",
                                       "Leases", NULL);
}
