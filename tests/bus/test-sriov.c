/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions: made and removed as one, never under somebody's hands, and as many as there were. */

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define PF "0000:03:00.0" /* on nvme */
#define OTHER_PF "0000:01:00.0" /* on vfio-pci */
#define NO_PF "0000:02:00.0"
#define TOTAL 64

#define NOTHING UINT64_C(0)

/* DriverTimeoutSec=3 */
#define LIMIT_USEC UINT64_C(3000000)

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document_with_functions(tree, TOTAL);
        return r < 0 ? r : tree_add_sriov(tree, OTHER_PF, 7);
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nOnAcquire=yes\n" });
}

static void make_world_of_much_patience(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nOnAcquire=yes\nDriverTimeoutSec=600\n" });
}

static void make_world_of_little_patience(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nOnAcquire=yes\nDriverTimeoutSec=3\n" });
}

static void end_world(void) {
        world = world_stop(world);
}

/* The address of a VF; good for eight calls. */
static const char *vf(unsigned index) {
        static char texts[8][32];
        static unsigned next;
        char *text = texts[next++ % 8];

        snprintf(text, 32, "0000:03:%02x.%u", (index + 1) / 8, (index + 1) % 8);
        return text;
}

static const char *set_with(const char *address, unsigned count, const char *key, const char *type, int value) {
        return ask(world->bus, device_path(address), VFB_INTERFACE_SRIOV, "SetVirtualFunctions", "ua{sv}t", count, 1, key, type, value, NOTHING);
}

static const char *property(const char *address, const char *interface, const char *name) {
        return ask_property(world->bus, device_path(address), interface, name);
}

static unsigned current(void) {
        return (unsigned) strtoul(property(PF, VFB_INTERFACE_SRIOV, "Current"), NULL, 10);
}

static const char *autoprobe(void) {
        _cleanup_(freep) char *text = world_read(world, "sys/bus/pci/devices/" PF "/sriov_drivers_autoprobe");
        return *text == '1' ? "1" : "0";
}

/* The kernel's word, the broker's and the journal's */
static void check_functions(unsigned count) {
        _cleanup_(freep) char *text = world_read(world, "sys/bus/pci/devices/" PF "/sriov_numvfs");

        ck_assert_uint_eq(strtoul(text, NULL, 10), count);
        ck_assert_uint_eq(current(), count);
        for (unsigned i = 0; i < 8; i++)
                ck_assert_int_eq(property(vf(i), VFB_INTERFACE_DEVICE, "Id")[0] != '!', i < count);
}

static bool has_record(const char *address) {
        _cleanup_(freep) char *name = NULL, *text = NULL;
        ck_assert_int_gt(asprintf(&name, "run/device-%s", address), 0);
        text = world_read(world, name);
        return strstr(text, "\"origin\"") != NULL;
}

START_TEST(functions_are_made_named_and_handed_out) {
        const char *answer = set_idle_functions(world, PF, 4);

        for (unsigned i = 0; i < 4; i++) {
                char text[128];

                ck_assert_msg(strstr(answer, device_path(vf(i))) != NULL, "%s", answer);
                ck_assert_str_eq(property(vf(i), VFB_INTERFACE_PCI, "PhysicalFunction"), device_path(PF));
                snprintf(text, sizeof(text), "%u", i);
                ck_assert_str_eq(property(vf(i), VFB_INTERFACE_PCI, "VirtualFunctionIndex"), text);
                ck_assert_str_eq(property(vf(i), VFB_INTERFACE_DEVICE, "Driver"), "");
        }
        check_functions(4);
        ck_assert_str_eq(property(PF, VFB_INTERFACE_PCI, "VirtualFunctionIndex"), "-1");
        ck_assert_str_eq(property(PF, VFB_INTERFACE_SRIOV, "Total"), "64");
        ck_assert(has_record(PF));
        ck_assert_str_eq(property(PF, VFB_INTERFACE_DEVICE, "RestoreDriver"), "");
        ck_assert_str_eq(autoprobe(), "0");
        ck_assert_uint_eq(world_signals(world, "DeviceNew"), 4);

        ck_assert_str_eq(bind_device(world, vf(2)), "");
        ck_assert(device_is(world, vf(2), "available") && device_is(world, vf(1), "host"));
        grant_free(must_acquire(world->bus, vf(2)));
        grant_free(must_acquire(world->bus, vf(3)));
        WAIT_FOR(world, device_is(world, vf(2), "available") && device_is(world, vf(3), "host"));

        ck_assert_str_eq(set_with(PF, 0, "autoprobe", "b", 1), "[]");
        check_functions(0);
        ck_assert_uint_eq(world_signals(world, "DeviceRemoved"), 4);
        ck_assert(!has_record(PF));
        ck_assert_str_eq(autoprobe(), "1");
        check_nothing_held(world);
}
END_TEST

