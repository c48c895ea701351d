/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Acquire, where it does not succeed. Each ends with a look at both sides: nothing is held that was not before. */

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME   "0000:03:00.0"
#define EDU    "0000:01:00.0"
#define HOST   "0000:02:00.0"
#define SHARED "0000:06:0d.0"
#define TWENTY 20

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void make_small_world(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nDevicesPerLeaseMax=2\n" });
}

static void make_world_without_polkit(void) {
        world_start(&world, &(WorldSpec) { .no_polkit = true });
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *refusal(const char *wants) {
        return refusal_of(world->bus, &(Request) { .wants = wants });
}

START_TEST(device_that_cannot_be_had_is_refused) {
        static const struct {
                const char *wants, *refusal, *named;
        } cases[] = {
                { "0000:ff:00.0", REFUSED("NoSuchDevice"), "0000:ff:00.0" },
                { "class=audio", REFUSED("NoSuchDevice"), "class=audio" },
                { "group:77", REFUSED("NoSuchDevice"), "group:77" },
                { "group:13", REFUSED("NoSuchDevice"), "" },
                { "driver=vfio-pci", REFUSED("AmbiguousSelector"), "driver=vfio-pci" },
                { HOST, REFUSED("NotVfio"), "e1000e" },
                { "0000:00:02.0", REFUSED("IommuDisabled"), "0000:00:02.0" },
                { NVME "," HOST, REFUSED("NotVfio"), HOST },
                { NVME ",0000:ff:00.0", REFUSED("NoSuchDevice"), "0000:ff:00.0" },
                { NVME "," NVME, INVALID_ARGS, NVME },
                { SHARED ",group:26", INVALID_ARGS, SHARED },
                { "", INVALID_ARGS, "" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                for (int times = 0; times < TWENTY; times++)
                        ck_assert_str_eq(refusal(cases[i].wants), cases[i].refusal);
                ck_assert_msg(strstr(ask_message(), cases[i].named), "%s", ask_message());
                check_nothing_opened(world);
        }
}
END_TEST

START_TEST(group_in_the_hands_of_the_host_is_refused_by_name) {
        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", "e1000"), 0);
        for (int times = 0; times < TWENTY; times++)
                ck_assert_str_eq(refusal(SHARED), REFUSED("NotViable"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "0000:06:0d.1"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "e1000"));
        check_nothing_opened(world);

        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", NULL), 0);
        grant_free(must_acquire(world->bus, SHARED));
}
END_TEST

START_TEST(leased_device_is_refused_and_stays_leased) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, SHARED);
        size_t n_fds = settled_fds(world);

        vfio_forget(world);
        for (int times = 0; times < TWENTY; times++) {
                ck_assert_str_eq(refusal(SHARED), REFUSED("Leased"));
                ck_assert_str_eq(refusal("0000:06:0d.1"), REFUSED("Leased"));
                ck_assert_str_eq(refusal(NVME ",0000:06:0d.1"), REFUSED("Leased"));
        }
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_str_eq(device_property(world, SHARED, "Lease"), grant->lease);
        ck_assert_str_eq(device_property(world, NVME, "Availability"), "available");
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "1");
        ck_assert_uint_eq(vfio_called(world, ""), 0);
        WAIT_FOR(world, count_fds(world->daemon_pid, "") == n_fds);
}
END_TEST

