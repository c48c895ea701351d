/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker renew */

#include "ctl-time.h"
#include "ctl.h"

static int renew(sd_bus *bus, const char *path, uint64_t duration_usec, uint64_t *ret_expires_usec,
                 vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, path, VFB_INTERFACE_LEASE, "Renew");
        if (r < 0)
                return r;

        r = sd_bus_message_append(m, "t", duration_usec);
        if (r < 0)
                return r;

        r = bus_call(bus, m, /* timeout_usec= */ 0, "t", &reply, ret_error);
        if (r < 0)
                return r;

        return sd_bus_message_read(reply, "t", ret_expires_usec);
}

static void print_renewed(const Ctl *ctl, const char *lease, uint64_t expires_usec) {
        _cleanup_(json_putp) json_object *object = NULL;
        char text[TIME_TEXT_MAX];

        if (ctl->json) {
                object = json_object_new_object();
                json_object_object_add(object, "lease", json_object_new_string(lease));
                json_object_object_add(object, "expires_usec", json_object_new_uint64(expires_usec));
                print_json_line(object);
        } else if (expires_usec == 0) {
                say(stdout, "lease %s has no end of time\n", lease);
        } else {
                time_format_date(expires_usec, text);
                say(stdout, "lease %s ends at %s\n", lease, text);
        }
}

int ctl_renew(Ctl *ctl, char **args) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(freep) char *path = NULL;
        uint64_t duration_usec, expires_usec;
        int r;

        r = time_parse_span(args[1], &duration_usec);
        if (r < 0)
                return fail_usage(ctl, "%s: no time; try 90s, 30min, 2h or 1d", args[1]);

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = bus_manager_get(bus, "GetLease", args[0], &path, &error);
        if (r >= 0)
                r = renew(bus, path, duration_usec, &expires_usec, &error);
        if (r < 0)
                return fail(ctl, r, error);

        print_renewed(ctl, args[0], expires_usec);
        return EXIT_SUCCESS;
}
