/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: what devices are called, and which are meant */

#include <stdio.h>
#include <string.h>

#include "broker-internal.h"
#include "core/alias.h"
#include "core/selector.h"
#include "errors.h"
#include "kernel/names.h"

/* Only disks and network cards have one that can be read, and a VF has its PF's, or one that was made up for it. */
static void learn_serial(Broker *broker, Device *device) {
        unsigned class = device->facts.class >> 16;

        _Static_assert(DEVICE_SERIAL_MAX == NAMES_SERIAL_MAX, "one of them has grown");
        if ((class != 0x01 && class != 0x02) || !device->facts.driver[0] || device->facts.vfio_driver ||
            broker_device_is_vf(broker, device) || broker_device_is_locked(broker, device))
                return;

        (void) names_serial(broker->sys_fd, device_id(device), device->names.serial);
}

/* That a device is a VF the kernel may tell a moment after the device itself. */
static void learn_path(Broker *broker, Device *device) {
        DeviceNames *names = &device->names;
        bool is_vf = broker_device_is_vf(broker, device);

        if (names->path[0] && names->path_is_vfs == is_vf)
                return;

        names->path_is_vfs = is_vf;
        (void) names_path(broker->sys_fd, device_id(device), is_vf ? device->physfn : "", names->path,
                          sizeof(names->path));
}

bool broker_learn_names(Broker *broker, Device *device) {
        DeviceNames before = device->names;

        /* It stays what it is, so it is looked for once somebody asks: the start of a large machine is long enough. */
        if (device->names.path[0])
                learn_path(broker, device);
        learn_serial(broker, device);
        return strcmp(before.path, device->names.path) != 0 || strcmp(before.serial, device->names.serial) != 0;
}

/* A disk says who it is only some time after its driver has it, and no event of its own tells. */
static void find_out_names(Broker *broker, Device *device) {
        learn_path(broker, device);
        if (!device->names.serial[0] && broker_learn_names(broker, device))
                NOTIFY(broker, device_changed, device);
}

static void find_out_functions(Broker *broker, Device *device) {
        Device *pf;

        (void) broker_device_vf_index(broker, device);
        pf = (Device *) broker_device_pf(broker, device);
        if (pf)
                learn_path(broker, pf);
}

static void prepare_interface(Broker *broker, Selector *selector) {
        char address[PCI_ADDRESS_MAX];

        if (selector->pf_by != SELECTOR_PF_INTERFACE ||
            names_interface_owner(broker->sys_fd, selector->pf, address) < 0)
                return;

        selector->pf_by = SELECTOR_PF_ADDRESS;
        strcpy(selector->pf, address);
}

void broker_prepare(Broker *broker, const Selector *selector, Matcher *ret) {
        const Alias *alias = selector->alias[0] ? aliases_find(&broker->config.aliases, selector->alias) : NULL;

        *ret = (Matcher){ .selector = *selector };
        ret->pool = selector->pool[0] ? pools_find(&broker->pools, selector->pool) : NULL;
        ret->none = (selector->alias[0] && !alias) || (selector->pool[0] && !ret->pool);
        prepare_interface(broker, &ret->selector);
        if (!alias)
                return;

        ret->has_alias = true;
        ret->alias = alias->selector;
        prepare_interface(broker, &ret->alias);
}

static bool wants_vf(const Selector *selector) {
        return selector->is_vf >= 0 || selector->vf_index >= 0 || selector->pf_by != SELECTOR_PF_ANY;
}

bool broker_matches(Broker *broker, const Matcher *matcher, Device *device) {
        if (matcher->selector.serial[0] || matcher->alias.serial[0] || matcher->selector.path[0] ||
            matcher->alias.path[0])
                find_out_names(broker, device);
        if (wants_vf(&matcher->selector) || (matcher->has_alias && wants_vf(&matcher->alias)))
                find_out_functions(broker, device);

        return !matcher->none && selector_matches(&matcher->selector, device) &&
               (!matcher->has_alias || selector_matches(&matcher->alias, device)) &&
               (!matcher->pool || broker_pool_has(broker, matcher->pool, device));
}

int broker_select(Broker *broker, const char *text, const Device **ret, unsigned max, unsigned *ret_n) {
        Selector selector;
        Matcher matcher;
        Device *device;
        unsigned n = 0;
        int r;

        r = selector_parse(&selector, text);
        if (r != 0)
                return r;

        if (selector_is_address(&selector)) {
                device = device_find(&broker->devices, selector.address);
                if (device && max > 0)
                        ret[0] = device;
                *ret_n = device != NULL;
                return 0;
        }

        broker_prepare(broker, &selector, &matcher);
        TAILQ_FOREACH(device, &broker->devices.queue, all) {
                if (!broker_matches(broker, &matcher, device))
                        continue;
                if (n < max)
                        ret[n] = device;
                n++;
        }

        *ret_n = n;
        return 0;
}

unsigned broker_persistent_ids(Broker *broker, const Device *device, BrokerName ret[BROKER_NAMES_MAX]) {
        const Aliases *aliases = &broker->config.aliases;
        Matcher matcher;
        unsigned n = 0;

        _Static_assert(BROKER_NAMES_MAX >= 2 + ALIASES_MAX, "there may be more aliases than that");
        find_out_names(broker, (Device *) device);
        if (device->names.path[0])
                snprintf(ret[n++].text, sizeof(ret->text), "path:%s", device->names.path);
        if (device->names.serial[0])
                snprintf(ret[n++].text, sizeof(ret->text), "serial:%s", device->names.serial);
        for (unsigned i = 0; i < aliases->n; i++) {
                broker_prepare(broker, &aliases->items[i].selector, &matcher);
                if (broker_matches(broker, &matcher, (Device *) device))
                        snprintf(ret[n++].text, sizeof(ret->text), "alias:%s", aliases->items[i].name);
        }

        return n;
}
