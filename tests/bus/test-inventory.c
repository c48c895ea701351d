/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What there is, as the bus tells it, against the tree that it is read from. */

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME   "0000:03:00.0"
#define SHARED "0000:06:0d.0"

static World *world;

static int build_nothing(Tree *tree) {
        return 0;
}

/* A virtual function, a group spoilt by the host, a driver with another name, a domain of VMD */
static int build_oddities(Tree *tree) {
        static const TreePci cards[] = {
                { "0000:81:00.0", NULL, "igb", "flr", NULL, 0x020000, 0x8086, 0x10c9, 0x8086, 0x0001, 40, 1, false },
                { "0000:81:10.0", NULL, "igb-vfio-pci", "flr", "0000:81:00.0", 0x020000, 0x8086, 0x10ca, 0x8086, 0x0001, 41, 1, false },
                { "0000:82:00.0", NULL, "vfio-pci", "flr", NULL, 0x020000, 0x15b3, 0x1017, 0, 0, 42, 0, false },
                { "0000:82:00.1", NULL, "mlx5_core", "flr", NULL, 0x020000, 0x15b3, 0x1017, 0, 0, 42, 0, false },
                { "0000:82:00.2", NULL, "pci-stub", NULL, NULL, 0x020000, 0x15b3, 0x1017, 0, 0, 42, 0, false },
                { "10000:e1:00.0", NULL, "vfio-pci", "flr", NULL, 0x010802, 0x144d, 0xa808, 0, 0, 43, -1, false },
        };

        for (size_t i = 0; i < sizeof(cards) / sizeof(cards[0]); i++) {
                int r = tree_add_pci(tree, &cards[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void make_odd_world(void) {
        world_start(&world, &(WorldSpec) { .build = build_oddities });
}

static void make_empty_world(void) {
        world_start(&world, &(WorldSpec) { .build = build_nothing });
}

static void make_world_of_systemd(void) {
        world_start(&world, &(WorldSpec) { .notify = true });
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *manager_property(const char *name) {
        return ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, name);
}

/* "ID DRIVER AVAILABILITY, ..." of the devices that match; checks path and reason on the way. A refusal as ask() has it. */
static const char *list(const char *selector, char ret[4096]) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *id, *path, *driver, *availability, *reason;
        size_t n = 0;
        int r;

        r = selector ? sd_bus_call_method(world->bus, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, "ListDevices", &error, &reply, "a{sv}t", 1,
                                          "selector", "s", selector, UINT64_C(0))
                     : sd_bus_call_method(world->bus, VFB_BUS_NAME, VFB_PATH, VFB_INTERFACE_MANAGER, "ListDevices", &error, &reply, "a{sv}t", 0, UINT64_C(0));
        ret[0] = '\0';
        if (r < 0) {
                snprintf(ret, 4096, "!%s", error.name);
                return ret;
        }
        ck_assert_int_ge(sd_bus_message_enter_container(reply, 'a', "(sosss)"), 0);
        while (sd_bus_message_read(reply, "(sosss)", &id, &path, &driver, &availability, &reason) > 0) {
                ck_assert_str_eq(path, device_path(id));
                ck_assert_int_eq(strcmp(availability, "available") == 0, reason[0] == '\0');
                n += snprintf(ret + n, 4096 - n, "%s%s %s %s", n ? ", " : "", id, driver[0] ? driver : "-", availability);
        }
        return ret;
}

START_TEST(list_says_what_the_tree_holds) {
        char text[4096];

        ck_assert_str_eq(list(NULL, text), "0000:00:02.0 - no-iommu, 0000:00:10.0 vfio-pci available, 0000:00:1e.0 - no-iommu, "
                                           "0000:01:00.0 vfio-pci available, 0000:02:00.0 e1000e host, 0000:03:00.0 vfio-pci available, "
                                           "0000:04:00.0 vfio-pci available, 0000:04:00.1 vfio-pci available, "
                                           "0000:06:0d.0 vfio-pci available, 0000:06:0d.1 vfio-pci available");
        ck_assert_uint_eq(polkit_asked(world), 0);
}
END_TEST

START_TEST(oddities_are_seen_for_what_they_are) {
        char text[4096];

        ck_assert_str_eq(list(NULL, text), "0000:81:00.0 igb host, 0000:81:10.0 igb-vfio-pci available, 0000:82:00.0 vfio-pci not-viable, "
                                           "0000:82:00.1 mlx5_core host, 0000:82:00.2 pci-stub host, 10000:e1:00.0 vfio-pci available");
        ck_assert_str_eq(list("is-vf=yes", text), "0000:81:10.0 igb-vfio-pci available");
        ck_assert_str_eq(ask_property(world->bus, device_path("0000:81:10.0"), VFB_INTERFACE_PCI, "PhysicalFunction"), device_path("0000:81:00.0"));
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/42", VFB_INTERFACE_GROUP, "Viable"), "no");
        ck_assert_ptr_nonnull(strstr(ask_property(world->bus, VFB_PATH_GROUP "/42", VFB_INTERFACE_GROUP, "Blockers"), "NotViable"));
        ck_assert_ptr_nonnull(strstr(device_property(world, "0000:82:00.0", "Blockers"), "{driver mlx5_core}"));
        ck_assert_ptr_nonnull(strstr(device_property(world, "0000:82:00.0", "Blockers"), "{device 0000:82:00.1}"));
        ck_assert_ptr_null(strstr(ask_property(world->bus, VFB_PATH_GROUP "/42", VFB_INTERFACE_GROUP, "Blockers"), "0000:82:00.2"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", "10000:e1:00.0"), device_path("10000:e1:00.0"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = "0000:82:00.0" }), REFUSED("NotViable"));
        check_nothing_held(world);
        grant_free(must_acquire(world->bus, "0000:81:10.0"));
}
END_TEST

START_TEST(selectors_choose) {
        static const struct {
                const char *selector, *list;
        } cases[] = {
                { NVME, "0000:03:00.0 vfio-pci available" },
                { "03:00.0", "0000:03:00.0 vfio-pci available" },
                { "group:26", "0000:06:0d.0 vfio-pci available, 0000:06:0d.1 vfio-pci available" },
                { "group:13", "0000:02:00.0 e1000e host" },
                { "group:99", "" },
                { "class=nvme", "0000:03:00.0 vfio-pci available" },
                { "class=0x0108", "0000:03:00.0 vfio-pci available" },
                { "class=0x010802", "0000:03:00.0 vfio-pci available" },
                { "class=network vendor=8086 device=10d3", "0000:02:00.0 e1000e host" },
                { "vendor=0x1b36", "0000:00:1e.0 - no-iommu, 0000:03:00.0 vfio-pci available" },
                { "driver=e1000e", "0000:02:00.0 e1000e host" },
                { "  class=0x01   vendor=1b36 ", "0000:03:00.0 vfio-pci available" },
                { "is-vf=yes", "" },
                { "class=nvme vendor=8086", "" },
                { "class=", REFUSED("InvalidSelector") },
                { "class=nvme colour=red", REFUSED("InvalidSelector") },
                { "eth0", REFUSED("InvalidSelector") },
                { "0000:03:00.8", REFUSED("InvalidSelector") },
        };
        char text[4096];

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_msg(strcmp(list(cases[i].selector, text), cases[i].list) == 0, "%s: %s", cases[i].selector, text);
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListDevices", "a{sv}t", 1, "colour", "s", "red", UINT64_C(0)),
                         REFUSED("InvalidOption"));
        ck_assert_int_ne(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListDevices", "a{sv}t", 1, "x-mine", "u", 7, UINT64_C(0))[0], '!');
}
END_TEST

START_TEST(get_device_wants_exactly_one) {
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", "06:0d.0"), device_path(SHARED));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", "class=nvme"), device_path(NVME));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", "group:26"), REFUSED("AmbiguousSelector"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", "07:00.0"), REFUSED("NoSuchDevice"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", "colour=red"), REFUSED("InvalidSelector"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", ""), REFUSED("InvalidSelector"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetLease", "s", "l-none"), REFUSED("NoSuchLease"));
}
END_TEST

START_TEST(groups_say_what_they_hold) {
        static const char *const rows[] = {
                "(9 " VFB_PATH_GROUP "/9 yes [0000:00:10.0])", "(12 " VFB_PATH_GROUP "/12 yes [0000:01:00.0])",
                "(13 " VFB_PATH_GROUP "/13 no [0000:02:00.0])", "(14 " VFB_PATH_GROUP "/14 yes [0000:03:00.0])",
                "(15 " VFB_PATH_GROUP "/15 yes [0000:04:00.0 0000:04:00.1])",
                "(26 " VFB_PATH_GROUP "/26 yes [0000:06:0d.0 0000:06:0d.1])",
        };
        const char *all = ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListGroups", "");
        char devices[256];
        size_t size = 2 + 5; /* brackets and spaces */

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                ck_assert_msg(strstr(all, rows[i]), "%s is not in %s", rows[i], all);
                size += strlen(rows[i]);
        }
        ck_assert_uint_eq(strlen(all), size);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "Number"), "26");
        snprintf(devices, sizeof(devices), "[%s %s]", device_path(SHARED), device_path("0000:06:0d.1"));
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "Devices"), devices);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "Viable"), "yes");
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "Blockers"), "[]");
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "DomainType"), "DMA-FQ");
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "ReservedRegions"), "[(4276092928 4277141503 msi)]");
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH_GROUP "/26", VFB_INTERFACE_GROUP, "Leases"), "[]");
        ck_assert_ptr_nonnull(strstr(ask_property(world->bus, VFB_PATH_GROUP "/99", VFB_INTERFACE_GROUP, "Number"), "!"));
}
END_TEST

