/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: may it be had, and if not, why */

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "broker-drivers.h"
#include "broker-kind.h"
#include "errors.h"

/* It may go with that. Whether it is a virtual function may not have been asked yet, when it has just come. */
static bool pf_is_moving(const Device *device) {
        Broker *broker = broker_of_device(device);
        const Device *pf = broker->n_bindings > 0 ? broker_device_pf(broker, device) : NULL;

        return pf && pf->moving;
}

bool broker_group_is_moving(const Group *group) {
        const Device *device;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->moving || device->leaving || pf_is_moving(device))
                        return true;

        return false;
}

const char *broker_availability(const Device *device) {
        if (device->group && device->group->lease)
                return "leased";
        if (device->group && broker_group_is_moving(device->group))
                return "held";
        if (device->quarantine)
                return "quarantined";
        if (!device->group || (device->group->noiommu && !broker_of_device(device)->config.allow_noiommu))
                return "no-iommu";
        if (!device->facts.vfio_driver)
                return "host";
        if (group_first_blocker(device->group))
                return "not-viable";
        return "available";
}

static int find_lease(const char *about, const Group *group, Findings *findings) {
        const Lease *lease = group->lease;
        Finding *finding;
        int r;

        if (!lease)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_LEASED, about, "IOMMU group %u is leased: %s, uid %u, %s",
                               group->number, lease->id, (unsigned) lease->user->uid, lease_state_name(lease->state));
        if (r < 0)
                return r;

        snprintf(finding->lease, sizeof(finding->lease), "%s", lease->id);
        return finding_set_fix(finding, "wait until it is released: vfio-broker leases");
}

/* For a moment, or until its driver lets go of it. */
static int find_move(const char *about, const Group *group, Findings *findings) {
        const Device *leaving;
        Finding *finding;
        int r;

        TAILQ_FOREACH(leaving, &group->devices, siblings)
                if (leaving->leaving)
                        return broker_find_leaving(about, leaving, findings);
        if (!broker_group_is_moving(group))
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_HELD_ELSEWHERE, about,
                               "A device of IOMMU group %u is on its way to another driver", group->number);
        if (r < 0)
                return r;

        return finding_set_fix(finding, "try again in a moment");
}

/* For some seconds at most. */
static int find_reset(const char *about, const Group *group, Findings *findings) {
        Finding *finding;
        int r;

        if (!group->reset_for)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_HELD_ELSEWHERE, about,
                               "IOMMU group %u is being reset together with its neighbours on the bus, after lease %s",
                               group->number, group->reset_for->id);
        if (r < 0)
                return r;

        return finding_set_fix(finding, "try again in a moment");
}

static int find_quarantine(const Device *device, Findings *findings) {
        Finding *finding;
        int r;

        if (!device->quarantine)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_QUARANTINED, device_id(device), "%s is quarantined: %s",
                               device_id(device), device->quarantine);
        if (r < 0)
                return r;

        return finding_set_fix(finding, "an administrator brings it back: vfio-broker unquarantine %s",
                               device_id(device));
}

static int find_driver(const Device *device, Findings *findings) {
        const char *driver = device->facts.driver;
        Finding *finding;
        int r;

        if (device->facts.vfio_driver || device->leaving)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_NOT_VFIO, device_id(device),
                               "%s is bound to %s%s, not to a VFIO driver", device_id(device),
                               driver[0] ? "driver " : "no driver", driver);
        if (r < 0)
                return r;

        snprintf(finding->culprit, sizeof(finding->culprit), "%s", device_id(device));
        snprintf(finding->driver, sizeof(finding->driver), "%s", driver);
        return broker_fix_driver(device, finding);
}

static int find_blocker(const char *about, const Device *device, Findings *findings) {
        const Device *bound = broker_container_to_bind(device) ?: device;
        Finding *finding;
        int r;

        r = findings_add_error(findings, &finding, VFB_ERROR_NOT_VIABLE, about,
                               "IOMMU group %u also holds %s, which is on host driver %s", device->group->number,
                               device_id(device), device->facts.driver);
        if (r < 0)
                return r;

        snprintf(finding->culprit, sizeof(finding->culprit), "%s", device_id(device));
        snprintf(finding->driver, sizeof(finding->driver), "%s", device->facts.driver);
        if (broker_is_never_bound(bound))
                return broker_fix_driver(device, finding);

        return finding_set_fix(finding, "bind that as well: vfio-broker bind %s", device_id(bound));
}

static int find_more_blockers(const char *about, const Group *group, unsigned n, Findings *findings) {
        Finding *finding;
        int r;

        r = findings_add_error(findings, &finding, VFB_ERROR_NOT_VIABLE, about,
                               "IOMMU group %u holds still more that are on host drivers, %u in all", group->number, n);
        return r < 0 ? r : finding_set_fix(finding, "see all of them: vfio-broker list group:%u", group->number);
}

