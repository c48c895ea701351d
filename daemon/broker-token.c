/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: VF tokens
 *
 * A PF on VFIO can see and alter what its VFs do, so the kernel opens a VF of it only for who knows the PF's token,
 * and, while a VF is in use, the PF as well. The first who opens the PF with one sets it. The broker makes it up: anew
 * for each lease of a PF of which no VF is leased, and for a VF where nobody has the PF, and keeps it with the PF for
 * the VFs. The PF's holder gets it as well. Between users it is the proof that they have agreed: who asks for the VF
 * of somebody else's PF must bring it; and for the PF of somebody else's VF that was got by it. For the latter the
 * kernel's word is not enough: while nobody has a VF open, it takes any token for the new one.
 */

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <systemd/sd-id128.h>

#include "broker-drivers.h"
#include "errors.h"

static bool is_leased(const Device *device) {
        return device->group && device->group->lease;
}

static int find_foreign(Broker *broker, const Device *device, const Device *other, uid_t uid, Findings *findings) {
        const Lease *lease = is_leased(other) ? other->group->lease : NULL;
        bool is_pf = broker_device_pf(broker, device) == other;
        Finding *finding;
        int r;

        if (!lease || lease->user->uid == uid)
                return 0;

        r = findings_add_error(findings, &finding, VFB_ERROR_LEASED, device_id(device),
                               is_pf ? "%s is a virtual function of %s, which is leased to somebody else who can see "
                                       "and alter what it does: %s, uid %u"
                                     : "Who has %s can see and alter what its virtual function %s does, and that is "
                                       "leased to somebody else: %s, uid %u",
                               device_id(device), device_id(other), lease->id, (unsigned) lease->user->uid);
        if (r < 0)
                return r;

        snprintf(finding->culprit, sizeof(finding->culprit), "%s", device_id(other));
        snprintf(finding->lease, sizeof(finding->lease), "%s", lease->id);
        return finding_set_fix(finding,
                               is_pf ? "if you agree on it, use the VF token of the PF's holder: --vf-token"
                                     : "wait until it is released; or, if it was got by the PF's VF token, use that "
                                       "one: --vf-token");
}

/* Who had the function without bringing a token has agreed on nothing, whoever knows the token from before. */
static int find_about_token(Broker *broker, const Device *pf, const Device *function, uid_t uid, const char *token,
                            Findings *findings) {
        const LeaseDevice *theirs = is_leased(function) ? lease_find_device(function->group->lease, function) : NULL;

        if (!theirs || !token || theirs->token_made || !theirs->token[0])
                return find_foreign(broker, pf, function, uid, findings);
        if (function->group->lease->user->uid == uid || strcasecmp(theirs->token, token) == 0)
                return 0;

        return findings_add_error(findings, NULL, VFB_ERROR_VF_TOKEN_REQUIRED, device_id(pf),
                                  "%s is guarded by a VF token, and it is not this one", device_id(pf));
}

int broker_find_family(Broker *broker, const BrokerRequest *request, unsigned target, Findings *findings) {
        const Device *device = request->targets[target].device, *pf = broker_device_pf(broker, device);
        const char *token = request->targets[target].token;
        _cleanup_(freep) const Device **functions = NULL;
        int n, r;

        if (pf) /* that of a VF the kernel compares, in any case */
                return token ? 0 : find_foreign(broker, device, pf, request->uid, findings);
        if (!broker_device_is_pf(broker, device))
                return 0;

        n = broker_list_functions(broker, device, &functions);
        for (int i = 0; i < n; i++) {
                r = find_about_token(broker, device, functions[i], request->uid, token, findings);
                if (r < 0)
                        return r;
        }
        return n < 0 && n != -ENODEV ? n : 0;
}

bool broker_has_leased_function(Broker *broker, const Device *device, const Lease *besides) {
        _cleanup_(freep) const Device **functions = NULL;
        int n;

        n = broker_list_functions(broker, device, &functions);
        for (int i = 0; i < n; i++)
                if (is_leased(functions[i]) && functions[i]->group->lease != besides && functions[i]->facts.vfio_driver)
                        return true;

        return false;
}

static int keep_token(Broker *broker, Device *pf, const char *token) {
        snprintf(pf->vf_token, sizeof(pf->vf_token), "%s", token);
        return broker_record_device(broker, pf);
}

static int make_token(Broker *broker, Device *pf) {
        char token[SD_ID128_UUID_STRING_MAX];
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        return r < 0 ? r : keep_token(broker, pf, sd_id128_to_uuid_string(id, token));
}

static int choose_for_pf(Broker *broker, const Lease *lease, LeaseDevice *device) {
        int r = 0;

        if (device->token[0])
                return keep_token(broker, device->device, device->token);
        if (!broker_has_leased_function(broker, device->device, lease))
                r = make_token(broker, device->device);

        strcpy(device->token, device->device->vf_token);
        device->token_made = true;
        return r;
}

static int choose_for_vf(Broker *broker, LeaseDevice *device) {
        Device *pf = (Device *) broker_device_pf(broker, device->device);
        int r = 0;

        if (device->token[0] || !pf || !pf->facts.vfio_driver)
                return 0;
        if (!pf->vf_token[0])
                r = make_token(broker, pf);

        strcpy(device->token, pf->vf_token);
        device->token_made = true;
        return r;
}

int broker_choose_tokens(Broker *broker, Lease *lease) {
        int r = 0;

        /* VFs in the same lease need those of its PFs. */
        for (unsigned i = 0; r >= 0 && i < lease->n_devices; i++)
                if (lease->devices[i].device && broker_device_is_pf(broker, lease->devices[i].device))
                        r = choose_for_pf(broker, lease, &lease->devices[i]);
        for (unsigned i = 0; r >= 0 && i < lease->n_devices; i++)
                if (lease->devices[i].device && broker_device_is_vf(broker, lease->devices[i].device))
                        r = choose_for_vf(broker, &lease->devices[i]);
        return r;
}

bool broker_gives_token(Broker *broker, const LeaseDevice *device) {
        return device->device && device->token[0] && broker_device_is_pf(broker, device->device);
}

void task_plan_device(Task *task, VfioDevicePlan *planned, const LeaseDevice *device, bool opens_first) {
        const Device *pf = broker_device_pf(task->broker, device->device);

        plan_device(planned, device->device, opens_first);
        strcpy(planned->token, device->token);
        planned->group = device->group;
        planned->made = device->token_made;
        planned->pf = broker_device_is_pf(task->broker, device->device);
        /* The client's own is nothing to tell the kernel: somebody else has a VF, maybe, that goes by another. */
        if (!device->token_made || !pf || !pf->facts.vfio_driver || !pf->group || is_leased(pf) ||
            broker_group_is_moving(pf->group))
                return;

        strcpy(planned->guard, device_id(pf));
        planned->guard_group = pf->group->number;
}
