/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From host drivers to VFIO and back: as it was, all or nothing, never hanging, over deaths. */

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define NIC      "0000:02:00.0" /* on e1000e, alone in group 13 */
#define FIRST    "0000:06:0d.0" /* on uio, in group 26 with */
#define SECOND   "0000:06:0d.1" /* on e1000 */
#define NVME     "0000:03:00.0" /* on vfio-pci from the start */
#define NO_GROUP "0000:00:02.0"

#define NOTHING UINT64_C(0)

/* DriverTimeoutSec=3 */
#define LIMIT_USEC UINT64_C(3000000)

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document_on_the_host(tree);
        if (r >= 0)
                r = tree_write(tree, "sys/devices/pci0000:00/0000:00:1e.0/" SECOND "/driver_override", "e1000\n");
        if (r >= 0)
                r = tree_write(tree, "sys/devices/pci0000:00/" NIC "/power/control", "auto\n");
        return r;
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true });
}

static void make_world_of_much_patience(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nDriverTimeoutSec=600\n" });
}

static void make_world_of_little_patience(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nDriverTimeoutSec=3\n" });
}

static void end_world(void) {
        ck_assert_uint_eq(count_origins(world), 0);
        world = world_stop(world);
}

/* Driver, driver_override and power control, as /sys has them; good for eight calls. */
static const char *state(const char *address) {
        static char texts[8][256], target[PATH_MAX], path[PATH_MAX];
        static unsigned next;
        char *text = texts[next++ % 8], name[128];
        _cleanup_(freep) char *override = NULL, *power = NULL;
        ssize_t n;

        snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/driver", tree_root(world->tree), address);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        snprintf(name, sizeof(name), "sys/bus/pci/devices/%s/driver_override", address);
        override = world_read(world, name);
        snprintf(name, sizeof(name), "sys/bus/pci/devices/%s/power/control", address);
        power = world_read(world, name);
        snprintf(text, 256, "%.60s %.60s %.60s", n > 0 ? strrchr(target, '/') + 1 : "-", override, power);
        return text;
}

#define NIC_BEFORE    "e1000e (null)\n auto\n"
#define FIRST_BEFORE  "uio (null)\n on\n"
#define SECOND_BEFORE "e1000 e1000\n on\n"
#define ON_VFIO       "vfio-pci vfio-pci\n auto\n"

static void check_all_as_before(void) {
        ck_assert_str_eq(state(NIC), NIC_BEFORE);
        ck_assert_str_eq(state(FIRST), FIRST_BEFORE);
        ck_assert_str_eq(state(SECOND), SECOND_BEFORE);
}

static bool all_is_as_before(void) {
        return strcmp(state(NIC), NIC_BEFORE) == 0 && strcmp(state(FIRST), FIRST_BEFORE) == 0 && strcmp(state(SECOND), SECOND_BEFORE) == 0;
}

static const char *bind_as(sd_bus *bus, const char *address, const char *driver) {
        return ask(bus, device_path(address), VFB_INTERFACE_DEVICE, "Bind", "sa{sv}t", driver, 0, NOTHING);
}

static const char *bind_with(const char *address, const char *key, const char *value) {
        return ask(world->bus, device_path(address), VFB_INTERFACE_DEVICE, "Bind", "sa{sv}t", "", 1, key, "s", value, NOTHING);
}

START_TEST(device_goes_to_vfio_and_comes_back_as_it_was) {
        for (int times = 0; times < 10; times++) {
                ck_assert_str_eq(bind_device(world, NIC), "");
                ck_assert_str_eq(state(NIC), ON_VFIO);
                ck_assert_str_eq(device_property(world, NIC, "RestoreDriver"), "e1000e");
                ck_assert_str_eq(device_property(world, NIC, "Driver"), "vfio-pci");
                ck_assert(device_is(world, NIC, "available"));
                ck_assert_uint_eq(count_origins(world), 1);
                if (times == 0) {
                        grant_free(must_acquire(world->bus, NIC));
                        WAIT_FOR(world, device_is(world, NIC, "available"));
                }
                ck_assert_str_eq(bind_device(world, NIC), ""); /* twice is no error, and forgets nothing */
                ck_assert_str_eq(restore_device(world, NIC), "");
                check_all_as_before();
                ck_assert_str_eq(device_property(world, NIC, "RestoreDriver"), "");
                ck_assert(device_is(world, NIC, "host"));
        }
        check_nothing_held(world);
}
END_TEST

