/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A service that answers as the first selector says, rightly or wrongly, so that the library and the
 * command can be tried against answers that the real service does not give:
 *
 *         0000:06:0d.0     that device, and those of the other selectors; "platform:" and a name likewise
 *         many:40          forty devices, in pages
 *         refuse:Leased    org.vfiobroker1.Error.Leased
 *         slow:500         that device after 500 ms
 *         late             that device, but not before Explain is called
 *         bad:role|twice|bare|signature|path|endless|page    an answer that breaks the contract
 *         bad:container    likewise, in mode mediated
 *
 * The label "events" makes it tell of a lost device and of the end of the lease right after the answer, "revoke" that
 * the lease is to be given back. Revoke tells two steps and the end; of a lease "l-busy" that it is in vain.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "client-stub.h"
#include "names.h"

#define PAGE      15
#define LEASE     "/org/vfiobroker1/lease/l_2d1"
#define ROLES_MAX 100

/* The one lease there is at a time. */
static char *roles[ROLES_MAX];
static size_t n_roles, n_sent;
static bool endless, bad_page, removed;

static void set_roles(const char *scenario) {
        n_roles = n_sent = 0;
        endless = strcmp(scenario, "bad:endless") == 0;
        bad_page = strcmp(scenario, "bad:page") == 0;
        if (strcmp(scenario, "bad:bare") != 0)
                roles[n_roles++] = strdup("container");
}

static void add_role(const char *format, const char *tail) {
        if (n_roles < ROLES_MAX && asprintf(&roles[n_roles], format, tail) >= 0)
                n_roles++;
}

static void add_roles_of(const char *selector) {
        char id[32];

        if (strncmp(selector, "many:", 5) == 0) {
                for (int i = 0; i < atoi(selector + 5); i++) {
                        snprintf(id, sizeof(id), "0000:01:%02x.0", (unsigned) i);
                        add_role("device:%s", id);
                }
        } else if (strcmp(selector, "bad:role") == 0) {
                add_role("banana:%s", "1");
        } else if (strcmp(selector, "bad:twice") == 0) {
                add_role("device:%s", "0000:06:0d.0");
                add_role("device:%s", "0000:06:0d.0");
        } else if (strncmp(selector, "0000:", 5) == 0 || strncmp(selector, "platform:", 9) == 0) {
                add_role("device:%s", selector);
        } else {
                add_role("device:%s", "0000:06:0d.0");
        }
}

static int append_descriptors(sd_bus_message *m) {
        size_t n = n_roles - n_sent > PAGE ? PAGE : n_roles - n_sent;
        int r = sd_bus_message_open_container(m, 'a', "(sha{sv})");

        if (endless && n_sent > 0)
                n = 0;
        for (size_t i = 0; r >= 0 && i < n; i++, n_sent++) {
                int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
                bool container = strcmp(roles[n_sent], "container") == 0;

                r = sd_bus_message_append(m, "(sha{sv})", roles[n_sent], fd, 2, container ? "model" : "reset",
                                          "s", container ? "type1v2" : "flr", "later", "u", 7);
                close(fd);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "b", !endless && n_sent == n_roles);
}

static int on_lifeline(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        close(fd);
        if (removed)
                return 0;
        return sd_bus_emit_signal(userdata, VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseRemoved", "sos", "l-1",
                                  LEASE, "holder-gone");
}

static int emit_events(sd_bus *bus) {
        removed = true;
        (void) sd_bus_emit_signal(bus, LEASE, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                  "sa{sv}as", VFB_INTERFACE_LEASE, 2, "Devices", "ao", 0, "State", "s",
                                  "lingering", 0);
        (void) sd_bus_emit_signal(bus, LEASE, VFB_INTERFACE_LEASE, "DeviceGone", "os",
                                  VFB_PATH_DEVICE "/pci_30000_3a06_3a0d_2e0", "unplug");
        (void) sd_bus_emit_signal(bus, LEASE, VFB_INTERFACE_LEASE, "Expiring", "t", UINT64_C(1700000000000000));
        return sd_bus_emit_signal(bus, VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseRemoved", "sos", "l-1", LEASE,
                                  "removed");
}

static int emit_revoke(sd_bus *bus) {
        (void) sd_bus_emit_signal(bus, LEASE, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                  "sa{sv}as", VFB_INTERFACE_LEASE, 1, "State", "s", "revoking", 0);
        return sd_bus_emit_signal(bus, LEASE, VFB_INTERFACE_LEASE, "RevokeRequested", "st", "main\033[31mtenance",
                                  UINT64_C(1700000000000000));
}

static int emit_steps(sd_bus *bus, const char *last) {
        return sd_bus_emit_signal(bus, LEASE, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
                                  VFB_INTERFACE_LEASE, 1, "RevokeSteps", "as", 2, "asked: the holder has 7 s", last, 0);
}

