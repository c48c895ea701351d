/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker revoke */

#include <errno.h>
#include <string.h>

#include "ctl-time.h"
#include "ctl.h"

/* As the table of errors has them */
#define EXIT_BUSY      5 /* somebody else has it */
#define EXIT_NOT_CLEAN 7

typedef struct Revoking {
        const Ctl *ctl;
        const char *lease;
        char *path;
        char *owner;    /* the service's unique name; signals of others are not its */
        size_t n_steps; /* that were told already */
        bool busy, over;
        int status;
} Revoking;

static void revoking_done(Revoking *revoking) {
        free(revoking->path);
        free(revoking->owner);
}

/* "sigterm: process 4711 (driver), which has: device" */
static void tell_step(Revoking *revoking, const char *step) {
        _cleanup_(json_putp) json_object *object = NULL;
        size_t n = strcspn(step, ":");

        if (strncmp(step, "busy", n) == 0)
                revoking->busy = true;

        if (!revoking->ctl->json) {
                say(stdout, "%s\n", step);
                fflush(stdout);
                return;
        }

        object = json_object_new_object();
        json_object_object_add(object, "event", json_object_new_string("step"));
        json_object_object_add(object, "lease", json_object_new_string(revoking->lease));
        json_object_object_add(object, "step", json_object_new_string_len(step, (int) n));
        json_object_object_add(object, "text", json_object_new_string(step + n + strspn(step + n, ": ")));
        print_json_line(object);
}

static void tell_end(Revoking *revoking, const char *reason) {
        _cleanup_(json_putp) json_object *object = NULL;

        revoking->over = true;
        revoking->status = strcmp(reason, "failed") == 0 ? EXIT_NOT_CLEAN : EXIT_SUCCESS;

        if (!revoking->ctl->json) {
                say(stdout, "lease %s is over (%s)\n", revoking->lease, reason);
                return;
        }

        object = json_object_new_object();
        json_object_object_add(object, "event", json_object_new_string("lease-ended"));
        json_object_object_add(object, "lease", json_object_new_string(revoking->lease));
        json_object_object_add(object, "reason", json_object_new_string(reason));
        print_json_line(object);
}

static bool from_service(const Revoking *revoking, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);

        return sender && revoking->owner && strcmp(sender, revoking->owner) == 0;
}

static int revoking_on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(json_putp) json_object *changes = json_object_new_object();
        Revoking *revoking = userdata;
        const char *interface;
        json_object *steps;

        if (!from_service(revoking, m) || sd_bus_message_read(m, "s", &interface) < 0 ||
            json_add_properties(changes, m) < 0)
                return 0;

        /* All of them come each time. */
        steps = json_object_object_get(changes, "revoke_steps");
        for (; steps && revoking->n_steps < json_length(steps); revoking->n_steps++)
                tell_step(revoking, json_object_get_string(json_object_array_get_idx(steps, revoking->n_steps)));
        return 0;
}

static int revoking_on_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *id, *path, *reason;
        Revoking *revoking = userdata;

        if (from_service(revoking, m) && sd_bus_message_read(m, "sos", &id, &path, &reason) >= 0 &&
            strcmp(id, revoking->lease) == 0)
                tell_end(revoking, reason);
        return 0;
}

/* It goes on with the revocation after a restart. */
static int revoking_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *old_owner, *new_owner;
        Revoking *revoking = userdata;

        if (sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner) < 0)
                return 0;

        free(revoking->owner);
        revoking->owner = *new_owner ? strdup(new_owner) : NULL;
        return 0;
}

static int subscribe(Revoking *revoking, sd_bus *bus) {
        _cleanup_(freep) char *rule = NULL;
        int r;

        if (asprintf(&rule,
                     "type='signal',sender='" VFB_BUS_NAME "',path='%s',"
                     "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
                     revoking->path) < 0)
                return -ENOMEM;

        r = sd_bus_add_match(bus, NULL, rule, revoking_on_properties, revoking);
        if (r >= 0)
                r = sd_bus_add_match(bus, NULL,
                                     "type='signal',sender='" VFB_BUS_NAME "',path='" VFB_PATH "',"
                                     "interface='" VFB_INTERFACE_MANAGER "',member='LeaseRemoved'",
                                     revoking_on_removed, revoking);
        if (r >= 0)
                r = sd_bus_add_match(bus, NULL,
                                     "type='signal',sender='org.freedesktop.DBus',"
                                     "member='NameOwnerChanged',arg0='" VFB_BUS_NAME "'",
                                     revoking_on_owner, revoking);
        return r;
}

static int revoke_lease(Revoking *revoking, sd_bus *bus, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        const Ctl *ctl = revoking->ctl;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke");
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, ctl->interactive);
        if (r >= 0)
                r = sd_bus_message_append(m, "sstt", revoking->lease, ctl->reason ?: "", ctl->grace_usec, UINT64_C(0));
        if (r < 0)
                return r;

        return bus_call(bus, m, INTERACTIVE_TIMEOUT_USEC, "", &reply, ret_error);
}

/* Who the service is, and that there is such a lease. */
static int find(Revoking *revoking, sd_bus *bus, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *owner;
        int r;

        r = bus_manager_get(bus, "GetLease", revoking->lease, &revoking->path, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                               "GetNameOwner", NULL, &reply, "s", VFB_BUS_NAME);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &owner);
        if (r < 0)
                return r;

        revoking->owner = strdup(owner);
        return revoking->owner ? 0 : -ENOMEM;
}

/* An exit status, or negative. */
static int attend(Revoking *revoking, sd_bus *bus) {
        int r;

        while (!revoking->over) {
                r = sd_bus_process(bus, NULL);
                if (r == 0 && revoking->busy) {
                        say(stderr, "vfio-broker: lease %s stays; the service goes on trying\n", revoking->lease);
                        return EXIT_BUSY;
                }
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return r;
        }

        return revoking->status;
}

int ctl_revoke(Ctl *ctl, char **args) {
        _cleanup_(revoking_done) Revoking revoking = { .ctl = ctl, .lease = args[0] };
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(agent_close) pid_t agent = 0;
        int r;

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = find(&revoking, bus, &error);
        if (r >= 0)
                r = subscribe(&revoking, bus);
        if (r < 0)
                return fail(ctl, r, error);

        agent = agent_open(ctl);
        r = revoke_lease(&revoking, bus, &error);
        agent_close(&agent);
        if (r < 0)
                return fail(ctl, r, error);

        r = attend(&revoking, bus);
        return r < 0 ? fail(ctl, r, NULL) : r;
}
