/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker leases */

#include <errno.h>
#include <pwd.h>
#include <string.h>

#include "ctl-time.h"
#include "ctl.h"

/* "anna", or the number if it has no name. Own string. */
static char *user_name(json_object *lease) {
        json_object *uid = json_object_object_get(lease, "uid");
        const struct passwd *entry = getpwuid((uid_t) json_object_get_int64(uid));

        return strdup(entry ? entry->pw_name : json_text(lease, "uid"));
}

static char *since(json_object *lease) {
        char text[TIME_TEXT_MAX];

        time_format_date(json_object_get_uint64(json_object_object_get(lease, "created_usec")), text);
        return strdup(text);
}

/* What is left of its time, "-" if it has no end. */
static void time_left(json_object *lease, char ret[TIME_TEXT_MAX]) {
        uint64_t expires = json_object_get_uint64(json_object_object_get(lease, "expires_usec")), now = time_now_usec();

        if (expires == 0)
                strcpy(ret, "-");
        else
                time_format_span(expires > now ? expires - now : 0, ret);
}

static char *device_ids(json_object *lease) {
        json_object *devices = json_object_object_get(lease, "devices");
        size_t n = json_length(devices);
        _cleanup_(freep) char **ids = calloc(n + 1, sizeof(*ids));

        for (size_t i = 0; ids && i < n; i++)
                ids[i] = (char *) (json_object_get_string(json_object_array_get_idx(devices, i)) ?: "");

        return ids ? join_words(ids) : NULL;
}

static int add_lease(struct libscols_table *table, const Ctl *ctl, json_object *lease) {
        _cleanup_(freep) char *user = user_name(lease), *created = since(lease), *devices = device_ids(lease),
                             *holders = ctl->verbose ? holders_text(lease) : strdup("");
        struct libscols_line *line;
        char left[TIME_TEXT_MAX];
        int r;

        time_left(lease, left);
        if (!user || !created || !devices || !holders)
                return -ENOMEM;

        const char *values[] = {
                json_text(lease, "id"),
                user,
                json_text(lease, "state"),
                created,
                left,
                devices,
                json_text(lease, "label"),
                holders,
        };
        r = table_add(table, NULL, values, &line);
        if (r < 0)
                return r;

        table_color_state(line, 2);
        return 0;
}

static int print_leases(const Ctl *ctl, json_object **leases) {
        static const char *const few[] = { "LEASE", "USER", "STATE", "SINCE", "LEFT", "DEVICES", "LABEL", NULL };
        static const char *const all[] = { "LEASE", "USER", "STATE", "SINCE", "LEFT",
                                                 "DEVICES", "LABEL", "HOLDERS", NULL };
        _cleanup_(table_unrefp) struct libscols_table *table = NULL;
        int r;

        r = table_new(&table, ctl, /* tree= */ false, ctl->verbose ? all : few);
        for (size_t i = 0; r >= 0 && leases[i]; i++)
                r = add_lease(table, ctl, leases[i]);
        if (r < 0)
                return r;

        return table_print(table, "There are no leases.");
}

static void print_leases_json(const Ctl *ctl, json_object **leases) {
        _cleanup_(json_putp) json_object *all = json_object_new_array();

        for (size_t i = 0; leases[i]; i++)
                json_object_array_add(all, json_object_get(leases[i]));
        print_json(ctl, all);
}

int ctl_leases(Ctl *ctl, char **args) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(inventory_done) Inventory inventory = {};
        _cleanup_(agent_close) pid_t agent = 0;
        _cleanup_(freep) json_object **leases = NULL;
        int r;

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = inventory_load(&inventory, bus, &error);
        if (r < 0)
                return fail(ctl, r, error);

        leases = objects_sorted(inventory.leases);
        if (!leases)
                return fail(ctl, -ENOMEM, NULL);

        if (ctl->verbose)
                agent = agent_open(ctl);
        for (size_t i = 0; ctl->verbose && r >= 0 && leases[i]; i++)
                r = holders_load(ctl, bus, leases[i]);
        if (r < 0)
                return fail(ctl, r, NULL);

        if (ctl->json)
                print_leases_json(ctl, leases);
        else
                r = print_leases(ctl, leases);
        return r < 0 ? fail(ctl, r, NULL) : EXIT_SUCCESS;
}
