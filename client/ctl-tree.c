/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker tree */

#include <errno.h>
#include <string.h>

#include "ctl.h"

/* The nearest device above @device: the one whose path in sysfs is the longest that leads to it. */
static json_object *find_parent(json_object **devices, json_object *device) {
        const char *path = json_text(device, "sysfs_path");
        json_object *parent = NULL;
        size_t longest = 0;

        for (size_t i = 0; devices[i]; i++) {
                const char *candidate = json_text(devices[i], "sysfs_path");
                size_t n = strlen(candidate);

                if (n > longest && strncmp(path, candidate, n) == 0 && path[n] == '/') {
                        parent = devices[i];
                        longest = n;
                }
        }

        return parent;
}

/* The folder that the device is in: "pci0000:00" for those at the root. Own string. */
static char *folder_name(json_object *device) {
        _cleanup_(freep) char *path = strdup(json_text(device, "sysfs_path"));
        char *slash;

        if (!path)
                return NULL;

        slash = strrchr(path, '/');
        if (slash)
                *slash = '\0';
        slash = strrchr(path, '/');
        return strdup(slash ? slash + 1 : path);
}

static int add_device(struct libscols_table *table,
                      const Inventory *inventory,
                      json_object *device,
                      struct libscols_line *parent,
                      struct libscols_line **ret) {
        const char *number = json_text(device, "group"), *driver = json_text(device, "driver");
        json_object *group = json_object_object_get(inventory->groups, number);
        json_object *viable = json_object_object_get(group, "viable");
        const char *yes_or_no = json_object_get_boolean(viable) ? "yes" : "no";
        int r;

        const char *values[] = {
                json_text(device, "id"),
                *number ? number : "-",
                viable ? yes_or_no : "-",
                *driver ? driver : "-",
                json_text(device, "availability"),
                json_text(device, "name"),
        };
        r = table_add(table, parent, values, ret);
        if (r < 0)
                return r;

        table_color_state(*ret, 4);
        return 0;
}

/* A device, and all that is below it. */
static int add_branch(struct libscols_table *table,
                      const Inventory *inventory,
                      json_object **devices,
                      json_object *device,
                      struct libscols_line *parent) {
        struct libscols_line *line;
        int r;

        r = add_device(table, inventory, device, parent, &line);
        for (size_t i = 0; r >= 0 && devices[i]; i++)
                if (find_parent(devices, devices[i]) == device)
                        r = add_branch(table, inventory, devices, devices[i], line);
        return r;
}

/* Devices below nothing but a host bridge, one line for each bridge. */
static int add_roots(struct libscols_table *table, const Inventory *inventory, json_object **devices) {
        _cleanup_(freep) char *current = NULL;
        struct libscols_line *root = NULL;
        int r;

        for (size_t i = 0; devices[i]; i++) {
                char *folder;

                if (find_parent(devices, devices[i]))
                        continue;

                folder = folder_name(devices[i]);
                if (!folder)
                        return -ENOMEM;
                if (current && strcmp(current, folder) == 0) {
                        free(folder);
                } else {
                        free(current);
                        current = folder;
                        r = table_add(table, NULL, (const char *[]){ current, "", "", "", "", "" }, &root);
                        if (r < 0)
                                return r;
                }

                r = add_branch(table, inventory, devices, devices[i], root);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int print_tree(const Ctl *ctl, const Inventory *inventory, json_object **devices) {
        static const char *const columns[] = { "DEVICE", ">GROUP", "VIABLE", "DRIVER", "STATE", "NAME", NULL };
        _cleanup_(table_unrefp) struct libscols_table *table = NULL;
        int r;

        r = table_new(&table, ctl, /* tree= */ true, columns);
        if (r < 0)
                return r;

        r = add_roots(table, inventory, devices);
        if (r < 0)
                return r;

        return scols_print_table(table);
}

static void print_tree_json(const Ctl *ctl, json_object **groups, json_object **devices) {
        _cleanup_(json_putp) json_object *all = json_object_new_object();
        json_object *group_rows = json_object_new_array(), *device_rows = json_object_new_array();

        for (size_t i = 0; groups[i]; i++)
                json_object_array_add(group_rows, json_object_get(groups[i]));

        for (size_t i = 0; devices[i]; i++) {
                json_object *parent = find_parent(devices, devices[i]);

                json_object_object_add(devices[i], "parent",
                                       parent ? json_object_new_string(json_text(parent, "id")) : NULL);
                json_object_array_add(device_rows, json_object_get(devices[i]));
        }

        json_object_object_add(all, "groups", group_rows);
        json_object_object_add(all, "devices", device_rows);
        print_json(ctl, all);
}

int ctl_tree(Ctl *ctl, char **args) {
        _cleanup_(freep) json_object **devices = NULL, **groups = NULL;
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(inventory_done) Inventory inventory = {};
        int r;

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = inventory_load(&inventory, bus, &error);
        if (r < 0)
                return fail(ctl, r, error);

        devices = objects_sorted(inventory.devices);
        groups = objects_sorted(inventory.groups);
        if (!devices || !groups)
                return fail(ctl, -ENOMEM, NULL);

        if (ctl->json)
                print_tree_json(ctl, groups, devices);
        else
                r = print_tree(ctl, &inventory, devices);
        return r < 0 ? fail(ctl, r, NULL) : EXIT_SUCCESS;
}
