/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Terms, with a real clock and short times */

#include <check.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "core/term.h"
#include "suite.h"

#define MSEC UINT64_C(1000)

static sd_event *event;
static Term *term;
static unsigned n_warned, n_over;
static uint64_t warned_at, over_at;

static void make_event(void) {
        ck_assert_int_ge(sd_event_new(&event), 0);
        term = NULL;
        n_warned = n_over = 0;
}

static void end_event(void) {
        term = term_free(term);
        event = sd_event_unref(event);
}

static void on_warning(void *userdata) {
        ck_assert_ptr_eq(userdata, &term);
        warned_at = term_now_usec();
        n_warned++;
}

static void on_over(void *userdata) {
        ck_assert_ptr_eq(userdata, &term);
        over_at = term_now_usec();
        n_over++;
        term = term_free(term); /* as its owner may */
}

/* Until @what has happened, or so long that it would have on any machine */
static void run_until(const unsigned *what) {
        uint64_t end = term_now_usec() + 60000 * MSEC;

        while (*what == 0 && term_now_usec() < end)
                ck_assert_int_ge(sd_event_run(event, 100 * MSEC), 0);
        ck_assert_uint_eq(*what, 1);
}

/* On a machine that stands still meanwhile it could be over before it is there, and would not be warned of. */
static uint64_t begin_with(uint64_t usec, uint64_t warning_usec) {
        uint64_t until;

        do {
                term_free(term);
                until = term_now_usec() + usec;
                ck_assert_int_eq(term_new(&term, event, until, warning_usec, on_warning, on_over, &term), 0);
        } while (term_now_usec() >= until);
        return until;
}

static uint64_t begin(uint64_t usec) {
        return begin_with(usec, term_warning_usec(usec));
}

START_TEST(a_term_warns_and_then_is_over_once) {
        uint64_t until = begin(80 * MSEC);

        run_until(&n_warned);
        ck_assert_uint_eq(n_over, 0);
        ck_assert_uint_ge(warned_at, until - 20 * MSEC);
        run_until(&n_over);
        ck_assert_uint_ge(over_at, until);
        ck_assert_ptr_null(term);
        ck_assert_int_eq(sd_event_run(event, 50 * MSEC), 0);
        ck_assert_uint_eq(n_warned, 1);
        ck_assert_uint_eq(n_over, 1);
}
END_TEST

START_TEST(a_term_that_is_freed_says_nothing) {
        begin(20 * MSEC);
        term = term_free(term);
        ck_assert_int_eq(sd_event_run(event, 60 * MSEC), 0);
        ck_assert_uint_eq(n_warned + n_over, 0);

        begin(40 * MSEC);
        run_until(&n_warned);
        term = term_free(term);
        ck_assert_int_eq(sd_event_run(event, 60 * MSEC), 0);
        ck_assert_uint_eq(n_over, 0);
}
END_TEST

START_TEST(a_term_in_the_past_is_over_without_a_warning) {
        ck_assert_int_eq(term_new(&term, event, 1, 0, on_warning, on_over, &term), 0);
        ck_assert_uint_eq(n_over, 0); /* not before the loop turns */
        run_until(&n_over);
        ck_assert_uint_eq(n_warned, 0);
}
END_TEST

START_TEST(a_warning_that_is_late_comes_at_once) {
        uint64_t until = begin_with(60 * MSEC, 3600 * 1000 * MSEC);

        run_until(&n_warned);
        ck_assert_uint_eq(n_over, 0);
        run_until(&n_over);
        ck_assert_uint_ge(over_at, until);
}
END_TEST

START_TEST(the_longest_term_can_be_made) {
        begin(TERM_USEC_MAX);
        ck_assert_int_eq(sd_event_run(event, 10 * MSEC), 0);
        ck_assert_uint_eq(n_warned + n_over, 0);
}
END_TEST

START_TEST(warnings_come_a_quarter_before_and_a_minute_at_most) {
        ck_assert_uint_eq(term_warning_usec(0), 0);
        ck_assert_uint_eq(term_warning_usec(1000), 250);
        ck_assert_uint_eq(term_warning_usec(240 * 1000 * MSEC), 60 * 1000 * MSEC);
        ck_assert_uint_eq(term_warning_usec(TERM_USEC_MAX), TERM_WARNING_USEC_MAX);
}
END_TEST

START_TEST(the_clock_on_the_wall_is_the_machines) {
        time_t before = time(NULL), wall;

        wall = (time_t) (term_wall_usec(term_now_usec()) / 1000000);
        ck_assert_int_ge(wall, before - 1);
        ck_assert_int_le(wall, time(NULL) + 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("term");
        TCase *tcase = suite_add_case(suite, "term", make_event, end_event);

        tcase_add_test(tcase, a_term_warns_and_then_is_over_once);
        tcase_add_test(tcase, a_term_that_is_freed_says_nothing);
        tcase_add_test(tcase, a_term_in_the_past_is_over_without_a_warning);
        tcase_add_test(tcase, a_warning_that_is_late_comes_at_once);
        tcase_add_test(tcase, the_longest_term_can_be_made);
        tcase_add_test(tcase, warnings_come_a_quarter_before_and_a_minute_at_most);
        tcase_add_test(tcase, the_clock_on_the_wall_is_the_machines);
        return suite_run(suite);
}
