/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/finding.h"
#include "suite.h"

static Findings findings;

static void make_world(void) {
        findings = (Findings){};
}

static void end_world(void) {
        findings_done(&findings);
        ck_assert_uint_eq(findings.n, 0);
        ck_assert_ptr_null(findings.items);
}

START_TEST(an_error_carries_its_code_and_its_words) {
        Finding *finding;

        ck_assert_int_eq(findings_add_error(&findings, &finding, VFB_ERROR_NOT_VIABLE, "0000:01:00.0", "group %d of %s", 12, "x"), 0);
        ck_assert_int_eq(finding->severity, SEVERITY_ERROR);
        ck_assert_int_eq(finding->error, VFB_ERROR_NOT_VIABLE);
        ck_assert_str_eq(finding->code, "NotViable");
        ck_assert_str_eq(finding->device, "0000:01:00.0");
        ck_assert_str_eq(finding->text, "group 12 of x");
        ck_assert_ptr_null(finding->fix);
        ck_assert_str_eq(finding->culprit, "");
        ck_assert_str_eq(finding->driver, "");
        ck_assert_str_eq(finding->lease, "");
}
END_TEST

START_TEST(a_note_is_no_error) {
        ck_assert_int_eq(findings_add_note(&findings, SEVERITY_WARNING, "NoReset", "d", "one"), 0);
        ck_assert_int_eq(findings_add_note(&findings, SEVERITY_INFO, "Companion", "d", "two"), 0);
        ck_assert_ptr_null(findings_first_error(&findings));
        ck_assert_uint_eq(findings.n, 2);
        ck_assert_int_eq(findings.items[0].error, VFB_ERROR_NONE);
        ck_assert_str_eq(findings.items[0].code, "NoReset");
        ck_assert_int_eq(findings.items[1].severity, SEVERITY_INFO);
}
END_TEST

START_TEST(the_first_error_is_the_first_in_order) {
        ck_assert_ptr_null(findings_first_error(&findings));
        ck_assert_int_eq(findings_add_note(&findings, SEVERITY_WARNING, "NoReset", "d", "one"), 0);
        ck_assert_int_eq(findings_add_error(&findings, NULL, VFB_ERROR_NOT_VFIO, "d", "two"), 0);
        ck_assert_int_eq(findings_add_error(&findings, NULL, VFB_ERROR_LEASED, "d", "three"), 0);
        ck_assert_str_eq(findings_first_error(&findings)->text, "two");
}
END_TEST

START_TEST(a_fix_may_be_replaced) {
        Finding *finding;

        ck_assert_int_eq(findings_add_error(&findings, &finding, VFB_ERROR_LEASED, "", "text"), 0);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(finding_set_fix(finding, "wait %d", i), 0);
        ck_assert_str_eq(finding->fix, "wait 19");
}
END_TEST

START_TEST(what_is_hostile_stays_text) {
        Finding *finding;

        ck_assert_int_eq(findings_add_error(&findings, &finding, VFB_ERROR_NO_SUCH_DEVICE, "%s%n%s%n", "No device matches \"%s\"", "%n%s"), 0);
        ck_assert_str_eq(finding->device, "%s%n%s%n");
        ck_assert_str_eq(finding->text, "No device matches \"%n%s\"");
}
END_TEST

START_TEST(a_device_that_is_too_long_is_cut) {
        char device[100];

        memset(device, 'x', sizeof(device));
        device[sizeof(device) - 1] = '\0';
        ck_assert_int_eq(findings_add_error(&findings, NULL, VFB_ERROR_LEASED, device, "%s", device), 0);
        ck_assert_uint_eq(strlen(findings.items[0].device), sizeof(findings.items[0].device) - 1);
        ck_assert_str_eq(findings.items[0].text, device);
}
END_TEST

START_TEST(many_keep_their_order) {
        Finding *finding;
        char text[16];

        for (int i = 0; i < 1000; i++) {
                ck_assert_int_eq(findings_add_error(&findings, &finding, VFB_ERROR_LEASED, "", "%d", i), 0);
                ck_assert_int_eq(finding_set_fix(finding, "%d", i), 0);
        }
        ck_assert_uint_eq(findings.n, 1000);
        for (int i = 0; i < 1000; i++) {
                snprintf(text, sizeof(text), "%d", i);
                ck_assert_str_eq(findings.items[i].text, text);
                ck_assert_str_eq(findings.items[i].fix, text);
        }
}
END_TEST

START_TEST(severities_have_names) {
        ck_assert_str_eq(severity_name(SEVERITY_ERROR), "error");
        ck_assert_str_eq(severity_name(SEVERITY_WARNING), "warning");
        ck_assert_str_eq(severity_name(SEVERITY_INFO), "info");
        ck_assert_ptr_null(severity_name(_SEVERITY_MAX));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("finding");
        TCase *tcase = suite_add_case(suite, "finding", make_world, end_world);

        tcase_add_test(tcase, an_error_carries_its_code_and_its_words);
        tcase_add_test(tcase, a_note_is_no_error);
        tcase_add_test(tcase, the_first_error_is_the_first_in_order);
        tcase_add_test(tcase, a_fix_may_be_replaced);
        tcase_add_test(tcase, what_is_hostile_stays_text);
        tcase_add_test(tcase, a_device_that_is_too_long_is_cut);
        tcase_add_test(tcase, many_keep_their_order);
        tcase_add_test(tcase, severities_have_names);
        return suite_run(suite);
}
