/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker log */

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

#include "ctl-history.h"
#include "ctl.h"

static inline void journal_closep(sd_journal **journal) {
        sd_journal_close(*journal);
}

/* "0000:06:0d.0". A device that has gone has a history, too, but the service does not know it any more. */
static bool is_address(const char *text) {
        static const char pattern[] = "xxxx:xx:xx.x";

        for (size_t i = 0; i < sizeof(pattern); i++)
                if (pattern[i] == 'x' ? !strchr("0123456789abcdef", text[i]) || !text[i] : text[i] != pattern[i])
                        return false;

        return true;
}

/* An exit status. The id is the caller's. */
static int find_device(const Ctl *ctl, const char *selector, char **ret_id) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        if (is_address(selector)) {
                *ret_id = strdup(selector);
                return *ret_id ? EXIT_SUCCESS : fail(ctl, -ENOMEM, NULL);
        }

        r = bus_open(ctl, &bus);
        if (r != 0)
                return r;

        r = bus_manager_get(bus, "GetDevice", selector, &path, &error);
        if (r < 0)
                return fail(ctl, r, error);

        return kind_of_path(path, ret_id) ? EXIT_SUCCESS : fail(ctl, -EBADMSG, NULL);
}

static int add_match(sd_journal *journal, const char *field, const char *value) {
        _cleanup_(freep) char *match = NULL;

        if (asprintf(&match, "%s=%s", field, value) < 0)
                return -ENOMEM;

        return sd_journal_add_match(journal, match, 0);
}

/* Only what the service's unit has written: others may write these fields, too. */
static int journal_open(sd_journal **ret, const char *device, const char *lease) {
        _cleanup_(journal_closep) sd_journal *journal = NULL;
        int r;

        r = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r < 0)
                return r;

        r = add_match(journal, "_SYSTEMD_UNIT", LOG_UNIT);
        if (r >= 0 && device)
                r = add_match(journal, LOG_FIELD_DEVICE, device);
        if (r >= 0 && lease)
                r = add_match(journal, LOG_FIELD_LEASE, lease);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(journal);
        return 0;
}

/* The last ones only: a ring of as many. */
typedef struct Tail {
        json_object **events;
        size_t n, next;
} Tail;

static void tail_done(Tail *tail) {
        for (size_t i = 0; i < tail->n; i++)
                json_object_put(tail->events[i]);
        free(tail->events);
}

static void tail_add(Tail *tail, json_object *event) {
        json_object_put(tail->events[tail->next]);
        tail->events[tail->next] = json_object_get(event);
        tail->next = (tail->next + 1) % tail->n;
}

static void tail_print(Tail *tail, const Ctl *ctl) {
        for (size_t i = 0; i < tail->n; i++) {
                json_object *event = tail->events[(tail->next + i) % tail->n];

                if (event)
                        history_print(ctl, event);
        }
}

/* Up to the end of what there is by now. @tail: keep them, instead of saying them. */
static int read_on(const Ctl *ctl, sd_journal *journal, Tail *tail, size_t *n) {
        int r;

        while ((r = sd_journal_next(journal)) > 0) {
                _cleanup_(json_putp) json_object *event = NULL;

                r = history_read(journal, &event);
                if (r < 0)
                        return r;
                if (!event)
                        continue; /* a line about nothing in particular */

                (*n)++;
                if (tail)
                        tail_add(tail, event);
                else
                        history_print(ctl, event);
        }

        return r;
}

static int follow(const Ctl *ctl, sd_journal *journal) {
        size_t n = 0;
        int r;

        for (;;) {
                fflush(stdout);
                r = sd_journal_wait(journal, UINT64_MAX);
                if (r >= 0)
                        r = read_on(ctl, journal, NULL, &n);
                if (r < 0)
                        return r;
        }
}

/* Whether we may read what the service writes. Without that the journal has just nothing to say. */
static bool journal_is_readable(void) {
        static const char *const folders[] = { "/var/log/journal", "/run/log/journal" };
        char id[SD_ID128_STRING_MAX], path[PATH_MAX];
        sd_id128_t machine;

        if (sd_id128_get_machine(&machine) < 0)
                return true;

        sd_id128_to_string(machine, id);
        for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
                snprintf(path, sizeof(path), "%s/%s/system.journal", folders[i], id);
                if (access(path, R_OK) < 0 && errno == EACCES)
                        return false;
        }

        return true;
}

static int show(const Ctl *ctl, sd_journal *journal) {
        _cleanup_(tail_done) Tail tail = {};
        size_t n = 0, n_lines = ctl->n_lines;
        int r;

        /* Who follows wants to see what happens, and only where it begins. */
        if (ctl->follow && n_lines == 0 && ctl->since_usec == 0)
                n_lines = 10;

        if (n_lines > 0) {
                tail.events = calloc(n_lines, sizeof(*tail.events));
                if (!tail.events)
                        return -ENOMEM;
                tail.n = n_lines;
        }

        r = ctl->since_usec > 0 ? sd_journal_seek_realtime_usec(journal, ctl->since_usec)
                                : sd_journal_seek_head(journal);
        if (r >= 0)
                r = read_on(ctl, journal, tail.n > 0 ? &tail : NULL, &n);
        if (r < 0)
                return r;

        tail_print(&tail, ctl);
        if (n == 0 && !journal_is_readable())
                return -EACCES;
        if (n == 0 && !ctl->follow && !ctl->json)
                say(stderr, "The journal has nothing about that.\n");

        return ctl->follow ? follow(ctl, journal) : 0;
}

static int fail_unreadable(const Ctl *ctl) {
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;

        (void) vfb_error_new(&error, SD_BUS_ERROR_ACCESS_DENIED,
                             "The journal is not yours to read; be in the group systemd-journal, or be root");
        return fail(ctl, -EACCES, error);
}

int ctl_log(Ctl *ctl, char **args) {
        _cleanup_(journal_closep) sd_journal *journal = NULL;
        _cleanup_(freep) char *device = NULL;
        int r;

        if (ctl->n_devices > 1)
                return fail_usage(ctl, "log takes one device");

        if (ctl->n_devices > 0) {
                r = find_device(ctl, ctl->devices[0], &device);
                if (r != 0)
                        return r;
        }

        r = journal_open(&journal, device, ctl->lease);
        if (r >= 0)
                r = show(ctl, journal);
        if (r == -EACCES)
                return fail_unreadable(ctl);
        return r < 0 ? fail(ctl, r, NULL) : EXIT_SUCCESS;
}
