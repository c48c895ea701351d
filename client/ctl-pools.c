/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker pools */

#include <errno.h>

#include "ctl.h"

static int get_pools(sd_bus *bus, json_object **ret, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, VFB_PATH, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", VFB_INTERFACE_MANAGER, "Pools");
        if (r >= 0)
                r = bus_call(bus, m, /* timeout_usec= */ 0, "v", &reply, ret_error);
        return r < 0 ? r : json_from_bus(ret, reply);
}

/* Arrays become objects. */
static json_object *name_members(json_object *rows) {
        static const char *const members[] = { "name", "selectors", "description", "available" };
        json_object *pools = json_object_new_array();

        for (size_t i = 0; i < json_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i), *pool = json_object_new_object();

                for (size_t j = 0; j < sizeof(members) / sizeof(*members) && j < json_length(row); j++)
                        json_object_object_add(pool, members[j], json_object_get(json_object_array_get_idx(row, j)));
                json_object_array_add(pools, pool);
        }

        return pools;
}

static int print_pools(const Ctl *ctl, json_object *pools) {
        static const char *const columns[] = { "POOL", ">FREE", "DEVICES", "DESCRIPTION", NULL };
        _cleanup_(table_unrefp) struct libscols_table *table = NULL;
        int r;

        r = table_new(&table, ctl, /* tree= */ false, columns);
        for (size_t i = 0; r >= 0 && i < json_length(pools); i++) {
                json_object *pool = json_object_array_get_idx(pools, i);
                json_object *selectors = json_object_object_get(pool, "selectors");
                struct libscols_line *line;
                char text[512] = "";
                size_t n = 0;

                for (size_t j = 0; j < json_length(selectors) && n < sizeof(text); j++)
                        n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s", j > 0 ? "; " : "",
                                               json_object_get_string(json_object_array_get_idx(selectors, j)) ?: "");
                r = table_add(table, NULL,
                              (const char *[]){ json_text(pool, "name"), json_text(pool, "available"), text,
                                                json_text(pool, "description") },
                              &line);
        }

        return r < 0 ? r : table_print(table, "There are no pools; see vfio-broker.pool(5).");
}

int ctl_pools(Ctl *ctl, char **args) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(json_putp) json_object *rows = NULL, *pools = NULL;
        int r;

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = get_pools(bus, &rows, &error);
        if (r < 0)
                return fail(ctl, r, error);

        pools = name_members(rows);
        if (ctl->json)
                print_json(ctl, pools);
        else
                r = print_pools(ctl, pools);
        return r < 0 ? fail(ctl, r, NULL) : EXIT_SUCCESS;
}
