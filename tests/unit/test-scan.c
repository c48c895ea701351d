/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/scan.h"
#include "suite.h"
#include "tree.h"

#define N_ELEMENTS(x) (sizeof(x) / sizeof((x)[0]))

#define DEVICE "sys/bus/pci/devices/0000:06:0d.0/"

static Tree *tree;
static int sysfs;

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

static PciFacts scan(const char *address) {
        PciFacts facts;

        ck_assert_int_eq(scan_pci(sysfs, address, &facts), 0);
        return facts;
}

static void set(const char *path, const char *value) {
        ck_assert_int_eq(tree_write(tree, path, value), 0);
}

static void set_link(const char *name, const char *target) {
        char path[256];

        snprintf(path, sizeof(path), "bus/pci/devices/0000:06:0d.0/%s", name);
        unlinkat(sysfs, path, 0);
        ck_assert_int_eq(symlinkat(target, sysfs, path), 0);
}

static const char *const good[] = {
        "0000:00:00.0", "0000:06:0d.0", "ffff:ff:1f.7", "10000:e1:00.0", "abcdef01:00:00.0",
};

START_TEST(good_addresses_are_valid) {
        ck_assert(pci_address_is_valid(good[_i]));
}
END_TEST

static const char *const bad[] = {
        "", ".", "..", "0000:06:0d", "0000:06:0d.", "0000:06:0d.8", "0000:06:0d.0 ", " 0000:06:0d.0",
        "0000:06:0d.0/", "0000:06:0d.00", "000:06:0d.0", "06:0d.0", "0000:06:0D.0", "0000:06:2d.0",
        "0000:6:0d.0", "0000:06:0d:0", "0000.06.0d.0", "00000:06:0d.0", "123456789:06:0d.0", "0000:06:0d.0\n",
        "../0000:06:0d.0", "0000:06:0g.0", "0000",
};

START_TEST(bad_addresses_are_not) {
        ck_assert(!pci_address_is_valid(bad[_i]));
        ck_assert_int_eq(scan_pci(sysfs, bad[_i], &(PciFacts){ 0 }), -ENODEV);
        ck_assert_int_eq(scan_pci_syspath(sysfs, bad[_i], (char[PATH_MAX]){ 0 }, PATH_MAX), -ENODEV);
}
END_TEST

START_TEST(a_function_is_what_the_tree_says) {
        PciFacts facts = scan("0000:03:00.0");

        ck_assert_str_eq(facts.address, "0000:03:00.0");
        ck_assert_str_eq(facts.driver, "vfio-pci");
        ck_assert_str_eq(facts.modalias, "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02");
        ck_assert_uint_eq(facts.class, 0x010802);
        ck_assert_uint_eq(facts.vendor, 0x1b36);
        ck_assert_uint_eq(facts.device, 0x0010);
        ck_assert_uint_eq(facts.subsystem_vendor, 0x1af4);
        ck_assert_uint_eq(facts.subsystem_device, 0x1100);
        ck_assert_int_eq(facts.group, 14);
        ck_assert_int_eq(facts.numa_node, 1);
        ck_assert(facts.vfio_driver);
        ck_assert_str_eq(facts.reset_methods, "flr bus");
        ck_assert_uint_eq(facts.n_bars, 1);
        ck_assert_uint_eq(facts.bars[0].index, 0);
        ck_assert_uint_eq(facts.bars[0].size, 0x100000);
        ck_assert_uint_eq(facts.bars[0].flags, 0x40200);
}
END_TEST

START_TEST(what_is_not_there_is_empty) {
        PciFacts facts = scan("0000:00:02.0");

        ck_assert_str_eq(facts.driver, "");
        ck_assert_int_eq(facts.group, -1);
        ck_assert_int_eq(facts.numa_node, -1);
        ck_assert(!facts.vfio_driver);
        ck_assert_str_eq(facts.reset_methods, "");
}
END_TEST

START_TEST(a_vfio_driver_is_known_by_its_folder_and_not_by_its_name) {
        ck_assert(!scan("0000:02:00.0").vfio_driver);
        ck_assert_int_eq(tree_set_driver(tree, "0000:02:00.0", "e1000e-vfio-pci"), 0);
        ck_assert(scan("0000:02:00.0").vfio_driver);
        ck_assert_int_eq(tree_set_driver(tree, "0000:02:00.0", "e1000e"), 0);
        ck_assert(!scan("0000:02:00.0").vfio_driver);
}
END_TEST