static int answer(sd_bus_message *m, const char *scenario, const char *label) {
        sd_bus *bus = sd_bus_message_get_bus(m);
        sd_bus_message *reply = NULL;
        int r, lifeline[2];

        if (pipe2(lifeline, O_CLOEXEC) < 0)
                return -errno;
        removed = false;

        r = sd_event_add_io(sd_bus_get_event(bus), NULL, lifeline[0], 0, on_lifeline, bus);
        if (r >= 0)
                r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "oh", strcmp(scenario, "bad:path") == 0 ? "/lease/1" : LEASE,
                                          lifeline[1]);
        if (r >= 0)
                r = append_descriptors(reply);
        if (r >= 0)
                r = sd_bus_send(bus, reply, NULL);
        close(lifeline[1]);
        sd_bus_message_unref(reply);
        if (r >= 0 && strcmp(label, "events") == 0)
                r = emit_events(bus);
        if (r >= 0 && strcmp(label, "revoke") == 0)
                r = emit_revoke(bus);
        return r < 0 ? r : 1;
}

/* Reads "a(sa{sv})a{sv}t". */
static int read_wants(sd_bus_message *m, const char **ret_scenario, const char **ret_label,
                      const char **ret_mode) {
        const char *selector, *key, *value;
        int r = sd_bus_message_enter_container(m, 'a', "(sa{sv})");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sa{sv}")) > 0) {
                r = sd_bus_message_read(m, "s", &selector);
                if (!*ret_scenario)
                        set_roles(*ret_scenario = selector);
                add_roles_of(selector);
                sd_bus_message_skip(m, "a{sv}");
                sd_bus_message_exit_container(m);
        }
        sd_bus_message_exit_container(m);
        sd_bus_message_enter_container(m, 'a', "{sv}");
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                value = "";
                sd_bus_message_read(m, "s", &key);
                if (sd_bus_message_read(m, "v", "s", &value) < 0)
                        sd_bus_message_skip(m, "v");
                sd_bus_message_exit_container(m);
                if (strcmp(key, "label") == 0)
                        *ret_label = value;
                if (strcmp(key, "mode") == 0)
                        *ret_mode = value;
        }
        return sd_bus_message_exit_container(m);
}

/* What Acquire was asked for "late" */
static sd_bus_message *late;

static int method_acquire(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *scenario = NULL, *label = "", *mode = "";
        char name[64];

        if (read_wants(m, &scenario, &label, &mode) < 0)
                return -EINVAL;
        if (!scenario)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "No device");
        if (strncmp(scenario, "refuse:", 7) == 0) {
                snprintf(name, sizeof(name), "org.vfiobroker1.Error.%s", scenario + 7);
                return sd_bus_error_setf(error, name, "It is \033[31m%s", scenario + 7);
        }
        if (strncmp(scenario, "slow:", 5) == 0)
                usleep((useconds_t) atoi(scenario + 5) * 1000);
        if (strcmp(scenario, "late") == 0) {
                late = sd_bus_message_ref(m);
                return 1;
        }
        if (strcmp(mode, "legacy-raw") == 0) {
                set_roles(scenario);
                add_role("group:%s", "26");
        }

        if (strcmp(mode, "mediated") == 0 && strcmp(scenario, "bad:container") != 0) {
                free(roles[0]);
                memmove(&roles[0], &roles[1], --n_roles * sizeof(roles[0]));
        }

        return answer(m, scenario, label);
}

static int method_explain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *scenario = NULL, *label, *mode;

        if (read_wants(m, &scenario, &label, &mode) < 0)
                return -EINVAL;
        if (late) {
                (void) answer(late, "late", "");
                late = sd_bus_message_unref(late);
        }
        if (strncmp(scenario, "refuse:", 7) != 0)
                return sd_bus_reply_method_return(m, "ba(ssssa{sv})", 1, 1, "Companion", "info", scenario,
                                                  "group 26 holds another", 0);

        return sd_bus_reply_method_return(m, "ba(ssssa{sv})", 0, 2, "NoReset", "warning", "0000:06:0d.0",
                                          "no reset", 0, scenario + 7, "error", "0000:06:0d.0",
                                          "group 26 also holds 0000:06:0d.1", 4, "fix", "s", "unbind it",
                                          "device", "s", "0000:06:0d.1", "uid", "u", 1000, "driver", "u", 3);
}

static int method_get_fds(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        if (bad_page)
                return sd_bus_reply_method_return(m, "a(sha{sv})b", 1, "container", 0, 0, 1);
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_descriptors(reply);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static int method_get_lease(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "o", LEASE);
}

