/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fake systemd
 *
 * Answers those calls of org.freedesktop.systemd1 that are needed to watch units, as the test tells it to. The test
 * talks to the object /test, interface test.Systemd:
 *
 *   SetUnit(sss)    there is a unit of that name, in that state, with that invocation id (hexadecimal digits); tells
 *                   subscribers
 *   RemoveUnit(s)   there is none any more; likewise
 *   SetUnitOf(us)   the process is in that unit
 *   SetSilent(b)    GetAll is not answered
 *   GetQueries() -> u     how many GetAll there were
 *
 * and, for transient units, test.Hooks:
 *
 *   SetEnd(ssii)    from now on each is over at once: the job's result, the service's, ExecMainCode, ExecMainStatus; a job's
 *                   result of "" is none, and it runs
 *   EndAll(ssii)    those that run are over, in that way
 *   SetRefusal(s)   from now on none is started, and this is the error; "" is none
 *   GetStarted() -> as    all, in order, with their properties
 *   Count() -> uuu        how many there were, run now, and are kept for who has started them
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "systemd-hooks.h"

#define NAME      "org.freedesktop.systemd1"
#define PATH      "/org/freedesktop/systemd1"
#define PREFIX    "/org/freedesktop/systemd1/unit"
#define UNITS_MAX 16

typedef struct Unit {
        char name[64], state[32], invocation[33];
} Unit;

static Unit units[UNITS_MAX];
static struct {
        uint32_t pid;
        char name[64];
} processes[UNITS_MAX];
static size_t n_processes;
static bool subscribed, silent;
static unsigned n_queries;

static Unit *find(const char *name) {
        for (size_t i = 0; i < UNITS_MAX; i++)
                if (strcmp(units[i].name, name) == 0)
                        return &units[i];
        return NULL;
}

static int refuse(sd_bus_error *error, const char *name) {
        return sd_bus_error_setf(error, NAME ".NoSuchUnit", "Unit %s not loaded.", name);
}

static int reply_path(sd_bus_message *m, const char *name, sd_bus_error *error) {
        _cleanup_(freep) char *path = NULL;

        if (!find(name) || sd_bus_path_encode(PREFIX, name, &path) < 0)
                return refuse(error, name);
        return sd_bus_reply_method_return(m, "o", path);
}

static int method_get_unit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        return r < 0 ? r : reply_path(m, name, error);
}

static int method_get_unit_by_pid(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        uint32_t pid;
        int r = sd_bus_message_read(m, "u", &pid);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n_processes; i++)
                if (processes[i].pid == pid)
                        return reply_path(m, processes[i].name, error);
        return sd_bus_error_set(error, NAME ".NoUnitForPID", "PID does not belong to any loaded unit.");
}

static int method_subscribe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (subscribed)
                return sd_bus_error_set(error, NAME ".AlreadySubscribed", "Client is already subscribed.");
        subscribed = true;
        return sd_bus_reply_method_return(m, NULL);
}

static int append_id(sd_bus_message *m, const Unit *unit) {
        uint8_t bytes[16] = {};
        size_t n = strlen(unit->invocation) / 2;

        for (size_t i = 0; i < n; i++) {
                char digits[3] = { unit->invocation[2 * i], unit->invocation[2 * i + 1] };

                bytes[i] = (uint8_t) strtoul(digits, NULL, 16);
        }
        sd_bus_message_open_container(m, 'e', "sv");
        sd_bus_message_append(m, "s", "InvocationID");
        sd_bus_message_open_container(m, 'v', "ay");
        sd_bus_message_append_array(m, 'y', bytes, n);
        sd_bus_message_close_container(m);
        return sd_bus_message_close_container(m);
}

