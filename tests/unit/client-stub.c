/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A service that answers as the first selector says, rightly or wrongly, so that the library and the
 * command can be tried against answers that the real service does not give:
 *
 *         0000:06:0d.0     that device, and those of the other selectors
 *         many:40          forty devices, in pages
 *         refuse:Leased    org.vfiobroker1.Error.Leased
 *         slow:500         that device after 500 ms
 *         bad:role|twice|bare|signature|path|endless|page    an answer that breaks the contract
 *         bad:container    likewise, in mode mediated
 *
 * The label "events" makes it tell of a lost device and of the end of the lease right after the answer, "revoke" that
 * the lease is to be given back. Revoke tells two steps and the end; of a lease "l-busy" that it is in vain.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "names.h"

#define PAGE      15
#define LEASE     "/org/vfiobroker1/lease/l_2d1"
#define ROLES_MAX 100

typedef struct StubDevice {
        const char *id, *name, *sysfs_path, *driver, *availability, *group;
        int is_vfio, numa_node;
} StubDevice;

static StubDevice devices[] = {
        { "0000:00:1e.0", "PCI bridge", "/sys/devices/pci0000:00/0000:00:1e.0", "", "host",
          VFB_PATH_GROUP "/26", 0, -1 },
        { "0000:06:0d.0", "Sound \033[31mcard", "/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.0",
          "vfio-pci", "available", VFB_PATH_GROUP "/26", 1, 0 },
        { "0000:06:0d.1", "Modem", "/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.1", "e1000", "not-viable",
          "/", 0, 0 },
};

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
        } else if (strncmp(selector, "0000:", 5) == 0) {
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

static int method_list_devices(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(
                m, "a(sosss)", 3, devices[0].id, VFB_PATH_DEVICE "/pci_30000_3a00_3a1e_2e0", "", "host",
                "a bridge", devices[1].id, VFB_PATH_DEVICE "/pci_30000_3a06_3a0d_2e0", "vfio-pci", "available", "",
                devices[2].id, VFB_PATH_DEVICE "/pci_30000_3a06_3a0d_2e1", "e1000", "not-viable",
                "group 26 has a bridge");
}

static int method_get_device(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *selector;
        char *path;
        int r = sd_bus_message_read(m, "s", &selector);

        for (size_t i = 0; r >= 0 && i < sizeof(devices) / sizeof(*devices); i++)
                if (strcmp(devices[i].id, selector) == 0) {
                        sd_bus_path_encode_many(&path, VFB_PATH_DEVICE "/pci%", selector);
                        r = sd_bus_reply_method_return(m, "o", path);
                        free(path);
                        return r;
                }

        return sd_bus_error_set(error, "org.vfiobroker1.Error.NoSuchDevice", NULL);
}

static int method_get_lease(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "o", LEASE);
}

static int method_nothing(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, NULL);
}

/* It is a companion that has to go along, whatever is to be bound. */
static int method_bind(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        devices[0].driver = "vfio-pci";
        return method_nothing(m, userdata, error);
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

static int property_blockers(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        StubDevice *device = userdata;

        if (strcmp(device->availability, "available") == 0)
                return sd_bus_message_append(reply, "a(ssa{sv})", 0);
        return sd_bus_message_append(reply, "a(ssa{sv})", 1, "NotViable", "in the host's hands", 1, "fix",
                                     "s", "unbind it");
}

static int property_words(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "as", 2, "flr", "bus");
}

static int property_objects(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "ao", 2, VFB_PATH_DEVICE "/pci_30000_3a06_3a0d_2e0",
                                     VFB_PATH_DEVICE "/pci_30000_3a06_3a0d_2e1");
}