typedef struct List {
        char addresses[32][PCI_ADDRESS_MAX];
        unsigned n;
        int stop_with;
        const char *remove;
} List;

static int add_to_list(const PciFacts *facts, void *userdata) {
        List *list = userdata;

        ck_assert_uint_lt(list->n, 32);
        memcpy(list->addresses[list->n++], facts->address, PCI_ADDRESS_MAX);
        if (list->remove)
                tree_remove(tree, list->remove);
        list->remove = NULL;
        return list->stop_with;
}

START_TEST(all_functions_come_in_order_of_address) {
        static const char *const expected[] = {
                "0000:00:02.0", "0000:00:10.0", "0000:00:1e.0", "0000:01:00.0", "0000:02:00.0", "0000:03:00.0",
                "0000:04:00.0", "0000:04:00.1", "0000:06:0d.0", "0000:06:0d.1", "1000:00:00.0", "10000:00:00.0",
        };
        List list = { 0 };

        /* As text, the domain of five digits would come before the one of four. */
        ck_assert_int_eq(tree_add_pci(tree, &(TreePci){ .address = "10000:00:00.0", .group = -1 }), 0);
        ck_assert_int_eq(tree_add_pci(tree, &(TreePci){ .address = "1000:00:00.0", .group = -1 }), 0);
        ck_assert_int_eq(scan_pci_all(sysfs, NULL, add_to_list, &list), 0);
        ck_assert_uint_eq(list.n, 12);
        for (unsigned i = 0; i < list.n; i++)
                ck_assert_str_eq(list.addresses[i], expected[i]);
}
END_TEST

START_TEST(the_first_non_zero_stops_the_scan) {
        List list = { .stop_with = 7 };

        ck_assert_int_eq(scan_pci_all(sysfs, NULL, add_to_list, &list), 7);
        ck_assert_uint_eq(list.n, 1);
        list.stop_with = -ECANCELED;
        ck_assert_int_eq(scan_pci_all(sysfs, NULL, add_to_list, &list), -ECANCELED);
        ck_assert_uint_eq(list.n, 2);
}
END_TEST

START_TEST(a_function_that_vanishes_meanwhile_is_passed_over) {
        List list = { .remove = "0000:00:1e.0" };

        ck_assert_int_eq(scan_pci_all(sysfs, NULL, add_to_list, &list), 0);
        ck_assert_uint_eq(list.n, 7);
        ck_assert_str_eq(list.addresses[6], "0000:04:00.1");
        ck_assert_int_eq(scan_pci(sysfs, "0000:06:0d.0", &(PciFacts){ 0 }), -ENODEV);
}
END_TEST

START_TEST(one_that_makes_no_sense_does_not_spoil_the_others) {
        List list = { 0 };

        set(DEVICE "uevent", "rubbish");
        mkdirat(sysfs, "bus/pci/devices/rubbish", 0700);
        ck_assert_int_eq(scan_pci_all(sysfs, NULL, add_to_list, &list), 0);
        ck_assert_uint_eq(list.n, 9);
}
END_TEST

