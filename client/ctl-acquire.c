/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker acquire, and claim */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "ctl-time.h"
#include "ctl.h"

typedef struct Holding {
        const Ctl *ctl;
        bool asked; /* somebody wants it back */
        bool over; /* the service said so: keep nothing that could hold up the devices */
        bool ended;
} Holding;

static json_object *event_json(const char *event, const vfb_lease *lease) {
        json_object *object = json_object_new_object();

        json_object_object_add(object, "event", json_object_new_string(event));
        json_object_object_add(object, "lease", json_object_new_string(vfb_lease_id(lease)));
        return object;
}

static void holding_on_state(vfb_lease *lease, const char *state, void *userdata) {
        Holding *holding = userdata;

        if (strcmp(state, "active") != 0 && strcmp(state, "revoking") != 0)
                holding->over = true;
}

static const char *reason_text(const char *reason) {
        if (strcmp(reason, "released") == 0)
                return "has been released by somebody else";
        if (strcmp(reason, "removed") == 0)
                return "has ended: its devices are gone";
        if (strcmp(reason, "expired") == 0)
                return "has ended: its time is over";
        if (strcmp(reason, "revoked") == 0)
                return "was taken back";
        if (strcmp(reason, "failed") == 0)
                return "has ended, and not all devices could be cleaned";

        return "has ended";
}

static void holding_on_ended(vfb_lease *lease, const char *reason, void *userdata) {
        _cleanup_(json_putp) json_object *object = NULL;
        Holding *holding = userdata;

        holding->ended = true;
        if (!holding->ctl->json) {
                say(stdout, "lease %s %s\n", vfb_lease_id(lease), reason_text(reason));
                return;
        }

        object = event_json("lease-ended", lease);
        json_object_object_add(object, "reason", json_object_new_string(reason));
        print_json_line(object);
}

static void holding_on_device_gone(vfb_lease *lease, const char *device_id, const char *cause, void *userdata) {
        _cleanup_(json_putp) json_object *object = NULL;
        Holding *holding = userdata;

        if (!holding->ctl->json) {
                say(stdout, "lease %s has lost device %s: %s\n", vfb_lease_id(lease), device_id, cause);
                fflush(stdout);
                return;
        }

        object = event_json("device-gone", lease);
        json_object_object_add(object, "device", json_object_new_string(device_id));
        json_object_object_add(object, "cause", json_object_new_string(cause));
        print_json_line(object);
}

static void holding_on_expiring(vfb_lease *lease, uint64_t expires_usec, void *userdata) {
        _cleanup_(json_putp) json_object *object = NULL;
        Holding *holding = userdata;
        char text[TIME_TEXT_MAX];

        if (!holding->ctl->json) {
                time_format_date(expires_usec, text);
                say(stdout, "lease %s ends at %s; for longer: vfio-broker renew %s TIME\n", vfb_lease_id(lease), text,
                    vfb_lease_id(lease));
                fflush(stdout);
                return;
        }

        object = event_json("expiring", lease);
        json_object_object_add(object, "expires_usec", json_object_new_uint64(expires_usec));
        print_json_line(object);
}

static void holding_on_revoke_requested(vfb_lease *lease, const char *reason, uint64_t deadline_usec,
                                        void *userdata) {
        _cleanup_(json_putp) json_object *object = NULL;
        Holding *holding = userdata;

        holding->asked = true;
        if (!holding->ctl->json) {
                say(stdout, "lease %s is to be given back%s%s\n", vfb_lease_id(lease), *reason ? ": " : "", reason);
                fflush(stdout);
                return;
        }

        object = event_json("revoke-requested", lease);
        json_object_object_add(object, "reason", json_object_new_string(reason));
        json_object_object_add(object, "deadline_usec", json_object_new_uint64(deadline_usec));
        print_json_line(object);
}

static void holding_on_disconnected(vfb *connection, void *userdata) {
        fputs("vfio-broker: the service does not answer any more; the descriptors stay open\n", stderr);
}

/* Of a PF, for who is to have its VFs; NULL for anything else. */
static const char *vf_token(const vfb_lease *lease, const char *id) {
        char role[64];

        snprintf(role, sizeof(role), VFB_ROLE_DEVICE "%s", id);
        return vfb_lease_attribute(lease, role, "vf-token");
}

