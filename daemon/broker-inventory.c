/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: what there is */

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "broker-drivers.h"
#include "kernel/hwdb.h"
#include "kernel/scan.h"
#include "kernel/sysfs.h"
#include "log.h"

/* The same one, and not another of its kind that has come in its place while nobody looked. */
static bool facts_same_device(const DeviceFacts *a, const DeviceFacts *b) {
        return a->instance == b->instance && a->vendor == b->vendor && a->device == b->device && a->class == b->class &&
               a->subsystem_vendor == b->subsystem_vendor && a->subsystem_device == b->subsystem_device;
}

/* What stays as long as the device does. */
static void facts_keep(DeviceFacts *facts, const DeviceFacts *old) {
        facts->numa_node = old->numa_node;
        facts->n_bars = old->n_bars;
        memcpy(facts->bars, old->bars, sizeof(facts->bars));
        facts->reset_methods = old->reset_methods;
}

static bool facts_equal(const DeviceFacts *a, const DeviceFacts *b) {
        return strcmp(a->driver, b->driver) == 0 && a->vfio_driver == b->vfio_driver &&
               a->numa_node == b->numa_node && strcmp(a->reset_methods, b->reset_methods) == 0;
}

void broker_tidy_group(Broker *broker, Group *group) {
        if (!group_is_empty(group))
                return;

        NOTIFY(broker, group_removed, group);
        group_free(group);
}

/* A device has left it. What has gone has not changed as well. */
static void broker_leave_group(Broker *broker, Group *group) {
        if (group_is_empty(group))
                broker_tidy_group(broker, group);
        else
                NOTIFY(broker, group_changed, group);
}

void broker_remove(Broker *broker, Device *device) {
        Group *group = device->group;

        broker_lose_device(broker, device, "unplug", false);
        NOTIFY(broker, device_removed, device);
        broker_abandon_searches(broker, device);
        broker_forget_device(broker, device);
        device_free(device);
        if (group)
                broker_leave_group(broker, group);
}

static bool device_is_in_group(const Device *device, int number) {
        return device->group ? (int) device->group->number == number : number < 0;
}

/* Moves the device to the group of that number (negative: none). A lease is over groups, so one that has the device
 * loses it: the kernel takes a device that goes out of its group first. 1: the group is new, and announced. Of another
 * one's change the caller tells, once what it says of the device has been told. */
static int broker_regroup(Broker *broker, Device *device, int number) {
        Group *old = device->group, *new = NULL;
        bool fresh;
        int r;

        if (device_is_in_group(device, number))
                return 0;

        broker_lose_device(broker, device, "unplug", true);
        fresh = number >= 0 && !group_find(&broker->groups, (unsigned) number);
        if (number >= 0) {
                r = group_get(&new, &broker->groups, (unsigned) number);
                if (r < 0)
                        return r;
        }

        device_join(device, new);
        if (fresh) {
                broker_look_at_group(broker, new);
                NOTIFY(broker, group_new, new);
        }
        if (old)
                broker_leave_group(broker, old);
        return fresh;
}

static int broker_add(Broker *broker, const DeviceFacts *facts, int group) {
        Device *device;
        int r;

        r = device_new(&device, &broker->devices, facts);
        if (r < 0)
                return r;

        device->seen = true;
        (void) broker_learn_names(broker, device);
        r = broker_regroup(broker, device, group);
        if (r < 0) {
                device_free(device);
                return r;
        }

        NOTIFY(broker, device_new, device);
        if (r == 0 && device->group)
                NOTIFY(broker, group_changed, device->group);
        return 0;
}

/* Its VFIO device has gone, and the driver has not: it waits for whoever has the device open. */
static bool facts_leave(const Device *device, const DeviceFacts *facts) {
        return (device->facts.vfio_driver || device->leaving) && !facts->vfio_driver && facts->driver[0] &&
               strcmp(device->facts.driver, facts->driver) == 0;
}

bool broker_device_is_lost(const Device *device) {
        const Lease *lease = device->group ? device->group->lease : NULL;

        return !device->facts.vfio_driver && lease && lease_has_device(lease, device);
}

