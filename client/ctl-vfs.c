/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker vfs */

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "ctl.h"
#include "errors.h"

static int parse_count(const Ctl *ctl, const char *text, uint32_t *ret) {
        unsigned long value = strtoul(text, NULL, 10);

        if (!*text || strlen(text) > 9 || text[strspn(text, "0123456789")])
                return fail_usage(ctl, "%s: no number of virtual functions", text);

        *ret = (uint32_t) value;
        return 0;
}

/* -1: as it is set. */
static int parse_driver(const Ctl *ctl, int *ret) {
        const char *text = ctl->driver;

        *ret = -1;
        if (!text)
                return 0;
        if (strcmp(text, "none") != 0 && strcmp(text, "host") != 0)
                return fail_usage(ctl, "--driver=%s: none or host", text);

        *ret = strcmp(text, "host") == 0;
        return 0;
}

static int call(const Ctl *ctl, sd_bus *bus, const char *path, uint32_t count, int autoprobe, json_object **ret,
                vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, path, VFB_INTERFACE_SRIOV, "SetVirtualFunctions");
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, ctl->interactive);
        if (r >= 0)
                r = sd_bus_message_append(m, "u", count);
        if (r >= 0)
                r = autoprobe < 0 ? sd_bus_message_append(m, "a{sv}", 0)
                                  : sd_bus_message_append(m, "a{sv}", 1, "autoprobe", "b", autoprobe);
        if (r >= 0)
                r = sd_bus_message_append(m, "t", UINT64_C(0));
        if (r < 0)
                return r;

        r = bus_call(bus, m, INTERACTIVE_TIMEOUT_USEC, "ao", &reply, ret_error);
        return r < 0 ? r : json_from_bus(ret, reply);
}

/* What can have none has no such method. */
static void explain_no_pf(vfb_error **error, const char *id) {
        const char *name = *error ? vfb_error_name(*error) : "";
        char text[256];

        if (strcmp(name, SD_BUS_ERROR_UNKNOWN_METHOD) != 0 && strcmp(name, SD_BUS_ERROR_UNKNOWN_INTERFACE) != 0)
                return;

        *error = vfb_error_free(*error);
        snprintf(text, sizeof(text),
                 "%s can have no virtual functions; vfio-broker show says of a device that can how many: VFs", id);
        (void) vfb_error_new(error, vfb_error_info(VFB_ERROR_VF_COUNT)->name, text);
}

/* With the drivers that have them: those that were there before keep theirs. */
static void print_functions(const char *id, json_object *functions, json_object *devices, bool without) {
        bool had = false;

        if (json_length(functions) == 0)
                say(stdout, "%s has no virtual functions\n", id);
        for (size_t i = 0; i < json_length(functions); i++) {
                const char *function = json_object_get_string(json_object_array_get_idx(functions, i));
                json_object *device = json_object_object_get(devices, function);
                const char *driver = json_text(device, "driver");

                say(stdout, "%s  VF %zu of %s, on %s\n", function, i, id, *driver ? driver : "no driver");
                had |= *driver && !json_object_get_boolean(json_object_object_get(device, "is_vfio_driver"));
        }
        if (had && without)
                say(stderr,
                    "vfio-broker: drivers have had them before, and keep them; for others: vfio-broker vfs %s 0, "
                    "and this again\n",
                    id);
}

static int set_functions(Ctl *ctl, const char *selector, uint32_t count, int autoprobe) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(json_putp) json_object *functions = NULL;
        _cleanup_(inventory_done) Inventory inventory = {};
        _cleanup_(freep) char *path = NULL, *id = NULL;
        _cleanup_(agent_close) pid_t agent = 0;
        int r;

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        agent = agent_open(ctl);
        r = bus_manager_get(bus, "GetDevice", selector, &path, &error);
        if (r < 0)
                return fail(ctl, r, error);
        if (!kind_of_path(path, &id))
                return fail(ctl, -EBADMSG, NULL);

        remind_begin("waiting for authorization and for the virtual functions");
        r = call(ctl, bus, path, count, autoprobe, &functions, &error);
        remind_end();
        if (r < 0)
                explain_no_pf(&error, id);
        else if (!ctl->json)
                r = inventory_load(&inventory, bus, &error);
        if (r < 0)
                return fail(ctl, r, error);

        if (ctl->json) {
                _cleanup_(json_putp) json_object *object = json_object_new_object();

                json_object_object_add(object, "device", json_object_new_string(id));
                json_object_object_add(object, "functions", json_object_get(functions));
                print_json(ctl, object);
        } else {
                print_functions(id, functions, inventory.devices, autoprobe == 0);
        }
        return EXIT_SUCCESS;
}

int ctl_vfs(Ctl *ctl, char **args) {
        int autoprobe = -1, r;
        uint32_t count = 0;

        r = parse_count(ctl, args[1], &count);
        if (r == 0)
                r = parse_driver(ctl, &autoprobe);
        return r != 0 ? r : set_functions(ctl, args[0], count, autoprobe);
}
