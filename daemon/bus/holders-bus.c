/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Holders on the bus */

#include "broker.h"
#include "bus/holders-bus.h"
#include "bus/lease-access.h"
#include "bus/operation.h"
#include "bus/options.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "errors.h"
#include "names.h"

static int append_holders(sd_bus_message *m, const BrokerHolders *holders) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(us)");
        for (unsigned i = 0; r >= 0 && i < holders->n; i++)
                r = sd_bus_message_append(m, "(us)", (uint32_t) holders->items[i].pid, holders->items[i].name);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static void holders_on_done(int r, const Lease *lease, const BrokerHolders *holders, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(operation_freep) Operation *operation = userdata;

        if (r < 0) {
                bus_refuse(&error, r, "The search for the holders");
                sd_bus_reply_method_error(operation->m, &error);
                return;
        }

        r = sd_bus_message_new_method_return(operation->m, &reply);
        if (r >= 0)
                r = append_holders(reply, holders);
        if (r >= 0)
                r = sd_bus_message_send(reply);
        if (r < 0)
                sd_bus_reply_method_errno(operation->m, r, NULL);
}

int lease_method_list_holders(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(operation_freep) Operation *operation = NULL;
        Server *server = userdata;
        const Lease *lease;
        Sender sender;
        int r;

        r = flags_read_none(m, error);
        if (r < 0)
                return r;

        r = lease_for_action(server, m, VFB_ACTION_INSPECT, &lease, &sender, error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1;

        r = operation_new(&operation, server, m, sender.uid);
        if (r < 0)
                return r;
        r = broker_list_holders(server_broker(server), lease, holders_on_done, operation);
        if (r != 0)
                return bus_refuse(error, r, lease->id);

        TAKE_PTR(operation);
        return 1;
}
