/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Placeholders */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "ctl-placeholders.h"
#include "names.h"
#include "vfio-broker.h"

/* The kinds of placeholder. A prefix that ends with ':' is followed by an index. */
static const struct {
        const char *word;
        const char *role;
        const char *part; /* what stands for the role's tail, NULL if nothing does */
} kinds[] = {
        { "container", VFB_ROLE_CONTAINER, NULL },
        { "dev:", VFB_ROLE_DEVICE, ":address" },
        { "group:", VFB_ROLE_GROUP, ":number" },
        { "lifeline", VFB_ROLE_LIFELINE, NULL },
};

#define N_KINDS (sizeof(kinds) / sizeof(*kinds))

typedef struct Placeholder {
        size_t kind;
        size_t index;
        bool tail; /* not the descriptor's number but the role's tail */
} Placeholder;

static bool starts_with(const char *string, const char *prefix) {
        return strncmp(string, prefix, strlen(prefix)) == 0;
}

static bool ends_with_colon(const char *word) {
        return word[strlen(word) - 1] == ':';
}

/* The part of a placeholder after its word: "", "0", "0:address". */
static bool parse_rest(const char *rest, Placeholder *placeholder) {
        size_t digits = strspn(rest, "0123456789");

        placeholder->index = 0;
        placeholder->tail = false;
        if (!ends_with_colon(kinds[placeholder->kind].word))
                return *rest == '\0';
        if (digits == 0 || digits > 6)
                return false;

        placeholder->index = strtoul(rest, NULL, 10);
        rest += digits;
        placeholder->tail = *rest != '\0';
        return *rest == '\0' || strcmp(rest, kinds[placeholder->kind].part) == 0;
}

static bool parse(const char *text, Placeholder *ret) {
        Placeholder placeholder;

        for (placeholder.kind = 0; placeholder.kind < N_KINDS; placeholder.kind++) {
                const char *word = kinds[placeholder.kind].word;

                if (starts_with(text, word) && parse_rest(text + strlen(word), &placeholder)) {
                        *ret = placeholder;
                        return true;
                }
        }

        return false;
}

static const Handover *find_nth(const char *role, size_t index, const Handover *handovers, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (starts_with(handovers[i].role, role) && index-- == 0)
                        return &handovers[i];

        return NULL;
}

static int write_value(FILE *stream, const Placeholder *placeholder, const Handover *handovers, size_t n) {
        const char *role = kinds[placeholder->kind].role;
        const Handover *handover = find_nth(role, placeholder->index, handovers, n);

        if (!handover)
                return -ENOENT;

        if (placeholder->tail)
                fputs(handover->role + strlen(role), stream);
        else
                fprintf(stream, "%d", HANDOVER_FIRST + (int) (handover - handovers));
        return 0;
}

static int expand_into(FILE *stream, const char *p, const Handover *handovers, size_t n, char **ret_missing) {
        Placeholder placeholder;
        int r;

        while (*p) {
                _cleanup_(freep) char *text = NULL;
                const char *end = *p == '{' ? strchr(p, '}') : NULL;

                if (end) {
                        text = strndup(p + 1, (size_t) (end - p) - 1);
                        if (!text)
                                return -ENOMEM;
                }
                if (!text || !parse(text, &placeholder)) {
                        fputc(*p++, stream);
                        continue;
                }

                r = write_value(stream, &placeholder, handovers, n);
                if (r < 0) {
                        *ret_missing = strndup(p, (size_t) (end - p) + 1);
                        return r;
                }
                p = end + 1;
        }

        return 0;
}

int handover_expand(char **ret, const char *argument, const Handover *handovers, size_t n, char **ret_missing) {
        _cleanup_(freep) char *text = NULL;
        size_t size;
        FILE *stream;
        int r;

        stream = open_memstream(&text, &size);
        if (!stream)
                return -ENOMEM;

        r = expand_into(stream, argument, handovers, n, ret_missing);
        if (fclose(stream) != 0)
                return -ENOMEM;
        if (r < 0)
                return r;

        *ret = TAKE_PTR(text);
        return 0;
}

int handover_names(char **ret, const Handover *handovers, size_t n) {
        _cleanup_(freep) char *text = NULL;
        size_t size, devices = 0;
        FILE *stream;

        stream = open_memstream(&text, &size);
        if (!stream)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                const char *role = handovers[i].role;

                if (i > 0)
                        fputc(':', stream);
                if (starts_with(role, VFB_ROLE_DEVICE))
                        fprintf(stream, "dev%zu", devices++);
                else if (starts_with(role, VFB_ROLE_GROUP))
                        fprintf(stream, "group%s", role + strlen(VFB_ROLE_GROUP));
                else
                        fputs(role, stream);
        }

        if (fclose(stream) != 0)
                return -ENOMEM;

        *ret = TAKE_PTR(text);
        return 0;
}
