/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host needs its devices for. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/hostuse.h"
#include "tree.h"

#define NVME    "0000:03:00.0"
#define NIC     "0000:02:00.0"
#define DISPLAY "0000:00:02.0"

static Tree *tree;
static int sys, proc;

static int open_folder(const char *name) {
        char path[256];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", tree_root(tree), name);
        (void) mkdir(path, 0755);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        return fd;
}

static void put(const char *path, const char *text) {
        ck_assert_int_ge(tree_write(tree, path, text), 0);
}

static void put_link(const char *path, const char *target) {
        char full[512], folder[300];

        snprintf(folder, sizeof(folder), "%.*s.folder", (int) (strrchr(path, '/') - path + 1), path);
        put(folder, "");
        snprintf(full, sizeof(full), "%s/%s", tree_root(tree), path);
        ck_assert_int_eq(symlink(target, full), 0);
}

static void make_tree(void) {
        ck_assert_int_ge(tree_new(&tree), 0);
        ck_assert_int_ge(tree_add_document(tree), 0);
        sys = open_folder("sys");
        proc = open_folder("proc");
        put("proc/1/mountinfo", "22 1 0:21 / /sys rw - sysfs sysfs rw\n23 1 254:1 / / rw - ext4 /dev/vda1 rw\n");
        put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
        put_link("sys/class/block/nvme0n1", "../../devices/pci0000:00/" NVME "/nvme/nvme0/nvme0n1");
        put("sys/devices/pci0000:00/" NVME "/nvme/nvme0/nvme0n1/dev", "259:0\n");
        put_link("sys/class/block/nvme0n1p2", "../../devices/pci0000:00/" NVME "/nvme/nvme0/nvme0n1/nvme0n1p2");
        put("sys/devices/pci0000:00/" NVME "/nvme/nvme0/nvme0n1/nvme0n1p2/dev", "259:2\n");
        put_link("sys/class/net/eth7", "../../devices/pci0000:00/" NIC "/net/eth7");
        put("sys/devices/pci0000:00/" NIC "/net/eth7/flags", "0x1003\n");
        put_link("sys/class/net/lo", "../../devices/virtual/net/lo");
}

static void end_tree(void) {
        close(sys);
        close(proc);
        tree_free(tree);
}

/* "kind: text" of the only one, "" for none */
static const char *uses_of(const char *address) {
        static char text[256];
        HostUse uses[HOSTUSE_MAX];
        int n = hostuse_find(sys, proc, address, uses);

        ck_assert_int_ge(n, 0);
        ck_assert_int_le(n, 1);
        snprintf(text, sizeof(text), "%s: %s", uses[0].kind, uses[0].text);
        return n == 0 ? "" : text;
}

START_TEST(what_nobody_uses_is_free) {
        ck_assert_str_eq(uses_of(NVME), "");
        ck_assert_str_eq(uses_of(NIC), "");
        ck_assert_str_eq(uses_of("0000:01:00.0"), "");
        ck_assert_str_eq(uses_of(DISPLAY), "display: it is the display that the firmware has chosen");
}
END_TEST

START_TEST(mounted_disk_is_in_use) {
        put("proc/1/mountinfo", "23 1 254:1 / / rw - ext4 /dev/vda1 rw\n"
                                "40 1 259:2 / /srv/a\\040b rw,relatime shared:2 - ext4 /dev/nvme0n1p2 rw\n");
        ck_assert_str_eq(uses_of(NVME), "block: nvme0n1p2 is mounted on /srv/a b");
        ck_assert_str_eq(uses_of(NIC), "");

        /* a file system with a number of its own */
        put("proc/1/mountinfo", "40 1 0:43 / /srv rw - btrfs /dev/nvme0n1p2 rw\n");
        ck_assert_str_eq(uses_of(NVME), "block: nvme0n1p2 is mounted on /srv");
        put("proc/1/mountinfo", "40 1 0:43 / /srv rw - btrfs /dev/sda1 rw\n");
        put("sys/fs/btrfs/1234/devices/nvme0n1p2", "");
        ck_assert_str_eq(uses_of(NVME), "block: nvme0n1p2 is part of a mounted btrfs");
}
END_TEST

START_TEST(swap_and_what_lies_on_top_of_a_disk_is_use) {
        put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/nvme0n1p2 partition\t1\t0\t-2\n");
        ck_assert_str_eq(uses_of(NVME), "block: nvme0n1p2 is swap space");
        put("proc/swaps", "");
        put("sys/devices/pci0000:00/" NVME "/nvme/nvme0/nvme0n1/nvme0n1p2/holders/dm-0", "");
        ck_assert_str_eq(uses_of(NVME), "block: nvme0n1p2 is held by dm-0");
}
END_TEST

