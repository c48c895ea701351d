/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What has happened, from the journal */

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <systemd/sd-journal.h>

#include "ctl-history.h"
#include "ctl-time.h"

/* What happened, in a word. What a later version writes is an event as well, in its own words. */
static const struct {
        const char *id, *event;
        const char *text; /* for people, before what the entry adds; NULL: the entry's own sentence */
} events[] = {
        { LOG_ID_ACQUIRED, "acquired", "begins" },
        { LOG_ID_REFUSED, "refused", "refused" },
        { LOG_ID_RENEWED, "renewed", NULL },
        { LOG_ID_CLAIMED, "claimed", "handed over" },
        { LOG_ID_ENDED, "ended", "ends" },
        { LOG_ID_LINGERING, "lingering", "over, but still open somewhere" },
        { LOG_ID_RESET, "reset", "reset" },
        { LOG_ID_RELEASED, "released", "free again" },
        { LOG_ID_QUARANTINED, "quarantined", "quarantined" },
        { LOG_ID_RETURNED, "returned", "brought back by an administrator" },
        { LOG_ID_DEVICE_GONE, "device-gone", "gone" },
        { LOG_ID_AWAITED, "awaited", NULL },
        { LOG_ID_BOUND, "bound", NULL },
        { LOG_ID_GIVEN_BACK, "given-back", NULL },
        { LOG_ID_STOLEN, "stolen", "taken from the host, which needed it" },
        { LOG_ID_NOT_BOUND, "not-bound", NULL },
        { LOG_ID_FUNCTIONS, "functions", NULL },
        { LOG_ID_HANGS, "hangs", NULL },
        { LOG_ID_CUT, "cut", NULL },
        { LOG_ID_NOT_CUT, "not-cut", NULL },
        { LOG_ID_RESTORED, "restored", NULL },
        { LOG_ID_STATE, "state", NULL },
        { LOG_ID_REVOKING, "revoking", NULL },
        { LOG_ID_REVOKE_STEP, "revoke-step", NULL },
        { LOG_ID_STILL_BUSY, "still-busy", NULL },
        { LOG_ID_REVOKED, "revoked", NULL },
        { LOG_ID_HOOK_STARTED, "hook-started", NULL },
        { LOG_ID_HOOK_FAILED, "hook-failed", NULL },
        { LOG_ID_HOOK_WRONG, "hook-wrong", NULL },
        { LOG_ID_STARTED, "service-started", NULL },
        { LOG_ID_STOPPED, "service-stopped", NULL },
        { LOG_ID_CONFIG, "configuration", NULL },
};

/* The fields that become members of the same kind. */
static const struct {
        const char *field, *member;
        bool many;
} fields[] = {
        { LOG_FIELD_LEASE, "lease", false },
        { LOG_FIELD_DEVICE, "devices", true },
        { LOG_FIELD_DRIVER, "drivers", true },
        { LOG_FIELD_RESET, "reset", false },
        { LOG_FIELD_REASON, "reason", false },
        { LOG_FIELD_ERROR, "error", false },
        { "MESSAGE_ID", "message_id", false },
        { "MESSAGE", "text", false },
};

static int compare_texts(const void *a, const void *b) {
        json_object *const *x = a, *const *y = b;

        return strcmp(json_object_get_string(*x), json_object_get_string(*y));
}

static void add_field(json_object *event, const char *data, size_t size) {
        const char *equals = memchr(data, '=', size);
        json_object *value, *all;
        size_t n;

        if (!equals)
                return;

        n = (size_t) (equals - data);
        size -= n + 1;
        if (n == strlen(LOG_FIELD_UID) && memcmp(data, LOG_FIELD_UID, n) == 0) {
                json_object_object_add(event, "uid", json_object_new_int64(strtoll(equals + 1, NULL, 10)));
                return;
        }

        for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
                if (strlen(fields[i].field) != n || memcmp(data, fields[i].field, n) != 0)
                        continue;

                value = json_object_new_string_len(equals + 1, (int) size);
                all = json_object_object_get(event, fields[i].member);
                if (fields[i].many && all) {
                        json_object_array_add(all, value);
                } else if (fields[i].many) {
                        all = json_object_new_array();
                        json_object_array_add(all, value);
                        json_object_object_add(event, fields[i].member, all);
                } else {
                        json_object_object_add(event, fields[i].member, value);
                }
        }
}

