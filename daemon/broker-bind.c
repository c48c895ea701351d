/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: from host driver to VFIO and back, as somebody asks for it */

#include <stdio.h>
#include <string.h>

#include "broker-internal.h"
#include "errors.h"
#include "kernel/variant.h"

const char *broker_restore_driver(const Device *device) {
        return device->origin ? device->origin->driver : "";
}

static bool is_bridge(const Device *device) {
        return device->facts.class >> 8 == 0x0604;
}

unsigned broker_bind_scope(const Device *device, const Device *ret[BROKER_MOVES_MAX]) {
        const Device *sibling;
        unsigned n = 0;

        if (!device->facts.vfio_driver)
                ret[n++] = device;
        if (device->group)
                TAILQ_FOREACH(sibling, &device->group->devices, siblings)
                        if (sibling != device && device_is_blocker(sibling) && n < BROKER_MOVES_MAX)
                                ret[n++] = sibling;
        return n;
}

unsigned broker_restore_scope(const Device *device, const Device *ret[BROKER_MOVES_MAX]) {
        const Device *sibling;
        unsigned n = 0;

        if (device->origin)
                ret[n++] = device;
        if (device->group)
                TAILQ_FOREACH(sibling, &device->group->devices, siblings)
                        if (sibling != device && sibling->origin && n < BROKER_MOVES_MAX)
                                ret[n++] = sibling;
        return n;
}

/* The VFIO driver for it: the one that was named, or the one that it is made for. 0 or a refusal. */
static int choose_driver(Broker *broker, const Device *device, const char *named, char ret[VARIANT_NAME_MAX],
                         Findings *findings) {
        char module[VARIANT_NAME_MAX];
        int r;

        if (*named) {
                r = variant_check(broker->root, broker->sys_fd, device->facts.modalias, named);
                if (r == -EINVAL)
                        return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, device_id(device),
                                                  "%.64s is no VFIO driver for %s", named, device_id(device));
                snprintf(ret, VARIANT_NAME_MAX, "%s", named);
                snprintf(module, sizeof(module), "%s", named);
        } else {
                r = variant_find(broker->root, broker->sys_fd, device->facts.modalias, ret, module);
        }
        if (r < 0) {
                Finding *finding;

                r = findings_add_error(findings, &finding, VFB_ERROR_DRIVER_BIND_FAILED, device_id(device),
                                       "The driver %s, which %s is for, is not loaded", ret, device_id(device));
                return r < 0 ? r : finding_set_fix(finding, "load it: modprobe %s", module);
        }
        return 0;
}

