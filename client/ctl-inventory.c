/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Everything there is, in one call */

#include <errno.h>
#include <string.h>

#include "array.h"
#include "ctl.h"

static bool is_ours(const char *interface) {
        return strncmp(interface, VFB_BUS_NAME ".", strlen(VFB_BUS_NAME ".")) == 0;
}

/* An entry of "a{sa{sv}}": the properties of one interface of an object. */
static int read_interface(sd_bus_message *m, void *userdata) {
        json_object *object = userdata;
        const char *interface;
        int r;

        r = sd_bus_message_read(m, "s", &interface);
        if (r < 0)
                return r;

        return is_ours(interface) ? json_add_properties(object, m) : sd_bus_message_skip(m, "a{sv}");
}

/* Where the object at @path belongs, and its id there. NULL if it is of no kind we know. */
static json_object *find_home(const Inventory *inventory, const char *path, char **ret_id) {
        const char *kind = kind_of_path(path, ret_id);

        if (!kind)
                return NULL;
        if (strcmp(kind, "device") == 0)
                return inventory->devices;
        if (strcmp(kind, "group") == 0)
                return inventory->groups;

        return inventory->leases;
}

static int read_object(sd_bus_message *m, void *userdata) {
        _cleanup_(json_putp) json_object *object = json_object_new_object();
        _cleanup_(freep) char *id = NULL;
        const Inventory *inventory = userdata;
        json_object *home;
        const char *path;
        int r;

        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = array_read(m, "{sa{sv}}", read_interface, object);
        if (r < 0)
                return r;

        home = find_home(inventory, path, &id);
        if (home)
                json_object_object_add(home, id, TAKE_PTR(object));
        return 0;
}

int inventory_load(Inventory *ret, sd_bus *bus, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(inventory_done) Inventory inventory = {
                .devices = json_object_new_object(),
                .groups = json_object_new_object(),
                .leases = json_object_new_object(),
        };
        int r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, VFB_PATH,
                                           "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        if (r < 0)
                return r;

        r = bus_call(bus, m, /* timeout_usec= */ 0, "a{oa{sa{sv}}}", &reply, ret_error);
        if (r < 0)
                return r;

        r = array_read(reply, "{oa{sa{sv}}}", read_object, &inventory);
        if (r < 0)
                return r;

        *ret = inventory;
        inventory = (Inventory){};
        return 0;
}

void inventory_done(Inventory *inventory) {
        json_object_put(inventory->devices);
        json_object_put(inventory->groups);
        json_object_put(inventory->leases);
}

typedef struct Entry {
        const char *key;
        json_object *object;
} Entry;

/* Groups by number, and addresses too: strverscmp() would take "0a" for a number with a leading zero. */
static int compare_entries(const void *a, const void *b) {
        const Entry *x = a, *y = b;
        char *x_end, *y_end;
        long x_number = strtol(x->key, &x_end, 10), y_number = strtol(y->key, &y_end, 10);

        if (*x_end == '\0' && *y_end == '\0' && x_number != y_number)
                return x_number < y_number ? -1 : 1;

        return strcmp(x->key, y->key);
}

json_object **objects_sorted(json_object *objects) {
        size_t n = (size_t) json_object_object_length(objects), i = 0;
        _cleanup_(freep) Entry *entries = calloc(n + 1, sizeof(*entries));
        json_object **sorted = calloc(n + 1, sizeof(*sorted));

        if (!entries || !sorted) {
                free(sorted);
                return NULL;
        }

        json_object_object_foreach(objects, key, object)
                entries[i++] = (Entry){ key, object };

        qsort(entries, n, sizeof(*entries), compare_entries);
        for (i = 0; i < n; i++)
                sorted[i] = entries[i].object;

        return sorted;
}