START_TEST(only_a_device_that_may_have_functions_has_the_facet) {
        ck_assert_str_eq(set_functions(world, NO_PF, 1), "!org.freedesktop.DBus.Error.UnknownMethod");
        ck_assert_str_eq(set_idle_functions(world, PF, 1)[0] == '[' ? "made" : "", "made");
        ck_assert_str_eq(set_functions(world, vf(0), 1), "!org.freedesktop.DBus.Error.UnknownMethod");
        ck_assert_str_eq(set_functions(world, PF, 0), "[]");
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_and_changes_nothing) {
        static const char *const hostile[] = { "", "-1\n", "x\n", "99999999999999999999\n", "65536\n" };

        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(set_functions(world, PF, TOTAL + 1), INVALID_ARGS);
                ck_assert_msg(strstr(ask_message(), "64") && strstr(ask_message(), PF), "%s", ask_message());
                ck_assert_str_eq(set_functions(world, PF, UINT32_MAX), INVALID_ARGS);
                ck_assert_str_eq(set_with(PF, 1, "autoprobe", "u", 1), REFUSED("InvalidOption"));
                ck_assert_str_eq(set_with(PF, 1, "per-vf", "b", 1), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, device_path(PF), VFB_INTERFACE_SRIOV, "SetVirtualFunctions", "ua{sv}t", 1, 2, "autoprobe", "b",
                                     1, "autoprobe", "b", 1, NOTHING), REFUSED("InvalidOption"));
                for (unsigned bit = 0; bit < 64; bit++)
                        ck_assert_str_eq(ask(world->bus, device_path(PF), VFB_INTERFACE_SRIOV, "SetVirtualFunctions", "ua{sv}t", 1, 0, UINT64_C(1) << bit),
                                         REFUSED("InvalidOption"));
        }
        for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
                ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/" PF "/sriov_totalvfs", hostile[i]), 0);
                ck_assert_str_eq(property(PF, VFB_INTERFACE_SRIOV, "Total"), "0");
                ck_assert_str_eq(set_functions(world, PF, 1), REFUSED("VfCount"));
        }
        ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/" PF "/sriov_totalvfs", "64\n"), 0);
        check_functions(0);
        ck_assert_str_eq(autoprobe(), "1");
        ck_assert_uint_eq(vfio_called(world, "numvfs"), 0);
        ck_assert_str_eq(set_functions(world, PF, 0), "[]"); /* as it is */
        ck_assert_uint_eq(vfio_called(world, "numvfs"), 0);
        ck_assert(!has_record(PF));
        check_nothing_held(world);
}
END_TEST

START_TEST(polkit_has_its_own_word_about_it) {
        polkit_set(world, "SetAnswer", "s", "no");
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(set_functions(world, PF, 2), DENIED);
                ck_assert_str_eq(set_functions(world, PF, TOTAL + 1), DENIED);
        }
        polkit_set(world, "SetAnswer", "s", "yes");
        check_functions(0);
        ck_assert_uint_eq(vfio_called(world, "numvfs"), 0);
}
END_TEST

START_TEST(function_that_is_leased_stays) {
        Grant *grant;

        set_idle_functions(world, PF, 4);
        grant = must_acquire(world->bus, vf(1));
        for (int times = 0; times < 5; times++) {
                static const unsigned counts[] = { 0, 1, 3, 5, TOTAL };

                ck_assert_str_eq(set_functions(world, PF, counts[times]), REFUSED("Leased"));
                ck_assert_msg(strstr(ask_message(), vf(1)) && strstr(ask_message(), "virtual function 1 of " PF) && strstr(ask_message(), "l-"),
                              "%s", ask_message());
                ck_assert_str_eq(bind_device(world, PF), REFUSED("Leased"));
                ck_assert_msg(strstr(ask_message(), vf(1)) != NULL, "%s", ask_message());
                ck_assert_str_eq(restore_device(world, PF), REFUSED("Leased"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = PF }), REFUSED("Leased"));
        }
        check_functions(4);
        ck_assert_str_eq(property(PF, VFB_INTERFACE_DEVICE, "Driver"), "nvme");
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_str_ne(set_functions(world, PF, 4), REFUSED("Leased")); /* nothing changes */
        grant_free(grant);
        WAIT_FOR(world, device_is(world, vf(1), "host"));
        ck_assert_str_eq(restore_device(world, PF), "");
        check_functions(0);
        ck_assert_str_eq(autoprobe(), "1");
        ck_assert(!has_record(PF));
}
END_TEST

