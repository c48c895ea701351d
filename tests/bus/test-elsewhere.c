/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices that somebody has open through VFIO without a lease: their drivers are not changed under them. */

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "by-hand.h"
#include "call.h"
#include "suite.h"
#include "tree-files.h"
#include "watch.h"

#define NIC    "0000:02:00.0" /* on e1000e, alone in group 13 */
#define EDU    "0000:01:00.0" /* on vfio-pci, alone in group 12 */
#define FIRST  "0000:06:0d.0" /* on uio, in group 26 with */
#define SECOND "0000:06:0d.1" /* on e1000 */
#define PF     "0000:08:00.0" /* on nvme, alone in group 30 */
#define VF     "0000:08:00.1" /* in group 3049, when it is there */
#define OTHER_VF "0000:08:00.2"

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document_on_the_host(tree);
        if (r >= 0)
                r = tree_add_pci(tree, &(TreePci) { .address = PF, .vendor = 0x1b36, .device = 0x10, .class = 0x10802, .group = 30, .driver = "nvme" });
        if (r >= 0)
                r = tree_write(tree, "proc/1/mountinfo", "23 1 254:1 / / rw - ext4 /dev/vda1 rw\n");
        return r < 0 ? r : tree_add_sriov(tree, PF, 4);
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nDriverTimeoutSec=60\n" });
}

static void make_world_of_little_patience(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nDriverTimeoutSec=10\n" });
}

static void end_world(void) {
        check_nothing_held(world);
        ck_assert_uint_eq(count_origins(world), 0);
        world = world_stop(world);
}

/* The answer says what it is, and who; @who NULL: that is not known. */
static void check_refused(const char *answer, const char *what, const char *who) {
        char process[64];

        ck_assert_str_eq(answer, REFUSED("HeldElsewhere"));
        snprintf(process, sizeof(process), "process %d (%s)", (int) getpid(), who);
        ck_assert_msg(strstr(ask_message(), what) != NULL, "%s", ask_message());
        ck_assert_msg(strstr(ask_message(), who ? process : "cannot be told for certain") != NULL, "%s", ask_message());
}

START_TEST(device_is_not_taken_from_who_has_it_open) {
        unsigned unbound;
        ByHand by_hand;

        ck_assert_str_eq(bind_device(world, NIC), "");
        unbound = vfio_called(world, NIC " unbind");
        by_hand = by_hand_take(world, 13, NIC);
        for (int times = 0; times < 10; times++) {
                check_refused(restore_device(world, NIC), NIC, "test-elsewhere");
                ck_assert_str_eq(driver_state(world, NIC), "vfio-pci vfio-pci");
                ck_assert(device_is(world, NIC, "available"));
                ck_assert_str_eq(device_property(world, NIC, "RestoreDriver"), "e1000e");
        }
        ck_assert_uint_eq(vfio_called(world, NIC " unbind"), unbound);
        ck_assert_uint_eq(vfio_called(world, NIC " override"), 1);
        world_crash_daemon(world);
        check_refused(restore_device(world, NIC), NIC, "test-elsewhere");
        by_hand_let_go(&by_hand);
        ck_assert_str_eq(restore_device(world, NIC), "");
        ck_assert_str_eq(driver_state(world, NIC), "e1000e (null)");
}
END_TEST

START_TEST(companion_that_is_open_keeps_all_of_the_group) {
        ByHand by_hand;

        ck_assert_str_eq(bind_device(world, FIRST), "");
        by_hand = by_hand_take(world, 26, SECOND);
        for (int times = 0; times < 5; times++) {
                check_refused(restore_device(world, times % 2 ? SECOND : FIRST), SECOND, "test-elsewhere");
                ck_assert_str_eq(driver_state(world, FIRST), "vfio-pci vfio-pci");
                ck_assert_str_eq(driver_state(world, SECOND), "vfio-pci vfio-pci");
        }
        by_hand_let_go(&by_hand);
        ck_assert_str_eq(restore_device(world, FIRST), "");
        ck_assert_str_eq(driver_state(world, FIRST), "uio (null)");
        ck_assert_str_eq(driver_state(world, SECOND), "e1000 (null)");
}
END_TEST

