/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Log
 *
 * One event, one line: to the journal with a message id and our fields when systemd started us, to
 * stderr otherwise. Every id has an entry in systemd/vfio-broker.catalog that tells the
 * administrator what it means and what to do.
 */

#include <stdarg.h>
#include <sys/types.h>

#include "events.h"

typedef struct LogEvent {
        const char *id; /* one of events.h */
        int priority;   /* of syslog(3) */
        const char *lease, *device, *driver, *error, *reset, *reason; /* NULL: no such field */
        const uid_t *uid;                                             /* likewise */
} LogEvent;

void log_event(const LogEvent *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_event_va(const LogEvent *event, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));

/* No event, only something to know: a line of its own, without an id. */
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* How many lines there were so far that are warnings, or worse. */
unsigned log_n_warnings(void);
