/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions that come and go while others want them, their PF, or a number of their own. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define PF    "0000:03:00.0"
#define EDU   "0000:01:00.0"
#define VF0   "0000:03:00.1"
#define VF1   "0000:03:00.2"
#define TOTAL 8

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document_with_functions(tree, TOTAL);
        return r < 0 ? r : tree_write(tree, "sys/module/vfio_pci/parameters/enable_sriov", "Y\n");
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nOnAcquire=yes\n" });
}

static void end_world(void) {
        world = world_stop(world);
}

static unsigned current(void) {
        return (unsigned) strtoul(ask_property(world->bus, device_path(PF), VFB_INTERFACE_SRIOV, "Current"), NULL, 10);
}

static const char *set(unsigned count) {
        return set_functions(world, PF, count);
}

/* A refusal, or "[" for a list of functions. */
static void await(Call *call, const char *answer) {
        WAIT_FOR(world, call->answered);
        ck_assert_int_eq(strncmp(call->answer, answer, strlen(answer)), 0);
        call_end(call);
}

/* udev is faster than the kernel is with the rest of them, which may still fail, and then all go. */
START_TEST(function_is_nobodys_before_all_of_them_are_there) {
        Call call;

        vfio_fail(world, VF1, "function-hangs", "");
        call_set_idle_functions(&call, world->bus, PF, 3);
        WAIT_FOR(world, current() == 1 && vfio_delayed(world) > 0);
        udev_send(world, "add", VF0);
        WAIT_FOR(world, device_property(world, VF0, "Id")[0] != '!');
        ck_assert_str_eq(device_property(world, VF0, "Availability"), "held");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = VF0 }), REFUSED("HeldElsewhere"));
        ck_assert(!call.answered);
        vfio_fail(world, VF1, "function-hangs", NULL);
        await(&call, "[");
        ck_assert(device_is(world, VF0, "host"));
        grant_free(must_acquire(world->bus, VF0));
        WAIT_FOR(world, device_is(world, VF0, "host"));
        ck_assert_str_eq(set(0), "[]");
        check_nothing_held(world);
}
END_TEST

static void to_vfio(void) {
        ck_assert_str_eq(bind_device(world, PF), "");
}

/* Its reset would hit them, and whoever gets it next would have them. */
START_TEST(pf_of_a_lease_that_is_not_active_makes_none) {
        Pending slow;
        Grant *grant;

        to_vfio();
        vfio_fail(world, PF, "open-hangs", "");
        pending_start(&slow, world->bus, &(Request) { .wants = PF });
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(set(2), REFUSED("Leased"));
        vfio_fail(world, PF, "open-hangs", NULL);
        WAIT_FOR(world, slow.answered);
        ck_assert_str_eq(slow.refusal, "");

        grant = slow.grant;
        ck_assert_int_eq(set(2)[0], '['); /* who has it wants some */
        ck_assert_str_eq(set(0), "[]");
        grant_close_lifeline(grant);
        WAIT_FOR(world, strcmp(lease_state(world->bus, grant->lease), "lingering") == 0);
        ck_assert_str_eq(set(2), REFUSED("Leased"));

        vfio_fail(world, PF, "open-hangs", "");
        grant_close_fds(grant);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "cleaning");
        ck_assert_str_eq(set(2), REFUSED("Leased"));
        vfio_fail(world, PF, "open-hangs", NULL);
        WAIT_FOR(world, device_is(world, PF, "available"));
        ck_assert_uint_eq(current(), 0);
        pending_end(&slow);
        check_nothing_held(world);
}
END_TEST

