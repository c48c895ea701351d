/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection and its events */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "array.h"
#include "lib.h"
#include "paths.h"

/* One call of vfb_dispatch() ends even if somebody sends us signals faster than we read them. */
#define DISPATCH_MAX 256

/* Likewise the memory that signals take while we wait for an answer. */
#define ASIDE_MAX 1024

DEFINE_FREEP(vfb, vfb_free)

static bool from_service(const vfb *connection, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);

        return sender && connection->owner && strcmp(sender, connection->owner) == 0;
}

/* The listener is called from vfb_dispatch() only, and not while a call waits for its answer. */
static bool put_aside(vfb *connection, sd_bus_message *m) {
        sd_bus_message **aside;

        if (!connection->waiting)
                return false;

        aside = connection->n_aside < ASIDE_MAX
                        ? reallocarray(connection->aside, connection->n_aside + 1, sizeof(*aside))
                        : NULL;
        if (aside) {
                connection->aside = aside;
                aside[connection->n_aside++] = sd_bus_message_ref(m);
        }

        return true;
}

static void put_back(vfb *connection) {
        for (size_t i = 0; i < connection->n_aside; i++) {
                (void) sd_bus_message_rewind(connection->aside[i], /* complete= */ true);
                (void) sd_bus_enqueue_for_read(connection->bus, connection->aside[i]);
                sd_bus_message_unref(connection->aside[i]);
        }

        free(connection->aside);
        connection->aside = NULL;
        connection->n_aside = 0;
}

static vfb_lease *find_lease(const vfb *connection, const char *path) {
        vfb_lease *lease;

        LIST_FOREACH(lease, &connection->leases, entry)
                if (strcmp(lease->path, path) == 0)
                        return lease;

        return NULL;
}

/* One of the properties that have changed; *@userdata becomes the state if it is that. */
static int read_property(sd_bus_message *m, void *userdata) {
        const char *key, *value;
        int r;

        r = sd_bus_message_read(m, "s", &key);
        if (r >= 0)
                r = variant_read_string(m, &value);
        if (r > 0 && strcmp(key, "State") == 0)
                *(const char **) userdata = value;
        return r;
}

/* NULL: the message says none. */
static const char *read_state(sd_bus_message *m) {
        const char *interface, *state = NULL;

        if (sd_bus_message_read(m, "s", &interface) < 0 || strcmp(interface, VFB_INTERFACE_LEASE) != 0 ||
            array_read(m, "{sv}", read_property, &state) < 0)
                return NULL;

        return state;
}

/* Handlers answer 0 to signals they cannot read: those are nobody's business, and no reason to stop. */
static int connection_on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        vfb *connection = userdata;
        const char *state;
        vfb_lease *lease;

        if (!connection->listener.lease_state || !from_service(connection, m) || put_aside(connection, m))
                return 0;

        lease = find_lease(connection, sd_bus_message_get_path(m));
        state = lease ? read_state(m) : NULL;
        if (state)
                connection->listener.lease_state(lease, state, connection->userdata);

        return 0;
}

static int connection_on_lease_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *id, *path, *reason;
        vfb *connection = userdata;
        vfb_lease *lease;

        if (!connection->listener.lease_ended || !from_service(connection, m) || put_aside(connection, m))
                return 0;
        if (sd_bus_message_read(m, "sos", &id, &path, &reason) < 0)
                return 0;

        lease = find_lease(connection, path);
        if (lease)
                connection->listener.lease_ended(lease, reason, connection->userdata);

        return 0;
}

static int connection_on_device_gone(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(freep) char *device_id = NULL;
        vfb *connection = userdata;
        const char *path, *cause;
        vfb_lease *lease;

        if (!connection->listener.device_gone || !from_service(connection, m) || put_aside(connection, m))
                return 0;
        if (sd_bus_message_read(m, "os", &path, &cause) < 0)
                return 0;
        if (device_id_of_path(path, &device_id) <= 0)
                return 0;

        lease = find_lease(connection, sd_bus_message_get_path(m));
        if (lease)
                connection->listener.device_gone(lease, device_id, cause, connection->userdata);

        return 0;
}

