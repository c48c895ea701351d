/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group.h"
#include "core/selector.h"
#include "errors.h"
#include "suite.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static DeviceList devices;
static GroupList groups;

static void add(const char *id, const char *driver, uint32_t class, uint16_t vendor, uint16_t model, int number, int is_vf) {
        DeviceFacts facts = { .driver = driver, .class = class, .vendor = vendor, .device = model };
        Device *device;
        Group *group;

        snprintf(facts.id, sizeof(facts.id), "%s", id);
        ck_assert_int_eq(device_new(&device, &devices, &facts), 0);
        device->is_vf = is_vf;
        if (number < 0)
                return;
        ck_assert_int_eq(group_get(&group, &groups, (unsigned) number), 0);
        device_join(device, group);
}

static void name(const char *id, const char *path, const char *serial, const char *physfn, int vf_index, int node) {
        Device *device = device_find(&devices, id);

        snprintf(device->names.path, sizeof(device->names.path), "%s", path);
        snprintf(device->names.serial, sizeof(device->names.serial), "%s", serial);
        device->physfn = physfn;
        device->vf_index = vf_index;
        device->facts.numa_node = node;
}

static void make_world(void) {
        devices = (DeviceList){};
        groups = (GroupList){};
        TAILQ_INIT(&devices.queue);
        TAILQ_INIT(&groups.queue);
        add("0000:00:02.0", "", 0x030000, 0x1234, 0x1111, -1, 0);
        add("0000:06:0d.0", "vfio-pci", 0x00ff00, 0x1234, 0x11e8, 26, 0);
        add("0000:03:00.0", "vfio-pci", 0x010802, 0x1b36, 0x0010, 14, 0);
        add("0000:04:00.1", "e1000e", 0x020000, 0x8086, 0x10ca, 15, 1);
        add("10000:e1:1f.7", "nvme", 0x010802, 0x8086, 0x0a54, 2147483647, 0);
        name("0000:06:0d.0", "pci-0000:00:1e.0/0d.0", "", "", -1, -1);
        name("0000:03:00.0", "pci-0000:00:0a.0/00.0", "S3X9NX0M.1+2-3_", "", -1, 1);
        name("0000:04:00.1", "pci-0000:00:0b.0/00.1+2", "52:54:00:12:34:56", "0000:03:00.0", 12, 0);
}

static void end_world(void) {
        while (!TAILQ_EMPTY(&devices.queue))
                device_free(TAILQ_FIRST(&devices.queue));
        while (!TAILQ_EMPTY(&groups.queue))
                group_free(TAILQ_FIRST(&groups.queue));
}

/* The places of those that match, in the order above. */
static void check_matches(const char *text, const char *expected) {
        char matches[16] = "";
        Selector selector;
        Device *device;
        int i = 0;

        ck_assert_msg(selector_parse(&selector, text) == 0, "\"%s\" is refused", text);
        TAILQ_FOREACH(device, &devices.queue, all) {
                if (selector_matches(&selector, device))
                        snprintf(matches + strlen(matches), sizeof(matches) - strlen(matches), "%d", i);
                i++;
        }
        ck_assert_msg(strcmp(matches, expected) == 0, "\"%s\" matches %s, and should %s", text, matches, expected);
}

