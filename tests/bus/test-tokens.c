/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* VFs of PFs on VFIO, and their tokens: made by the broker, known to the PF's holder, and the only way into somebody else's family. */

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define PF     "0000:03:00.0" /* on vfio-pci, in group 14 */
#define VF0    "0000:03:00.1"
#define VF1    "0000:03:00.2"
#define LONELY "0000:01:00.0" /* on vfio-pci, and no PF */
#define CHOSEN "2ab74924-c335-45f4-9b16-8569e5b08258"
#define WRONG  "00000000-c335-45f4-9b16-8569e5b08258"

#define NOTHING UINT64_C(0)

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document(tree);
        if (r >= 0)
                r = tree_add_sriov(tree, PF, 4);
        return r < 0 ? r : tree_write(tree, "sys/module/vfio_pci/parameters/enable_sriov", "Y\n");
}

/* VFs of a PF on VFIO are on VFIO, too. */
static void make_world(void) {
        const char *answer;

        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nOnAcquire=yes\n" });
        answer = set_functions(world, PF, 2);
        ck_assert_msg(answer[0] == '[', "%s: %s", answer, ask_message());
        ck_assert_str_eq(device_property(world, VF1, "Availability"), "available");
}

static void end_world(void) {
        world = world_stop(world);
}

/* What the kernel has in force */
static const char *in_force(void) {
        static char token[64];
        _cleanup_(freep) char *text = world_read(world, "fake/vf-token-" PF);

        snprintf(token, sizeof(token), "%s", text);
        return token;
}

/* Of the PF's descriptor, as its holder gets it */
static const char *token_of(Grant *grant) {
        static const char key[] = "vf-token ";
        const GrantFd *fd = grant_find(grant, VFB_ROLE_DEVICE PF);
        const char *at = fd ? strstr(fd->attributes, key) : NULL;
        static char token[37];

        snprintf(token, sizeof(token), "%s", at ? at + strlen(key) : "");
        return token;
}

static void release(Grant *grant, const char *address) {
        grant_free(grant);
        WAIT_FOR(world, is_free(world, address));
}

START_TEST(token_is_made_for_the_pf_and_told_to_its_holder) {
        char first[64];
        Grant *grant = must_acquire(world->bus, PF);

        ck_assert_uint_eq(strlen(token_of(grant)), 36);
        ck_assert_str_eq(token_of(grant), in_force());
        snprintf(first, sizeof(first), "%s", in_force());

        /* the holder opens it anew, and has the same */
        grant_close_fds(grant);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, VFB_ROLE_DEVICE PF), "");
        ck_assert_str_eq(token_of(grant), first);
        release(grant, PF);

        /* the next one has another */
        grant = must_acquire(world->bus, PF);
        ck_assert_str_ne(token_of(grant), first);
        ck_assert_str_eq(token_of(grant), in_force());
        release(grant, PF);
        check_nothing_held(world);
}
END_TEST

START_TEST(device_that_is_no_pf_has_none) {
        Grant *grant = must_acquire(world->bus, LONELY);

        ck_assert_ptr_null(strstr(grant_find(grant, VFB_ROLE_DEVICE LONELY)->attributes, "vf-token"));
        release(grant, LONELY);
        ck_assert_str_ne(refusal_of(world->bus, &(Request) { .wants = LONELY, .token = CHOSEN }), ""); /* the kernel's word */
}
END_TEST

START_TEST(function_is_opened_by_the_token_of_its_pf) {
        Grant *pf, *vf;

        /* of one that nobody has: the broker sets it */
        for (int times = 0; times < 3; times++) {
                vf = must_acquire(world->bus, times == 1 ? VF1 : VF0);
                ck_assert_uint_eq(strlen(in_force()), 36);
                ck_assert_ptr_null(strstr(grant_find(vf, times == 1 ? VFB_ROLE_DEVICE VF1 : VFB_ROLE_DEVICE VF0)->attributes, "vf-token"));
                if (times < 2)
                        release(vf, times == 1 ? VF1 : VF0);
        }
        /* once is enough, and the PF is not opened for it, and so not reset */
        ck_assert_uint_eq(vfio_called(world, PF " open 22"), 1);
        ck_assert_uint_eq(vfio_called(world, PF " open 0"), 0);

        /* and of one's own, while another is in use */
        pf = must_acquire(world->bus, PF);
        ck_assert_str_eq(token_of(pf), in_force());
        grant_free(must_acquire(world->bus, VF1));
        WAIT_FOR(world, is_free(world, VF1));
        release(vf, VF0);
        release(pf, PF);

        check_nothing_held(world);
}
END_TEST

