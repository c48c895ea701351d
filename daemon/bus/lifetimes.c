/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lifetimes */

#include <string.h>
#include <sys/queue.h>
#include <syslog.h>

#include "broker.h"
#include "bus/lifetimes.h"
#include "bus/units.h"
#include "log.h"

typedef struct Check Check;
LIST_HEAD(CheckList, Check);

/* A question whether a unit still runs. One for each unit at a time: systemd sends its answer after what it told us
 * before, so that an answer that is still to come knows of it. */
struct Check {
        LIST_ENTRY(Check) all;
        Lifetimes *lifetimes;
        UnitQuery *query;
        char name[UNIT_NAME_MAX];
};

struct Lifetimes {
        sd_bus *bus;    /* borrowed, like the next */
        Broker *broker;
        Units *units;
        struct CheckList checks;
};

static Check *check_free(Check *check) {
        if (!check)
                return NULL;

        unit_query_free(check->query);
        LIST_REMOVE(check, all);
        free(check);
        return NULL;
}

static void check_on_known(int r, const UnitRun *run, void *userdata) {
        Check *check = userdata;
        Broker *broker = check->lifetimes->broker;

        /* Without an answer nothing is known, and nothing ends. */
        if (r == 0)
                broker_end_leases_of_unit(broker, check->name, run->active ? run->invocation : NULL);
        else if (r == -ENOENT)
                broker_end_leases_of_unit(broker, check->name, NULL);
        else
                log_line(LOG_WARNING, "systemd does not say whether %s still runs; its leases go on", check->name);

        check_free(check);
}

static bool is_checked(const Lifetimes *lifetimes, const char *name) {
        const Check *check;

        LIST_FOREACH(check, &lifetimes->checks, all)
                if (strcmp(check->name, name) == 0)
                        return true;

        return false;
}

static void lifetimes_check(Lifetimes *lifetimes, const char *name) {
        Check *check;
        int r;

        check = calloc(1, sizeof(*check));
        if (!check)
                return;

        check->lifetimes = lifetimes;
        strncpy(check->name, name, sizeof(check->name) - 1);
        LIST_INSERT_HEAD(&lifetimes->checks, check, all);

        r = unit_query_new(&check->query, lifetimes->units, check->name, 0, check_on_known, check);
        if (r < 0) {
                log_line(LOG_WARNING, "Cannot ask systemd whether %s still runs: %s", name, strerror(-r));
                check_free(check);
        }
}

static void lifetimes_on_change(const char *name, void *userdata) {
        Lifetimes *lifetimes = userdata;
        const Lease *lease;

        TAILQ_FOREACH(lease, &broker_leases(lifetimes->broker)->queue, all)
                if (lease->bond == LEASE_BOND_UNIT && !lease_is_over(lease) &&
                    (!name || strcmp(lease->unit, name) == 0) && !is_checked(lifetimes, lease->unit))
                        lifetimes_check(lifetimes, lease->unit);
}

int lifetimes_new(Lifetimes **ret, sd_bus *bus, Broker *broker) {
        _cleanup_(lifetimes_freep) Lifetimes *lifetimes = NULL;
        int r;

        lifetimes = calloc(1, sizeof(*lifetimes));
        if (!lifetimes)
                return -ENOMEM;

        lifetimes->bus = bus;
        lifetimes->broker = broker;
        LIST_INIT(&lifetimes->checks);
        r = units_new(&lifetimes->units, bus, lifetimes_on_change, lifetimes);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(lifetimes);
        return 0;
}

Lifetimes *lifetimes_free(Lifetimes *lifetimes) {
        if (!lifetimes)
                return NULL;

        while (!LIST_EMPTY(&lifetimes->checks))
                check_free(LIST_FIRST(&lifetimes->checks));
        units_free(lifetimes->units);
        free(lifetimes);
        return NULL;
}

/* Asked about one name. Owned by the call's slot. */
typedef struct NameQuery {
        Lifetimes *lifetimes;
        char name[];
} NameQuery;

static int name_on_known(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        NameQuery *query = userdata;
        int there = 0;

        /* Without an answer nothing is known, and nothing ends. */
        if (sd_bus_message_read(m, "b", &there) >= 0 && !there)
                lifetimes_forget_name(query->lifetimes, query->name);
        return 1;
}

static int lifetimes_check_name(Lifetimes *lifetimes, const char *name) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        size_t length = strlen(name) + 1;
        NameQuery *query;
        int r;

        query = malloc(sizeof(*query) + length);
        if (!query)
                return -ENOMEM;
        query->lifetimes = lifetimes;
        memcpy(query->name, name, length);

        r = sd_bus_call_method_async(lifetimes->bus, &slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "NameHasOwner", name_on_known, query, "s", name);
        if (r >= 0)
                r = sd_bus_slot_set_destroy_callback(slot, free);
        if (r < 0) {
                free(query);
                return r;
        }

        /* From here on it is the bus's, which ends before we do. */
        return sd_bus_slot_set_floating(slot, 1);
}

int lifetimes_resume(Lifetimes *lifetimes) {
        const Lease *lease;
        int r;

        lifetimes_on_change(NULL, lifetimes);
        TAILQ_FOREACH(lease, &broker_leases(lifetimes->broker)->queue, all) {
                if (lease->bond != LEASE_BOND_BUS || lease_is_over(lease))
                        continue;
                r = lifetimes_check_name(lifetimes, lease->sender);
                if (r < 0)
                        return r;
        }
        return 0;
}

Units *lifetimes_units(const Lifetimes *lifetimes) {
        return lifetimes->units;
}

void lifetimes_forget_name(Lifetimes *lifetimes, const char *name) {
        broker_end_leases_of_name(lifetimes->broker, name);
}