/* Which of two devices a process has the kernel does not say. */
START_TEST(who_cannot_be_told_for_certain_is_not_named_and_it_is_refused_all_the_same) {
        ByHand by_hand, other = by_hand_take(world, 12, EDU);

        ck_assert_str_eq(bind_device(world, NIC), "");
        by_hand = by_hand_take(world, 13, NIC);
        check_refused(restore_device(world, NIC), NIC, NULL);
        ck_assert_str_eq(driver_state(world, NIC), "vfio-pci vfio-pci");
        by_hand_let_go(&other);
        check_refused(restore_device(world, NIC), NIC, "test-elsewhere");
        by_hand_let_go(&by_hand);
        ck_assert_str_eq(restore_device(world, NIC), "");
}
END_TEST

/* systemd has it for a moment after a lease, say. The fakes' groups are not found by their numbers. */
START_TEST(group_in_hands_that_are_nobodys_holds_up_nothing) {
        ByHand by_hand;

        ck_assert_str_eq(bind_device(world, NIC), "");
        by_hand = by_hand_take(world, 13, NULL);
        ck_assert_str_eq(restore_device(world, NIC), "");
        ck_assert_str_eq(driver_state(world, NIC), "e1000e (null)");
        by_hand_let_go(&by_hand);
}
END_TEST

/* They would go with their PF, its driver or their number. */
START_TEST(virtual_function_that_is_open_keeps_its_pf) {
        ByHand by_hand;

        ck_assert_str_ne(set_idle_functions(world, PF, 2), REFUSED("HeldElsewhere"));
        ck_assert_str_eq(bind_device(world, VF), "");
        by_hand = by_hand_take(world, 3049, VF);
        for (int times = 0; times < 5; times++) {
                check_refused(set_idle_functions(world, PF, 0), VF, "test-elsewhere");
                check_refused(set_idle_functions(world, PF, 3), VF, "test-elsewhere");
                check_refused(restore_device(world, PF), VF, "test-elsewhere");
                check_refused(bind_device(world, PF), VF, "test-elsewhere");
                check_refused(restore_device(world, VF), VF, "test-elsewhere");
        }
        ck_assert_str_eq(set_idle_functions(world, PF, 2)[0] == '[' ? "" : "refused", ""); /* as many as there are */
        ck_assert_str_eq(driver_state(world, VF), "vfio-pci vfio-pci");
        ck_assert_str_eq(driver_state(world, PF), "nvme (null)");
        by_hand_let_go(&by_hand);
        ck_assert_str_eq(bind_device(world, PF), "");
        ck_assert_str_eq(restore_device(world, PF), "");
        ck_assert_str_eq(set_idle_functions(world, PF, 2)[0] == '[' ? "" : "refused", "");
        ck_assert_str_eq(restore_device(world, PF), "");
}
END_TEST

/* Somebody opens a device of it meanwhile, which may take as long as its reset. */
static void start_look_that_hangs(Call *call) {
        ck_assert_str_eq(bind_device(world, NIC), "");
        vfio_fail(world, "group-13", "open-hangs", "");
        call_change_driver(call, world->bus, NIC, false);
        WAIT_FOR(world, vfio_delayed(world) > 0);
}

START_TEST(look_that_hangs_holds_up_nobody) {
        Call call;

        start_look_that_hangs(&call);
        ck_assert(device_is(world, NIC, "held"));
        ck_assert_str_eq(restore_device(world, NIC), REFUSED("HeldElsewhere"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NIC }), REFUSED("HeldElsewhere"));
        grant_free(must_acquire(world->bus, EDU));
        ck_assert(!call.answered);
        ck_assert_str_eq(driver_state(world, NIC), "vfio-pci vfio-pci");
        vfio_fail(world, "group-13", "open-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, "");
        ck_assert_str_eq(driver_state(world, NIC), "e1000e (null)");
        WAIT_FOR(world, device_is(world, EDU, "available"));
        call_end(&call);
}
END_TEST