START_TEST(device_leased_to_another_is_refused_and_stays_leased) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, SHARED);
        sd_bus *other = world_connect(world, OTHER);

        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = SHARED }), REFUSED("Leased"));
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = "0000:06:0d.1" }), REFUSED("Leased"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(group_held_outside_is_refused) {
        char path[PATH_MAX];
        int group;

        snprintf(path, sizeof(path), "%s/dev/vfio/14", tree_root(world->tree));
        group = open(path, O_RDWR | O_CLOEXEC);
        ck_assert_int_ge(group, 0);
        for (int times = 0; times < TWENTY; times++)
                ck_assert_str_eq(refusal(NVME), REFUSED("HeldElsewhere"));
        ck_assert_str_eq(refusal(EDU "," NVME), REFUSED("HeldElsewhere"));
        check_nothing_held(world);
        ck_assert_str_eq(device_property(world, EDU, "Availability"), "available");
        close(group);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(malformed_selectors_are_refused) {
        static const char *const selectors[] = {
                " ", "eth0", "0000:03:00", "0000:03:00.8", "03:00.0.0", "group:", "group:x", "group:-1", "group:99999999999",
                "class=", "class=0xzz", "vendor=zzzz", "vendor=18086", "device=", "driver=", "is-vf=maybe", "colour=red", "=",
                "class", "0000:03:00.0 nonsense", "../../etc/passwd", "0000:03:00.0/",
                "mdev:x\nvfio-brokerd:quarantined",
        };
        char word[3000];

        memset(word, 'a', sizeof(word) - 1);
        word[sizeof(word) - 1] = '\0';
        for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++)
                ck_assert_msg(strcmp(refusal(selectors[i]), REFUSED("InvalidSelector")) == 0, "%s", selectors[i]);
        ck_assert_str_eq(refusal(word), REFUSED("InvalidSelector"));
        ck_assert_uint_eq(polkit_asked(world), 0);
        check_nothing_opened(world);
}
END_TEST

START_TEST(unknown_options_are_refused) {
        static const char long_label[] = "0123456789012345678901234567890123456789012345678901234567890123x";
        static const Request requests[] = {
                { .wants = NVME, .unknown = "frobnicate" },
                { .wants = NVME, .want_unknown = "frobnicate" },
                { .wants = NVME, .mode = "iommufd" },
                { .wants = NVME, .mode = "" },
                { .wants = NVME, .lifetime = "forever" },
                { .wants = NVME, .label = long_label },
                { .wants = NVME, .label = "a\x1b[2J" },
                { .wants = NVME, .label = "a\xc2\x9b" "2J" },
                { .wants = NVME, .token = "not-a-uuid" },
                { .wants = NVME, .duration_usec = UINT64_MAX },
                { .wants = NVME, .duration_usec = UINT64_C(101) * 366 * 24 * 3600 * 1000000 },
        };

        for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
                ck_assert_msg(strcmp(refusal_of(world->bus, &requests[i]), REFUSED("InvalidOption")) == 0, "case %zu", i);
        ck_assert_uint_eq(polkit_asked(world), 0);
        check_nothing_opened(world);
}
END_TEST

START_TEST(options_for_others_are_passed_over) {
        grant_free(must_acquire(world->bus, NVME));
        WAIT_FOR(world, strcmp(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "0") == 0);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .unknown = "x-mine", .want_unknown = "x-too",
                                                             .label = "0123456789012345678901234567890123456789012345678901234567890123",
                                                             .mode = "auto", .lifetime = "lifeline" }),
                         "");
}
END_TEST

START_TEST(every_unknown_flag_is_refused) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, EDU);
        const char *device = device_path(NVME);

        for (int bit = 0; bit < 64; bit++) {
                uint64_t flag = UINT64_C(1) << bit;

                if (flag != VFB_ACQUIRE_ONE_TIME)
                        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .flags = flag }), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListDevices", "a{sv}t", 0, flag), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListLeases", "t", flag), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, device, VFB_INTERFACE_DEVICE, "Quarantine", "st", "no", flag), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, device, VFB_INTERFACE_DEVICE, "Unquarantine", "t", flag), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "GetFds", "ast", 0, flag), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Claim", "sa{sv}t", "x", 0, flag), REFUSED("InvalidOption"));
                ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", flag), REFUSED("InvalidOption"));
        }
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_str_eq(ask_property(world->bus, device, VFB_INTERFACE_DEVICE, "Availability"), "available");
}
END_TEST

