/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Acquire, where it succeeds */

#include <check.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME    "0000:03:00.0"
#define EDU     "0000:01:00.0"
#define SHARED  "0000:06:0d.0"
#define N_CARDS 40

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static int build_cards(Tree *tree) {
        char address[32];
        int r;

        for (int i = 0; i < N_CARDS; i++) {
                snprintf(address, sizeof(address), "0000:10:%02x.%d", i / 2, i % 2);
                r = tree_add_pci(tree, &(TreePci) { .address = address, .driver = "vfio-pci", .reset_methods = "flr", .class = 0x020000,
                                                    .vendor = 0x8086, .device = 0x10c9, .group = 100 + i / 2, .numa_node = -1 });
                if (r < 0)
                        return r;
        }
        return 0;
}

static void make_world_of_cards(void) {
        world_start(&world, &(WorldSpec) { .build = build_cards });
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *lease_property(const Grant *grant, const char *name) {
        return ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, name);
}

static int fd_of(Grant *grant, const char *role) {
        GrantFd *found = grant_find(grant, role);

        ck_assert_msg(found, "There is no %s", role);
        return found->fd;
}

START_TEST(device_comes_with_its_container_and_lifeline) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, NVME);

        ck_assert(grant->complete);
        ck_assert_int_ge(grant->lifeline, 0);
        ck_assert_uint_eq(grant->n_fds, 2);
        ck_assert_str_eq(grant->fds[0].role, "container");
        ck_assert_str_eq(grant->fds[0].attributes, "{model type1v2}");
        ck_assert_str_eq(grant->fds[1].role, "device:" NVME);
        ck_assert_str_eq(grant->fds[1].attributes, "{reset flr}");
}
END_TEST

START_TEST(attributes_say_what_there_is) {
        _cleanup_(grant_freep) Grant *grant = NULL, *other = NULL;

        vfio_fail(world, "container", "extensions", "1");
        grant = must_acquire(world->bus, EDU);
        ck_assert_str_eq(grant_find(grant, "container")->attributes, "{model type1}");
        ck_assert_str_eq(grant_find(grant, "device:" EDU)->attributes, "{reset bus}");
        other = must_acquire(world->bus, "0000:00:10.0");
        ck_assert_str_eq(grant_find(other, "device:0000:00:10.0")->attributes, "{reset none available}");
}
END_TEST

START_TEST(descriptors_do_what_vfio_says) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, NVME);
        struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ, .size = 4096 };
        struct vfio_device_info info = { .argsz = sizeof(info) };

        ck_assert_int_eq(ioctl(fd_of(grant, "container"), VFIO_GET_API_VERSION), VFIO_API_VERSION);
        ck_assert_int_eq(ioctl(fd_of(grant, "container"), VFIO_IOMMU_MAP_DMA, &map), 0);
        ck_assert_int_eq(ioctl(fd_of(grant, "device:" NVME), VFIO_DEVICE_GET_INFO, &info), 0);
        ck_assert_uint_eq(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
}
END_TEST

START_TEST(lease_is_an_object) {
        _cleanup_(grant_freep) Grant *grant = NULL;
        char row[512], expected[64], id[64];
        uint64_t created;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .label = "soak" }), "");
        snprintf(id, sizeof(id), "%s", lease_property(grant, "Id"));
        ck_assert_str_eq(lease_property(grant, "State"), "active");
        ck_assert_str_eq(lease_property(grant, "Label"), "soak");
        ck_assert_str_eq(lease_property(grant, "Mode"), "legacy");
        ck_assert_str_eq(lease_property(grant, "BoundTo"), "lifeline");
        ck_assert_str_eq(lease_property(grant, "ExpiresUSec"), "0");
        snprintf(expected, sizeof(expected), "[%s]", device_path(NVME));
        ck_assert_str_eq(lease_property(grant, "Devices"), expected);
        snprintf(expected, sizeof(expected), "%u", world_user());
        ck_assert_str_eq(lease_property(grant, "Uid"), expected);
        snprintf(expected, sizeof(expected), "%d", getpid());
        ck_assert_str_eq(lease_property(grant, "Pid"), expected);
        created = strtoull(lease_property(grant, "CreatedUSec"), NULL, 10) / 1000000;
        ck_assert_uint_le(created, time(NULL));
        ck_assert_uint_ge(created + 60, time(NULL));

        snprintf(row, sizeof(row), "[(%s %s %u soak active 1 0)]", id, grant->lease, world_user());
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListLeases", "t", UINT64_C(0)), row);
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetLease", "s", id), grant->lease);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "1");
        snprintf(row, sizeof(row), VFB_PATH " LeaseNew %s %s", id, grant->lease);
        WAIT_FOR(world, world_signals(world, row) == 1);
        WAIT_FOR(world, world_signals(world, "InterfacesAdded") == 1);
}
END_TEST

