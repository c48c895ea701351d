/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What devices are called, on the fake tree, which may be as odd as it likes. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel/names.h"
#include "suite.h"
#include "tree.h"

#define N_ELEMENTS(x) (sizeof(x) / sizeof((x)[0]))
#define NVME "sys/devices/pci0000:00/0000:03:00.0/"
#define NIC  "sys/devices/pci0000:00/0000:02:00.0/"

static Tree *tree;
static int sysfs;

static void add(const char *address, const char *parent, const char *physfn) {
        TreePci pci = { .address = address, .parent = parent, .physfn = physfn, .group = -1, .numa_node = -1 };

        ck_assert_int_eq(tree_add_pci(tree, &pci), 0);
}

static void make_world(void) {
        ck_assert_int_eq(tree_new(&tree), 0);
        ck_assert_int_eq(tree_add_document(tree), 0);
        sysfs = tree_open(tree, "sys");
        ck_assert_int_ge(sysfs, 0);
}

static void end_world(void) {
        close(sysfs);
        tree = tree_free(tree);
}

static void set(const char *path, const char *value) {
        ck_assert_int_eq(tree_write(tree, path, value), 0);
}

static void put_link(const char *address, const char *target) {
        char path[256];

        snprintf(path, sizeof(path), "bus/pci/devices/%s", address);
        unlinkat(sysfs, path, 0);
        ck_assert_int_eq(symlinkat(target, sysfs, path), 0);
}

static const char *path_of(const char *address, const char *physfn) {
        static char path[NAMES_PATH_MAX];
        int r;

        strcpy(path, "unchanged");
        r = names_path(sysfs, address, physfn, path, sizeof(path));
        if (r < 0)
                ck_assert_str_eq(path, "unchanged");
        return r < 0 ? strerrorname_np(-r) : path;
}

START_TEST(a_path_is_the_slots_below_the_root_bus) {
        ck_assert_str_eq(path_of("0000:00:10.0", ""), "pci-0000:00:10.0");
        ck_assert_str_eq(path_of("0000:06:0d.1", ""), "pci-0000:00:1e.0/0d.1");
        ck_assert_str_eq(path_of("0000:07:00.0", ""), "ENODEV");
        ck_assert_str_eq(path_of("../../etc", ""), "ENODEV");
}
END_TEST

/* A card in a slot before it, and all buses have other numbers. */
START_TEST(a_path_is_the_same_when_the_buses_are_numbered_anew) {
        char before[NAMES_PATH_MAX];

        add("0000:00:1c.0", NULL, NULL);
        add("0000:07:00.0", "0000:00:1c.0", NULL);
        add("0000:08:03.0", "0000:07:00.0", NULL);
        add("0000:09:00.2", "0000:08:03.0", NULL);
        strcpy(before, path_of("0000:09:00.2", ""));
        ck_assert_str_eq(before, "pci-0000:00:1c.0/00.0/03.0/00.2");
        ck_assert_int_eq(tree_remove(tree, "0000:00:1c.0"), 0);

        add("0000:00:1b.0", NULL, NULL);
        add("0000:07:00.0", "0000:00:1b.0", NULL);
        add("0000:00:1c.0", NULL, NULL);
        add("0000:18:00.0", "0000:00:1c.0", NULL);
        add("0000:19:03.0", "0000:18:00.0", NULL);
        add("0000:1a:00.2", "0000:19:03.0", NULL);
        ck_assert_str_eq(path_of("0000:1a:00.2", ""), before);
        ck_assert_str_ne(path_of("0000:07:00.0", ""), before);
}
END_TEST

