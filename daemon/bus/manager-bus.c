/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Manager on the bus: the inventory */

#include <systemd/sd-bus.h>

#include "broker.h"
#include "bus/acquire-bus.h"
#include "bus/append.h"
#include "bus/claim-bus.h"
#include "bus/manager-bus.h"
#include "bus/options.h"
#include "bus/paths.h"
#include "bus/pools-bus.h"
#include "bus/refuse.h"
#include "bus/revoke-bus.h"
#include "bus/server.h"
#include "config.h"
#include "errors.h"
#include "names.h"

static int append_device_row(sd_bus_message *m, const Device *device) {
        Findings findings = {};
        const Finding *why;
        char path[PATH_MAX_BYTES];
        int r;

        r = broker_device_findings(device, &findings);
        if (r >= 0) {
                why = findings_first_error(&findings);
                path_of_device(device, path);
                r = sd_bus_message_append(m, "(sosss)", device_id(device), path, device->facts.driver,
                                          broker_availability(device), why ? why->text : "");
        }
        findings_done(&findings);
        return r;
}

static int append_matching(sd_bus_message *m, Broker *broker, const char *selector) {
        unsigned n, max = broker_devices(broker)->n;
        _cleanup_(freep) const Device **devices = NULL;
        int r;

        devices = calloc(max + 1, sizeof(*devices));
        if (!devices)
                return -ENOMEM;

        r = broker_select(broker, selector, devices, max, &n);
        if (r != 0)
                return r;

        for (unsigned i = 0; r >= 0 && i < n; i++)
                r = append_device_row(m, devices[i]);
        return r < 0 ? r : 0;
}