START_TEST(whole_group_is_leased_and_only_what_was_wanted_is_opened) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, SHARED);
        char leases[160];

        ck_assert_uint_eq(grant->n_fds, 2);
        for (int i = 0; i < 2; i++) {
                const char *device = device_path(i == 0 ? SHARED : "0000:06:0d.1");

                ck_assert_str_eq(ask_property(world->bus, device, VFB_INTERFACE_DEVICE, "Availability"), "leased");
                ck_assert_str_eq(ask_property(world->bus, device, VFB_INTERFACE_DEVICE, "Lease"), grant->lease);
        }
        snprintf(leases, sizeof(leases), "[%s]", grant->lease);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "Leases"), leases);
        ck_assert_str_eq(device_property(world, NVME, "Lease"), "/");
        ck_assert_uint_eq(vfio_called(world, "0000:06:0d.1 open"), 0);
}
END_TEST

START_TEST(kernel_is_asked_in_the_order_of_vfio) {
        static const char *const steps[] = {
                "container open 0", "container get-api-version 0", "container check-extension 0", "group-26 open 0",
                "group-26 get-status 0", "group-26 set-container 0", "container set-iommu 0", "0000:06:0d.0 open 0",
                "0000:06:0d.0 get-info 0",
        };
        _cleanup_(grant_freep) Grant *grant = NULL;
        _cleanup_(freep) char *calls = NULL;
        const char *last;

        vfio_forget(world);
        grant = must_acquire(world->bus, SHARED);
        last = calls = vfio_calls(world);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                const char *step = strstr(calls, steps[i]);

                ck_assert_msg(step && step >= last, "%s is missing or too early:\n%s", steps[i], calls);
                last = step;
                if (!strstr(steps[i], "check-extension"))
                        ck_assert_msg(!strstr(step + 1, steps[i]), "%s comes twice:\n%s", steps[i], calls);
        }
}
END_TEST

START_TEST(several_groups_share_one_container) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, NVME "," EDU ",0000:04:00.1,0000:04:00.0");
        static const char *const roles[] = { "container", "device:" NVME, "device:" EDU, "device:0000:04:00.1", "device:0000:04:00.0" };

        ck_assert_uint_eq(grant->n_fds, 5);
        for (int i = 0; i < 5; i++)
                ck_assert_str_eq(grant->fds[i].role, roles[i]);
        ck_assert_uint_eq(vfio_called(world, "container open 0"), 1);
        ck_assert_uint_eq(vfio_called(world, "set-container 0"), 3);
        ck_assert_uint_eq(vfio_called(world, "set-iommu 0"), 1);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "1");
}
END_TEST

START_TEST(selectors_name_devices_and_groups) {
        static const struct {
                const char *wants, *first;
                unsigned n_fds;
        } cases[] = {
                { "01:00.0", "device:" EDU, 2 },
                { "class=nvme", "device:" NVME, 2 },
                { "vendor=8086 device=100e", "device:0000:06:0d.1", 2 },
                { "group:15", "device:0000:04:00.0", 3 },
                { "group:26,03:00.0", "device:" SHARED, 4 },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, cases[i].wants);

                ck_assert_uint_eq(grant->n_fds, cases[i].n_fds);
                ck_assert_str_eq(grant->fds[1].role, cases[i].first);
                grant_free(TAKE_PTR(grant));
                WAIT_FOR(world, strcmp(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "0") == 0);
        }
}
END_TEST

START_TEST(group_stands_for_what_is_on_a_vfio_driver) {
        _cleanup_(grant_freep) Grant *grant = NULL;

        ck_assert_int_ge(tree_set_driver(world->tree, "0000:06:0d.1", "pci-stub"), 0);
        grant = must_acquire(world->bus, "group:26");
        ck_assert_uint_eq(grant->n_fds, 2);
        ck_assert_str_eq(grant->fds[1].role, "device:" SHARED);
}
END_TEST

