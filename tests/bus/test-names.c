/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names that survive a new card, and requests that do not land on another device that has come to the same address. */

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define NVME     "0000:03:00.0"
#define EDU      "0000:01:00.0"
#define HOST     "0000:02:00.0"
#define SHARED   "0000:06:0d.0"
#define NIC_PATH "sys/devices/pci0000:00/" HOST "/"
#define MAC      "52:54:00:12:34:56"

static World *world;

/* A card with virtual functions behind a bridge, and two interfaces with addresses. */
static int build(Tree *tree) {
        static const TreePci bridge = { .address = "0000:00:1c.0", .class = 0x060400, .vendor = 0x1b36, .group = -1, .numa_node = -1 };
        TreePci card = { .address = "0000:07:00.0", .parent = bridge.address, .driver = "igb", .class = 0x020000, .vendor = 0x8086,
                         .device = 0x10c9, .group = 60, .numa_node = 1 };
        int r;

        r = tree_add_document(tree);
        if (r == 0)
                r = tree_add_pci(tree, &bridge);
        if (r == 0)
                r = tree_add_pci(tree, &card);
        for (int i = 0; r == 0 && i < 4; i++) {
                char address[32];

                snprintf(address, sizeof(address), "0000:0%d:10.%d", 7 + i / 2, i % 2 * 4);
                card = (TreePci) { .address = address, .parent = bridge.address, .driver = "vfio-pci", .physfn = "0000:07:00.0", .class = 0x020000,
                                   .vendor = 0x8086, .device = 0x10ca, .group = 61 + i, .numa_node = 1 };
                r = tree_add_pci(tree, &card);
        }
        if (r == 0)
                r = tree_write(tree, NIC_PATH "net/eth0/address", MAC "\n");
        if (r == 0)
                r = tree_write(tree, NIC_PATH "net/eth0/addr_assign_type", "0\n");
        if (r == 0)
                r = tree_write(tree, "sys/class/net/enp7s0/x", "\n");
        if (r == 0 && symlinkat("../../../0000:07:00.0", AT_FDCWD, strcat(strcpy((char[256]) {}, tree_root(tree)), "/sys/class/net/enp7s0/device")) < 0)
                r = -1;
        return r;
}

static const char aliases[] = "[Alias lab-nic]\nDevice=serial:" MAC "\n[Alias vf-two]\nDevice=pf=enp7s0 vf=2\n"
                              "[Alias disk]\nDevice=path:pci-0000:03:00.0\n[Alias edus]\nDevice=device=11e8\n";

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .config = aliases, .keep = true });
}

static void end_world(void) {
        world = world_stop(world);
}

/* The address of the one device that the selector names, or the refusal. */
static const char *device_of(const char *selector) {
        const char *path = ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", selector);

        return path[0] == '/' ? ask_property(world->bus, path, VFB_INTERFACE_DEVICE, "Id") : path;
}

