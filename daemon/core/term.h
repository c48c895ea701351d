/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Term
 *
 * For how long a lease may last. It warns before the end, a quarter of the time but a minute at most, and ends
 * once. It counts on CLOCK_BOOTTIME, so that a clock that is set moves nothing and a machine that sleeps
 * saves no time; what people are shown is worked out from that when they ask. Owned by its lease.
 */

#include <stdint.h>

#include "cleanup.h"

/* A hundred years: more is no time limit but a mistake, and sums stay far from overflowing. */
#define TERM_USEC_MAX (UINT64_C(100) * 366 * 24 * 3600 * 1000000)

#define TERM_WARNING_USEC_MAX (UINT64_C(60) * 1000000)

typedef struct sd_event sd_event;
typedef struct Term Term;

/* @over comes once, and may free the term. */
typedef void (*TermEvent)(void *userdata);

/* Ends at @until_usec of CLOCK_BOOTTIME, which may have passed: then it is over in the loop's next turn. The warning
 * comes @warning_usec before; @warn may be NULL. */
int term_new(Term **ret, sd_event *event, uint64_t until_usec, uint64_t warning_usec, TermEvent warn, TermEvent over,
             void *userdata);
Term *term_free(Term *term);
DEFINE_CLEANUP(Term, term_free)

/* sd-event keeps the descriptor of a clock that it once had use for. Asked for it at the start, it cannot fail
 * later, when descriptors are short, and descriptors can be counted. */
int term_prepare(sd_event *event);

/* How long before its end a term of that length warns. */
uint64_t term_warning_usec(uint64_t duration_usec);

uint64_t term_now_usec(void);

/* A point of CLOCK_BOOTTIME on the clock on the wall, as that is set now. */
uint64_t term_wall_usec(uint64_t boottime_usec);