START_TEST(group_goes_and_comes_back_as_one) {
        Grant *grant;

        ck_assert_str_eq(bind_device(world, SECOND), "");
        ck_assert_str_eq(state(FIRST), ON_VFIO);
        ck_assert_str_eq(state(SECOND), ON_VFIO);
        ck_assert_str_eq(state(NIC), NIC_BEFORE);
        ck_assert_str_eq(device_property(world, FIRST, "RestoreDriver"), "uio");
        grant = must_acquire(world->bus, FIRST "," SECOND);
        ck_assert_str_eq(restore_device(world, FIRST), REFUSED("Leased"));
        ck_assert_str_eq(bind_device(world, FIRST), REFUSED("Leased"));
        ck_assert_str_eq(state(FIRST), ON_VFIO);
        grant_free(grant);
        WAIT_FOR(world, device_is(world, FIRST, "available"));
        ck_assert_str_eq(restore_device(world, FIRST), "");
        check_all_as_before();
}
END_TEST

START_TEST(failure_at_one_of_the_group_brings_all_back) {
        static const struct {
                const char *address, *fault, *value;
        } cases[] = {
                { SECOND, "probe-errno", "22 2" },  { SECOND, "unbind-errno", "16 1" }, { SECOND, "override-errno", "5 1" },
                { FIRST, "probe-errno", "22 2" },   { FIRST, "unbind-errno", "16 1" },  { FIRST, "override-errno", "5 1" },
        };

        vfio_fail(world, cases[_i].address, cases[_i].fault, cases[_i].value);
        ck_assert_str_eq(bind_device(world, FIRST), REFUSED("DriverBindFailed"));
        ck_assert_msg(strstr(ask_message(), cases[_i].address), "%s", ask_message());
        check_all_as_before();
        ck_assert_str_eq(device_property(world, FIRST, "RestoreDriver"), "");
        ck_assert_uint_eq(count_origins(world), 0);
        ck_assert(device_is(world, FIRST, "host") && device_is(world, SECOND, "host"));

        /* and then it works */
        ck_assert_str_eq(bind_device(world, FIRST), "");
        ck_assert_str_eq(restore_device(world, SECOND), "");
        check_all_as_before();
}
END_TEST

START_TEST(what_cannot_be_is_refused_and_changes_nothing) {
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(bind_with(FIRST, "companions", "refuse"), REFUSED("NotViable"));
                ck_assert_ptr_nonnull(strstr(ask_message(), SECOND));
                ck_assert_str_eq(bind_with(FIRST, "companions", "some"), REFUSED("InvalidOption"));
                ck_assert_str_eq(bind_with(FIRST, "other", "x"), REFUSED("InvalidOption"));
                ck_assert_str_eq(bind_as(world->bus, NIC, "e1000"), INVALID_ARGS);
                ck_assert_str_eq(bind_as(world->bus, NIC, "../../x"), INVALID_ARGS);
                ck_assert_str_eq(bind_device(world, NO_GROUP), REFUSED("IommuDisabled"));
                ck_assert_str_eq(restore_device(world, NIC), INVALID_ARGS);
                ck_assert_str_eq(restore_device(world, NVME), INVALID_ARGS);
                ck_assert_str_eq(bind_as(world->bus, NVME, ""), "");
                for (unsigned bit = 0; bit < 64; bit += 7) {
                        ck_assert_str_eq(ask(world->bus, device_path(NIC), VFB_INTERFACE_DEVICE, "Bind", "sa{sv}t", "", 0, UINT64_C(1) << bit), REFUSED("InvalidOption"));
                        ck_assert_str_eq(ask(world->bus, device_path(NIC), VFB_INTERFACE_DEVICE, "Restore", "t", UINT64_C(1) << bit), REFUSED("InvalidOption"));
                }
                check_all_as_before();
        }
        ck_assert_uint_eq(vfio_called(world, " override "), 0);
        ck_assert_str_eq(bind_with(FIRST, "companions", "include"), "");
        ck_assert_str_eq(restore_device(world, FIRST), "");
        check_nothing_held(world);
}
END_TEST

