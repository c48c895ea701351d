/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker list */

#include <errno.h>
#include <string.h>

#include "ctl.h"

typedef struct List {
        json_object *facts; /* of all devices, by id */
        json_object *rows;  /* the devices that match */
} List;

static void list_add(const vfb_device_info *info, void *userdata) {
        List *list = userdata;
        json_object *facts = json_object_object_get(list->facts, info->id);
        json_object *row = facts ? json_object_get(facts) : json_object_new_object();

        /* What was asked for last wins: the device may have changed between the two calls. */
        json_object_object_add(row, "id", json_object_new_string(info->id));
        json_object_object_add(row, "driver", json_object_new_string(info->driver));
        json_object_object_add(row, "availability", json_object_new_string(info->availability));
        json_object_object_add(row, "why", json_object_new_string(info->why));
        json_object_array_add(list->rows, row);
}

static int compare_rows(const void *a, const void *b) {
        return strcmp(json_text(*(json_object *const *) a, "id"), json_text(*(json_object *const *) b, "id"));
}

/* Its name, or its numbers where the hardware database does not know them. */
static void name(json_object *row, char *ret, size_t size) {
        const char *known = json_text(row, "name");

        if (*known || !json_object_object_get(row, "vendor_id"))
                snprintf(ret, size, "%s", known);
        else
                snprintf(ret, size, "device %04x:%04x", json_object_get_int(json_object_object_get(row, "vendor_id")),
                         json_object_get_int(json_object_object_get(row, "device_id")));
}

/* Who has the device; else why it is not to be had where driver and state do not tell that, or its name. Own string. */
static char *note(json_object *row, json_object *leases) {
        json_object *lease = json_object_object_get(leases, json_text(row, "lease"));
        const char *why = json_text(row, "why"), *label = json_text(lease, "label");
        const char *pf = json_text(row, "physical_function"), *index = json_text(row, "virtual_function_index");
        char *text, what[256];

        name(row, what, sizeof(what));
        if (*why && (strcmp(json_text(row, "availability"), "host") != 0 || !*what))
                snprintf(what, sizeof(what), "%s", why);
        if (!lease && asprintf(&text, *pf ? "VF %s of %s, %s" : "%s%s%s", *pf ? index : "", pf, what) < 0)
                return NULL;
        if (!lease)
                return text;
        if (asprintf(&text, *label ? "%s, uid %s, \"%s\"" : "%s, uid %s%s", json_text(lease, "id"),
                     json_text(lease, "uid"), label) < 0)
                return NULL;

        return text;
}

static const char *or_dash(const char *text) {
        return *text ? text : "-";
}

static int print_rows(const Ctl *ctl, json_object *rows, json_object *leases) {
        static const char *const columns[] = { "DEVICE", "DRIVER", ">GROUP", ">NUMA", "STATE", "NOTE", NULL };
        _cleanup_(table_unrefp) struct libscols_table *table = NULL;
        int r;

        r = table_new(&table, ctl, /* tree= */ false, columns);
        if (r < 0)
                return r;

        for (size_t i = 0; i < json_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);
                _cleanup_(freep) char *text = note(row, leases);
                const char *numa = json_text(row, "numa_node");
                struct libscols_line *line;

                const char *values[] = {
                        json_text(row, "id"),
                        or_dash(json_text(row, "driver")),
                        or_dash(json_text(row, "group")),
                        *numa == '-' ? "-" : or_dash(numa),
                        json_text(row, "availability"),
                        text,
                };
                r = table_add(table, NULL, values, &line);
                if (r < 0)
                        return r;
                table_color_state(line, 4);
        }

        return table_print(table, "No device matches; vfio-broker list shows what there is.");
}

int ctl_list(Ctl *ctl, char **args) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(inventory_done) Inventory inventory = {};
        _cleanup_(json_putp) json_object *rows = NULL;
        _cleanup_(vfb_freep) vfb *connection = NULL;
        _cleanup_(freep) char *selector = NULL;
        int r;

        if (*args) {
                selector = join_words(args);
                if (!selector)
                        return fail(ctl, -ENOMEM, NULL);
        }

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = inventory_load(&inventory, bus, &error);
        if (r < 0)
                return fail(ctl, r, error);

        r = vfb_open(&connection, NULL, NULL, &error);
        if (r < 0)
                return fail(ctl, r, error);

        rows = json_object_new_array();
        r = vfb_list_devices(connection, selector, list_add, &(List){ inventory.devices, rows }, &error);
        if (r < 0)
                return fail(ctl, r, error);

        /* The service has them in the order of their appearance. */
        json_object_array_sort(rows, compare_rows);
        if (ctl->json)
                print_json(ctl, rows);
        else
                r = print_rows(ctl, rows, inventory.leases);
        return r < 0 ? fail(ctl, r, NULL) : EXIT_SUCCESS;
}
