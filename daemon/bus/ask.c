/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ask */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bus/ask.h"
#include "cleanup.h"

int ask_about(Ask *ret, const char *action, const char *id, uint64_t generation) {
        *ret = (Ask){ .action = action };
        return asprintf(&ret->subject, "%s %" PRIu64, id, generation) < 0 ? -ENOMEM : 0;
}

bool ask_is_same(const Ask *ask, const Ask *other) {
        return strcmp(ask->action, other->action) == 0 && strcmp(ask->subject ?: "", other->subject ?: "") == 0;
}

int ask_add(Ask *ask, const char *key, const char *format, ...) {
        char *copy, *value;
        va_list ap;
        int r;

        if (ask->n_details == AUTHORIZER_DETAILS_MAX)
                return -E2BIG;

        copy = strdup(key);
        if (!copy)
                return -ENOMEM;

        va_start(ap, format);
        r = vasprintf(&value, format, ap);
        va_end(ap);
        if (r < 0) {
                free(copy);
                return -ENOMEM;
        }

        ask->details[2 * ask->n_details] = copy;
        ask->details[2 * ask->n_details + 1] = value;
        ask->n_details++;
        return 0;
}

void ask_done(Ask *ask) {
        for (unsigned i = 0; i < 2 * ask->n_details; i++)
                free(ask->details[i]);
        free(ask->subject);
        *ask = (Ask){};
}

int ask_copy(Ask *ret, const Ask *ask) {
        int r = 0;

        *ret = (Ask){ .action = ask->action,
                      .subject = strdup(ask->subject ?: ""),
                      .has_owner = ask->has_owner,
                      .owner = ask->owner };
        if (!ret->subject)
                return -ENOMEM;

        for (unsigned i = 0; r == 0 && i < ask->n_details; i++)
                r = ask_add(ret, ask->details[2 * i], "%s", ask->details[2 * i + 1]);
        return r;
}
