/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Release hooks: what a device has to pass between its reset and the next lease. */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME   "0000:03:00.0"
#define EDU    "0000:01:00.0"
#define SHARED "0000:06:0d.0"
#define FOLDER "etc/vfio-broker/release.d/"
#define VENDOR "usr/lib/vfio-broker/release.d/"
#define FORMAT "/usr/lib/vfio-broker/release.d/format"
#define SECOND "/etc/vfio-broker/release.d/second"

#define EXITED 1 /* CLD_EXITED and CLD_KILLED */
#define KILLED 2

static World *world;

static void write_program(Tree *tree, const char *name) {
        char path[PATH_MAX];

        ck_assert_int_ge(tree_write(tree, &name[1], "#!/bin/false\n"), 0);
        snprintf(path, sizeof(path), "%s%s", tree_root(tree), name);
        ck_assert_int_eq(chmod(path, 0755), 0);
}

/* One for NVMe of the vendor, one after it of the administrator */
static int build(Tree *tree) {
        write_program(tree, FORMAT);
        write_program(tree, SECOND);
        ck_assert_int_ge(tree_write(tree, VENDOR "50-format.hook",
                                    "[Hook]\nMatch=class=nvme\nExec=" FORMAT "\nTimeoutSec=7\nCapabilities=CAP_SYS_ADMIN\n"), 0);
        ck_assert_int_ge(tree_write(tree, FOLDER "60-second.hook", "[Hook]\nMatch=class=nvme\nExec=" SECOND "\n"), 0);
        return tree_add_document(tree);
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true });
        world_start_systemd(world);
}

static int build_wrong(Tree *tree) {
        int r = build(tree);

        ck_assert_int_ge(tree_write(tree, FOLDER "70-wrong.hook", "[Hook]\nMatch=class=nvme\nExe=" SECOND "\n"), 0);
        ck_assert_int_ge(tree_write(tree, FOLDER "80-unknown.hook", "[Hook]\nMatch=group=twelve\nExec=" SECOND "\n"), 0);
        return r;
}

static void make_wrong_world(void) {
        world_start(&world, &(WorldSpec) { .build = build_wrong, .keep = true });
        world_start_systemd(world);
}

static void end_world(void) {
        world = world_stop(world);
}

static void hooks_set(const char *method, const char *types, ...) {
        va_list arguments;
        int r;

        va_start(arguments, types);
        r = sd_bus_call_methodv(world->bus, "org.freedesktop.systemd1", "/test", "test.Hooks", method, NULL, NULL, types,
                                arguments);
        va_end(arguments);
        ck_assert_int_ge(r, 0);
}

/* "started running referenced" */
static const char *counts(void) {
        return ask_at(world->bus, "org.freedesktop.systemd1", "/test", "test.Hooks", "Count", "");
}

static const char *started(void) {
        return ask_at(world->bus, "org.freedesktop.systemd1", "/test", "test.Hooks", "GetStarted", "");
}

static void use(const char *wants) {
        world_forget_signals(world);
        grant_free(must_acquire(world->bus, wants));
}

static void check_quarantined(const char *address, const char *why) {
        WAIT_FOR(world, world_signals(world, VFB_PATH " LeaseRemoved ") > 0);
        for (int times = 0; times < 3; times++) {
                ck_assert_str_eq(device_property(world, address, "Availability"), "quarantined");
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = address }), REFUSED("Quarantined"));
                ck_assert_msg(strstr(ask_message(), why), "%s", ask_message());
        }
        check_nothing_held(world);
}

static void unquarantine(const char *address) {
        ck_assert_str_eq(ask(world->bus, device_path(address), VFB_INTERFACE_DEVICE, "Unquarantine", "t", UINT64_C(0)), "");
        ck_assert(is_free(world, address));
}