START_TEST(virtual_functions_on_further_buses_are_counted_from_their_physical_one) {
        add("0000:00:1c.0", NULL, NULL);
        add("0000:07:00.0", "0000:00:1c.0", NULL);
        add("0000:07:00.1", "0000:00:1c.0", "0000:07:00.0");
        add("0000:08:00.1", "0000:00:1c.0", "0000:07:00.0");
        add("0000:09:1f.7", "0000:00:1c.0", "0000:07:00.0");
        ck_assert_str_eq(path_of("0000:07:00.1", "0000:07:00.0"), "pci-0000:00:1c.0/00.1");
        ck_assert_str_eq(path_of("0000:08:00.1", "0000:07:00.0"), "pci-0000:00:1c.0/00.1+1");
        ck_assert_str_eq(path_of("0000:09:1f.7", "0000:07:00.0"), "pci-0000:00:1c.0/1f.7+2");
        /* on the root bus */
        add("0000:01:10.0", NULL, "0000:00:10.0");
        ck_assert_str_eq(path_of("0000:01:10.0", "0000:00:10.0"), "pci-0000:00:10.0+1");
        ck_assert_str_eq(path_of("0000:07:00.1", "0000:09:00.0"), "EBADMSG");
        ck_assert_str_eq(path_of("0000:07:00.1", "nonsense"), "EBADMSG");
}
END_TEST

static const struct {
        const char *target, *path;
} targets[] = {
        { "../../../devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:1d.0/10000:e1:00.0", "pci-0000:00:0e.0/1d.0/00.0" },
        { "../../../devices/pci0000:00/0000:00:0e.0/pci10001:e0/10001:e0:1d.0/10000:e1:00.0", "pci-0000:00:0e.0/1d.0/00.0" },
        { "../../../devices/platform/soc/fd500000.pcie/pci0000:00/0000:00:00.0/10000:e1:00.0", "pci-0000:00:00.0/00.0" },
        { "nowhere", "EBADMSG" },
        { "../../../devices/pci0000:00", "EBADMSG" },
        { "../../../devices/pci0000:00/0000:00:0e.0", "EBADMSG" },
        { "../../../devices/pci0000:00/rubbish/10000:e1:00.0", "EBADMSG" },
        { "../../../devices/pci0000:00/\xff\xfe/10000:e1:00.0", "EBADMSG" },
        { "../../../devices/pci0000:00/10000:e1:00.0/0000:00:0e.0", "EBADMSG" },
        { "../../../devices/10000:e1:00.0", "EBADMSG" },
        { "../../../devices/pci0000:00/0000:00:01.0/0000:01:01.0/0000:02:01.0/0000:03:01.0/0000:04:01.0/0000:05:01.0/0000:06:01.0/0000:07:01.0/0000:08:01.0/"
          "0000:09:01.0/0000:0a:01.0/0000:0b:01.0/0000:0c:01.0/0000:0d:01.0/0000:0e:01.0/0000:0f:01.0/0000:10:01.0/10000:e1:00.0", "EFBIG" },
};

START_TEST(odd_ways_have_a_path_or_none) {
        put_link("10000:e1:00.0", targets[_i].target);
        ck_assert_str_eq(path_of("10000:e1:00.0", ""), targets[_i].path);
}
END_TEST

static const char *serial_of(const char *address) {
        static char serial[NAMES_SERIAL_MAX];
        int r;

        strcpy(serial, "unchanged");
        r = names_serial(sysfs, address, serial);
        if (r < 0) {
                ck_assert_int_eq(r, -ENODATA);
                ck_assert_str_eq(serial, "unchanged");
        }
        return r < 0 ? "" : serial;
}

START_TEST(a_disk_has_its_serial_once_it_is_live) {
        ck_assert_str_eq(serial_of("0000:03:00.0"), "");
        set(NVME "nvme/nvme0/serial", "S3X9NX0M           \n");
        ck_assert_str_eq(serial_of("0000:03:00.0"), "");
        set(NVME "nvme/nvme0/state", "connecting\n");
        ck_assert_str_eq(serial_of("0000:03:00.0"), "");
        set(NVME "nvme/nvme0/state", "live\n");
        ck_assert_str_eq(serial_of("0000:03:00.0"), "S3X9NX0M");
        ck_assert_str_eq(serial_of("0000:99:00.0"), "");
        ck_assert_str_eq(serial_of("../0000:03:00.0"), "");
}
END_TEST

