/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: from host driver to VFIO and back, as somebody asks for it */

#include <stdio.h>
#include <string.h>

#include "broker-drivers.h"
#include "broker-kind.h"
#include "errors.h"
#include "kernel/variant.h"

const char *broker_restore_driver(const Device *device) {
        return device->origin && !origin_is_of_functions(device->origin) ? device->origin->driver : "";
}

/* The driver of @sibling changes when @device is bound. */
static bool goes_along(const Device *sibling, const Device *device) {
        return sibling == device ? !device->facts.vfio_driver : device_is_blocker(sibling);
}

unsigned broker_bind_scope(const Device *device, const Device *ret[BROKER_MOVES_MAX]) {
        const Device *sibling;
        unsigned n = 0;

        if (goes_along(device, device))
                ret[n++] = device;
        if (device->group)
                TAILQ_FOREACH(sibling, &device->group->devices, siblings)
                        if (sibling != device && goes_along(sibling, device) && n < BROKER_MOVES_MAX)
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
        const char *bus = device_kind_name(device->facts.kind);
        char module[VARIANT_NAME_MAX];
        int r;

        *ret = '\0';
        if (*named) {
                r = variant_check(broker->root, broker->sys_fd, bus, device->facts.modalias, named);
                if (r == -EINVAL) {
                        Finding *finding;

                        r = findings_add_error(findings, &finding, VFB_ERROR_INVALID_ARGS, device_id(device),
                                               "%.64s is no VFIO driver for %s", named, device_id(device));
                        return r < 0 ? r
                                     : finding_set_fix(finding, "name none: the kernel's modules know which one is");
                }
                snprintf(ret, VARIANT_NAME_MAX, "%s", named);
                snprintf(module, sizeof(module), "%s", named);
        } else {
                r = variant_find(broker->root, broker->sys_fd, bus, device->facts.modalias, ret, module);
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

/* All or nothing is for so many. One without a driver stands in nobody's way. */
static int find_too_many(const Device *device, Findings *findings) {
        const Device *sibling;
        Finding *finding;
        unsigned n = 0;
        int r;

        TAILQ_FOREACH(sibling, &device->group->devices, siblings)
                n += goes_along(sibling, device);
        if (n <= BROKER_MOVES_MAX)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_DRIVER_BIND_FAILED, device_id(device),
                               "IOMMU group %u has %u devices in the host's hands, and at most %d change together",
                               device->group->number, n, BROKER_MOVES_MAX);
        return r < 0 ? r : finding_set_fix(finding, "take some from their drivers by hand: echo ADDRESS "
                                                    ">/sys/bus/pci/devices/ADDRESS/driver/unbind");
}

/* What stands in the way of a change of the device's driver, for anybody. */
static int find_in_the_way(const Device *device, Findings *findings) {
        int r;

        if (broker_is_never_bound(device))
                return broker_find_unbindable(device, findings);
        if (!device->group)
                return broker_find_no_group(device, findings);

        r = broker_find_in_container(device, findings);
        if (r >= 0)
                r = find_too_many(device, findings);
        return r < 0 ? r : broker_find_taken(device, findings);
}

/* The word of its driver had not come yet when polkit was asked. */
static int find_unasked(const Device *moved, const Device *device, Findings *findings) {
        Finding *finding;
        int r;

        r = findings_add_error(findings, &finding, VFB_ERROR_HELD_ELSEWHERE, device_id(device),
                               "%s has just come to host driver %s, and nobody was asked whether it may be taken",
                               device_id(moved), moved->facts.driver);
        return r < 0 ? r : finding_set_fix(finding, "try again");
}

/* What stands in the way of a change of the driver of @moved, which is @device itself or goes along with it; and the
 * driver that it is to be: "" if there is none, or if it goes with another one. */
static int find_for_device(Broker *broker, const Device *moved, const Device *device, const char *named, bool steal,
                           char ret_driver[VARIANT_NAME_MAX], Findings *findings) {
        int r;

        *ret_driver = '\0';
        if (broker_is_never_bound(moved))
                return broker_find_unbindable(moved, findings);
        if (moved->came > (moved == device ? DEVICE_CAME_FROM_NONE : DEVICE_CAME_NOT))
                return find_unasked(moved, device, findings);

        r = broker_find_host_uses(broker, moved, steal, device_id(device), findings);
        if (r >= 0)
                r = broker_find_functions(broker, moved, steal, findings);
        if (r >= 0)
                r = broker_find_inside(moved, findings);
        if (r < 0 || !broker_container_to_bind(moved))
                return r < 0 ? r : choose_driver(broker, moved, named, ret_driver, findings);
        return moved == device ? broker_find_in_container(moved, findings) : 0;
}

static int binding_fill(Binding *binding, const Device *device, const BrokerBind *bind, const Device *const *scope,
                        unsigned n, Findings *findings) {
        Broker *broker = binding_broker(binding);
        char driver[VARIANT_NAME_MAX];
        int r;

        for (unsigned i = 0; i < n; i++) {
                r = find_for_device(broker, scope[i], device, scope[i] == device ? bind->driver : "", bind->steal,
                                    driver, findings);
                if (r >= 0 && *driver)
                        r = binding_add(binding, scope[i], driver);
                if (r != 0)
                        return r;
        }
        return findings_refusal(findings);
}

/* What was said to do about the driver of @moved is not all, or not to be done at all. */
static int fix_way(const Device *moved, const Device *device, const BrokerUse *uses, unsigned n, Findings *findings) {
        bool never = false;
        int r = 0;

        if (broker_is_never_bound(moved) || (n == 0 && moved == device))
                return 0;

        for (unsigned i = 0; i < n; i++)
                never |= uses[i].never;
        for (size_t i = 0; r >= 0 && i < findings->n; i++) {
                Finding *finding = &findings->items[i];

                if (strcmp(finding->device, device_id(device)) != 0 || strcmp(finding->culprit, device_id(moved)) != 0)
                        continue;
                if (never)
                        r = finding_set_fix(finding, "it stays with the host, which needs it");
                else if (n > 0)
                        r = finding_set_fix(finding, "end what the host needs it for, then: vfio-broker bind %s",
                                            device_id(device));
                else
                        r = finding_set_fix(finding, "it goes along with that");
        }
        return r;
}

static int find_going_functions(Broker *broker, const Device *moved, const Device *device, Findings *findings) {
        unsigned n = broker_functions_current(broker, moved);

        return n == 0 ? 0
                      : findings_add_note(findings, SEVERITY_INFO, "Functions", device_id(device),
                                          "the virtual functions of %s (%u) go with its driver", device_id(moved), n);
}

int broker_find_bind(Broker *broker, const Device *device, bool alone, Findings *findings) {
        const Device *scope[BROKER_MOVES_MAX];
        BrokerUse uses[BROKER_USES_MAX];
        unsigned n, n_uses;
        int r = 0;

        if (device->facts.vfio_driver || !device->group || broker_is_never_bound(device))
                return 0;

        r = find_too_many(device, findings);
        n = broker_bind_scope(device, scope);
        for (unsigned i = 0; r >= 0 && i < n; i++) {
                if (alone && scope[i] != device)
                        continue;
                if (scope[i] != device)
                        r = findings_add_note(findings, SEVERITY_INFO, "Companion", device_id(device),
                                              "%s, on host driver %s, goes along when %s is bound", device_id(scope[i]),
                                              scope[i]->facts.driver, device_id(device));
                if (r >= 0)
                        r = find_going_functions(broker, scope[i], device, findings);
                n_uses = broker_host_uses(broker, scope[i], uses);
                if (r >= 0)
                        r = fix_way(scope[i], device, uses, n_uses, findings);
                for (unsigned j = 0; r >= 0 && j < n_uses; j++)
                        r = findings_add_note(findings, SEVERITY_WARNING, vfb_error_code(VFB_ERROR_IN_USE_BY_HOST),
                                              device_id(device), "The host needs %s, so it cannot be bound%s: %s",
                                              device_id(scope[i]),
                                              uses[j].never ? "" : " but with --on-host-use=steal", uses[j].text);
        }
        return r;
}

int broker_find_bind_for_lease(Broker *broker, const Device *device, bool alone, const BrokerRequest *request,
                               Findings *findings) {
        const Device *scope[BROKER_MOVES_MAX];
        char driver[VARIANT_NAME_MAX];
        unsigned n;
        int r;

        r = find_too_many(device, findings);
        n = broker_bind_scope(device, scope);
        if (r >= 0 && request->companions == BROKER_COMPANIONS_REFUSE)
                r = find_companions(device, scope, n, findings);
        for (unsigned i = 0; r >= 0 && i < n; i++) {
                if ((request->companions == BROKER_COMPANIONS_REFUSE || alone) && scope[i] != device)
                        continue;
                r = find_for_device(broker, scope[i], device, "", request->steal, driver, findings);
                if (r >= 0 && *driver)
                        r = findings_add_note(findings, SEVERITY_INFO, "Bind", device_id(device),
                                              "%s goes from %s%s to %s for it", device_id(scope[i]),
                                              scope[i]->facts.driver[0] ? "driver " : "no driver",
                                              scope[i]->facts.driver, driver);
                if (r >= 0)
                        r = find_going_functions(broker, scope[i], device, findings);
        }
        return r;
}

/* The devices of the lease that are not on VFIO, and what else the host has of their groups. */
static int binding_fill_for_lease(Binding *binding, const Lease *lease) {
        Broker *broker = binding_broker(binding);
        char driver[VARIANT_NAME_MAX];
        const Device *device;
        Findings findings = {};
        int r = 0;

        for (unsigned i = 0; r == 0 && i < lease->n_groups; i++)
                TAILQ_FOREACH(device, &lease->groups[i]->devices, siblings) {
                        if (device->facts.vfio_driver || broker_container_to_bind(device) ||
                            (!lease_has_device(lease, device) && !device_is_blocker(device)))
                                continue;
                        r = choose_driver(broker, device, "", driver, &findings);
                        if (r == 0)
                                r = findings_refusal(&findings);
                        if (r == 0)
                                r = binding_add(binding, device, driver);
                        if (r != 0)
                                break;
                }
        findings_done(&findings);
        return r;
}

int broker_bind_for_lease(Broker *broker, const Lease *lease, bool steal, BrokerBound done, void *userdata,
                          bool *ret_under_way) {
        _cleanup_(binding_freep) Binding *binding = NULL;
        BindingSpec spec = {
                .goal = BINDING_GOAL_BIND,
                .uid = lease->user->uid,
                .lease = lease->id,
                .steal = steal,
        };
        int r;

        r = binding_new(&binding, broker, &spec);
        if (r == 0)
                r = binding_fill_for_lease(binding, lease);
        if (r != 0)
                return r;
        *ret_under_way = !binding_is_empty(binding);
        if (!*ret_under_way)
                return 0;

        binding_on_done(binding, done, userdata);
        r = binding_start(binding);
        if (r == 0)
                TAKE_PTR(binding);
        return r;
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
                                       "%s is on %s already; restore it first", device_id(device),
                                       device->facts.driver);
        if (r >= 0)
                r = findings_refusal(findings);
        if (r != 0)
                return r;

        r = binding_new(&binding, broker,
                        &(BindingSpec){ .goal = BINDING_GOAL_BIND, .uid = bind->uid, .steal = bind->steal });
        if (r == 0)
                r = binding_fill(binding, device, bind, scope, n, findings);
        if (r == 0) {
                binding_on_done(binding, done, userdata);
                r = binding_start(binding);
        }
        if (r != 0)
                return r;

        TAKE_PTR(binding);
        if (device->facts.vfio_driver)
                broker_keep_bound(broker, device->group);
        return 0;
}

