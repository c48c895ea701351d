/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices without an IOMMU: what they are told, and that they are had only where that is allowed. */

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME  "0000:03:00.0"
#define EDU   "0000:01:00.0"
#define ALONE "0000:00:02.0"

static World *world;

/* The NVMe is in the mode, which is on. */
static int build_noiommu(Tree *tree) {
        int r = tree_add_document(tree);

        if (r >= 0)
                r = tree_write(tree, "sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
        if (r >= 0)
                r = tree_write(tree, "sys/kernel/iommu_groups/14/name", "vfio-noiommu\n");
        return r < 0 ? r : tree_write(tree, "dev/vfio/noiommu-14", "");
}

static int build_machine(Tree *tree) {
        int r = tree_add_document(tree);

        if (r >= 0)
                r = tree_write(tree, "proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
        if (r >= 0)
                r = tree_write(tree, "proc/cmdline", "quiet iommu=pt pcie_acs_override=downstream\n");
        return r < 0 ? r : tree_write(tree, "sys/firmware/acpi/tables/DMAR", "x");
}

static void make_refusing_world(void) {
        world_start(&world, &(WorldSpec) { .build = build_noiommu });
}

static void make_allowing_world(void) {
        world_start(&world, &(WorldSpec) { .build = build_noiommu, .config = "[Iommu]\nAllowNoIommu=yes\n" });
}

static void make_machine_world(void) {
        world_start(&world, &(WorldSpec) { .build = build_machine });
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *explain(const Request *request) {
        return request_explain(world->bus, request);
}

START_TEST(a_device_without_a_group_is_told_the_kernels_option) {
        const char *blockers = device_property(world, ALONE, "Blockers");
        struct utsname name;

        ck_assert_ptr_nonnull(strstr(blockers, "(IommuDisabled "));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = ALONE }), REFUSED("IommuDisabled"));
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Tainted"), "[acs-override]");
        if (uname(&name) < 0 || strcmp(name.machine, "x86_64") != 0)
                return; /* it has another option */

        ck_assert_msg(strstr(device_property(world, ALONE, "Blockers"), "boot with intel_iommu=on"), "%s", blockers);
        ck_assert_msg(strstr(explain(&(Request) { .wants = ALONE }), "and iommu=pt alone does not"), "%s", blockers);
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = ALONE }), REFUSED("IommuDisabled"));
        ck_assert_msg(strstr(ask_message(), "not told to use the IOMMU"), "%s", ask_message());
}
END_TEST

START_TEST(no_iommu_mode_is_refused) {
        ck_assert_str_eq(device_property(world, NVME, "Availability"), "no-iommu");
        ck_assert_str_eq(device_property(world, NVME, "Tainted"), "[noiommu]");
        ck_assert_str_eq(device_property(world, EDU, "Tainted"), "[]");
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Tainted"), "[noiommu]");
        ck_assert_ptr_nonnull(strstr(device_property(world, NVME, "Blockers"), "AllowNoIommu=yes"));
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Tainted"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .mode = "legacy-raw" }), REFUSED("Tainted"));
        ck_assert_uint_eq(vfio_called(world, "open"), 0);
        ck_assert_ptr_null(strstr(ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", ""), VFB_ACTION_NO_IOMMU));
        grant_free(must_acquire(world->bus, EDU));
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        check_nothing_held(world);
}
END_TEST

START_TEST(where_it_is_allowed_it_is_marked) {
        Grant *grant;

        ck_assert_str_eq(device_property(world, NVME, "Availability"), "available");
        ck_assert_str_eq(device_property(world, NVME, "Blockers"), "[]");
        ck_assert_ptr_nonnull(strstr(explain(&(Request) { .wants = NVME }), "(NoIommu warning " NVME));
        for (unsigned times = 1; times <= 3; times++) {
                grant = must_acquire(world->bus, NVME);
                ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Tainted"), "[noiommu]");
                ck_assert_ptr_nonnull(strstr(grant_find(grant, "container")->attributes, "noiommu"));
                ck_assert_uint_ge(vfio_called(world, "group-14 open 0"), times);
                grant_free(grant);
                WAIT_FOR(world, world_signals(world, "LeaseRemoved") == times);
                WAIT_FOR(world, is_free(world, NVME));
        }
        ck_assert_uint_ge(vfio_resets(world, NVME), 3);

        grant = must_acquire(world->bus, EDU);
        ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Tainted"), "[]");
        ck_assert_ptr_nonnull(strstr(grant_find(grant, "container")->attributes, "type1v2"));
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 4);
        check_nothing_held(world);
}
END_TEST

START_TEST(polkit_has_a_word_of_its_own_about_it) {
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_NO_IOMMU, "no");
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), DENIED);
        ck_assert_uint_eq(vfio_called(world, "open"), 0);
        grant_free(must_acquire(world->bus, EDU));
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        check_nothing_held(world);
}
END_TEST

