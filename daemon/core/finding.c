/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finding */

#include <stdarg.h>
#include <stdio.h>

#include "core/finding.h"

void findings_done(Findings *findings) {
        for (size_t i = 0; i < findings->n; i++) {
                free(findings->items[i].text);
                free(findings->items[i].fix);
        }
        free(findings->items);
        *findings = (Findings){};
}

static int findings_add(Findings *findings, Finding **ret, const char *device, const char *format, va_list ap) {
        Finding *items;
        char *text;

        items = reallocarray(findings->items, findings->n + 1, sizeof(*items));
        if (!items)
                return -ENOMEM;
        findings->items = items;

        if (vasprintf(&text, format, ap) < 0)
                return -ENOMEM;

        items[findings->n] = (Finding){ .text = text };
        snprintf(items[findings->n].device, sizeof(items->device), "%s", device);
        *ret = &items[findings->n++];
        return 0;
}

int findings_add_error(Findings *findings, Finding **ret, VfbError error, const char *device, const char *format, ...) {
        Finding *finding;
        va_list ap;
        int r;

        va_start(ap, format);
        r = findings_add(findings, &finding, device, format, ap);
        va_end(ap);
        if (r < 0)
                return r;

        finding->severity = SEVERITY_ERROR;
        finding->error = error;
        finding->code = vfb_error_code(error);
        if (ret)
                *ret = finding;
        return 0;
}

int findings_add_note(Findings *findings, Severity severity, const char *code, const char *device, const char *format,
                      ...) {
        Finding *finding;
        va_list ap;
        int r;

        va_start(ap, format);
        r = findings_add(findings, &finding, device, format, ap);
        va_end(ap);
        if (r < 0)
                return r;

        finding->severity = severity;
        finding->code = code;
        return 0;
}

int finding_set_fix(Finding *finding, const char *format, ...) {
        va_list ap;
        int r;

        free(TAKE_PTR(finding->fix));

        va_start(ap, format);
        r = vasprintf(&finding->fix, format, ap);
        va_end(ap);
        if (r < 0) {
                finding->fix = NULL;
                return -ENOMEM;
        }

        return 0;
}

const Finding *findings_first_error(const Findings *findings) {
        for (size_t i = 0; i < findings->n; i++)
                if (findings->items[i].severity == SEVERITY_ERROR)
                        return &findings->items[i];

        return NULL;
}

int findings_refusal(const Findings *findings) {
        const Finding *first = findings_first_error(findings);

        return first ? (int) first->error : 0;
}

const char *severity_name(Severity severity) {
        switch (severity) {
        case SEVERITY_ERROR:
                return "error";
        case SEVERITY_WARNING:
                return "warning";
        case SEVERITY_INFO:
                return "info";
        case _SEVERITY_MAX:
                break;
        }
        return NULL;
}
