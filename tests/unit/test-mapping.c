/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <stdlib.h>

#include "core/mapping.h"
#include "errors.h"
#include "suite.h"

#define PAGE UINT64_C(4096)

static Mappings mappings;

static void end_world(void) {
        mappings_clear(&mappings);
        ck_assert_uint_eq(mappings.n, 0);
        ck_assert_uint_eq(mappings.bytes, 0);
}

/* Sorted, apart, and added up right. */
static void check_sound(void) {
        unsigned n_coming = 0;
        uint64_t bytes = 0;

        for (unsigned i = 0; i < mappings.n; i++) {
                const Mapping *mapping = &mappings.items[i];

                if (i > 0)
                        ck_assert_uint_lt(mapping[-1].iova + (mapping[-1].size - 1), mapping->iova);
                bytes += mapping->size;
                n_coming += mapping->state == MAPPING_COMING;
        }
        ck_assert_uint_eq(mappings.bytes, bytes);
        ck_assert_uint_eq(mappings.n_coming, n_coming);
}

START_TEST(ranges_that_touch_are_apart) {
        ck_assert_int_eq(mappings_add(&mappings, 2 * PAGE, 2 * PAGE), 0);
        ck_assert_int_eq(mappings_add(&mappings, PAGE, PAGE), 0);
        ck_assert_int_eq(mappings_add(&mappings, 4 * PAGE, PAGE), 0);
        ck_assert_int_eq(mappings_add(&mappings, 0, PAGE), 0);
        ck_assert_uint_eq(mappings.n, 4);
        check_sound();
}
END_TEST

START_TEST(ranges_that_overlap_are_refused) {
        static const uint64_t wrong[][2] = {
                { 4, 4 }, { 4, 1 }, { 7, 1 }, { 5, 2 }, { 3, 2 }, { 3, 6 }, { 7, 2 }, { 0, 16 },
        };

        ck_assert_int_eq(mappings_add(&mappings, 4 * PAGE, 4 * PAGE), 0);
        for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_int_eq(mappings_add(&mappings, wrong[i][0] * PAGE, wrong[i][1] * PAGE),
                                 VFB_ERROR_INVALID_ARGS);
        ck_assert_uint_eq(mappings.n, 1);
        check_sound();
}
END_TEST

START_TEST(first_and_last_addresses_are_addresses) {
        ck_assert_int_eq(mappings_add(&mappings, -PAGE, PAGE), 0);
        ck_assert_int_eq(mappings_add(&mappings, -PAGE, PAGE), VFB_ERROR_INVALID_ARGS);
        ck_assert_int_eq(mappings_add(&mappings, 0, PAGE), 0);
        ck_assert_int_eq(mappings_add(&mappings, 0, -PAGE), VFB_ERROR_INVALID_ARGS);
        ck_assert_int_eq(mappings_add(&mappings, PAGE, -2 * PAGE), 0);
        ck_assert_uint_eq(mappings.n, 3);
        check_sound();
}
END_TEST

START_TEST(only_the_very_range_is_found) {
        ck_assert_ptr_null(mappings_find(&mappings, 0, PAGE));
        ck_assert_int_eq(mappings_add(&mappings, PAGE, 2 * PAGE), 0);
        ck_assert_ptr_null(mappings_find(&mappings, PAGE, PAGE));
        ck_assert_ptr_null(mappings_find(&mappings, 2 * PAGE, PAGE));
        ck_assert_ptr_null(mappings_find(&mappings, 0, 3 * PAGE));
        ck_assert_ptr_null(mappings_find(&mappings, 3 * PAGE, PAGE));
        ck_assert_uint_eq(mappings_find(&mappings, PAGE, 2 * PAGE)->iova, PAGE);
}
END_TEST

START_TEST(states_are_counted) {
        ck_assert_int_eq(mappings_add(&mappings, 0, PAGE), 0);
        ck_assert_int_eq(mappings_add(&mappings, PAGE, PAGE), 0);
        ck_assert_uint_eq(mappings.n_coming, 2);
        mappings_set_state(&mappings, mappings_find(&mappings, 0, PAGE), MAPPING_THERE);
        mappings_set_state(&mappings, mappings_find(&mappings, 0, PAGE), MAPPING_GOING);
        check_sound();
        mappings_remove(&mappings, mappings_find(&mappings, 0, PAGE));
        check_sound();
        mappings_remove(&mappings, mappings_find(&mappings, PAGE, PAGE));
        ck_assert_uint_eq(mappings.n_coming, 0);
        check_sound();
}
END_TEST

START_TEST(many_come_and_go_in_any_order) {
        unsigned n = 0;

        srandom(7);
        for (int i = 0; i < 20000; i++) {
                uint64_t iova = (uint64_t) (random() % 1500) * PAGE, size = (uint64_t) (1 + random() % 3) * PAGE;
                Mapping *mapping = mappings_find(&mappings, iova, size);
                int r;

                if (mapping) {
                        mappings_remove(&mappings, mapping);
                        n--;
                        continue;
                }
                r = mappings_add(&mappings, iova, size);
                ck_assert(r == 0 || r == VFB_ERROR_INVALID_ARGS);
                n += r == 0;
                ck_assert_uint_eq(mappings.n, n);
        }
        ck_assert_uint_gt(n, 100);
        check_sound();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("mapping");
        TCase *tcase = suite_add_case(suite, "mapping", NULL, end_world);

        tcase_add_test(tcase, ranges_that_touch_are_apart);
        tcase_add_test(tcase, ranges_that_overlap_are_refused);
        tcase_add_test(tcase, first_and_last_addresses_are_addresses);
        tcase_add_test(tcase, only_the_very_range_is_found);
        tcase_add_test(tcase, states_are_counted);
        tcase_add_test(tcase, many_come_and_go_in_any_order);
        return suite_run(suite);
}