START_TEST(device_is_free_after_all_hooks_one_after_the_other) {
        Grant *grant = must_acquire(world->bus, NVME);
        const char *text, *second;
        char lease[128], id[64], expected[256];

        snprintf(lease, sizeof(lease), "%s", grant->lease);
        snprintf(id, sizeof(id), "%s", ask_property(world->bus, lease, VFB_INTERFACE_LEASE, "Id"));
        vfio_forget(world);
        grant_free(grant);
        for (int n = 1; n <= 2; n++) {
                snprintf(expected, sizeof(expected), "%d 1 1", n);
                WAIT_FOR(world, strcmp(counts(), expected) == 0);
                ck_assert_uint_eq(vfio_called(world, NVME " open 0"), 1); /* the gate comes first */
                for (int times = 0; times < 20; times++) {
                        ck_assert_str_eq(lease_state(world->bus, lease), "cleaning");
                        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
                }
                ck_assert_uint_eq(count_fds(world->daemon_pid, "/fake/group-"), 0); /* for the hook to open */
                ck_assert_str_eq(counts(), expected);
                hooks_set("EndAll", "ssii", "done", "success", EXITED, 0);
        }
        WAIT_FOR(world, is_free(world, NVME));
        WAIT_FOR(world, strcmp(counts(), "2 0 0") == 0);

        text = started();
        snprintf(expected, sizeof(expected), "vfio-broker-hook-%s.service:", id);
        ck_assert_ptr_nonnull(strstr(text, expected));
        ck_assert_ptr_nonnull(strstr(text, "ExecStart=" FORMAT "," FORMAT "," NVME ",0;"));
        ck_assert_ptr_nonnull(strstr(text, "TimeoutStartUSec=7000000;"));
        ck_assert_ptr_nonnull(strstr(text, "CapabilityBoundingSet=2097152;"));
        snprintf(expected, sizeof(expected), "Environment=VFIO_BROKER_LEASE=%s,VFIO_BROKER_DEVICE=" NVME ",VFIO_BROKER_GROUP=14,"
                 "VFIO_BROKER_UID=%u,VFIO_BROKER_RESET=flr;", id, (unsigned) world_user());
        ck_assert_msg(strstr(text, expected), "%s: %s", expected, text);
        snprintf(expected, sizeof(expected), "LogExtraFields=VFIO_BROKER_LEASE=%s,VFIO_BROKER_DEVICE=" NVME ";", id);
        ck_assert_ptr_nonnull(strstr(text, expected));
        second = strstr(text, "ExecStart=" SECOND);
        ck_assert(second && second > strstr(text, "ExecStart=" FORMAT));
        ck_assert_ptr_nonnull(strstr(second, "CapabilityBoundingSet=0;") ?: strstr(text, "CapabilityBoundingSet=0;"));
        ck_assert_ptr_nonnull(strstr(text, "TimeoutStartUSec=60000000;"));
        ck_assert_ptr_nonnull(strstr(text, "ProtectSystem=strict;"));
        ck_assert_uint_eq(daemon_logged(world, "Release hook 50-format runs on " NVME), 1);
        ck_assert_uint_eq(daemon_logged(world, "Release hook 60-second runs on " NVME), 1);
        check_nothing_held(world);
}
END_TEST

START_TEST(device_without_hooks_does_not_wait_for_those_of_others) {
        use(NVME "," EDU);
        WAIT_FOR(world, strcmp(counts(), "1 1 1") == 0); /* of one lease: they end together */
        ck_assert(!is_free(world, EDU));
        use(SHARED);
        WAIT_FOR(world, is_free(world, SHARED));
        hooks_set("SetEnd", "ssii", "done", "success", EXITED, 0);
        hooks_set("EndAll", "ssii", "done", "success", EXITED, 0);
        WAIT_FOR(world, is_free(world, NVME) && is_free(world, EDU));
        WAIT_FOR(world, strcmp(counts(), "2 0 0") == 0);
        for (int times = 0; times < 10; times++) {
                use(NVME);
                WAIT_FOR(world, is_free(world, NVME));
        }
        WAIT_FOR(world, strcmp(counts(), "22 0 0") == 0);
}
END_TEST

static const struct {
        const char *job, *result;
        int code, status;
        const char *why;
} failures[] = {
        { "failed", "exit-code", EXITED, 3, "50-format failed: it exited with status 3" },
        { "failed", "timeout", KILLED, SIGTERM, "took longer than 7 s" },
        { "failed", "signal", KILLED, SIGSEGV, "signal 11 has ended it" },
        { "failed", "resources", 0, 0, "systemd did not run it" },
        { "canceled", "success", 0, 0, "systemd did not run it: canceled" },
        { "done", "success", 0, 0, "systemd did not run it" }, /* a condition did not hold */
        { "done", "exit-code", EXITED, 1, "exited with status 1" },
};

START_TEST(failure_quarantines_until_an_administrator_says_otherwise) {
        const char *why = failures[_i].why;

        hooks_set("SetEnd", "ssii", failures[_i].job, failures[_i].result, failures[_i].code, failures[_i].status);
        use(NVME "," EDU);
        check_quarantined(NVME, why);
        ck_assert(is_free(world, EDU));
        ck_assert_uint_eq(world_signals(world, " LeaseRemoved "), 1);
        ck_assert_uint_ge(world_signals(world, " failed"), 1);
        WAIT_FOR(world, strcmp(counts(), "1 0 0") == 0); /* the second has not been tried */
        ck_assert_uint_eq(daemon_logged(world, "Release hook 50-format has not cleaned " NVME), 1);

        world_crash_daemon(world);
        ck_assert_str_eq(device_property(world, NVME, "Availability"), "quarantined");
        unquarantine(NVME);
        hooks_set("SetEnd", "ssii", "done", "success", EXITED, 0);
        use(NVME);
        WAIT_FOR(world, is_free(world, NVME));
        WAIT_FOR(world, strcmp(counts(), "3 0 0") == 0);
}
END_TEST

