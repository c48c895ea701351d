/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: from host driver to VFIO and back, as somebody asks for it */

#include <stdio.h>
#include <string.h>

#include "broker-internal.h"
#include "errors.h"
#include "kernel/variant.h"

const char *broker_restore_driver(const Device *device) {
        return device->origin && !origin_is_of_functions(device->origin) ? device->origin->driver : "";
}

/* Bridges, and on other buses drivers are not this version's to change. */
static bool is_never_bound(const Device *device) {
        return device->facts.class >> 8 == 0x0604 || device->facts.kind != DEVICE_KIND_PCI;
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

        *ret = '\0';
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

int broker_fix_driver(const Device *device, Finding *finding) {
        const char *kind = device_kind_name(device->facts.kind), *name = device_bus_name(device);

        switch (device->facts.kind) {
        case DEVICE_KIND_PCI:
                return finding_set_fix(finding, "bind it: vfio-broker bind %s", name);
        case DEVICE_KIND_PLATFORM:
        case DEVICE_KIND_FSL_MC:
        case DEVICE_KIND_CDX:
                return finding_set_fix(finding,
                                       "bind it by hand: echo vfio-%s >/sys/bus/%s/devices/%s/driver_override; "
                                       "echo %s >/sys/bus/%s/drivers_probe", kind, kind, name, name, kind);
        case DEVICE_KIND_MDEV:
        case DEVICE_KIND_AP:
        case DEVICE_KIND_CCW:
        case _DEVICE_KIND_MAX:
                break;
        }
        return finding_set_fix(finding,
                               "it has no driver_override: load the VFIO driver that its parent's driver comes with");
}

static int find_other_bus(const Device *device, Findings *findings) {
        Finding *finding;
        int r;

        r = findings_add_error(findings, &finding, VFB_ERROR_INVALID_ARGS, device_id(device),
                               "%s is of kind %s, and only the drivers of PCI functions are changed", device_id(device),
                               device_kind_name(device->facts.kind));
        return r < 0 ? r : broker_fix_driver(device, finding);
}

static int find_never_bound(const Device *device, Findings *findings) {
        if (device->facts.kind != DEVICE_KIND_PCI)
                return find_other_bus(device, findings);
        return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, device_id(device),
                                  "%s is a bridge, which no VFIO driver takes", device_id(device));
}

/* What stands in the way of a change of the device's driver, for anybody. */
static int find_in_the_way(const Device *device, Findings *findings) {
        if (device->facts.kind != DEVICE_KIND_PCI)
                return find_other_bus(device, findings);
        if (!device->group)
                return broker_find_no_group(device, findings);
        if (is_never_bound(device))
                return find_never_bound(device, findings);
        return broker_find_taken(device, findings);
}

/* The word of its driver had not come yet when polkit was asked. */
static int find_unasked(const Device *moved, const Device *device, Findings *findings) {
        Finding *finding;
        int r;

        r = findings_add_error(findings, &finding, VFB_ERROR_HELD_ELSEWHERE, device_id(device),
                               "%s has just come to host driver %s, and it was not asked whether it may be taken from it",
                               device_id(moved), moved->facts.driver);
        return r < 0 ? r : finding_set_fix(finding, "try again");
}

/* What stands in the way of a change of the driver of @moved, which is @device itself or goes along with it. */
static int find_for_device(Broker *broker, const Device *moved, const Device *device, bool steal, Findings *findings) {
        int r;

        if (is_never_bound(moved))
                return find_never_bound(moved, findings);
        if (moved->came > (moved == device ? DEVICE_CAME_FROM_NONE : DEVICE_CAME_NOT))
                return find_unasked(moved, device, findings);

        r = broker_find_host_uses(broker, moved, steal, device_id(device), findings);
        return r < 0 ? r : broker_find_functions(broker, moved, steal, findings);
}

