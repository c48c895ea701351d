/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls that the library has no function for */

#include <errno.h>
#include <string.h>

#include "ctl.h"

int bus_open(const Ctl *ctl, sd_bus **ret) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        int r;

        r = sd_bus_open_system(ret);
        if (r >= 0)
                return 0;

        (void) vfb_error_new(&error, SD_BUS_ERROR_NO_SERVER, NULL);
        return fail(ctl, r, error);
}

int bus_call(sd_bus *bus, sd_bus_message *m, uint64_t timeout_usec, const char *signature,
             sd_bus_message **ret_reply, vfb_error **ret_error) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call(bus, m, timeout_usec, &error, &reply);
        if (r < 0) {
                if (error.name)
                        (void) vfb_error_new(ret_error, error.name, error.message);
                return r;
        }
        if (!sd_bus_message_has_signature(reply, signature))
                return -EBADMSG;

        *ret_reply = TAKE_PTR(reply);
        return 0;
}

/* GetDevice or GetLease. */
int bus_manager_get(sd_bus *bus, const char *method, const char *argument, char **ret_path,
                    vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        const char *path;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, method);
        if (r < 0)
                return r;

        r = sd_bus_message_append(m, "s", argument);
        if (r < 0)
                return r;

        r = bus_call(bus, m, /* timeout_usec= */ 0, "o", &reply, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return r;

        *ret_path = strdup(path);
        return *ret_path ? 0 : -ENOMEM;
}

static int act(const Ctl *ctl, sd_bus *bus, const char *path, const char *interface, const char *method,
               const char *text, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, path, interface, method);
        if (r < 0)
                return r;

        r = sd_bus_message_set_allow_interactive_authorization(m, ctl->interactive);
        if (r < 0)
                return r;

        if (text)
                r = sd_bus_message_append(m, "s", text);
        if (r >= 0)
                r = sd_bus_message_append(m, "t", UINT64_C(0));
        if (r < 0)
                return r;

        return bus_call(bus, m, INTERACTIVE_TIMEOUT_USEC, "", &reply, ret_error);
}

/* Finds the object with @getter and calls a method that takes @text, unless NULL, and flags. An exit status. */
int bus_act(const Ctl *ctl, const char *getter, const char *object, const char *interface, const char *method,
            const char *text) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(agent_close) pid_t agent = 0;
        _cleanup_(freep) char *path = NULL;
        int r;

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = bus_manager_get(bus, getter, object, &path, &error);
        if (r < 0)
                return fail(ctl, r, error);

        agent = agent_open(ctl);
        r = act(ctl, bus, path, interface, method, text, &error);
        return r < 0 ? fail(ctl, r, error) : EXIT_SUCCESS;
}
