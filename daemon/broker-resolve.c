/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: which devices are meant, and whether they are still the same */

#include <stdlib.h>
#include <string.h>

#include "broker-internal.h"
#include "core/selector.h"
#include "errors.h"

int broker_refresh_group(Broker *broker, const char *id) {
        _cleanup_(freep) char *ids = NULL;
        Device *device, *sibling;
        size_t size = 0, at = 0;
        int r = 0;

        device = device_find(&broker->devices, id);
        if (!device || !device->group)
                return broker_refresh(broker, id);

        /* By their names, since a look may free any of them. */
        TAILQ_FOREACH(sibling, &device->group->devices, siblings)
                size += strlen(device_id(sibling)) + 1;
        ids = malloc(size);
        if (!ids)
                return -ENOMEM;
        TAILQ_FOREACH(sibling, &device->group->devices, siblings)
                at += strlen(strcpy(ids + at, device_id(sibling))) + 1;

        for (at = 0; r == 0 && at < size; at += strlen(ids + at) + 1)
                r = broker_refresh(broker, ids + at);
        return r;
}

static int resolve_group(const Device **devices, unsigned n, const BrokerWant *want, BrokerTarget *ret,
                         unsigned *ret_n) {
        if (n > BROKER_WANTS_MAX)
                return VFB_ERROR_QUOTA_EXCEEDED;

        for (unsigned i = 0; i < n; i++) {
                if (!devices[i]->facts.vfio_driver)
                        continue;
                if (*ret_n == BROKER_WANTS_MAX)
                        return VFB_ERROR_QUOTA_EXCEEDED;
                ret[(*ret_n)++] = (BrokerTarget){ want->selector, want->token, devices[i], 1, false, NULL, NULL };
        }

        return 0;
}

static int resolve_want(Broker *broker, const BrokerWant *want, BrokerTarget *ret, unsigned *ret_n) {
        const Device *devices[BROKER_WANTS_MAX];
        unsigned n, before = *ret_n;
        const Pool *pool;
        Selector selector;
        int r;

        r = selector_parse(&selector, want->selector);
        if (r != 0)
                return r;

        pool = selector.pool[0] ? pools_find(&broker->pools, selector.pool) : NULL;
        if (pool && *ret_n < BROKER_WANTS_MAX) {
                ret[(*ret_n)++] = (BrokerTarget){ want->selector, want->token, .pool = pool };
                return 0;
        }

        r = broker_select(broker, want->selector, devices, BROKER_WANTS_MAX, &n);
        if (r != 0)
                return r;

        if (selector_is_group(&selector)) {
                r = resolve_group(devices, n, want, ret, ret_n);
                if (r != 0 || *ret_n > before)
                        return r;
                n = 0; /* a group in which nothing is for a program is as good as none */
        }

        if (*ret_n == BROKER_WANTS_MAX)
                return VFB_ERROR_QUOTA_EXCEEDED;
        ret[(*ret_n)++] = (BrokerTarget){ .selector = want->selector,
                                          .token = want->token,
                                          .device = n == 1 ? devices[0] : NULL,
                                          .n_matches = n };
        return 0;
}

/* What a group stands for depends on its devices' drivers as they are now. */
static int refresh_if_group(Broker *broker, const BrokerWant *want) {
        Selector selector;
        const Group *group;
        int r;

        r = selector_parse(&selector, want->selector);
        if (r != 0 || !selector_is_group(&selector))
                return r;

        group = group_find(&broker->groups, (unsigned) selector.group);
        if (!group || TAILQ_EMPTY(&group->devices))
                return 0;

        return broker_refresh_group(broker, device_id(TAILQ_FIRST(&group->devices)));
}

int broker_resolve(Broker *broker, const BrokerWant *wants, unsigned n_wants, const BrokerChoice *choice,
                   BrokerTarget *ret, unsigned *ret_n) {
        int r;

        for (unsigned i = 0; i < n_wants; i++) {
                r = refresh_if_group(broker, &wants[i]);
                if (r != 0)
                        return r;
        }

        *ret_n = 0;
        for (unsigned i = 0; i < n_wants; i++) {
                r = resolve_want(broker, &wants[i], ret, ret_n);
                if (r != 0)
                        return r;
        }

        broker_choose(broker, choice, ret, *ret_n); /* after those that are wanted by name */
        return 0;
}

