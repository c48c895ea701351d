/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Placeholders */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl-placeholders.h"
#include "suite.h"

/* In the order in which the service may well name them. */
static const Handover handovers[] = {
        { "device:0000:06:0d.1", 40 },
        { "container", 41 },
        { "device:0000:06:0d.0", 42 },
        { "group:26", 43 },
        { "group:7", 44 },
        { "lifeline", 45 },
};

#define N (sizeof(handovers) / sizeof(*handovers))

static const struct {
        const char *argument, *expected;
} expansions[] = {
        { "", "" },
        { "plain", "plain" },
        { "{container}", "4" },
        { "{dev:0}", "3" },
        { "{dev:1}", "5" },
        { "{dev:01}", "5" },
        { "{dev:0:address}", "0000:06:0d.1" },
        { "{dev:1:address}", "0000:06:0d.0" },
        { "{group:0}", "6" },
        { "{group:1:number}", "7" },
        { "{lifeline}", "8" },
        { "vfio-pci,host={dev:0:address},fd={dev:0},io={container}!", "vfio-pci,host=0000:06:0d.1,fd=3,io=4!" },
        { "{dev:0}{dev:1}", "35" },
        { "{{dev:0}}", "{3}" },
        { "{ {container} }", "{ 4 }" },
        { "{", "{" },
        { "}", "}" },
        { "{}", "{}" },
        { "{dev}", "{dev}" },
        { "{dev:}", "{dev:}" },
        { "{dev:x}", "{dev:x}" },
        { "{dev:0", "{dev:0" },
        { "{dev:-1}", "{dev:-1}" },
        { "{dev:0:number}", "{dev:0:number}" },
        { "{dev:0:address:x}", "{dev:0:address:x}" },
        { "{dev:9999999}", "{dev:9999999}" },
        { "{group:0:address}", "{group:0:address}" },
        { "{container:0}", "{container:0}" },
        { "{containers}", "{containers}" },
        { "{iommu}", "{iommu}" },
        { "awk '{print $1}'", "awk '{print $1}'" },
        { "${HOME}", "${HOME}" },
};

START_TEST(known_placeholders_are_replaced_and_others_left_alone) {
        char *text = NULL, *missing = NULL;

        ck_assert_int_eq(handover_expand(&text, expansions[_i].argument, handovers, N, &missing), 0);
        ck_assert_str_eq(text, expansions[_i].expected);
        ck_assert_ptr_null(missing);
        free(text);
}
END_TEST

static const char *const beyond[] = { "{dev:2}", "{dev:2:address}", "{group:2}", "{dev:999999}" };

START_TEST(a_placeholder_beyond_the_lease_is_named) {
        char *text = NULL, *missing = NULL, argument[64];

        snprintf(argument, sizeof(argument), "{dev:0} and {x} and %s and {dev:1}", beyond[_i]);
        ck_assert_int_eq(handover_expand(&text, argument, handovers, N, &missing), -ENOENT);
        ck_assert_ptr_null(text);
        ck_assert_str_eq(missing, beyond[_i]);
        free(missing);
}
END_TEST

START_TEST(without_a_lifeline_there_is_none_to_name) {
        char *text = NULL, *missing = NULL;

        ck_assert_int_eq(handover_expand(&text, "{lifeline}", handovers, N - 1, &missing), -ENOENT);
        ck_assert_str_eq(missing, "{lifeline}");
        free(missing);
        ck_assert_int_eq(handover_expand(&text, "{container}", NULL, 0, &missing), -ENOENT);
        free(missing);
}
END_TEST

START_TEST(names_follow_the_order_of_the_descriptors) {
        char *names = NULL;

        ck_assert_int_eq(handover_names(&names, handovers, N), 0);
        ck_assert_str_eq(names, "dev0:container:dev1:group26:group7:lifeline");
        free(names);

        ck_assert_int_eq(handover_names(&names, NULL, 0), 0);
        ck_assert_str_eq(names, "");
        free(names);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("placeholders");
        TCase *tcase = suite_add_case(suite, "placeholders", NULL, NULL);

        tcase_add_loop_test(tcase, known_placeholders_are_replaced_and_others_left_alone, 0,
                            sizeof(expansions) / sizeof(*expansions));
        tcase_add_loop_test(tcase, a_placeholder_beyond_the_lease_is_named, 0,
                            sizeof(beyond) / sizeof(*beyond));
        tcase_add_test(tcase, without_a_lifeline_there_is_none_to_name);
        tcase_add_test(tcase, names_follow_the_order_of_the_descriptors);
        return suite_run(suite);
}