START_TEST(without_a_pci_bus_the_scan_says_so) {
        _cleanup_(closep) int empty = openat(sysfs, "kernel", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        List list = { 0 };

        ck_assert_int_eq(scan_pci_all(empty, NULL, add_to_list, &list), -ENOENT);
        ck_assert_int_eq(scan_pci(empty, "0000:06:0d.0", &(PciFacts){ 0 }), -ENODEV);
        ck_assert_uint_eq(list.n, 0);
}
END_TEST

#define CLASS  "PCI_CLASS=FF00\n"
#define ID     "PCI_ID=1234:11E8\n"
#define SUBSYS "PCI_SUBSYS_ID=1AF4:1100\n"
#define SLOT   "PCI_SLOT_NAME=0000:06:0d.0\n"

static const char *const hostile_uevents[] = {
        "", "\n\n\n", "=", "PCI_CLASS", CLASS ID, CLASS SLOT, ID SLOT,
        ID SLOT "PCI_CLASS=\n", ID SLOT "PCI_CLASS=1000000\n", ID SLOT "PCI_CLASS=-1\n",
        ID SLOT "PCI_CLASS= 1\n", ID SLOT "PCI_CLASS=0x1\n", ID SLOT "PCI_CLASS=1x\n",
        ID SLOT "PCI_CLASS=10000000000000001\n", ID SLOT "PCI_CLASS=FF00 \n",
        CLASS SLOT "PCI_ID=\n", CLASS SLOT "PCI_ID=1234\n", CLASS SLOT "PCI_ID=1234:\n",
        CLASS SLOT "PCI_ID=:1234\n", CLASS SLOT "PCI_ID=12345:1\n", CLASS SLOT "PCI_ID=1:12345\n",
        CLASS SLOT "PCI_ID=1234:11E8:1\n", CLASS SLOT "PCI_ID=-1:1\n", CLASS SLOT "PCI_ID=1234 :1\n",
        CLASS ID SLOT "PCI_SUBSYS_ID=zz:zz\n",
        CLASS ID "PCI_SLOT_NAME=0000:06:0d.1\n", CLASS ID "PCI_SLOT_NAME=\n",
        CLASS ID SLOT "DRIVER=\xff\n", CLASS ID SLOT "DRIVER=a\x1b[31m\n",
        CLASS ID SLOT "DRIVER=0123456789012345678901234567890123456789012345678901234567890123\n",
        CLASS ID SLOT "MODALIAS=\xc3\x28\n",
};

START_TEST(a_hostile_uevent_is_refused_as_a_whole) {
        PciFacts facts = { .group = 4711 };

        set(DEVICE "uevent", hostile_uevents[_i]);
        ck_assert_int_eq(scan_pci(sysfs, "0000:06:0d.0", &facts), -EBADMSG);
        ck_assert_int_eq(facts.group, 4711);
}
END_TEST

START_TEST(a_uevent_of_ours_is_read_without_its_optional_keys) {
        set(DEVICE "uevent", SLOT ID CLASS "UNKNOWN=\xff\nno key at all");
        ck_assert_uint_eq(scan("0000:06:0d.0").class, 0xff00);
        ck_assert_uint_eq(scan("0000:06:0d.0").subsystem_vendor, 0);
        set(DEVICE "uevent", CLASS ID SUBSYS SLOT
            "DRIVER=012345678901234567890123456789012345678901234567890123456789012");
        ck_assert_uint_eq(strlen(scan("0000:06:0d.0").driver), 63);
}
END_TEST

START_TEST(a_huge_uevent_is_refused) {
        static char huge[8192];

        memset(huge, 'x', sizeof(huge) - 1);
        memcpy(huge, CLASS ID SLOT, strlen(CLASS ID SLOT));
        set(DEVICE "uevent", huge);
        ck_assert_int_eq(scan_pci(sysfs, "0000:06:0d.0", &(PciFacts){ 0 }), -EBADMSG);

        /* A full page is what the kernel may say. */
        huge[4096] = '\0';
        set(DEVICE "uevent", huge);
        ck_assert_uint_eq(scan("0000:06:0d.0").vendor, 0x1234);
}
END_TEST

static const char *const hostile_links[] = {
        "../-1", "../x", "../", "../26x", "..", "../2147483648", "../99999999999999999999", "../ 26", "../+26",
        "../0123456789012345678901234567890123456789",
};

START_TEST(a_group_link_that_is_no_number_is_no_group) {
        set_link("iommu_group", "../2147483647");
        ck_assert_int_eq(scan("0000:06:0d.0").group, 2147483647);
        set_link("iommu_group", hostile_links[_i]);
        ck_assert_int_eq(scan("0000:06:0d.0").group, -1);
}
END_TEST

START_TEST(hostile_details_are_ignored) {
        static const char *const nodes[] = { "-1\n", "-7\n", "", "x", "99999999999", "1 2", "0x1" };

        for (size_t i = 0; i < N_ELEMENTS(nodes); i++) {
                set(DEVICE "numa_node", nodes[i]);
                ck_assert_int_eq(scan("0000:06:0d.0").numa_node, -1);
        }
        set(DEVICE "reset_method", "flr \xff\n");
        ck_assert_str_eq(scan("0000:06:0d.0").reset_methods, "");
        set(DEVICE "reset_method", "0123456789012345678901234567890123456789012345678901234567890123\n");
        ck_assert_str_eq(scan("0000:06:0d.0").reset_methods, "");
        set(DEVICE "reset_method", "device_specific acpi flr af_flr pm bus cxl_bus\n");
        ck_assert_str_eq(scan("0000:06:0d.0").reset_methods, "device_specific acpi flr af_flr pm bus cxl_bus");
}
END_TEST

START_TEST(bars_are_counted_by_their_line) {
        PciFacts facts;

        set(DEVICE "resource", "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                               "0x000000000000c000 0x000000000000c03f 0x0000000000040101\n"
                               "0x0000000000000000 0xffffffffffffffff 0x0000000000040200\n"
                               "0x0000000000000010 0x000000000000000f 0x0000000000040200\n"
                               "0x0000000000000000 0x0000000000000fff 0x0000000020040200\n"
                               "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                               "0x00000000feb80000 0x00000000febfffff 0x0000000000046200\n"
                               "0x00000000feb80000 0x00000000febfffff 0x0000000000046200\n");
        facts = scan("0000:06:0d.0");
        ck_assert_uint_eq(facts.n_bars, 3);
        ck_assert_uint_eq(facts.bars[0].index, 1);
        ck_assert_uint_eq(facts.bars[0].size, 0x40);
        ck_assert_uint_eq(facts.bars[1].index, 4);
        ck_assert_uint_eq(facts.bars[1].size, 0x1000);
        ck_assert_uint_eq(facts.bars[2].index, 6);
        ck_assert_uint_eq(facts.bars[2].size, 0x80000);
        ck_assert_uint_eq(facts.bars[2].flags, 0x46200);
}
END_TEST

START_TEST(hostile_bars_end_the_list) {
        static const char *const texts[] = {
                "", "x", "0x0 0x1", "0x0 0x1 0x", "0x0 0x1 0x200 ", "0x0  0x1 0x200", "1 2 3\n",
                "0x10000000000000000 0x10000000000000001 0x200\n",
        };

        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                set(DEVICE "resource", texts[i]);
                ck_assert_uint_eq(scan("0000:06:0d.0").n_bars, 0);
        }
        set(DEVICE "resource", "0x0 0x1 0x200");
        ck_assert_uint_eq(scan("0000:06:0d.0").n_bars, 1);
}
END_TEST