START_TEST(pf_goes_back_when_its_lease_ends_meanwhile) {
        Grant *grant;
        Call call;

        for (int times = 0; times < 3; times++) {
                grant = must_acquire(world->bus, PF);
                ck_assert_str_eq(device_property(world, PF, "Driver"), "vfio-pci");
                vfio_fail(world, VF1, "function-hangs", "");
                call_set_idle_functions(&call, world->bus, PF, 4);
                WAIT_FOR(world, vfio_delayed(world) > 0);
                vfio_forget(world);
                grant_close_lifeline(grant);
                grant_close_fds(grant);
                WAIT_FOR(world, strcmp(lease_state(world->bus, grant->lease), "cleaning") == 0);
                ck_assert_uint_eq(vfio_called(world, PF " open"), 0);
                grant_free(grant);
                vfio_fail(world, VF1, "function-hangs", NULL);
                await(&call, "[");
                WAIT_FOR(world, device_is(world, PF, "host"));
                ck_assert_str_eq(device_property(world, PF, "Driver"), "nvme");
                ck_assert_str_eq(restore_device(world, PF), "");
                ck_assert_uint_eq(current(), 0);
                ck_assert_str_eq(driver_state(world, PF), "nvme (null)");
        }
        ck_assert_uint_eq(count_origins(world), 0);
        check_nothing_held(world);
}
END_TEST

/* Its unbind waits for the kernel's lock on it, and comes the moment the functions are there. */
START_TEST(pf_that_is_taken_from_its_lease_meanwhile_is_lost) {
        Grant *grant = must_acquire(world->bus, PF);
        Call call;

        vfio_fail(world, VF1, "function-hangs", "");
        call_set_idle_functions(&call, world->bus, PF, 3);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        world_forget_signals(world);
        ck_assert_int_ge(tree_set_driver(world->tree, PF, NULL), 0);
        udev_send(world, "unbind", PF);
        ck_assert_int_ge(tree_remove(world->tree, EDU), 0);
        udev_send(world, "remove", EDU);
        WAIT_FOR(world, world_signals(world, "DeviceRemoved " EDU) == 1); /* so the word of the PF has come, too */
        ck_assert_uint_eq(world_signals(world, "DeviceGone"), 0);
        vfio_fail(world, VF1, "function-hangs", NULL);
        await(&call, "[");
        WAIT_FOR(world, world_signals(world, "DeviceGone") == 1);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering"); /* it was the only one */
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        check_nothing_held(world);
}
END_TEST

START_TEST(of_two_who_waited_for_polkit_one_is_first) {
        Call one, two;

        polkit_set(world, "SetAnswer", "s", "silent");
        call_set_idle_functions(&one, world->bus, PF, 2);
        call_set_idle_functions(&two, world->bus, PF, 3);
        WAIT_FOR(world, polkit_waiting(world) == 2);
        vfio_fail(world, PF, "numvfs-hangs", "");
        polkit_set(world, "AnswerWaiting", "s", "yes");
        polkit_set(world, "SetAnswer", "s", "yes");
        WAIT_FOR(world, one.answered || two.answered);
        vfio_fail(world, PF, "numvfs-hangs", NULL);
        WAIT_FOR(world, one.answered && two.answered);
        ck_assert_msg((*one.answer == '!') != (*two.answer == '!'), "%s and %s", one.answer, two.answer);
        ck_assert_str_eq(*one.answer == '!' ? one.answer : two.answer, REFUSED("HeldElsewhere"));
        ck_assert_uint_eq(current(), *one.answer == '!' ? 3 : 2);
        call_end(&one);
        call_end(&two);
        ck_assert_str_eq(set(0), "[]");
        check_nothing_held(world);
}
END_TEST

START_TEST(what_waits_for_polkit_does_not_land_on_another_pf) {
        TreePci twin = { .address = PF, .driver = "nvme", .reset_methods = "flr bus", .class = 0x010802, .vendor = 0x1b36, .device = 0x0010,
                         .subsystem_vendor = 0x1af4, .subsystem_device = 0x1100, .group = 14, .numa_node = 1 };
        Call call;

        for (int told = 0; told < 2; told++) {
                polkit_set(world, "SetAnswer", "s", "silent");
                call_set_idle_functions(&call, world->bus, PF, 2);
                WAIT_FOR(world, polkit_waiting(world) == 1);
                ck_assert_int_ge(tree_remove(world->tree, PF), 0);
                ck_assert_int_ge(tree_add_pci(world->tree, &twin), 0);
                ck_assert_int_ge(tree_add_sriov(world->tree, PF, TOTAL), 0);
                if (told) {
                        world_forget_signals(world);
                        udev_send(world, "remove", PF);
                        WAIT_FOR(world, world_signals(world, "DeviceNew") == 1);
                }
                polkit_set(world, "AnswerWaiting", "s", "yes");
                polkit_set(world, "SetAnswer", "s", "yes");
                await(&call, REFUSED("DeviceGone"));
                ck_assert_uint_eq(current(), 0);
                ck_assert_uint_eq(vfio_called(world, "numvfs"), 0);
                ck_assert_uint_eq(count_origins(world), 0);
        }
        check_nothing_held(world);
}
END_TEST