START_TEST(failure_of_the_last_is_one_as_well) {
        use(NVME);
        WAIT_FOR(world, strcmp(counts(), "1 1 1") == 0);
        hooks_set("EndAll", "ssii", "done", "success", EXITED, 0);
        WAIT_FOR(world, strcmp(counts(), "2 1 1") == 0);
        hooks_set("EndAll", "ssii", "failed", "exit-code", EXITED, 1);
        check_quarantined(NVME, "60-second failed");
}
END_TEST

START_TEST(without_systemd_the_device_stays) {
        if (_i == 0)
                world_end_systemd(world);
        else
                hooks_set("SetRefusal", "s", "org.freedesktop.DBus.Error.AccessDenied");
        use(NVME);
        check_quarantined(NVME, "systemd does not run it");
        if (_i == 0)
                world_start_systemd(world);
        else
                ck_assert_str_eq(counts(), "0 0 0");
}
END_TEST

/* The first one works at start, so that nothing is wrong before. */
START_TEST(program_is_looked_at_before_each_run) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s%s", tree_root(world->tree), FORMAT);
        ck_assert_uint_eq(daemon_logged(world, "cannot run"), 0);
        if (_i == 0)
                ck_assert_int_eq(chmod(path, 0777), 0);
        else if (_i == 1)
                ck_assert_int_eq(chmod(path, 0644), 0);
        else if (_i == 2)
                ck_assert_int_eq(chown(path, USER, USER), 0);
        else
                ck_assert_int_eq(unlink(path), 0);
        use(NVME);
        check_quarantined(NVME, FORMAT);
        ck_assert_str_eq(counts(), "0 0 0");
}
END_TEST

START_TEST(wrong_description_is_not_passed_over) {
        hooks_set("SetEnd", "ssii", "done", "success", EXITED, 0);
        ck_assert_uint_eq(daemon_logged(world, "70-wrong.hook:3: unknown key Exe in section [Hook]"), 1);
        ck_assert_uint_eq(daemon_logged(world, "80-unknown.hook:2: Match=group=twelve is not one selector"), 1);
        ck_assert_uint_eq(daemon_logged(world, "every device stays in quarantine"), 1);
        use(NVME);
        check_quarantined(NVME, "70-wrong.hook:3");
        WAIT_FOR(world, strcmp(counts(), "2 0 0") == 0); /* those before it have run */
        use(EDU);
        check_quarantined(EDU, "80-unknown.hook:2");
}
END_TEST

START_TEST(daemon_that_dies_meanwhile_lets_them_run_again) {
        use(NVME);
        WAIT_FOR(world, strcmp(counts(), "1 1 1") == 0);
        for (int times = 0; times < 2; times++) {
                world_crash_daemon(world);
                ck_assert(!is_free(world, NVME));
                ck_assert_str_ne(refusal_of(world->bus, &(Request) { .wants = NVME }), "");
        }
        /* The old one still runs, and the new daemon's waits for it. */
        WAIT_FOR(world, vfio_resets(world, NVME) >= 3);
        WAIT_FOR(world, count_children(world->daemon_pid) == 0);
        ck_assert_str_eq(counts(), "1 1 1");
        hooks_set("EndAll", "ssii", "done", "success", EXITED, 0);
        WAIT_FOR(world, strncmp(counts(), "2 1", 3) == 0);
        ck_assert(!is_free(world, NVME));
        hooks_set("EndAll", "ssii", "done", "success", EXITED, 0);
        WAIT_FOR(world, strncmp(counts(), "3 1", 3) == 0);
        hooks_set("EndAll", "ssii", "done", "success", EXITED, 0);
        WAIT_FOR(world, is_free(world, NVME));
        ck_assert_uint_eq(world_signals(world, "quarantine"), 0);
}
END_TEST