int broker_find_blockers(const char *about, const Group *group, const Device *asking, unsigned max,
                         Findings *findings) {
        const Device *device;
        unsigned n = 0, others = 0;
        int r;

        TAILQ_FOREACH(device, &group->devices, siblings) {
                if (!device_is_blocker(device))
                        continue;

                n++;
                if (device == asking || ++others > max)
                        continue;
                r = find_blocker(about, device, findings);
                if (r < 0)
                        return r;
        }

        return others > max ? find_more_blockers(about, group, n, findings) : 0;
}

int broker_group_findings(const Group *group, Findings *findings) {
        int r;

        r = find_lease("", group, findings);
        if (r < 0)
                return r;
        r = find_reset("", group, findings);
        if (r < 0)
                return r;
        r = find_move("", group, findings);
        if (r < 0)
                return r;

        return broker_find_blockers("", group, NULL, UINT_MAX, findings);
}

int broker_find_own_move(const Device *device, Findings *findings) {
        Finding *finding;
        int r;

        if (!device->moving)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_HELD_ELSEWHERE, device_id(device),
                               "The driver of %s, or the number of its virtual functions, is being changed",
                               device_id(device));
        return r < 0 ? r : finding_set_fix(finding, "try again in a moment");
}

int broker_find_taken(const Device *device, Findings *findings) {
        int r;

        if (!device->group)
                return broker_find_own_move(device, findings);

        r = find_lease(device_id(device), device->group, findings);
        if (r >= 0)
                r = find_reset(device_id(device), device->group, findings);
        if (r >= 0)
                r = find_move(device_id(device), device->group, findings);
        return r;
}

/* The device may be taken from a host driver for it. */
static int find_way_to_vfio(Broker *broker, const Device *device, bool told, const BrokerRequest *request,
                            Findings *findings) {
        int r;

        r = broker_find_taken(device, findings);
        if (r >= 0)
                r = broker_find_noiommu(device, findings);
        if (r >= 0)
                r = find_quarantine(device, findings);
        return r < 0 ? r : broker_find_bind_for_lease(broker, device, told, request, findings);
}

/* All, but for what others of its group it names. */
static int find_about_device(const Device *device, unsigned max, Findings *findings) {
        int r;

        r = device->group ? broker_find_taken(device, findings) : broker_find_no_group(device, findings);
        if (r >= 0)
                r = broker_find_noiommu(device, findings);
        if (r < 0)
                return r;

        r = find_quarantine(device, findings);
        if (r < 0)
                return r;

        r = find_driver(device, findings);
        if (r < 0 || !device->group)
                return r;

        return broker_find_blockers(device_id(device), device->group, device, max, findings);
}

int broker_device_findings(const Device *device, Findings *findings) {
        return find_about_device(device, BROKER_NAMED_MAX, findings);
}

/* What others left in it is no business of this user. */
static int find_remains(const Device *device, uid_t uid, Findings *findings) {
        Finding *finding;
        int r;

        if (!device->unclean || device->last_uid == uid)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_RESET_FAILED, device_id(device),
                               "%s cannot be reset, and another user had it last", device_id(device));
        if (r < 0)
                return r;

        return finding_set_fix(finding,
                               "an administrator who knows that it is clean lets it go: vfio-broker unquarantine %s",
                               device_id(device));
}

/* Nobody gets less than what is configured, and who asks for it is told so. */
static int find_weaker_reset(const BrokerRequest *request, const Device *device, ResetPolicy configured,
                             Findings *findings) {
        if (request->reset == RESET_POLICY_UNSET || request->reset >= configured)
                return 0;

        return findings_add_error(findings, NULL, VFB_ERROR_INVALID_OPTION, device_id(device),
                                  "Option \"reset\" asks for less than what is configured for %s: %s",
                                  device_id(device), reset_policy_name(configured));
}

static int find_reset_notes(const Device *device, ResetPolicy policy, bool one_time, Findings *findings) {
        static const char *const afterwards[_RESET_POLICY_MAX] = {
                [RESET_POLICY_NONE] = "what you leave in it is there for the next",
                [RESET_POLICY_PREFERRED] = "afterwards nobody but you may have it",
                [RESET_POLICY_REQUIRED] = "afterwards nobody may have it",
        };
        int r = 0;

        if (device->facts.vfio_driver && !device_has_reset(device))
                r = findings_add_note(findings, SEVERITY_WARNING, "NoReset", device_id(device),
                                      "%s has no reset of its own that works: unless its bus is reset, what its last "
                                      "user left in it is still there, and %s",
                                      device_id(device), afterwards[policy]);
        if (r < 0 || !one_time)
                return r;

        return findings_add_note(findings, SEVERITY_INFO, "OneTime", device_id(device),
                                 "%s is for one use: it stays reserved afterwards, until an administrator says so",
                                 device_id(device));
}