START_TEST(family_may_be_had_as_one_whatever_comes_first) {
        char last[64] = "";

        for (int times = 0; times < 3; times++) {
                Grant *grant = must_acquire(world->bus, VF1 "," PF "," VF0);

                ck_assert_str_eq(token_of(grant), in_force());
                ck_assert_str_ne(token_of(grant), last);
                snprintf(last, sizeof(last), "%s", token_of(grant));
                ck_assert_uint_eq(grant->n_fds, 4);
                ck_assert_str_eq(grant->fds[1].role, VFB_ROLE_DEVICE VF1);
                ck_assert_str_eq(grant->fds[2].role, VFB_ROLE_DEVICE PF);
                grant_close_fds(grant);
                ck_assert_str_eq(grant_get_fds(grant, world->bus, VFB_ROLE_DEVICE VF0 "," VFB_ROLE_DEVICE PF), "");
                release(grant, PF);
                WAIT_FOR(world, is_free(world, VF0) && is_free(world, VF1));
        }
        check_nothing_held(world);
}
END_TEST

START_TEST(token_outlives_the_daemon) {
        char token[64];
        Grant *pf = must_acquire(world->bus, PF), *vf;

        snprintf(token, sizeof(token), "%s", token_of(pf));
        world_crash_daemon(world);
        ck_assert_str_eq(lease_state(world->bus, pf->lease), "active");
        vf = must_acquire(world->bus, VF0);
        grant_close_fds(vf);
        ck_assert_str_eq(grant_get_fds(vf, world->bus, VFB_ROLE_DEVICE VF0), "");
        ck_assert_str_eq(in_force(), token);
        world_crash_daemon(world);
        release(vf, VF0);
        release(pf, PF);
}
END_TEST

START_TEST(token_that_a_client_has_chosen_holds) {
        Grant *pf, *vf;

        ck_assert_str_eq(grant_acquire(&pf, world->bus, &(Request) { .wants = PF, .token = CHOSEN }), "");
        ck_assert_str_eq(token_of(pf), CHOSEN);
        ck_assert_str_eq(in_force(), CHOSEN);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = VF0, .token = WRONG }), REFUSED("VfTokenRequired"));
        ck_assert_str_eq(grant_acquire(&vf, world->bus, &(Request) { .wants = VF0, .token = CHOSEN }), "");
        grant_free(must_acquire(world->bus, VF1));
        release(vf, VF0);
        WAIT_FOR(world, is_free(world, VF1));

        /* the PF's holder has told the kernel another one: only who knows that gets in */
        ck_assert_int_ge(tree_write(world->tree, "fake/vf-token-" PF, WRONG), 0);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = VF0 }), REFUSED("VfTokenRequired"));
        ck_assert_str_eq(grant_acquire(&vf, world->bus, &(Request) { .wants = VF0, .token = WRONG }), "");
        release(vf, VF0);
        ck_assert_int_ge(tree_write(world->tree, "fake/vf-token-" PF, CHOSEN), 0);
        release(pf, PF);
        check_nothing_held(world);
}
END_TEST

START_TEST(family_is_not_split_between_users_who_have_not_agreed) {
        sd_bus *other = world_connect(world, OTHER);
        char token[64];
        Grant *pf, *vf;

        pf = must_acquire(world->bus, PF);
        snprintf(token, sizeof(token), "%s", token_of(pf));
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(refusal_of(other, &(Request) { .wants = VF0 }), REFUSED("Leased"));
                ck_assert_msg(strstr(ask_message(), PF) != NULL, "%s", ask_message());
                ck_assert_str_eq(refusal_of(other, &(Request) { .wants = VF0, .token = WRONG }), REFUSED("VfTokenRequired"));
        }
        ck_assert_str_eq(lease_state(world->bus, pf->lease), "active");
        ck_assert_str_eq(grant_acquire(&vf, other, &(Request) { .wants = VF0, .token = token }), "");
        release(pf, PF);

        /* the same the other way round: the VF is in use, so who gets the PF must know the token */
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = PF }), REFUSED("Leased"));
                ck_assert_msg(strstr(ask_message(), VF0) != NULL, "%s", ask_message());
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = PF, .token = WRONG }), REFUSED("VfTokenRequired"));
        }
        ck_assert_str_eq(grant_acquire(&pf, world->bus, &(Request) { .wants = PF, .token = token }), "");
        release(pf, PF);
        release(vf, VF0);

        /* VFs of a PF that nobody has are for anybody, each for somebody else */
        pf = must_acquire(world->bus, VF0);
        vf = must_acquire(other, VF1);
        release(pf, VF0);
        release(vf, VF1);
        sd_bus_flush_close_unref(other);
        check_nothing_held(world);
}
END_TEST

/* Whoever has a function need not have it open all the time, and the kernel compares nothing then. */
START_TEST(token_of_a_function_that_is_not_open_counts_as_well) {
        sd_bus *other = world_connect(world, OTHER);
        Grant *pf = must_acquire(world->bus, PF), *vf;
        char token[64];

        snprintf(token, sizeof(token), "%s", token_of(pf));
        ck_assert_str_eq(grant_acquire(&vf, other, &(Request) { .wants = VF0, .token = token }), "");
        release(pf, PF);
        grant_close_fds(vf);
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = PF }), REFUSED("Leased"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = PF, .token = WRONG }), REFUSED("VfTokenRequired"));
                ck_assert_msg(strstr(ask_message(), PF) && !strstr(ask_message(), token), "%s", ask_message());
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = VF1, .token = WRONG }), REFUSED("VfTokenRequired"));
                ck_assert_str_eq(in_force(), token);
        }
        ck_assert_str_eq(grant_get_fds(vf, other, VFB_ROLE_DEVICE VF0), "");
        grant_close_fds(vf);
        for (char *c = token; *c; c++)
                *c = (char) toupper(*c);
        ck_assert_str_eq(grant_acquire(&pf, world->bus, &(Request) { .wants = PF, .token = token }), "");
        release(pf, PF);
        release(vf, VF0);
        sd_bus_flush_close_unref(other);
        check_nothing_held(world);
}
END_TEST

