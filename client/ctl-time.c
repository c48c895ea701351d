/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Times, as people write them */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl-time.h"

/* The names of each from its own on, down to the next unit's; the first is the one that is written. */
static const struct {
        const char *name;
        uint64_t usec;
} units[] = {
        { "d", UINT64_C(24) * 3600 * 1000000 },
        { "day", UINT64_C(24) * 3600 * 1000000 },
        { "days", UINT64_C(24) * 3600 * 1000000 },
        { "h", UINT64_C(3600) * 1000000 },
        { "hr", UINT64_C(3600) * 1000000 },
        { "hour", UINT64_C(3600) * 1000000 },
        { "hours", UINT64_C(3600) * 1000000 },
        { "min", UINT64_C(60) * 1000000 },
        { "m", UINT64_C(60) * 1000000 },
        { "minute", UINT64_C(60) * 1000000 },
        { "minutes", UINT64_C(60) * 1000000 },
        { "s", 1000000 },
        { "sec", 1000000 },
        { "second", 1000000 },
        { "seconds", 1000000 },
        { "ms", 1000 },
};

#define N_UNITS (sizeof(units) / sizeof(*units))

/* Of the unit that is named in @n bytes at @name; 0 if it is none. */
static uint64_t unit_usec(const char *name, size_t n) {
        if (n == 0)
                return 1000000;

        for (size_t i = 0; i < N_UNITS; i++)
                if (strlen(units[i].name) == n && strncmp(units[i].name, name, n) == 0)
                        return units[i].usec;

        return 0;
}

int time_parse_span(const char *text, uint64_t *ret_usec) {
        uint64_t sum = 0, number, unit;
        size_t n;

        text += strspn(text, " ");
        if (!*text)
                return -EINVAL;

        while (*text) {
                n = strspn(text, "0123456789");
                if (n == 0 || n > 12)
                        return -EINVAL;
                number = strtoull(text, NULL, 10);
                text += n;
                text += strspn(text, " ");

                n = strspn(text, "abcdefghijklmnopqrstuvwxyz");
                unit = unit_usec(text, n);
                if (unit == 0 || number > (UINT64_MAX - sum) / unit)
                        return -EINVAL;
                sum += number * unit;
                text += n;
                text += strspn(text, " ");
        }

        *ret_usec = sum;
        return 0;
}

static int parse_date(const char *text, struct tm *ret) {
        static const char *const formats[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d" };

        for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
                const char *end;

                *ret = (struct tm){ .tm_isdst = -1 };
                end = strptime(text, formats[i], ret);
                if (end && !*end)
                        return 0;
        }

        return -EINVAL;
}

/* Midnight, so many days before today's. */
static void days_ago(int days, struct tm *ret) {
        time_t now = time(NULL);

        localtime_r(&now, ret);
        ret->tm_mday -= days;
        ret->tm_hour = ret->tm_min = ret->tm_sec = 0;
        ret->tm_isdst = -1;
}

int time_parse_past(const char *text, uint64_t *ret_usec) {
        uint64_t usec, now = time_now_usec();
        struct tm tm;
        time_t seconds;

        if (time_parse_span(text, &usec) == 0) {
                *ret_usec = usec < now ? now - usec : 1;
                return 0;
        }
        if (*text == '@') {
                /* as the shell's date +%s says it */
                if (time_parse_span(text + 1, &usec) < 0 || text[1 + strspn(text + 1, "0123456789")] != '\0')
                        return -EINVAL;
                *ret_usec = usec > 0 ? usec : 1;
                return 0;
        }

        if (strcmp(text, "today") == 0)
                days_ago(0, &tm);
        else if (strcmp(text, "yesterday") == 0)
                days_ago(1, &tm);
        else if (parse_date(text, &tm) < 0)
                return -EINVAL;

        seconds = mktime(&tm);
        if (seconds <= 0)
                return -EINVAL;
        *ret_usec = (uint64_t) seconds * 1000000;
        return 0;
}

void time_format_span(uint64_t usec, char ret[TIME_TEXT_MAX]) {
        unsigned n_parts = 0;
        size_t n = 0;

        usec -= usec % 1000000;
        for (size_t i = 0; i < N_UNITS && n_parts < 2 && usec > 0; i++) {
                uint64_t number = usec / units[i].usec;

                if (number == 0) {
                        if (n_parts > 0 && (i == 0 || units[i].usec != units[i - 1].usec))
                                n_parts++; /* the next smaller one, or none */
                        continue;
                }
                n += (size_t) snprintf(ret + n, TIME_TEXT_MAX - n, "%s%" PRIu64 "%s", n > 0 ? " " : "", number,
                                       units[i].name);
                usec %= units[i].usec;
                n_parts++;
        }

        if (n == 0)
                snprintf(ret, TIME_TEXT_MAX, "0s");
}

void time_format_date(uint64_t usec, char ret[TIME_TEXT_MAX]) {
        time_t seconds = (time_t) (usec / 1000000);
        struct tm tm;

        if (seconds == 0 || !localtime_r(&seconds, &tm) || strftime(ret, TIME_TEXT_MAX, "%F %T", &tm) == 0)
                strcpy(ret, "-");
}

uint64_t time_now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}
