/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Term */

#include <systemd/sd-event.h>
#include <time.h>

#include "core/term.h"

/* Nobody's work depends on the millisecond, and wake-ups that can be had together are. */
#define ACCURACY_USEC 10000

struct Term {
        sd_event_source *source;
        uint64_t until_usec;
        TermEvent warn, over;
        void *userdata;
};

static uint64_t clock_usec(clockid_t clock) {
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

static int term_on_over(sd_event_source *source, uint64_t usec, void *userdata) {
        Term *term = userdata;

        term->source = sd_event_source_disable_unref(term->source);
        term->over(term->userdata);
        return 0;
}

static int term_wait(Term *term, sd_event *event, uint64_t usec, sd_event_time_handler_t handler) {
        term->source = sd_event_source_disable_unref(term->source);
        return sd_event_add_time(event, &term->source, CLOCK_BOOTTIME, usec, ACCURACY_USEC, handler, term);
}

static int term_on_warning(sd_event_source *source, uint64_t usec, void *userdata) {
        Term *term = userdata;
        int r;

        r = term_wait(term, sd_event_source_get_event(source), term->until_usec, term_on_over);
        if (r < 0) {
                /* Too early is better than never. */
                term->over(term->userdata);
                return 0;
        }

        term->warn(term->userdata);
        return 0;
}

int term_new(Term **ret, sd_event *event, uint64_t until_usec, uint64_t warning_usec, TermEvent warn, TermEvent over,
             void *userdata) {
        _cleanup_(term_freep) Term *term = NULL;
        int r;

        term = calloc(1, sizeof(*term));
        if (!term)
                return -ENOMEM;

        *term = (Term){ .until_usec = until_usec, .warn = warn, .over = over, .userdata = userdata };
        if (warn && term_now_usec() < until_usec)
                r = term_wait(term, event, until_usec > warning_usec ? until_usec - warning_usec : 1, term_on_warning);
        else
                r = term_wait(term, event, until_usec, term_on_over);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(term);
        return 0;
}

Term *term_free(Term *term) {
        if (!term)
                return NULL;

        sd_event_source_disable_unref(term->source);
        free(term);
        return NULL;
}

int term_prepare(sd_event *event) {
        _cleanup_(sd_event_source_unrefp) sd_event_source *source = NULL;

        return sd_event_add_time(event, &source, CLOCK_BOOTTIME, UINT64_MAX, 0, NULL, NULL);
}

uint64_t term_warning_usec(uint64_t duration_usec) {
        return duration_usec / 4 < TERM_WARNING_USEC_MAX ? duration_usec / 4 : TERM_WARNING_USEC_MAX;
}

uint64_t term_now_usec(void) {
        return clock_usec(CLOCK_BOOTTIME);
}

uint64_t term_wall_usec(uint64_t boottime_usec) {
        return clock_usec(CLOCK_REALTIME) - clock_usec(CLOCK_BOOTTIME) + boottime_usec;
}