/* Who has had the PF knows its token, and has agreed on nothing with those who come later and bring none. */
START_TEST(token_that_somebody_was_told_is_no_agreement) {
        sd_bus *other = world_connect(world, OTHER);
        char told[64];
        Grant *grant;

        for (int times = 0; times < 3; times++) {
                grant = must_acquire(world->bus, PF);
                snprintf(told, sizeof(told), "%s", token_of(grant));
                release(grant, PF);
                grant = must_acquire(other, VF0);
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = PF, .token = told }), REFUSED("Leased"));
                grant_close_fds(grant);
                if (times == 2)
                        world_crash_daemon(world);
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = PF, .token = told }), REFUSED("Leased"));
                ck_assert_str_eq(grant_get_fds(grant, other, VFB_ROLE_DEVICE VF0), "");
                release(grant, VF0);
        }
        sd_bus_flush_close_unref(other);
        check_nothing_held(world);
}
END_TEST

static const char *driver(void) {
        return device_property(world, PF, "Driver");
}

START_TEST(pf_stays_for_who_has_a_function_of_it) {
        Grant *pf, *vf;

        ck_assert_str_eq(set_functions(world, PF, 0), "[]");
        ck_assert_int_ge(tree_set_driver(world->tree, PF, "nvme"), 0);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = PF }), REFUSED("HeldElsewhere")); /* polkit was not asked yet */
        pf = must_acquire(world->bus, PF);
        ck_assert_str_eq(driver(), "vfio-pci");
        ck_assert_int_eq(set_functions(world, PF, 2)[0], '['); /* under the lease */
        ck_assert_str_eq(lease_state(world->bus, pf->lease), "active");
        vf = must_acquire(world->bus, VF0);
        release(pf, PF);
        ck_assert_str_eq(driver(), "vfio-pci");
        ck_assert_str_eq(lease_state(world->bus, vf->lease), "active");
        ck_assert_str_eq(restore_device(world, PF), REFUSED("Leased"));
        grant_free(vf);
        WAIT_FOR(world, strcmp(driver(), "nvme") == 0);
        WAIT_FOR(world, device_is(world, PF, "host"));
        ck_assert_str_eq(restore_device(world, PF), "");
        ck_assert_str_eq(ask_property(world->bus, device_path(PF), VFB_INTERFACE_SRIOV, "Current"), "0");
        check_nothing_held(world);
}
END_TEST

START_TEST(pf_that_goes_while_its_functions_change_is_gone) {
        Call call;

        vfio_fail(world, PF, "numvfs-hangs", "");
        call_start(&call, world->bus, device_path(PF), VFB_INTERFACE_SRIOV, "SetVirtualFunctions", "ua{sv}t", 3, 0, NOTHING);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_int_ge(tree_remove(world->tree, PF), 0);
        vfio_fail(world, PF, "numvfs-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("DeviceGone"));
        ck_assert_int_eq(device_property(world, PF, "Id")[0], '!');
        ck_assert_uint_eq(count_kept(world, "device-" PF), 0);
        call_end(&call);
        check_nothing_held(world);
}
END_TEST

START_TEST(pf_of_somebody_outside_guards_its_functions) {
        vfio_fail(world, "group-14", "open-errno", "16");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = VF0 }), REFUSED("VfTokenRequired"));
        vfio_fail(world, "group-14", "open-errno", NULL);
        release(must_acquire(world->bus, VF0), VF0);
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("tokens");
        TCase *tcase = suite_add_case(suite, "tokens", make_world, end_world);

        tcase_add_test(tcase, token_is_made_for_the_pf_and_told_to_its_holder);
        tcase_add_test(tcase, device_that_is_no_pf_has_none);
        tcase_add_test(tcase, function_is_opened_by_the_token_of_its_pf);
        tcase_add_test(tcase, family_may_be_had_as_one_whatever_comes_first);
        tcase_add_test(tcase, token_outlives_the_daemon);
        tcase_add_test(tcase, token_that_a_client_has_chosen_holds);
        tcase_add_test(tcase, pf_of_somebody_outside_guards_its_functions);
        tcase_add_test(tcase, pf_that_goes_while_its_functions_change_is_gone);
        tcase_add_test(tcase, pf_stays_for_who_has_a_function_of_it);
        if (world_is_root()) {
                tcase_add_test(tcase, family_is_not_split_between_users_who_have_not_agreed);
                tcase_add_test(tcase, token_of_a_function_that_is_not_open_counts_as_well);
                tcase_add_test(tcase, token_that_somebody_was_told_is_no_agreement);
        }
        return suite_run(suite);
}