START_TEST(polkit_is_asked_about_each_that_would_go_along) {
        unsigned n;

        polkit_set(world, "SetAnswer", "s", "no");
        for (int times = 0; times < 5; times++) {
                n = polkit_asked(world);
                ck_assert_str_eq(bind_device(world, FIRST), DENIED);
                ck_assert_uint_ge(polkit_asked(world), n + 1);
                ck_assert_str_eq(restore_device(world, FIRST), DENIED);
                ck_assert_str_eq(bind_device(world, NO_GROUP), DENIED);
        }
        check_all_as_before();
        polkit_set(world, "SetAnswer", "s", "yes");
        n = polkit_asked(world);
        ck_assert_str_eq(bind_device(world, FIRST), "");
        ck_assert_uint_eq(polkit_asked(world), n + 2);
        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_str_eq(restore_device(world, FIRST), DENIED);
        ck_assert_str_eq(state(FIRST), ON_VFIO);
        polkit_set(world, "SetAnswer", "s", "yes");
        n = polkit_asked(world);
        ck_assert_str_eq(restore_device(world, FIRST), "");
        ck_assert_uint_eq(polkit_asked(world), n + 2);
}
END_TEST

START_TEST(driver_that_is_not_loaded_is_named) {
        char path[PATH_MAX], away[PATH_MAX];

        snprintf(path, sizeof(path), "%s/sys/bus/pci/drivers/vfio-pci", tree_root(world->tree));
        snprintf(away, sizeof(away), "%s/away", tree_root(world->tree));
        ck_assert_int_eq(rename(path, away), 0);
        ck_assert_str_eq(bind_device(world, NIC), REFUSED("DriverBindFailed"));
        ck_assert_msg(strstr(ask_message(), "modprobe vfio_pci"), "%s", ask_message());
        check_all_as_before();
        ck_assert_int_eq(rename(away, path), 0);
}
END_TEST

START_TEST(unbind_that_hangs_holds_up_nobody) {
        Call call;

        vfio_fail(world, SECOND, "unbind-hangs", "");
        call_change_driver(&call, world->bus, FIRST, true);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert(device_is(world, FIRST, "held") && device_is(world, SECOND, "held"));

        /* 100 others */
        for (int i = 0; i < 50; i++) {
                ck_assert(device_is(world, NIC, "host"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = FIRST }), REFUSED("HeldElsewhere"));
        }
        grant_free(must_acquire(world->bus, NVME));
        ck_assert_str_eq(bind_device(world, NIC), "");
        ck_assert_str_eq(restore_device(world, NIC), "");
        ck_assert_str_eq(bind_device(world, FIRST), REFUSED("HeldElsewhere"));
        ck_assert_str_eq(restore_device(world, FIRST), REFUSED("HeldElsewhere"));
        ck_assert(!call.answered);

        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, "");
        ck_assert_str_eq(restore_device(world, FIRST), "");
        check_all_as_before();
        WAIT_FOR(world, device_is(world, NVME, "available"));
        check_nothing_held(world);
        call_end(&call);
}
END_TEST

START_TEST(unbind_that_hangs_is_answered_and_undone_when_it_returns) {
        uint64_t begin;
        Call call;

        vfio_fail(world, SECOND, "unbind-hangs", "");
        do {
                begin = world_now();
                call_change_driver(&call, world->bus, FIRST, true);
        } while (!vfio_hangs(world, &call.answered, FIRST));
        WAIT_FOR(world, call.answered);
        ck_assert_uint_ge(world_now() - begin, LIMIT_USEC);
        ck_assert_str_eq(call.answer, REFUSED("DriverUnbindTimeout"));
        ck_assert_msg(strstr(call.text, SECOND) && strstr(call.text, "e1000"), "%s", call.text);
        ck_assert(device_is(world, FIRST, "held"));

        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        WAIT_FOR(world, device_is(world, FIRST, "host"));
        check_all_as_before();
        ck_assert_uint_ge(daemon_logged(world, "has come back after all"), 1);
        check_nothing_held(world);
        call_end(&call);
}
END_TEST

/* The bind has the same short limit: on a slow machine it may be late without a hang, and is undone then. */
START_TEST(restore_that_hangs_is_finished_when_it_returns) {
        const char *answer;
        Call call;

        while (strcmp(answer = bind_device(world, FIRST), REFUSED("DriverUnbindTimeout")) == 0)
                WAIT_FOR(world, device_is(world, FIRST, "host"));
        ck_assert_str_eq(answer, "");
        vfio_fail(world, SECOND, "unbind-hangs", "");
        call_change_driver(&call, world->bus, FIRST, false);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("DriverUnbindTimeout"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = FIRST }), REFUSED("HeldElsewhere"));
        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        WAIT_FOR(world, device_is(world, FIRST, "host"));
        check_all_as_before();
        call_end(&call);
}
END_TEST

