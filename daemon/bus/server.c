/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Server */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "broker.h"
#include "bus/authorizer.h"
#include "bus/device-bus.h"
#include "bus/group-bus.h"
#include "bus/hook-run.h"
#include "bus/lease-bus.h"
#include "bus/lifetimes.h"
#include "bus/manager-bus.h"
#include "bus/operation.h"
#include "bus/paths.h"
#include "bus/pools-bus.h"
#include "bus/revoke-bus.h"
#include "bus/server.h"
#include "bus/sriov-bus.h"
#include "names.h"

/* With their groups and leases some 3 kB each at most, see tests/bench/README.md. */
#define OBJECTS_DEVICES_MAX 8192

struct Server {
        sd_bus *bus;
        Broker *broker; /* borrowed */
        Authorizer *authorizer;
        Lifetimes *lifetimes;
        HookRunner *hooks;
        PoolWatch *pools;
        FunctionWatch *functions;
        struct OperationList operations;
};

static void server_on_device_new(const Device *device, void *userdata) {
        Server *server = userdata;
        char path[PATH_MAX_BYTES];

        path_of_device(device, path);
        sd_bus_emit_object_added(server->bus, path);
        manager_emit_device(server, "DeviceNew", device);
        pool_watch_touch(server->pools);
        function_watch_touch(server->functions, device);
}

static void server_on_device_removed(const Device *device, void *userdata) {
        Server *server = userdata;
        char path[PATH_MAX_BYTES];

        path_of_device(device, path);
        manager_emit_device(server, "DeviceRemoved", device);
        pool_watch_touch(server->pools);
        sd_bus_emit_object_removed(server->bus, path);
        function_watch_touch(server->functions, device);
}

static void server_on_device_changed(const Device *device, void *userdata) {
        Server *server = userdata;

        device_emit_changed(server, device);
        if (!device->group)
                device_emit_standing(server, device);
        pool_watch_touch(server->pools);
}

static void server_on_group_new(const Group *group, void *userdata) {
        Server *server = userdata;
        char path[PATH_MAX_BYTES];

        path_of_group(group, path);
        sd_bus_emit_object_added(server->bus, path);
}

static void server_on_group_removed(const Group *group, void *userdata) {
        Server *server = userdata;
        char path[PATH_MAX_BYTES];

        path_of_group(group, path);
        sd_bus_emit_object_removed(server->bus, path);
}

static void server_on_group_changed(const Group *group, void *userdata) {
        Server *server = userdata;
        const Device *device;

        group_emit_changed(server, group);
        TAILQ_FOREACH(device, &group->devices, siblings)
                device_emit_standing(server, device);
        pool_watch_touch(server->pools);
}

static void server_on_lease_new(const Lease *lease, void *userdata) {
        Server *server = userdata;
        char path[PATH_MAX_BYTES];

        path_of_lease(lease, path);
        sd_bus_emit_object_added(server->bus, path);
        manager_emit_lease_new(server, lease);
}

static void server_on_lease_changed(const Lease *lease, void *userdata) {
        lease_emit_changed(userdata, lease);
}

static void server_on_lease_removed(const Lease *lease, void *userdata) {
        Server *server = userdata;
        char path[PATH_MAX_BYTES];

        path_of_lease(lease, path);
        manager_emit_lease_removed(server, lease);
        sd_bus_emit_object_removed(server->bus, path);
}

static void server_on_lease_revoke_requested(const Lease *lease, const char *reason, uint64_t deadline_usec,
                                             void *userdata) {
        lease_emit_revoke_requested(userdata, lease, reason, deadline_usec);
}

static void server_on_lease_stepped(const Lease *lease, void *userdata) {
        lease_emit_revoke_steps(userdata, lease);
}

static void server_on_n_leases_changed(unsigned n, void *userdata) {
        manager_emit_n_leases(userdata);
}

static void server_on_lease_expiring(const Lease *lease, void *userdata) {
        lease_emit_expiring(userdata, lease);
}

static void server_on_lease_renewed(const Lease *lease, void *userdata) {
        lease_emit_renewed(userdata, lease);
}

static void server_on_lease_moved(const Lease *lease, void *userdata) {
        lease_emit_moved(userdata, lease);
}

static void server_on_lease_lost_device(const Lease *lease, const Device *device, const char *cause, void *userdata) {
        lease_emit_device_gone(userdata, lease, device, cause);
}

static const BrokerObserver observer = {
        .device_new = server_on_device_new,
        .device_removed = server_on_device_removed,
        .device_changed = server_on_device_changed,
        .group_new = server_on_group_new,
        .group_removed = server_on_group_removed,
        .group_changed = server_on_group_changed,
        .lease_new = server_on_lease_new,
        .lease_changed = server_on_lease_changed,
        .lease_revoke_requested = server_on_lease_revoke_requested,
        .lease_stepped = server_on_lease_stepped,
        .lease_removed = server_on_lease_removed,
        .n_leases_changed = server_on_n_leases_changed,
        .lease_expiring = server_on_lease_expiring,
        .lease_renewed = server_on_lease_renewed,
        .lease_moved = server_on_lease_moved,
        .lease_lost_device = server_on_lease_lost_device,
};