START_TEST(disk_of_several_paths_is_found_by_its_subsystem) {
        put_link("sys/class/block/nvme1n1", "../../devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1");
        put("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1/dev", "259:7\n");
        put_link("sys/class/nvme-subsystem/nvme-subsys1", "../../devices/virtual/nvme-subsystem/nvme-subsys1");
        put_link("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1", "../../../../pci0000:00/" NVME "/nvme/nvme1");
        put("proc/1/mountinfo", "40 1 259:7 / /data rw - ext4 /dev/nvme1n1 rw\n");
        ck_assert_str_eq(uses_of(NVME), "block: nvme1n1 is mounted on /data");
        ck_assert_str_eq(uses_of("0000:01:00.0"), "");
}
END_TEST

static const char route4[] = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
                             "%s\t%s\t0102A8C0\t0003\t0\t0\t100\t%s\t0\t0\t0\n";

static void put_route4(const char *interface, const char *destination, const char *mask) {
        char text[512];

        snprintf(text, sizeof(text), route4, interface, destination, mask);
        put("proc/self/net/route", text);
}

START_TEST(interface_of_the_default_route_is_in_use) {
        put_route4("eth7", "0002A8C0", "00FFFFFF");
        ck_assert_str_eq(uses_of(NIC), "");
        put_route4("eth8", "00000000", "00000000");
        ck_assert_str_eq(uses_of(NIC), "");
        put_route4("eth7", "00000000", "00000000");
        ck_assert_str_eq(uses_of(NIC), "network: the default route goes by eth7");
        put("sys/devices/pci0000:00/" NIC "/net/eth7/flags", "0x1002\n");
        ck_assert_str_eq(uses_of(NIC), "");
}
END_TEST

START_TEST(default_route_of_ipv6_counts_as_well) {
        static const char none[] = "00000000000000000000000000000000";
        char text[512];

        /* the kernel's own, that refuses */
        snprintf(text, sizeof(text), "%s 00 %s 00 %s ffffffff 00000001 00000000 00200200       lo\n", none, none, none);
        put("proc/self/net/ipv6_route", text);
        ck_assert_str_eq(uses_of(NIC), "");
        snprintf(text, sizeof(text), "%s 00 %s 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth7\n", none, none);
        put("proc/self/net/ipv6_route", text);
        ck_assert_str_eq(uses_of(NIC), "network: the default route goes by eth7");
}
END_TEST

START_TEST(default_route_over_a_bond_or_bridge_is_the_interfaces) {
        put_link("sys/class/net/br0", "../../devices/virtual/net/br0");
        put("sys/devices/virtual/net/br0/flags", "0x1003\n");
        put_link("sys/devices/pci0000:00/" NIC "/net/eth7/upper_br0", "../../../../virtual/net/br0");
        ck_assert_str_eq(uses_of(NIC), "");
        put_route4("br0", "00000000", "00000000");
        ck_assert_str_eq(uses_of(NIC), "network: the default route goes by eth7 below br0");
}
END_TEST

START_TEST(functions_on_host_drivers_would_go_with_the_driver) {
        TreePci vf = { .address = "0000:02:10.0", .physfn = NIC, .group = 30, .numa_node = -1 };

        ck_assert_int_ge(tree_add_pci(tree, &vf), 0);
        ck_assert_str_eq(uses_of(NIC), "");
        ck_assert_int_ge(tree_set_driver(tree, "0000:02:10.0", "vfio-pci"), 0);
        ck_assert_str_eq(uses_of(NIC), "");
        ck_assert_int_ge(tree_set_driver(tree, "0000:02:10.0", "igbvf"), 0);
        ck_assert_str_eq(uses_of(NIC), "sriov: its virtual function 0000:02:10.0 is on driver igbvf");
}
END_TEST

START_TEST(what_cannot_be_told_is_an_error) {
        HostUse uses[HOSTUSE_MAX];
        int nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);

        ck_assert_int_lt(hostuse_find(sys, nowhere, NVME, uses), 0);
        ck_assert_int_lt(hostuse_find(nowhere, proc, NVME, uses), 0);
        ck_assert_int_eq(hostuse_find(sys, proc, "../../x", uses), -EINVAL);
        close(nowhere);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("hostuse");
        TCase *tcase = tcase_create("hostuse");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        suite_add_tcase(suite, tcase);
        tcase_add_checked_fixture(tcase, make_tree, end_tree);
        tcase_add_test(tcase, what_nobody_uses_is_free);
        tcase_add_test(tcase, mounted_disk_is_in_use);
        tcase_add_test(tcase, swap_and_what_lies_on_top_of_a_disk_is_use);
        tcase_add_test(tcase, disk_of_several_paths_is_found_by_its_subsystem);
        tcase_add_test(tcase, interface_of_the_default_route_is_in_use);
        tcase_add_test(tcase, default_route_of_ipv6_counts_as_well);
        tcase_add_test(tcase, default_route_over_a_bond_or_bridge_is_the_interfaces);
        tcase_add_test(tcase, functions_on_host_drivers_would_go_with_the_driver);
        tcase_add_test(tcase, what_cannot_be_told_is_an_error);
        srunner_run_all(runner, CK_ENV);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