int broker_update(Broker *broker, Device *device, const DeviceFacts *facts, int group) {
        bool changed = !facts_equal(&device->facts, facts) || !device_is_in_group(device, group), moves, leaves, lost;
        bool other_driver = strcmp(device->facts.driver, facts->driver) != 0;
        bool was_vfio = device->facts.vfio_driver, was_blocker = device_is_blocker(device);
        int r;

        device->seen = true;
        if (device->is_vf == 0 && !device->facts.driver[0])
                device->is_vf = -1; /* the link to its PF is younger than the device, and older than its first driver */
        if (other_driver) {
                device_note_bus_reset(device, 0); /* somebody else has had it */
                device->vf_token[0] = '\0';       /* that was of its VFIO driver */
        }
        moves = device->moving || broker_hooks_expect(device); /* a hook may give it to its own driver, and back */
        leaves = !moves && facts_leave(device, facts);
        device->facts = *facts;
        if (!was_blocker && device_is_blocker(device))
                device->came = was_vfio ? DEVICE_CAME_FROM_VFIO : DEVICE_CAME_FROM_NONE;
        changed |= broker_learn_names(broker, device);
        if (other_driver)
                broker_note_device(broker, device);

        r = broker_regroup(broker, device, group);
        lost = !moves && !leaves && broker_device_is_lost(device);
        if (r < 0)
                return r;
        if (!changed && !lost && leaves == device->leaving)
                return 0;

        broker_let_leave(broker, device, leaves);
        NOTIFY(broker, device_changed, device);
        if (lost)
                broker_lose_device(broker, device, "driver", true);
        if (device->origin && !origin_is_of_functions(device->origin) && !moves && !leaves && facts->driver[0] &&
            !facts->vfio_driver)
                broker_drop_origin(broker, device); /* somebody else has brought it back, or elsewhere */
        if (device->group)
                NOTIFY(broker, group_changed, device->group);
        return 0;
}

int broker_on_found(Broker *broker, const DeviceFacts *facts, int group) {
        Device *device = device_find(&broker->devices, facts->id);

        if (device && facts_same_device(&device->facts, facts))
                return broker_update(broker, device, facts, group);

        if (device)
                broker_remove(broker, device);
        return broker_add(broker, facts, group);
}

/* A device that is known and still the same need not be read in full. */
static int broker_refresh_known(Broker *broker, Device *device) {
        DeviceFacts facts;
        int group, r;

        r = broker_scan_device(broker, device_id(device), /* in_full= */ false, &facts, &group);
        if (r < 0)
                return r;
        if (!facts_same_device(&device->facts, &facts))
                return -ESTALE;

        facts_keep(&facts, &device->facts);
        return broker_update(broker, device, &facts, group);
}

int broker_refresh_moved(Broker *broker, const char *address) {
        Device *device = device_find(&broker->devices, address);
        DeviceFacts facts;
        int group, r;

        r = device ? broker_refresh_known(broker, device) : -ESTALE;
        if (r == -ESTALE) {
                r = broker_scan_device(broker, address, /* in_full= */ true, &facts, &group);
                if (r == 0)
                        return broker_on_found(broker, &facts, group);
        }
        if (r != -ENODEV && r != -EBADMSG)
                return r;

        if (device)
                broker_remove(broker, device);
        return 0;
}

int broker_refresh(Broker *broker, const char *address) {
        const Device *device = device_find(&broker->devices, address);

        /* Its attributes may block as long as its unbind does, and nobody gets it before it is read again. */
        return device && broker_device_is_locked(broker, device) ? 0 : broker_refresh_moved(broker, address);
}

void broker_device_names(Broker *broker, const Device *device, char *ret_vendor, size_t vendor_size, char *ret_model,
                         size_t model_size) {
        hwdb_lookup(broker->hwdb, device->facts.modalias, ret_vendor, vendor_size, ret_model, model_size);
}

void broker_device_physfn(Broker *broker, const Device *device, char ret[DEVICE_ID_MAX]) {
        if (scan_pci_physfn(broker->sys_fd, device_id(device), ret) < 0)
                ret[0] = '\0';
}

bool broker_device_boot_vga(Broker *broker, const Device *device) {
        return device->facts.class >> 16 == 0x03 && scan_pci_boot_vga(broker->sys_fd, device_id(device));
}

void broker_group_type(Broker *broker, const Group *group, char *ret, size_t size) {
        if (scan_group_type(broker->sys_fd, group->number, ret, size) < 0)
                ret[0] = '\0';
}

int broker_group_regions(Broker *broker, const Group *group, BrokerRegion *ret, unsigned max) {
        ReservedRegion regions[32];
        int n;

        n = scan_group_reserved(broker->sys_fd, group->number, regions, sizeof(regions) / sizeof(*regions));
        if (n < 0)
                return n;

        if ((unsigned) n > max)
                n = (int) max;
        for (int i = 0; i < n; i++) {
                ret[i] = (BrokerRegion){ .first = regions[i].first, .last = regions[i].last };
                snprintf(ret[i].kind, sizeof(ret[i].kind), "%s", regions[i].kind);
        }
        return n;
}

bool broker_has_legacy(Broker *broker) {
        return sysfs_exists(broker->dev_fd, "vfio/vfio");
}
