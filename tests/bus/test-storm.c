/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Virtual functions that come and go by the dozen: one among 64 must cost no more than one among 8. What is counted are
 * looks at /sys and signals, so that it is the same however busy the machine is.
 */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define BRIDGE "0000:00:1c.0"
#define PF     "0000:05:00.0"
#define FEW    8
#define MANY   64

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document(tree);
        if (r >= 0)
                r = tree_add_pci(tree, &(TreePci) { .address = BRIDGE, .driver = "pcieport", .class = 0x060400, .group = 40, .numa_node = -1 });
        if (r >= 0)
                r = tree_add_pci(tree, &(TreePci) { .address = PF, .parent = BRIDGE, .driver = "nvme", .class = 0x010802, .vendor = 0x1b36,
                                                    .device = 0x0010, .group = 41, .numa_node = -1 });
        if (r >= 0)
                r = tree_add_sriov(tree, PF, MANY);
        return r < 0 ? r : tree_write(tree, "fake/looks", "");
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build });
        ask_property(world->bus, device_path(PF), VFB_INTERFACE_SRIOV, "Current"); /* that it is a card is found out once */
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *function(unsigned index) {
        static char address[32];

        snprintf(address, sizeof(address), "0000:05:%02x.%u", (index + 1) / 8, (index + 1) % 8);
        return address;
}

static uint64_t begin(void) {
        world_forget_signals(world);
        return vfio_looks(world);
}

/* Of what has begun then, when all of @n devices have been told of by @member. */
static unsigned end(uint64_t before, const char *member, unsigned n) {
        unsigned looks;

        WAIT_FOR(world, world_signals(world, member) >= n);
        looks = (unsigned) (vfio_looks(world) - before);
        printf("# %u of %s: %u looks at /sys\n", n, member, looks);
        ck_assert_uint_eq(world_signals(world, member), n);
        return looks;
}

/* The PF's own properties are told when all else is done, and not with each function. The broker looks at some functions
 * after each other before it does something else; what comes from outside may leave it time for that each time. */
static void check_signals_of_pf(unsigned n) {
        char line[160];

        snprintf(line, sizeof(line), "%s PropertiesChanged " VFB_INTERFACE_SRIOV, device_path(PF));
        WAIT_FOR(world, world_signals(world, line) > 0);
        ck_assert_uint_le(world_signals(world, line), n / 2);
}

/* But for one look a function, that is nobody's. */
static void check_linear(unsigned few, unsigned many) {
        ck_assert_msg(many * FEW <= (few + FEW) * MANY, "%u looks for %d functions, and %u for %d", few, FEW, many, MANY);
}

static unsigned set(unsigned count, const char *member, unsigned n) {
        uint64_t before = begin();

        ck_assert_int_eq(set_idle_functions(world, PF, count)[0], '[');
        return end(before, member, n);
}

START_TEST(function_that_the_broker_makes_costs_the_same_among_many) {
        unsigned few, few_gone, many;

        few = set(FEW, "DeviceNew", FEW);
        check_signals_of_pf(FEW);
        few_gone = set(0, "DeviceRemoved", FEW);

        many = set(MANY, "DeviceNew", MANY);
        check_linear(few, many);
        check_signals_of_pf(MANY);
        check_linear(few_gone, set(0, "DeviceRemoved", MANY));
        check_signals_of_pf(MANY);
}
END_TEST

static unsigned come(unsigned n) {
        uint64_t before = begin();

        for (unsigned i = 0; i < n; i++)
                ck_assert_int_ge(tree_add_pci(world->tree, &(TreePci) { .address = function(i), .parent = BRIDGE, .physfn = PF, .class = 0x010802,
                                                                        .vendor = 0x1b36, .device = 0x0010, .group = 1000 + (int) i,
                                                                        .numa_node = -1 }), 0);
        for (unsigned i = 0; i < n; i++)
                udev_send(world, "add", function(i));
        return end(before, "DeviceNew", n);
}

static unsigned go(unsigned n) {
        uint64_t before = begin();

        for (unsigned i = 0; i < n; i++) {
                ck_assert_int_ge(tree_remove(world->tree, function(i)), 0);
                udev_send(world, "remove", function(i));
        }
        return end(before, "DeviceRemoved", n);
}

START_TEST(function_that_udev_tells_of_costs_the_same_among_many) {
        unsigned few = come(FEW), few_gone = go(FEW), many;

        many = come(MANY);
        check_linear(few, many);
        ck_assert_str_eq(ask_property(world->bus, device_path(function(MANY - 1)), VFB_INTERFACE_PCI, "VirtualFunctionIndex"), "63");
        check_linear(few_gone, go(MANY));
}
END_TEST

/* Of each device that comes all its properties are told, and of all devices to whoever asks for all objects. */
START_TEST(what_takes_long_to_find_out_is_told_to_who_asks_for_it) {
        const char *all;

        set(FEW, "DeviceNew", FEW);
        ck_assert_uint_gt(world_signals(world, "{ResetMethods"), 0);
        ck_assert_uint_eq(world_signals(world, "HostUses") + world_signals(world, "ResetScope"), 0);
        all = ask(world->bus, VFB_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "");
        ck_assert(strstr(all, "ResetMethods") && !strstr(all, "HostUses") && !strstr(all, "ResetScope"));

        ck_assert_str_eq(device_property(world, function(0), "HostUses"), "[]");
        ck_assert_msg(strstr(device_property(world, function(0), "ResetScope"), device_path(PF)),
                      "%s", device_property(world, function(0), "ResetScope"));
        set(0, "DeviceRemoved", FEW);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("storm");
        TCase *tcase = suite_add_case(suite, "storm", make_world, end_world);

        tcase_add_test(tcase, what_takes_long_to_find_out_is_told_to_who_asks_for_it);
        tcase_add_test(tcase, function_that_the_broker_makes_costs_the_same_among_many);
        if (world_is_root())
                tcase_add_test(tcase, function_that_udev_tells_of_costs_the_same_among_many);
        return suite_run(suite);
}
