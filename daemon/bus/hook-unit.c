/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* HookUnit */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "bus/hook-unit.h"

static const struct {
        const char *name, *value;
} texts[] = {
        { "Type", "oneshot" },
        { "CollectMode", "inactive-or-failed" }, /* a failed one must not be in the way of the next */
        { "StandardInput", "null" },
        { "StandardOutput", "journal" },
        { "StandardError", "journal" },
        { "SyslogIdentifier", "vfio-broker-hook" },
        { "KeyringMode", "private" },
        { "ProtectHome", "yes" },
        /* /dev, /proc and /sys stay as they are: a hook may need the device's nodes, and its driver_override. */
        { "ProtectSystem", "strict" },
};

/* Not ProtectClock=: it would close all of /dev. The filter of system calls keeps the clock as well. */
static const char *const flags[] = {
        "AddRef", /* until we have read how it ended */
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "NoNewPrivileges",
        "PrivateIPC",
        "PrivateNetwork", /* nothing that a device holds leaves the machine */
        "PrivateTmp",
        "ProtectControlGroups",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "RestrictRealtime",
        "RestrictSUIDSGID",
};

void hook_unit_name(const BrokerHook *hook, char ret[HOOK_UNIT_MAX]) {
        snprintf(ret, HOOK_UNIT_MAX, "vfio-broker-hook-%s.service", hook->lease);
}

static int append_sandbox(sd_bus_message *m, const BrokerHook *hook) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < sizeof(texts) / sizeof(*texts); i++)
                r = sd_bus_message_append(m, "(sv)", texts[i].name, "s", texts[i].value);
        for (size_t i = 0; r >= 0 && i < sizeof(flags) / sizeof(*flags); i++)
                r = sd_bus_message_append(m, "(sv)", flags[i], "b", 1);
        if (r < 0)
                return r;

        /* /run by name: with ProtectControlGroups= systemd 252 and 257 leave it writable in spite of ProtectSystem=.
         * @mount and @clock are not in @system-service: with CAP_SYS_ADMIN the walls would be paper. */
        return sd_bus_message_append(
                m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
                "CapabilityBoundingSet", "t", hook->capabilities,
                "LimitMEMLOCK", "t", UINT64_MAX, /* what it maps for DMA, if it drives the device itself */
                "ReadOnlyPaths", "as", 3, "-/proc/sys", "-/proc/sysrq-trigger", "/run",
                "RestrictAddressFamilies", "(bas)", 1, 2, "AF_UNIX", "AF_NETLINK",
                "RestrictNamespaces", "t", UINT64_C(0), /* none are allowed */
                "SystemCallArchitectures", "as", 1, "native",
                "SystemCallErrorNumber", "i", EPERM,
                "SystemCallFilter", "(bas)", 1, 1, "@system-service");
}

static int append_command(sd_bus_message *m, const BrokerHook *hook) {
        char group[32], uid[32], lease[64], device[96], reset[64];

        snprintf(lease, sizeof(lease), "VFIO_BROKER_LEASE=%s", hook->lease);
        snprintf(device, sizeof(device), "VFIO_BROKER_DEVICE=%s", hook->device);
        snprintf(reset, sizeof(reset), "VFIO_BROKER_RESET=%s", hook->reset);
        snprintf(group, sizeof(group), "VFIO_BROKER_GROUP=%u", hook->group);
        snprintf(uid, sizeof(uid), "VFIO_BROKER_UID=%u", (unsigned) hook->uid);
        return sd_bus_message_append(m, "(sv)(sv)", "ExecStart", "a(sasb)", 1, hook->exec, 2, hook->exec, hook->device,
                                     0, "Environment", "as", 5, lease, device, group, uid, reset);
}

/* So that what it prints is found with all else about the lease and the device. */
static int append_fields(sd_bus_message *m, const BrokerHook *hook) {
        char fields[2][96];
        int r;

        snprintf(fields[0], sizeof(fields[0]), "VFIO_BROKER_LEASE=%s", hook->lease);
        snprintf(fields[1], sizeof(fields[1]), "VFIO_BROKER_DEVICE=%s", hook->device);
        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "LogExtraFields");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "aay");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "ay");
        for (size_t i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_append_array(m, 'y', fields[i], strlen(fields[i]));
        for (size_t i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

int hook_unit_append(sd_bus_message *m, const char *name, const BrokerHook *hook) {
        char description[192];
        int r;

        snprintf(description, sizeof(description), "Release hook %s of %s", hook->name, hook->device);
        r = sd_bus_message_append(m, "ss", name, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "Description", "s", description,
                                          "TimeoutStartUSec", "t", hook->timeout_usec,
                                          "TimeoutStopUSec", "t", HOOK_STOP_USEC, "UMask", "u", 0077U);
        if (r >= 0)
                r = append_sandbox(m, hook);
        if (r >= 0)
                r = append_command(m, hook);
        if (r >= 0)
                r = append_fields(m, hook);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
}