START_TEST(a_network_card_has_the_address_that_it_came_with) {
        set(NIC "net/eth0/address", "52:54:00:12:34:56\n");
        ck_assert_str_eq(serial_of("0000:02:00.0"), "");
        set(NIC "net/eth0/addr_assign_type", "3\n"); /* somebody has set it */
        ck_assert_str_eq(serial_of("0000:02:00.0"), "");
        set(NIC "net/eth0/addr_assign_type", "0\n");
        ck_assert_str_eq(serial_of("0000:02:00.0"), "52:54:00:12:34:56");
        set(NIC "net/eth1/address", "52:54:00:12:34:55\n");
        set(NIC "net/eth1/addr_assign_type", "0\n");
        ck_assert_str_eq(serial_of("0000:02:00.0"), "52:54:00:12:34:55");
}
END_TEST

static const struct {
        const char *text, *serial;
} serials[] = {
        { "  test", "test" },
        { "a b", "a_b" },
        { "x vendor=8086", "x_vendor_8086" },
        { "\xff\xfe\x01%n", "____n" },
        { "", "" },
        { "     ", "" },
        { "0000000000", "" },
        { "____", "" },
        { "00:00:00:00:00:00", "" },
        { "0123456789012345678901234567890123456789012345678901234567890123", "" },
        { "a\nb", "a_b" },
};

/* What a card says of itself may be anything. */
START_TEST(a_serial_is_one_word_of_plain_letters) {
        set(NVME "nvme/nvme0/state", "live\n");
        set(NVME "nvme/nvme0/serial", serials[_i].text);
        ck_assert_str_eq(serial_of("0000:03:00.0"), serials[_i].serial);
}
END_TEST

START_TEST(an_interface_belongs_to_its_function) {
        char owner[PCI_ADDRESS_MAX] = "unchanged";

        set("sys/class/net/eth0/type", "1\n");
        ck_assert_int_eq(names_interface_owner(sysfs, "eth0", owner), -ENODATA);
        ck_assert_int_eq(symlinkat("../../../usb1/1-1", sysfs, "class/net/eth0/device"), 0);
        ck_assert_int_eq(names_interface_owner(sysfs, "eth0", owner), -ENODATA);
        ck_assert_int_eq(unlinkat(sysfs, "class/net/eth0/device", 0), 0);
        ck_assert_int_eq(symlinkat("../../../0000:02:00.0", sysfs, "class/net/eth0/device"), 0);
        ck_assert_int_eq(names_interface_owner(sysfs, "eth1", owner), -ENODATA);
        ck_assert_int_eq(names_interface_owner(sysfs, "../net/eth0", owner), -ENODATA);
        ck_assert_str_eq(owner, "unchanged");
        ck_assert_int_eq(names_interface_owner(sysfs, "eth0", owner), 0);
        ck_assert_str_eq(owner, "0000:02:00.0");
}
END_TEST

START_TEST(a_processor_is_on_its_node) {
        int node = 77;

        ck_assert_int_eq(names_cpu_node(sysfs, 3, &node), -ENOENT);
        set("sys/devices/system/cpu/cpu3/online", "1\n");
        set("sys/devices/system/cpu/cpu3/nodes/x", "\n");
        set("sys/devices/system/cpu/cpu3/node1x/x", "\n");
        ck_assert_int_eq(names_cpu_node(sysfs, 3, &node), -ENODATA);
        ck_assert_int_eq(node, 77);
        set("sys/devices/system/cpu/cpu3/node12/x", "\n");
        ck_assert_int_eq(names_cpu_node(sysfs, 3, &node), 0);
        ck_assert_int_eq(node, 12);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("names");
        TCase *tcase = suite_add_case(suite, "names", make_world, end_world);

        tcase_add_test(tcase, a_path_is_the_slots_below_the_root_bus);
        tcase_add_test(tcase, a_path_is_the_same_when_the_buses_are_numbered_anew);
        tcase_add_test(tcase, virtual_functions_on_further_buses_are_counted_from_their_physical_one);
        tcase_add_loop_test(tcase, odd_ways_have_a_path_or_none, 0, N_ELEMENTS(targets));
        tcase_add_test(tcase, a_disk_has_its_serial_once_it_is_live);
        tcase_add_test(tcase, a_network_card_has_the_address_that_it_came_with);
        tcase_add_loop_test(tcase, a_serial_is_one_word_of_plain_letters, 0, N_ELEMENTS(serials));
        tcase_add_test(tcase, an_interface_belongs_to_its_function);
        tcase_add_test(tcase, a_processor_is_on_its_node);
        return suite_run(suite);
}