/* A hook may give the device to its own driver. */
START_TEST(device_may_change_its_driver_while_its_hooks_run) {
        use(NVME);
        WAIT_FOR(world, strcmp(counts(), "1 1 1") == 0);
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "nvme"), 0);
        udev_send(world, "bind", NVME);
        WAIT_FOR(world, strcmp(device_property(world, NVME, "Driver"), "nvme") == 0);
        ck_assert_uint_eq(daemon_logged(world, "has left lease"), 0);
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "vfio-pci"), 0);
        udev_send(world, "bind", NVME);
        WAIT_FOR(world, strcmp(device_property(world, NVME, "Driver"), "vfio-pci") == 0);
        ck_assert(!is_free(world, NVME));
        hooks_set("SetEnd", "ssii", "done", "success", EXITED, 0);
        hooks_set("EndAll", "ssii", "done", "success", EXITED, 0);
        WAIT_FOR(world, is_free(world, NVME));
}
END_TEST

START_TEST(daemon_that_finds_another_driver_doubts_the_device) {
        use(NVME);
        WAIT_FOR(world, strcmp(counts(), "1 1 1") == 0);
        world_end_daemon(world);
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "nvme"), 0);
        world_start_daemon(world);
        WAIT_FOR(world, strcmp(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "0") == 0);
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "vfio-pci"), 0);
        udev_send(world, "bind", NVME);
        WAIT_FOR(world, strcmp(device_property(world, NVME, "Driver"), "vfio-pci") == 0);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Quarantined"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "had not ended"));
        unquarantine(NVME);
}
END_TEST

START_TEST(device_that_leaves_a_lease_without_its_hooks_is_quarantined) {
        Grant *grant = must_acquire(world->bus, NVME);

        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "nvme"), 0);
        udev_send(world, "bind", NVME);
        grant_close_fds(grant);
        WAIT_FOR(world, world_signals(world, VFB_PATH " LeaseRemoved ") > 0);
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "vfio-pci"), 0);
        udev_send(world, "bind", NVME);
        WAIT_FOR(world, strcmp(device_property(world, NVME, "Driver"), "vfio-pci") == 0);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Quarantined"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "before its release hooks could run"));
        ck_assert_str_eq(counts(), "0 0 0");
        grant_free(grant);
}
END_TEST

START_TEST(what_is_put_aside_or_not_clean_is_not_touched) {
        Grant *grant = must_acquire(world->bus, NVME);

        if (_i == 0)
                ck_assert_str_eq(ask(world->bus, device_path(NVME), VFB_INTERFACE_DEVICE, "Quarantine", "st", "evidence", UINT64_C(0)), "");
        else
                vfio_fail(world, NVME, "reset-fails", "");
        world_forget_signals(world);
        grant_free(grant);
        check_quarantined(NVME, _i == 0 ? "evidence" : "its reset after the last lease failed");
        ck_assert_str_eq(counts(), "0 0 0");
}
END_TEST

START_TEST(unplugged_device_needs_no_hooks_any_more) {
        use(NVME);
        WAIT_FOR(world, strcmp(counts(), "1 1 1") == 0);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        udev_send(world, "remove", NVME);
        hooks_set("EndAll", "ssii", "failed", "exit-code", EXITED, 1);
        WAIT_FOR(world, strcmp(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "0") == 0);
        WAIT_FOR(world, strcmp(counts(), "1 0 0") == 0);
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("hooks");
        TCase *hooks = suite_add_case(suite, "hooks", make_world, end_world);
        TCase *wrong = suite_add_case(suite, "wrong", make_wrong_world, end_world);

        tcase_add_test(hooks, device_is_free_after_all_hooks_one_after_the_other);
        tcase_add_test(hooks, device_without_hooks_does_not_wait_for_those_of_others);
        tcase_add_loop_test(hooks, failure_quarantines_until_an_administrator_says_otherwise, 0,
                            sizeof(failures) / sizeof(*failures));
        tcase_add_test(hooks, failure_of_the_last_is_one_as_well);
        tcase_add_loop_test(hooks, without_systemd_the_device_stays, 0, 2);
        tcase_add_test(hooks, daemon_that_dies_meanwhile_lets_them_run_again);
        tcase_add_loop_test(hooks, what_is_put_aside_or_not_clean_is_not_touched, 0, 2);
        tcase_add_test(wrong, wrong_description_is_not_passed_over);
        if (world_is_root()) {
                tcase_add_loop_test(hooks, program_is_looked_at_before_each_run, 0, 4);
                tcase_add_test(hooks, device_may_change_its_driver_while_its_hooks_run);
                tcase_add_test(hooks, daemon_that_finds_another_driver_doubts_the_device);
                tcase_add_test(hooks, device_that_leaves_a_lease_without_its_hooks_is_quarantined);
                tcase_add_test(hooks, unplugged_device_needs_no_hooks_any_more);
        }
        return suite_run(suite);
}