START_TEST(device_says_what_sysfs_says) {
        static const struct {
                const char *interface, *name, *value;
        } cases[] = {
                { VFB_INTERFACE_DEVICE, "Id", NVME },
                { VFB_INTERFACE_DEVICE, "Kind", "pci" },
                { VFB_INTERFACE_DEVICE, "Driver", "vfio-pci" },
                { VFB_INTERFACE_DEVICE, "IsVfioDriver", "yes" },
                { VFB_INTERFACE_DEVICE, "Cdev", "" },
                { VFB_INTERFACE_DEVICE, "Group", VFB_PATH_GROUP "/14" },
                { VFB_INTERFACE_DEVICE, "NumaNode", "1" },
                { VFB_INTERFACE_DEVICE, "Availability", "available" },
                { VFB_INTERFACE_DEVICE, "Blockers", "[]" },
                { VFB_INTERFACE_DEVICE, "Lease", "/" },
                { VFB_INTERFACE_DEVICE, "ResetMethods", "[flr bus]" },
                { VFB_INTERFACE_DEVICE, "ResetScope", "[]" },
                { VFB_INTERFACE_PCI, "Address", NVME },
                { VFB_INTERFACE_PCI, "VendorId", "6966" },
                { VFB_INTERFACE_PCI, "DeviceId", "16" },
                { VFB_INTERFACE_PCI, "SubsystemVendorId", "6900" },
                { VFB_INTERFACE_PCI, "SubsystemDeviceId", "4352" },
                { VFB_INTERFACE_PCI, "Class", "67586" },
                { VFB_INTERFACE_PCI, "BootVga", "no" },
                { VFB_INTERFACE_PCI, "PhysicalFunction", "/" },
                { VFB_INTERFACE_PCI, "Bars", "[(0 1048576 0x40200)]" },
        };
        const char *path = device_path(NVME);

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_msg(strcmp(ask_property(world->bus, path, cases[i].interface, cases[i].name), cases[i].value) == 0, "%s: %s", cases[i].name,
                              ask_property(world->bus, path, cases[i].interface, cases[i].name));
        ck_assert_ptr_nonnull(strstr(ask_property(world->bus, path, VFB_INTERFACE_DEVICE, "SysfsPath"), "/devices/pci0000:00/" NVME));
        ck_assert_str_ne(ask_property(world->bus, path, VFB_INTERFACE_DEVICE, "Generation"), "0");
        ck_assert_str_eq(ask_property(world->bus, device_path("0000:00:02.0"), VFB_INTERFACE_PCI, "BootVga"), "yes");
        ck_assert_str_eq(device_property(world, "0000:00:02.0", "Group"), "/");
        ck_assert_str_eq(device_property(world, "0000:00:02.0", "NumaNode"), "-1");
        ck_assert_str_eq(device_property(world, "0000:00:10.0", "ResetMethods"), "[]");
        ck_assert_ptr_nonnull(strstr(device_property(world, "0000:07:00.0", "Id"), "!"));
        ck_assert_ptr_nonnull(strstr(ask_property(world->bus, VFB_PATH_DEVICE "/nonsense", VFB_INTERFACE_DEVICE, "Id"), "!"));
}
END_TEST

