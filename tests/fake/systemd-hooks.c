/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Transient units of the fake systemd */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "systemd-hooks.h"

#define NAME      "org.freedesktop.systemd1"
#define PATH      "/org/freedesktop/systemd1"
#define HOOKS_MAX 256

typedef struct End {
        char job[32], result[32]; /* job "": it does not end by itself */
        int code, status;
} End;

typedef struct Transient {
        char name[64], text[4096];
        bool running, referenced;
        End end;
} Transient;

static Transient transients[HOOKS_MAX];
static unsigned n_transients;
static End next;
static char refusal[64];

static Transient *find(const char *name) {
        for (unsigned i = n_transients; i-- > 0;)
                if (strcmp(transients[i].name, name) == 0)
                        return &transients[i];
        return NULL;
}

static void __attribute__((format(printf, 2, 3))) add(Transient *unit, const char *format, ...) {
        size_t n = strlen(unit->text);
        va_list ap;

        va_start(ap, format);
        vsnprintf(unit->text + n, sizeof(unit->text) - n, format, ap);
        va_end(ap);
}

/* Whatever there is up to the end of the container, separated by commas. */
static int render(sd_bus_message *m, Transient *unit) {
        const char *contents;
        char type;
        int r;

        for (unsigned i = 0; (r = sd_bus_message_peek_type(m, &type, &contents)) > 0; i++) {
                union {
                        const char *s;
                        uint64_t t;
                        uint32_t u;
                        int32_t i;
                        int b;
                        uint8_t y;
                } value = {};

                if (strchr("avre", type)) {
                        if (i > 0)
                                add(unit, ",");
                        r = sd_bus_message_enter_container(m, type, contents);
                        if (r >= 0)
                                r = render(m, unit);
                        if (r >= 0)
                                r = sd_bus_message_exit_container(m);
                        if (r < 0)
                                return r;
                        continue;
                }

                r = sd_bus_message_read_basic(m, type, &value);
                if (r < 0)
                        return r;
                if (i > 0 && type != 'y')
                        add(unit, ",");
                if (type == 's')
                        add(unit, "%s", value.s);
                else if (type == 't')
                        add(unit, "%llu", (unsigned long long) value.t);
                else if (type == 'y')
                        add(unit, "%c", value.y);
                else
                        add(unit, "%d", type == 'b' ? value.b : value.i);
        }
        return r;
}

static int render_properties(sd_bus_message *m, Transient *unit) {
        int r = sd_bus_message_enter_container(m, 'a', "(sv)");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'r', "sv")) > 0) {
                const char *key;

                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                add(unit, "%s=", key);
                r = render(m, unit);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
                add(unit, ";");
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static void end(sd_bus *bus, Transient *unit, const End *how) {
        char job[64];

        unit->running = false;
        unit->end = *how;
        snprintf(job, sizeof(job), PATH "/job/%u", (unsigned) (unit - transients) + 1);
        (void) sd_bus_emit_signal(bus, PATH, NAME ".Manager", "JobRemoved", "uoss", (uint32_t) (unit - transients) + 1, job,
                                  unit->name, how->job);
}

static int method_start(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *mode;
        Transient *unit;
        char job[64];
        int r;

        r = sd_bus_message_read(m, "ss", &name, &mode);
        if (r < 0)
                return r;
        if (*refusal)
                return sd_bus_error_set(error, refusal, "As the test wants it.");
        unit = find(name);
        if (unit && unit->running)
                return sd_bus_error_setf(error, NAME ".UnitExists", "Unit %s was already loaded.", name);
        if (n_transients == HOOKS_MAX)
                return -ENOSPC;

        unit = &transients[n_transients++];
        *unit = (Transient){ .running = true };
        snprintf(unit->name, sizeof(unit->name), "%s", name);
        r = render_properties(m, unit);
        if (r < 0)
                return r;
        unit->referenced = strstr(unit->text, "AddRef=1;");

        snprintf(job, sizeof(job), PATH "/job/%u", n_transients);
        r = sd_bus_reply_method_return(m, "o", job);
        if (r >= 0 && *next.job)
                end(sd_bus_message_get_bus(m), unit, &next);
        return r;
}

static int method_unref(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;
        Transient *unit;

        if (sd_bus_message_read(m, "s", &name) < 0)
                return -EINVAL;
        unit = find(name);
        if (unit)
                unit->referenced = false;
        return sd_bus_reply_method_return(m, NULL);
}

int hooks_reply_properties(sd_bus_message *m, const char *name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Transient *unit = find(name);

        if (!unit)
                return 0;
        if (!unit->referenced)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_OBJECT, "It is collected");
        if (sd_bus_message_new_method_return(m, &reply) < 0)
                return -ENOMEM;
        sd_bus_message_append(reply, "a{sv}", 4, "Type", "s", "oneshot", "Result", "s", unit->end.result,
                              "ExecMainCode", "i", unit->end.code, "ExecMainStatus", "i", unit->end.status);
        return sd_bus_send(sd_bus_message_get_bus(m), reply, NULL) < 0 ? -EIO : 1;
}

static int read_end(sd_bus_message *m, End *ret) {
        const char *job, *result;
        End how = {};

        if (sd_bus_message_read(m, "ssii", &job, &result, &how.code, &how.status) < 0)
                return -EINVAL;
        snprintf(how.job, sizeof(how.job), "%s", job);
        snprintf(how.result, sizeof(how.result), "%s", result);
        *ret = how;
        return 0;
}

static int test_set_end(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int r = read_end(m, &next);

        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int test_end_all(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        End how;
        int r = read_end(m, &how);

        for (unsigned i = 0; r >= 0 && i < n_transients; i++)
                if (transients[i].running)
                        end(sd_bus_message_get_bus(m), &transients[i], &how);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int test_set_refusal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        if (sd_bus_message_read(m, "s", &name) < 0)
                return -EINVAL;
        snprintf(refusal, sizeof(refusal), "%s", name);
        return sd_bus_reply_method_return(m, NULL);
}

static int test_get_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        if (sd_bus_message_new_method_return(m, &reply) < 0)
                return -ENOMEM;
        sd_bus_message_open_container(reply, 'a', "s");
        for (unsigned i = 0; i < n_transients; i++) {
                char text[sizeof(transients[i].name) + sizeof(transients[i].text) + 2];

                snprintf(text, sizeof(text), "%s:%s", transients[i].name, transients[i].text);
                sd_bus_message_append(reply, "s", text);
        }
        sd_bus_message_close_container(reply);
        return sd_bus_send(sd_bus_message_get_bus(m), reply, NULL) < 0 ? -EIO : 1;
}

static int test_count(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        uint32_t running = 0, referenced = 0;

        for (unsigned i = 0; i < n_transients; i++) {
                running += transients[i].running;
                referenced += transients[i].referenced;
        }
        return sd_bus_reply_method_return(m, "uuu", n_transients, running, referenced);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", method_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("UnrefUnit", "s", NULL, method_unref, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable test_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("SetEnd", "ssii", NULL, test_set_end, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("EndAll", "ssii", NULL, test_end_all, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetRefusal", "s", NULL, test_set_refusal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetStarted", NULL, "as", test_get_started, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Count", NULL, "uuu", test_count, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

int hooks_register(sd_bus *bus) {
        int r = sd_bus_add_object_vtable(bus, NULL, PATH, NAME ".Manager", manager_vtable, NULL);

        return r < 0 ? r : sd_bus_add_object_vtable(bus, NULL, "/test", "test.Hooks", test_vtable, NULL);
}