START_TEST(raw_mode_hands_out_the_group) {
        _cleanup_(grant_freep) Grant *grant = NULL;
        struct vfio_group_status status = { .argsz = sizeof(status) };
        int again;

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = SHARED, .mode = "legacy-raw" }), "");
        ck_assert_uint_eq(grant->n_fds, 3);
        ck_assert_str_eq(grant->fds[1].role, "group:26");
        ck_assert_str_eq(lease_property(grant, "Mode"), "legacy-raw");
        ck_assert_int_eq(ioctl(fd_of(grant, "group:26"), VFIO_GROUP_GET_STATUS, &status), 0);
        ck_assert_uint_eq(status.flags, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
        again = ioctl(fd_of(grant, "group:26"), VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.1");
        ck_assert_int_ge(again, 0);
        close(again);
}
END_TEST

/* Who has the group has all of it. */
START_TEST(raw_mode_asks_for_the_companions_too) {
        _cleanup_(grant_freep) Grant *grant = NULL;
        Request request = { .wants = SHARED, .mode = "legacy-raw" };

        polkit_set(world, "SetAnswerFor", "sss", "device.id", "0000:06:0d.1", "no");
        ck_assert_str_eq(refusal_of(world->bus, &request), DENIED);
        check_nothing_held(world);
        request.mode = "legacy";
        ck_assert_str_eq(grant_acquire(&grant, world->bus, &request), "");
}
END_TEST

START_TEST(daemon_keeps_groups_but_no_device) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, NVME "," SHARED ",0000:06:0d.1");

        ck_assert_uint_eq(grant->n_fds, 4);
        WAIT_FOR(world, count_children(world->daemon_pid) == 0);
        WAIT_FOR(world, count_fds(world->daemon_pid, "/fake/device-") == 0);
        ck_assert_uint_eq(count_fds(world->daemon_pid, "/fake/group-"), 2);
        ck_assert_uint_eq(count_inheritable_fds(world->daemon_pid), 0);
}
END_TEST

START_TEST(polkit_is_asked_once_a_device_with_its_facts) {
        _cleanup_(grant_freep) Grant *grant = NULL;
        const char *sender, *calls;
        char expected[256];

        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME "," SHARED, .label = "soak" }), "");
        calls = ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", "");
        ck_assert_uint_eq(polkit_asked(world), 2);
        ck_assert_int_ge(sd_bus_get_unique_name(world->bus, &sender), 0);
        snprintf(expected, sizeof(expected), "(system-bus-name %s " VFB_ACTION_ACQUIRE " [", sender);
        ck_assert_ptr_nonnull(strstr(calls, expected));

        static const char *const details[] = {
                "{device.id " NVME "}", "{device.address " NVME "}", "{device.kind pci}", "{device.vendor 0x1b36}",
                "{device.product 0x0010}", "{device.class 0x010802}", "{device.driver vfio-pci}", "{device.is-vf no}",
                "{device.boot-display no}", "{device.group 14}", "{device.group-members " NVME "}", "{device.id " SHARED "}",
                "{device.group-members " SHARED " 0000:06:0d.1}", "{lease.mode legacy}", "{lease.label soak}",
        };
        for (size_t i = 0; i < sizeof(details) / sizeof(details[0]); i++)
                ck_assert_msg(strstr(calls, details[i]), "%s is not in %s", details[i], calls);
}
END_TEST

START_TEST(answer_is_never_kept) {
        for (unsigned i = 1; i <= 3; i++) {
                grant_free(must_acquire(world->bus, NVME));
                ck_assert_uint_eq(polkit_asked(world), i);
                WAIT_FOR(world, strcmp(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "0") == 0);
        }
        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), DENIED);
}
END_TEST

START_TEST(user_is_asked_only_where_the_call_allows_it) {
        _cleanup_(grant_freep) Grant *grant = NULL;

        polkit_set(world, "SetAnswer", "s", "challenge");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), "!org.freedesktop.DBus.Error.InteractiveAuthorizationRequired");
        check_nothing_held(world);
        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NVME, .interactive = true }), "");
}
END_TEST

START_TEST(root_is_not_asked_for) {
        sd_bus *root = world_connect(world, ROOT);
        Grant *grant;

        polkit_set(world, "SetAnswer", "s", "no");
        grant = must_acquire(root, NVME);
        ck_assert_uint_eq(polkit_asked(world), 0);
        ck_assert_str_eq(lease_property(grant, "Uid"), "0");
        grant_free(grant);
        sd_bus_flush_close_unref(root);
}
END_TEST

