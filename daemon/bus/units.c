/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Units */

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "bus/dictionary.h"
#include "bus/units.h"
#include "log.h"

#define SYSTEMD_NAME    "org.freedesktop.systemd1"
#define SYSTEMD_PATH    "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT    "org.freedesktop.systemd1.Unit"
#define UNIT_PREFIX     "/org/freedesktop/systemd1/unit"

struct Units {
        sd_bus *bus;
        sd_bus_slot *changes, *removals, *owner, *subscription; /* NULL: nobody was asked for yet */
        UnitChanged changed;
        void *userdata;
};

struct UnitQuery {
        Units *units;
        sd_bus_slot *slot; /* of the call that we wait for */
        UnitKnown known;
        void *userdata;
};

static int units_on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(freep) char *name = NULL;
        Units *units = userdata;

        if (sd_bus_path_decode(sd_bus_message_get_path(m), UNIT_PREFIX, &name) > 0)
                units->changed(name, units->userdata);
        return 0;
}

static int units_on_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Units *units = userdata;
        const char *name;

        if (sd_bus_message_read(m, "s", &name) >= 0)
                units->changed(name, units->userdata);
        return 0;
}

static int units_on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *refusal = sd_bus_message_get_error(m);

        /* After it has executed itself anew, systemd may remember. */
        if (refusal && strcmp(refusal->name, SYSTEMD_NAME ".AlreadySubscribed") != 0)
                log_line(LOG_WARNING, "systemd will not tell of changes of units: %s",
                         refusal->message ?: refusal->name);
        return 1;
}

/* systemd tells those who ask for it. */
static int units_subscribe(Units *units) {
        units->subscription = sd_bus_slot_unref(units->subscription);
        return sd_bus_call_method_async(units->bus, &units->subscription, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                        "Subscribe", units_on_subscribed, units, NULL);
}

/* It executes itself anew when it is upgraded: then it has to be asked again, and what was in between is unknown. */
static int units_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *old, *new;
        Units *units = userdata;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0 || !*new)
                return 0;

        if (units_subscribe(units) < 0)
                log_line(LOG_WARNING, "Cannot ask systemd to tell of changes of units");
        units->changed(NULL, units->userdata);
        return 0;
}

static int units_on_match(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *refusal = sd_bus_message_get_error(m);

        if (refusal)
                log_line(LOG_WARNING, "The bus will not tell of changes of units: %s",
                         refusal->message ?: refusal->name);
        return 1;
}

/* The rules come first: the bus and systemd handle in order what we send. One for all units, since the bus closes the
 * connection that has too many. */
static int units_follow(Units *units) {
        const struct {
                sd_bus_slot **slot;
                const char *rule;
                sd_bus_message_handler_t handler;
        } matches[] = {
                { &units->changes,
                  "type='signal',sender='" SYSTEMD_NAME "',path_namespace='" UNIT_PREFIX "',"
                  "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',arg0='" SYSTEMD_UNIT "'",
                  units_on_changed },
                { &units->removals,
                  "type='signal',sender='" SYSTEMD_NAME "',path='" SYSTEMD_PATH "',interface='" SYSTEMD_MANAGER "',"
                  "member='UnitRemoved'",
                  units_on_removed },
                { &units->owner,
                  "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                  "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" SYSTEMD_NAME "'",
                  units_on_owner },
        };
        int r;

        if (units->subscription)
                return 0;

        for (size_t i = 0; i < sizeof(matches) / sizeof(*matches); i++) {
                *matches[i].slot = sd_bus_slot_unref(*matches[i].slot);
                r = sd_bus_add_match_async(units->bus, matches[i].slot, matches[i].rule, matches[i].handler,
                                           units_on_match, units);
                if (r < 0)
                        return r;
        }

        return units_subscribe(units);
}

int units_new(Units **ret, sd_bus *bus, UnitChanged changed, void *userdata) {
        Units *units;

        units = calloc(1, sizeof(*units));
        if (!units)
                return -ENOMEM;

        *units = (Units){ .bus = bus, .changed = changed, .userdata = userdata };
        *ret = units;
        return 0;
}

