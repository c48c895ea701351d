/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Details */

#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "bus/authorizer.h"
#include "bus/details.h"
#include "bus/server.h"

static const char *yes_no(bool b) {
        return b ? "yes" : "no";
}

/* The ids of the whole group, as far as they fit in one detail. */
static int add_group(Ask *ask, const Group *group) {
        char ids[2048];
        size_t n = 0;
        const Device *device;
        int r;

        ids[0] = '\0';
        if (group)
                TAILQ_FOREACH(device, &group->devices, siblings)
                        if (n < sizeof(ids))
                                n += (size_t) snprintf(ids + n, sizeof(ids) - n, "%s%s", n > 0 ? " " : "",
                                                       device_id(device));

        r = group ? ask_add(ask, "device.group", "%u", group->number) : ask_add(ask, "device.group", "%s", "");
        if (r < 0)
                return r;
        return ask_add(ask, "device.group-members", "%s", ids);
}

/* What it can be called besides its address. */
static int add_names(Ask *ask, Broker *broker, const Device *device) {
        BrokerName names[BROKER_NAMES_MAX];
        char aliases[sizeof(names)] = ""; /* all of them: a part of one would be another */
        unsigned n = broker_persistent_ids(broker, device, names);
        size_t size = 0;
        int r;

        for (unsigned i = 0; i < n && size < sizeof(aliases); i++)
                if (strncmp(names[i].text, "alias:", 6) == 0)
                        size += (size_t) snprintf(aliases + size, sizeof(aliases) - size, "%s%s", size > 0 ? " " : "",
                                                  names[i].text + 6);

        r = ask_add(ask, "device.path", "%s", device->names.path);
        if (r >= 0)
                r = ask_add(ask, "device.serial", "%s", device->names.serial);
        if (r >= 0)
                r = ask_add(ask, "device.aliases", "%s", aliases);
        return r;
}

static int add_identity(Ask *ask, const Device *device) {
        const DeviceFacts *facts = &device->facts;
        int r;

        r = ask_add(ask, "device.id", "%s", facts->id);
        if (r >= 0)
                r = ask_add(ask, "device.kind", "%s", device_kind_name(facts->kind));
        if (r >= 0)
                r = ask_add(ask, "device.address", "%s", device_bus_name(device));
        if (r >= 0)
                r = ask_add(ask, "device.vendor", "0x%04x", facts->vendor);
        if (r >= 0)
                r = ask_add(ask, "device.product", "0x%04x", facts->device);
        if (r >= 0)
                r = ask_add(ask, "device.subsystem", "0x%04x:0x%04x", facts->subsystem_vendor, facts->subsystem_device);
        if (r >= 0)
                r = ask_add(ask, "device.class", "0x%06x", facts->class);
        if (r >= 0)
                r = ask_add(ask, "device.driver", "%s", facts->driver);
        if (r >= 0)
                r = ask_add(ask, "device.numa-node", "%d", facts->numa_node);
        if (r >= 0)
                r = ask_add(ask, "device.reset", "%s", facts->reset_methods);
        return r;
}

/* The kinds, each once: "block network" */
static int add_host_uses(Ask *ask, Broker *broker, const Device *device) {
        BrokerUse uses[BROKER_USES_MAX];
        unsigned n_uses = broker_host_uses(broker, device, uses);
        char kinds[sizeof(uses->kind) * BROKER_USES_MAX] = "";

        for (unsigned i = 0; i < n_uses; i++) {
                if (strstr(kinds, uses[i].kind))
                        continue;
                if (kinds[0])
                        strcat(kinds, " ");
                strcat(kinds, uses[i].kind);
        }
        return ask_add(ask, "device.host-uses", "%s", kinds);
}

int details_of_device(Ask *ask, Server *server, const Device *device) {
        Broker *broker = server_broker(server);
        char physfn[DEVICE_ID_MAX] = "";
        int r;

        r = add_identity(ask, device);
        if (r < 0)
                return r;

        if (broker_device_is_vf(broker, device))
                broker_device_physfn(broker, device, physfn);
        r = ask_add(ask, "device.is-vf", "%s", yes_no(physfn[0]));
        if (r >= 0)
                r = ask_add(ask, "device.pf", "%s", physfn);
        if (r >= 0)
                r = ask_add(ask, "device.boot-display", "%s", yes_no(broker_device_boot_vga(broker, device)));
        if (r >= 0)
                r = add_names(ask, broker, device);
        if (r >= 0)
                r = add_host_uses(ask, broker, device);
        if (r < 0)
                return r;

        return add_group(ask, device->group);
}

int details_of_unknown(Ask *ask, const char *selector) {
        return ask_add(ask, "device.id", "%s", selector);
}

int details_of_request(Ask *ask, const char *mode, const char *label) {
        int r;

        r = ask_add(ask, "lease.mode", "%s", mode);
        if (r < 0)
                return r;

        return ask_add(ask, "lease.label", "%s", label);
}

int details_of_no_lease(Ask *ask, const char *id) {
        return ask_add(ask, "lease.id", "%s", id);
}

int details_of_lease(Ask *ask, const Lease *lease) {
        char ids[2048];
        size_t n = 0;
        int r;

        ask->has_owner = true;
        ask->owner = lease->user->uid;
        r = ask_add(ask, "lease.id", "%s", lease->id);
        if (r >= 0)
                r = ask_add(ask, "lease.uid", "%u", (unsigned) lease->user->uid);
        if (r < 0)
                return r;

        ids[0] = '\0';
        for (unsigned i = 0; i < lease->n_devices && n < sizeof(ids); i++)
                n += (size_t) snprintf(ids + n, sizeof(ids) - n, "%s%s", i > 0 ? " " : "", lease->devices[i].id);
        return ask_add(ask, "lease.devices", "%s", ids);
}