static int find_companions(const Device *device, const Device *const *scope, unsigned n, Findings *findings) {
        for (unsigned i = 0; i < n; i++) {
                Finding *finding;
                int r;

                if (scope[i] == device)
                        continue;
                r = findings_add_error(findings, &finding, VFB_ERROR_NOT_VIABLE, device_id(device),
                                       "IOMMU group %u also holds %s, which is on host driver %s",
                                       device->group->number, device_id(scope[i]), scope[i]->facts.driver);
                if (r < 0)
                        return r;
                snprintf(finding->culprit, sizeof(finding->culprit), "%s", device_id(scope[i]));
                snprintf(finding->driver, sizeof(finding->driver), "%s", scope[i]->facts.driver);
                r = finding_set_fix(finding, "let it go along: --companions=include");
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What stands in the way of a change of the device's driver, for anybody. */
static int find_in_the_way(const Device *device, Findings *findings) {
        if (!device->group)
                return findings_add_error(findings, NULL, VFB_ERROR_IOMMU_DISABLED, device_id(device),
                                          "%s is in no IOMMU group", device_id(device));
        if (is_bridge(device))
                return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, device_id(device),
                                          "%s is a bridge, which no VFIO driver takes", device_id(device));
        return broker_find_taken(device, findings);
}

static int binding_fill(Binding *binding, const Device *device, const BrokerBind *bind, const Device *const *scope,
                        unsigned n, Findings *findings) {
        Broker *broker = binding_broker(binding);
        char driver[VARIANT_NAME_MAX];
        int r;

        for (unsigned i = 0; i < n; i++) {
                r = is_bridge(scope[i]) ? find_in_the_way(scope[i], findings)
                                        : broker_find_host_uses(broker, scope[i], device_id(device), findings);
                if (r < 0)
                        return r;

                r = choose_driver(broker, scope[i], scope[i] == device ? bind->driver : "", driver, findings);
                if (r == 0)
                        r = binding_add(binding, scope[i], driver);
                if (r != 0)
                        return r;
        }
        return findings_first_error(findings) ? (int) findings_first_error(findings)->error : 0;
}

/* The device as it is now; NULL: it has gone, or is another one. */
static const Device *look_again(Broker *broker, const Device *device) {
        BrokerTarget target = { .device = device };

        return broker_look_again(broker, &target, 1) < 0 ? NULL : target.device;
}

int broker_bind(Broker *broker, const Device *device, const BrokerBind *bind, Findings *findings, BrokerBound done,
                void *userdata) {
        _cleanup_(binding_freep) Binding *binding = NULL;
        const Device *scope[BROKER_MOVES_MAX];
        unsigned n;
        int r;

        device = look_again(broker, device);
        if (!device)
                return VFB_ERROR_DEVICE_GONE;

        r = find_in_the_way(device, findings);
        n = broker_bind_scope(device, scope);
        if (r >= 0 && bind->companions == BROKER_COMPANIONS_REFUSE)
                r = find_companions(device, scope, n, findings);
        if (r >= 0 && device->facts.vfio_driver && *bind->driver && strcmp(bind->driver, device->facts.driver) != 0)
                r = findings_add_error(findings, NULL, VFB_ERROR_DRIVER_BIND_FAILED, device_id(device),
                                       "%s is on %s already; restore it first", device_id(device), device->facts.driver);
        if (r < 0)
                return r;
        if (findings_first_error(findings))
                return (int) findings_first_error(findings)->error;

        r = binding_new(&binding, broker, &(BindingSpec){ .goal = BINDING_GOAL_BIND, .uid = bind->uid });
        if (r == 0)
                r = binding_fill(binding, device, bind, scope, n, findings);
        if (r == 0) {
                binding_on_done(binding, done, userdata);
                r = binding_start(binding);
        }
        if (r == 0)
                TAKE_PTR(binding);
        return r;
}

static int broker_start_back(Broker *broker, const BindingSpec *spec, const Device *const *scope, unsigned n,
                             BrokerBound done, void *userdata) {
        _cleanup_(binding_freep) Binding *binding = NULL;
        int r;

        r = binding_new(&binding, broker, spec);
        for (unsigned i = 0; r == 0 && i < n; i++)
                r = binding_add(binding, scope[i], NULL);
        if (r != 0)
                return r;

        binding_on_done(binding, done, userdata);
        r = binding_start(binding);
        if (r == 0)
                TAKE_PTR(binding);
        return r;
}

int broker_give_back(Broker *broker, const Device *device, uid_t uid, Findings *findings, BrokerBound done,
                     void *userdata) {
        const Device *scope[BROKER_MOVES_MAX];
        unsigned n;
        int r = 0;

        device = look_again(broker, device);
        if (!device)
                return VFB_ERROR_DEVICE_GONE;

        n = broker_restore_scope(device, scope);
        if (n == 0)
                r = findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, device_id(device),
                                       "The driver of %s was not changed by the broker", device_id(device));
        else if (device->group)
                r = broker_find_taken(device, findings);
        if (r < 0)
                return r;
        if (findings_first_error(findings))
                return (int) findings_first_error(findings)->error;

        return broker_start_back(broker, &(BindingSpec){ .goal = BINDING_GOAL_RESTORE, .uid = uid }, scope, n, done,
                                 userdata);
}

/* All that were on their way have arrived, and the last daemon had no time to say so. */
static bool have_arrived(const Device *const *devices, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (devices[i]->origin->step != ORIGIN_BINDING || !devices[i]->facts.vfio_driver ||
                    strcmp(devices[i]->facts.driver, devices[i]->origin->wanted) != 0)
                        return false;
        return true;
}

static unsigned list_under_way(const Group *group, const Device *ret[BROKER_MOVES_MAX]) {
        const Device *device;
        unsigned n = 0;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->origin && device->origin->step != ORIGIN_BOUND && n < BROKER_MOVES_MAX)
                        ret[n++] = device;
        return n;
}

/* Somebody else has changed the driver while there was no daemon. */
static void forget_changed(Broker *broker) {
        Device *device;

        TAILQ_FOREACH(device, &broker->devices.queue, all)
                if (device->origin && device->origin->step == ORIGIN_BOUND && device->facts.driver[0] &&
                    !device->facts.vfio_driver)
                        broker_drop_origin(broker, device);
}

/* Whoever had asked has no answer and knows nothing, so what was half done is undone; a restore is finished. */
void broker_resume_bindings(Broker *broker) {
        const Device *devices[BROKER_MOVES_MAX];
        Group *group;

        forget_changed(broker);
        TAILQ_FOREACH(group, &broker->groups.queue, all) {
                unsigned n = list_under_way(group, devices);

                if (n == 0)
                        continue;
                if (have_arrived(devices, n)) {
                        for (unsigned i = 0; i < n; i++) {
                                devices[i]->origin->step = ORIGIN_BOUND;
                                broker_note_device(broker, (Device *) devices[i]);
                        }
                        continue;
                }
                (void) broker_start_back(broker, &(BindingSpec){ .goal = BINDING_GOAL_RESTORE, .must = true,
                                                                 .uid = (uid_t) -1 },
                                         devices, n, NULL, NULL);
        }
}