Units *units_free(Units *units) {
        if (!units)
                return NULL;

        sd_bus_slot_unref(units->subscription);
        sd_bus_slot_unref(units->owner);
        sd_bus_slot_unref(units->removals);
        sd_bus_slot_unref(units->changes);
        free(units);
        return NULL;
}

static int read_invocation(sd_bus_message *m, char ret[INVOCATION_MAX]) {
        const uint8_t *bytes;
        size_t n;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "ay");
        if (r < 0)
                return r;
        r = sd_bus_message_read_array(m, 'y', (const void **) &bytes, &n);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n && 2 * i + 3 <= INVOCATION_MAX; i++)
                snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
        return sd_bus_message_exit_container(m);
}

typedef struct RunAnswer {
        UnitRun *run;
        char state[32];
} RunAnswer;

static int read_entry(sd_bus_message *m, const char *key, void *userdata) {
        RunAnswer *answer = userdata;

        if (strcmp(key, "Id") == 0)
                return dictionary_read_string(m, answer->run->name, sizeof(answer->run->name));
        if (strcmp(key, "ActiveState") == 0)
                return dictionary_read_string(m, answer->state, sizeof(answer->state));
        if (strcmp(key, "InvocationID") == 0)
                return read_invocation(m, answer->run->invocation);
        return sd_bus_message_skip(m, "v");
}

static int read_run(sd_bus_message *m, UnitRun *ret) {
        RunAnswer answer = { .run = ret };
        int r;

        *ret = (UnitRun){};
        r = dictionary_read(m, read_entry, &answer);
        if (r < 0)
                return r;
        if (!*ret->name || !*answer.state)
                return -EBADMSG;

        /* "deactivating" is still running, and "activating" has begun */
        ret->active = strcmp(answer.state, "inactive") != 0 && strcmp(answer.state, "failed") != 0;
        return 0;
}

/* What an error of systemd's means; 0 if it is none. */
static int answer_errno(sd_bus_message *m) {
        static const char *const absent[] = {
                SYSTEMD_NAME ".NoSuchUnit", SYSTEMD_NAME ".NoUnitForPID", SD_BUS_ERROR_UNKNOWN_OBJECT,
                SD_BUS_ERROR_INVALID_ARGS, /* no name that a unit can have */
        };
        const sd_bus_error *error = sd_bus_message_get_error(m);

        if (!error)
                return 0;
        for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++)
                if (strcmp(error->name, absent[i]) == 0)
                        return -ENOENT;

        return -EIO;
}

static int query_on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitQuery *query = userdata;
        UnitRun run;
        int r;

        r = answer_errno(m);
        if (r == 0)
                r = read_run(m, &run);
        query->known(r, r == 0 ? &run : NULL, query->userdata);
        return 1;
}

static int query_on_path(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitQuery *query = userdata;
        const char *path;
        int r;

        r = answer_errno(m);
        if (r == 0)
                r = sd_bus_message_read(m, "o", &path);
        if (r >= 0) {
                query->slot = sd_bus_slot_unref(query->slot);
                r = sd_bus_call_method_async(query->units->bus, &query->slot, SYSTEMD_NAME, path,
                                             "org.freedesktop.DBus.Properties", "GetAll", query_on_properties, query,
                                             "s", SYSTEMD_UNIT);
        }
        if (r < 0)
                query->known(r, NULL, query->userdata);
        return 1;
}

int unit_query_new(UnitQuery **ret, Units *units, const char *name, pid_t pid, UnitKnown known, void *userdata) {
        _cleanup_(unit_query_freep) UnitQuery *query = NULL;
        int r;

        query = calloc(1, sizeof(*query));
        if (!query)
                return -ENOMEM;
        *query = (UnitQuery){ .units = units, .known = known, .userdata = userdata };

        r = units_follow(units);
        if (r < 0)
                return r;

        if (*name)
                r = sd_bus_call_method_async(units->bus, &query->slot, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                             "GetUnit", query_on_path, query, "s", name);
        else
                r = sd_bus_call_method_async(units->bus, &query->slot, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                             "GetUnitByPID", query_on_path, query, "u", (uint32_t) pid);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(query);
        return 0;
}

UnitQuery *unit_query_free(UnitQuery *query) {
        if (!query)
                return NULL;

        sd_bus_slot_unref(query->slot);
        free(query);
        return NULL;
}
