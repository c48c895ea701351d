/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Wish */

#include <string.h>
#include <systemd/sd-id128.h>

#include "bus/bind-bus.h"
#include "bus/details.h"
#include "bus/options.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "bus/units.h"
#include "bus/wish.h"
#include "errors.h"
#include "names.h"

/* In mode legacy-raw the companions are asked about, too; and each of all these may have to be bound first, and to be
 * taken from the host that needs it. */
#define ASKS_MAX (6 * BROKER_WANTS_MAX)

Wish *wish_free(Wish *wish) {
        if (!wish)
                return NULL;

        for (unsigned i = 0; i < wish->n_asks; i++)
                ask_done(&wish->asks[i]);
        free(wish->asks);
        free(wish);
        return NULL;
}

static bool token_is_valid(const char *token) {
        sd_id128_t id;

        return strlen(token) == 36 && sd_id128_from_string(token, &id) >= 0;
}

/* (sa{sv}) */
static int wish_read_want(Wish *wish, sd_bus_message *m, sd_bus_error *error) {
        BrokerWant want = {};
        int r;

        r = sd_bus_message_read(m, "s", &want.selector);
        if (r < 0)
                return r;
        r = options_read(m, (Option[]){ { "vf-token", &want.token } }, 1, error);
        if (r < 0)
                return r;

        if (want.token && !token_is_valid(want.token))
                return option_refuse(error, "vf-token", "is not a UUID");
        if (wish->n_wants == BROKER_WANTS_MAX)
                return bus_refuse(error, VFB_ERROR_QUOTA_EXCEEDED, "so many devices are in no lease");

        wish->wants[wish->n_wants++] = want;
        return 0;
}

static int wish_read_wants(Wish *wish, sd_bus_message *m, sd_bus_error *error) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sa{sv})");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'r', "sa{sv}")) > 0) {
                r = wish_read_want(wish, m, error);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;

        if (wish->n_wants == 0)
                return bus_refuse(error, VFB_ERROR_INVALID_ARGS, "no device is wanted");
        return sd_bus_message_exit_container(m);
}

static int wish_check_pidfd(int fd, sd_bus_error *error) {
        switch (pidfd_check(fd)) {
        case 0:
                return 0;
        case -ESRCH:
                return option_refuse(error, "pidfd", "is of a process that has ended");
        default:
                return option_refuse(error, "pidfd", "is no pidfd");
        }
}

/* What does not belong to the lifetime is a mistake, and no lease that ends otherwise than its holder thinks. */
static int wish_check_lifetime(Wish *wish, sd_bus_error *error) {
        wish->lifetime = wish->lifetime ?: lease_bond_name(LEASE_BOND_LIFELINE);
        if (lease_bond_from_name(wish->lifetime, &wish->bond) < 0)
                return option_refuse(error, "lifetime", "is none of lifeline, bus, pidfd, unit");

        if ((wish->pidfd >= 0) != (wish->bond == LEASE_BOND_PIDFD))
                return option_refuse(error, "pidfd", "is there with lifetime=pidfd and only then");
        if (wish->unit && wish->bond != LEASE_BOND_UNIT)
                return option_refuse(error, "unit", "is there, and lifetime is not unit");

        wish->unit = wish->unit ?: "";
        if (strlen(wish->unit) >= UNIT_NAME_MAX)
                return option_refuse(error, "unit", "is too long");
        return wish->pidfd >= 0 ? wish_check_pidfd(wish->pidfd, error) : 0;
}

static int wish_check_options(Wish *wish, sd_bus_error *error) {
        wish->mode_name = wish->mode_name ?: VFB_MODE_AUTO;
        wish->label = wish->label ?: "";

        if (strcmp(wish->mode_name, VFB_MODE_LEGACY_RAW) == 0)
                wish->mode = LEASE_MODE_LEGACY_RAW;
        else if (strcmp(wish->mode_name, VFB_MODE_MEDIATED) == 0)
                wish->mode = LEASE_MODE_MEDIATED;
        else if (strcmp(wish->mode_name, VFB_MODE_LEGACY) == 0 || strcmp(wish->mode_name, VFB_MODE_AUTO) == 0)
                wish->mode = LEASE_MODE_LEGACY;
        else
                return option_refuse(error, "mode", "is none of auto, legacy, legacy-raw, mediated");

        if (!text_is_line(wish->label, LEASE_LABEL_MAX))
                return option_refuse(error, "label", "is longer than 64 characters, or has control characters");
        wish->reset = wish->reset_name ? reset_policy_from_name(wish->reset_name) : RESET_POLICY_UNSET;
        if (wish->reset_name && wish->reset == RESET_POLICY_UNSET)
                return option_refuse(error, "reset", "is none of required, preferred, none");
        if (wish->duration_usec > TERM_USEC_MAX)
                return option_refuse(error, "duration-usec", "is longer than a hundred years");
        return wish_check_lifetime(wish, error);
}