/* The device that was meant, if it is still there and no other. */
static const Device *find_same(Broker *broker, const char *id, uint64_t generation) {
        const Device *device = broker_find_device(broker, id);

        return device && device->generation == generation ? device : NULL;
}

/* What is there before the look, and what polkit was asked about. */
static uint64_t begin_look(Broker *broker) {
        Device *device;
        uint64_t newest = 0;

        TAILQ_FOREACH(device, &broker->devices.queue, all) {
                device->came = DEVICE_CAME_NOT;
                if (device->generation > newest)
                        newest = device->generation;
        }

        return newest;
}

/* Nobody was asked about one that has come to the group since, and it would be bound or handed out with the others. */
static bool group_has_newer(const Device *device, uint64_t generation) {
        const Device *sibling;

        if (device->group)
                TAILQ_FOREACH(sibling, &device->group->devices, siblings)
                        if (sibling->generation > generation)
                                return true;

        return false;
}

int broker_look_again(Broker *broker, BrokerTarget *targets, unsigned n) {
        struct {
                char id[DEVICE_ID_MAX];
                uint64_t generation;
                bool read; /* with another of its group */
        } meant[BROKER_WANTS_MAX] = {};
        uint64_t newest = begin_look(broker);
        int r;

        for (unsigned i = 0; i < n; i++)
                if (targets[i].device) {
                        strcpy(meant[i].id, device_id(targets[i].device));
                        meant[i].generation = targets[i].device->generation;
                        for (unsigned j = 0; j < i && targets[i].device->group; j++)
                                meant[i].read |=
                                        targets[j].device && targets[j].device->group == targets[i].device->group;
                }

        for (unsigned i = 0; i < n; i++) {
                if (!targets[i].device || meant[i].read)
                        continue;
                r = broker_refresh_group(broker, meant[i].id);
                if (r < 0)
                        return r;
        }

        for (unsigned i = 0; i < n; i++)
                if (targets[i].device) {
                        targets[i].device = find_same(broker, meant[i].id, meant[i].generation);
                        if (targets[i].device && group_has_newer(targets[i].device, newest))
                                targets[i].device = NULL;
                        targets[i].gone = !targets[i].device;
                }

        return 0;
}

static int find_no_pool(const BrokerTarget *target, Findings *findings) {
        Finding *finding;
        int r;

        r = findings_add_error(findings, &finding, VFB_ERROR_NO_SUCH_DEVICE, "", "There is no such pool: \"%s\"",
                               target->selector);
        if (r < 0)
                return r;

        return finding_set_fix(finding, "see which there are: vfio-broker pools; of a file that is wrong there is "
                                        "none, and journalctl -u vfio-broker says why");
}

static int find_missing(Broker *broker, const BrokerTarget *target, Findings *findings) {
        size_t before = findings->n;
        int r;

        if (target->gone)
                return findings_add_error(findings, NULL, VFB_ERROR_DEVICE_GONE, "",
                                          "What \"%s\" stood for has gone, or another has taken its place",
                                          target->selector);
        if (target->n_matches == 0 && broker_is_pool(target->selector))
                return find_no_pool(target, findings);
        if (target->n_matches == 0) {
                r = broker_find_unlisted(broker, target->selector, findings);
                if (r < 0 || findings->n > before)
                        return r;
                return findings_add_error(findings, NULL, VFB_ERROR_NO_SUCH_DEVICE, "", "No device matches \"%s\"",
                                          target->selector);
        }

        return findings_add_error(findings, NULL, VFB_ERROR_AMBIGUOUS_SELECTOR, "", "%u devices match \"%s\"",
                                  target->n_matches, target->selector);
}

/* Whom a pool is not for is told no more than that. */
int broker_find_missing(Broker *broker, const BrokerRequest *request, unsigned i, Findings *findings) {
        const BrokerTarget *target = &request->targets[i];

        if (!target->pool || target->gone)
                return find_missing(broker, target, findings);
        return pool_allows(target->pool, request->uid, request->groups, request->n_groups)
                       ? broker_find_none_free(broker, request, i, findings)
                       : 0;
}
