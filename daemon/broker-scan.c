/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: reading /sys
 *
 * PCI functions have facts of their own, and the devices of all other buses the same few. An id says which bus it is
 * about.
 */

#include <stdio.h>
#include <string.h>

#include "broker-internal.h"
#include "broker-kind.h"
#include "core/word.h"
#include "kernel/scan-bus.h"
#include "kernel/scan.h"

/* -ENOMEM */
static int facts_keep_words(DeviceFacts *facts, const char *driver, const char *modalias, const char *reset_methods,
                            const char *container) {
        facts->driver = word_keep(driver);
        facts->modalias = word_keep(modalias);
        facts->reset_methods = word_keep(reset_methods);
        facts->container = word_keep(container);
        return facts->driver && facts->modalias && facts->reset_methods && facts->container ? 0 : -ENOMEM;
}

static int facts_from_pci(DeviceFacts *ret, const PciFacts *pci) {
        _Static_assert(PCI_BARS_MAX == DEVICE_BARS_MAX, "one of them has grown");
        _Static_assert(PCI_ADDRESS_MAX <= DEVICE_ID_MAX, "one of them has grown");
        DeviceFacts facts = {
                .kind = DEVICE_KIND_PCI,
                .instance = pci->instance,
                .class = pci->class,
                .vendor = pci->vendor,
                .device = pci->device,
                .subsystem_vendor = pci->subsystem_vendor,
                .subsystem_device = pci->subsystem_device,
                .numa_node = pci->numa_node,
                .vfio_driver = pci->vfio_driver,
                .n_bars = pci->n_bars,
        };
        int r;

        strcpy(facts.id, pci->address);
        for (unsigned i = 0; i < pci->n_bars; i++)
                facts.bars[i] = (DeviceBar){
                        .index = (uint8_t) pci->bars[i].index,
                        .size = pci->bars[i].size,
                        .flags = (uint32_t) pci->bars[i].flags,
                };

        r = facts_keep_words(&facts, pci->driver, pci->modalias, pci->reset_methods, /* container= */ "");
        if (r < 0)
                return r;

        *ret = facts;
        return 0;
}

static int facts_from_bus(DeviceFacts *ret, DeviceKind kind, const BusFacts *bus) {
        _Static_assert(BUS_NAME_MAX + 8 <= DEVICE_ID_MAX, "one of them has grown"); /* "fsl-mc:" is seven */
        DeviceFacts facts = {
                .kind = kind,
                .instance = bus->instance,
                .numa_node = bus->numa_node,
                .vfio_driver = bus->vfio_driver,
        };
        char container[DEVICE_ID_MAX] = "";
        const char *resets = "vfio"; /* until it is opened, and says no */
        int r;

        device_id_make(facts.id, kind, bus->name);
        if (broker_is_container(kind, bus->parent))
                device_id_make(container, kind, bus->parent);

        r = facts_keep_words(&facts, bus->driver, bus->modalias, resets, container);
        if (r < 0)
                return r;

        *ret = facts;
        return 0;
}

int broker_scan_device(Broker *broker, const char *id, bool in_full, DeviceFacts *ret, int *ret_group) {
        const char *name;
        DeviceKind kind = device_id_split(id, &name);
        BusFacts bus;
        PciFacts pci;
        int r;

        if (kind == DEVICE_KIND_PCI) {
                r = in_full ? scan_pci(broker->sys_fd, id, &pci) : scan_pci_identity(broker->sys_fd, id, &pci);
                if (r >= 0)
                        r = facts_from_pci(ret, &pci);
                if (r >= 0)
                        *ret_group = pci.group;
                return r;
        }

        r = scan_bus_device(broker->sys_fd, device_kind_name(kind), name, &bus);
        if (r >= 0)
                r = facts_from_bus(ret, kind, &bus);
        if (r >= 0)
                *ret_group = bus.group;
        return r;
}

typedef struct Scan {
        Broker *broker;
        DeviceKind kind;
} Scan;

static bool scan_skip(const char *name, uint64_t instance, void *userdata) {
        const Scan *scan = userdata;
        char id[DEVICE_ID_MAX];

        device_id_make(id, scan->kind, name);
        return broker_skip_locked(scan->broker, id, instance);
}

static int scan_on_pci(const PciFacts *pci, void *userdata) {
        const Scan *scan = userdata;
        DeviceFacts facts;
        int r;

        r = facts_from_pci(&facts, pci);
        return r < 0 ? r : broker_on_found(scan->broker, &facts, pci->group);
}

static int scan_on_bus(const BusFacts *bus, void *userdata) {
        const Scan *scan = userdata;
        DeviceFacts facts;
        int r;

        r = facts_from_bus(&facts, scan->kind, bus);
        return r < 0 ? r : broker_on_found(scan->broker, &facts, bus->group);
}

int broker_scan_kind(Broker *broker, DeviceKind kind) {
        Scan scan = { broker, kind };
        int r;

        r = kind == DEVICE_KIND_PCI
                    ? scan_pci_all(broker->sys_fd, scan_skip, scan_on_pci, &scan)
                    : scan_bus_all(broker->sys_fd, device_kind_name(kind), scan_skip, scan_on_bus, &scan);
        return r == -ENOENT ? 0 : r;
}

int broker_scan_all(Broker *broker) {
        int r = 0;

        for (unsigned kind = 0; r == 0 && kind < _DEVICE_KIND_MAX; kind++)
                r = broker_scan_kind(broker, kind);
        return r;
}

static const char *bus_of(const Device *device) {
        return device_kind_name(device->facts.kind);
}

bool broker_device_has_come_anew(Broker *broker, const Device *device) {
        uint64_t instance;

        return scan_bus_instance(broker->sys_fd, bus_of(device), device_bus_name(device), &instance) < 0 ||
               instance != device->facts.instance;
}

bool broker_device_is_let_go(Broker *broker, const Device *device) {
        return scan_bus_is_let_go(broker->sys_fd, bus_of(device), device_bus_name(device));
}

void broker_device_cdev(Broker *broker, const Device *device, char *ret, size_t size) {
        char name[64];

        ret[0] = '\0';
        if (scan_bus_cdev(broker->sys_fd, bus_of(device), device_bus_name(device), name, sizeof(name)) == 0)
                snprintf(ret, size, "/dev/vfio/devices/%s", name);
}

void broker_device_syspath(Broker *broker, const Device *device, char *ret, size_t size) {
        if (scan_bus_syspath(broker->sys_fd, bus_of(device), device_bus_name(device), ret, size) < 0)
                ret[0] = '\0';
}