START_TEST(wrong_types_are_refused) {
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Acquire", "s", NVME), INVALID_ARGS);
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Acquire", "a(sa{sv})a{sv}u", 1, NVME, 0, 0, 0), INVALID_ARGS);
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Acquire", "a(sa{sv})a{sv}t", 1, NVME, 0, 1, "label", "u", 7, UINT64_C(0)),
                         REFUSED("InvalidOption"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Acquire", "a(sa{sv})a{sv}t", 1, NVME, 1, "vf-token", "ay", 1, 7, 0, UINT64_C(0)),
                         REFUSED("InvalidOption"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Acquire", "a(sa{sv})a{sv}t", 1, NVME, 0, 2, "label", "s", "a", "label", "s", "b", UINT64_C(0)),
                         REFUSED("InvalidOption"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListDevices", "a{sv}t", 1, "selector", "u", 7, UINT64_C(0)), REFUSED("InvalidOption"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Acquire", "a(sa{sv})a{sv}t", 1, NVME, 0, 1, "duration-usec", "u", 7, UINT64_C(0)),
                         REFUSED("InvalidOption"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Acquire", "a(sa{sv})a{sv}t", 1, NVME, 0, 2, "duration-usec", "t", UINT64_C(0),
                             "duration-usec", "t", UINT64_C(0), UINT64_C(0)),
                         REFUSED("InvalidOption"));
        ck_assert_uint_eq(polkit_asked(world), 0);
        check_nothing_opened(world);
}
END_TEST

START_TEST(too_many_devices_are_refused) {
        char wants[70 * 16] = "";

        for (int i = 0; i < 70; i++)
                snprintf(wants + strlen(wants), sizeof(wants) - strlen(wants), "0000:ee:%02x.0,", i);
        ck_assert_str_eq(refusal(wants), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(refusal(NVME "," EDU "," SHARED), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(refusal(EDU ",group:15"), REFUSED("QuotaExceeded"));
        check_nothing_opened(world);
        grant_free(must_acquire(world->bus, NVME "," EDU));
}
END_TEST

/* What the kernel says at each step, and what becomes of it. Devices before the one that fails are given back. */
START_TEST(kernel_that_refuses_is_understood) {
        static const struct {
                const char *object, *fault, *value, *refusal;
        } cases[] = {
                { "container", "open-errno", "19", REFUSED("BackendUnavailable") },
                { "container", "open-errno", "2", REFUSED("BackendUnavailable") },
                { "group-14", "open-errno", "16", REFUSED("HeldElsewhere") },
                { "group-14", "set-container-errno", "1", REFUSED("NotViable") },
                { "container", "set-iommu-errno", "1", REFUSED("Tainted") },
                { "container", "extensions", "7", REFUSED("BackendUnavailable") },
                { "container", "is-iommufd", "", REFUSED("BackendUnavailable") },
                { NVME, "open-errno", "13", REFUSED("VfTokenRequired") },
                { NVME, "open-errno", "19", REFUSED("DeviceGone") },
                { NVME, "open-errno", "5", "!System.Error.EIO" },
                { NVME, "get-info-errno", "5", "!System.Error.EIO" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                vfio_fail(world, cases[i].object, cases[i].fault, cases[i].value);
                for (int times = 0; times < 3; times++)
                        ck_assert_msg(strcmp(refusal(EDU "," NVME), cases[i].refusal) == 0, "%s %s: not %s", cases[i].object, cases[i].fault,
                                      cases[i].refusal);
                check_nothing_held(world);
                vfio_fail(world, cases[i].object, cases[i].fault, NULL);
        }
        grant_free(must_acquire(world->bus, EDU "," NVME));
}
END_TEST

START_TEST(token_is_asked_for_and_passed_on) {
        static const char token[] = "2ab74924-c335-45f4-9b16-8569e5b08258", wrong[] = "00000000-c335-45f4-9b16-8569e5b08258";
        _cleanup_(grant_freep) Grant *grant = NULL;

        vfio_fail(world, NVME, "vf-token", token);
        ck_assert_str_eq(refusal(NVME), REFUSED("VfTokenRequired"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .token = wrong }), REFUSED("VfTokenRequired"));
        ck_assert_ptr_null(strstr(ask_message(), wrong));
        check_nothing_held(world);
        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .token = token }), "");

        /* it is a secret */
        ck_assert_uint_eq(daemon_logged(world, "c335-45f4"), 0);
        ck_assert_ptr_null(strstr(ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", ""), "c335-45f4"));
        ck_assert_ptr_null(strstr(ask(world->bus, VFB_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""), "c335-45f4"));
}
END_TEST

START_TEST(kernel_without_vfio_is_said_to_be) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/dev/vfio/vfio", tree_root(world->tree));
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_str_eq(refusal(NVME), REFUSED("BackendUnavailable"));
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Backends"), "[]");
        check_nothing_held(world);
}
END_TEST

START_TEST(device_that_changed_silently_is_read_anew) {
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "nvme"), 0);
        ck_assert_str_eq(refusal(NVME), REFUSED("NotVfio"));
        ck_assert_int_ge(tree_remove(world->tree, EDU), 0);
        ck_assert_str_eq(refusal(EDU), REFUSED("DeviceGone"));
        ck_assert_str_eq(refusal(EDU), REFUSED("NoSuchDevice")); /* and it stays away */
        check_nothing_opened(world);
}
END_TEST

START_TEST(nothing_is_handed_out_without_polkit) {
        for (int times = 0; times < TWENTY; times++)
                ck_assert_str_eq(refusal(NVME), REFUSED("AuthorityUnavailable"));
        check_nothing_opened(world);
        world_start_polkit(world);
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, device_that_cannot_be_had_is_refused);
        tcase_add_test(tcase, group_in_the_hands_of_the_host_is_refused_by_name);
        tcase_add_test(tcase, leased_device_is_refused_and_stays_leased);
        tcase_add_test(tcase, group_held_outside_is_refused);
        tcase_add_test(tcase, malformed_selectors_are_refused);
        tcase_add_test(tcase, unknown_options_are_refused);
        tcase_add_test(tcase, options_for_others_are_passed_over);
        tcase_add_test(tcase, every_unknown_flag_is_refused);
        tcase_add_test(tcase, wrong_types_are_refused);
        tcase_add_test(tcase, kernel_that_refuses_is_understood);
        tcase_add_test(tcase, token_is_asked_for_and_passed_on);
        tcase_add_test(tcase, kernel_without_vfio_is_said_to_be);
        tcase_add_test(tcase, device_that_changed_silently_is_read_anew);
        if (world_is_root())
                tcase_add_test(tcase, device_leased_to_another_is_refused_and_stays_leased);
}

int main(void) {
        Suite *suite = suite_create("refuse");

        add_tests(suite_add_case(suite, "refuse", make_world, end_world));
        tcase_add_test(suite_add_case(suite, "limits", make_small_world, end_world), too_many_devices_are_refused);
        tcase_add_test(suite_add_case(suite, "no polkit", make_world_without_polkit, end_world),
                       nothing_is_handed_out_without_polkit);
        return suite_run(suite);
}
