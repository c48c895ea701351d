/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker monitor */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "ctl.h"

typedef struct Monitor {
        const Ctl *ctl;
        char *owner; /* the service's unique name; signals of others are not its */
} Monitor;

static void monitor_done(Monitor *monitor) {
        free(monitor->owner);
}

static void print_time(const struct timespec *now) {
        char text[16] = "";
        struct tm tm;

        if (localtime_r(&now->tv_sec, &tm) && strftime(text, sizeof(text), "%T", &tm) > 0)
                say(stdout, "%s ", text);
}

/* Of findings the sentences, of all others the values. */
static void print_items(json_object *array) {
        for (size_t i = 0; i < json_length(array); i++) {
                json_object *item = json_object_array_get_idx(array, i);
                const char *text = json_object_is_type(item, json_type_object) ? json_text(item, "text")
                                                                               : json_object_get_string(item);

                say(stdout, "%s%s", i > 0 ? "; " : "", text ?: "-");
        }
}

/* "14:03:11 lease-removed lease=l-7f3k reason=released" */
static void print_event_line(const char *event, json_object *details, const struct timespec *now) {
        print_time(now);
        say(stdout, "%s", event);
        json_object_object_foreach(details, key, value) {
                say(stdout, " %s=", key);
                if (json_object_is_type(value, json_type_array))
                        print_items(value);
                else
                        say(stdout, "%s", value ? json_object_get_string(value) : "-");
        }
        say(stdout, "\n");
        fflush(stdout);
}

static void print_event(const Ctl *ctl, const char *event, json_object *details) {
        _cleanup_(json_putp) json_object *object = NULL;
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        if (!ctl->json) {
                print_event_line(event, details, &now);
                return;
        }

        object = json_object_new_object();
        json_object_object_add(object, "time_usec",
                               json_object_new_int64((int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000));
        json_object_object_add(object, "event", json_object_new_string(event));
        json_object_object_foreach(details, key, value)
                json_object_object_add(object, key, json_object_get(value));
        print_json_line(object);
}

/* What the object at @path is and its id, as a member of @details. */
static int add_object(json_object *details, const char *path) {
        _cleanup_(freep) char *id = NULL;
        const char *kind = kind_of_path(path, &id);

        if (!kind)
                return -EBADMSG;

        json_object_object_add(details, kind, json_from_id(kind, id));
        return 0;
}

static int read_changes(sd_bus_message *m, json_object *details) {
        _cleanup_(json_putp) json_object *changes = json_object_new_object();
        const char *interface;
        int r;

        r = add_object(details, sd_bus_message_get_path(m));
        if (r < 0)
                return r;

        r = sd_bus_message_read(m, "s", &interface);
        if (r < 0)
                return r;

        r = json_add_properties(changes, m);
        if (r < 0)
                return r;

        json_object_object_foreach(changes, key, value)
                json_object_object_add(details, key, json_object_get(value));
        return 0;
}

/* Of "DeviceNew", "LeaseRemoved" and so on: id, object, and a reason if there is one. */
static int read_coming_and_going(sd_bus_message *m, json_object *details) {
        const char *id, *path, *reason;
        int r;

        r = sd_bus_message_read(m, "so", &id, &path);
        if (r < 0)
                return r;

        r = add_object(details, path);
        if (r < 0)
                return r;

        if (sd_bus_message_at_end(m, /* complete= */ true))
                return 0;

        r = sd_bus_message_read(m, "s", &reason);
        if (r < 0)
                return r;

        json_object_object_add(details, "reason", json_object_new_string(reason));
        return 0;
}

static int monitor_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const struct {
                const char *interface, *member, *event;
                int (*read)(sd_bus_message *m, json_object *details);
        } signals[] = {
                { VFB_INTERFACE_MANAGER, "DeviceNew", "device-new", read_coming_and_going },
                { VFB_INTERFACE_MANAGER, "DeviceRemoved", "device-removed", read_coming_and_going },
                { VFB_INTERFACE_MANAGER, "LeaseNew", "lease-new", read_coming_and_going },
                { VFB_INTERFACE_MANAGER, "LeaseRemoved", "lease-removed", read_coming_and_going },
                { "org.freedesktop.DBus.Properties", "PropertiesChanged", "changed", read_changes },
        };
        _cleanup_(json_putp) json_object *details = json_object_new_object();
        const char *sender = sd_bus_message_get_sender(m);
        Monitor *monitor = userdata;

        if (!sender || !monitor->owner || strcmp(sender, monitor->owner) != 0)
                return 0;

        for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
                if (sd_bus_message_is_signal(m, signals[i].interface, signals[i].member) > 0 &&
                    signals[i].read(m, details) >= 0)
                        print_event(monitor->ctl, signals[i].event, details);

        return 0;
}

static int monitor_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(json_putp) json_object *details = json_object_new_object();
        const char *name, *old_owner, *new_owner;
        Monitor *monitor = userdata;

        if (sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner) < 0)
                return 0;

        free(monitor->owner);
        monitor->owner = *new_owner ? strdup(new_owner) : NULL;
        print_event(monitor->ctl, *new_owner ? "service-started" : "service-stopped", details);
        return 0;
}

/* Who has the name now; nobody is no error, and is not called into being. */
static int find_owner(Monitor *monitor, sd_bus *bus) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *owner;
        int r;

        r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                               "GetNameOwner", &error, &reply, "s", VFB_BUS_NAME);
        if (r < 0 && sd_bus_error_has_name(&error, SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
                fputs("vfio-broker: the service is not running; waiting for it\n", stderr);
                return 0;
        }
        if (r < 0)
                return r;

        r = sd_bus_message_read(reply, "s", &owner);
        if (r < 0)
                return r;

        monitor->owner = strdup(owner);
        return monitor->owner ? 0 : -ENOMEM;
}

static int subscribe(Monitor *monitor, sd_bus *bus) {
        int r;

        r = sd_bus_add_match(bus, NULL,
                             "type='signal',sender='" VFB_BUS_NAME "',path_namespace='" VFB_PATH "'",
                             monitor_on_signal, monitor);
        if (r < 0)
                return r;

        r = sd_bus_add_match(bus, NULL,
                             "type='signal',sender='org.freedesktop.DBus',"
                             "member='NameOwnerChanged',arg0='" VFB_BUS_NAME "'",
                             monitor_on_owner, monitor);
        if (r < 0)
                return r;

        return find_owner(monitor, bus);
}

int ctl_monitor(Ctl *ctl, char **args) {
        _cleanup_(monitor_done) Monitor monitor = { .ctl = ctl };
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = subscribe(&monitor, bus);
        while (r >= 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r == -EINTR)
                        r = 0;
        }

        return fail(ctl, r, NULL);
}