START_TEST(manager_says_what_it_is) {
        ck_assert_str_eq(manager_property("Version"), PROJECT_VERSION);
        ck_assert_str_eq(manager_property("Backends"), "[legacy]");
        ck_assert_str_eq(manager_property("DeviceKinds"), "[pci platform mdev ap ccw fsl-mc cdx amba]");
        ck_assert_str_eq(manager_property("Tainted"), "[]");
        ck_assert_str_eq(manager_property("NLeases"), "0");
        ck_assert_ptr_nonnull(strstr(manager_property("Features"), "mode:legacy-raw"));
        ck_assert_int_ge(tree_write(world->tree, "sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n"), 0);
        ck_assert_str_eq(manager_property("Tainted"), "[noiommu]");
        ck_assert_int_ge(tree_write(world->tree, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "1\n"), 0);
        ck_assert_str_eq(manager_property("Tainted"), "[noiommu unsafe-interrupts]");
}
END_TEST

START_TEST(object_manager_knows_all) {
        const char *all = ask(world->bus, VFB_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "");
        char object[256];
        unsigned n = 0;

        for (const char *p = all; (p = strstr(p, "{" VFB_PATH "/")); p++)
                n++;
        ck_assert_uint_eq(n, 10 + 6);
        snprintf(object, sizeof(object), "{%s [", device_path(NVME));
        ck_assert_ptr_nonnull(strstr(all, object));
        ck_assert_ptr_nonnull(strstr(strstr(all, object), "{" VFB_INTERFACE_DEVICE " [{Id " NVME "}"));
        ck_assert_ptr_nonnull(strstr(strstr(all, object), "{" VFB_INTERFACE_PCI " [{Address " NVME "}"));
        ck_assert_ptr_nonnull(strstr(all, "{" VFB_PATH_GROUP "/26 ["));
}
END_TEST

