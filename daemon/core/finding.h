/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Finding
 *
 * One thing to say about a request: why it would be refused, or what to know before. Explain shows them
 * all, a refused Acquire the first error, so the two cannot disagree. A list of findings is an
 * array that grows; it belongs to whoever started it, and is bounded since every wanted device has a
 * few at most.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cleanup.h"
#include "core/device.h"
#include "errors.h"

typedef enum Severity {
        SEVERITY_ERROR,
        SEVERITY_WARNING,
        SEVERITY_INFO,
        _SEVERITY_MAX,
} Severity;

typedef struct Finding {
        Severity severity;
        VfbError error;     /* NONE for warnings and facts */
        const char *code;   /* static; "NotViable", "NoReset" */
        char device[DEVICE_ID_MAX];    /* the wanted device it is about, or "" */
        char *text;         /* a sentence without its full stop */
        char *fix;          /* what to do, or NULL */
        char culprit[DEVICE_ID_MAX];   /* the device that stands in the way, or "" */
        char driver[64];    /* its driver, or "" */
        char lease[16];     /* the lease that has it, or "" */
} Finding;

typedef struct Findings {
        Finding *items;
        size_t n;
} Findings;

void findings_done(Findings *findings);

/* Appends one; @ret (may be NULL) is borrowed until the next is added. @error decides severity and code. */
int findings_add_error(Findings *findings, Finding **ret, VfbError error, const char *device, const char *format, ...)
        __attribute__((format(printf, 5, 6)));
int findings_add_note(Findings *findings, Severity severity, const char *code, const char *device, const char *format,
                      ...) __attribute__((format(printf, 5, 6)));

int finding_set_fix(Finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first error, NULL if there is none. Borrowed. */
const Finding *findings_first_error(const Findings *findings);

/* Its VfbError, 0 if there is none. */
int findings_refusal(const Findings *findings);

const char *severity_name(Severity severity);