START_TEST(a_virtual_function_knows_its_physical_one) {
        char address[PCI_ADDRESS_MAX] = "unchanged";
        TreePci vf = { .address = "0000:03:00.1", .physfn = "0000:03:00.0", .group = 30, .numa_node = -1 };

        ck_assert_int_eq(tree_add_pci(tree, &vf), 0);
        ck_assert_int_eq(scan_pci_physfn(sysfs, "0000:03:00.0", address), -ENODATA);
        ck_assert_str_eq(address, "unchanged");
        ck_assert_int_eq(scan_pci_physfn(sysfs, "0000:03:00.1", address), 0);
        ck_assert_str_eq(address, "0000:03:00.0");
        set_link("physfn", "../elsewhere");
        ck_assert_int_eq(scan_pci_physfn(sysfs, "0000:06:0d.0", address), -EBADMSG);
        set_link("physfn", "../0123456789012345678901234567890123456789");
        ck_assert_int_eq(scan_pci_physfn(sysfs, "0000:06:0d.0", address), -EFBIG);
        ck_assert_str_eq(address, "0000:03:00.0");
}
END_TEST

START_TEST(a_function_knows_its_place_below_the_bridge) {
        char path[PATH_MAX] = "unchanged";

        ck_assert_int_eq(scan_pci_syspath(sysfs, "0000:00:1f.0", path, sizeof(path)), -ENODEV);
        ck_assert_int_eq(symlinkat("nowhere", sysfs, "bus/pci/devices/0000:07:00.0"), 0);
        ck_assert_int_eq(scan_pci_syspath(sysfs, "0000:07:00.0", path, sizeof(path)), -EBADMSG);
        ck_assert_str_eq(path, "unchanged");
        ck_assert_int_eq(scan_pci_syspath(sysfs, "0000:06:0d.1", path, 16), -EFBIG);
        ck_assert_int_eq(scan_pci_syspath(sysfs, "0000:06:0d.1", path, sizeof(path)), 0);
        ck_assert_str_eq(path, "/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.1");
}
END_TEST

