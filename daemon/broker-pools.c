/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: pools
 *
 * Which device somebody gets who asks for any one of a pool. It is chosen before polkit is asked, since polkit hears
 * which one it is, and chosen again afterwards: the same one, unless somebody else has taken it meanwhile. Nothing is
 * reserved in between.
 */

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "broker-internal.h"
#include "errors.h"
#include "kernel/names.h"
#include "log.h"

#define REASONS_MAX 64

static void broker_on_wrong_pool(const char *path, const char *why, void *userdata) {
        log_event(&(LogEvent){ .id = LOG_ID_CONFIG, .priority = LOG_ERR }, "%s: %s; there is no such pool", path, why);
}

void broker_load_pools(Broker *broker, const char *config) {
        char folder[PATH_MAX];
        const char *slash = strrchr(config, '/');

        snprintf(folder, sizeof(folder), "%.*spools.d", slash ? (int) (slash + 1 - config) : 0, config);
        pools_load(&broker->pools, folder, broker_on_wrong_pool, NULL);
}

const PoolList *broker_pools(const Broker *broker) {
        return &broker->pools;
}

bool broker_is_pool(const char *text) {
        Selector selector;

        return selector_parse(&selector, text) == 0 && selector.pool[0];
}

bool broker_pool_has(Broker *broker, const Pool *pool, const Device *device) {
        Matcher matcher;

        for (unsigned i = 0; i < pool->n_devices; i++) {
                broker_prepare(broker, &pool->devices[i].selector, &matcher);
                if (broker_matches(broker, &matcher, (Device *) device))
                        return true;
        }

        return false;
}

unsigned broker_pool_available(Broker *broker, const Pool *pool) {
        unsigned n = 0;
        Device *device;

        TAILQ_FOREACH(device, &broker->devices.queue, all) {
                const char *availability = broker_availability(device);

                if (strcmp(availability, "available") == 0 ||
                    (broker->config.bind_on_acquire && strcmp(availability, "host") == 0))
                        n += broker_pool_has(broker, pool, device);
        }

        return n;
}

int broker_cpu_node(Broker *broker, unsigned cpu, int *ret) {
        return names_cpu_node(broker->sys_fd, cpu, ret);
}

/* One group goes to one lease, and as one. */
static bool group_is_wanted(const BrokerTarget *targets, unsigned n, const Group *group) {
        for (unsigned i = 0; i < n; i++)
                if (targets[i].device && targets[i].device->group == group)
                        return true;

        return false;
}

/* All that stands in the way of who asks, if it is this one. */
static int find_about_member(Broker *broker, const BrokerRequest *as, const Device *device, Findings *findings) {
        BrokerTarget target = { .selector = device_id(device), .device = device, .n_matches = 1 };
        BrokerRequest request = *as;

        request.targets = &target;
        request.n_targets = 1;
        return broker_find_about_target(broker, &request, 0, findings);
}

static bool member_is_free(Broker *broker, const BrokerRequest *as, const Device *device) {
        Findings findings = {};
        bool is_free;

        is_free = find_about_member(broker, as, device, &findings) >= 0 && !findings_first_error(&findings);
        findings_done(&findings);
        return is_free;
}

static bool was_asked(const BrokerChoice *choice, const Device *device) {
        return choice->was_asked && choice->was_asked(device, choice->userdata);
}

static int rank_of(const BrokerChoice *choice, const Device *device) {
        int near = choice->numa_node >= 0 && device->facts.numa_node == choice->numa_node;

        return (was_asked(choice, device) ? 2 : 0) + near;
}

