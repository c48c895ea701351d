/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Text */

#include <ctype.h>
#include <string.h>

#include "text.h"

bool is_plain(const char *s) {
        for (; *s; s++)
                if (*s < 0x20 || *s > 0x7e)
                        return false;
        return true;
}

bool take_number(const char **s, unsigned base, uint64_t max, uint64_t *ret) {
        uint64_t value = 0;
        unsigned digit;
        const char *p;

        for (p = *s; isxdigit((unsigned char) *p); p++) {
                digit = isdigit((unsigned char) *p) ? *p - '0' : tolower((unsigned char) *p) - 'a' + 10;
                if (digit >= base)
                        break;
                if (digit > max || value > (max - digit) / base)
                        return false;
                value = value * base + digit;
        }
        if (p == *s)
                return false;
        *s = p;
        *ret = value;
        return true;
}

bool take_text(const char **s, const char *text) {
        size_t n = strlen(text);

        if (strncmp(*s, text, n) != 0)
                return false;
        *s += n;
        return true;
}

bool parse_number(const char *s, unsigned base, uint64_t max, uint64_t *ret) {
        return take_number(&s, base, max, ret) && *s == '\0';
}

bool copy_plain(char *ret, size_t size, const char *value) {
        if (strlen(value) >= size || !is_plain(value))
                return false;
        memcpy(ret, value, strlen(value) + 1);
        return true;
}