/* By what way ever it comes to them. */
START_TEST(who_may_not_have_it_cannot_take_it_over) {
        sd_bus *other = world_connect(world, OTHER);
        Grant *grant = must_acquire(world->bus, NVME), *theirs = NULL;
        char token[64];

        snprintf(token, sizeof(token), "%s", ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "uid", "u", (uint32_t) OTHER));
        ck_assert_uint_eq(strlen(token), 32);
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_NO_IOMMU, "no");
        for (int times = 0; times < 5; times++)
                ck_assert_str_eq(grant_claim(&theirs, other, token), DENIED);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_NO_IOMMU, "yes");
        ck_assert_str_eq(grant_claim(&theirs, other, token), "");
        grant_free(grant);
        grant_free(theirs);
        sd_bus_flush_close_unref(other);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        check_nothing_held(world);
}
END_TEST

START_TEST(it_is_in_no_lease_with_others_nor_mediated) {
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME "," EDU }), REFUSED("Tainted"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME, .mode = "mediated" }), REFUSED("Tainted"));
        ck_assert_uint_eq(vfio_called(world, "open"), 0);
        ck_assert_str_eq(device_property(world, EDU, "Availability"), "available");
        check_nothing_held(world);
}
END_TEST

/* As the kernel makes the group when a VFIO driver takes a device in that mode. */
START_TEST(a_group_that_comes_later_is_recognized) {
        TreePci card = { .address = "0000:07:00.0", .driver = "vfio-pci", .reset_methods = "flr", .class = 0x020000, .vendor = 0x8086,
                         .device = 0x10d3, .group = 50, .numa_node = -1 };

        ck_assert_int_ge(tree_write(world->tree, "sys/kernel/iommu_groups/50/name", "vfio-noiommu\n"), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &card), 0);
        udev_send(world, "add", card.address);
        WAIT_FOR(world, world_signals(world, "DeviceNew " "0000:07:00.0") == 1);
        ck_assert_str_eq(device_property(world, card.address, "Tainted"), "[noiommu]");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = card.address }), REFUSED("Tainted"));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("iommu");
        TCase *refusing = suite_add_case(suite, "refusing", make_refusing_world, end_world);
        TCase *allowing = suite_add_case(suite, "allowing", make_allowing_world, end_world);
        TCase *machine = suite_add_case(suite, "machine", make_machine_world, end_world);

        tcase_add_test(machine, a_device_without_a_group_is_told_the_kernels_option);
        tcase_add_test(refusing, no_iommu_mode_is_refused);
        if (world_is_root()) {
                tcase_add_test(refusing, a_group_that_comes_later_is_recognized);
                tcase_add_test(allowing, who_may_not_have_it_cannot_take_it_over);
        }
        tcase_add_test(allowing, where_it_is_allowed_it_is_marked);
        tcase_add_test(allowing, polkit_has_a_word_of_its_own_about_it);
        tcase_add_test(allowing, it_is_in_no_lease_with_others_nor_mediated);
        return suite_run(suite);
}
