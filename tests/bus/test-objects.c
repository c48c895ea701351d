/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Groups of many devices, none of which is to be had for the others: what is told of all devices grows with their number,
 * and not with its square, since the bus throws out who sends too long a message. Nothing is lost for that: all of the
 * group can be read. What is counted are letters, so that it is the same on every machine.
 */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define GROUP  "77"
#define FEW    32
#define MANY   128
#define NAMED  4 /* of the others, where one device is told of */
#define WANTED 13

static World *world;
static unsigned n_devices;

static const char *address(unsigned device) {
        static char text[32];

        snprintf(text, sizeof(text), "0000:%02x:%02x.0", 0x20 + device / 16, device % 16);
        return text;
}

/* The last of them is on VFIO, and so is in nobody's way. */
static int build(Tree *tree) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < n_devices; i++)
                r = tree_add_pci(tree, &(TreePci) { .address = address(i), .driver = i + 1 < n_devices ? "e1000e" : "vfio-pci", .class = 0x020000,
                                                    .vendor = 0x8086, .device = 0x10d3, .group = 77, .numa_node = -1 });
        return r;
}

static void begin(unsigned n) {
        n_devices = n;
        world_start(&world, &(WorldSpec) { .build = build });
}

static void end(void) {
        world = world_stop(world);
}

static void make_world(void) {
        begin(MANY);
}

static const char *all_objects(void) {
        return ask(world->bus, VFB_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "");
}

static const char *all_devices(void) {
        return ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListDevices", "a{sv}t", 0, UINT64_C(0));
}

static unsigned count(const char *text, const char *what) {
        unsigned n = 0;

        for (; (text = strstr(text, what)); text += strlen(what))
                n++;
        return n;
}

/* "yes [(code severity device text data) ...]", of so many of the group from the @first on */
static const char *explain(unsigned first, unsigned n) {
        char wants[WANTED * 16] = "";

        for (unsigned i = 0; i < n; i++)
                sprintf(wants + strlen(wants), "%s%s", i > 0 ? "," : "", address(first + i));
        return request_explain(world->bus, &(Request) { .wants = wants });
}

/* One of four times as many is four times as long, but for what a number is longer, and that is not much. */
static void check_linear(const char *what, size_t few, size_t many) {
        printf("# %s: %zu letters for %d devices, %zu for %d\n", what, few, FEW, many, MANY);
        ck_assert_uint_gt(few, FEW);
        ck_assert_msg(many <= few * MANY / FEW * 102 / 100, "%s: %zu letters for %d devices, and %zu for %d", what, few, FEW, many, MANY);
}

START_TEST(what_is_told_of_all_devices_grows_with_their_number) {
        size_t objects, devices, explained;

        begin(FEW);
        objects = strlen(all_objects());
        devices = strlen(all_devices());
        explained = strlen(explain(0, 1 + (WANTED - 1) * FEW / MANY));
        end();

        begin(MANY);
        check_linear("GetManagedObjects", objects, strlen(all_objects()));
        check_linear("ListDevices", devices, strlen(all_devices()));
        check_linear("Explain", explained, strlen(explain(0, WANTED)));
        end();
}
END_TEST

START_TEST(device_names_some_that_stand_in_its_way_and_says_how_many_there_are) {
        const char *text = device_property(world, address(MANY - 1), "Blockers");

        ck_assert_uint_eq(count(text, "(NotViable "), NAMED + 1);
        ck_assert_uint_eq(count(text, "{device 0000:"), NAMED);
        ck_assert_msg(strstr(text, "IOMMU group " GROUP " holds still more that are on host drivers, 127 in all"), "%s", text);
        ck_assert_ptr_nonnull(strstr(text, "{fix see all of them: vfio-broker list group:" GROUP "}"));
        ck_assert_str_eq(device_property(world, address(MANY - 1), "Availability"), "not-viable");

        text = device_property(world, address(0), "Blockers");
        ck_assert_uint_eq(count(text, "(NotVfio "), 1);
        ck_assert_uint_eq(count(text, "{device 0000:"), 1 + NAMED);
        ck_assert_ptr_nonnull(strstr(text, ", 127 in all"));
}
END_TEST

START_TEST(group_names_all_that_stand_in_its_way) {
        const char *text = ask_property(world->bus, VFB_PATH_GROUP "/" GROUP, VFB_INTERFACE_GROUP, "Blockers");
        char line[64];

        ck_assert_uint_eq(count(text, "(NotViable "), MANY - 1);
        for (unsigned i = 0; i + 1 < MANY; i++) {
                snprintf(line, sizeof(line), "{device %s}", address(i));
                ck_assert_uint_eq(count(text, line), 1);
        }
        ck_assert_ptr_null(strstr(text, "in all"));
}
END_TEST

START_TEST(explain_names_all_of_a_group_once) {
        const char *text = explain(MANY - 1, 1);

        ck_assert_uint_eq(count(text, "(NotViable error "), MANY - 1);
        ck_assert_ptr_null(strstr(text, "in all"));

        text = explain(0, WANTED);
        ck_assert_uint_eq(count(text, "(NotVfio error "), WANTED);
        ck_assert_uint_eq(count(text, "(NotViable error "), MANY - 2 + (WANTED - 1) * (NAMED + 1));
        ck_assert_uint_eq(count(text, "goes along when "), MANY - 2);
}
END_TEST

START_TEST(explain_names_all_companions_once) {
        const char *text;

        for (unsigned i = 0; i + 1 < MANY; i++)
                ck_assert_int_ge(tree_set_driver(world->tree, address(i), "vfio-pci"), 0);
        text = explain(0, 1);
        ck_assert_msg(strncmp(text, "yes ", 4) == 0, "%s", text);
        ck_assert_uint_eq(count(text, "(Companion info "), MANY - 1);
        ck_assert_ptr_null(strstr(text, "in all"));

        text = explain(0, WANTED);
        ck_assert_uint_eq(count(text, "(Companion info "), MANY - 1 + (WANTED - 1) * (NAMED + 1));
        ck_assert_uint_eq(count(text, "Still more are in the same IOMMU group and are held with it, 127 in all"), WANTED - 1);
        ck_assert_str_eq(device_property(world, address(0), "Blockers"), "[]");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("objects");
        TCase *tcase = suite_add_case(suite, "objects", make_world, end);

        tcase_add_test(suite_add_case(suite, "sizes", NULL, NULL), what_is_told_of_all_devices_grows_with_their_number);
        tcase_add_test(tcase, device_names_some_that_stand_in_its_way_and_says_how_many_there_are);
        tcase_add_test(tcase, group_names_all_that_stand_in_its_way);
        tcase_add_test(tcase, explain_names_all_of_a_group_once);
        tcase_add_test(tcase, explain_names_all_companions_once);
        return suite_run(suite);
}