START_TEST(the_boot_display_is_known) {
        ck_assert(scan_pci_boot_vga(sysfs, "0000:00:02.0"));
        ck_assert(!scan_pci_boot_vga(sysfs, "0000:01:00.0"));
        set("sys/bus/pci/devices/0000:00:02.0/boot_vga", "0\n");
        ck_assert(!scan_pci_boot_vga(sysfs, "0000:00:02.0"));
        set("sys/bus/pci/devices/0000:00:02.0/boot_vga", "10\n");
        ck_assert(!scan_pci_boot_vga(sysfs, "0000:00:02.0"));
        ck_assert(!scan_pci_boot_vga(sysfs, "0000:00:99.0"));
}
END_TEST

START_TEST(a_character_device_is_one_only_with_its_number) {
        char name[16] = "unchanged", small[4];

        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.0", "e1000"), 0);
        ck_assert_int_eq(scan_pci_cdev(sysfs, "0000:06:0d.0", name, sizeof(name)), -ENODATA);
        set(DEVICE "vfio-dev/vfio-7/dev", "244:0\n");
        set(DEVICE "vfio-dev/other/dev", "244:0\n");
        set(DEVICE "vfio-dev/vfio7/other", "244:0\n");
        ck_assert_int_eq(scan_pci_cdev(sysfs, "0000:06:0d.0", name, sizeof(name)), -ENODATA);
        ck_assert_str_eq(name, "unchanged");

        set(DEVICE "vfio-dev/vfio7/dev", "244:0\n");
        ck_assert_int_eq(scan_pci_cdev(sysfs, "0000:06:0d.0", small, sizeof(small)), -EFBIG);
        ck_assert_int_eq(scan_pci_cdev(sysfs, "0000:06:0d.0", name, sizeof(name)), 0);
        ck_assert_str_eq(name, "vfio7");
}
END_TEST

START_TEST(a_group_has_a_type) {
        char type[16], small[4];

        ck_assert_int_eq(scan_group_type(sysfs, 26, type, sizeof(type)), 0);
        ck_assert_str_eq(type, "DMA-FQ");
        ck_assert_int_eq(scan_group_type(sysfs, 27, type, sizeof(type)), -ENODEV);
        ck_assert_int_eq(scan_group_type(sysfs, 26, small, sizeof(small)), -EFBIG);
        set("sys/kernel/iommu_groups/26/type", "\xff\n");
        ck_assert_int_eq(scan_group_type(sysfs, 26, type, sizeof(type)), -EBADMSG);
}
END_TEST

START_TEST(reserved_regions_are_read_and_counted) {
        ReservedRegion regions[2] = { 0 };

        ck_assert_int_eq(scan_group_reserved(sysfs, 26, regions, 2), 1);
        ck_assert_uint_eq(regions[0].first, 0xfee00000);
        ck_assert_uint_eq(regions[0].last, 0xfeefffff);
        ck_assert_str_eq(regions[0].kind, "msi");
        ck_assert_int_eq(scan_group_reserved(sysfs, 27, regions, 2), -ENODEV);

        set("sys/kernel/iommu_groups/26/reserved_regions", "0x00000000000a0000 0x00000000000bffff direct\n"
                                                           "0x00000000fed90000 0x00000000fed93fff direct-relaxable\n"
                                                           "0x000000fd00000000 0x000000ffffffffff reserved\n");
        ck_assert_int_eq(scan_group_reserved(sysfs, 26, regions, 2), 3);
        ck_assert_str_eq(regions[0].kind, "direct");
        ck_assert_str_eq(regions[1].kind, "direct-relaxable");
        ck_assert_int_eq(scan_group_reserved(sysfs, 26, NULL, 0), 3);

        set("sys/kernel/iommu_groups/26/reserved_regions", "");
        ck_assert_int_eq(scan_group_reserved(sysfs, 26, regions, 2), 0);
}
END_TEST