START_TEST(look_that_takes_too_long_is_not_waited_for) {
        Call call;

        start_look_that_hangs(&call);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, "");
        ck_assert_str_eq(driver_state(world, NIC), "e1000e (null)");
        vfio_fail(world, "group-13", "open-hangs", NULL);
        WAIT_FOR(world, vfio_delayed(world) == 0);
        call_end(&call);
}
END_TEST

START_TEST(device_that_goes_during_the_look_is_gone) {
        Call call;

        start_look_that_hangs(&call);
        ck_assert_int_ge(tree_remove(world->tree, NIC), 0);
        vfio_fail(world, "group-13", "open-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("DeviceGone"));
        call_end(&call);
}
END_TEST

/* The default route goes by a network card that is there by then. */
static void let_host_need(const char *address) {
        char path[128], target[128];

        snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/net/eth9/flags", address);
        snprintf(target, sizeof(target), "../../devices/pci0000:00/%s/net/eth9", address);
        ck_assert_int_ge(tree_write(world->tree, path, "0x1003\n"), 0);
        ck_assert_int_ge(tree_write(world->tree, "sys/class/net/.folder", ""), 0);
        ck_assert_int_ge(tree_link(world->tree, target, "sys/class/net/eth9"), 0);
        ck_assert_int_ge(tree_write(world->tree, "proc/self/net/route", "eth9\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"), 0);
}

START_TEST(what_the_host_begins_to_need_during_the_look_stays) {
        Call call;

        ck_assert_int_eq(set_idle_functions(world, PF, 2)[0], '[');
        ck_assert_str_eq(bind_device(world, VF), "");
        vfio_fail(world, "group-3049", "open-hangs", "");
        call_change_driver(&call, world->bus, PF, false);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        let_host_need(OTHER_VF);
        vfio_fail(world, "group-3049", "open-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("InUseByHost"));
        ck_assert_msg(strstr(call.text, "the default route goes by eth9"), "%s", call.text);
        ck_assert_str_eq(driver_state(world, VF), "vfio-pci vfio-pci");
        call_end(&call);

        ck_assert_int_ge(tree_remove_all(world->tree, "sys/class/net/eth9"), 0);
        ck_assert_str_eq(restore_device(world, PF), "");
        ck_assert_str_eq(driver_state(world, PF), "nvme (null)");
}
END_TEST

START_TEST(death_during_the_look_has_changed_nothing) {
        Call call;

        start_look_that_hangs(&call);
        world_crash_daemon(world);
        vfio_fail(world, "group-13", "open-hangs", NULL);
        ck_assert(device_is(world, NIC, "available"));
        ck_assert_str_eq(driver_state(world, NIC), "vfio-pci vfio-pci");
        ck_assert_str_eq(restore_device(world, NIC), "");
        ck_assert_str_eq(driver_state(world, NIC), "e1000e (null)");
        call_end(&call);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("elsewhere");
        TCase *tcase = suite_add_case(suite, "elsewhere", make_world, end_world);
        TCase *hasty = suite_add_case(suite, "hasty", make_world_of_little_patience, end_world);

        tcase_add_test(tcase, device_is_not_taken_from_who_has_it_open);
        tcase_add_test(tcase, companion_that_is_open_keeps_all_of_the_group);
        tcase_add_test(tcase, who_cannot_be_told_for_certain_is_not_named_and_it_is_refused_all_the_same);
        tcase_add_test(tcase, group_in_hands_that_are_nobodys_holds_up_nothing);
        tcase_add_test(tcase, virtual_function_that_is_open_keeps_its_pf);
        tcase_add_test(tcase, look_that_hangs_holds_up_nobody);
        tcase_add_test(hasty, look_that_takes_too_long_is_not_waited_for);
        tcase_add_test(tcase, device_that_goes_during_the_look_is_gone);
        tcase_add_test(tcase, what_the_host_begins_to_need_during_the_look_stays);
        tcase_add_test(tcase, death_during_the_look_has_changed_nothing);
        return suite_run(suite);
}