static int append_all(sd_bus_message *m, Broker *broker) {
        const Device *device;
        int r = 0;

        TAILQ_FOREACH(device, &broker_devices(broker)->queue, all) {
                r = append_device_row(m, device);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int manager_method_list_devices(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Broker *broker = server_broker(userdata);
        const char *selector = NULL;
        int r;

        r = options_read(m, (Option[]){ { "selector", &selector } }, 1, error);
        if (r < 0)
                return r;
        r = flags_read_none(m, error);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(sosss)");
        if (r < 0)
                return r;
        r = selector ? append_matching(reply, broker, selector) : append_all(reply, broker);
        if (r != 0)
                return bus_refuse(error, r, selector);
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;

        return sd_bus_message_send(reply);
}

static int append_group_row(sd_bus_message *m, const Group *group) {
        const Device *device;
        char path[PATH_MAX_BYTES];
        int r;

        r = sd_bus_message_open_container(m, 'r', "uobas");
        if (r < 0)
                return r;

        path_of_group(group, path);
        r = sd_bus_message_append(m, "uob", group->number, path, !group_first_blocker(group));
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        TAILQ_FOREACH(device, &group->devices, siblings)
                if (r >= 0)
                        r = sd_bus_message_append(m, "s", device_id(device));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int manager_method_list_groups(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Broker *broker = server_broker(userdata);
        const Group *group;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(uobas)");
        TAILQ_FOREACH(group, &broker_groups(broker)->queue, all)
                if (r >= 0)
                        r = append_group_row(reply, group);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;

        return sd_bus_message_send(reply);
}

static int append_lease_row(sd_bus_message *m, const Lease *lease) {
        char path[PATH_MAX_BYTES];

        path_of_lease(lease, path);
        return sd_bus_message_append(m, "(soussut)", lease->id, path, (uint32_t) lease->user->uid, lease_label(lease),
                                     lease_state_name(lease->state), lease->n_devices,
                                     broker_lease_expires_usec(lease));
}

static int manager_method_list_leases(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Broker *broker = server_broker(userdata);
        const Lease *lease;
        int r;

        r = flags_read_none(m, error);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(soussut)");
        TAILQ_FOREACH(lease, &broker_leases(broker)->queue, all)
                if (r >= 0)
                        r = append_lease_row(reply, lease);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;

        return sd_bus_message_send(reply);
}

static int refuse_missing(Broker *broker, const char *selector, sd_bus_error *error) {
        Findings findings = {};
        const Finding *why;
        int r;

        r = broker_find_unlisted(broker, selector, &findings);
        why = findings_first_error(&findings);
        if (r >= 0)
                r = why ? bus_refuse_finding(error, (int) why->error, why)
                        : bus_refuse(error, VFB_ERROR_NO_SUCH_DEVICE, selector);
        findings_done(&findings);
        return r;
}

static int manager_method_get_device(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        char path[PATH_MAX_BYTES];
        const Device *device;
        const char *selector;
        unsigned n;
        int r;

        r = sd_bus_message_read(m, "s", &selector);
        if (r < 0)
                return r;

        r = broker_select(server_broker(userdata), selector, &device, 1, &n);
        if (r == 0 && n == 0)
                return refuse_missing(server_broker(userdata), selector, error);
        if (r == 0 && n > 1)
                r = VFB_ERROR_AMBIGUOUS_SELECTOR;
        if (r != 0)
                return bus_refuse(error, r, selector);

        path_of_device(device, path);
        return sd_bus_reply_method_return(m, "o", path);
}

static int manager_method_get_lease(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        char path[PATH_MAX_BYTES];
        const Lease *lease;
        const char *id;
        int r;

        r = sd_bus_message_read(m, "s", &id);
        if (r < 0)
                return r;

        lease = broker_find_lease(server_broker(userdata), id);
        if (!lease)
                return bus_refuse(error, VFB_ERROR_NO_SUCH_LEASE, id);

        path_of_lease(lease, path);
        return sd_bus_reply_method_return(m, "o", path);
}

static int manager_property_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                                    sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(m, "s", PROJECT_VERSION);
}

static int manager_property_features(sd_bus *bus, const char *path, const char *interface, const char *property,
                                     sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return append_words(m, "mode:auto mode:legacy mode:legacy-raw mode:mediated option:mode option:label "
                               "option:lifetime lifetime:lifeline lifetime:bus lifetime:pidfd lifetime:unit "
                               "option:pidfd option:unit option:duration-usec option:reset "
                               "option:companions option:on-host-use option:restore option:near-cpu selector:pool "
                               "flag:one-time device-option:vf-token");
}

static int manager_property_backends(sd_bus *bus, const char *path, const char *interface, const char *property,
                                     sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return append_words(m, broker_has_legacy(server_broker(userdata)) ? "legacy" : "");
}

static int manager_property_kinds(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return append_words(m, "pci platform mdev ap ccw fsl-mc cdx amba");
}

static int manager_property_tainted(sd_bus *bus, const char *path, const char *interface, const char *property,
                                    sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const char *const taints[] = { "noiommu", "unsafe-interrupts", "acs-override" };
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; r >= 0 && i < sizeof(taints) / sizeof(*taints); i++)
                if (broker_is_tainted(server_broker(userdata), taints[i]))
                        r = sd_bus_message_append(m, "s", taints[i]);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static int manager_property_n_leases(sd_bus *bus, const char *path, const char *interface, const char *property,
                                     sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(m, "u", broker_leases(server_broker(userdata))->n);
}

static int manager_property_leases_max(sd_bus *bus, const char *path, const char *interface, const char *property,
                                       sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(m, "u", broker_config(server_broker(userdata))->leases_max);
}

static int manager_property_leases_per_user_max(sd_bus *bus, const char *path, const char *interface,
                                                const char *property, sd_bus_message *m, void *userdata,
                                                sd_bus_error *error) {
        return sd_bus_message_append(m, "u", broker_config(server_broker(userdata))->leases_per_user_max);
}

static int manager_property_lease_duration_max(sd_bus *bus, const char *path, const char *interface,
                                               const char *property, sd_bus_message *m, void *userdata,
                                               sd_bus_error *error) {
        uint64_t sec = broker_config(server_broker(userdata))->lease_duration_max_sec;

        return sd_bus_message_append(m, "t", sec * 1000000);
}

static int manager_property_revoke_delay_max(sd_bus *bus, const char *path, const char *interface,
                                             const char *property, sd_bus_message *m, void *userdata,
                                             sd_bus_error *error) {
        return sd_bus_message_append(
                m, "t", (uint64_t) broker_config(server_broker(userdata))->revoke_delay_max_sec * 1000000);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("ListDevices",
                                SD_BUS_ARGS("a{sv}", filter, "t", flags),
                                SD_BUS_RESULT("a(sosss)", devices),
                                manager_method_list_devices,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListGroups",
                                SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(uobas)", groups),
                                manager_method_list_groups,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListLeases",
                                SD_BUS_ARGS("t", flags),
                                SD_BUS_RESULT("a(soussut)", leases),
                                manager_method_list_leases,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetDevice",
                                SD_BUS_ARGS("s", selector),
                                SD_BUS_RESULT("o", device),
                                manager_method_get_device,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetLease",
                                SD_BUS_ARGS("s", id),
                                SD_BUS_RESULT("o", lease),
                                manager_method_get_lease,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Explain",
                                SD_BUS_ARGS("a(sa{sv})", wants, "a{sv}", options),
                                SD_BUS_RESULT("b", ok, "a(ssssa{sv})", findings),
                                manager_method_explain,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Acquire",
                                SD_BUS_ARGS("a(sa{sv})", wants, "a{sv}", options, "t", flags),
                                SD_BUS_RESULT("o", lease, "h", lifeline, "a(sha{sv})", fds, "b", complete),
                                manager_method_acquire,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_METHOD_WITH_ARGS("Revoke",
                                SD_BUS_ARGS("s", id, "s", reason, "t", grace_usec, "t", flags),
                                SD_BUS_NO_RESULT,
                                manager_method_revoke,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_METHOD_WITH_ARGS("Claim",
                                SD_BUS_ARGS("s", token, "a{sv}", options, "t", flags),
                                SD_BUS_RESULT("o", lease, "h", lifeline, "a(sha{sv})", fds, "b", complete),
                                manager_method_claim,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_SIGNAL_WITH_ARGS("LeaseNew", SD_BUS_ARGS("s", id, "o", lease), 0),
        SD_BUS_SIGNAL_WITH_ARGS("LeaseRemoved", SD_BUS_ARGS("s", id, "o", lease, "s", reason), 0),
        SD_BUS_SIGNAL_WITH_ARGS("DeviceNew", SD_BUS_ARGS("s", id, "o", device), 0),
        SD_BUS_SIGNAL_WITH_ARGS("DeviceRemoved", SD_BUS_ARGS("s", id, "o", device), 0),

        SD_BUS_PROPERTY("Version", "s", manager_property_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Features", "as", manager_property_features, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Backends", "as", manager_property_backends, 0, 0),
        SD_BUS_PROPERTY("DeviceKinds", "as", manager_property_kinds, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Tainted", "as", manager_property_tainted, 0, 0),
        SD_BUS_PROPERTY("Pools", "a(sassu)", manager_property_pools, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("NLeases", "u", manager_property_n_leases, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LeasesMax", "u", manager_property_leases_max, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("LeasesPerUserMax", "u", manager_property_leases_per_user_max, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("LeaseDurationMaxUSec", "t", manager_property_lease_duration_max, 0,
                        SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("RevokeDelayMaxUSec", "t", manager_property_revoke_delay_max, 0, SD_BUS_VTABLE_PROPERTY_CONST),

        SD_BUS_VTABLE_END
};

int manager_register(Server *server) {
        return sd_bus_add_object_vtable(server_bus(server), NULL, VFB_PATH, VFB_INTERFACE_MANAGER, manager_vtable,
                                        server);
}

void manager_emit_device(Server *server, const char *signal, const Device *device) {
        char path[PATH_MAX_BYTES];

        path_of_device(device, path);
        sd_bus_emit_signal(server_bus(server), VFB_PATH, VFB_INTERFACE_MANAGER, signal, "so", device_id(device), path);
}

void manager_emit_lease_new(Server *server, const Lease *lease) {
        char path[PATH_MAX_BYTES];

        path_of_lease(lease, path);
        sd_bus_emit_signal(server_bus(server), VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseNew", "so", lease->id, path);
}

void manager_emit_n_leases(Server *server) {
        sd_bus_emit_properties_changed(server_bus(server), VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases", NULL);
}

void manager_emit_lease_removed(Server *server, const Lease *lease) {
        char path[PATH_MAX_BYTES];

        path_of_lease(lease, path);
        sd_bus_emit_signal(server_bus(server), VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseRemoved", "sos", lease->id,
                           path, lease_end_name(lease->end));
}
