/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker bind, restore */

#include "ctl.h"

static int append_options(sd_bus_message *m, const Ctl *ctl) {
        int r;

        r = sd_bus_message_append(m, "s", ctl->driver ?: "");
        if (r < 0)
                return r;
        if (!ctl->companions)
                return sd_bus_message_append(m, "a{sv}", 0);

        return sd_bus_message_append(m, "a{sv}", 1, "companions", "s", ctl->companions);
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

/* Each by itself, and on after one that fails. The exit status is the first failure's. */
static int call_for_each(Ctl *ctl, char **args, const char *method, bool options) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(agent_close) pid_t agent = 0;
        int r, status = EXIT_SUCCESS;

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        agent = agent_open(ctl);
        for (; *args; args++) {
                _cleanup_(vfb_error_freep) vfb_error *error = NULL;
                _cleanup_(freep) char *path = NULL;

                r = bus_manager_get(bus, "GetDevice", *args, &path, &error);
                if (r >= 0)
                        r = call(ctl, bus, path, method, options, &error);
                if (r >= 0)
                        continue;

                r = fail(ctl, r, error);
                status = status == EXIT_SUCCESS ? r : status;
        }
        return status;
}

int ctl_bind(Ctl *ctl, char **args) {
        return call_for_each(ctl, args, "Bind", /* options= */ true);
}

int ctl_restore(Ctl *ctl, char **args) {
        return call_for_each(ctl, args, "Restore", /* options= */ false);
}