static int binding_fill(Binding *binding, const Device *device, const BrokerBind *bind, const Device *const *scope,
                        unsigned n, Findings *findings) {
        Broker *broker = binding_broker(binding);
        char driver[VARIANT_NAME_MAX];
        int r;

        for (unsigned i = 0; i < n; i++) {
                r = find_for_device(broker, scope[i], device, bind->steal, findings);
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

int broker_find_bind(Broker *broker, const Device *device, Findings *findings) {
        const Device *scope[BROKER_MOVES_MAX];
        BrokerUse uses[BROKER_USES_MAX];
        unsigned n, n_uses;
        int r = 0;

        if (device->facts.vfio_driver || !device->group)
                return 0;

        n = broker_bind_scope(device, scope);
        for (unsigned i = 0; r >= 0 && i < n; i++) {
                if (scope[i] != device)
                        r = findings_add_note(findings, SEVERITY_INFO, "Companion", device_id(device),
                                              "%s, on host driver %s, goes along when %s is bound", device_id(scope[i]),
                                              scope[i]->facts.driver, device_id(device));
                n_uses = broker_host_uses(broker, scope[i], uses);
                for (unsigned j = 0; r >= 0 && j < n_uses; j++)
                        r = findings_add_note(findings, SEVERITY_WARNING, vfb_error_code(VFB_ERROR_IN_USE_BY_HOST),
                                              device_id(device), "The host needs %s, so it cannot be bound%s: %s",
                                              device_id(scope[i]),
                                              uses[j].never ? "" : " but with --on-host-use=steal", uses[j].text);
        }
        return r;
}

int broker_find_move(Broker *broker, const Device *device, const BrokerRequest *request, Findings *findings) {
        const Device *scope[BROKER_MOVES_MAX];
        char driver[VARIANT_NAME_MAX];
        unsigned n;
        int r = 0;

        n = broker_bind_scope(device, scope);
        if (request->companions == BROKER_COMPANIONS_REFUSE)
                r = find_companions(device, scope, n, findings);
        for (unsigned i = 0; r >= 0 && i < n; i++) {
                if (request->companions == BROKER_COMPANIONS_REFUSE && scope[i] != device)
                        continue;
                r = find_for_device(broker, scope[i], device, request->steal, findings);
                if (r >= 0)
                        r = choose_driver(broker, scope[i], "", driver, findings);
                if (r >= 0)
                        r = findings_add_note(findings, SEVERITY_INFO, "Bind", device_id(device),
                                              "%s goes from %s%s to %s for it", device_id(scope[i]),
                                              scope[i]->facts.driver[0] ? "driver " : "no driver",
                                              scope[i]->facts.driver, driver);
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
                        if (device->facts.vfio_driver ||
                            (!lease_has_device(lease, device) && !device_is_blocker(device)))
                                continue;
                        r = choose_driver(broker, device, "", driver, &findings);
                        if (r == 0 && findings_first_error(&findings))
                                r = (int) findings_first_error(&findings)->error;
                        if (r == 0)
                                r = binding_add(binding, device, driver);
                        if (r != 0)
                                break;
                }
        findings_done(&findings);
        return r;
}

int broker_bind_for_lease(Broker *broker, const Lease *lease, bool steal, BrokerBound done, void *userdata) {
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
        if (binding_is_empty(binding))
                return 1;

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
        if (r < 0)
                return r;
        if (findings_first_error(findings))
                return (int) findings_first_error(findings)->error;

        r = binding_new(&binding, broker,
                        &(BindingSpec){ .goal = BINDING_GOAL_BIND, .uid = bind->uid, .steal = bind->steal });
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
        else
                r = broker_find_taken(device, findings);
        for (unsigned i = 0; r >= 0 && i < n; i++)
                r = broker_find_functions(broker, scope[i], /* steal= */ false, findings);
        if (r < 0)
                return r;
        if (findings_first_error(findings))
                return (int) findings_first_error(findings)->error;

        return broker_start_binding(broker, &(BindingSpec){ .goal = BINDING_GOAL_RESTORE, .uid = uid }, scope, n, done,
                                    userdata);
}