/* Properties.GetAll of a unit. A filter, since there is no object to register. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *name = NULL;
        Unit *unit;
        int r;

        if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "GetAll") ||
            sd_bus_path_decode(sd_bus_message_get_path(m), PREFIX, &name) <= 0)
                return 0;

        n_queries++;
        if (silent)
                return 1;
        if ((r = hooks_reply_properties(m, name)) != 0)
                return r;
        unit = find(name);
        if (!unit)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_OBJECT, "Unknown object");
        if (sd_bus_message_new_method_return(m, &reply) < 0)
                return -ENOMEM;
        sd_bus_message_open_container(reply, 'a', "{sv}");
        sd_bus_message_append(reply, "{sv}", "Id", "s", unit->name);
        sd_bus_message_append(reply, "{sv}", "Names", "as", 1, unit->name);
        sd_bus_message_append(reply, "{sv}", "ActiveState", "s", unit->state);
        append_id(reply, unit);
        sd_bus_message_close_container(reply);
        return sd_bus_send(sd_bus_message_get_bus(m), reply, NULL) < 0 ? -EIO : 1;
}

static void tell(sd_bus *bus, const Unit *unit) {
        _cleanup_(freep) char *path = NULL;

        if (subscribed && sd_bus_path_encode(PREFIX, unit->name, &path) >= 0)
                (void) sd_bus_emit_signal(bus, path, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
                                          NAME ".Unit", 1, "ActiveState", "s", unit->state, 0);
}

static int test_set_unit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *state, *invocation;
        Unit *unit;

        if (sd_bus_message_read(m, "sss", &name, &state, &invocation) < 0)
                return -EINVAL;
        unit = find(name) ?: find("");
        if (!unit)
                return -ENOSPC;
        snprintf(unit->name, sizeof(unit->name), "%s", name);
        snprintf(unit->state, sizeof(unit->state), "%s", state);
        snprintf(unit->invocation, sizeof(unit->invocation), "%s", invocation);
        tell(sd_bus_message_get_bus(m), unit);
        return sd_bus_reply_method_return(m, NULL);
}

static int test_remove_unit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(freep) char *path = NULL;
        const char *name;
        Unit *unit;

        if (sd_bus_message_read(m, "s", &name) < 0 || sd_bus_path_encode(PREFIX, name, &path) < 0)
                return -EINVAL;
        unit = find(name);
        if (unit)
                *unit = (Unit) {};
        if (subscribed)
                (void) sd_bus_emit_signal(sd_bus_message_get_bus(m), PATH, NAME ".Manager", "UnitRemoved", "so", name, path);
        return sd_bus_reply_method_return(m, NULL);
}

static int test_set_unit_of(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;
        uint32_t pid;

        if (sd_bus_message_read(m, "us", &pid, &name) < 0 || n_processes == UNITS_MAX)
                return -EINVAL;
        processes[n_processes].pid = pid;
        snprintf(processes[n_processes++].name, sizeof(processes[0].name), "%s", name);
        return sd_bus_reply_method_return(m, NULL);
}

static int test_set_silent(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int yes;

        if (sd_bus_message_read(m, "b", &yes) < 0)
                return -EINVAL;
        silent = yes;
        return sd_bus_reply_method_return(m, NULL);
}

static int test_get_queries(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "u", n_queries);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetUnit", "s", "o", method_get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetUnitByPID", "u", "o", method_get_unit_by_pid, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Subscribe", NULL, NULL, method_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable test_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("SetUnit", "sss", NULL, test_set_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RemoveUnit", "s", NULL, test_remove_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetUnitOf", "us", NULL, test_set_unit_of, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetSilent", "b", NULL, test_set_silent, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetQueries", NULL, "u", test_get_queries, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

int main(void) {
        sd_event *event;
        sd_bus *bus;
        int r;

        r = sd_event_default(&event);
        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_add_filter(bus, NULL, on_message, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, PATH, NAME ".Manager", manager_vtable, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, "/test", "test.Systemd", test_vtable, NULL);
        if (r >= 0)
                r = hooks_register(bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, 0);
        if (r >= 0)
                r = sd_bus_request_name(bus, NAME, 0); /* who sees it may call at once */
        if (r >= 0)
                r = sd_event_loop(event);
        return r < 0;
}
