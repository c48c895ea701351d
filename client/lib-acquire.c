/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Acquiring a lease */

#include <errno.h>
#include <string.h>

#include "array.h"
#include "lib.h"
#include "names.h"

/* Attributes that are no strings are of a later version and left out. */
static int read_attribute(sd_bus_message *m, void *userdata) {
        const char *key, *value;
        int r;

        r = sd_bus_message_read(m, "s", &key);
        if (r >= 0)
                r = variant_read_string(m, &value);
        return r <= 0 ? r : descriptor_add_attribute(userdata, key, value);
}

static int read_descriptor(sd_bus_message *m, void *userdata) {
        Descriptor *descriptor;
        const char *role;
        int fd, r;

        r = sd_bus_message_read(m, "sh", &role, &fd);
        if (r >= 0)
                r = lease_add(userdata, role, fd, &descriptor);
        if (r < 0)
                return r;

        return array_read(m, "{sv}", read_attribute, descriptor);
}

/* Reads "a(sha{sv})b". */
static int read_descriptors(sd_bus_message *m, vfb_lease *lease, bool *ret_complete) {
        int r, complete;

        r = array_read(m, "(sha{sv})", read_descriptor, lease);
        if (r >= 0)
                r = sd_bus_message_read(m, "b", &complete);
        if (r < 0)
                return r;

        *ret_complete = complete;
        return 0;
}

static int get_fds(vfb_lease *lease, bool *ret_complete, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        size_t before = lease->n_descriptors;
        int r;

        r = sd_bus_message_new_method_call(lease->connection->bus, &m, VFB_BUS_NAME, lease->path,
                                           VFB_INTERFACE_LEASE, "GetFds");
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = sd_bus_message_append(m, "ast", 0, UINT64_C(0));
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = connection_call(lease->connection, m, /* timeout_usec= */ 0, "a(sha{sv})b", &reply, ret_error);
        if (r < 0)
                return r;

        r = read_descriptors(reply, lease, ret_complete);
        if (r < 0)
                return error_local(ret_error, r, "The service answered GetFds with descriptors that cannot be");
        if (!*ret_complete && lease->n_descriptors == before)
                return error_protocol(ret_error, "The service promises descriptors and does not send them");

        return 0;
}

static int call_acquire(vfb *connection, const vfb_request *request, sd_bus_message **ret_reply,
                        vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(connection->bus, &m, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER,
                                           "Acquire");
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = sd_bus_message_set_allow_interactive_authorization(m, request->interactive);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = request_append(request, m);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = sd_bus_message_append(m, "t", (uint64_t) (request->one_time ? VFB_ACQUIRE_ONE_TIME : 0));
        if (r < 0)
                return error_local(ret_error, r, NULL);

        return connection_call(connection, m, request->timeout_usec, "oha(sha{sv})b", ret_reply, ret_error);
}

/* Signals of the lease count only from who granted it. */
static int remember_owner(vfb *connection, sd_bus_message *reply) {
        const char *sender = sd_bus_message_get_sender(reply);
        char *owner;

        if (!sender)
                return -EBADMSG;

        owner = strdup(sender);
        if (!owner)
                return -ENOMEM;

        free(connection->owner);
        connection->owner = owner;
        return 0;
}

static int read_lease(vfb *connection, sd_bus_message *reply, vfb_lease **ret, bool *ret_complete) {
        _cleanup_(vfb_lease_freep) vfb_lease *lease = NULL;
        const char *path;
        int lifeline, r;

        r = remember_owner(connection, reply);
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "oh", &path, &lifeline);
        if (r < 0)
                return r;

        r = lease_new(&lease, connection, path);
        if (r < 0)
                return r;

        r = lease_set_lifeline(lease, lifeline);
        if (r < 0)
                return r;

        r = read_descriptors(reply, lease, ret_complete);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(lease);
        return 0;
}

/* From the answer of Acquire, or of Claim, which is the same; then there is no @request. */
static int lease_from_reply(vfb *connection, sd_bus_message *reply, const vfb_request *request, vfb_lease **ret_lease,
                            vfb_error **ret_error) {
        _cleanup_(vfb_lease_freep) vfb_lease *lease = NULL;
        bool complete;
        int r;

        r = read_lease(connection, reply, &lease, &complete);
        if (r < 0)
                return error_local(ret_error, r,
                                   r == -EBADMSG ? "The service answered with a lease that cannot be"
                                                 : NULL);

        while (!complete) {
                r = get_fds(lease, &complete, ret_error);
                if (r < 0)
                        return r;
        }

        if (!lease_is_sound(lease, request ? request->mode : vfb_lease_mode(lease)))
                return error_protocol(
                        ret_error, "The service granted a lease without the descriptors that belong to it");

        *ret_lease = TAKE_PTR(lease);
        return 0;
}

int vfb_acquire(vfb *connection, const vfb_request *request, vfb_lease **ret_lease, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = call_acquire(connection, request, &reply, ret_error);
        return r < 0 ? r : lease_from_reply(connection, reply, request, ret_lease, ret_error);
}

int vfb_claim(vfb *connection, const char *token, const vfb_request *request, vfb_lease **ret_lease,
              vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = sd_bus_message_new_method_call(connection->bus, &m, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, "Claim");
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, request && request->interactive);
        if (r >= 0)
                r = sd_bus_message_append(m, "sa{sv}t", token, 0, UINT64_C(0));
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = connection_call(connection, m, request ? request->timeout_usec : 0, "oha(sha{sv})b", &reply, ret_error);
        return r < 0 ? r : lease_from_reply(connection, reply, NULL, ret_lease, ret_error);
}