static int wish_check_drivers(Wish *wish, sd_bus_error *error) {
        int r;

        if (wish->restore_name && origin_restore_from_name(wish->restore_name, &wish->restore) < 0)
                return option_refuse(error, "restore", "is none of previous, keep, none");

        r = companions_parse(wish->companions_name ?: "auto", &wish->companions, error);
        return r < 0 ? r : on_host_use_parse(wish->on_host_use ?: "refuse", &wish->steal, error);
}

int wish_read(Wish **ret, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_(wish_freep) Wish *wish = NULL;
        int r;

        wish = calloc(1, sizeof(*wish));
        if (!wish)
                return -ENOMEM;
        wish->pidfd = -EBADF;
        wish->near_cpu = UINT32_MAX;
        wish->numa_node = -1;
        wish->sender.uid = (uid_t) -1;

        r = wish_read_wants(wish, m, error);
        if (r < 0)
                return r;

        r = options_read(m,
                         (Option[]){ { "mode", &wish->mode_name },
                                     { "label", &wish->label },
                                     { "lifetime", &wish->lifetime },
                                     { "duration-usec", .number = &wish->duration_usec },
                                     { "pidfd", .fd = &wish->pidfd },
                                     { "unit", &wish->unit },
                                     { "reset", &wish->reset_name },
                                     { "companions", &wish->companions_name },
                                     { "on-host-use", &wish->on_host_use },
                                     { "restore", &wish->restore_name },
                                     { "near-cpu", .small = &wish->near_cpu } },
                         11, error);
        if (r < 0)
                return r;

        r = wish_check_options(wish, error);
        if (r >= 0)
                r = wish_check_drivers(wish, error);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(wish);
        return 0;
}

/* The pool that it is asked for by; not what comes along with a device of the pool. */
static const char *pool_detail(Server *server, const Pool *pool, const Device *device) {
        if (!pool || (device && !broker_pool_has(server_broker(server), pool, device)))
                return "";

        return pool->name;
}

/* About @device, for the sake of that target. NULL: it names none. */
static int wish_ask(Wish *wish, Server *server, const char *action, const Device *device, unsigned target,
                    sd_bus_error *error) {
        const char *selector = wish->targets[target].selector;
        const Pool *pool = wish->targets[target].pool;
        Ask *asks, *ask;
        int r;

        if (wish->n_asks == ASKS_MAX)
                return bus_refuse(error, VFB_ERROR_QUOTA_EXCEEDED, "so many devices are in no lease");

        asks = reallocarray(wish->asks, wish->n_asks + 1, sizeof(*asks));
        if (!asks)
                return -ENOMEM;
        wish->asks = asks;
        ask = &asks[wish->n_asks++];

        r = device ? ask_about(ask, action, device_id(device), device->generation)
                   : ask_about(ask, action, selector, 0);
        if (r < 0 || wish->asked)
                return r;

        r = device ? details_of_device(ask, server, device) : details_of_unknown(ask, selector);
        if (r >= 0)
                r = ask_add(ask, "pool", "%s", pool_detail(server, pool, device));
        if (r < 0 || strcmp(action, VFB_ACTION_ACQUIRE) != 0)
                return r;

        return details_of_request(ask, lease_mode_name(wish->mode), wish->label);
}

/* The first target of its group. */
static bool wish_is_first_of_group(const Wish *wish, unsigned target) {
        for (unsigned i = 0; i < target; i++)
                if (wish->targets[i].device && wish->targets[i].device->group == wish->targets[target].device->group)
                        return false;

        return true;
}