static const struct {
        const char *text, *matches;
} good[] = {
        { "0000:06:0d.0", "1" },
        { "06:0d.0", "1" },
        { "06:0D.0", "1" },
        { "  06:0d.0  ", "1" },
        { "0000:06:0d.1", "" },
        { "10000:e1:1f.7", "4" },
        { "10000:E1:1F.7", "4" },
        { "e1:1f.7", "" },
        { "ffffffff:ff:1f.7", "" },
        { "group:26", "1" },
        { "group=26", "1" },
        { "group:0", "" },
        { "group:2147483647", "4" },
        { "class=nvme", "24" },
        { "class=storage", "24" },
        { "class=01", "24" },
        { "class=0108", "24" },
        { "class=0x0108", "24" },
        { "class=010802", "24" },
        { "class=010803", "" },
        { "class=network", "3" },
        { "class=ethernet", "3" },
        { "class=display", "0" },
        { "class=gpu", "0" },
        { "class=00", "1" },
        { "vendor=8086", "34" },
        { "vendor=0x8086", "34" },
        { "vendor=0", "" },
        { "vendor=1B36", "2" },
        { "device=10ca", "3" },
        { "device=0x10CA", "3" },
        { "device=10", "2" },
        { "driver=vfio-pci", "12" },
        { "driver=none", "0" },
        { "driver=vfio", "" },
        { "driver=%n%s", "" },
        { "is-vf=yes", "3" },
        { "is-vf=no", "0124" },
        { "class=nvme vendor=8086", "4" },
        { "class=nvme    vendor=8086   driver=nvme", "4" },
        { "class=nvme vendor=8086 driver=vfio-pci", "" },
        { "group:26 06:0d.0", "1" },
        { "group:14 06:0d.0", "" },
        { "path:pci-0000:00:1e.0/0d.0", "1" },
        { "path:pci-0000:00:1e.0/0d.1", "" },
        { "path:pci-0000:00:1e.0", "" },
        { "path:pci-0000:00:0b.0/00.1+2", "3" },
        { "path:pci-0000:00:0b.0/00.1", "" },
        { "path:pci-0000:00:1e.0/0d.0 vendor=1234", "1" },
        { "path:pci-0000:00:1e.0/0d.0 vendor=8086", "" },
        { "serial:S3X9NX0M.1+2-3_", "2" },
        { "serial:s3x9nx0m.1+2-3_", "2" },
        { "serial:S3X9NX0M", "" },
        { "serial:52:54:00:12:34:56", "3" },
        { "serial:52:54:00:12:34:56 is-vf=no", "" },
        { "alias:lab-nic", "01234" }, /* it is for whoever knows the aliases */
        { "alias:lab-nic class=nvme", "24" },
        { "pool:lab-vf", "01234" }, /* likewise */
        { "pool:lab-vf class=nvme", "24" },
        { "pf=0000:03:00.0", "3" },
        { "pf=03:00.0", "3" },
        { "pf=0000:04:00.1", "" },
        { "pf=pci-0000:00:0a.0/00.0", "3" },
        { "pf=pci-0000:00:1e.0/0d.0", "" },
        { "pf=eth0", "" }, /* likewise */
        { "pf=03:00.0 vf=12", "3" },
        { "pf=03:00.0 vf=1", "" },
        { "vf=12", "3" },
        { "vf=012", "3" },
        { "vf=0", "" },
        { "vf=65535", "" },
        { "numa=0", "034" },
        { "numa=1", "2" },
        { "numa=none", "1" },
        { "numa=2", "" },
        { "class=nvme numa=1", "2" },
};

START_TEST(a_selector_matches_what_it_says) {
        check_matches(good[_i].text, good[_i].matches);
}
END_TEST