START_TEST(function_in_use_by_the_host_stays) {
        ck_assert_str_eq(set_functions(world, PF, 2)[0] == '[' ? "made" : "", "made"); /* offered to nvme */
        ck_assert_str_eq(property(vf(1), VFB_INTERFACE_DEVICE, "Driver"), "nvme");
        ck_assert_msg(strstr(property(PF, VFB_INTERFACE_DEVICE, "HostUses"), vf(1)) != NULL, "%s", property(PF, VFB_INTERFACE_DEVICE, "HostUses"));
        ck_assert_str_eq(bind_device(world, PF), REFUSED("InUseByHost"));

        ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/0000:03:00.2/boot_vga", "1\n"), 0);
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(set_functions(world, PF, 0), REFUSED("InUseByHost"));
                ck_assert_msg(strstr(ask_message(), vf(1)) != NULL, "%s", ask_message());
                ck_assert_str_eq(restore_device(world, PF), REFUSED("InUseByHost"));
        }
        check_functions(2);
        ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/0000:03:00.2/boot_vga", "0\n"), 0);
        ck_assert_str_eq(set_functions(world, PF, 0), "[]");
}
END_TEST

static const struct {
        const char *fault, *value;
} failures[] = {
        { "numvfs-errno", "12 1" }, /* at the removal */
        { "fewer-functions", "2" }, /* than asked for, at each creation of more */
};

START_TEST(failure_leaves_as_many_as_there_were) {
        char name[PATH_MAX];

        vfio_fail(world, PF, failures[_i].fault, failures[_i].value);
        ck_assert_str_eq(set_idle_functions(world, PF, 3), REFUSED("VfCount"));
        check_functions(0);
        ck_assert_str_eq(autoprobe(), "1");
        ck_assert(!has_record(PF));

        snprintf(name, sizeof(name), "%s/fail/" PF "/%s", tree_root(world->tree), failures[_i].fault);
        (void) unlink(name);
        ck_assert_int_eq(set_idle_functions(world, PF, 2)[0], '[');
        vfio_fail(world, PF, failures[_i].fault, failures[_i].value);
        ck_assert_str_eq(set_functions(world, PF, 5), REFUSED("VfCount"));
        check_functions(2);
        ck_assert_str_eq(autoprobe(), "0");
        (void) unlink(name);
        ck_assert_int_eq(set_functions(world, PF, 5)[0], '[');
        check_functions(5);
        ck_assert_str_eq(restore_device(world, PF), "");
        check_functions(0);
        ck_assert_str_eq(autoprobe(), "1");
}
END_TEST

START_TEST(pf_without_a_driver_or_on_vfio_makes_none) {
        ck_assert_int_ge(tree_set_driver(world->tree, PF, NULL), 0);
        ck_assert_str_eq(set_functions(world, PF, 1), REFUSED("VfCount"));
        ck_assert_msg(strstr(ask_message(), "driver") != NULL, "%s", ask_message());
        ck_assert_str_eq(set_functions(world, OTHER_PF, 1), REFUSED("VfCount"));
        check_functions(0);
        ck_assert_uint_eq(count_kept(world, "device-" PF) + count_kept(world, "device-" OTHER_PF), 0);
}
END_TEST

START_TEST(kernel_that_hangs_holds_up_nobody) {
        Call call;

        set_idle_functions(world, PF, 2);
        vfio_fail(world, PF, "numvfs-hangs", "");
        call_set_idle_functions(&call, world->bus, PF, 3);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        for (int i = 0; i < 50; i++) {
                ck_assert(device_is(world, NO_PF, "host"));
                ck_assert_uint_eq(current(), 2);
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = vf(0) }), REFUSED("HeldElsewhere"));
                ck_assert_str_eq(set_functions(world, PF, 1), REFUSED("HeldElsewhere"));
                ck_assert_str_eq(bind_device(world, vf(1)), REFUSED("HeldElsewhere"));
        }
        ck_assert(!call.answered);
        vfio_fail(world, PF, "numvfs-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_int_eq(call.answer[0], '[');
        check_functions(3);
        call_end(&call);
        ck_assert_str_eq(restore_device(world, PF), "");
        check_functions(0);
        check_nothing_held(world);
}
END_TEST

