/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What there is and why it cannot be had, on the fake tree. */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker-world.h"
#include "errors.h"
#include "suite.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static BrokerTarget targets[BROKER_WANTS_MAX];
static unsigned n_targets;

static void refresh(const char *id) {
        ck_assert_int_eq(broker_refresh(broker, id), 0);
}

/* Of the selectors, separated by commas. */
static int resolve(const char *selectors) {
        BrokerWant wants[BROKER_WANTS_MAX];
        static char copy[4096];
        unsigned n = 0;

        snprintf(copy, sizeof(copy), "%s", selectors);
        for (char *p = strtok(copy, ","); p; p = strtok(NULL, ","))
                wants[n++] = (BrokerWant){ .selector = p };
        return broker_resolve(broker, wants, n, NULL, targets, &n_targets) ?: broker_look_again(broker, targets, n_targets);
}

static void examine(const char *selectors, uid_t uid) {
        BrokerRequest request;

        ck_assert_int_eq(resolve(selectors), 0);
        request = (BrokerRequest){ .targets = targets, .n_targets = n_targets, .label = "", .uid = uid, .sender = ":1.1" };
        findings_done(&findings);
        ck_assert_int_eq(broker_examine(broker, &request, &findings), 0);
}

/* The codes, in order: "NotVfio Companion". */
static const char *codes(void) {
        static char text[1024];

        text[0] = '\0';
        for (size_t i = 0; i < findings.n; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", findings.items[i].code);
        return text;
}

static const Finding *first(void) {
        const Finding *finding = findings_first_error(&findings);

        ck_assert_ptr_nonnull(finding);
        return finding;
}

START_TEST(all_that_the_tree_has_is_there) {
        ck_assert_uint_eq(broker_devices(broker)->n, 10);
        ck_assert_uint_eq(broker_groups(broker)->n, 6);
        ck_assert_uint_eq(broker_leases(broker)->n, 0);
        ck_assert_str_eq(find("0000:02:00.0")->facts.driver, "e1000e");
        ck_assert_uint_eq(find("0000:06:0d.1")->group->number, 26);
        ck_assert_ptr_null(find("0000:00:02.0")->group);
        ck_assert_ptr_null(broker_find_device(broker, "06:0d.0"));
        ck_assert_ptr_null(broker_find_group(broker, 27));
        ck_assert_ptr_null(broker_find_lease(broker, "l-000000"));
        ck_assert(broker_has_legacy(broker));
}
END_TEST

static const struct {
        const char *selector;
        unsigned n;
} selections[] = {
        { "0000:01:00.0", 1 }, { "01:00.0", 1 }, { "0000:01:00.1", 0 }, { "group:26", 2 }, { "group:27", 0 },
        { "vendor=8086", 4 }, { "class=nvme", 1 }, { "driver=none", 2 }, { "driver=vfio-pci", 7 }, { "is-vf=no", 10 }, { "is-vf=yes", 0 },
        { "vendor=8086 driver=vfio-pci", 3 }, { "0000:01:00.0 driver=none", 0 }, { "0000:01:00.0 group:12", 1 },
};

START_TEST(a_selector_finds_what_it_names) {
        const Device *devices[16] = {};
        unsigned n = 99;

        ck_assert_int_eq(broker_select(broker, selections[_i].selector, devices, 16, &n), 0);
        ck_assert_uint_eq(n, selections[_i].n);
        for (unsigned i = 0; i < n; i++)
                ck_assert_ptr_eq(devices[i], find(device_id(devices[i])));
        ck_assert_ptr_null(devices[n]);

        /* How many there are is said even where there is no room. */
        ck_assert_int_eq(broker_select(broker, selections[_i].selector, NULL, 0, &n), 0);
        ck_assert_uint_eq(n, selections[_i].n);
}
END_TEST

START_TEST(what_is_no_selector_selects_nothing) {
        const Device *device = NULL;
        unsigned n = 99;

        ck_assert_int_eq(broker_select(broker, "rubbish", &device, 1, &n), VFB_ERROR_INVALID_SELECTOR);
        ck_assert_ptr_null(device);
        ck_assert_uint_eq(n, 99);
        ck_assert_int_eq(resolve("0000:01:00.0,rubbish"), VFB_ERROR_INVALID_SELECTOR);
}
END_TEST

START_TEST(a_want_becomes_a_target) {
        ck_assert_int_eq(resolve("0000:01:00.0,vendor=8086,class=gpu vendor=ffff"), 0);
        ck_assert_uint_eq(n_targets, 3);
        ck_assert_ptr_eq(targets[0].device, find("0000:01:00.0"));
        ck_assert_uint_eq(targets[0].n_matches, 1);
        ck_assert_ptr_null(targets[1].device);
        ck_assert_uint_eq(targets[1].n_matches, 4);
        ck_assert_ptr_null(targets[2].device);
        ck_assert_uint_eq(targets[2].n_matches, 0);
}
END_TEST

START_TEST(a_group_becomes_its_devices_on_vfio) {
        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.1", "e1000"), 0);
        ck_assert_int_eq(resolve("group:26,group:15"), 0);
        ck_assert_uint_eq(n_targets, 3);
        ck_assert_ptr_eq(targets[0].device, find("0000:06:0d.0"));
        ck_assert_str_eq(targets[1].selector, "group:15");

        ck_assert_int_eq(resolve("group:13"), 0); /* on e1000e: nothing in it is for a program */
        ck_assert_uint_eq(n_targets, 1);
        ck_assert_ptr_null(targets[0].device);
        ck_assert_uint_eq(targets[0].n_matches, 0);
}
END_TEST

START_TEST(more_than_64_are_too_many) {
        char selectors[2048] = "";
        TreePci pci = { .driver = "vfio-pci", .vendor = 1, .device = 2, .group = 77 };
        char address[32];

        for (int i = 0; i < 65; i++) {
                snprintf(address, sizeof(address), "0001:00:%02x.%d", i / 8, i % 8);
                pci.address = address;
                ck_assert_int_eq(tree_add_pci(tree, &pci), 0);
                refresh(address);
                ck_assert_int_eq(resolve("group:77"), i < 64 ? 0 : VFB_ERROR_QUOTA_EXCEEDED);
                ck_assert(i == 64 || n_targets == (unsigned) i + 1);
        }
        ck_assert_int_eq(resolve("group:77,0000:01:00.0"), VFB_ERROR_QUOTA_EXCEEDED);
        for (int i = 0; i < 64; i++)
                strcat(selectors, "0000:01:00.0,");
        ck_assert_int_eq(resolve(selectors), 0);
        ck_assert_uint_eq(n_targets, 64);
}
END_TEST

START_TEST(what_is_meant_is_looked_at_anew) {
        uint64_t generation = find("0000:01:00.0")->generation;

        ck_assert_int_eq(tree_set_driver(tree, "0000:01:00.0", "nvme"), 0);
        ck_assert_int_eq(resolve("0000:01:00.0"), 0);
        ck_assert_str_eq(targets[0].device->facts.driver, "nvme");
        ck_assert_uint_eq(targets[0].device->generation, generation);

        ck_assert_int_eq(tree_remove(tree, "0000:01:00.0"), 0);
        ck_assert_int_eq(resolve("0000:01:00.0"), 0);
        ck_assert_ptr_null(targets[0].device);
        ck_assert(targets[0].gone);
        ck_assert_ptr_null(broker_find_device(broker, "0000:01:00.0"));
        ck_assert_ptr_null(broker_find_group(broker, 12));

        /* A sibling's driver counts, too. */
        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.1", "e1000"), 0);
        examine("0000:06:0d.0", 1000);
        ck_assert_str_eq(codes(), "NotViable");
}
END_TEST

static const struct {
        const char *selectors, *codes;
} answers[] = {
        { "0000:01:00.0", "" },
        { "0000:03:00.0,0000:01:00.0", "" },
        { "0000:06:0d.0", "Companion" },
        { "0000:06:0d.1", "NoReset Companion" },
        { "0000:00:10.0", "NoReset" },
        { "0000:02:00.0", "NotVfio" },
        { "0000:00:02.0", "IommuDisabled NotVfio" },
        { "0000:09:00.0", "NoSuchDevice" },
        { "vendor=8086", "AmbiguousSelector" },
        { "0000:01:00.0,01:00.0", "InvalidArgs" },
        { "group:15", "Companion Companion" },
        { "0000:09:00.0,0000:02:00.0,vendor=8086", "NoSuchDevice NotVfio AmbiguousSelector" },
        { "0000:01:00.0,0000:03:00.0,group:15", "Companion Companion QuotaExceeded" },
};

START_TEST(the_answer_is_in_order) {
        examine(answers[_i].selectors, 1000);
        ck_assert_str_eq(codes(), answers[_i].codes);
        ck_assert(LIST_EMPTY(&broker->users));
        for (size_t i = 0; i < findings.n; i++)
                ck_assert_int_eq(findings.items[i].severity == SEVERITY_ERROR, findings.items[i].error != VFB_ERROR_NONE);
}
END_TEST

START_TEST(a_driver_in_the_way_is_named) {
        examine("0000:02:00.0", 1000);
        ck_assert_int_eq(first()->error, VFB_ERROR_NOT_VFIO);
        ck_assert_str_eq(first()->device, "0000:02:00.0");
        ck_assert_str_eq(first()->culprit, "0000:02:00.0");
        ck_assert_str_eq(first()->driver, "e1000e");
        ck_assert_str_eq(first()->text, "0000:02:00.0 is bound to driver e1000e, not to a VFIO driver");
        ck_assert_ptr_nonnull(strstr(first()->fix, "vfio-broker bind 0000:02:00.0"));

        ck_assert_int_eq(tree_set_driver(tree, "0000:02:00.0", NULL), 0);
        examine("0000:02:00.0", 1000);
        ck_assert_str_eq(first()->text, "0000:02:00.0 is bound to no driver, not to a VFIO driver");
        ck_assert_str_eq(first()->driver, "");
}
END_TEST

START_TEST(a_culprit_in_the_group_is_named) {
        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.1", "e1000"), 0);
        examine("0000:06:0d.0", 1000);
        ck_assert_int_eq(first()->error, VFB_ERROR_NOT_VIABLE);
        ck_assert_str_eq(first()->device, "0000:06:0d.0");
        ck_assert_str_eq(first()->culprit, "0000:06:0d.1");
        ck_assert_str_eq(first()->driver, "e1000");
        ck_assert_str_eq(first()->text, "IOMMU group 26 also holds 0000:06:0d.1, which is on host driver e1000");
        ck_assert_str_eq(broker_availability(find("0000:06:0d.0")), "not-viable");
        ck_assert_str_eq(broker_availability(find("0000:06:0d.1")), "host");

        /* Without a driver it stands in nobody's way. */
        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.1", NULL), 0);
        examine("0000:06:0d.0", 1000);
        ck_assert_ptr_null(findings_first_error(&findings));
        ck_assert_str_eq(broker_availability(find("0000:06:0d.0")), "available");
}
END_TEST

START_TEST(a_lease_in_the_way_is_named) {
        Lease *lease = lease_out("0000:06:0d.1", 1001);

        for (int i = 0; i < 20; i++) {
                examine("0000:06:0d.0", 1000);
                ck_assert_str_eq(codes(), "Leased Companion");
        }
        ck_assert_str_eq(first()->lease, lease->id);
        ck_assert_ptr_nonnull(strstr(first()->text, lease->id));
        ck_assert_ptr_nonnull(strstr(first()->text, "uid 1001, active"));
        ck_assert_ptr_eq(find("0000:06:0d.0")->group->lease, lease);
        ck_assert_str_eq(broker_availability(find("0000:06:0d.0")), "leased");
        ck_assert_str_eq(broker_availability(find("0000:01:00.0")), "available");

        lease_free(lease);
        examine("0000:06:0d.0", 1000);
        ck_assert_ptr_null(findings_first_error(&findings));
}
END_TEST

START_TEST(a_quarantine_says_why_and_ends) {
        ck_assert_int_eq(broker_quarantine(broker, find("0000:01:00.0"), "it %s smokes", 0), 0);
        check_seen("~g12 ");
        examine("0000:01:00.0", 0);
        ck_assert_str_eq(codes(), "Quarantined");
        ck_assert_str_eq(first()->text, "0000:01:00.0 is quarantined: it %s smokes");
        ck_assert_str_eq(broker_availability(find("0000:01:00.0")), "quarantined");

        ck_assert_int_eq(broker_quarantine(broker, find("0000:01:00.0"), NULL, 0), 0);
        examine("0000:01:00.0", 1000);
        ck_assert_str_eq(codes(), "");

        ck_assert_int_eq(broker_quarantine(broker, find("0000:00:02.0"), "no group", 0), 0);
        check_seen("~g12 ~0000:00:02.0 ");
}
END_TEST

START_TEST(what_another_left_in_it_is_nobodys) {
        Device *device = find("0000:00:10.0");

        device->unclean = true;
        device->last_uid = 1000;
        examine("0000:00:10.0", 1000);
        ck_assert_str_eq(codes(), "NoReset");
        examine("0000:00:10.0", 1001);
        ck_assert_str_eq(codes(), "ResetFailed NoReset");
        examine("0000:00:10.0", 0);
        ck_assert_int_eq(first()->error, VFB_ERROR_RESET_FAILED);

        ck_assert_int_eq(broker_quarantine(broker, device, NULL, 0), 0);
        examine("0000:00:10.0", 1001);
        ck_assert_str_eq(codes(), "NoReset");
}
END_TEST

START_TEST(errors_come_in_the_order_of_what_to_do_first) {
        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.1", "e1000"), 0);
        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.0", "e1000"), 0);
        refresh("0000:06:0d.0");
        lease_out("0000:06:0d.0", 1001);
        ck_assert_int_eq(broker_quarantine(broker, find("0000:06:0d.0"), "why not", 0), 0);
        (find("0000:06:0d.0"))->unclean = true;
        examine("0000:06:0d.0", 1000);
        ck_assert_str_eq(codes(), "Leased Quarantined NotVfio NotViable ResetFailed Companion");
}
END_TEST

START_TEST(without_vfio_nothing_can_be_had) {
        char path[128];

        snprintf(path, sizeof(path), "%s/dev/vfio/vfio", tree_root(tree));
        ck_assert_int_eq(unlink(path), 0);
        examine("0000:01:00.0", 1000);
        ck_assert_str_eq(codes(), "BackendUnavailable");
        ck_assert(!broker_has_legacy(broker));
}
END_TEST

START_TEST(a_user_has_a_limit_and_so_have_all) {
        static const char *const ids[] = { "0000:00:10.0", "0000:06:0d.0", "0000:03:00.0", "0000:04:00.0" };

        broker->config = (Config){ .leases_max = 4, .leases_per_user_max = 3, .devices_per_lease_max = 1 };
        for (int i = 0; i < 3; i++)
                lease_out(ids[i], 1000);
        examine("0000:01:00.0", 1000);
        ck_assert_str_eq(codes(), "QuotaExceeded");
        ck_assert_str_eq(first()->text, "You have 3 leases, and a user may have 3");
        examine("0000:01:00.0", 1001);
        ck_assert_str_eq(codes(), "");

        lease_out(ids[3], 1001);
        examine("0000:01:00.0", 1001);
        ck_assert_str_eq(first()->text, "There are 4 leases, and no more are allowed");
        examine("0000:01:00.0,0000:02:00.0", 1002);
        ck_assert_str_eq(codes(), "NotVfio QuotaExceeded");
        ck_assert_str_eq(findings.items[1].text, "2 devices are wanted, and a lease may have 1");
}
END_TEST

START_TEST(a_groups_regions_are_told_whole) {
        BrokerRegion regions[4] = {};

        ck_assert_int_eq(tree_write(tree, "sys/kernel/iommu_groups/26/reserved_regions",
                                    "0x0000000000001000 0x0000000000001fff direct-relaxable\n"
                                    "0x00000000fee00000 0x00000000feefffff msi\n"), 0);
        ck_assert_int_eq(broker_group_regions(broker, broker_find_group(broker, 26), regions, 4), 2);
        ck_assert_uint_eq(regions[0].first, 0x1000);
        ck_assert_uint_eq(regions[0].last, 0x1fff);
        ck_assert_str_eq(regions[0].kind, "direct-relaxable");
        ck_assert_str_eq(regions[1].kind, "msi");
        ck_assert_int_eq(broker_group_regions(broker, broker_find_group(broker, 26), regions, 1), 1);
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, a_groups_regions_are_told_whole);
        tcase_add_test(tcase, all_that_the_tree_has_is_there);
        tcase_add_loop_test(tcase, a_selector_finds_what_it_names, 0, N_ELEMENTS(selections));
        tcase_add_test(tcase, what_is_no_selector_selects_nothing);
        tcase_add_test(tcase, a_want_becomes_a_target);
        tcase_add_test(tcase, a_group_becomes_its_devices_on_vfio);
        tcase_add_test(tcase, more_than_64_are_too_many);
        tcase_add_test(tcase, what_is_meant_is_looked_at_anew);
        tcase_add_loop_test(tcase, the_answer_is_in_order, 0, N_ELEMENTS(answers));
        tcase_add_test(tcase, a_driver_in_the_way_is_named);
        tcase_add_test(tcase, a_culprit_in_the_group_is_named);
        tcase_add_test(tcase, a_lease_in_the_way_is_named);
        tcase_add_test(tcase, a_quarantine_says_why_and_ends);
        tcase_add_test(tcase, what_another_left_in_it_is_nobodys);
        tcase_add_test(tcase, errors_come_in_the_order_of_what_to_do_first);
        tcase_add_test(tcase, without_vfio_nothing_can_be_had);
        tcase_add_test(tcase, a_user_has_a_limit_and_so_have_all);
}

int main(void) {
        Suite *suite = suite_create("broker");
        TCase *tcase = suite_add_case(suite, "broker", broker_world_begin, broker_world_end);

        add_tests(tcase);
        return suite_run(suite);
}
