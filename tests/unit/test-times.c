/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Times as people write them */

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "ctl-time.h"
#include "suite.h"

#define SEC UINT64_C(1000000)
#define HOUR (3600 * SEC)

static const struct {
        const char *text;
        uint64_t usec;
} spans[] = {
        { "0", 0 },
        { "90", 90 * SEC },
        { "90s", 90 * SEC },
        { " 1 min ", 60 * SEC },
        { "1m", 60 * SEC },
        { "2h", 2 * HOUR },
        { "1h 30min", HOUR + 1800 * SEC },
        { "1h30m5", HOUR + 1805 * SEC },
        { "1 day 2 hours 3 minutes 4 seconds", 26 * HOUR + 184 * SEC },
        { "500ms", SEC / 2 },
        { "213503982d", UINT64_C(213503982) * 24 * HOUR },
};

START_TEST(spans_are_understood) {
        uint64_t usec;

        ck_assert_int_eq(time_parse_span(spans[_i].text, &usec), 0);
        ck_assert_uint_eq(usec, spans[_i].usec);
}
END_TEST

static const char *const wrong[] = {
        "", " ", "h", "-1h", "1.5h", "1x", "1h-30min", "soon", "1 h 30 mins", "0x10", "1,5h", "213503983d", "1234567890123",
        "213503982d 213503982d", "1H",
};

START_TEST(what_is_no_span_is_refused) {
        uint64_t usec = 7;

        ck_assert_int_eq(time_parse_span(wrong[_i], &usec), -EINVAL);
        ck_assert_uint_eq(usec, 7);
}
END_TEST

static const struct {
        uint64_t usec;
        const char *text;
} written[] = {
        { 0, "0s" },
        { 999999, "0s" },
        { SEC, "1s" },
        { 59 * SEC, "59s" },
        { 60 * SEC, "1min" },
        { 61 * SEC, "1min 1s" },
        { HOUR + 1800 * SEC, "1h 30min" },
        { HOUR + 59 * SEC, "1h" },
        { 24 * HOUR + 59 * SEC, "1d" },
        { 49 * HOUR + 1, "2d 1h" },
};

START_TEST(spans_are_written_with_two_units) {
        char text[TIME_TEXT_MAX];

        time_format_span(written[_i].usec, text);
        ck_assert_str_eq(text, written[_i].text);
}
END_TEST

START_TEST(the_largest_number_fits) {
        char text[TIME_TEXT_MAX];

        time_format_span(UINT64_MAX, text);
        ck_assert_str_eq(text, "213503982d 8h");
        time_format_date(UINT64_MAX, text);
        ck_assert_str_ne(text, "");
}
END_TEST

START_TEST(dates_are_written) {
        char text[TIME_TEXT_MAX];

        setenv("TZ", "UTC", 1);
        time_format_date(1700000000 * SEC, text);
        ck_assert_str_eq(text, "2023-11-14 22:13:20");
        time_format_date(0, text);
        ck_assert_str_eq(text, "-");
}
END_TEST

START_TEST(points_in_the_past_are_understood) {
        uint64_t usec, now = time_now_usec();

        setenv("TZ", "UTC", 1);
        ck_assert_int_eq(time_parse_past("2h", &usec), 0);
        ck_assert(usec + 2 * HOUR >= now && usec + 2 * HOUR <= time_now_usec());
        ck_assert_int_eq(time_parse_past("@1700000000", &usec), 0);
        ck_assert_uint_eq(usec, 1700000000 * SEC);
        ck_assert_int_eq(time_parse_past("2023-11-14", &usec), 0);
        ck_assert_uint_eq(usec, 1699920000 * SEC);
        ck_assert_int_eq(time_parse_past("2023-11-14 22:13", &usec), 0);
        ck_assert_uint_eq(usec, 1699999980 * SEC);
        ck_assert_int_eq(time_parse_past("2023-11-14 22:13:20", &usec), 0);
        ck_assert_uint_eq(usec, 1700000000 * SEC);
        /* a day may begin meanwhile, and time(2) is a moment behind */
        ck_assert_int_eq(time_parse_past("today", &usec), 0);
        ck_assert(usec % (24 * HOUR) == 0 && usec <= time_now_usec() && now < usec + 24 * HOUR + SEC);
        ck_assert_int_eq(time_parse_past("yesterday", &usec), 0);
        ck_assert(usec % (24 * HOUR) == 0 && usec + 24 * HOUR <= time_now_usec() && now < usec + 48 * HOUR + SEC);
        ck_assert_int_eq(time_parse_past("100000d", &usec), 0);
        ck_assert_uint_eq(usec, 1); /* 0 would be all of it, too, but is no time */
}
END_TEST

static const char *const no_past[] = { "", "tomorrow", "@", "@x", "@1h", "2023-11-14x", "2023-13-14", "22:13", "1960-01-01" };

START_TEST(what_is_no_point_in_the_past_is_refused) {
        uint64_t usec;

        setenv("TZ", "UTC", 1);
        ck_assert_int_eq(time_parse_past(no_past[_i], &usec), -EINVAL);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("times");
        TCase *tcase = suite_add_case(suite, "times", NULL, NULL);

        tcase_add_loop_test(tcase, spans_are_understood, 0, sizeof(spans) / sizeof(*spans));
        tcase_add_loop_test(tcase, what_is_no_span_is_refused, 0, sizeof(wrong) / sizeof(*wrong));
        tcase_add_loop_test(tcase, spans_are_written_with_two_units, 0, sizeof(written) / sizeof(*written));
        tcase_add_test(tcase, the_largest_number_fits);
        tcase_add_test(tcase, dates_are_written);
        tcase_add_test(tcase, points_in_the_past_are_understood);
        tcase_add_loop_test(tcase, what_is_no_point_in_the_past_is_refused, 0, sizeof(no_past) / sizeof(*no_past));
        return suite_run(suite);
}
