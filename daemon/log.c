/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Log */

#define SD_JOURNAL_SUPPRESS_LOCATION

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "log.h"

#define FIELDS_MAX    160
#define MESSAGE_BYTES 2048

typedef struct LogFields {
        char text[4 * MESSAGE_BYTES];
        size_t used;
        struct iovec iov[FIELDS_MAX];
        int n;
} LogFields;

static void fields_add(LogFields *fields, const char *name, const char *value, size_t length) {
        char *text = fields->text + fields->used;
        size_t room = sizeof(fields->text) - fields->used, n;

        n = strlen(name) + 1 + length;
        if (fields->n == FIELDS_MAX || n >= room)
                return;

        snprintf(text, room, "%s=%.*s", name, (int) length, value);
        fields->iov[fields->n++] = (struct iovec){ text, n };
        fields->used += n + 1;
}

static void fields_add_string(LogFields *fields, const char *name, const char *value) {
        if (value)
                fields_add(fields, name, value, strlen(value));
}

/* One field a word, so that a search for one device finds the lines about several. */
static void fields_add_words(LogFields *fields, const char *name, const char *words) {
        for (size_t n; words && *words; words += n + (words[n] == ' ')) {
                n = strcspn(words, " ");
                fields_add(fields, name, words, n);
        }
}

static void fields_add_number(LogFields *fields, const char *name, unsigned number) {
        char text[16];

        snprintf(text, sizeof(text), "%u", number);
        fields_add_string(fields, name, text);
}

/* systemd sets it when our stderr is the journal: then it takes fields, and would show lines twice. */
static bool log_to_journal(void) {
        return getenv("JOURNAL_STREAM") != NULL;
}

static void log_to_stderr(const LogEvent *event, const char *message) {
        static const struct {
                const char *name;
                size_t offset;
        } shown[] = {
                { "lease", offsetof(LogEvent, lease) },
                { "device", offsetof(LogEvent, device) },
                { "driver", offsetof(LogEvent, driver) },
                { "error", offsetof(LogEvent, error) },
                { "reset", offsetof(LogEvent, reset) },
                { "reason", offsetof(LogEvent, reason) },
        };
        char line[MESSAGE_BYTES];
        size_t n = 0;

        line[0] = '\0';
        for (size_t i = 0; event && i < sizeof(shown) / sizeof(*shown); i++) {
                const char *value = *(const char *const *) ((const char *) event + shown[i].offset);

                if (value && n < sizeof(line))
                        n += (size_t) snprintf(line + n, sizeof(line) - n, " %s=%s", shown[i].name, value);
        }

        fprintf(stderr, "vfio-brokerd: %s%s%s%s\n", message, n ? " [" : "", n ? line + 1 : "", n ? "]" : "");
}

static void log_send(const LogEvent *event, int priority, const char *message) {
        LogFields fields;

        fields.n = 0;
        fields.used = 0;
        fields_add_string(&fields, "MESSAGE", message);
        fields_add_number(&fields, "PRIORITY", (unsigned) priority);
        if (event) {
                fields_add_string(&fields, "MESSAGE_ID", event->id);
                fields_add_string(&fields, LOG_FIELD_LEASE, event->lease);
                fields_add_string(&fields, LOG_FIELD_ERROR, event->error);
                fields_add_string(&fields, LOG_FIELD_RESET, event->reset);
                fields_add_string(&fields, LOG_FIELD_REASON, event->reason);
                fields_add_words(&fields, LOG_FIELD_DEVICE, event->device);
                fields_add_words(&fields, LOG_FIELD_DRIVER, event->driver);
                if (event->uid)
                        fields_add_number(&fields, LOG_FIELD_UID, *event->uid);
        }

        sd_journal_sendv(fields.iov, fields.n);
}

static unsigned n_warnings;

static void log_message(const LogEvent *event, int priority, const char *format, va_list ap) {
        char message[MESSAGE_BYTES];

        n_warnings += priority <= LOG_WARNING;
        vsnprintf(message, sizeof(message), format, ap);
        if (log_to_journal())
                log_send(event, priority, message);
        else
                log_to_stderr(event, message);
}

void log_event_va(const LogEvent *event, const char *format, va_list ap) {
        log_message(event, event->priority, format, ap);
}

void log_event(const LogEvent *event, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_event_va(event, format, ap);
        va_end(ap);
}

unsigned log_n_warnings(void) {
        return n_warnings;
}

void log_line(int priority, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_message(NULL, priority, format, ap);
        va_end(ap);
}
