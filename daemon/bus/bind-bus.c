/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Drivers on the bus */

#include <string.h>

#include "broker.h"
#include "bus/authorizer.h"
#include "bus/bind-bus.h"
#include "bus/details.h"
#include "bus/operation.h"
#include "bus/options.h"
#include "bus/paths.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "errors.h"
#include "names.h"

/* The devices whose drivers would change; what polkit has to say about them holds for these and no others. */
typedef struct Scope {
        const Device *devices[BROKER_MOVES_MAX];
        unsigned n;
        Ask asks[2 * BROKER_MOVES_MAX];
        unsigned n_asks;
} Scope;

static void scopep(Scope **scope) {
        if (!*scope)
                return;
        for (unsigned i = 0; i < (*scope)->n_asks; i++)
                ask_done(&(*scope)->asks[i]);
        free(*scope);
}

static int scope_ask(Scope *scope, Server *server, const char *action, const Device *device, bool asked) {
        Ask *ask = &scope->asks[scope->n_asks++];
        int r;

        r = ask_about(ask, action, device_id(device), device->generation);
        return r < 0 || asked ? r : details_of_device(ask, server, device);
}

/* 1: go on. 0: the handler must return 1. The device itself is asked about in any case. */
static int scope_check(Server *server, sd_bus_message *m, Scope *scope, const Device *device, bool steal,
                       Sender *ret_sender, sd_bus_error *error) {
        bool asked = authorizer_has_asked(server_authorizer(server), m);
        int r;

        if (scope->n == 0)
                scope->devices[scope->n++] = device;
        for (unsigned i = 0; i < scope->n; i++) {
                r = scope_ask(scope, server, VFB_ACTION_BIND, scope->devices[i], asked);
                if (r >= 0 && steal)
                        r = scope_ask(scope, server, VFB_ACTION_STEAL, scope->devices[i], asked);
                if (r < 0)
                        return r;
        }
        return authorizer_check(server_authorizer(server), m, scope->asks, scope->n_asks, ret_sender, error);
}

int device_change_begun(Server *server, sd_bus_message *m, int r, Findings *findings, const Sender *sender,
                        sd_bus_error *error) {
        const Device *device;

        if (r != 0)
                r = bus_refuse_finding(error, r, findings_first_error(findings));
        findings_done(findings);
        if (r == 0)
                return 1;

        device = device_of_path(server_broker(server), sd_bus_message_get_path(m));
        if (device)
                bus_log_refused(sender->uid, device_id(device), error);
        return r;
}

/* From here on the answer is the broker's. @bind NULL: a restore. */
static int bind_start(Server *server, sd_bus_message *m, const Device *device, const BrokerBind *bind,
                      const Sender *sender, sd_bus_error *error) {
        _cleanup_(operation_freep) Operation *operation = NULL;
        Broker *broker = server_broker(server);
        Findings findings = {};
        int r;

        r = operation_new(&operation, server, m, sender->uid);
        if (r < 0)
                return r;

        r = bind ? broker_bind(broker, device, bind, &findings, operation_on_done, operation)
                 : broker_give_back(broker, device, sender->uid, &findings, operation_on_done, operation);
        if (r == 0)
                TAKE_PTR(operation);
        return device_change_begun(server, m, r, &findings, sender, error);
}

static int bind_read(sd_bus_message *m, BrokerBind *ret, sd_bus_error *error) {
        const char *companions = "auto", *on_host_use = "refuse";
        int r;

        r = sd_bus_message_read(m, "s", &ret->driver);
        if (r < 0)
                return r;
        r = options_read(m, (Option[]){ { "companions", &companions }, { "on-host-use", &on_host_use } }, 2, error);
        if (r >= 0)
                r = companions_parse(companions, &ret->companions, error);
        if (r >= 0)
                r = on_host_use_parse(on_host_use, &ret->steal, error);
        return r;
}

int on_host_use_parse(const char *name, bool *ret_steal, sd_bus_error *error) {
        *ret_steal = strcmp(name, "steal") == 0;
        if (*ret_steal || strcmp(name, "refuse") == 0)
                return 0;
        return option_refuse(error, "on-host-use", "is none of refuse, steal");
}

int companions_parse(const char *name, BrokerCompanions *ret, sd_bus_error *error) {
        if (strcmp(name, "auto") == 0)
                *ret = BROKER_COMPANIONS_AUTO;
        else if (strcmp(name, "include") == 0)
                *ret = BROKER_COMPANIONS_INCLUDE;
        else if (strcmp(name, "refuse") == 0)
                *ret = BROKER_COMPANIONS_REFUSE;
        else
                return option_refuse(error, "companions", "is none of auto, include, refuse");
        return 0;
}

int device_method_bind(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(scopep) Scope *scope = calloc(1, sizeof(*scope));
        Server *server = userdata;
        BrokerBind bind = {};
        const Device *device;
        Sender sender;
        int r;

        if (!scope)
                return -ENOMEM;
        r = bind_read(m, &bind, error);
        if (r < 0)
                return r;
        r = flags_read_none(m, error);
        if (r < 0)
                return r;
        device = device_of_path(server_broker(server), sd_bus_message_get_path(m));
        if (!device)
                return bus_refuse(error, VFB_ERROR_DEVICE_GONE, NULL);

        scope->n = broker_bind_scope(device, scope->devices);
        r = scope_check(server, m, scope, device, bind.steal, &sender, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        bind.uid = sender.uid;
        return bind_start(server, m, device, &bind, &sender, error);
}

int device_method_restore(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(scopep) Scope *scope = calloc(1, sizeof(*scope));
        Server *server = userdata;
        const Device *device;
        Sender sender;
        int r;

        if (!scope)
                return -ENOMEM;
        r = flags_read_none(m, error);
        if (r < 0)
                return r;
        device = device_of_path(server_broker(server), sd_bus_message_get_path(m));
        if (!device)
                return bus_refuse(error, VFB_ERROR_DEVICE_GONE, NULL);

        scope->n = broker_restore_scope(device, scope->devices);
        r = scope_check(server, m, scope, device, /* steal= */ false, &sender, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        return bind_start(server, m, device, NULL, &sender, error);
}

int device_property_host_uses(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Device *device = device_of_path(server_broker(userdata), path);
        BrokerUse uses[BROKER_USES_MAX];
        unsigned n;
        int r;

        if (!device)
                return -ENOENT;

        n = broker_host_uses(server_broker(userdata), device, uses);
        r = sd_bus_message_open_container(m, 'a', "(ss)");
        for (unsigned i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(m, "(ss)", uses[i].kind, uses[i].text);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}