START_TEST(nobody_gets_a_pf_whose_functions_are_being_made) {
        Call call;

        vfio_fail(world, VF1, "function-hangs", "");
        call_set_idle_functions(&call, world->bus, PF, 5);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = PF }), REFUSED("HeldElsewhere"));
        ck_assert_str_eq(bind_device(world, PF), REFUSED("HeldElsewhere"));
        ck_assert_str_eq(restore_device(world, PF), REFUSED("HeldElsewhere"));
        ck_assert_str_eq(set(0), REFUSED("HeldElsewhere"));
        ck_assert(!call.answered);
        vfio_fail(world, VF1, "function-hangs", NULL);
        await(&call, "[");
        ck_assert_uint_eq(current(), 5);
        ck_assert_str_eq(set(0), "[]");
        check_nothing_held(world);
}
END_TEST

START_TEST(child_that_dies_leaves_as_many_as_there_were) {
        unsigned before = (unsigned) _i * 2;
        Call call;

        if (before > 0)
                ck_assert_int_eq(set(before)[0], '[');
        vfio_fail(world, "0000:03:00.4", "function-hangs", "");
        call_set_idle_functions(&call, world->bus, PF, 6);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        vfio_kill_delayed(world);
        vfio_fail(world, "0000:03:00.4", "function-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_int_eq(call.answer[0], '!');
        call_end(&call);
        WAIT_FOR(world, device_is(world, PF, "host"));
        ck_assert_uint_eq(current(), before);
        ck_assert_str_eq(set(0), "[]");
        check_nothing_held(world);
}
END_TEST

/* A PF on VFIO that nobody has is opened for a moment by each, to tell the kernel the token. */
START_TEST(jobs_that_begin_together_get_a_function_each) {
        static const char *const functions[] = { VF0, VF1, "0000:03:00.3", "0000:03:00.4" };
        Pending jobs[4];

        to_vfio();
        ck_assert_int_eq(set(4)[0], '[');
        for (int times = 0; times < 5; times++) {
                for (size_t i = 0; i < 4; i++)
                        pending_start(&jobs[i], world->bus, &(Request) { .wants = functions[i] });
                WAIT_FOR(world, jobs[0].answered && jobs[1].answered && jobs[2].answered && jobs[3].answered);
                for (size_t i = 0; i < 4; i++) {
                        ck_assert_str_eq(jobs[i].refusal, "");
                        pending_end(&jobs[i]);
                }
                for (size_t i = 0; i < 4; i++)
                        WAIT_FOR(world, device_is(world, functions[i], "available"));
                /* the kernel has forgotten it */
                ck_assert_int_ge(tree_write(world->tree, "fake/vf-token-" PF, "00000000-c335-45f4-9b16-8569e5b08258"), 0);
        }
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("sriov-races");
        TCase *tcase = suite_add_case(suite, "sriov-races", make_world, end_world);

        tcase_add_test(tcase, pf_of_a_lease_that_is_not_active_makes_none);
        tcase_add_test(tcase, pf_goes_back_when_its_lease_ends_meanwhile);
        tcase_add_test(tcase, of_two_who_waited_for_polkit_one_is_first);
        tcase_add_test(tcase, nobody_gets_a_pf_whose_functions_are_being_made);
        tcase_add_loop_test(tcase, child_that_dies_leaves_as_many_as_there_were, 0, 2);
        tcase_add_test(tcase, jobs_that_begin_together_get_a_function_each);
        if (world_is_root()) {
                tcase_add_test(tcase, function_is_nobodys_before_all_of_them_are_there);
                tcase_add_test(tcase, what_waits_for_polkit_does_not_land_on_another_pf);
                tcase_add_test(tcase, pf_that_is_taken_from_its_lease_meanwhile_is_lost);
        }
        return suite_run(suite);
}
