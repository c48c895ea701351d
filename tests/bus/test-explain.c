/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Explain says beforehand what Acquire would say, changes nothing, and never makes polkit ask the user. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME     "0000:03:00.0"
#define EDU      "0000:01:00.0"
#define HOST     "0000:02:00.0"
#define SHARED   "0000:06:0d.0"
#define NO_RESET "0000:00:10.0"

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *explain(const Request *request) {
        return request_explain(world->bus, request);
}

/* The code of the first error is the last word of Acquire's refusal, and both say yes to the same. */
static void check_agreement(const char *wants) {
        const char *explanation = explain(&(Request) { .wants = wants }), *refusal, *error;
        char code[64];

        refusal = refusal_of(world->bus, &(Request) { .wants = wants });
        if (!refusal[0]) {
                ck_assert_msg(strncmp(explanation, "yes ", 4) == 0, "%s", explanation);
                ck_assert_ptr_null(strstr(explanation, " error "));
                return;
        }
        ck_assert_msg(strncmp(explanation, "no ", 3) == 0, "%s: %s", wants, explanation);
        error = strstr(explanation, " error ");
        ck_assert_ptr_nonnull(error);
        snprintf(code, sizeof(code), "(%s error ", strrchr(refusal, '.') + 1);
        while (error > explanation && error[-1] != '(')
                error--;
        ck_assert_msg(strncmp(error - 1, code, strlen(code)) == 0, "%s: %s, but %s", wants, refusal, explanation);
}

/* No advice that would be refused for the same reason */
START_TEST(device_in_no_group_is_not_told_to_be_bound_first) {
        const char *text = explain(&(Request) { .wants = "0000:00:02.0" });

        ck_assert_ptr_nonnull(strstr(text, "is in no IOMMU group"));
        ck_assert_ptr_nonnull(strstr(text, "first it needs an IOMMU group; then: vfio-broker bind 0000:00:02.0"));
        ck_assert_ptr_null(strstr(text, "bind it: "));
        text = explain(&(Request) { .wants = "0000:00:1e.0" });
        ck_assert_msg(!strstr(text, "vfio-broker bind"), "%s", text); /* a bridge is never bound */
}
END_TEST

START_TEST(explain_and_acquire_agree) {
        static const char *const wants[] = {
                NVME, "group:15", SHARED, HOST, "0000:00:02.0", "0000:ff:00.0", "driver=vfio-pci", NVME "," HOST, NVME "," NVME, EDU "," NVME,
        };
        Grant *grant;

        for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
                check_agreement(wants[i]);
                WAIT_FOR(world, strcmp(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "0") == 0);
        }
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", "e1000"), 0);
        check_agreement(SHARED);
        grant = must_acquire(world->bus, NVME);
        check_agreement(NVME);
        check_agreement(EDU "," NVME);
        ck_assert_str_eq(ask(world->bus, device_path(EDU), VFB_INTERFACE_DEVICE, "Quarantine", "st", "smells", UINT64_C(0)), "");
        check_agreement(EDU);
        grant_free(grant);
        polkit_set(world, "SetAnswer", "s", "no");
        check_agreement(NVME);
        polkit_set(world, "SetAnswer", "s", "challenge");
        check_agreement(NVME);
        polkit_set(world, "SetAnswer", "s", "error");
        check_agreement(NVME);
}
END_TEST

START_TEST(all_reasons_are_told_with_what_to_do) {
        const char *text;

        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", "e1000"), 0);
        text = explain(&(Request) { .wants = SHARED "," HOST ",0000:ff:00.0" });
        ck_assert_ptr_nonnull(strstr(text, "(NotViable error " SHARED " "));
        ck_assert_ptr_nonnull(strstr(text, "{device 0000:06:0d.1}"));
        ck_assert_ptr_nonnull(strstr(text, "{driver e1000}"));
        ck_assert_ptr_nonnull(strstr(text, "(NotVfio error " HOST " "));
        ck_assert_ptr_nonnull(strstr(text, "(NoSuchDevice error "));
        ck_assert_ptr_nonnull(strstr(text, "{fix bind it: vfio-broker bind " HOST "}"));
        /* Nothing of its own need be done about it */
        ck_assert_ptr_nonnull(strstr(text, "{fix bind that as well: vfio-broker bind 0000:06:0d.1}"));
        ck_assert_int_ge(tree_set_driver(world->tree, SHARED, ""), 0);
        text = explain(&(Request) { .wants = SHARED });
        ck_assert_ptr_nonnull(strstr(text, "{fix it goes along with that}"));
        ck_assert_int_ge(tree_set_driver(world->tree, SHARED, "vfio-pci"), 0);
        text = explain(&(Request) { .wants = NO_RESET });
        ck_assert_ptr_nonnull(strstr(text, "yes [(NoReset warning " NO_RESET " "));
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", "vfio-pci"), 0);
        text = explain(&(Request) { .wants = SHARED });
        ck_assert_ptr_nonnull(strstr(text, "(Companion info " SHARED " "));
}
END_TEST

START_TEST(explaining_changes_nothing) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, EDU);
        size_t n_fds = settled_fds(world);

        vfio_forget(world);
        for (int times = 0; times < 20; times++) {
                ck_assert_str_eq(explain(&(Request) { .wants = NVME }), "yes []");
                explain(&(Request) { .wants = EDU });
                explain(&(Request) { .wants = HOST });
        }
        ck_assert_uint_eq(vfio_called(world, ""), 0);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "1");
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        WAIT_FOR(world, count_fds(world->daemon_pid, "") == n_fds);
}
END_TEST

START_TEST(user_is_never_asked) {
        const char *calls;

        polkit_set(world, "SetAnswer", "s", "challenge");
        ck_assert_ptr_nonnull(strstr(explain(&(Request) { .wants = NVME, .interactive = true }), "[(InteractiveAuthorizationRequired warning "));
        calls = ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", "");
        ck_assert_uint_eq(polkit_asked(world), 1);
        ck_assert_ptr_nonnull(strstr(calls, "] 0 "));
        ck_assert_ptr_null(strstr(calls, "] 1 "));
}
END_TEST

START_TEST(wrong_questions_are_errors) {
        ck_assert_str_eq(explain(&(Request) { .wants = "" }), INVALID_ARGS);
        ck_assert_str_eq(explain(&(Request) { .wants = "eth0" }), REFUSED("InvalidSelector"));
        ck_assert_str_eq(explain(&(Request) { .wants = NVME, .unknown = "frobnicate" }), REFUSED("InvalidOption"));
        ck_assert_str_eq(explain(&(Request) { .wants = NVME, .mode = "iommufd" }), REFUSED("InvalidOption"));
        ck_assert_int_eq(strncmp(explain(&(Request) { .wants = NVME, .unknown = "x-mine" }), "yes ", 4), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("explain");
        TCase *tcase = suite_add_case(suite, "explain", make_world, end_world);

        tcase_add_test(tcase, device_in_no_group_is_not_told_to_be_bound_first);
        tcase_add_test(tcase, explain_and_acquire_agree);
        tcase_add_test(tcase, all_reasons_are_told_with_what_to_do);
        tcase_add_test(tcase, explaining_changes_nothing);
        tcase_add_test(tcase, user_is_never_asked);
        tcase_add_test(tcase, wrong_questions_are_errors);
        return suite_run(suite);
}