static int property_fixed(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const struct {
                const char *property, *type, *text;
                uint64_t number;
        } values[] = {
                { "Class", "u", NULL, 0x040100 },
                { "CreatedUSec", "t", NULL, 1700000000000000 },
                { "DeviceId", "q", NULL, 0x10d3 },
                { "DomainType", "s", "DMA", 0 },
                { "ExpiresUSec", "t", NULL, 1700000003600000 },
                { "Id", "s", "l-1", 0 },
                { "Label", "s", "vpp \033[31msoak", 0 },
                { "Number", "u", NULL, 26 },
                { "State", "s", "active", 0 },
                { "Uid", "u", NULL, 0 },
                { "VendorId", "q", NULL, 0x8086 },
                { "Viable", "b", NULL, 1 },
                { "Address", "s", "0000:06:0d.0", 0 },
        };

        for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
                if (strcmp(values[i].property, property) == 0) {
                        if (values[i].text)
                                return sd_bus_message_append(reply, "s", values[i].text);
                        if (*values[i].type == 't')
                                return sd_bus_message_append(reply, "t", values[i].number);
                        return sd_bus_message_append(reply, values[i].type, (int) values[i].number);
                }

        return -ENOENT;
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
        SD_BUS_METHOD("GetDevice", "s", "o", method_get_device, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetLease", "s", "o", method_get_lease, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListDevices", "a{sv}t", "a(sosss)", method_list_devices, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Pools", "a(sassu)", property_pools, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable device_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Quarantine", "st", NULL, method_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Bind", "sa{sv}t", NULL, method_bind, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Restore", "t", NULL, method_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Unquarantine", "t", NULL, method_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", NULL, offsetof(StubDevice, id), 0),
        SD_BUS_PROPERTY("Name", "s", NULL, offsetof(StubDevice, name), 0),
        SD_BUS_PROPERTY("SysfsPath", "s", NULL, offsetof(StubDevice, sysfs_path), 0),
        SD_BUS_PROPERTY("Driver", "s", NULL, offsetof(StubDevice, driver), 0),
        SD_BUS_PROPERTY("Availability", "s", NULL, offsetof(StubDevice, availability), 0),
        SD_BUS_PROPERTY("Group", "o", NULL, offsetof(StubDevice, group), 0),
        SD_BUS_PROPERTY("IsVfioDriver", "b", NULL, offsetof(StubDevice, is_vfio), 0),
        SD_BUS_PROPERTY("NumaNode", "i", NULL, offsetof(StubDevice, numa_node), 0),
        SD_BUS_PROPERTY("Blockers", "a(ssa{sv})", property_blockers, 0, 0),
        SD_BUS_PROPERTY("PersistentIds", "as", property_words, 0, 0),
        SD_BUS_PROPERTY("ResetMethods", "as", property_words, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable pci_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Address", "s", property_fixed, 0, 0),
        SD_BUS_PROPERTY("VendorId", "q", property_fixed, 0, 0),
        SD_BUS_PROPERTY("DeviceId", "q", property_fixed, 0, 0),
        SD_BUS_PROPERTY("Class", "u", property_fixed, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable group_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Number", "u", property_fixed, 0, 0),
        SD_BUS_PROPERTY("Devices", "ao", property_objects, 0, 0),
        SD_BUS_PROPERTY("Viable", "b", property_fixed, 0, 0),
        SD_BUS_PROPERTY("DomainType", "s", property_fixed, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable lease_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetFds", "ast", "a(sha{sv})b", method_get_fds, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Offer", "a{sv}", "s", method_offer, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Renew", "t", "t", method_renew, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RevokeComplete", NULL, NULL, method_revoke_complete, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Release", "t", NULL, method_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", property_fixed, 0, 0),
        SD_BUS_PROPERTY("State", "s", property_fixed, 0, 0),
        SD_BUS_PROPERTY("Label", "s", property_fixed, 0, 0),
        SD_BUS_PROPERTY("Devices", "ao", property_objects, 0, 0),
        SD_BUS_PROPERTY("Uid", "u", property_fixed, 0, 0),
        SD_BUS_PROPERTY("CreatedUSec", "t", property_fixed, 0, 0),
        SD_BUS_PROPERTY("ExpiresUSec", "t", property_fixed, 0, 0),
        SD_BUS_VTABLE_END
};

static int publish(sd_bus *bus) {
        int r = sd_bus_add_object_manager(bus, NULL, VFB_PATH);

        for (size_t i = 0; r >= 0 && i < sizeof(devices) / sizeof(*devices); i++) {
                char *path;

                r = sd_bus_path_encode_many(&path, VFB_PATH_DEVICE "/pci%", devices[i].id);
                if (r >= 0)
                        r = sd_bus_add_object_vtable(bus, NULL, path, VFB_INTERFACE_DEVICE, device_vtable,
                                                     &devices[i]);
                if (r >= 0)
                        r = sd_bus_add_object_vtable(bus, NULL, path, VFB_INTERFACE_PCI, pci_vtable,
                                                     &devices[i]);
                free(path);
        }
        if (r >= 0)
                r = sd_bus_add_object(bus, NULL, VFB_PATH, break_signature, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, VFB_PATH, VFB_INTERFACE_MANAGER, manager_vtable, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP,
                                             group_vtable, NULL);
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
