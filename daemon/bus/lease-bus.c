/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Leases on the bus */

#include <string.h>
#include <systemd/sd-bus.h>

#include "broker.h"
#include "bus/acquire-bus.h"
#include "bus/append.h"
#include "bus/holders-bus.h"
#include "bus/lease-access.h"
#include "bus/lease-bus.h"
#include "bus/memory-bus.h"
#include "bus/operation.h"
#include "bus/options.h"
#include "bus/paths.h"
#include "bus/refuse.h"
#include "bus/revoke-bus.h"
#include "bus/server.h"
#include "errors.h"
#include "names.h"

#define OFFER_USEC_DEFAULT (UINT64_C(5) * 60 * 1000000)
#define OFFER_USEC_MAX     (UINT64_C(24) * 3600 * 1000000)

static int lease_find_object(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                             sd_bus_error *error) {
        return path_found(lease_of_path(server_broker(userdata), path), userdata, ret_found);
}

static int lease_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        const LeaseList *leases = broker_leases(server_broker(userdata));
        char path[PATH_MAX_BYTES];
        const Lease *lease;
        Paths paths;

        paths_begin(&paths, leases->n);
        TAILQ_FOREACH(lease, &leases->queue, all) {
                path_of_lease(lease, path);
                paths_add(&paths, path);
        }
        return paths_end(&paths, ret);
}

static int get_fds_on_done(int r, const Finding *why, const Lease *lease, int lifeline, const BrokerFds *fds,
                           void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(operation_freep) Operation *operation = userdata;

        if (r != 0)
                return operation_refuse(operation, r, why);

        r = sd_bus_message_new_method_return(operation->m, &reply);
        if (r >= 0)
                r = append_fds(reply, fds);
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", fds->complete);
        if (r >= 0)
                r = sd_bus_message_send(reply);
        if (r < 0)
                sd_bus_reply_method_errno(operation->m, r, NULL);
        return r;
}

static int get_fds_start(Server *server, sd_bus_message *m, const Lease *lease, char **roles, sd_bus_error *error) {
        _cleanup_(operation_freep) Operation *operation = NULL;
        unsigned n = 0;
        int r;

        while (roles && roles[n])
                n++;

        r = operation_new(&operation, server, m, lease->user->uid);
        if (r < 0)
                return r;

        r = broker_get_fds(server_broker(server), lease, (const char *const *) roles, n, get_fds_on_done, operation);
        if (r != 0)
                return bus_refuse_descriptors(error, r, lease);

        TAKE_PTR(operation);
        return 1;
}

static int lease_method_get_fds(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        char **roles = NULL;
        Server *server = userdata;
        const Lease *lease;
        int r;

        r = sd_bus_message_read_strv(m, &roles);
        if (r < 0)
                return r;

        r = flags_read_none(m, error);
        if (r >= 0)
                r = lease_for_holder(server, m, &lease, error);
        if (r > 0)
                r = get_fds_start(server, m, lease, roles, error);
        else if (r == 0)
                r = 1; /* runs again */

        for (char **role = roles; role && *role; role++)
                free(*role);
        free(roles);
        return r;
}

