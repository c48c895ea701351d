/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/alias.h"
#include "errors.h"
#include "suite.h"

static Aliases aliases;

START_TEST(the_last_word_about_a_name_counts) {
        ck_assert_int_eq(aliases_set(&aliases, "disk", "class=nvme"), 0);
        ck_assert_int_eq(aliases_set(&aliases, "disk", "03:00.0"), 0);
        ck_assert_uint_eq(aliases.n, 1);
        ck_assert_str_eq(aliases_find(&aliases, "disk")->selector.address, "0000:03:00.0");
        ck_assert_ptr_null(aliases_find(&aliases, "dis"));
}
END_TEST

START_TEST(what_is_wrong_changes_nothing) {
        ck_assert_int_eq(aliases_set(&aliases, "disk", "class=nvme"), 0);
        ck_assert_int_eq(aliases_set(&aliases, "disk", "nonsense"), VFB_ERROR_INVALID_SELECTOR);
        ck_assert_int_eq(aliases_set(&aliases, "disk", "alias:disk"), VFB_ERROR_INVALID_SELECTOR);
        ck_assert_int_eq(aliases_set(&aliases, "disk", "class=gpu pool:x"), VFB_ERROR_INVALID_SELECTOR);
        ck_assert_int_eq(aliases_set(&aliases, "", "class=gpu"), -EINVAL);
        ck_assert_int_eq(aliases_set(&aliases, "a b", "class=gpu"), -EINVAL);
        ck_assert_int_eq(aliases_set(&aliases, "012345678901234567890123456789012", "class=gpu"), -EINVAL);
        ck_assert_uint_eq(aliases.n, 1);
        ck_assert_uint_eq(aliases_find(&aliases, "disk")->selector.class, 0x010802);
}
END_TEST

START_TEST(there_are_64_at_most) {
        char name[16];

        for (unsigned i = 0; i < ALIASES_MAX; i++) {
                snprintf(name, sizeof(name), "a%u", i);
                ck_assert_int_eq(aliases_set(&aliases, name, "class=nvme"), 0);
        }
        ck_assert_int_eq(aliases_set(&aliases, "a7", "class=gpu"), 0);
        ck_assert_int_eq(aliases_set(&aliases, "a64", "class=gpu"), -E2BIG);
        ck_assert_ptr_null(aliases_find(&aliases, "a64"));
        ck_assert_uint_eq(aliases.n, ALIASES_MAX);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("alias");
        TCase *tcase = suite_add_case(suite, "alias", NULL, NULL);

        tcase_add_test(tcase, the_last_word_about_a_name_counts);
        tcase_add_test(tcase, what_is_wrong_changes_nothing);
        tcase_add_test(tcase, there_are_64_at_most);
        return suite_run(suite);
}