START_TEST(pages_hold_sixteen) {
        char wants[N_CARDS * 16] = "", role[64];
        Grant *grant;

        for (int i = 0; i < N_CARDS; i++)
                snprintf(wants + strlen(wants), sizeof(wants) - strlen(wants), "%s10:%02x.%d", i ? "," : "", i / 2, i % 2);
        grant = must_acquire(world->bus, wants);
        ck_assert_uint_eq(grant->n_fds, 15);
        ck_assert(!grant->complete);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, ""), "");
        ck_assert_uint_eq(grant->n_fds, 31);
        ck_assert(!grant->complete);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, ""), "");
        ck_assert_uint_eq(grant->n_fds, 1 + N_CARDS);
        ck_assert(grant->complete);
        for (int i = 0; i < N_CARDS; i++) {
                snprintf(role, sizeof(role), "device:0000:10:%02x.%d", i / 2, i % 2);
                ck_assert_str_eq(grant->fds[1 + i].role, role);
                ck_assert_str_eq(grant->fds[1 + i].attributes, "{reset flr}");
        }
        ck_assert_str_eq(grant_get_fds(grant, world->bus, ""), "");
        ck_assert_uint_eq(grant->n_fds, 1 + N_CARDS);
        ck_assert(grant->complete);
        WAIT_FOR(world, count_fds(world->daemon_pid, "/fake/device-") == 0);
        grant_free(grant);
}
END_TEST

START_TEST(descriptors_can_be_had_again_by_role) {
        _cleanup_(grant_freep) Grant *grant = must_acquire(world->bus, NVME "," EDU);
        unsigned resets = vfio_resets(world, NVME);

        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME ",container"), "");
        ck_assert_uint_eq(grant->n_fds, 5);
        ck_assert_str_eq(grant->fds[3].role, "device:" NVME);
        ck_assert_str_eq(grant->fds[4].role, "container");
        ck_assert_uint_eq(vfio_resets(world, NVME), resets);
        ck_assert_uint_eq(polkit_asked(world), 2);

        /* closed in between: opened, and so reset, anew */
        grant_close_fds(grant);
        settled_fds(world);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:" NVME), "");
        ck_assert_uint_eq(vfio_resets(world, NVME), resets + 1);

        ck_assert_str_eq(grant_get_fds(grant, world->bus, "device:0000:06:0d.0"), INVALID_ARGS);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, "group:14"), INVALID_ARGS);
        ck_assert_str_eq(grant_get_fds(grant, world->bus, ",device:" EDU ",lifeline"), INVALID_ARGS);
        ck_assert_str_eq(lease_property(grant, "State"), "active");
}
END_TEST

START_TEST(further_descriptors_are_for_the_holder_only) {
        sd_bus *other = world_connect(world, OTHER), *same = world_connect(world, USER);
        Grant *grant = must_acquire(world->bus, NVME);

        ck_assert_str_eq(grant_get_fds(grant, other, "device:" NVME), REFUSED("NotHolder"));
        ck_assert_uint_eq(grant->n_fds, 2);
        ck_assert_str_eq(grant_get_fds(grant, same, "device:" NVME), "");
        ck_assert_uint_eq(grant->n_fds, 3);
        grant_free(grant);
        sd_bus_flush_close_unref(other);
        sd_bus_flush_close_unref(same);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("acquire");
        TCase *tcase = suite_add_case(suite, "acquire", make_world, end_world);

        tcase_add_test(tcase, device_comes_with_its_container_and_lifeline);
        tcase_add_test(tcase, attributes_say_what_there_is);
        tcase_add_test(tcase, descriptors_do_what_vfio_says);
        tcase_add_test(tcase, lease_is_an_object);
        tcase_add_test(tcase, whole_group_is_leased_and_only_what_was_wanted_is_opened);
        tcase_add_test(tcase, kernel_is_asked_in_the_order_of_vfio);
        tcase_add_test(tcase, several_groups_share_one_container);
        tcase_add_test(tcase, selectors_name_devices_and_groups);
        tcase_add_test(tcase, group_stands_for_what_is_on_a_vfio_driver);
        tcase_add_test(tcase, raw_mode_hands_out_the_group);
        tcase_add_test(tcase, raw_mode_asks_for_the_companions_too);
        tcase_add_test(tcase, daemon_keeps_groups_but_no_device);
        tcase_add_test(tcase, polkit_is_asked_once_a_device_with_its_facts);
        tcase_add_test(tcase, answer_is_never_kept);
        tcase_add_test(tcase, user_is_asked_only_where_the_call_allows_it);
        tcase_add_test(tcase, descriptors_can_be_had_again_by_role);
        if (world_is_root()) {
                tcase_add_test(tcase, root_is_not_asked_for);
                tcase_add_test(tcase, further_descriptors_are_for_the_holder_only);
        }
        tcase = suite_add_case(suite, "pages", make_world_of_cards, end_world);
        tcase_add_test(tcase, pages_hold_sixteen);
        return suite_run(suite);
}
