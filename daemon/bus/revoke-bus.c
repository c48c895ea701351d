/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Revocation on the bus */

#include "broker.h"
#include "bus/lease-access.h"
#include "bus/options.h"
#include "bus/paths.h"
#include "bus/refuse.h"
#include "bus/revoke-bus.h"
#include "bus/server.h"
#include "errors.h"
#include "names.h"

_Static_assert(REASON_MAX <= REVOCATION_REASON_MAX, "one of them has grown");

int manager_method_revoke(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *id, *reason;
        Server *server = userdata;
        uint64_t grace_usec;
        const Lease *lease;
        Sender sender;
        int r;

        r = sd_bus_message_read(m, "s", &id);
        if (r >= 0)
                r = reason_read(m, &reason, error);
        if (r >= 0)
                r = sd_bus_message_read(m, "t", &grace_usec);
        if (r >= 0)
                r = flags_read_none(m, error);
        if (r < 0)
                return r;

        lease = broker_find_lease(server_broker(server), id);
        r = lease_authorize(server, m, VFB_ACTION_REVOKE, id, lease, &sender, error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1;

        if (!lease)
                return bus_refuse(error, VFB_ERROR_NO_SUCH_LEASE, id);
        r = broker_revoke(server_broker(server), lease, reason, grace_usec, sender.uid);
        if (r != 0)
                return bus_refuse(error, r, id);

        return sd_bus_reply_method_return(m, NULL);
}

int lease_method_revoke_complete(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Server *server = userdata;
        const Lease *lease;
        int r;

        r = lease_for_holder(server, m, &lease, error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1;

        /* The answer comes last, as for Release. */
        broker_revoke_complete(server_broker(server), lease);
        return sd_bus_reply_method_return(m, NULL);
}

int lease_property_revoke_steps(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Lease *lease = lease_of_path(server_broker(userdata), path);
        int r;

        if (!lease)
                return -ENOENT;

        r = sd_bus_message_open_container(m, 'a', "s");
        for (unsigned i = 0; r >= 0 && lease->revocation && i < lease->revocation->n_steps; i++)
                r = sd_bus_message_append(m, "s", lease->revocation->steps[i]);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

void lease_emit_revoke_steps(Server *server, const Lease *lease) {
        char path[PATH_MAX_BYTES];

        path_of_lease(lease, path);
        sd_bus_emit_properties_changed(server_bus(server), path, VFB_INTERFACE_LEASE, "RevokeSteps", NULL);
}
