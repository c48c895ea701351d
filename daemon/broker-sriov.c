/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: virtual functions
 *
 * A change of their number is a transaction as any change of a driver, see broker-binding-steps.c: what there was is
 * written down first and comes back with a Restore. From one number to another the kernel goes by none only, so each
 * change is the end of all virtual functions that there are, and nobody may need one of them.
 */

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "broker-drivers.h"
#include "core/word.h"
#include "errors.h"
#include "kernel/scan.h"
#include "kernel/sriov.h"
#include "log.h"

#define REASONS_MAX 8

bool broker_device_is_pf(Broker *broker, const Device *borrowed) {
        Device *device = (Device *) borrowed;
        unsigned total;
        int r;

        if (device->is_pf < 0) {
                r = sriov_read_total(broker->sys_fd, device_id(device), &total);
                device->is_pf = r == 0 || r == -EBADMSG;
        }
        return device->is_pf;
}

bool broker_device_is_vf(Broker *broker, const Device *borrowed) {
        Device *device = (Device *) borrowed;
        char physfn[PCI_ADDRESS_MAX];

        if (device->is_vf < 0) {
                device->is_vf = scan_pci_physfn(broker->sys_fd, device_id(device), physfn) == 0;
                device->physfn = device->is_vf ? word_keep(physfn) ?: "" : "";
        }
        return device->is_vf;
}

unsigned broker_functions_total(Broker *broker, const Device *device) {
        unsigned total;

        return sriov_read_total(broker->sys_fd, device_id(device), &total) < 0 ? 0 : total;
}

unsigned broker_functions_current(Broker *broker, const Device *device) {
        _cleanup_(freep) SriovFunction *functions = NULL;
        int n;

        n = sriov_list(broker->sys_fd, device_id(device), &functions);
        return n < 0 ? 0 : (unsigned) n;
}

/* The device that the PF's link leads to. Who it is it need not say itself then, which it could not any more once it
 * has gone. */
static Device *learn_function(Broker *broker, const char *pf, const SriovFunction *function) {
        Device *device = device_find(&broker->devices, function->address);

        if (!device)
                return NULL;

        device->is_vf = 1;
        device->vf_index = (int) function->index;
        device->physfn = word_keep(pf) ?: "";
        return device;
}

int broker_list_functions(Broker *broker, const Device *device, const Device ***ret) {
        _cleanup_(freep) SriovFunction *functions = NULL;
        _cleanup_(freep) const Device **list = NULL;
        unsigned n_known = 0;
        int n;

        n = sriov_list(broker->sys_fd, device_id(device), &functions);
        if (n < 0)
                return n;

        list = calloc((size_t) n + 1, sizeof(*list));
        if (!list)
                return -ENOMEM;
        for (int i = 0; i < n; i++) {
                list[n_known] = learn_function(broker, device_id(device), &functions[i]);
                n_known += list[n_known] != NULL;
        }

        *ret = TAKE_PTR(list);
        return (int) n_known;
}

int broker_device_vf_index(Broker *broker, const Device *borrowed) {
        _cleanup_(freep) const Device **functions = NULL;
        Device *device = (Device *) borrowed;
        const Device *pf;
        unsigned index;
        int r;

        if (!broker_device_is_vf(broker, device))
                return -1;

        pf = device_find(&broker->devices, device->physfn);
        if (device->vf_index >= 0 || !pf)
                return device->vf_index;

        /* Of a card that has hundreds each asks for its own as it comes: the others are not looked at for that. */
        r = sriov_index(broker->sys_fd, device_id(pf), device_id(device), &index);
        if (r == 0)
                device->vf_index = (int) index;
        else if (r == -ENODATA)
                (void) broker_list_functions(broker, pf, &functions);
        return device->vf_index;
}

const Device *broker_device_pf(Broker *broker, const Device *device) {
        return broker_device_is_vf(broker, device) ? device_find(&broker->devices, device->physfn) : NULL;
}

static void refresh(Broker *broker, const char *id) {
        int r;

        r = broker_refresh(broker, id);
        if (r < 0)
                log_line(LOG_WARNING, "Cannot look at %s: %s", id, strerror(-r));
}

void broker_learn_functions(Broker *broker, const char *id) {
        _cleanup_(freep) SriovFunction *functions = NULL;
        int n;

        n = sriov_list(broker->sys_fd, id, &functions);
        for (int i = 0; i < n; i++)
                (void) learn_function(broker, id, &functions[i]);
}

static bool refresh_known(Broker *broker, const char *id, FunctionCursor *cursor, unsigned *max) {
        Device *device, *next;

        for (device = TAILQ_FIRST(&broker->devices.queue); device; device = next) {
                next = TAILQ_NEXT(device, all);
                if (device->generation <= cursor->generation || device->is_vf <= 0 || strcmp(device->physfn, id) != 0)
                        continue;
                if (*max == 0)
                        return true;
                cursor->generation = device->generation;
                refresh(broker, device_id(device)); /* may free it */
                --*max;
        }
        cursor->knew_all = true;
        return false;
}