static bool wish_has_target(const Wish *wish, const Device *device) {
        for (unsigned i = 0; i < wish->n_targets; i++)
                if (wish->targets[i].device == device)
                        return true;

        return false;
}

/* Whether a lease may take it from its host driver. Those of a group that are not wanted go along if they must. */
static bool wish_may_bind(const Wish *wish, Server *server, const Device *device) {
        return broker_binds_on_acquire(server_broker(server)) && !device->facts.vfio_driver && device->group &&
               (wish_has_target(wish, device) ||
                (device_is_blocker(device) && wish->companions != BROKER_COMPANIONS_REFUSE));
}

/* Who has the group's descriptor can open every device of it that is on a VFIO driver by then, wanted or not. */
static int wish_ask_group(Wish *wish, Server *server, unsigned target, sd_bus_error *error) {
        const Group *group = wish->targets[target].device->group;
        const Device *device;
        int r = 0;

        TAILQ_FOREACH(device, &group->devices, siblings) {
                bool bind = wish_may_bind(wish, server, device);

                if (wish->mode == LEASE_MODE_LEGACY_RAW && (device->facts.vfio_driver || bind) &&
                    !wish_has_target(wish, device))
                        r = wish_ask(wish, server, VFB_ACTION_ACQUIRE, device, target, error);
                if (r >= 0 && bind)
                        r = wish_ask(wish, server, VFB_ACTION_BIND, device, target, error);
                if (r >= 0 && bind && wish->steal)
                        r = wish_ask(wish, server, VFB_ACTION_STEAL, device, target, error);
                if (r < 0)
                        return r;
        }

        return 0;
}

static BrokerRequest wish_request_of(const Wish *wish, Server *server, const Sender *sender);

/* As a choice of the broker's; @userdata is the wish. */
static bool wish_was_asked(const Device *device, void *userdata) {
        const Wish *wish = userdata;
        Ask ask;
        bool was = false;

        if (ask_about(&ask, VFB_ACTION_ACQUIRE, device_id(device), device->generation) < 0)
                return false;
        for (unsigned i = 0; i < wish->n_before; i++)
                was |= ask_is_same(&wish->before[i], &ask);
        ask_done(&ask);
        return was;
}

static void wish_drop_asks(Wish *wish) {
        for (unsigned i = 0; i < wish->n_asks; i++)
                ask_done(&wish->asks[i]);
        wish->n_asks = 0;
}

static int wish_find(Wish *wish, Server *server, sd_bus_error *error) {
        BrokerRequest as = wish_request_of(wish, server, &wish->sender);
        BrokerChoice choice = { &as, wish->numa_node, wish_was_asked, wish };
        int r;

        as.n_targets = 0;
        r = broker_resolve(server_broker(server), wish->wants, wish->n_wants, &choice, wish->targets,
                           &wish->n_targets);
        if (r != 0)
                return bus_refuse(error, r, NULL);

        for (unsigned i = 0; i < wish->n_targets; i++) {
                const Device *device = wish->targets[i].device;

                /* Rules go by what a device is, so of a pool one that is not free is asked about rather than none. */
                r = wish_ask(wish, server, VFB_ACTION_ACQUIRE, device ?: wish->targets[i].instead, i, error);
                if (r >= 0 && device && broker_allows_noiommu(device))
                        r = wish_ask(wish, server, VFB_ACTION_NO_IOMMU, device, i, error);
                if (r >= 0 && device && device->group && wish_is_first_of_group(wish, i))
                        r = wish_ask_group(wish, server, i, error);
                if (r < 0)
                        return r;
        }

        return 0;
}

static bool wish_wants_pool(const Wish *wish) {
        for (unsigned i = 0; i < wish->n_wants; i++)
                if (broker_is_pool(wish->wants[i].selector))
                        return true;

        return false;
}

const char *wish_denied_pool(const Wish *wish) {
        const Sender *sender = &wish->sender;

        for (unsigned i = 0; i < wish->n_targets; i++)
                if (wish->targets[i].pool &&
                    !pool_allows(wish->targets[i].pool, sender->uid, sender->groups, sender->n_groups))
                        return wish->targets[i].pool->name;

        return NULL;
}