static int connection_on_expiring(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        vfb *connection = userdata;
        uint64_t expires_usec;
        vfb_lease *lease;

        if (!connection->listener.expiring || !from_service(connection, m) || put_aside(connection, m))
                return 0;
        if (sd_bus_message_read(m, "t", &expires_usec) < 0)
                return 0;

        lease = find_lease(connection, sd_bus_message_get_path(m));
        if (lease)
                connection->listener.expiring(lease, expires_usec, connection->userdata);

        return 0;
}

static int connection_on_revoke_requested(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        vfb *connection = userdata;
        uint64_t deadline_usec;
        const char *reason;
        vfb_lease *lease;

        if (!connection->listener.revoke_requested || !from_service(connection, m) || put_aside(connection, m))
                return 0;
        if (sd_bus_message_read(m, "st", &reason, &deadline_usec) < 0)
                return 0;

        lease = find_lease(connection, sd_bus_message_get_path(m));
        if (lease)
                connection->listener.revoke_requested(lease, reason, deadline_usec, connection->userdata);

        return 0;
}

static void tell_disconnected(vfb *connection) {
        if (!connection->told && connection->listener.disconnected)
                connection->listener.disconnected(connection, connection->userdata);
        connection->told = true;
}

/* Comes from the bus itself, whose name nobody else can have. */
static int connection_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *old_owner, *new_owner;
        vfb *connection = userdata;

        if (put_aside(connection, m))
                return 0;
        if (sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner) < 0)
                return 0;
        if (strcmp(name, VFB_BUS_NAME) != 0)
                return 0;

        free(connection->owner);
        connection->owner = *new_owner ? strdup(new_owner) : NULL;
        if (*new_owner)
                connection->told = false;
        else
                tell_disconnected(connection);

        return 0;
}

static int connection_subscribe(vfb *connection) {
        const struct {
                const char *rule;
                sd_bus_message_handler_t handler;
        } matches[] = {
                { "type='signal',sender='org.freedesktop.DBus',"
                  "member='NameOwnerChanged',arg0='" VFB_BUS_NAME "'",
                  connection_on_owner },
                { "type='signal',sender='" VFB_BUS_NAME "',path_namespace='" VFB_PATH_LEASE "',"
                  "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
                  connection_on_properties },
                { "type='signal',sender='" VFB_BUS_NAME "',path='" VFB_PATH "',"
                  "interface='" VFB_INTERFACE_MANAGER "',member='LeaseRemoved'",
                  connection_on_lease_removed },
                { "type='signal',sender='" VFB_BUS_NAME "',path_namespace='" VFB_PATH_LEASE "',"
                  "interface='" VFB_INTERFACE_LEASE "',member='DeviceGone'",
                  connection_on_device_gone },
                { "type='signal',sender='" VFB_BUS_NAME "',path_namespace='" VFB_PATH_LEASE "',"
                  "interface='" VFB_INTERFACE_LEASE "',member='Expiring'",
                  connection_on_expiring },
                { "type='signal',sender='" VFB_BUS_NAME "',path_namespace='" VFB_PATH_LEASE "',"
                  "interface='" VFB_INTERFACE_LEASE "',member='RevokeRequested'",
                  connection_on_revoke_requested },
        };
        int r;

        for (size_t i = 0; i < sizeof(matches) / sizeof(*matches); i++) {
                r = sd_bus_add_match(connection->bus, NULL, matches[i].rule, matches[i].handler, connection);
                if (r < 0)
                        return r;
        }

        return 0;
}

static bool listener_is_sound(const vfb_listener *listener) {
        for (size_t i = 0; i < sizeof(listener->reserved) / sizeof(*listener->reserved); i++)
                if (listener->reserved[i])
                        return false;

        return true;
}

int vfb_open(vfb **ret, const vfb_listener *listener, void *userdata, vfb_error **ret_error) {
        _cleanup_(vfb_freep) vfb *connection = NULL;
        int r;

        if (listener && !listener_is_sound(listener))
                return error_local(ret_error, -EINVAL,
                                   "The listener has a callback that this version does not know");

        connection = calloc(1, sizeof(*connection));
        if (!connection)
                return -ENOMEM;
        LIST_INIT(&connection->leases);

        r = sd_bus_open_system(&connection->bus);
        if (r >= 0 && listener) {
                connection->listener = *listener;
                connection->userdata = userdata;
                r = connection_subscribe(connection);
        }
        if (r < 0)
                return error_named(ret_error, SD_BUS_ERROR_NO_SERVER, NULL);

        *ret = TAKE_PTR(connection);
        return 0;
}