/* What comes before has the same short limit: on a slow machine it may be late without a hang, and is undone then. */
START_TEST(kernel_that_hangs_is_answered_for_and_what_it_did_is_undone) {
        uint64_t begin;
        Call call;

        while (strcmp(set_idle_functions(world, PF, 2), REFUSED("DriverUnbindTimeout")) == 0)
                WAIT_FOR(world, device_is(world, PF, "host"));
        check_functions(2);
        vfio_fail(world, PF, "numvfs-hangs", "");
        do {
                begin = world_now();
                call_set_idle_functions(&call, world->bus, PF, 3);
        } while (!vfio_hangs(world, &call.answered, PF));
        WAIT_FOR(world, call.answered);
        ck_assert_uint_ge(world_now() - begin, LIMIT_USEC);
        ck_assert_str_eq(call.answer, REFUSED("DriverUnbindTimeout"));
        ck_assert(device_is(world, PF, "held"));
        vfio_fail(world, PF, "numvfs-hangs", NULL);
        WAIT_FOR(world, !device_is(world, PF, "held"));
        check_functions(2);
        call_end(&call);
        check_nothing_held(world);
}
END_TEST

START_TEST(death_in_the_middle_brings_back_what_there_was) {
        unsigned before = (unsigned) _i;
        Call call;
        if (before > 0)
                set_idle_functions(world, PF, before);
        vfio_fail(world, vf(4), "function-hangs", "");
        call_set_idle_functions(&call, world->bus, PF, 6);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        world_crash_daemon(world);
        vfio_fail(world, vf(4), "function-hangs", NULL);
        WAIT_FOR(world, device_is(world, PF, "host"));
        check_functions(before);
        ck_assert_str_eq(autoprobe(), before > 0 ? "0" : "1");
        ck_assert_int_eq(has_record(PF), before > 0);
        if (before > 0)
                ck_assert_str_eq(restore_device(world, PF), "");
        check_functions(0);
        ck_assert_str_eq(autoprobe(), "1");
        call_end(&call);
}
END_TEST

START_TEST(number_outlives_the_daemon) {
        set_idle_functions(world, PF, 3);
        world_end_daemon(world);
        world_start_daemon(world);
        check_functions(3);
        ck_assert_str_eq(property(vf(2), VFB_INTERFACE_PCI, "VirtualFunctionIndex"), "2");
        ck_assert_str_eq(restore_device(world, PF), "");
        check_functions(0);
        ck_assert_str_eq(autoprobe(), "1");
}
END_TEST

START_TEST(pf_that_goes_to_vfio_comes_back_with_its_functions) {
        for (int times = 0; times < 5; times++) {
                /* somebody else has made them */
                ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/" PF "/sriov_drivers_autoprobe", "0\n"), 0);
                ck_assert_int_eq(set_functions(world, PF, 3)[0], '[');
                ck_assert_int_eq(bind_device(world, vf(0))[0], '\0');
                ck_assert_str_eq(bind_device(world, PF), "");
                ck_assert_str_eq(property(PF, VFB_INTERFACE_DEVICE, "Driver"), "vfio-pci");
                ck_assert_str_eq(property(PF, VFB_INTERFACE_DEVICE, "RestoreDriver"), "nvme");
                check_functions(0);
                ck_assert_str_eq(restore_device(world, PF), ""); /* of all that the broker has done */
                check_functions(0);
                ck_assert_str_eq(property(PF, VFB_INTERFACE_DEVICE, "Driver"), "nvme");
                ck_assert(!has_record(PF));
        }
}
END_TEST

/* Those that somebody else has made, without a driver */
static void make_by_hand(unsigned count) {
        _cleanup_(freep) char *name = NULL;

        ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/" PF "/sriov_drivers_autoprobe", "0\n"), 0);
        ck_assert_int_eq(set_functions(world, PF, count)[0], '[');
        world_end_daemon(world);
        ck_assert_int_gt(asprintf(&name, "%s/run/device-" PF, tree_root(world->tree)), 0);
        ck_assert_int_eq(unlink(name), 0);
        world_start_daemon(world);
        check_functions(count);
        ck_assert(!has_record(PF));
}

