/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Manager on the bus: Claim */

#include <string.h>

#include "broker.h"
#include "bus/acquire-bus.h"
#include "bus/authorizer.h"
#include "bus/claim-bus.h"
#include "bus/details.h"
#include "bus/operation.h"
#include "bus/options.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "errors.h"

/* The questions: one or two for each device that comes with the lease. */
typedef struct Claiming {
        Ask *asks;
        unsigned n;
} Claiming;

static void claiming_done(Claiming *claiming) {
        for (unsigned i = 0; i < claiming->n; i++)
                ask_done(&claiming->asks[i]);
        free(claiming->asks);
}

static int claiming_ask_for(Claiming *claiming, Server *server, const Lease *lease, const char *action,
                            const Device *device) {
        Ask *asks, *ask;
        int r;

        asks = reallocarray(claiming->asks, claiming->n + 1, sizeof(*asks));
        if (!asks)
                return -ENOMEM;
        claiming->asks = asks;
        ask = &asks[claiming->n++];

        r = ask_about(ask, action, device_id(device), device->generation);
        if (r >= 0)
                r = details_of_device(ask, server, device);
        if (r >= 0)
                r = details_of_request(ask, lease_mode_name(lease->mode), lease_label(lease));
        return r;
}

static int claiming_ask(Claiming *claiming, Server *server, const Lease *lease, const Device *device) {
        int r;

        r = claiming_ask_for(claiming, server, lease, VFB_ACTION_ACQUIRE, device);
        if (r < 0 || !broker_device_is_noiommu(device))
                return r;

        return claiming_ask_for(claiming, server, lease, VFB_ACTION_NO_IOMMU, device);
}

/* As for an Acquire of the same: who gets the groups can open their other devices, too. */
static int claiming_ask_all(Claiming *claiming, Server *server, const Lease *lease) {
        const Device *device;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < lease->n_devices; i++)
                if (lease->devices[i].device)
                        r = claiming_ask(claiming, server, lease, lease->devices[i].device);

        for (unsigned i = 0; r >= 0 && lease->mode == LEASE_MODE_LEGACY_RAW && i < lease->n_groups; i++)
                TAILQ_FOREACH(device, &lease->groups[i]->devices, siblings)
                        if (r >= 0 && device->facts.vfio_driver && !lease_has_device(lease, device))
                                r = claiming_ask(claiming, server, lease, device);
        return r;
}

static int claim_start(Server *server, sd_bus_message *m, const Lease *lease, const Sender *sender,
                       sd_bus_error *error) {
        _cleanup_(operation_freep) Operation *operation = NULL;
        int r;

        r = operation_new(&operation, server, m, sender->uid);
        if (r < 0)
                return r;

        r = broker_claim(server_broker(server), lease, sender->uid, sender->pid, sd_bus_message_get_sender(m),
                         acquire_on_done, operation);
        if (r != 0)
                return bus_refuse_descriptors(error, r, lease);

        TAKE_PTR(operation);
        return 1;
}

static int claim_authorized(Server *server, sd_bus_message *m, const char *token, Sender *sender, sd_bus_error *error) {
        _cleanup_(claiming_done) Claiming claiming = {};
        const Lease *lease;
        int r;

        /* One answer to whatever is wrong, before polkit is asked: who guesses learns nothing. */
        lease = broker_find_offer(server_broker(server), token, sender->uid, sender->pid);
        if (!lease)
                return bus_refuse(error, VFB_ERROR_ACCESS_DENIED, NULL);

        r = claiming_ask_all(&claiming, server, lease);
        if (r < 0)
                return r;

        r = authorizer_check(server_authorizer(server), m, claiming.asks, claiming.n, sender, error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1; /* runs again, and finds the offer again */

        return claim_start(server, m, lease, sender, error);
}

int manager_method_claim(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Server *server = userdata;
        const char *token;
        Sender sender;
        int r;

        r = sd_bus_message_read(m, "s", &token);
        if (r < 0)
                return r;
        r = options_read(m, NULL, 0, error);
        if (r < 0)
                return r;
        r = flags_read_none(m, error);
        if (r < 0)
                return r;

        r = authorizer_know_sender(server_authorizer(server), m, &sender, error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1;

        r = claim_authorized(server, m, token, &sender, error);
        if (r < 0 && sd_bus_error_is_set(error))
                bus_log_refused(sender.uid, NULL, error);
        return r;
}