START_TEST(selectors_name_devices) {
        static const struct {
                const char *selector, *answer;
        } cases[] = {
                { "path:pci-0000:00:1e.0/0d.1", "0000:06:0d.1" },
                { "path:pci-0000:00:1c.0/00.0", "0000:07:00.0" },
                { "path:pci-0000:00:1c.0/10.4+1", "0000:08:10.4" },
                { "path:pci-0000:00:1c.0/10.4", "0000:07:10.4" },
                { "path:pci-0000:00:1c.0/11.0", REFUSED("NoSuchDevice") },
                { "serial:" MAC, HOST },
                { "serial:" MAC " class=nvme", REFUSED("NoSuchDevice") },
                { "serial:other", REFUSED("NoSuchDevice") },
                { "alias:lab-nic", HOST },
                { "alias:lab-nic class=network", HOST },
                { "alias:lab-nic class=nvme", REFUSED("NoSuchDevice") },
                { "alias:vf-two", "0000:08:10.0" },
                { "alias:disk", NVME },
                { "alias:edus", REFUSED("AmbiguousSelector") },
                { "alias:edus numa=0", EDU },
                { "alias:unheard-of", REFUSED("NoSuchDevice") },
                { "pf=07:00.0 vf=0", "0000:07:10.0" },
                { "pf=enp7s0 vf=1", "0000:07:10.4" },
                { "pf=pci-0000:00:1c.0/00.0 vf=3", "0000:08:10.4" },
                { "pf=eth9 vf=1", REFUSED("NoSuchDevice") },
                { "pf=07:00.0", REFUSED("AmbiguousSelector") },
                { "numa=1 class=nvme", NVME },
                { "numa=none class=display", "0000:00:02.0" },
                { "serial:a b", REFUSED("InvalidSelector") },
                /* as ever */
                { "0000:03:00.0", NVME },
                { "03:00.0", NVME },
                { "class=nvme", NVME },
                { "vendor=8086 device=10d3", HOST },
                { "driver=e1000e", HOST },
                { "is-vf=yes", REFUSED("AmbiguousSelector") },
                { "group:14", NVME },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_msg(strcmp(device_of(cases[i].selector), cases[i].answer) == 0, "%s: %s", cases[i].selector,
                              device_of(cases[i].selector));
        ck_assert_str_eq(device_property(world, HOST, "PersistentIds"), "[path:pci-0000:02:00.0 serial:" MAC " alias:lab-nic]");
        ck_assert_str_eq(device_property(world, NVME, "PersistentIds"), "[path:pci-0000:03:00.0 alias:disk]");
        ck_assert_str_eq(device_property(world, "0000:08:10.0", "PersistentIds"), "[path:pci-0000:00:1c.0/10.0+1 alias:vf-two]");
        grant_free(must_acquire(world->bus, "alias:disk,path:pci-0000:01:00.0"));
}
END_TEST

/* What only the host's driver tells is known after it has gone, to the next service as well, and of no other device. */
START_TEST(serial_is_remembered_for_its_device_only) {
        char path[PATH_MAX];
        TreePci card = { .address = HOST, .driver = "vfio-pci", .reset_methods = "flr", .class = 0x020000, .vendor = 0x8086, .device = 0x10d3,
                         .subsystem_vendor = 0x8086, .group = 13, .numa_node = 0 };

        ck_assert_str_eq(bind_device(world, HOST), "");
        snprintf(path, sizeof(path), "%s/" NIC_PATH "net/eth0/address", tree_root(world->tree));
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_str_eq(device_property(world, HOST, "Driver"), "vfio-pci");
        ck_assert_str_eq(device_of("alias:lab-nic"), HOST);
        grant_free(must_acquire(world->bus, "serial:" MAC));

        world_crash_daemon(world);
        ck_assert_str_eq(device_of("serial:" MAC), HOST);

        /* Its twin in the same place, while nobody looked */
        world_end_daemon(world);
        ck_assert_int_ge(tree_remove(world->tree, HOST), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &card), 0);
        world_start_daemon(world);
        ck_assert_str_eq(device_property(world, HOST, "Driver"), "vfio-pci");
        ck_assert_str_eq(device_of("serial:" MAC), REFUSED("NoSuchDevice"));
        ck_assert_str_eq(device_property(world, HOST, "PersistentIds"), "[path:pci-0000:02:00.0]");
}
END_TEST

START_TEST(names_that_come_later_are_told) {
        ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/" NVME "/nvme/nvme0/serial", "S3X9  \n"), 0);
        ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/" NVME "/nvme/nvme0/state", "live\n"), 0);
        ck_assert_str_eq(device_of("serial:s3x9"), REFUSED("NoSuchDevice")); /* it is not on a host driver */
        ck_assert_int_ge(tree_set_driver(world->tree, NVME, "nvme"), 0);
        udev_send(world, "bind", NVME);
        WAIT_FOR(world, world_signals(world, "serial:S3X9") > 0);
        ck_assert_str_eq(device_of("serial:s3x9"), NVME);
        ck_assert_str_eq(device_property(world, NVME, "PersistentIds"), "[path:pci-0000:03:00.0 serial:S3X9 alias:disk]");
}
END_TEST

/* A device may say that it is another one: then it is nobody, rather than the wrong one. */
START_TEST(name_that_two_have_is_nobodys) {
        static const char *const selectors[] = { "serial:" MAC, "alias:lab-nic" };
        TreePci card = { .address = "0000:09:00.0", .driver = "e1000e", .class = 0x020000, .vendor = 0x8086, .device = 0x10d3, .group = 70,
                         .numa_node = -1 };

        ck_assert_int_ge(tree_add_pci(world->tree, &card), 0);
        ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/0000:09:00.0/net/eth9/address", MAC "\n"), 0);
        ck_assert_int_ge(tree_write(world->tree, "sys/devices/pci0000:00/0000:09:00.0/net/eth9/addr_assign_type", "0\n"), 0);
        udev_send(world, "add", card.address);
        WAIT_FOR(world, world_signals(world, "DeviceNew") == 1);
        for (size_t i = 0; i < 2; i++) {
                ck_assert_str_eq(device_of(selectors[i]), REFUSED("AmbiguousSelector"));
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = selectors[i] }), REFUSED("AmbiguousSelector"));
        }
        ck_assert_str_eq(device_of("serial:" MAC " numa=0"), HOST);
        ck_assert_int_ge(tree_remove(world->tree, card.address), 0);
        udev_send(world, "remove", card.address);
        WAIT_FOR(world, world_signals(world, "DeviceRemoved") == 1);
        ck_assert_str_eq(device_of("serial:" MAC), HOST);
        check_nothing_held(world);
}
END_TEST