START_TEST(functions_of_others_are_made_again) {
        make_by_hand(5);
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(bind_device(world, PF), "");
                check_functions(0);
                ck_assert_str_eq(restore_device(world, PF), "");
                check_functions(5);
                ck_assert_str_eq(autoprobe(), "0");
                ck_assert_int_eq(set_functions(world, PF, 2)[0], '[');
                ck_assert_str_eq(restore_device(world, PF), "");
                check_functions(5);
        }

        /* for a lease, and the daemon dies meanwhile; what was set before the lease is what there is after it */
        ck_assert_int_eq(set_functions(world, PF, 2)[0], '[');
        grant_free(must_acquire(world->bus, PF));
        WAIT_FOR(world, device_is(world, PF, "host") && current() == 2);
        check_functions(2);
        world_crash_daemon(world);
        ck_assert_str_eq(restore_device(world, PF), "");
        check_functions(5);
        ck_assert_str_eq(property(PF, VFB_INTERFACE_DEVICE, "Driver"), "nvme");
        ck_assert(!has_record(PF));
}
END_TEST

START_TEST(bind_that_fails_brings_the_functions_back) {
        make_by_hand(3);
        vfio_fail(world, PF, "probe-errno", "22 2");
        ck_assert_str_eq(bind_device(world, PF), REFUSED("DriverBindFailed"));
        check_functions(3);
        ck_assert_str_eq(property(PF, VFB_INTERFACE_DEVICE, "Driver"), "nvme");
        ck_assert(!has_record(PF));

        vfio_fail(world, PF, "numvfs-errno", "5 1");
        ck_assert_str_eq(bind_device(world, PF), REFUSED("VfCount"));
        check_functions(3);
        ck_assert_str_eq(property(PF, VFB_INTERFACE_DEVICE, "Driver"), "nvme");
        ck_assert(!has_record(PF));
}
END_TEST

START_TEST(storm_of_functions_is_followed) {
        uint64_t begin, slowest;
        Call call;

        property(PF, VFB_INTERFACE_DEVICE, "Name"); /* the hardware database is opened once */
        for (int times = 0; times < 5; times++) {
                world_forget_signals(world);
                begin = world_now();
                slowest = 0;
                call_set_idle_functions(&call, world->bus, PF, TOTAL);
                while (!call.answered) {
                        uint64_t before = world_now();

                        ck_assert(device_is(world, NO_PF, "host"));
                        slowest = world_now() - before > slowest ? world_now() - before : slowest;
                        world_tick(world);
                }
                ck_assert_int_eq(call.answer[0], '[');
                call_end(&call);
                check_functions(TOTAL);
                WAIT_FOR(world, world_signals(world, "DeviceNew") == TOTAL);
                ck_assert_str_eq(set_functions(world, PF, 0), "[]");
                WAIT_FOR(world, world_signals(world, "DeviceRemoved") == TOTAL);
                check_functions(0);
                printf("# %d functions came and went in %u ms, the slowest other call took %u ms\n", TOTAL,
                       (unsigned) ((world_now() - begin) / 1000), (unsigned) (slowest / 1000));
        }
        ck_assert_str_eq(set_with(PF, 0, "autoprobe", "b", 1), "[]");
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("sriov");
        TCase *tcase = suite_add_case(suite, "sriov", make_world, end_world);
        TCase *patient = suite_add_case(suite, "patient", make_world_of_much_patience, end_world);
        TCase *limit = suite_add_case(suite, "limit", make_world_of_little_patience, end_world);

        tcase_add_test(tcase, functions_are_made_named_and_handed_out);
        tcase_add_test(tcase, only_a_device_that_may_have_functions_has_the_facet);
        tcase_add_test(tcase, what_makes_no_sense_is_refused_and_changes_nothing);
        tcase_add_test(tcase, function_that_is_leased_stays);
        tcase_add_test(tcase, function_in_use_by_the_host_stays);
        tcase_add_loop_test(tcase, failure_leaves_as_many_as_there_were, 0, sizeof(failures) / sizeof(*failures));
        tcase_add_test(tcase, pf_without_a_driver_or_on_vfio_makes_none);
        tcase_add_test(patient, kernel_that_hangs_holds_up_nobody);
        tcase_add_test(limit, kernel_that_hangs_is_answered_for_and_what_it_did_is_undone);
        tcase_add_loop_test(tcase, death_in_the_middle_brings_back_what_there_was, 0, 3);
        tcase_add_test(tcase, number_outlives_the_daemon);
        tcase_add_test(tcase, pf_that_goes_to_vfio_comes_back_with_its_functions);
        tcase_add_test(tcase, functions_of_others_are_made_again);
        tcase_add_test(tcase, bind_that_fails_brings_the_functions_back);
        tcase_add_test(tcase, storm_of_functions_is_followed);
        if (world_is_root())
                tcase_add_test(tcase, polkit_has_its_own_word_about_it);
        return suite_run(suite);
}
