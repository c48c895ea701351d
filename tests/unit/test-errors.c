/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "suite.h"

START_TEST(every_refusal_has_all_its_words) {
        const VfbErrorInfo *info = vfb_error_info((VfbError) _i);

        ck_assert_ptr_nonnull(info);
        ck_assert_ptr_nonnull(info->name);
        ck_assert_ptr_nonnull(info->text);
        ck_assert_ptr_nonnull(info->hint);
        ck_assert_int_gt(info->number, 0);
        ck_assert_int_ge(info->exit_code, 2);
        ck_assert_int_le(info->exit_code, 9);

        /* Sentences without their full stop. */
        ck_assert_int_gt(strlen(info->text), 10);
        ck_assert_int_gt(strlen(info->hint), 10);
        ck_assert_int_ne(info->text[strlen(info->text) - 1], '.');
        ck_assert_int_ne(info->hint[strlen(info->hint) - 1], '.');
}
END_TEST

START_TEST(every_name_is_ours_or_the_buss) {
        const char *name = vfb_error_info((VfbError) _i)->name;

        ck_assert(strncmp(name, "org.vfiobroker1.Error.", 22) == 0 || strncmp(name, "org.freedesktop.DBus.Error.", 27) == 0);
}
END_TEST

START_TEST(no_two_refusals_share_a_name_or_a_text) {
        const VfbErrorInfo *a = vfb_error_info((VfbError) _i);

        for (int i = _i + 1; i < _VFB_ERROR_MAX; i++) {
                const VfbErrorInfo *b = vfb_error_info((VfbError) i);

                ck_assert_str_ne(a->name, b->name);
                ck_assert_str_ne(a->text, b->text);
                ck_assert_str_ne(vfb_error_code((VfbError) _i), vfb_error_code((VfbError) i));
        }
}
END_TEST

START_TEST(the_name_leads_back) {
        ck_assert_int_eq(vfb_error_from_name(vfb_error_info((VfbError) _i)->name), _i);
}
END_TEST

START_TEST(the_code_is_the_last_word_of_the_name) {
        const char *name = vfb_error_info((VfbError) _i)->name, *code = vfb_error_code((VfbError) _i);

        ck_assert_ptr_null(strchr(code, '.'));
        ck_assert_str_eq(name + strlen(name) - strlen(code), code);
        ck_assert_int_eq(name[strlen(name) - strlen(code) - 1], '.');
}
END_TEST

START_TEST(what_is_no_refusal_has_no_row) {
        static const int none[] = { VFB_ERROR_NONE, _VFB_ERROR_MAX, _VFB_ERROR_MAX + 1, 1 << 20, -1, -1000 };

        for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
                ck_assert_ptr_null(vfb_error_info((VfbError) none[i]));
                ck_assert_ptr_null(vfb_error_code((VfbError) none[i]));
        }
}
END_TEST

START_TEST(foreign_names_are_none_of_ours) {
        static const char *const foreign[] = {
                "", ".", "Leased", "org.vfiobroker1.Error", "org.vfiobroker1.Error.", "org.vfiobroker1.Error.leased",
                "org.vfiobroker1.Error.Leased ", "org.vfiobroker1.Error.LeasedX", "org.freedesktop.DBus.Error.NoReply",
                "org.freedesktop.DBus.Error.Leased", "%s%n",
        };

        ck_assert_int_eq(vfb_error_from_name(NULL), VFB_ERROR_NONE);
        for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
                ck_assert_int_eq(vfb_error_from_name(foreign[i]), VFB_ERROR_NONE);
        ck_assert_int_eq(vfb_error_from_name("org.vfiobroker1.Error.Leased"), VFB_ERROR_LEASED);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("errors");
        TCase *tcase = suite_add_case(suite, "errors", NULL, NULL);

        tcase_add_loop_test(tcase, every_refusal_has_all_its_words, VFB_ERROR_NONE + 1, _VFB_ERROR_MAX);
        tcase_add_loop_test(tcase, every_name_is_ours_or_the_buss, VFB_ERROR_NONE + 1, _VFB_ERROR_MAX);
        tcase_add_loop_test(tcase, no_two_refusals_share_a_name_or_a_text, VFB_ERROR_NONE + 1, _VFB_ERROR_MAX);
        tcase_add_loop_test(tcase, the_name_leads_back, VFB_ERROR_NONE + 1, _VFB_ERROR_MAX);
        tcase_add_loop_test(tcase, the_code_is_the_last_word_of_the_name, VFB_ERROR_NONE + 1, _VFB_ERROR_MAX);
        tcase_add_test(tcase, what_is_no_refusal_has_no_row);
        tcase_add_test(tcase, foreign_names_are_none_of_ours);
        return suite_run(suite);
}
