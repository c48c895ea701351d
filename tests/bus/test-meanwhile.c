/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What others do to devices while their drivers are being changed, or before anybody has been told of it. */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define NIC    "0000:02:00.0" /* on e1000e, alone in group 13 */
#define FIRST  "0000:06:0d.0" /* on uio, in group 26 with */
#define SECOND "0000:06:0d.1" /* on nvme: nvme0n1 */
#define FOLDER "sys/devices/pci0000:00/0000:00:1e.0/" SECOND

#define ROOT_ONLY "23 1 254:1 / / rw - ext4 x rw\n"

static World *world;

static int build(Tree *tree) {
        char text[PATH_MAX];
        int r;

        r = tree_add_document(tree);
        if (r >= 0)
                r = tree_set_driver(tree, FIRST, "uio");
        if (r >= 0)
                r = tree_set_driver(tree, SECOND, "nvme");
        if (r >= 0)
                r = tree_write(tree, FOLDER "/nvme/nvme0/nvme0n1/dev", "259:0\n");
        if (r >= 0)
                r = tree_write(tree, "sys/class/block/.folder", "");
        if (r >= 0)
                r = tree_write(tree, "proc/1/mountinfo", ROOT_ONLY);
        snprintf(text, sizeof(text), "%s/sys/class/block/nvme0n1", tree_root(tree));
        return r < 0 ? r : symlink("../../devices/pci0000:00/0000:00:1e.0/" SECOND "/nvme/nvme0/nvme0n1", text);
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true });
}

static void make_world_of_little_patience(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nDriverTimeoutSec=1\n" });
}

static void make_world_that_binds(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nOnAcquire=yes\n" });
}

static void end_world(void) {
        ck_assert_uint_eq(count_origins(world), 0);
        world = world_stop(world);
}

/* FIRST is on its way, or has arrived, and the other one is next. */
START_TEST(what_comes_into_use_in_the_middle_is_not_taken) {
        Call call;

        vfio_fail(world, FIRST, "unbind-hangs", "");
        call_change_driver(&call, world->bus, FIRST, true);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_int_ge(tree_write(world->tree, "proc/1/mountinfo", ROOT_ONLY "40 1 259:0 / /data rw - ext4 x rw\n"), 0);
        vfio_fail(world, FIRST, "unbind-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("InUseByHost"));
        ck_assert_uint_eq(vfio_called(world, SECOND " unbind"), 0);
        ck_assert_str_eq(driver_state(world, FIRST), "uio (null)");
        ck_assert_str_eq(driver_state(world, SECOND), "nvme (null)");
        ck_assert(device_is(world, FIRST, "host") && device_is(world, SECOND, "host"));
}
END_TEST

START_TEST(what_is_taken_away_in_the_middle_is_theirs_and_the_other_is_as_it_was) {
        Call call;

        vfio_fail(world, SECOND, "unbind-hangs", "");
        call_change_driver(&call, world->bus, FIRST, true);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(driver_state(world, FIRST), "vfio-pci vfio-pci");
        ck_assert_int_ge(tree_set_driver(world->tree, FIRST, "e1000"), 0);
        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("DriverBindFailed"));
        ck_assert_str_eq(driver_state(world, SECOND), "nvme (null)");
        ck_assert_str_eq(device_property(world, FIRST, "Driver"), "e1000");
        ck_assert_str_eq(device_property(world, FIRST, "RestoreDriver"), "");
        ck_assert_str_eq(device_property(world, SECOND, "RestoreDriver"), "");
        ck_assert(device_is(world, FIRST, "host"));
}
END_TEST

