/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker bind, restore */

#include <errno.h>
#include <string.h>

#include "ctl.h"

static int append_option(sd_bus_message *m, const char *key, const char *value) {
        return value ? sd_bus_message_append(m, "{sv}", key, "s", value) : 0;
}

static int append_options(sd_bus_message *m, const Ctl *ctl) {
        int r;

        r = sd_bus_message_append(m, "s", ctl->driver ?: "");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_option(m, "companions", ctl->companions);
        if (r >= 0)
                r = append_option(m, "on-host-use", ctl->on_host_use);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int call(const Ctl *ctl, sd_bus *bus, const char *path, const char *method, bool options,
                vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, path, VFB_INTERFACE_DEVICE, method);
        if (r < 0)
                return r;

        r = sd_bus_message_set_allow_interactive_authorization(m, ctl->interactive);
        if (r >= 0 && options)
                r = append_options(m, ctl);
        if (r >= 0)
                r = sd_bus_message_append(m, "t", UINT64_C(0));
        if (r < 0)
                return r;

        return bus_call(bus, m, INTERACTIVE_TIMEOUT_USEC, "", &reply, ret_error);
}

/* That @key is another than before, as members @from and @to. */
static void add_change(json_object *change, const char *from, const char *to, const char *key, json_object *was,
                       json_object *now) {
        if (strcmp(json_text(was, key), json_text(now, key)) == 0)
                return;

        json_object_object_add(change, from, json_object_get(json_object_object_get(was, key)));
        json_object_object_add(change, to, json_object_get(json_object_object_get(now, key)));
}

/* What is other than before in @device's group: drivers, "" for none, and how many virtual functions there are. */
static void add_changes(json_object *changes, json_object *device, json_object *before, json_object *after) {
        const char *group = json_text(device, "group");

        json_object_object_foreach(after, id, now) {
                json_object *was = json_object_object_get(before, id), *change;

                if (!was || strcmp(json_text(now, "group"), group) != 0)
                        continue;
                change = json_object_new_object();
                json_object_object_add(change, "device", json_object_new_string(id));
                add_change(change, "from", "to", "driver", was, now);
                add_change(change, "vfs_from", "vfs_to", "current", was, now);
                if (json_object_object_length(change) > 1)
                        json_object_array_add(changes, change);
                else
                        json_object_put(change);
        }
}

static const char *driver_text(json_object *object, const char *key) {
        const char *driver = json_text(object, key);

        return *driver ? driver : "no driver";
}

static void tell_change(json_object *change) {
        const char *id = json_text(change, "device");

        if (json_object_object_get(change, "from"))
                say(stdout, "%s: from %s to %s\n", id, driver_text(change, "from"), driver_text(change, "to"));
        if (json_object_object_get(change, "vfs_from"))
                say(stdout, "%s: %s virtual functions, %s before\n", id, json_text(change, "vfs_to"),
                    json_text(change, "vfs_from"));
}

/* Those from @first on */
static void tell_changes(json_object *changes, size_t first, const char *id, json_object *device) {
        for (size_t i = first; i < json_length(changes); i++)
                tell_change(json_object_array_get_idx(changes, i));
        if (json_length(changes) == first)
                say(stdout, "%s: on %s, as before\n", id, driver_text(device, "driver"));
}

/* It went along with one that was named before it. */
static bool has_changed(json_object *changes, const char *id) {
        for (size_t i = 0; i < json_length(changes); i++)
                if (strcmp(json_text(json_object_array_get_idx(changes, i), "device"), id) == 0)
                        return true;
        return false;
}

/* One device, and what goes along with it, which is added to @changes, and told. */
static int change_one(const Ctl *ctl, sd_bus *bus, const char *selector, const char *method, bool options,
                      json_object *changes, vfb_error **ret_error) {
        _cleanup_(inventory_done) Inventory before = {}, after = {};
        _cleanup_(freep) char *path = NULL, *id = NULL;
        size_t n = json_length(changes);
        json_object *device;
        int r;

        r = bus_manager_get(bus, "GetDevice", selector, &path, ret_error);
        if (r >= 0 && !kind_of_path(path, &id))
                r = -EBADMSG;
        if (r >= 0 && has_changed(changes, id))
                return 0;
        if (r >= 0)
                r = inventory_load(&before, bus, ret_error);
        if (r >= 0)
                r = call(ctl, bus, path, method, options, ret_error);
        if (r >= 0)
                r = inventory_load(&after, bus, ret_error);
        if (r < 0)
                return r;

        device = json_object_object_get(after.devices, id);
        add_changes(changes, device, before.devices, after.devices);
        if (!ctl->json)
                tell_changes(changes, n, id, device);
        return 0;
}

/* An exit status. A slip is noticed before anything has changed; what has gone, or been taken, is each device's own. */
static int check_selectors(const Ctl *ctl, sd_bus *bus, char **args) {
        for (; *args; args++) {
                _cleanup_(vfb_error_freep) vfb_error *error = NULL;
                _cleanup_(freep) char *path = NULL;

                if (bus_manager_get(bus, "GetDevice", *args, &path, &error) < 0 && error &&
                    vfb_error_exit_code(error) == EXIT_USAGE)
                        return fail(ctl, -EINVAL, error);
        }
        return EXIT_SUCCESS;
}

/* Each by itself, and on after one that fails. The exit status is the first failure's. */
static int call_for_each(Ctl *ctl, char **args, const char *method, bool options) {
        _cleanup_(json_putp) json_object *changes = json_object_new_array();
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(agent_close) pid_t agent = 0;
        int r, status = EXIT_SUCCESS;

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = check_selectors(ctl, bus, args);
        if (r != EXIT_SUCCESS)
                return r;

        agent = agent_open(ctl);
        for (; *args; args++) {
                _cleanup_(vfb_error_freep) vfb_error *error = NULL;

                remind_begin("waiting for authorization and for the drivers");
                r = change_one(ctl, bus, *args, method, options, changes, &error);
                remind_end();
                if (r >= 0)
                        continue;

                r = fail(ctl, r, error);
                status = status == EXIT_SUCCESS ? r : status;
        }

        if (ctl->json && (status == EXIT_SUCCESS || json_length(changes) > 0))
                print_json(ctl, changes);
        return status;
}

int ctl_bind(Ctl *ctl, char **args) {
        return call_for_each(ctl, args, "Bind", /* options= */ true);
}

int ctl_restore(Ctl *ctl, char **args) {
        return call_for_each(ctl, args, "Restore", /* options= */ false);
}