/* polkit says yes, and what it was asked about has gone. */
static void check_verdict_is_for_nobody(Pending *pending) {
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending->answered);
        ck_assert_str_eq(pending->refusal, REFUSED("DeviceGone"));
        ck_assert_uint_eq(vfio_called(world, " open "), 0);
        pending_end(pending);
        check_nothing_held(world);
}

/* What the selector says is another device's by now, and polkit was asked about the one before. */
START_TEST(selector_that_means_another_device_by_then_gets_none) {
        TreePci card = { .address = "0000:09:00.0", .driver = "vfio-pci", .class = 0x010802, .vendor = 0x1b36, .device = 0x10, .group = 70,
                         .numa_node = -1 };
        Pending pending;

        polkit_set(world, "SetAnswer", "s", "silent");
        pending_start(&pending, world->bus, &(Request) { .wants = "class=nvme" });
        WAIT_FOR(world, polkit_waiting(world) == 1);
        ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &card), 0);
        udev_send(world, "remove", NVME);
        udev_send(world, "add", card.address);
        WAIT_FOR(world, world_signals(world, "DeviceNew") == 1);
        ck_assert_str_eq(device_of("class=nvme"), card.address);
        check_verdict_is_for_nobody(&pending);
}
END_TEST

START_TEST(polkit_hears_the_names) {
        const char *calls;

        grant_free(must_acquire(world->bus, "alias:disk"));
        calls = ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", "");
        ck_assert_ptr_nonnull(strstr(calls, "{device.path pci-0000:03:00.0}"));
        ck_assert_ptr_nonnull(strstr(calls, "{device.aliases disk}"));
        ck_assert_ptr_nonnull(strstr(calls, "{device.id " NVME "}"));
}
END_TEST

static int append_bind(sd_bus_message *m) {
        return sd_bus_message_append(m, "sa{sv}t", "", 0, UINT64_C(0));
}

static int append_flags(sd_bus_message *m) {
        return sd_bus_message_append(m, "t", UINT64_C(0));
}

static int append_quarantine(sd_bus_message *m) {
        return sd_bus_message_append(m, "st", "for a look", UINT64_C(0));
}

static int append_wants(sd_bus_message *m) {
        return sd_bus_message_append(m, "a(sa{sv})a{sv}", 1, HOST, 0, 0);
}

static int append_acquire(sd_bus_message *m) {
        int r = append_wants(m);

        return r < 0 ? r : append_flags(m);
}

static const struct {
        const char *method;
        int (*append)(sd_bus_message *m);
        const char *answer; /* begins with it */
} calls[] = {
        { "Acquire", append_acquire, REFUSED("DeviceGone") },
        { "Explain", append_wants, "no [(DeviceGone error " },
        { "Bind", append_bind, REFUSED("DeviceGone") },
        { "Restore", append_flags, REFUSED("DeviceGone") },
        { "Quarantine", append_quarantine, REFUSED("DeviceGone") },
        { "Unquarantine", append_flags, REFUSED("DeviceGone") },
};

/* Of the same make. The service has heard of it, or finds it at the second look. */
static void replace(const char *address, bool told) {
        TreePci card = { .address = address, .driver = "vfio-pci", .reset_methods = "flr", .class = 0x020000, .vendor = 0x8086, .device = 0x10d3,
                         .subsystem_vendor = 0x8086, .group = 13, .numa_node = 0 };

        ck_assert_int_ge(tree_remove(world->tree, address), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &card), 0);
        if (!told)
                return;

        udev_send(world, "remove", address);
        WAIT_FOR(world, world_signals(world, "DeviceRemoved") == 1);
        WAIT_FOR(world, world_signals(world, "DeviceNew") == 1);
}

static void check_call_misses(const char *method, int (*append)(sd_bus_message *m), const char *answer, bool told) {
        bool manager = append == append_acquire || append == append_wants;
        sd_bus_message *m = NULL;
        Call call;

        polkit_set(world, "SetAnswer", "s", "silent");
        ck_assert_int_ge(sd_bus_message_new_method_call(world->bus, &m, VFB_BUS_NAME, manager ? VFB_PATH : device_path(HOST),
                                                        manager ? VFB_INTERFACE_MANAGER : VFB_INTERFACE_DEVICE, method), 0);
        ck_assert_int_ge(append(m), 0);
        call_send(&call, world->bus, m);
        sd_bus_message_unref(m);
        WAIT_FOR(world, polkit_waiting(world) == 1);

        replace(HOST, told);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, call.answered);
        ck_assert_msg(strncmp(call.answer, answer, strlen(answer)) == 0, "%s: %s", method, call.answer);
        call_end(&call);
}