static const char *const bad[] = {
        "", " ", "      ", "0", ":", ".", "::.", "0000", "0000:06", "0000:06:0d", "0000:06:0d.", "0000:06:0d.8", "0000:06:0d.00",
        "0000:06:0d.0x", "0000:06:0d.0:", "0000:06:0d,0", "000:06:0d.0", "0:06:0d.0", "0000:6:0d.0", "0000:06:d.0", "0000:06:20.0",
        "0000:06:ff.0", "0000:0g:0d.0", "g000:06:0d.0", "0000:006:0d.0", "0000:06:00d.0", "6:0d.0", "06:d.0", "06:0d.8", "06:0d.0junk",
        "123456789:06:0d.0", "-000:06:0d.0", "+000:06:0d.0", "0x00:06:0d.0", "0000:-1:0d.0", "0000:06:+1.0", "0000: 6:0d.0", "0000:06:0d. 0",
        "\t0000:06:0d.0", "0000:06:0d.0\n", "\n", "0000:06:0d.0 \t", "0000:\t6:0d.0",
        "group", "group:", "group=", "group:-1", "group:+1", "group: 1", "group:0x1a", "group:26a", "group:26.", "group:2147483648",
        "group:4294967322", "group:9223372036854775808", "group:18446744073709551642", "group:99999999999999999999999999999999999", "Group:26",
        "class", "class=", "class=0x", "class=0", "class=010", "class=01080", "class=0108021", "class=01080200", "class=xx", "class=NVMe", "class=nvme ,",
        "class=-1", "class= 01", "class=0x0x01", "class=0X01",
        "vendor", "vendor=", "vendor=0x", "vendor=10000", "vendor=0x08086", "vendor=08086", "vendor=-1", "vendor=80 86", "vendor=8086h", "vendor=%x",
        "vendor=ffffffffffff8086", "device=", "device=g", "device=10d3:", "device=0x10d30",
        "mdev:", "mdev:a\nb", "platform:\x1b[2J", "fsl-mc:dpni.1\x7f", "ap:\xc2\x9bm", "ccw:0.0.0001\t",
        "driver", "driver=", "driver=a\nb", "driver=\x1b[2J", "driver=\x7f", "driver=\xff\xfe", "driver=\xc3\xa4", "driver=../nvme", "is-vf", "is-vf=", "is-vf=1", "is-vf=YES", "is-vf=yesyes", "is-vf=true", "is-vf=ye",
        "%s", "%n", "%s%s%s%s%n", "%", "*", "all", "../..", "0000:06:0d.0/../x", "\x01", "\xff\xfe", "\xc3\xa4", "\x80:\x80\x80.0",
        "colour=red", "=", "==", "=yes", "vendor==8086", "VENDOR=8086", "class=nvme,vendor=8086",
        "path", "path:", "path:0000:00:1e.0", "path:pci-", "path:pci-g", "path:pci-0000:00:1e.0/0D.0", "path:pci-0000:00:1e.0/0d.0\n", "path=pci-0000:00:1e.0",
        "path:pci-0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0",
        "serial", "serial:", "serial:a/b", "serial:a=b", "serial:a,b", "serial:\xc3\xa4", "serial:%n\x01", "serial=test",
        "serial:0123456789012345678901234567890123456789012345678901234567890123",
        "alias", "alias:", "alias:a/b", "alias:a:b", "alias:.x", "alias:..", "alias:0123456789012345678901234567890123", "alias:\xff", "alias=x",
        "pool", "pool:", "pool:a/b", "pool:..", "pool:0123456789012345678901234567890123", "pool=lab", "Pool:lab",
        "pf", "pf=", "pf=.", "pf=..", "pf=../..", "pf=a/b", "pf=a:b", "pf=sixteen-letters.", "pf=pci-", "pf=pci-xyz", "pf=0000:03:00.8", "pf=\xc3\xa4",
        "vf", "vf=", "vf=-1", "vf=+1", "vf=0x1", "vf=65536", "vf=123456", "vf=1a", "numa", "numa=", "numa=-1", "numa=x", "numa=None", "numa=65536",
        "class=nvme rubbish", "rubbish class=nvme", "class=nvme vendor=", "0000:06:0d.0 0000:06:0d.8",
};

START_TEST(what_is_no_selector_is_refused_and_nothing_written) {
        Selector selector, before;

        memset(&selector, 0x5a, sizeof(selector));
        before = selector;
        ck_assert_msg(selector_parse(&selector, bad[_i]) == VFB_ERROR_INVALID_SELECTOR, "\"%s\" is taken", bad[_i]);
        ck_assert_mem_eq(&selector, &before, sizeof(selector));
}
END_TEST

/* All terms must hold, and the last of two would win over the first. */
static const char *const twice[] = {
        "0000:06:0d.0 0000:03:00.0", "06:0d.0 06:0d.0", "group:26 group:14", "group:26 group=26", "class=nvme class=gpu", "class=nvme class=00",
        "vendor=8086 vendor=1234", "vendor=0 vendor=8086", "device=10ca device=0010", "driver=none driver=nvme", "is-vf=yes is-vf=no",
        "vendor=8086 class=nvme vendor=8086", "path:pci-0 path:pci-0", "serial:a serial:b", "alias:a alias:b", "pool:a pool:b", "pf=03:00.0 pf=eth0", "pf=eth0 pf=eth0",
        "vf=1 vf=2", "numa=1 numa=1", "numa=none numa=1",
};

static const struct {
        const char *text;
        bool lasting;
} lastings[] = {
        { "path:pci-0000:00:1e.0/0d.0", true },
        { "pf=03:00.0 vf=3 numa=0 is-vf=yes", true },
        { "pf=pci-0000:00:0a.0/00.0", true },
        { "serial:test", false },
        { "alias:test", false },
        { "pool:test", false },
        { "pf=eth0", false },
        { "class=nvme serial:test", false },
};

