/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls about a lease: how long it lasts, and to whom it goes */

#include <errno.h>
#include <string.h>

#include "errors.h"
#include "lib.h"

/* A call to the lease's object. Answers are expected at once: nobody is asked. */
static int lease_new_call(vfb_lease *lease, const char *interface, const char *method, sd_bus_message **ret,
                          vfb_error **ret_error) {
        int r;

        if (!lease->connection)
                return error_local(ret_error, -ENOTCONN, "The connection that the lease came through is closed");

        r = sd_bus_message_new_method_call(lease->connection->bus, ret, VFB_BUS_NAME, lease->path, interface, method);
        return r < 0 ? error_local(ret_error, r, NULL) : 0;
}

/* A lease that is over has no object any more, after a while. */
static int lease_call(vfb_lease *lease, sd_bus_message *m, const char *signature, sd_bus_message **ret_reply,
                      vfb_error **ret_error) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        int r;

        r = connection_call(lease->connection, m, /* timeout_usec= */ 0, signature, ret_reply, &error);
        if (r >= 0)
                return r;
        if (error && strcmp(vfb_error_name(error), SD_BUS_ERROR_UNKNOWN_OBJECT) == 0)
                return error_named(ret_error, vfb_error_info(VFB_ERROR_NO_SUCH_LEASE)->name, NULL);

        if (ret_error)
                *ret_error = TAKE_PTR(error);
        return r;
}

int vfb_lease_renew(vfb_lease *lease, uint64_t duration_usec, uint64_t *ret_expires_usec, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        uint64_t expires_usec;
        int r;

        r = lease_new_call(lease, VFB_INTERFACE_LEASE, "Renew", &m, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_append(m, "t", duration_usec);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = lease_call(lease, m, "t", &reply, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "t", &expires_usec);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        if (ret_expires_usec)
                *ret_expires_usec = expires_usec;
        return 0;
}

int vfb_lease_expires(vfb_lease *lease, uint64_t *ret_usec, vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        uint64_t usec;
        int r;

        r = lease_new_call(lease, "org.freedesktop.DBus.Properties", "Get", &m, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_append(m, "ss", VFB_INTERFACE_LEASE, "ExpiresUSec");
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = lease_call(lease, m, "v", &reply, ret_error);
        if (r < 0)
                return r;

        if (sd_bus_message_read(reply, "v", "t", &usec) < 0)
                return error_protocol(ret_error, "The service says no time when the lease expires");

        *ret_usec = usec;
        return 0;
}

static int append_offer(sd_bus_message *m, uid_t uid, int pidfd, uint64_t timeout_usec) {
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r < 0)
                return r;

        if (pidfd >= 0)
                r = sd_bus_message_append(m, "{sv}", "pidfd", "h", pidfd);
        else
                r = sd_bus_message_append(m, "{sv}", "uid", "u", (uint32_t) uid);
        if (r >= 0 && timeout_usec > 0)
                r = sd_bus_message_append(m, "{sv}", "timeout-usec", "t", timeout_usec);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

int vfb_lease_offer(vfb_lease *lease, uid_t uid, int pidfd, uint64_t timeout_usec, char **ret_token,
                    vfb_error **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        const char *token;
        int r;

        r = lease_new_call(lease, VFB_INTERFACE_LEASE, "Offer", &m, ret_error);
        if (r < 0)
                return r;

        r = append_offer(m, uid, pidfd, timeout_usec);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        r = lease_call(lease, m, "s", &reply, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "s", &token);
        if (r < 0)
                return error_local(ret_error, r, NULL);

        *ret_token = strdup(token);
        return *ret_token ? 0 : error_local(ret_error, -ENOMEM, NULL);
}