static json_object *lease_json(const vfb_lease *lease) {
        json_object *object = event_json("lease", lease), *devices = json_object_new_array(),
                    *groups = json_object_new_array();
        const char *id, *text;

        for (size_t i = 0; (id = vfb_lease_device_id(lease, i)); i++) {
                json_object *device = json_object_new_object();

                text = vfb_lease_reset_used(lease, i);
                json_object_object_add(device, "id", json_object_new_string(id));
                json_object_object_add(device, "reset", text ? json_object_new_string(text) : NULL);
                text = vf_token(lease, id);
                if (text)
                        json_object_object_add(device, "vf_token", json_object_new_string(text));
                json_object_array_add(devices, device);
        }
        for (size_t i = 0; i < vfb_lease_n_groups(lease); i++)
                json_object_array_add(groups, json_object_new_int64(vfb_lease_group(lease, i)));

        text = vfb_lease_model(lease);
        json_object_object_add(object, "mode", json_object_new_string(vfb_lease_mode(lease)));
        json_object_object_add(object, "model", text ? json_object_new_string(text) : NULL);
        json_object_object_add(object, "devices", devices);
        json_object_object_add(object, "groups", groups);
        return object;
}

static void print_lease_json(const vfb_lease *lease) {
        _cleanup_(json_putp) json_object *object = lease_json(lease);

        print_json_line(object);
}

static void print_lease(const vfb_lease *lease) {
        const char *id, *text = vfb_lease_model(lease);

        say(stdout, "lease %s, mode %s\n", vfb_lease_id(lease), vfb_lease_mode(lease));
        if (vfb_lease_container_fd(lease) >= 0)
                say(stdout, "  container%s%s: descriptor %d\n", text ? " " : "", text ?: "",
                    vfb_lease_container_fd(lease));
        for (size_t i = 0; i < vfb_lease_n_groups(lease); i++)
                say(stdout, "  group %" PRIi64 ": descriptor %d\n", vfb_lease_group(lease, i),
                    vfb_lease_group_fd(lease, i));
        for (size_t i = 0; (id = vfb_lease_device_id(lease, i)); i++) {
                text = vfb_lease_reset_used(lease, i);
                say(stdout, "  device %s: descriptor %d%s%s\n", id, vfb_lease_device_fd(lease, i),
                    text ? ", reset: " : "", text ?: "");
                text = vf_token(lease, id);
                if (text)
                        say(stdout, "    its VFs are for who knows the VF token %s\n", text);
        }
        say(stdout, "Ends with Ctrl-C, or: vfio-broker release %s\n", vfb_lease_id(lease));
        fflush(stdout);
}

/* An exit status. */
static int hold(Holding *holding, vfb *connection, vfb_lease *lease, int signal_fd) {
        bool from_terminal, closed = false;
        int r;

        while (!holding->ended) {
                if (holding->asked && !closed) {
                        (void) vfb_lease_revoke_complete(lease, NULL);
                        closed = true;
                }
                if (holding->over && !closed) {
                        (void) vfb_lease_release(lease, NULL);
                        closed = true;
                }

                r = hold_wait(connection, signal_fd, &from_terminal);
                if (r < 0)
                        return fail(holding->ctl, r, NULL);
                if (r == SIGINT || r == SIGTERM || r == SIGHUP || r == SIGQUIT)
                        return EXIT_SUCCESS; /* closing everything ends the lease */
        }

        return EXIT_FAILURE;
}

static int take_and_hold(const Ctl *ctl, char **args) {
        _cleanup_(vfb_request_freep) vfb_request *request = NULL;
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(vfb_freep) vfb *connection = NULL;
        _cleanup_(vfb_lease_freep) vfb_lease *lease = NULL;
        static const vfb_listener listener = {
                .lease_state = holding_on_state,
                .lease_ended = holding_on_ended,
                .device_gone = holding_on_device_gone,
                .expiring = holding_on_expiring,
                .revoke_requested = holding_on_revoke_requested,
                .disconnected = holding_on_disconnected,
        };
        Holding holding = { .ctl = ctl };
        int r, signal_fd;

        r = request_new_from(&request, ctl, args);
        if (r < 0)
                return fail(ctl, r, NULL);

        r = vfb_open(&connection, &listener, &holding, &error);
        if (r < 0)
                return fail(ctl, r, error);

        r = acquire_lease(ctl, connection, request, &lease);
        if (r != 0)
                return r;

        r = hold_signals(&signal_fd);
        if (r < 0)
                return fail(ctl, r, NULL);

        if (ctl->json)
                print_lease_json(lease);
        else
                print_lease(lease);
        return hold(&holding, connection, lease, signal_fd);
}

int ctl_acquire(Ctl *ctl, char **args) {
        return take_and_hold(ctl, args);
}

int ctl_claim(Ctl *ctl, char **args) {
        ctl->token = args[0];
        return take_and_hold(ctl, NULL);
}