bool broker_refresh_functions(Broker *broker, const char *id, FunctionCursor *cursor, unsigned max) {
        if (!cursor->knew_all && refresh_known(broker, id, cursor, &max))
                return true;

        if (!cursor->functions)
                cursor->n = sriov_list(broker->sys_fd, id, &cursor->functions);
        for (; cursor->place < cursor->n; cursor->place++) {
                const SriovFunction *function = &cursor->functions[cursor->place];

                if (!device_find(&broker->devices, function->address)) {
                        if (max-- == 0)
                                return true;
                        refresh(broker, function->address);
                }
                (void) learn_function(broker, id, function);
        }

        function_cursor_done(cursor);
        return false;
}

void function_cursor_done(FunctionCursor *cursor) {
        free(cursor->functions);
        *cursor = (FunctionCursor){};
}

static int find_lease_of(const Device *pf, const Device *device, Findings *findings) {
        const Lease *lease = device->group ? device->group->lease : NULL;
        Finding *finding;
        int r;

        if (!lease)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_LEASED, device_id(pf),
                               "%s, virtual function %d of %s, is leased: %s, uid %u, %s", device_id(device),
                               device->vf_index, device_id(pf), lease->id, (unsigned) lease->user->uid,
                               lease_state_name(lease->state));
        if (r < 0)
                return r;

        snprintf(finding->culprit, sizeof(finding->culprit), "%s", device_id(device));
        snprintf(finding->lease, sizeof(finding->lease), "%s", lease->id);
        return finding_set_fix(finding, "wait until it is released, or take it back: vfio-broker revoke %s", lease->id);
}

/* By itself, not with the PF: who asks may be about to change that. */
static int find_move_of(const Device *pf, const Device *device, Findings *findings) {
        if (!device->moving && !(device->group && device->group->reset_for))
                return 0;

        return findings_add_error(findings, NULL, VFB_ERROR_HELD_ELSEWHERE, device_id(pf),
                                  "%s, virtual function %d of %s, is being reset or is on its way to another driver",
                                  device_id(device), device->vf_index, device_id(pf));
}

static int find_about_function(Broker *broker, const Device *pf, const Device *device, bool steal, Findings *findings) {
        int r;

        r = find_lease_of(pf, device, findings);
        if (r < 0)
                return r;
        r = find_move_of(pf, device, findings);
        if (r < 0)
                return r;
        return broker_find_host_uses(broker, device, steal, device_id(pf), findings);
}

int broker_find_functions(Broker *broker, const Device *pf, bool steal, Findings *findings) {
        _cleanup_(freep) const Device **functions = NULL;
        size_t before = findings->n;
        int n, r;

        n = broker_list_functions(broker, pf, &functions);
        if (n < 0)
                return n == -ENODEV ? 0 : n;

        for (int i = 0; i < n && findings->n - before < REASONS_MAX; i++) {
                r = find_about_function(broker, pf, functions[i], steal, findings);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_wrong_count(Broker *broker, const Device *device, unsigned count, Findings *findings) {
        unsigned total;
        int r;

        r = sriov_read_total(broker->sys_fd, device_id(device), &total);
        if (r == -ENODATA || r == -EBADMSG)
                return findings_add_error(findings, NULL, VFB_ERROR_VF_COUNT, device_id(device),
                                          "%s can have no virtual functions", device_id(device));
        if (r < 0)
                return r;
        if (count <= total)
                return 0;
        return findings_add_error(findings, NULL, VFB_ERROR_INVALID_ARGS, device_id(device),
                                  "%s can have %u virtual functions at most, not %u", device_id(device), total, count);
}

/* Who has leased the PF itself, and drives it from a program, wants to have its virtual functions, too. Before and
 * after that it is reset, which would hit them. */
static int find_busy(const Device *device, Findings *findings) {
        if (device->moving)
                return broker_find_own_move(device, findings);
        if (!device->group ||
            (device->group->lease && device->group->lease->state == LEASE_ACTIVE && device->facts.vfio_driver))
                return 0;
        return broker_find_taken(device, findings);
}

int broker_set_functions(Broker *broker, const Device *device, const BrokerFunctions *wish, Findings *findings,
                         BrokerBound done, void *userdata) {
        BrokerTarget target = { .device = device };
        BindingSpec spec = {
                .goal = BINDING_GOAL_SRIOV,
                .uid = wish->uid,
                .sriov = { true, wish->count, wish->autoprobe },
        };
        unsigned current;
        int r;

        r = broker_look_again(broker, &target, 1);
        if (r < 0)
                return r;
        device = target.device;
        if (!device)
                return VFB_ERROR_DEVICE_GONE;

        r = find_wrong_count(broker, device, wish->count, findings);
        if (r >= 0)
                r = find_busy(device, findings);
        current = broker_functions_current(broker, device);
        if (r >= 0 && current > 0 && current != wish->count)
                r = broker_find_functions(broker, device, /* steal= */ false, findings);
        if (r >= 0)
                r = findings_refusal(findings);
        if (r != 0)
                return r;

        return broker_start_binding(broker, &spec, &device, 1, done, userdata);
}