int broker_start_binding(Broker *broker, const BindingSpec *spec, const Device *const *scope, unsigned n,
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

static int find_unchanged(const Device *device, Findings *findings) {
        Finding *finding;
        int r;

        r = findings_add_error(findings, &finding, VFB_ERROR_INVALID_ARGS, device_id(device),
                               "The driver of %s was not changed by the broker", device_id(device));
        if (r < 0)
                return r;
        return finding_set_fix(finding, "%s",
                               device->facts.vfio_driver
                                       ? "undo it in the way in which it was bound, such as driverctl or modprobe.d"
                                       : "there is nothing to bring back");
}

int broker_find_going(Broker *broker, const Device *const *devices, unsigned n, Findings *findings) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < n; i++) {
                r = broker_find_functions(broker, devices[i], /* steal= */ false, findings);
                if (r >= 0)
                        r = broker_find_inside(devices[i], findings);
        }
        return r;
}

int broker_find_restore(Broker *broker, const Device *const *devices, unsigned n, Findings *findings) {
        int r;

        r = broker_find_taken(devices[0], findings);
        return r < 0 ? r : broker_find_going(broker, devices, n, findings);
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
                r = find_unchanged(device, findings);
        else
                r = broker_find_restore(broker, scope, n, findings);
        if (r >= 0)
                r = findings_refusal(findings);
        if (r != 0)
                return r;

        return broker_start_binding(broker, &(BindingSpec){ .goal = BINDING_GOAL_RESTORE, .uid = uid }, scope, n, done,
                                    userdata);
}
