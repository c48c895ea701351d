/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Text
 *
 * What attributes of /sys are made of. Strings that go on to clients are plain ASCII or dropped, since one bad byte
 * makes a D-Bus message invalid.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool is_plain(const char *s);

/* Copies @value if it is plain and there is room for all of it. */
bool copy_plain(char *ret, size_t size, const char *value);

/* Reads a number of at most @max, without sign or space before it, and moves @s behind it. strtoull() would take
 * "-1" and " 1", and does not say what it overflowed. */
bool take_number(const char **s, unsigned base, uint64_t max, uint64_t *ret);

/* Moves @s behind @text, if it begins with that. */
bool take_text(const char **s, const char *text);

/* All of @s is a number. */
bool parse_number(const char *s, unsigned base, uint64_t max, uint64_t *ret);