/* Before udev has told of its driver */
START_TEST(nobody_is_taken_along_who_was_not_asked_about) {
        unsigned n;

        ck_assert_int_ge(tree_set_driver(world->tree, SECOND, NULL), 0);
        udev_send(world, "unbind", SECOND);
        WAIT_FOR(world, strcmp(device_property(world, SECOND, "Driver"), "") == 0);
        polkit_set(world, "SetAnswerFor", "sss", "device.address", SECOND, "no");

        ck_assert_int_ge(tree_set_driver(world->tree, SECOND, "nvme"), 0);
        n = polkit_asked(world);
        ck_assert_str_ne(_i == 0 ? bind_device(world, FIRST) : refusal_of(world->bus, &(Request) { .wants = FIRST }), "");
        ck_assert_uint_le(polkit_asked(world), n + 2);
        ck_assert_str_eq(driver_state(world, SECOND), "nvme (null)");
        ck_assert_str_eq(driver_state(world, FIRST), "uio (null)");
        ck_assert_uint_eq(vfio_called(world, " override "), 0);
        ck_assert_str_eq(_i == 0 ? bind_device(world, FIRST) : refusal_of(world->bus, &(Request) { .wants = FIRST }), DENIED);
        check_nothing_held(world);
}
END_TEST

START_TEST(override_that_somebody_else_has_set_stays) {
        ck_assert_str_eq(bind_device(world, NIC), "");
        ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/" NIC "/driver_override", "theirs\n"), 0);
        ck_assert_str_eq(restore_device(world, NIC), "");
        ck_assert_str_eq(driver_state(world, NIC), "e1000e theirs");
}
END_TEST

/* The second driver does not let go, and has made a node that is in /sys no more when it is asked who has that open. */
static void bind_in_vain(Call *call) {
        char path[PATH_MAX];

        ck_assert_int_ge(tree_write(world->tree, "sys/dev/char/.folder", ""), 0);
        snprintf(path, sizeof(path), "%s/sys/dev/char/1:7", tree_root(world->tree));
        ck_assert_int_eq(symlink("../../devices/pci0000:00/0000:00:1e.0/" SECOND "/nvme/nvme0", path), 0);
        vfio_fail(world, SECOND, "unbind-hangs", "");
        do
                call_change_driver(call, world->bus, FIRST, true);
        while (!vfio_hangs(world, &call->answered, FIRST));
        ck_assert_int_eq(unlink(path), 0);
        WAIT_FOR(world, call->answered);
        ck_assert_str_eq(call->answer, REFUSED("DriverUnbindTimeout"));
        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        WAIT_FOR(world, device_is(world, FIRST, "host"));
}

START_TEST(whoever_has_it_open_when_the_driver_does_not_let_go_is_named) {
        int node = open("/dev/full", O_RDWR | O_CLOEXEC);
        pid_t holder = world_spawn_holder(node), other = world_spawn_holder(-1);
        char text[64], wrong[64];
        Call call;

        /* the search has a limit, too: on a slow machine once more */
        for (int times = 0; times == 0 || (times < 10 && !strstr(call.text, "open in")); times++)
                bind_in_vain(&call);
        snprintf(text, sizeof(text), "process %d (sleep)", (int) holder);
        snprintf(wrong, sizeof(wrong), "process %d (sleep)", (int) other);
        ck_assert_msg(strstr(call.text, text) && !strstr(call.text, wrong), "%s", call.text);
        ck_assert_str_eq(driver_state(world, SECOND), "nvme (null)");
        world_kill(holder, SIGKILL);
        world_kill(other, SIGKILL);
        close(node);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("meanwhile");
        TCase *by_hand = suite_add_case(suite, "by-hand", make_world, end_world);
        TCase *limit = suite_add_case(suite, "limit", make_world_of_little_patience, end_world);
        TCase *for_a_lease = suite_add_case(suite, "for-a-lease", make_world_that_binds, end_world);

        tcase_add_test(by_hand, what_comes_into_use_in_the_middle_is_not_taken);
        tcase_add_test(by_hand, what_is_taken_away_in_the_middle_is_theirs_and_the_other_is_as_it_was);
        tcase_add_test(limit, whoever_has_it_open_when_the_driver_does_not_let_go_is_named);
        tcase_add_test(by_hand, override_that_somebody_else_has_set_stays);
        if (world_is_root()) {
                tcase_add_loop_test(by_hand, nobody_is_taken_along_who_was_not_asked_about, 0, 1);
                tcase_add_loop_test(for_a_lease, nobody_is_taken_along_who_was_not_asked_about, 1, 2);
        }
        return suite_run(suite);
}