START_TEST(caller_that_goes_leaves_no_half) {
        sd_bus *other = world_connect(world, world_user());
        sd_bus_message *m = NULL;

        vfio_fail(world, FIRST, "unbind-hangs", "");
        ck_assert_int_ge(sd_bus_message_new_method_call(other, &m, VFB_BUS_NAME, device_path(FIRST), VFB_INTERFACE_DEVICE, "Bind"), 0);
        ck_assert_int_ge(sd_bus_message_append(m, "sa{sv}t", "", 0, NOTHING), 0);
        ck_assert_int_ge(sd_bus_send(other, m, NULL), 0);
        sd_bus_message_unref(m);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        world_leave(world, other);
        vfio_fail(world, FIRST, "unbind-hangs", NULL);
        WAIT_FOR(world, device_is(world, FIRST, "available"));
        ck_assert_str_eq(state(SECOND), ON_VFIO);
        ck_assert_str_eq(restore_device(world, FIRST), "");
        check_all_as_before();
}
END_TEST

START_TEST(death_in_the_middle_of_a_bind_brings_all_back) {
        static const char *const at[] = { FIRST, SECOND };
        Call call;

        for (int times = 0; times < 4; times++) {
                vfio_fail(world, at[times % 2], "unbind-hangs", "");
                vfio_forget(world);
                call_change_driver(&call, world->bus, FIRST, true);
                WAIT_FOR(world, vfio_delayed(world) > 0);
                ck_assert_uint_eq(count_origins(world), 2);
                world_end_daemon(world);
                vfio_fail(world, at[times % 2], "unbind-hangs", NULL);
                world_start_daemon(world);
                WAIT_FOR(world, all_is_as_before() && device_is(world, FIRST, "host"));
                ck_assert_uint_eq(count_origins(world), 0);
                WAIT_FOR(world, call.answered);
                ck_assert_str_ne(call.answer, "");
                call_end(&call);
        }
}
END_TEST

START_TEST(sudden_death_in_the_middle_of_a_bind_brings_all_back) {
        Call call;

        vfio_fail(world, SECOND, "unbind-hangs", "");
        call_change_driver(&call, world->bus, FIRST, true);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        world_crash_daemon(world);
        vfio_fail(world, SECOND, "unbind-hangs", NULL);
        WAIT_FOR(world, all_is_as_before() && device_is(world, FIRST, "host"));
        call_end(&call);
}
END_TEST

START_TEST(death_in_the_middle_of_a_restore_is_a_restore) {
        Call call;

        ck_assert_str_eq(bind_device(world, FIRST), "");
        vfio_fail(world, FIRST, "unbind-hangs", "");
        call_change_driver(&call, world->bus, FIRST, false);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(state(SECOND), SECOND_BEFORE);
        world_crash_daemon(world);
        ck_assert(!device_is(world, FIRST, "available"));
        vfio_fail(world, FIRST, "unbind-hangs", NULL);
        WAIT_FOR(world, all_is_as_before() && device_is(world, FIRST, "host"));
        call_end(&call);
}
END_TEST

START_TEST(what_was_before_outlives_the_daemon) {
        ck_assert_str_eq(bind_device(world, FIRST), "");
        ck_assert_str_eq(bind_device(world, NIC), "");
        for (int times = 0; times < 3; times++) {
                world_crash_daemon(world);
                ck_assert(device_is(world, FIRST, "available") && device_is(world, NIC, "available"));
                ck_assert_str_eq(device_property(world, SECOND, "RestoreDriver"), "e1000");
        }
        ck_assert_str_eq(restore_device(world, SECOND), "");
        ck_assert_str_eq(restore_device(world, NIC), "");
        check_all_as_before();
}
END_TEST

START_TEST(restore_that_fails_can_be_tried_again) {
        ck_assert_str_eq(bind_device(world, FIRST), "");
        vfio_fail(world, SECOND, "probe-errno", "12");
        for (int times = 0; times < 2; times++) {
                ck_assert_str_eq(restore_device(world, FIRST), times == 0 ? REFUSED("DriverBindFailed") : REFUSED("DriverBindFailed"));
                ck_assert_ptr_nonnull(strstr(ask_message(), SECOND));
                ck_assert_str_eq(state(FIRST), FIRST_BEFORE);
                ck_assert_str_eq(device_property(world, SECOND, "RestoreDriver"), "e1000");
        }
        vfio_fail(world, SECOND, "probe-errno", NULL);
        ck_assert_str_eq(restore_device(world, SECOND), "");
        check_all_as_before();
}
END_TEST

