/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/group.h"
#include "suite.h"

static DeviceList devices;
static GroupList groups;
static Group *group;

static void make_world(void) {
        devices = (DeviceList){};
        groups = (GroupList){};
        TAILQ_INIT(&devices.queue);
        TAILQ_INIT(&groups.queue);
        ck_assert_int_eq(group_get(&group, &groups, 26), 0);
}

static void end_world(void) {
        while (!TAILQ_EMPTY(&devices.queue))
                device_free(TAILQ_FIRST(&devices.queue));
        while (!TAILQ_EMPTY(&groups.queue))
                group_free(TAILQ_FIRST(&groups.queue));
        ck_assert_uint_eq(groups.n, 0);
        ck_assert_ptr_null(groups.by_number);
}

static Device *add(const char *id, const char *driver, bool vfio) {
        DeviceFacts facts = { .driver = driver, .vfio_driver = vfio };
        Device *device;

        snprintf(facts.id, sizeof(facts.id), "%s", id);
        ck_assert_int_eq(device_new(&device, &devices, &facts), 0);
        device_join(device, group);
        return device;
}

static const struct {
        const char *driver;
        bool vfio, blocks;
} drivers[] = {
        { "", false, false },
        { "pcieport", false, false },
        { "pci-stub", false, false },
        { "vfio-pci", true, false },
        { "mlx5_vfio_pci", true, false },
        { "e1000e", false, true },
        { "nvme", false, true },
        { "snd_hda_intel", false, true },
        { "vfio-pci", false, true }, /* the name alone proves nothing */
        { "pcieport2", false, true },
        { "pci", false, true },
        { "PCI-STUB", false, true },
        { " ", false, true },
        { "%s", false, true },
        { "pcieport", true, false },
};

START_TEST(a_driver_that_does_dma_for_the_host_blocks) {
        Device *device = add("0000:06:0d.0", drivers[_i].driver, drivers[_i].vfio);

        ck_assert_int_eq(device_is_blocker(device), drivers[_i].blocks);
        ck_assert_ptr_eq(group_first_blocker(group), drivers[_i].blocks ? device : NULL);
}
END_TEST

START_TEST(a_group_with_a_device_on_vfio_has_vfio) {
        ck_assert(!group_has_vfio(group));
        add("0000:06:0d.0", "vfio-pci", false);
        ck_assert(!group_has_vfio(group));
        add("0000:06:0d.1", "mine", true);
        ck_assert(group_has_vfio(group));
}
END_TEST

START_TEST(an_empty_group_has_no_blocker) {
        ck_assert_ptr_null(group_first_blocker(group));
        ck_assert(group_is_empty(group));
}
END_TEST

START_TEST(one_blocker_among_many_is_found) {
        Device *blocker;

        add("0000:06:0d.0", "vfio-pci", true);
        add("0000:06:0d.1", "pcieport", false);
        blocker = add("0000:06:0d.2", "e1000e", false);
        add("0000:06:0d.3", "", false);
        for (int i = 0; i < 20; i++)
                ck_assert_ptr_eq(group_first_blocker(group), blocker);
        blocker->facts.vfio_driver = true;
        ck_assert_ptr_null(group_first_blocker(group));
}
END_TEST

START_TEST(the_first_blocker_is_the_first_by_address) {
        Device *first;

        add("0000:06:0d.2", "e1000e", false);
        first = add("0000:06:0d.1", "nvme", false);
        add("0000:06:0d.3", "ahci", false);
        add("0000:06:0d.0", "vfio-pci", true);
        ck_assert_ptr_eq(group_first_blocker(group), first);
}
END_TEST

START_TEST(the_same_number_is_the_same_group) {
        Group *again, *other;

        ck_assert_int_eq(group_get(&again, &groups, 26), 0);
        ck_assert_ptr_eq(again, group);
        ck_assert_int_eq(group_get(&other, &groups, UINT_MAX), 0);
        ck_assert_ptr_eq(group_find(&groups, UINT_MAX), other);
        ck_assert_ptr_null(group_find(&groups, 0));
        ck_assert_uint_eq(groups.n, 2);
}
END_TEST

START_TEST(a_group_is_empty_without_devices_and_without_a_lease) {
        Lease *lease = (Lease *) &groups; /* only whether there is one is looked at */
        Device *device = add("0000:06:0d.0", "vfio-pci", true);

        ck_assert(!group_is_empty(group));
        group->lease = lease;
        device_free(device);
        ck_assert(!group_is_empty(group));
        group->lease = NULL;
        ck_assert(group_is_empty(group));
}
END_TEST

START_TEST(a_freed_group_lets_its_devices_go) {
        Device *a = add("0000:06:0d.0", "vfio-pci", true), *b = add("0000:06:0d.1", "vfio-pci", true);

        ck_assert_ptr_null(group_free(group));
        ck_assert_ptr_null(a->group);
        ck_assert_ptr_null(b->group);
        ck_assert_ptr_null(group_find(&groups, 26));
        ck_assert_uint_eq(devices.n, 2);
        ck_assert_ptr_null(group_free(NULL));
}
END_TEST

START_TEST(thousands_are_found) {
        Group *made;

        for (unsigned i = 0; i < 5000; i++) {
                ck_assert_int_eq(group_get(&made, &groups, i * 7919), 0);
                ck_assert_uint_eq(made->number, i * 7919);
        }
        for (unsigned i = 0; i < 5000; i++)
                ck_assert_uint_eq(group_find(&groups, i * 7919)->number, i * 7919);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("group");
        TCase *tcase = suite_add_case(suite, "group", make_world, end_world);

        tcase_add_loop_test(tcase, a_driver_that_does_dma_for_the_host_blocks, 0, sizeof(drivers) / sizeof(*drivers));
        tcase_add_test(tcase, a_group_with_a_device_on_vfio_has_vfio);
        tcase_add_test(tcase, an_empty_group_has_no_blocker);
        tcase_add_test(tcase, one_blocker_among_many_is_found);
        tcase_add_test(tcase, the_first_blocker_is_the_first_by_address);
        tcase_add_test(tcase, the_same_number_is_the_same_group);
        tcase_add_test(tcase, a_group_is_empty_without_devices_and_without_a_lease);
        tcase_add_test(tcase, a_freed_group_lets_its_devices_go);
        tcase_add_test(tcase, thousands_are_found);
        return suite_run(suite);
}