START_TEST(what_comes_and_goes_is_known_as_such) {
        Selector selector;

        ck_assert_int_eq(selector_parse(&selector, lastings[_i].text), 0);
        ck_assert_int_eq(selector_is_lasting(&selector), lastings[_i].lasting);
}
END_TEST

START_TEST(a_term_that_is_there_twice_is_refused) {
        Selector selector;

        ck_assert_msg(selector_parse(&selector, twice[_i]) == VFB_ERROR_INVALID_SELECTOR, "\"%s\" is taken", twice[_i]);
}
END_TEST

START_TEST(a_selector_has_256_characters_at_most) {
        char text[SELECTOR_MAX + 3];
        Selector selector;

        memset(text, ' ', sizeof(text));
        memcpy(text, "class=nvme", 10);
        text[SELECTOR_MAX] = '\0';
        check_matches(text, "24");

        text[SELECTOR_MAX] = ' ';
        text[SELECTOR_MAX + 1] = '\0';
        ck_assert_int_eq(selector_parse(&selector, text), VFB_ERROR_INVALID_SELECTOR);
}
END_TEST

START_TEST(a_huge_selector_is_refused) {
        _cleanup_(freep) char *text = malloc(1 << 20);
        Selector selector;

        ck_assert_ptr_nonnull(text);
        memset(text, 'a', 1 << 20);
        text[(1 << 20) - 1] = '\0';
        ck_assert_int_eq(selector_parse(&selector, text), VFB_ERROR_INVALID_SELECTOR);
}
END_TEST

START_TEST(a_drivers_name_has_63_characters_at_most) {
        char text[80] = "driver=";
        Selector selector;

        memset(text + 7, 'd', 64);
        ck_assert_int_eq(selector_parse(&selector, text), VFB_ERROR_INVALID_SELECTOR);
        text[7 + 63] = '\0';
        ck_assert_int_eq(selector_parse(&selector, text), 0);
        ck_assert_uint_eq(strlen(selector.driver), 63);
}
END_TEST

static const struct {
        const char *text;
        bool is_group, is_address;
} kinds[] = {
        { "group:26", true, false },
        { " group=26 ", true, false },
        { "group:26 driver=vfio-pci", false, false },
        { "06:0d.0", false, true },
        { "0000:06:0d.0", false, true },
        { "06:0d.0 group:26", false, false },
        { "class=nvme", false, false },
};

START_TEST(only_one_term_alone_means_a_group_or_an_address) {
        Selector selector;

        ck_assert_int_eq(selector_parse(&selector, kinds[_i].text), 0);
        ck_assert_int_eq(selector_is_group(&selector), kinds[_i].is_group);
        ck_assert_int_eq(selector_is_address(&selector), kinds[_i].is_address);
}
END_TEST

START_TEST(an_address_is_kept_as_the_kernel_writes_it) {
        Selector selector;

        ck_assert_int_eq(selector_parse(&selector, "AB:1C.7"), 0);
        ck_assert_str_eq(selector.address, "0000:ab:1c.7");
        ck_assert_int_eq(selector_parse(&selector, "FFFFFFFF:FF:1F.7"), 0);
        ck_assert_str_eq(selector.address, "ffffffff:ff:1f.7");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("selector");
        TCase *tcase = suite_add_case(suite, "selector", make_world, end_world);

        tcase_add_loop_test(tcase, a_selector_matches_what_it_says, 0, N_ELEMENTS(good));
        tcase_add_loop_test(tcase, what_is_no_selector_is_refused_and_nothing_written, 0, N_ELEMENTS(bad));
        tcase_add_loop_test(tcase, a_term_that_is_there_twice_is_refused, 0, N_ELEMENTS(twice));
        tcase_add_test(tcase, a_selector_has_256_characters_at_most);
        tcase_add_test(tcase, a_huge_selector_is_refused);
        tcase_add_test(tcase, a_drivers_name_has_63_characters_at_most);
        tcase_add_loop_test(tcase, only_one_term_alone_means_a_group_or_an_address, 0, N_ELEMENTS(kinds));
        tcase_add_loop_test(tcase, what_comes_and_goes_is_known_as_such, 0, N_ELEMENTS(lastings));
        tcase_add_test(tcase, an_address_is_kept_as_the_kernel_writes_it);
        return suite_run(suite);
}
