/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Device */

#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/device.h"
#include "core/group.h"

static int compare_ids(const void *a, const void *b) {
        return strcmp(a, b);
}

/* The tree holds the ids, which live in the devices. */
static Device *device_of_id(char *const *node) {
        return node ? (Device *) (*node - offsetof(Device, facts.id)) : NULL;
}

int device_new(Device **ret, DeviceList *devices, const DeviceFacts *facts) {
        static uint64_t generation;
        Device *device;

        if (device_find(devices, facts->id))
                return -EEXIST;

        device = calloc(1, sizeof(*device));
        if (!device)
                return -ENOMEM;

        device->facts = *facts;
        device->facts.container = facts->container ?: "";
        device->facts.driver = facts->driver ?: "";
        device->facts.modalias = facts->modalias ?: "";
        device->facts.reset_methods = facts->reset_methods ?: "";
        device->physfn = "";
        if (!tsearch(device->facts.id, &devices->by_id, compare_ids)) {
                free(device);
                return -ENOMEM;
        }

        device->generation = ++generation;
        device->is_vf = device->is_pf = device->vf_index = -1;
        device->list = devices;
        TAILQ_INSERT_TAIL(&devices->queue, device, all);
        devices->n++;

        *ret = device;
        return 0;
}

Device *device_free(Device *device) {
        if (!device)
                return NULL;

        device_join(device, NULL);
        TAILQ_REMOVE(&device->list->queue, device, all);
        device->list->n--;
        tdelete(device->facts.id, &device->list->by_id, compare_ids);
        free(device->quarantine);
        free(device->origin);
        free(device->record);
        free(device);
        return NULL;
}

Device *device_find(const DeviceList *devices, const char *id) {
        return device_of_id(tfind(id, &devices->by_id, compare_ids));
}

const char *device_kind_name(DeviceKind kind) {
        static const char *const names[_DEVICE_KIND_MAX] = {
                [DEVICE_KIND_PCI] = "pci",
                [DEVICE_KIND_PLATFORM] = "platform",
                [DEVICE_KIND_MDEV] = "mdev",
                [DEVICE_KIND_AP] = "ap",
                [DEVICE_KIND_CCW] = "ccw",
                [DEVICE_KIND_FSL_MC] = "fsl-mc",
                [DEVICE_KIND_CDX] = "cdx",
                [DEVICE_KIND_AMBA] = "amba",
        };

        return names[kind];
}

void device_id_make(char ret[DEVICE_ID_MAX], DeviceKind kind, const char *name) {
        if (kind == DEVICE_KIND_PCI)
                snprintf(ret, DEVICE_ID_MAX, "%s", name);
        else
                snprintf(ret, DEVICE_ID_MAX, "%s:%s", device_kind_name(kind), name);
}

DeviceKind device_id_split(const char *id, const char **ret_name) {
        for (unsigned kind = DEVICE_KIND_PCI + 1; kind < _DEVICE_KIND_MAX; kind++) {
                const char *name = device_kind_name(kind);
                size_t n = strlen(name);

                if (strncmp(id, name, n) != 0 || id[n] != ':')
                        continue;
                *ret_name = id + n + 1;
                return kind;
        }

        *ret_name = id;
        return DEVICE_KIND_PCI;
}

const char *device_bus_name(const Device *device) {
        const char *name;

        (void) device_id_split(device_id(device), &name);
        return name;
}

void device_join(Device *device, Group *group) {
        if (device->group == group)
                return;

        if (device->group)
                TAILQ_REMOVE(&device->group->devices, device, siblings);
        if (group)
                TAILQ_INSERT_TAIL(&group->devices, device, siblings);
        device->group = group;
}

bool device_is_blocker(const Device *device) {
        /* They only route, and leave DMA alone: the kernel marks them driver_managed_dma. */
        static const char *const harmless[] = { "", "pcieport", "pci-stub" };

        if (device->facts.vfio_driver || device->leaving)
                return false;

        for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
                if (strcmp(device->facts.driver, harmless[i]) == 0)
                        return false;

        return true;
}

bool device_has_reset(const Device *device) {
        return device->bus_works || device_has_own_reset(device);
}

bool device_has_own_reset(const Device *device) {
        return device->facts.reset_methods[0] != '\0' && (device->reset_works || !device->reset_fails);
}

void device_note_reset(Device *device, bool works) {
        device->reset_works |= works;
        device->reset_fails |= !works;
}

void device_note_bus_reset(Device *device, unsigned scope) {
        device->bus_reset[0] = '\0';
        if (scope == 0)
                return;

        device->bus_works = true;
        snprintf(device->bus_reset, sizeof(device->bus_reset), "bus (scope: %u device%s)", scope, scope > 1 ? "s" : "");
}

int device_set_quarantine(Device *device, const char *reason) {
        char *copy = NULL;

        if (reason) {
                copy = strdup(reason);
                if (!copy)
                        return -ENOMEM;
        }

        free(device->quarantine);
        device->quarantine = copy;
        return 0;
}