START_TEST(device_that_somebody_else_has_taken_is_theirs) {
        ck_assert_str_eq(bind_device(world, NIC), "");
        ck_assert_int_ge(tree_set_driver(world->tree, NIC, "e1000e"), 0);
        udev_send(world, "bind", NIC);
        WAIT_FOR(world, device_is(world, NIC, "host"));
        ck_assert_str_eq(device_property(world, NIC, "RestoreDriver"), "");
        ck_assert_str_eq(restore_device(world, NIC), INVALID_ARGS);
}
END_TEST

/* The record is there before the first write to /sys, or there is none */
START_TEST(what_cannot_be_written_down_is_not_done) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/run/device-" SECOND ".new", tree_root(world->tree));
        ck_assert_int_eq(mkdir(path, 0700), 0);
        ck_assert_str_ne(bind_device(world, FIRST), "");
        ck_assert_uint_eq(vfio_called(world, " override "), 0);
        check_all_as_before();
        ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(random_sequences_leave_everything_as_it_was) {
        static const char *const addresses[] = { NIC, FIRST, SECOND };

        srand(1);
        for (int times = 0; times < 40; times++) {
                const char *address = addresses[rand() % 3];

                switch (rand() % 5) {
                case 0:
                case 1:
                        bind_device(world, address);
                        break;
                case 2:
                        restore_device(world, address);
                        break;
                case 3:
                        vfio_fail(world, addresses[rand() % 3], "probe-errno", "22 2");
                        bind_device(world, address);
                        break;
                case 4:
                        world_crash_daemon(world);
                        break;
                }
        }
        for (unsigned i = 0; i < 3; i++) {
                char name[128];

                snprintf(name, sizeof(name), "%s/fail/%s/probe-errno", tree_root(world->tree), addresses[i]);
                (void) unlink(name);
        }
        WAIT_FOR(world, !device_is(world, NIC, "held") && !device_is(world, FIRST, "held"));
        for (unsigned i = 0; i < 3; i++)
                restore_device(world, addresses[i]);
        check_all_as_before();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("bind");
        TCase *tcase = suite_add_case(suite, "bind", make_world, end_world);
        TCase *patient = suite_add_case(suite, "patient", make_world_of_much_patience, end_world);
        TCase *limit = suite_add_case(suite, "limit", make_world_of_little_patience, end_world);

        tcase_add_test(patient, unbind_that_hangs_holds_up_nobody);
        tcase_add_test(limit, unbind_that_hangs_is_answered_and_undone_when_it_returns);
        tcase_add_test(limit, restore_that_hangs_is_finished_when_it_returns);
        tcase_add_test(tcase, device_goes_to_vfio_and_comes_back_as_it_was);
        tcase_add_test(tcase, group_goes_and_comes_back_as_one);
        tcase_add_loop_test(tcase, failure_at_one_of_the_group_brings_all_back, 0, 6);
        tcase_add_test(tcase, what_cannot_be_is_refused_and_changes_nothing);
        tcase_add_test(tcase, driver_that_is_not_loaded_is_named);
        tcase_add_test(tcase, caller_that_goes_leaves_no_half);
        tcase_add_test(tcase, death_in_the_middle_of_a_bind_brings_all_back);
        tcase_add_test(tcase, sudden_death_in_the_middle_of_a_bind_brings_all_back);
        tcase_add_test(tcase, death_in_the_middle_of_a_restore_is_a_restore);
        tcase_add_test(tcase, what_was_before_outlives_the_daemon);
        tcase_add_test(tcase, restore_that_fails_can_be_tried_again);
        tcase_add_test(tcase, what_cannot_be_written_down_is_not_done);
        tcase_add_test(tcase, random_sequences_leave_everything_as_it_was);
        if (world_is_root()) {
                tcase_add_test(tcase, polkit_is_asked_about_each_that_would_go_along);
                tcase_add_test(tcase, device_that_somebody_else_has_taken_is_theirs);
        }
        return suite_run(suite);
}