static const char *event_name(const char *id) {
        for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
                if (strcmp(events[i].id, id) == 0)
                        return events[i].event;

        return "other";
}

int history_read(sd_journal *journal, json_object **ret) {
        _cleanup_(json_putp) json_object *event = json_object_new_object();
        json_object *devices;
        const void *data;
        uint64_t usec;
        size_t size;
        int r;

        r = sd_journal_get_realtime_usec(journal, &usec);
        if (r < 0)
                return r;

        json_object_object_add(event, "time_usec", json_object_new_uint64(usec));
        json_object_object_add(event, "event", NULL);
        SD_JOURNAL_FOREACH_DATA(journal, data, size)
                add_field(event, data, size);

        *ret = NULL;
        if (!json_object_object_get(event, "message_id"))
                return 0;

        devices = json_object_object_get(event, "devices");
        if (devices)
                json_object_array_sort(devices, compare_texts);
        json_object_object_add(event, "event", json_object_new_string(event_name(json_text(event, "message_id"))));
        *ret = TAKE_PTR(event);
        return 0;
}

/* "a b c" of an array's, own string. */
static char *words_of(json_object *array) {
        size_t n = json_length(array);
        _cleanup_(freep) char **words = calloc(n + 1, sizeof(*words));

        for (size_t i = 0; words && i < n; i++)
                words[i] = (char *) (json_object_get_string(json_object_array_get_idx(array, i)) ?: "");

        return words ? join_words(words) : NULL;
}

static const char *user_name(json_object *event, char ret[32]) {
        json_object *uid = json_object_object_get(event, "uid");
        const struct passwd *entry = uid ? getpwuid((uid_t) json_object_get_int64(uid)) : NULL;

        if (entry)
                return entry->pw_name;
        snprintf(ret, 32, "%s", uid ? json_object_get_string(uid) : "-");
        return ret;
}

/* The last word of an error's name. */
static const char *error_code(const char *name) {
        const char *dot = strrchr(name, '.');

        return dot ? dot + 1 : name;
}

/* " (The host needs 0000:02:00.0)" of "Refused to uid 0: The host needs 0000:02:00.0; end that use first" */
static void print_why(const char *message) {
        const char *why = strstr(message, ": "), *hint = why ? strstr(why, "; ") : NULL;

        if (why)
                say(stdout, " (%.*s)", hint ? (int) (hint - why - 2) : 512, why + 2);
}

/* Without the device at its beginning, which has a column of its own. */
static const char *own_sentence(json_object *event, const char *devices) {
        const char *text = json_text(event, "text");
        size_t n = strlen(devices);

        return n > 0 && strncmp(text, devices, n) == 0 && text[n] == ' ' ? text + n + 1 : text;
}

/* "begins, on vfio-pci", "ends: holder-gone", "reset: flr" */
static void print_text(json_object *event, const char *devices) {
        const char *id = json_text(event, "message_id"), *text = NULL, *detail = json_text(event, "reason");
        _cleanup_(freep) char *drivers = words_of(json_object_object_get(event, "drivers"));

        for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
                if (strcmp(events[i].id, id) == 0)
                        text = events[i].text;

        if (!text) {
                say(stdout, "%s\n", own_sentence(event, devices));
                return;
        }

        if (*json_text(event, "reset"))
                detail = json_text(event, "reset");
        else if (*json_text(event, "error"))
                detail = error_code(json_text(event, "error"));
        else if (strcmp(id, LOG_ID_RELEASED) == 0)
                detail = ""; /* its end has said it */

        say(stdout, "%s%s%s%s%s", text, *detail ? ": " : "", detail, drivers && *drivers ? ", on " : "",
            drivers ?: "");
        if (strcmp(id, LOG_ID_REFUSED) == 0)
                print_why(json_text(event, "text"));
        say(stdout, "\n");
}

void history_print(const Ctl *ctl, json_object *event) {
        _cleanup_(freep) char *devices = words_of(json_object_object_get(event, "devices"));
        char date[TIME_TEXT_MAX], uid[32];

        if (ctl->json) {
                print_json_line(event);
                return;
        }

        time_format_date(json_object_get_uint64(json_object_object_get(event, "time_usec")), date);
        say(stdout, "%s  %-8s  %-8s  %-12s  ", date, *json_text(event, "lease") ? json_text(event, "lease") : "-",
            user_name(event, uid), devices && *devices ? devices : "-");
        print_text(event, devices ?: "");
}