static void choose(Broker *broker, const Matcher *matcher, const BrokerChoice *choice, const BrokerTarget *targets,
                   unsigned n, BrokerTarget *ret) {
        const Device *best = NULL, *instead = NULL;
        int rank, best_rank = -1;
        Device *device;

        TAILQ_FOREACH(device, &broker->devices.queue, all) {
                if (!broker_matches(broker, matcher, device))
                        continue;
                if (!instead || (was_asked(choice, device) && !was_asked(choice, instead)))
                        instead = device;
                rank = rank_of(choice, device);
                if (rank <= best_rank || group_is_wanted(targets, n, device->group) ||
                    !member_is_free(broker, choice->as, device))
                        continue;
                best = device;
                best_rank = rank;
        }

        ret->device = best;
        ret->instead = best ? NULL : instead;
}

static bool prepare_target(Broker *broker, const BrokerChoice *choice, const BrokerTarget *target, Matcher *ret) {
        Selector selector;

        if (!target->pool || !pool_allows(target->pool, choice->as->uid, choice->as->groups, choice->as->n_groups) ||
            selector_parse(&selector, target->selector) != 0)
                return false;

        broker_prepare(broker, &selector, ret);
        return true;
}

/* Another pool of the request may do without the device that was chosen for it, and this one not. */
static void take_from_another(Broker *broker, const Matcher *matcher, const BrokerChoice *choice, BrokerTarget *targets,
                              unsigned n, BrokerTarget *ret) {
        Matcher other;

        for (unsigned i = 0; i < n; i++) {
                BrokerTarget before = targets[i];

                if (!before.device || !broker_matches(broker, matcher, (Device *) before.device) ||
                    !prepare_target(broker, choice, &before, &other))
                        continue;
                choose(broker, &other, choice, targets, n, &targets[i]);
                if (targets[i].device) {
                        ret->device = before.device;
                        ret->instead = NULL;
                        return;
                }
                targets[i] = before;
        }
}

void broker_choose(Broker *broker, const BrokerChoice *choice, BrokerTarget *targets, unsigned n) {
        Matcher matcher;

        for (unsigned i = 0; i < n; i++) {
                if (!prepare_target(broker, choice, &targets[i], &matcher))
                        continue;
                choose(broker, &matcher, choice, targets, n, &targets[i]);
                if (!targets[i].device)
                        take_from_another(broker, &matcher, choice, targets, n, &targets[i]);
        }
}

/* Members that are leased already: of all users, and of this one. */
static void count_leased(Broker *broker, const Pool *pool, uid_t uid, unsigned *ret_all, unsigned *ret_own) {
        const Lease *lease;

        *ret_all = *ret_own = 0;
        TAILQ_FOREACH(lease, &broker->leases.queue, all)
                for (unsigned i = 0; i < lease->n_devices; i++)
                        if (lease->devices[i].device && broker_pool_has(broker, pool, lease->devices[i].device)) {
                                *ret_all += 1;
                                *ret_own += lease->user->uid == uid;
                        }
}

int broker_find_pool_limits(Broker *broker, const BrokerRequest *request, unsigned i, Findings *findings) {
        const Pool *pool = request->targets[i].pool;
        unsigned all, own, wanted = 0;
        Finding *finding = NULL;
        int r = 0;

        if (!pool_allows(pool, request->uid, request->groups, request->n_groups)) {
                r = findings_add_error(findings, &finding, VFB_ERROR_ACCESS_DENIED, "", "Pool %s is for others",
                                       pool->name);
                return r < 0 ? r : finding_set_fix(finding, BROKER_FIX_OTHERS_POOL);
        }

        for (unsigned j = 0; j <= i; j++)
                wanted += request->targets[j].pool == pool;
        count_leased(broker, pool, request->uid, &all, &own);
        if (pool->max_per_user > 0 && own + wanted > pool->max_per_user)
                r = findings_add_error(findings, &finding, VFB_ERROR_QUOTA_EXCEEDED, "",
                                       "You have %u devices of pool %s, and a user may have %u", own, pool->name,
                                       pool->max_per_user);
        else if (pool->max > 0 && all + wanted > pool->max)
                r = findings_add_error(findings, &finding, VFB_ERROR_QUOTA_EXCEEDED, "",
                                       "%u devices of pool %s are leased, and no more than %u may be", all,
                                       pool->name, pool->max);
        if (r < 0 || !finding)
                return r;

        return finding_set_fix(finding, "try again when one is released; vfio-broker.pool(5) says where the limit is");
}