static int method_revoke(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        sd_bus *bus = sd_bus_message_get_bus(m);
        const char *id, *reason;
        uint64_t grace, flags;
        int r;

        r = sd_bus_message_read(m, "sstt", &id, &reason, &grace, &flags);
        if (r < 0)
                return r;
        if (strcmp(reason, "refuse") == 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, NULL);
        if (grace != 7 * UINT64_C(1000000))
                return -EINVAL;

        r = sd_bus_reply_method_return(m, NULL);
        if (strcmp(id, "l-busy") == 0)
                return emit_steps(bus, "busy: in vain");
        (void) emit_steps(bus, "sigterm: process 47 (a\033b), which has: device");
        (void) sd_bus_emit_signal(bus, VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseRemoved", "sos", "l-other", LEASE, "failed");
        (void) sd_bus_emit_signal(bus, VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseRemoved", "sos", id, LEASE,
                                  strcmp(id, "l-dirty") == 0 ? "failed" : "revoked");
        return r;
}

static int method_revoke_complete(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int r = sd_bus_reply_method_return(m, NULL);

        removed = true;
        (void) sd_bus_emit_signal(sd_bus_message_get_bus(m), VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseRemoved", "sos", "l-1",
                                  LEASE, "revoked");
        return r;
}

/* What it is asked for comes back, as a time after the epoch. */
static int method_renew(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        uint64_t usec;
        int r = sd_bus_message_read(m, "t", &usec);

        if (r >= 0 && usec == 77 * UINT64_C(1000000))
                return sd_bus_error_set(error, "org.vfiobroker1.Error.QuotaExceeded", "A lease may last 60 seconds");
        return r < 0 ? r : sd_bus_reply_method_return(m, "t", usec);
}

static int method_offer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *key, *contents;
        uint32_t uid = 0;

        sd_bus_message_enter_container(m, 'a', "{sv}");
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                sd_bus_message_read(m, "s", &key);
                sd_bus_message_peek_type(m, NULL, &contents);
                if (strcmp(key, "uid") == 0)
                        sd_bus_message_read(m, "v", "u", &uid);
                else
                        sd_bus_message_skip(m, "v");
                sd_bus_message_exit_container(m);
        }
        return sd_bus_reply_method_return(m, "s", uid == 1000 ? "0123456789abcdef0123456789abcdef" : "other");
}

static int method_claim(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *token;

        if (sd_bus_message_read(m, "s", &token) < 0)
                return -EINVAL;
        if (strcmp(token, "0123456789abcdef0123456789abcdef") != 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "Not allowed by policy");
        set_roles("claim");
        add_role("device:%s", "0000:06:0d.0");
        return answer(m, "claim", "events");
}

/* Comes before the vtable, which would not let a wrong answer out. */
static int break_signature(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *scenario = NULL, *label, *mode;

        if (sd_bus_message_is_method_call(m, VFB_INTERFACE_MANAGER, "Acquire") > 0 &&
            read_wants(m, &scenario, &label, &mode) >= 0 && scenario && strcmp(scenario, "bad:signature") == 0)
                return sd_bus_reply_method_return(m, "s", "lease");

        return sd_bus_message_rewind(m, 1) < 0 ? -EIO : 0;
}

static int property_pools(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "a(sassu)", 1, "lab", 2, "class=nvme", "01:00.0", "for \033[31mus", UINT32_C(7));
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Claim", "sa{sv}t", "oha(sha{sv})b", method_claim, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Acquire", "a(sa{sv})a{sv}t", "oha(sha{sv})b", method_acquire,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Revoke", "sstt", NULL, method_revoke, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Explain", "a(sa{sv})a{sv}", "ba(ssssa{sv})", method_explain,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetDevice", "s", "o", stub_method_get_device, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetLease", "s", "o", method_get_lease, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListDevices", "a{sv}t", "a(sosss)", stub_method_list_devices, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Pools", "a(sassu)", property_pools, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable lease_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetFds", "ast", "a(sha{sv})b", method_get_fds, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Offer", "a{sv}", "s", method_offer, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Renew", "t", "t", method_renew, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RevokeComplete", NULL, NULL, method_revoke_complete, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Release", "t", NULL, stub_method_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("State", "s", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("Label", "s", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("Devices", "ao", stub_property_objects, 0, 0),
        SD_BUS_PROPERTY("Uid", "u", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("CreatedUSec", "t", stub_property_fixed, 0, 0),
        SD_BUS_PROPERTY("ExpiresUSec", "t", stub_property_fixed, 0, 0),
        SD_BUS_VTABLE_END
};

static int publish(sd_bus *bus) {
        int r = sd_bus_add_object_manager(bus, NULL, VFB_PATH);

        if (r >= 0)
                r = stub_publish_devices(bus);
        if (r >= 0)
                r = sd_bus_add_object(bus, NULL, VFB_PATH, break_signature, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, VFB_PATH, VFB_INTERFACE_MANAGER, manager_vtable, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, LEASE, VFB_INTERFACE_LEASE, lease_vtable, NULL);
        /* The name comes last: who sees it may call at once. */
        return r < 0 ? r : sd_bus_request_name(bus, VFB_BUS_NAME, 0);
}

int main(void) {
        sd_event *event;
        sd_bus *bus;
        int r;

        r = sd_event_new(&event);
        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, 0);
        if (r >= 0)
                r = publish(bus);
        return r < 0 || sd_event_loop(event) < 0;
}
