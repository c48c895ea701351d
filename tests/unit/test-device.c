/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/device.h"
#include "core/group.h"
#include "suite.h"

static DeviceList devices;
static GroupList groups;

static void make_world(void) {
        devices = (DeviceList){};
        groups = (GroupList){};
        TAILQ_INIT(&devices.queue);
        TAILQ_INIT(&groups.queue);
}

static void end_world(void) {
        while (!TAILQ_EMPTY(&devices.queue))
                device_free(TAILQ_FIRST(&devices.queue));
        while (!TAILQ_EMPTY(&groups.queue))
                group_free(TAILQ_FIRST(&groups.queue));
        ck_assert_uint_eq(devices.n, 0);
        ck_assert_ptr_null(devices.by_id);
        ck_assert_ptr_null(groups.by_number);
}

static Device *add(const char *id) {
        DeviceFacts facts = { .vendor = 0x8086 };
        Device *device;

        snprintf(facts.id, sizeof(facts.id), "%s", id);
        ck_assert_int_eq(device_new(&device, &devices, &facts), 0);
        return device;
}

START_TEST(a_new_device_is_found_and_nobodys) {
        Device *device = add("0000:01:00.0");

        ck_assert_ptr_eq(device_find(&devices, "0000:01:00.0"), device);
        ck_assert_ptr_null(device_find(&devices, "0000:01:00.1"));
        ck_assert_ptr_null(device_find(&devices, ""));
        ck_assert_str_eq(device_id(device), "0000:01:00.0");
        ck_assert_ptr_null(device->group);
        ck_assert_ptr_null(device->quarantine);
        ck_assert_int_eq(device->is_vf, -1);
        ck_assert(!device->unclean);
        ck_assert_uint_eq(devices.n, 1);
}
END_TEST

START_TEST(two_of_one_id_there_cannot_be) {
        Device *device = add("0000:01:00.0"), *second = NULL;
        uint64_t generation = device->generation;

        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(device_new(&second, &devices, &device->facts), -EEXIST);
        ck_assert_ptr_null(second);
        ck_assert_ptr_eq(device_find(&devices, "0000:01:00.0"), device);
        ck_assert_uint_eq(device->generation, generation);
        ck_assert_uint_eq(devices.n, 1);
}
END_TEST

START_TEST(a_generation_is_never_used_twice) {
        uint64_t last = 0;

        for (int i = 0; i < 1000; i++) {
                Device *device = add("0000:01:00.0");

                ck_assert_uint_gt(device->generation, last);
                last = device->generation;
                device_free(device);
                ck_assert_ptr_null(device_find(&devices, "0000:01:00.0"));
        }
}
END_TEST

START_TEST(devices_keep_the_order_of_their_appearance) {
        static const char *const ids[] = { "0000:03:00.0", "0000:01:00.0", "10000:02:00.0" };
        Device *device;
        int i = 0;

        for (i = 0; i < 3; i++)
                add(ids[i]);
        i = 0;
        TAILQ_FOREACH(device, &devices.queue, all)
                ck_assert_str_eq(device_id(device), ids[i++]);
        ck_assert_int_eq(i, 3);
}
END_TEST

START_TEST(a_device_moves_from_group_to_group) {
        Device *device = add("0000:01:00.0"), *other = add("0000:01:00.1");
        Group *old, *new;

        ck_assert_int_eq(group_get(&old, &groups, 1), 0);
        ck_assert_int_eq(group_get(&new, &groups, 2), 0);
        device_join(other, old);
        for (int i = 0; i < 20; i++) {
                device_join(device, old);
                ck_assert_ptr_eq(TAILQ_NEXT(other, siblings), device);
                device_join(device, old); /* it is there already */
                ck_assert_ptr_null(TAILQ_NEXT(device, siblings));
                device_join(device, new);
                ck_assert_ptr_eq(device->group, new);
                ck_assert_ptr_eq(TAILQ_FIRST(&new->devices), device);
                ck_assert_ptr_null(TAILQ_NEXT(other, siblings));
                device_join(device, NULL);
                ck_assert_ptr_null(device->group);
                ck_assert(TAILQ_EMPTY(&new->devices));
        }
        ck_assert_ptr_eq(other->group, old);
}
END_TEST

START_TEST(a_freed_device_leaves_its_group) {
        Device *device = add("0000:01:00.0");
        Group *group;

        ck_assert_int_eq(group_get(&group, &groups, 1), 0);
        device_join(device, group);
        ck_assert(!group_is_empty(group));
        ck_assert_ptr_null(device_free(device));
        ck_assert(group_is_empty(group));
        ck_assert_ptr_null(device_free(NULL));
}
END_TEST

START_TEST(a_quarantine_has_its_reason_until_it_is_lifted) {
        Device *device = add("0000:01:00.0");
        char reason[] = "smoke";

        ck_assert_int_eq(device_set_quarantine(device, reason), 0);
        reason[0] = 'S';
        ck_assert_str_eq(device->quarantine, "smoke");
        ck_assert_int_eq(device_set_quarantine(device, device->quarantine), 0);
        ck_assert_str_eq(device->quarantine, "smoke");
        ck_assert_int_eq(device_set_quarantine(device, "fire"), 0);
        ck_assert_str_eq(device->quarantine, "fire");
        ck_assert_int_eq(device_set_quarantine(device, NULL), 0);
        ck_assert_ptr_null(device->quarantine);
        ck_assert_int_eq(device_set_quarantine(device, NULL), 0);
        ck_assert_int_eq(device_set_quarantine(device, "again"), 0);
}
END_TEST

START_TEST(a_device_that_lists_a_reset_has_one) {
        Device *device = add("0000:01:00.0");

        ck_assert(!device_has_reset(device));
        device->facts.reset_methods = "flr bus";
        ck_assert(device_has_reset(device));
}
END_TEST

START_TEST(thousands_are_found) {
        char id[DEVICE_ID_MAX];

        for (unsigned i = 0; i < 5000; i++) {
                snprintf(id, sizeof(id), "%04x:%02x:%02x.%u", i / 2048, i / 256 % 8, i / 8 % 32, i % 8);
                add(id);
        }
        ck_assert_uint_eq(devices.n, 5000);
        for (unsigned i = 0; i < 5000; i++) {
                snprintf(id, sizeof(id), "%04x:%02x:%02x.%u", i / 2048, i / 256 % 8, i / 8 % 32, i % 8);
                ck_assert_str_eq(device_id(device_find(&devices, id)), id);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("device");
        TCase *tcase = suite_add_case(suite, "device", make_world, end_world);

        tcase_add_test(tcase, a_new_device_is_found_and_nobodys);
        tcase_add_test(tcase, two_of_one_id_there_cannot_be);
        tcase_add_test(tcase, a_generation_is_never_used_twice);
        tcase_add_test(tcase, devices_keep_the_order_of_their_appearance);
        tcase_add_test(tcase, a_device_moves_from_group_to_group);
        tcase_add_test(tcase, a_freed_device_leaves_its_group);
        tcase_add_test(tcase, a_quarantine_has_its_reason_until_it_is_lifted);
        tcase_add_test(tcase, a_device_that_lists_a_reset_has_one);
        tcase_add_test(tcase, thousands_are_found);
        return suite_run(suite);
}
