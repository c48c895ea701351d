/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who has something of a lease: for vfio-broker leases --verbose */

#include <errno.h>
#include <string.h>

#include "ctl.h"

static int read_holders(sd_bus_message *m, json_object *holders) {
        const char *name;
        uint32_t pid;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "(us)");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read(m, "(us)", &pid, &name)) > 0) {
                json_object *holder = json_object_new_object();

                json_object_object_add(holder, "pid", json_object_new_int64(pid));
                json_object_object_add(holder, "name", json_object_new_string(name));
                json_object_array_add(holders, holder);
        }

        return r;
}

static int list_holders(const Ctl *ctl, sd_bus *bus, const char *id, json_object *holders, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        r = sd_bus_path_encode(VFB_PATH_LEASE, id, &path);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, path, VFB_INTERFACE_LEASE, "ListHolders");
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, ctl->interactive);
        if (r >= 0)
                r = sd_bus_message_append(m, "t", UINT64_C(0));
        if (r < 0)
                return r;

        r = bus_call(bus, m, INTERACTIVE_TIMEOUT_USEC, "a(us)", &reply, ret_error);
        return r < 0 ? r : read_holders(reply, holders);
}

/* Whoever may see one lease's may not see another's: a refusal leaves "null", and the others are asked for. One that
 * has ended meanwhile is none. */
int holders_load(const Ctl *ctl, sd_bus *bus, json_object *lease) {
        _cleanup_(json_putp) json_object *holders = json_object_new_array();
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        int r;

        if (!holders)
                return -ENOMEM;

        r = list_holders(ctl, bus, json_text(lease, "id"), holders, &error);
        json_object_object_add(lease, "holders", r < 0 ? NULL : TAKE_PTR(holders));
        return r < 0 && !error ? r : 0;
}

char *holders_text(json_object *lease) {
        json_object *holders = json_object_object_get(lease, "holders");
        size_t n = json_length(holders);
        _cleanup_(freep) char *text = NULL;

        if (!holders)
                return strdup("?");
        for (size_t i = 0; i < n; i++) {
                json_object *holder = json_object_array_get_idx(holders, i);
                char *longer;

                if (asprintf(&longer, "%s%s%s (%s)", text ?: "", text ? ", " : "", json_text(holder, "pid"),
                             json_text(holder, "name")) < 0)
                        return NULL;
                free(text);
                text = longer;
        }
        return text ? TAKE_PTR(text) : strdup("-");
}
