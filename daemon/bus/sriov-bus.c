/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions on the bus */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "broker.h"
#include "bus/append.h"
#include "bus/authorizer.h"
#include "bus/bind-bus.h"
#include "bus/details.h"
#include "bus/operation.h"
#include "bus/options.h"
#include "bus/paths.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "bus/sriov-bus.h"
#include "errors.h"
#include "names.h"

struct FunctionWatch {
        Server *server;
        sd_event_source *source;   /* NULL: there is nothing to tell */
        char path[PATH_MAX_BYTES]; /* of the PF that it is about */
};

static int sriov_find_object(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                             sd_bus_error *error) {
        Broker *broker = server_broker(userdata);
        const Device *device = device_of_path(broker, path);

        return path_found(device && broker_device_is_pf(broker, device), userdata, ret_found);
}

static int append_functions(sd_bus_message *m, Broker *broker, const Device *device) {
        _cleanup_(freep) const Device **functions = NULL;
        int n, r;

        n = broker_list_functions(broker, device, &functions);
        if (n < 0)
                return n;

        r = sd_bus_message_open_container(m, 'a', "o");
        for (int i = 0; r >= 0 && i < n; i++)
                r = append_device(m, functions[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* They are devices by now. */
static int sriov_reply(Operation *operation) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Broker *broker = server_broker(operation->server);
        const Device *device = device_of_path(broker, sd_bus_message_get_path(operation->m));
        int r;

        if (!device)
                return -ENODEV;

        r = sd_bus_message_new_method_return(operation->m, &reply);
        if (r >= 0)
                r = append_functions(reply, broker, device);
        if (r < 0)
                return r;

        r = sd_bus_send(NULL, reply, NULL);
        return r < 0 ? r : 0;
}

static void sriov_on_done(int r, const Finding *why, void *userdata) {
        _cleanup_(operation_freep) Operation *operation = userdata;

        if (r == 0)
                r = sriov_reply(operation);
        if (r == -ENODEV)
                r = VFB_ERROR_DEVICE_GONE;
        if (r != 0)
                (void) operation_refuse(operation, r, why);
}

/* From here on the answer is the broker's. */
static int sriov_start(Server *server, sd_bus_message *m, const Device *device, const BrokerFunctions *wish,
                       const Sender *sender, sd_bus_error *error) {
        _cleanup_(operation_freep) Operation *operation = NULL;
        Findings findings = {};
        int r;

        r = operation_new(&operation, server, m, sender->uid);
        if (r < 0)
                return r;

        r = broker_set_functions(server_broker(server), device, wish, &findings, sriov_on_done, operation);
        if (r == 0)
                TAKE_PTR(operation);
        return device_change_begun(server, m, r, &findings, sender, error);
}

static int sriov_method_set(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BrokerFunctions wish = { .autoprobe = -1 };
        Server *server = userdata;
        const Device *device;
        Sender sender;
        Ask ask = {};
        int r;

        r = sd_bus_message_read(m, "u", &wish.count);
        if (r < 0)
                return r;
        r = options_read(m, (Option[]){ { "autoprobe", .yes = &wish.autoprobe } }, 1, error);
        if (r < 0)
                return r;
        r = flags_read_none(m, error);
        if (r < 0)
                return r;
        device = device_of_path(server_broker(server), sd_bus_message_get_path(m));
        if (!device)
                return bus_refuse(error, VFB_ERROR_DEVICE_GONE, NULL);

        r = ask_about(&ask, VFB_ACTION_SRIOV, device_id(device), device->generation);
        if (r >= 0)
                r = details_of_device(&ask, server, device);
        if (r >= 0)
                r = authorizer_check(server_authorizer(server), m, &ask, 1, &sender, error);
        ask_done(&ask);
        if (r <= 0)
                return r < 0 ? r : 1;

        wish.uid = sender.uid;
        return sriov_start(server, m, device, &wish, &sender, error);
}

static int sriov_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Broker *broker = server_broker(userdata);
        const Device *device = device_of_path(broker, path);

        if (!device)
                return -ENOENT;

        if (strcmp(property, "Total") == 0)
                return sd_bus_message_append(m, "u", broker_functions_total(broker, device));
        if (strcmp(property, "Current") == 0)
                return sd_bus_message_append(m, "u", broker_functions_current(broker, device));
        return append_functions(m, broker, device);
}

/* Only that they have changed: of each of many functions that come at once all would have to be told. */
static const sd_bus_vtable sriov_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("SetVirtualFunctions",
                                SD_BUS_ARGS("u", count, "a{sv}", options, "t", flags),
                                SD_BUS_RESULT("ao", functions),
                                sriov_method_set,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_PROPERTY("Total", "u", sriov_property, 0, 0),
        SD_BUS_PROPERTY("Current", "u", sriov_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
        SD_BUS_PROPERTY("Functions", "ao", sriov_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),

        SD_BUS_VTABLE_END
};

int sriov_register(Server *server) {
        return sd_bus_add_fallback_vtable(server_bus(server), NULL, VFB_PATH_DEVICE, VFB_INTERFACE_SRIOV, sriov_vtable,
                                          sriov_find_object, server);
}

static void function_watch_tell(FunctionWatch *watch) {
        watch->source = sd_event_source_disable_unref(watch->source);
        (void) sd_bus_emit_properties_changed(server_bus(watch->server), watch->path, VFB_INTERFACE_SRIOV, "Current",
                                              "Functions", NULL);
}

static int function_watch_on_idle(sd_event_source *source, void *userdata) {
        function_watch_tell(userdata);
        return 0;
}

int function_watch_new(FunctionWatch **ret, Server *server) {
        FunctionWatch *watch;

        watch = calloc(1, sizeof(*watch));
        if (!watch)
                return -ENOMEM;

        watch->server = server;
        *ret = watch;
        return 0;
}

FunctionWatch *function_watch_free(FunctionWatch *watch) {
        if (!watch)
                return NULL;

        sd_event_source_disable_unref(watch->source);
        free(watch);
        return NULL;
}

void function_watch_touch(FunctionWatch *watch, const Device *device) {
        const Device *pf = broker_device_pf(server_broker(watch->server), device);
        sd_event *event = sd_bus_get_event(server_bus(watch->server));
        char path[PATH_MAX_BYTES];

        if (!pf)
                return;

        path_of_device(pf, path);
        if (watch->source && strcmp(watch->path, path) == 0)
                return;
        if (watch->source)
                function_watch_tell(watch);

        strcpy(watch->path, path);
        if (sd_event_add_defer(event, &watch->source, function_watch_on_idle, watch) < 0)
                function_watch_tell(watch);
        else
                (void) sd_event_source_set_priority(watch->source, SD_EVENT_PRIORITY_IDLE);
}
