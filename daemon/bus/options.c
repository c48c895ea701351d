/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Options */

#include <inttypes.h>
#include <string.h>

#include "bus/dictionary.h"
#include "bus/options.h"
#include "bus/refuse.h"
#include "errors.h"

int option_refuse(sd_bus_error *error, const char *key, const char *what) {
        return sd_bus_error_setf(error, vfb_error_info(VFB_ERROR_INVALID_OPTION)->name, "Option \"%s\" %s", key, what);
}

static const char *option_type(const Option *option) {
        return option->string ? "s" : option->number ? "t" : option->small ? "u" : option->yes ? "b" : "h";
}

static void *option_value(const Option *option) {
        if (option->string)
                return option->string;
        if (option->number)
                return option->number;
        if (option->small)
                return option->small;
        return option->yes ? option->yes : option->fd;
}

typedef struct Reading {
        const Option *options;
        size_t n;
        uint32_t seen; /* a bit for each of @options that was there before */
        sd_bus_error *error;
} Reading;

static int option_read(sd_bus_message *m, const char *key, void *userdata) {
        static const struct {
                const char *type, *what;
        } refusals[] = {
                { "s", "is not a string" },
                { "t", "is not a number of 64 bits (t)" },
                { "u", "is not a number of 32 bits (u)" },
                { "b", "is not a yes or no (b)" },
                { "h", "is not a descriptor" },
        };
        Reading *reading = userdata;
        const char *contents, *type;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r < 0)
                return r;

        for (size_t i = 0; i < reading->n; i++) {
                if (strcmp(reading->options[i].key, key) != 0)
                        continue;

                type = option_type(&reading->options[i]);
                for (size_t j = 0; j < sizeof(refusals) / sizeof(*refusals); j++)
                        if (strcmp(refusals[j].type, type) == 0 && strcmp(contents, type) != 0)
                                return option_refuse(reading->error, key, refusals[j].what);
                if (reading->seen & UINT32_C(1) << i)
                        return option_refuse(reading->error, key, "is there twice");
                reading->seen |= UINT32_C(1) << i;
                return sd_bus_message_read(m, "v", type, option_value(&reading->options[i]));
        }

        if (strncmp(key, "x-", 2) == 0)
                return sd_bus_message_skip(m, "v");
        return option_refuse(reading->error, key, "is unknown");
}

int options_read(sd_bus_message *m, const Option *options, size_t n, sd_bus_error *error) {
        Reading reading = { .options = options, .n = n, .error = error };

        return dictionary_read(m, option_read, &reading);
}

/* C0, DEL, and C1, which UTF-8 spells 0xc2 0x80 to 0xc2 0x9f and in which there are an end of a line, too, and the
 * beginning of what a terminal does. */
static bool is_control(const unsigned char *c) {
        return *c < ' ' || *c == 0x7f || (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0);
}

bool text_is_line(const char *text, size_t max) {
        size_t n = 0;

        for (const unsigned char *c = (const unsigned char *) text; *c; c++) {
                if (is_control(c))
                        return false;
                n += (*c & 0xc0) != 0x80;
        }
        return n <= max;
}

int reason_read(sd_bus_message *m, const char **ret, sd_bus_error *error) {
        const char *reason;
        int r;

        r = sd_bus_message_read(m, "s", &reason);
        if (r < 0)
                return r;
        if (!text_is_line(reason, REASON_MAX))
                return bus_refuse(error, VFB_ERROR_INVALID_ARGS,
                                  "the reason is longer than 256 characters, or has control characters");

        *ret = reason;
        return 0;
}

int flags_read(sd_bus_message *m, uint64_t known, uint64_t *ret, sd_bus_error *error) {
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "t", &flags);
        if (r < 0)
                return r;
        if (flags & ~known)
                return sd_bus_error_setf(error, vfb_error_info(VFB_ERROR_INVALID_OPTION)->name,
                                         "Unknown flags 0x%" PRIx64, flags & ~known);

        *ret = flags;
        return 0;
}

int flags_read_none(sd_bus_message *m, sd_bus_error *error) {
        uint64_t flags;

        return flags_read(m, 0, &flags, error);
}
