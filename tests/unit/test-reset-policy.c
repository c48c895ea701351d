/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "core/reset-policy.h"
#include "errors.h"
#include "suite.h"

static DeviceList devices;
static Device *nvme, *nic;
static ResetRules rules;

static void make_world(void) {
        DeviceFacts facts = { .id = "0000:03:00.0", .class = 0x010802, .vendor = 0x1b36 };

        TAILQ_INIT(&devices.queue);
        ck_assert_int_eq(device_new(&nvme, &devices, &facts), 0);
        facts = (DeviceFacts){ .id = "0000:06:0d.1", .class = 0x020000, .vendor = 0x8086 };
        ck_assert_int_eq(device_new(&nic, &devices, &facts), 0);
        rules = (ResetRules){};
}

static void end_world(void) {
        device_free(nvme);
        device_free(nic);
}

static void add(const char *text, ResetPolicy policy, int one_time) {
        ResetRule *rule;

        ck_assert_int_eq(reset_rules_take(&rules, text, &rule), 0);
        if (policy != RESET_POLICY_UNSET)
                rule->policy = policy;
        if (one_time >= 0)
                rule->one_time = one_time;
}

static void check(const Device *device, ResetPolicy policy, bool one_time) {
        ResetPolicy found;
        bool found_one_time;

        reset_rules_apply(&rules, device, &found, &found_one_time);
        ck_assert_str_eq(reset_policy_name(found), reset_policy_name(policy));
        ck_assert_int_eq(found_one_time, one_time);
}

START_TEST(without_rules_it_is_preferred) {
        check(nvme, RESET_POLICY_PREFERRED, false);
}
END_TEST

START_TEST(a_selector_counts_for_more_than_all) {
        add("class=nvme", RESET_POLICY_REQUIRED, -1);
        add("", RESET_POLICY_NONE, 1);
        check(nvme, RESET_POLICY_REQUIRED, true);
        check(nic, RESET_POLICY_NONE, true);
}
END_TEST

START_TEST(the_last_that_says_something_holds) {
        add("vendor=1b36", RESET_POLICY_NONE, 1);
        add("0000:03:00.0", RESET_POLICY_REQUIRED, -1);
        add("class=nvme", RESET_POLICY_UNSET, 0);
        check(nvme, RESET_POLICY_REQUIRED, false);
        add("vendor=1b36", RESET_POLICY_NONE, -1); /* another one: order is what counts */
        check(nvme, RESET_POLICY_NONE, false);
        ck_assert_uint_eq(rules.n, 4);
        check(nic, RESET_POLICY_PREFERRED, false);
}
END_TEST

START_TEST(settings_of_one_section_are_one_rule) {
        ResetRule *first, *second;

        ck_assert_int_eq(reset_rules_take(&rules, "class=nvme", &first), 0);
        ck_assert_int_eq(reset_rules_take(&rules, "class=nvme", &second), 0);
        ck_assert_ptr_eq(first, second);
}
END_TEST

START_TEST(what_is_no_selector_is_refused) {
        char text[SELECTOR_MAX + 2];
        ResetRule *rule;

        ck_assert_int_eq(reset_rules_take(&rules, "nonsense", &rule), VFB_ERROR_INVALID_SELECTOR);
        /* what is not always known of a device */
        ck_assert_int_eq(reset_rules_take(&rules, "serial:test", &rule), VFB_ERROR_INVALID_SELECTOR);
        ck_assert_int_eq(reset_rules_take(&rules, "class=nvme alias:test", &rule), VFB_ERROR_INVALID_SELECTOR);
        ck_assert_int_eq(reset_rules_take(&rules, "pool:test", &rule), VFB_ERROR_INVALID_SELECTOR);
        ck_assert_int_eq(reset_rules_take(&rules, "pf=eth0", &rule), VFB_ERROR_INVALID_SELECTOR);
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        ck_assert_int_eq(reset_rules_take(&rules, text, &rule), VFB_ERROR_INVALID_SELECTOR);
        ck_assert_uint_eq(rules.n, 0);
}
END_TEST

START_TEST(rules_have_a_limit) {
        ResetRule *rule;

        for (unsigned i = 0; i < RESET_RULES_MAX; i++)
                ck_assert_int_eq(reset_rules_take(&rules, i % 2 ? "class=nvme" : "class=network", &rule), 0);
        ck_assert_int_eq(reset_rules_take(&rules, "class=network", &rule), -E2BIG);
        ck_assert_int_eq(reset_rules_take(&rules, "class=nvme", &rule), 0); /* the last one goes on */
}
END_TEST

START_TEST(names_stand_for_policies_and_nothing_else_does) {
        static const char *const none[] = { "", "None", "required ", "unset" };

        for (ResetPolicy policy = RESET_POLICY_NONE; policy < _RESET_POLICY_MAX; policy++)
                ck_assert_int_eq(reset_policy_from_name(reset_policy_name(policy)), policy);
        for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
                ck_assert_int_eq(reset_policy_from_name(none[i]), RESET_POLICY_UNSET);
        ck_assert_int_eq(reset_policy_stricter(RESET_POLICY_REQUIRED, RESET_POLICY_NONE), RESET_POLICY_REQUIRED);
        ck_assert_int_eq(reset_policy_stricter(RESET_POLICY_UNSET, RESET_POLICY_NONE), RESET_POLICY_NONE);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("reset-policy");
        TCase *tcase = suite_add_case(suite, "reset-policy", make_world, end_world);

        tcase_add_test(tcase, without_rules_it_is_preferred);
        tcase_add_test(tcase, a_selector_counts_for_more_than_all);
        tcase_add_test(tcase, the_last_that_says_something_holds);
        tcase_add_test(tcase, settings_of_one_section_are_one_rule);
        tcase_add_test(tcase, what_is_no_selector_is_refused);
        tcase_add_test(tcase, rules_have_a_limit);
        tcase_add_test(tcase, names_stand_for_policies_and_nothing_else_does);
        return suite_run(suite);
}