static int wish_find_node(Wish *wish, Server *server, sd_bus_error *error) {
        if (wish->near_cpu == UINT32_MAX ||
            broker_cpu_node(server_broker(server), wish->near_cpu, &wish->numa_node) != -ENOENT)
                return 0;

        return option_refuse(error, "near-cpu", "is no processor of this machine");
}

static bool asks_include(const Ask *asks, unsigned n, const Ask *others, unsigned n_others) {
        unsigned n_found = 0;

        for (unsigned i = 0; i < n_others; i++)
                for (unsigned j = 0; j < n && n_found == i; j++)
                        n_found += ask_is_same(&asks[j], &others[i]);
        return n_found == n_others;
}

/* The devices are the same, and more or less is to be done to them than was, when polkit was asked: they have gone back
 * to their drivers meanwhile, say. */
static bool wish_is_of_the_same(const Wish *wish) {
        return wish->n_before > 0 && (asks_include(wish->asks, wish->n_asks, wish->before, wish->n_before) ||
                                      asks_include(wish->before, wish->n_before, wish->asks, wish->n_asks));
}

int wish_resolve(Wish *wish, Server *server, sd_bus_message *m, sd_bus_error *error) {
        Authorizer *authorizer = server_authorizer(server);
        int r;

        r = wish_find_node(wish, server, error);
        if (r < 0)
                return r;
        if (wish_wants_pool(wish)) {
                r = authorizer_know_sender(authorizer, m, &wish->sender, error);
                if (r <= 0)
                        return r;
        }

        wish->asked = authorizer_has_asked(authorizer, m);
        wish->before = authorizer_asks(authorizer, m, &wish->n_before);
        r = wish_find(wish, server, error);
        if (r < 0 || (!wish_wants_pool(wish) && !wish_is_of_the_same(wish)) ||
            !authorizer_forget_outdated(authorizer, m, wish->asks, wish->n_asks))
                return r < 0 ? r : 1;

        wish->before = NULL;
        wish->n_before = 0;
        wish_drop_asks(wish);
        wish->asked = false;
        r = wish_find(wish, server, error);
        return r < 0 ? r : 1;
}

int wish_resolve_again(Wish *wish, Server *server, sd_bus_error *error) {
        _cleanup_(freep) Ask *asks = TAKE_PTR(wish->asks);
        unsigned n = wish->n_asks;
        bool same;
        int r;

        wish->n_asks = wish->n_targets = 0;
        wish->asked = true;
        wish->before = asks;
        wish->n_before = n;
        r = wish_find(wish, server, error);
        wish->before = NULL;
        wish->n_before = 0;

        same = wish->n_asks == n;
        for (unsigned i = 0; i < n; i++) {
                same = same && ask_is_same(&asks[i], &wish->asks[i]);
                ask_done(&asks[i]);
        }
        if (r < 0)
                return r;

        return same ? 0 : bus_refuse(error, VFB_ERROR_DEVICE_GONE, NULL);
}

static bool wish_is_one_time(const Wish *wish) {
        bool one_time = wish->flags & VFB_ACQUIRE_ONE_TIME;

        for (unsigned i = 0; i < wish->n_targets; i++)
                one_time |= wish->targets[i].pool && wish->targets[i].pool->one_time;
        return one_time;
}

static BrokerRequest wish_request_of(const Wish *wish, Server *server, const Sender *sender) {
        return (BrokerRequest){
                .targets = wish->targets,
                .n_targets = wish->n_targets,
                .mode = wish->mode,
                .label = wish->label,
                .bind = broker_binds_on_acquire(server_broker(server)),
                .companions = wish->companions,
                .steal = wish->steal,
                .restore = wish->restore,
                .reset = wish->reset,
                .one_time = wish_is_one_time(wish),
                .duration_usec = wish->duration_usec,
                .bond = wish->bond,
                .pidfd = wish->pidfd,
                .uid = sender->uid,
                .groups = sender->groups,
                .n_groups = sender->n_groups,
                .pid = sender->pid,
        };
}

BrokerRequest wish_request(const Wish *wish, Server *server, sd_bus_message *m, const Sender *sender) {
        BrokerRequest request = wish_request_of(wish, server, sender);

        request.sender = sd_bus_message_get_sender(m);
        return request;
}
