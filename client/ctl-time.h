/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Times, as people write them: "90", "2h", "1h 30min", "1d12h" (systemd.time(7)), and back.
 */

#include <stddef.h>
#include <stdint.h>

#define TIME_TEXT_MAX 48

/* A span in microseconds. Without a unit it is seconds. -EINVAL: it is none. */
int time_parse_span(const char *text, uint64_t *ret_usec);

/* A point in the past, in microseconds since the epoch: a span ("2h": two hours ago), "@1700000000",
 * "2026-11-26", "2026-11-26 20:15", "2026-11-26 20:15:30", "today", "yesterday". Local time. -EINVAL: it is none. */
int time_parse_past(const char *text, uint64_t *ret_usec);

/* "1h 30min", "1d", "45s": at most two units, and the second is the next smaller one. */
void time_format_span(uint64_t usec, char ret[TIME_TEXT_MAX]);

/* Local date and time of microseconds since the epoch; "-" for 0. */
void time_format_date(uint64_t usec, char ret[TIME_TEXT_MAX]);

uint64_t time_now_usec(void);