/* Why those of a pool are not to be had */
typedef struct Reasons {
        char summary[2048];
        Findings notes;
        const Device *unbound; /* one that nobody has, if all are like that */
        bool others;
} Reasons;

/* The first error about it, as a note of its own and as a word in the summary. */
static int add_reason(Broker *broker, const BrokerRequest *request, const Device *device, Reasons *reasons) {
        size_t n = strlen(reasons->summary);
        Findings findings = {};
        const Finding *why;
        const char *text, *code;
        int r;

        /* no "; " in between: behind that is what to do */
        r = find_about_member(broker, request, device, &findings);
        why = r >= 0 ? findings_first_error(&findings) : NULL;
        text = why ? why->text : "its IOMMU group is wanted already";
        code = why ? why->code : "Companion";
        snprintf(reasons->summary + n, sizeof(reasons->summary) - n, "%s%s (%s)", n > 0 ? ", " : "", device_id(device),
                 text);
        if (why && why->error == VFB_ERROR_NOT_VFIO)
                reasons->unbound = reasons->unbound ?: device;
        else
                reasons->others = true;
        if (r >= 0)
                r = findings_add_note(&reasons->notes, SEVERITY_INFO, code, device_id(device), "%s", text);
        findings_done(&findings);
        return r;
}

static int findings_take(Findings *findings, const Findings *notes) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < notes->n; i++)
                r = findings_add_note(findings, notes->items[i].severity, notes->items[i].code, notes->items[i].device,
                                      "%s", notes->items[i].text);
        return r;
}

/* Whoever waits for somebody to let go of one waits in vain if nobody has any. */
static int fix_none_free(Finding *finding, const char *selector, unsigned n, const Reasons *reasons) {
        if (n == 0)
                return finding_set_fix(finding,
                                       "which belong to it: vfio-broker pools; virtual functions, which a start of the "
                                       "machine forgets: vfio-broker vfs");
        if (reasons->unbound && !reasons->others)
                return finding_set_fix(finding,
                                       "bind them: vfio-broker bind %s and so on, or OnAcquire=yes in "
                                       "vfio-broker.conf(5) for one at each lease",
                                       device_id(reasons->unbound));
        return finding_set_fix(finding, "see who has them: vfio-broker list %s", selector);
}

int broker_find_none_free(Broker *broker, const BrokerRequest *request, unsigned i, Findings *findings) {
        const BrokerTarget *target = &request->targets[i];
        Reasons reasons = {};
        Finding *finding;
        Selector selector;
        Matcher matcher;
        Device *device;
        unsigned n = 0;
        int r;

        r = selector_parse(&selector, target->selector);
        if (r != 0)
                return -EINVAL;

        broker_prepare(broker, &selector, &matcher);
        TAILQ_FOREACH(device, &broker->devices.queue, all)
                if (r >= 0 && broker_matches(broker, &matcher, device) && n++ < REASONS_MAX)
                        r = add_reason(broker, request, device, &reasons);
        if (r >= 0)
                r = n == 0 ? findings_add_error(findings, &finding, VFB_ERROR_POOL_EXHAUSTED, "",
                                                "No device matches \"%s\" now", target->selector)
                           : findings_add_error(findings, &finding, VFB_ERROR_POOL_EXHAUSTED, "",
                                                "None of the %u devices of %s is free: %s", n, target->selector,
                                                reasons.summary);
        if (r >= 0)
                r = fix_none_free(finding, target->selector, n, &reasons);
        if (r >= 0)
                r = findings_take(findings, &reasons.notes);
        findings_done(&reasons.notes);
        return r;
}