static const char *const hostile_regions[] = {
        "x", "0x0", "0x0 0x1", "0x0 0x1msi", "0 1 msi", "0x0 0x10000000000000000 msi", "0x0 0x1 \xff",
        "0x0 0x1 a-kind-that-is-far-too-long", "0x0 0x1 msi\n\n\n",
};

START_TEST(hostile_reserved_regions_are_refused) {
        ReservedRegion regions[2];

        set("sys/kernel/iommu_groups/26/reserved_regions", hostile_regions[_i]);
        ck_assert_int_eq(scan_group_reserved(sysfs, 26, regions, 2), -EBADMSG);
}
END_TEST

START_TEST(a_flag_of_a_module_is_read) {
        static const char path[] = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";

        ck_assert(!scan_module_flag(sysfs, "vfio", "enable_unsafe_noiommu_mode"));
        set(path, "N\n");
        ck_assert(!scan_module_flag(sysfs, "vfio", "enable_unsafe_noiommu_mode"));
        set(path, _i == 0 ? "Y\n" : "1\n");
        ck_assert(scan_module_flag(sysfs, "vfio", "enable_unsafe_noiommu_mode"));
        set(path, "Yes\n");
        ck_assert(!scan_module_flag(sysfs, "vfio", "enable_unsafe_noiommu_mode"));
}
END_TEST

START_TEST(scanning_leaves_no_descriptor_behind) {
        int before = dup(sysfs), after;
        char name[16];

        close(before);
        set(DEVICE "uevent", "rubbish");
        for (int i = 0; i < 20; i++) {
                List list = { 0 };

                scan_pci_all(sysfs, NULL, add_to_list, &list);
                scan_pci_cdev(sysfs, "0000:01:00.0", name, sizeof(name));
        }
        after = dup(sysfs);
        close(after);
        ck_assert_int_eq(before, after);
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_loop_test(tcase, good_addresses_are_valid, 0, N_ELEMENTS(good));
        tcase_add_loop_test(tcase, bad_addresses_are_not, 0, N_ELEMENTS(bad));
        tcase_add_test(tcase, a_function_is_what_the_tree_says);
        tcase_add_test(tcase, what_is_not_there_is_empty);
        tcase_add_test(tcase, a_vfio_driver_is_known_by_its_folder_and_not_by_its_name);
        tcase_add_test(tcase, all_functions_come_in_order_of_address);
        tcase_add_test(tcase, the_first_non_zero_stops_the_scan);
        tcase_add_test(tcase, a_function_that_vanishes_meanwhile_is_passed_over);
        tcase_add_test(tcase, one_that_makes_no_sense_does_not_spoil_the_others);
        tcase_add_test(tcase, without_a_pci_bus_the_scan_says_so);
        tcase_add_loop_test(tcase, a_hostile_uevent_is_refused_as_a_whole, 0, N_ELEMENTS(hostile_uevents));
        tcase_add_test(tcase, a_uevent_of_ours_is_read_without_its_optional_keys);
        tcase_add_test(tcase, a_huge_uevent_is_refused);
        tcase_add_loop_test(tcase, a_group_link_that_is_no_number_is_no_group, 0, N_ELEMENTS(hostile_links));
        tcase_add_test(tcase, hostile_details_are_ignored);
        tcase_add_test(tcase, bars_are_counted_by_their_line);
        tcase_add_test(tcase, hostile_bars_end_the_list);
        tcase_add_test(tcase, a_virtual_function_knows_its_physical_one);
        tcase_add_test(tcase, a_function_knows_its_place_below_the_bridge);
        tcase_add_test(tcase, the_boot_display_is_known);
        tcase_add_test(tcase, a_character_device_is_one_only_with_its_number);
        tcase_add_test(tcase, a_group_has_a_type);
        tcase_add_test(tcase, reserved_regions_are_read_and_counted);
        tcase_add_loop_test(tcase, hostile_reserved_regions_are_refused, 0, N_ELEMENTS(hostile_regions));
        tcase_add_loop_test(tcase, a_flag_of_a_module_is_read, 0, 2);
        tcase_add_test(tcase, scanning_leaves_no_descriptor_behind);
}

int main(void) {
        Suite *suite = suite_create("scan");
        TCase *tcase = suite_add_case(suite, "scan", make_world, end_world);

        add_tests(tcase);
        return suite_run(suite);
}