/* sd-bus puts the answer together by itself, however long it gets, and the bus throws out whoever sends it more than
 * 32 MiB. All else that is told of all devices is far shorter. */
static int server_on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Server *server = userdata;
        unsigned n = broker_devices(server->broker)->n;

        if (n <= OBJECTS_DEVICES_MAX ||
            sd_bus_message_is_method_call(m, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects") <= 0)
                return 0;

        return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                 "There are %u devices, and no more than %d are told of at once; ListDevices has all",
                                 n, OBJECTS_DEVICES_MAX);
}

/* A unique name has left the bus, and whoever it was waits for nothing any more. */
static int server_on_name_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Server *server = userdata;
        const char *name, *old, *new;
        int r;

        r = sd_bus_message_read(m, "sss", &name, &old, &new);
        if (r < 0)
                return r;

        if (name[0] == ':' && !*new) {
                authorizer_forget(server->authorizer, name);
                operations_forget(server, &server->operations, name);
                lifetimes_forget_name(server->lifetimes, name);
        }
        return 0;
}

/* Descriptors that nobody has fetched yet are the bus's: it must not be ended for that. */
static int server_on_bus_pid(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Server *server = userdata;
        uint32_t pid;

        if (sd_bus_message_read(m, "u", &pid) >= 0)
                broker_spare(server->broker, (pid_t) pid);
        return 0;
}

static int server_register(Server *server) {
        int r;

        /* One rule for all names: a rule for each caller would cost four messages each, and the bus closes
         * the connection that has too many. */
        r = sd_bus_add_match(server->bus, NULL,
                             "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                             "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''",
                             server_on_name_lost, server);
        if (r < 0)
                return r;

        r = sd_bus_call_method_async(server->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "GetConnectionUnixProcessID", server_on_bus_pid, server,
                                     "s", "org.freedesktop.DBus");
        if (r < 0)
                return r;

        r = sd_bus_add_filter(server->bus, NULL, server_on_message, server);
        if (r < 0)
                return r;
        r = sd_bus_add_object_manager(server->bus, NULL, VFB_PATH);
        if (r < 0)
                return r;
        r = manager_register(server);
        if (r < 0)
                return r;
        r = device_register(server);
        if (r < 0)
                return r;
        r = sriov_register(server);
        if (r < 0)
                return r;
        r = group_register(server);
        if (r < 0)
                return r;
        return lease_register(server);
}

int server_new(Server **ret, sd_event *event, Broker *broker) {
        _cleanup_(server_freep) Server *server = NULL;
        int r;

        server = calloc(1, sizeof(*server));
        if (!server)
                return -ENOMEM;

        LIST_INIT(&server->operations);
        server->broker = broker;

        r = sd_bus_open_system_with_description(&server->bus, "vfio-brokerd");
        if (r < 0)
                return r;
        r = sd_bus_set_exit_on_disconnect(server->bus, 1);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(server->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;

        r = authorizer_new(&server->authorizer, server->bus);
        if (r < 0)
                return r;
        r = lifetimes_new(&server->lifetimes, server->bus, broker);
        if (r < 0)
                return r;
        r = hook_runner_new(&server->hooks, server->bus, broker);
        if (r < 0)
                return r;
        r = pool_watch_new(&server->pools, server);
        if (r < 0)
                return r;
        r = function_watch_new(&server->functions, server);
        if (r < 0)
                return r;
        r = server_register(server);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(server);
        return 0;
}

Server *server_free(Server *server) {
        if (!server)
                return NULL;

        while (!LIST_EMPTY(&server->operations))
                operation_free(LIST_FIRST(&server->operations));
        function_watch_free(server->functions);
        pool_watch_free(server->pools);
        hook_runner_free(server->hooks);
        lifetimes_free(server->lifetimes);
        authorizer_free(server->authorizer);
        sd_bus_flush_close_unref(server->bus);
        free(server);
        return NULL;
}

int server_publish(Server *server) {
        int r;

        broker_observe(server->broker, &observer, server);
        r = lifetimes_resume(server->lifetimes);
        if (r < 0)
                return r;

        r = sd_bus_request_name(server->bus, VFB_BUS_NAME, 0);
        if (r < 0)
                return r;

        broker_ask_again(server->broker);
        return 0;
}

Broker *server_broker(const Server *server) {
        return server->broker;
}

sd_bus *server_bus(const Server *server) {
        return server->bus;
}

Authorizer *server_authorizer(const Server *server) {
        return server->authorizer;
}

Lifetimes *server_lifetimes(const Server *server) {
        return server->lifetimes;
}

struct OperationList *server_operations(Server *server) {
        return &server->operations;
}
