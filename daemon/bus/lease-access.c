/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lease access */

#include "broker.h"
#include "bus/authorizer.h"
#include "bus/details.h"
#include "bus/lease-access.h"
#include "bus/paths.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "errors.h"

int lease_for_holder(Server *server, sd_bus_message *m, const Lease **ret, sd_bus_error *error) {
        const Lease *lease;
        Sender sender;
        int r;

        r = authorizer_check(server_authorizer(server), m, NULL, 0, &sender, error);
        if (r <= 0)
                return r;

        lease = lease_of_path(server_broker(server), sd_bus_message_get_path(m));
        if (!lease)
                return bus_refuse(error, VFB_ERROR_NO_SUCH_LEASE, NULL);
        if (sender.uid != lease->user->uid)
                return bus_refuse(error, VFB_ERROR_NOT_HOLDER, lease->id);

        *ret = lease;
        return 1;
}

int lease_authorize(Server *server, sd_bus_message *m, const char *action, const char *id, const Lease *lease,
                    Sender *ret_sender, sd_bus_error *error) {
        Authorizer *authorizer = server_authorizer(server);
        Ask ask = {};
        int r;

        r = ask_about(&ask, action, id, lease ? lease->n_hands : 0);
        if (r >= 0)
                r = lease ? details_of_lease(&ask, lease) : details_of_no_lease(&ask, id);
        if (r >= 0) {
                /* A yes was about who had it then: has it changed hands, polkit is asked about who has it now. */
                (void) authorizer_forget_outdated(authorizer, m, &ask, 1);
                r = authorizer_check(authorizer, m, &ask, 1, ret_sender, error);
        }
        ask_done(&ask);
        return r;
}

int lease_for_action(Server *server, sd_bus_message *m, const char *action, const Lease **ret, Sender *ret_sender,
                     sd_bus_error *error) {
        const Lease *lease;
        int r;

        lease = lease_of_path(server_broker(server), sd_bus_message_get_path(m));
        if (!lease)
                return bus_refuse(error, VFB_ERROR_NO_SUCH_LEASE, NULL);

        r = lease_authorize(server, m, action, lease->id, lease, ret_sender, error);
        if (r > 0)
                *ret = lease;
        return r;
}