/* The one that came has nothing of what was meant for the other. */
static void check_untouched(void) {
        check_nothing_opened(world);
        ck_assert_str_eq(device_property(world, HOST, "Availability"), "available");
        ck_assert_str_eq(device_property(world, HOST, "RestoreDriver"), "");
}

START_TEST(what_waits_for_polkit_does_not_land_on_another_device) {
        if (strcmp(calls[_i].method, "Restore") == 0)
                ck_assert_str_eq(bind_device(world, HOST), "");
        check_call_misses(calls[_i].method, calls[_i].append, calls[_i].answer, true);
        check_untouched();
}
END_TEST

/* The kernel has replaced it, and the word of that is still on its way. */
START_TEST(twin_that_nobody_has_told_of_is_another_device) {
        check_call_misses("Acquire", append_acquire, REFUSED("DeviceGone"), false);
        check_untouched();
}
END_TEST

/* Whoever has the group's descriptor can open it, and polkit was asked about the one before. */
START_TEST(twin_of_a_companion_is_not_handed_out) {
        static const TreePci twin = { .address = "0000:06:0d.1", .parent = "0000:00:1e.0", .driver = "vfio-pci", .class = 0x020000, .vendor = 0x8086,
                                      .device = 0x100e, .subsystem_vendor = 0x1af4, .subsystem_device = 0x1100, .group = 26, .numa_node = -1 };
        Pending pending;

        polkit_set(world, "SetAnswer", "s", "silent");
        pending_start(&pending, world->bus, &(Request) { .wants = SHARED, .mode = "legacy-raw" });
        WAIT_FOR(world, polkit_waiting(world) == 1);
        polkit_set(world, "SetAnswer", "s", "yes");
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, "");
        ck_assert_uint_eq(polkit_asked(world), 2);
        pending_end(&pending);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        vfio_forget(world);

        polkit_set(world, "SetAnswer", "s", "silent");
        pending_start(&pending, world->bus, &(Request) { .wants = SHARED, .mode = "legacy-raw" });
        WAIT_FOR(world, polkit_waiting(world) == 1);
        polkit_set(world, "SetAnswer", "s", "yes");
        ck_assert_int_ge(tree_remove(world->tree, twin.address), 0);
        ck_assert_int_ge(tree_add_pci(world->tree, &twin), 0);
        check_verdict_is_for_nobody(&pending);
}
END_TEST

START_TEST(claim_does_not_land_on_another_device) {
        const char *token;
        sd_bus *other = world_connect(world, OTHER);
        Grant *grant;
        char devices[256];
        Call call;

        ck_assert_int_ge(tree_set_driver(world->tree, HOST, "vfio-pci"), 0);
        udev_send(world, "bind", HOST);
        WAIT_FOR(world, is_free(world, HOST));
        grant = must_acquire(world->bus, HOST "," EDU);
        token = ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 1, "uid", "u", OTHER);
        ck_assert_uint_eq(strlen(token), 32);

        polkit_set(world, "SetAnswer", "s", "silent");
        call_start(&call, other, VFB_PATH, VFB_INTERFACE_MANAGER, "Claim", "sa{sv}t", token, 0, UINT64_C(0));
        WAIT_FOR(world, polkit_waiting(world) == 1);
        replace(HOST, true);
        polkit_set(world, "SetAnswer", "s", "yes");
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, sd_bus_process(other, NULL) >= 0 && call.answered);
        ck_assert_str_eq(call.answer, REFUSED("DeviceGone"));

        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        snprintf(devices, sizeof(devices), "[%s]", device_path(EDU));
        ck_assert_str_eq(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Devices"), devices);
        call_end(&call);
        sd_bus_flush_close_unref(other);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("names");
        TCase *tcase = suite_add_case(suite, "names", make_world, end_world);

        tcase_add_test(tcase, selectors_name_devices);
        tcase_add_test(tcase, serial_is_remembered_for_its_device_only);
        tcase_add_test(tcase, polkit_hears_the_names);
        tcase_add_test(tcase, twin_that_nobody_has_told_of_is_another_device);
        tcase_add_test(tcase, twin_of_a_companion_is_not_handed_out);
        if (world_is_root()) {
                tcase_add_test(tcase, names_that_come_later_are_told);
                tcase_add_test(tcase, name_that_two_have_is_nobodys);
                tcase_add_test(tcase, selector_that_means_another_device_by_then_gets_none);
                tcase_add_loop_test(tcase, what_waits_for_polkit_does_not_land_on_another_device, 0, sizeof(calls) / sizeof(calls[0]));
                tcase_add_test(tcase, claim_does_not_land_on_another_device);
        }
        return suite_run(suite);
}