static int find_about_reset(Broker *broker, const BrokerRequest *request, const Device *device, Findings *findings) {
        ResetPolicy configured;
        bool one_time;
        int r;

        configured = broker_reset_policy(broker, device, &one_time);
        r = find_weaker_reset(request, device, configured, findings);
        if (r < 0)
                return r;

        return find_reset_notes(device, reset_policy_stricter(configured, request->reset),
                                one_time || request->one_time, findings);
}

static int find_companions(const Device *device, unsigned max, Findings *findings) {
        const Device *sibling;
        unsigned n = 0;
        int r;

        if (!device->group)
                return 0;

        TAILQ_FOREACH(sibling, &device->group->devices, siblings) {
                if (sibling == device || device_is_blocker(sibling) || ++n > max)
                        continue;

                r = findings_add_note(findings, SEVERITY_INFO, "Companion", device_id(device),
                                      "%s is in the same IOMMU group and is held with it", device_id(sibling));
                if (r < 0)
                        return r;
        }
        if (n <= max)
                return 0;

        return findings_add_note(findings, SEVERITY_INFO, "Companion", device_id(device),
                                 "Still more are in the same IOMMU group and are held with it, %u in all", n);
}

/* What is there to say of the others in its group was said of another device that is wanted. */
static bool group_was_told(const BrokerRequest *request, unsigned target) {
        const Group *group = request->targets[target].device->group;

        for (unsigned i = 0; i < target; i++)
                if (request->targets[i].device && request->targets[i].device->group == group)
                        return group != NULL;

        return false;
}

int broker_find_about_target(Broker *broker, const BrokerRequest *request, unsigned i, Findings *findings) {
        const Device *device = request->targets[i].device;
        unsigned max;
        bool told;
        int r = 0;

        if (request->targets[i].pool)
                r = broker_find_pool_limits(broker, request, i, findings);
        if (r >= 0 && !device)
                r = broker_find_missing(broker, request, i, findings);
        if (r < 0 || !device)
                return r;

        for (unsigned j = 0; j < i; j++)
                if (request->targets[j].device == device)
                        return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, device_id(device),
                                                  "%s is wanted twice", device_id(device));

        /* Each of them for each device that is wanted would be a product that no message holds. */
        told = group_was_told(request, i);
        max = told ? BROKER_NAMED_MAX : UINT_MAX;
        if (request->bind && device->group)
                r = find_way_to_vfio(broker, device, told, request, findings);
        else
                r = find_about_device(device, max, findings);
        if (r >= 0)
                r = find_remains(device, request->uid, findings);
        if (r >= 0)
                r = broker_find_family(broker, request, i, findings);
        if (r >= 0 && !request->bind)
                r = broker_find_bind(broker, device, told, findings);
        if (r < 0)
                return r;

        r = broker_warn_noiommu(device, findings);
        if (r >= 0)
                r = find_about_reset(broker, request, device, findings);
        if (r < 0)
                return r;

        return find_companions(device, max, findings);
}

static int find_limits(Broker *broker, const BrokerRequest *request, Findings *findings) {
        const Config *config = &broker->config;
        unsigned n = 0;
        User *user;

        LIST_FOREACH(user, &broker->users, all)
                if (user->uid == request->uid)
                        n = user->n_leases;

        if (request->n_targets > config->devices_per_lease_max)
                return findings_add_error(findings, NULL, VFB_ERROR_QUOTA_EXCEEDED, "",
                                          "%u devices are wanted, and a lease may have %u", request->n_targets,
                                          config->devices_per_lease_max);
        if (n >= config->leases_per_user_max)
                return findings_add_error(findings, NULL, VFB_ERROR_QUOTA_EXCEEDED, "",
                                          "You have %u leases, and a user may have %u", n,
                                          config->leases_per_user_max);
        if (broker->leases.n >= config->leases_max)
                return findings_add_error(findings, NULL, VFB_ERROR_QUOTA_EXCEEDED, "",
                                          "There are %u leases, and no more are allowed", broker->leases.n);
        if (!broker_duration_is_allowed(broker, request->duration_usec))
                return findings_add_error(findings, NULL, VFB_ERROR_QUOTA_EXCEEDED, "",
                                          "A lease may last %u seconds at most", config->lease_duration_max_sec);
        return 0;
}

int broker_examine(Broker *broker, const BrokerRequest *request, Findings *findings) {
        int r;

        for (unsigned i = 0; i < request->n_targets; i++) {
                r = broker_find_about_target(broker, request, i, findings);
                if (r < 0)
                        return r;
        }

        r = broker_find_mix(request, findings);
        if (r < 0)
                return r;

        if (!broker_has_legacy(broker)) {
                r = findings_add_error(findings, NULL, VFB_ERROR_BACKEND_UNAVAILABLE, "", "There is no /dev/vfio/vfio");
                if (r < 0)
                        return r;
        }

        return find_limits(broker, request, findings);
}