vfb *vfb_free(vfb *connection) {
        vfb_lease *lease;

        if (!connection)
                return NULL;

        while ((lease = LIST_FIRST(&connection->leases))) {
                LIST_REMOVE(lease, entry);
                lease->connection = NULL;
        }

        sd_bus_close_unref(connection->bus);
        free(connection->owner);
        free(connection);
        return NULL;
}

static int connection_on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        sd_bus_message **answer = userdata;

        *answer = sd_bus_message_ref(m);
        return 0;
}

/* As sd_bus_call(), which gives up when a signal handler of the program's runs. */
static int wait_for_answer(vfb *connection, sd_bus_message *m, uint64_t timeout_usec, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        int r;

        connection->waiting = true;
        r = sd_bus_call_async(connection->bus, &slot, m, connection_on_answer, &answer, timeout_usec);
        while (r >= 0 && !answer) {
                r = sd_bus_process(connection->bus, NULL);
                if (r == 0 && !answer) /* of a call whose time is over it says nothing but by the answer */
                        r = sd_bus_wait(connection->bus, UINT64_MAX);
                if (r == -EINTR)
                        r = 0;
        }
        connection->waiting = false;
        put_back(connection);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(answer);
        return 0;
}

int connection_call(vfb *connection,
                    sd_bus_message *m,
                    uint64_t timeout_usec,
                    const char *signature,
                    sd_bus_message **ret_reply,
                    vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const sd_bus_error *error;
        int r;

        /* Before anything is sent: who is told that it failed must be able to rely on that nothing comes of it. */
        if (connection->dispatching)
                return error_local(ret_error, -EBUSY, "A callback must not wait for the service");

        r = wait_for_answer(connection, m, timeout_usec, &reply);
        if (r == -EXFULL)
                return error_local(ret_error, -EMFILE, "This process has no room for the descriptors");
        if (r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE)
                return error_named(ret_error, SD_BUS_ERROR_DISCONNECTED, NULL);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        error = sd_bus_message_get_error(reply);
        if (error)
                return error_named(ret_error, error->name, error->message);
        if (!sd_bus_message_has_signature(reply, signature))
                return error_protocol(ret_error, "The service's answer is not of the expected type");

        *ret_reply = TAKE_PTR(reply);
        return 0;
}

int vfb_get_fd(vfb *connection) {
        return connection->lost ? -ENOTCONN : sd_bus_get_fd(connection->bus);
}

int vfb_get_events(vfb *connection) {
        return connection->lost ? -ENOTCONN : sd_bus_get_events(connection->bus);
}

int vfb_get_timeout(vfb *connection, int *ret_msec) {
        uint64_t until_usec, now_usec;
        struct timespec now;
        int r;

        if (connection->lost)
                return -ENOTCONN;

        r = sd_bus_get_timeout(connection->bus, &until_usec);
        if (r < 0)
                return r;
        if (until_usec == UINT64_MAX) {
                *ret_msec = -1;
                return 0;
        }

        clock_gettime(CLOCK_MONOTONIC, &now);
        now_usec = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
        if (until_usec <= now_usec)
                *ret_msec = 0;
        else if ((until_usec - now_usec) / 1000 >= INT_MAX)
                *ret_msec = INT_MAX;
        else
                *ret_msec = (int) ((until_usec - now_usec) / 1000 + 1);
        return 0;
}

static int dispatch_some(vfb *connection) {
        int r, n;

        for (n = 0; n < DISPATCH_MAX; n++) {
                r = sd_bus_process(connection->bus, NULL);
                if (r == 0)
                        break;
                if (r == -ECHILD)
                        return r; /* the parent has it still */
                if (r < 0) {
                        connection->lost = true;
                        tell_disconnected(connection);
                        return -ENOTCONN;
                }
        }

        return n;
}

int vfb_dispatch(vfb *connection) {
        int r;

        if (connection->lost)
                return -ENOTCONN;
        if (connection->dispatching)
                return -EBUSY;

        connection->dispatching = true;
        r = dispatch_some(connection);
        connection->dispatching = false;
        return r;
}