static int lease_method_release(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Server *server = userdata;
        const Lease *lease;
        Sender sender;
        int r;

        r = flags_read_none(m, error);
        if (r < 0)
                return r;

        r = lease_for_action(server, m, VFB_ACTION_REVOKE, &lease, &sender, error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1;

        /* The answer comes last: by then it is written down, and no death of ours can take it back. */
        broker_release(server_broker(server), lease, LEASE_END_RELEASED);
        return sd_bus_reply_method_return(m, NULL);
}

static int lease_method_renew(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Server *server = userdata;
        uint64_t duration_usec;
        const Lease *lease;
        int r;

        r = sd_bus_message_read(m, "t", &duration_usec);
        if (r < 0)
                return r;
        if (duration_usec > TERM_USEC_MAX)
                return bus_refuse(error, VFB_ERROR_INVALID_ARGS, "the time is longer than a hundred years");

        r = lease_for_holder(server, m, &lease, error);
        if (r < 0)
                return r;
        if (r == 0)
                return 1;

        r = broker_renew(server_broker(server), lease, duration_usec);
        if (r != 0)
                return bus_refuse(error, r, lease->id);

        return sd_bus_reply_method_return(m, "t", broker_lease_expires_usec(lease));
}

static int offer_check(uint32_t uid, int pidfd, uint64_t timeout_usec, sd_bus_error *error) {
        pid_t pid;

        if ((uid == (uint32_t) -1) == (pidfd < 0))
                return option_refuse(error, "uid", "or \"pidfd\" must be there, and not both");
        if (pidfd >= 0 && (pidfd_check(pidfd) < 0 || pidfd_pid(pidfd, &pid) < 0))
                return option_refuse(error, "pidfd", "is no pidfd of a process that lives");
        if (timeout_usec == 0 || timeout_usec > OFFER_USEC_MAX)
                return option_refuse(error, "timeout-usec", "is not between nothing and a day");
        return 0;
}

static int lease_method_offer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        uint64_t timeout_usec = OFFER_USEC_DEFAULT;
        char token[OFFER_TOKEN_MAX];
        Server *server = userdata;
        uint32_t uid = (uint32_t) -1;
        const Lease *lease;
        int r, pidfd = -EBADF;

        r = options_read(m,
                         (Option[]){ { "uid", .small = &uid },
                                     { "pidfd", .fd = &pidfd },
                                     { "timeout-usec", .number = &timeout_usec } },
                         3, error);
        if (r < 0)
                return r;

        r = lease_for_holder(server, m, &lease, error);
        if (r == 0)
                return 1;
        if (r > 0)
                r = offer_check(uid, pidfd, timeout_usec, error);
        if (r < 0)
                return r;

        r = broker_offer(server_broker(server), lease, uid, pidfd, timeout_usec, token);
        if (r != 0)
                return bus_refuse(error, r, lease->id);

        r = sd_bus_reply_method_return(m, "s", token);
        explicit_bzero(token, sizeof(token));
        return r;
}

static int lease_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Lease *lease = lease_of_path(server_broker(userdata), path);

        if (!lease)
                return -ENOENT;

        if (strcmp(property, "Id") == 0)
                return sd_bus_message_append(m, "s", lease->id);
        if (strcmp(property, "State") == 0)
                return sd_bus_message_append(m, "s", lease_state_name(lease->state));
        if (strcmp(property, "Label") == 0)
                return sd_bus_message_append(m, "s", lease_label(lease));
        if (strcmp(property, "Mode") == 0)
                return sd_bus_message_append(m, "s", lease_mode_name(lease->mode));
        if (strcmp(property, "BoundTo") == 0)
                return sd_bus_message_append(m, "s", lease_bond_name(lease->bond));
        if (strcmp(property, "Restore") == 0)
                return sd_bus_message_append(m, "s", origin_restore_name(lease->restore));
        if (strcmp(property, "Unit") == 0)
                return sd_bus_message_append(m, "s", lease->unit ?: "");
        if (strcmp(property, "Tainted") == 0)
                return append_words(m, lease_is_noiommu(lease) ? "noiommu" : "");
        if (strcmp(property, "Uid") == 0)
                return sd_bus_message_append(m, "u", (uint32_t) lease->user->uid);
        if (strcmp(property, "Pid") == 0)
                return sd_bus_message_append(m, "u", (uint32_t) lease->pid);
        if (strcmp(property, "CreatedUSec") == 0)
                return sd_bus_message_append(m, "t", lease->created_usec);
        if (strcmp(property, "ExpiresUSec") == 0)
                return sd_bus_message_append(m, "t", broker_lease_expires_usec(lease));
        return -EINVAL;
}

