/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Options
 *
 * Dictionaries of options and words of flags, as methods take them. Every key is known, of its type and
 * there once, or it is refused, since an option that is silently ignored is a promise that is not
 * kept; keys that begin with "x-" are for others and are passed over.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define REASON_MAX 256 /* characters */

/* One of the pointers says of which type it is, and gets the value; untouched if the key is missing. */
typedef struct Option {
        const char *key;
        const char **string; /* "s", borrowed from the message */
        uint64_t *number;    /* "t" */
        uint32_t *small;     /* "u" */
        int *yes;            /* "b" */
        int *fd;             /* "h", borrowed from the message */
} Option;

/* Reads an a{sv}. @n is 32 at most. */
int options_read(sd_bus_message *m, const Option *options, size_t n, sd_bus_error *error);

/* InvalidOption: 'Option "@key" @what'. */
int option_refuse(sd_bus_error *error, const char *key, const char *what);

/* What a person says of something: @max characters at most, of which none would end the line that it is told in. The
 * bus vouches for UTF-8. */
bool text_is_line(const char *text, size_t max);

/* Reads an "s" that says why: such a line. InvalidArgs. */
int reason_read(sd_bus_message *m, const char **ret, sd_bus_error *error);

/* Reads a "t" of which only the bits of @known are defined. */
int flags_read(sd_bus_message *m, uint64_t known, uint64_t *ret, sd_bus_error *error);

/* Reads a "t" of which no bit is defined. */
int flags_read_none(sd_bus_message *m, sd_bus_error *error);