START_TEST(lease_comes_and_goes_in_the_object_manager) {
        Grant *grant = must_acquire(world->bus, NVME);
        char line[256];

        ck_assert_ptr_nonnull(strstr(ask(world->bus, VFB_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""), grant->lease));
        snprintf(line, sizeof(line), VFB_PATH " InterfacesAdded %s [", grant->lease);
        WAIT_FOR(world, world_signals(world, line) == 1);
        snprintf(line, sizeof(line), VFB_PATH " InterfacesRemoved %s [", grant->lease);
        ck_assert_uint_eq(world_signals(world, line), 0);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, line) == 1);
}
END_TEST

START_TEST(nothing_is_fine_too) {
        char text[4096];

        ck_assert_str_eq(list(NULL, text), "");
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListGroups", ""), "[]");
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListLeases", "t", UINT64_C(0)), "[]");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("NoSuchDevice"));
}
END_TEST

START_TEST(systemd_is_told_when_it_is_ready) {
        char text[512];
        ssize_t n;

        WAIT_FOR(world, (n = recv(world->notify_fd, text, sizeof(text) - 1, 0)) >= 0);
        text[n] = '\0';
        ck_assert_ptr_nonnull(strstr(text, "READY=1"));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("inventory");
        TCase *tcase = suite_add_case(suite, "inventory", make_world, end_world);

        tcase_add_test(tcase, list_says_what_the_tree_holds);
        tcase_add_test(tcase, selectors_choose);
        tcase_add_test(tcase, get_device_wants_exactly_one);
        tcase_add_test(tcase, groups_say_what_they_hold);
        tcase_add_test(tcase, device_says_what_sysfs_says);
        tcase_add_test(tcase, manager_says_what_it_is);
        tcase_add_test(tcase, object_manager_knows_all);
        tcase_add_test(tcase, lease_comes_and_goes_in_the_object_manager);
        tcase_add_test(suite_add_case(suite, "oddities", make_odd_world, end_world),
                       oddities_are_seen_for_what_they_are);
        tcase_add_test(suite_add_case(suite, "nothing", make_empty_world, end_world), nothing_is_fine_too);
        tcase_add_test(suite_add_case(suite, "systemd", make_world_of_systemd, end_world),
                       systemd_is_told_when_it_is_ready);
        return suite_run(suite);
}