static int lease_property_devices(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Lease *lease = lease_of_path(server_broker(userdata), path);
        int r;

        if (!lease)
                return -ENOENT;

        r = sd_bus_message_open_container(m, 'a', "o");
        for (unsigned i = 0; r >= 0 && i < lease->n_devices; i++)
                if (lease->devices[i].device) /* otherwise it has gone, and so has its object */
                        r = append_device(m, lease->devices[i].device);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static const sd_bus_vtable lease_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("GetFds",
                                SD_BUS_ARGS("as", roles, "t", flags),
                                SD_BUS_RESULT("a(sha{sv})", fds, "b", complete),
                                lease_method_get_fds,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("MapMemory",
                                SD_BUS_ARGS("h", memfd, "t", offset, "t", size, "t", iova, "t", flags),
                                SD_BUS_NO_RESULT,
                                lease_method_map_memory,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("UnmapMemory",
                                SD_BUS_ARGS("t", iova, "t", size),
                                SD_BUS_NO_RESULT,
                                lease_method_unmap_memory,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListHolders",
                                SD_BUS_ARGS("t", flags),
                                SD_BUS_RESULT("a(us)", holders),
                                lease_method_list_holders,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Release",
                                SD_BUS_ARGS("t", flags),
                                SD_BUS_NO_RESULT,
                                lease_method_release,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Renew",
                                SD_BUS_ARGS("t", duration_usec),
                                SD_BUS_RESULT("t", expires_usec),
                                lease_method_renew,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_METHOD_WITH_ARGS("Offer",
                                SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("s", token),
                                lease_method_offer,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_SIGNAL_WITH_ARGS("Expiring", SD_BUS_ARGS("t", expires_usec), 0),
        SD_BUS_METHOD_WITH_ARGS("RevokeComplete",
                                SD_BUS_NO_ARGS,
                                SD_BUS_NO_RESULT,
                                lease_method_revoke_complete,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_SIGNAL_WITH_ARGS("RevokeRequested", SD_BUS_ARGS("s", reason, "t", deadline_usec), 0),
        SD_BUS_SIGNAL_WITH_ARGS("DeviceGone", SD_BUS_ARGS("o", device, "s", cause), 0),

        SD_BUS_PROPERTY("Id", "s", lease_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", lease_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Label", "s", lease_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Mode", "s", lease_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("BoundTo", "s", lease_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Unit", "s", lease_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Restore", "s", lease_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Tainted", "as", lease_property, 0, 0),
        SD_BUS_PROPERTY("Devices", "ao", lease_property_devices, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Uid", "u", lease_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Pid", "u", lease_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("CreatedUSec", "t", lease_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("RevokeSteps", "as", lease_property_revoke_steps, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ExpiresUSec", "t", lease_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),

        SD_BUS_VTABLE_END
};

int lease_register(Server *server) {
        int r;

        r = sd_bus_add_fallback_vtable(server_bus(server), NULL, VFB_PATH_LEASE, VFB_INTERFACE_LEASE, lease_vtable,
                                       lease_find_object, server);
        if (r < 0)
                return r;

        return sd_bus_add_node_enumerator(server_bus(server), NULL, VFB_PATH_LEASE, lease_enumerate, server);
}

void lease_emit_changed(Server *server, const Lease *lease) {
        char path[PATH_MAX_BYTES];

        path_of_lease(lease, path);
        sd_bus_emit_properties_changed(server_bus(server), path, VFB_INTERFACE_LEASE, "State", NULL);
}

void lease_emit_renewed(Server *server, const Lease *lease) {
        char path[PATH_MAX_BYTES];

        path_of_lease(lease, path);
        sd_bus_emit_properties_changed(server_bus(server), path, VFB_INTERFACE_LEASE, "ExpiresUSec", NULL);
}

void lease_emit_moved(Server *server, const Lease *lease) {
        char path[PATH_MAX_BYTES];

        path_of_lease(lease, path);
        sd_bus_emit_properties_changed(server_bus(server), path, VFB_INTERFACE_LEASE, "BoundTo", "Unit", "Uid", "Pid",
                                       NULL);
}

/* A signal to the holder alone, without its arguments. */
static int lease_new_signal(Server *server, const Lease *lease, const char *signal, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char path[PATH_MAX_BYTES];
        int r;

        path_of_lease(lease, path);
        r = sd_bus_message_new_signal(server_bus(server), &m, path, VFB_INTERFACE_LEASE, signal);
        if (r >= 0)
                r = sd_bus_message_set_destination(m, lease->sender);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(m);
        return 0;
}

void lease_emit_expiring(Server *server, const Lease *lease) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (lease_new_signal(server, lease, "Expiring", &m) >= 0 &&
            sd_bus_message_append(m, "t", broker_lease_expires_usec(lease)) >= 0)
                sd_bus_send(server_bus(server), m, NULL);
}

void lease_emit_revoke_requested(Server *server, const Lease *lease, const char *reason, uint64_t deadline_usec) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (lease_new_signal(server, lease, "RevokeRequested", &m) >= 0 &&
            sd_bus_message_append(m, "st", reason, deadline_usec) >= 0)
                sd_bus_send(server_bus(server), m, NULL);
}

void lease_emit_device_gone(Server *server, const Lease *lease, const Device *device, const char *cause) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char path[PATH_MAX_BYTES], device_path[PATH_MAX_BYTES];

        path_of_device(device, device_path);
        if (lease_new_signal(server, lease, "DeviceGone", &m) >= 0 &&
            sd_bus_message_append(m, "os", device_path, cause) >= 0)
                sd_bus_send(server_bus(server), m, NULL);

        path_of_lease(lease, path);
        sd_bus_emit_properties_changed(server_bus(server), path, VFB_INTERFACE_LEASE, "Devices", NULL);
}
