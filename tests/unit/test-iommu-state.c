/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Why there is no IOMMU, by what the kernel and the firmware say. */

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "kernel/iommu-state.h"
#include "suite.h"
#include "tree.h"

static Tree *tree;
static int sysfs, proc;

static void make_tree(void) {
        ck_assert_int_eq(tree_new(&tree), 0);
        ck_assert_int_eq(tree_write(tree, "sys/kernel/profiling", "0\n"), 0);
        ck_assert_int_eq(tree_write(tree, "proc/version", "Linux\n"), 0);
        sysfs = tree_open(tree, "sys");
        proc = tree_open(tree, "proc");
        ck_assert(sysfs >= 0 && proc >= 0);
}

static void remove_tree(void) {
        close(sysfs);
        close(proc);
        tree_free(tree);
}

typedef struct Case {
        const char *machine, *vendor, *cmdline, *file, *why, *fix;
} Case;

static const Case cases[] = {
        { "x86_64", "GenuineIntel", "quiet", NULL, "the firmware offers no IOMMU", "VT-d" },
        { "x86_64", "GenuineIntel", "quiet", "firmware/acpi/tables/DMAR", "was not told to use", "boot with intel_iommu=on" },
        { "x86_64", "GenuineIntel", "iommu=pt", "firmware/acpi/tables/DMAR", "iommu=pt alone does not", "boot with intel_iommu=on" },
        { "x86_64", "GenuineIntel", "intel_iommu=on iommu=pt", "firmware/acpi/tables/DMAR", "could not", "DMAR" },
        { "x86_64", "GenuineIntel", "intel_iommu=sm_on,on", "firmware/acpi/tables/DMAR", "could not", "DMAR" },
        { "x86_64", "GenuineIntel", "iommu=off", "firmware/acpi/tables/DMAR", "told not to use an IOMMU: iommu=off", "without iommu=off, and with" },
        { "x86_64", "GenuineIntel", "intel_iommu=off", "firmware/acpi/tables/DMAR", "intel_iommu=off", "without intel_iommu=off" },
        { "x86_64", "GenuineIntel", "intel_iommu=off intel_iommu=on", "firmware/acpi/tables/DMAR", "could not", "DMAR" },
        { "x86_64", "GenuineIntel", "quiet -- intel_iommu=on", "firmware/acpi/tables/DMAR", "was not told", "intel_iommu=on" },
        { "x86_64", "GenuineIntel", "intel_iommu=on", "class/iommu/dmar0/name", "not behind it", "another slot" },
        { "i686", "GenuineIntel", "", NULL, "the firmware offers no IOMMU", "VT-d" },
        { "x86_64", "AuthenticAMD", "", NULL, "the firmware offers no IOMMU", "AMD-Vi" },
        { "x86_64", "AuthenticAMD", "amd_iommu=off", "firmware/acpi/tables/IVRS", "amd_iommu=off", "boot without amd_iommu=off" },
        { "x86_64", "AuthenticAMD", "amd_iommu=on", "firmware/acpi/tables/IVRS", "could not", "AMD-Vi" },
        { "aarch64", "", "", NULL, "no SMMU", "arm-smmu-v3" },
        { "aarch64", "", "", "firmware/acpi/tables/IORT", "could not use an SMMU", "arm-smmu-v3" },
        { "aarch64", "", "", "class/iommu/smmu3.0x0/name", "tried on a device first", "echo 0000:01:00.0 >/sys/bus/pci/drivers_probe" },
        { "ppc64le", "", "", NULL, "no IOMMU groups", "Linux 6.4" },
        { "s390x", "", "", NULL, "not online", "/sys/bus/pci/slots" },
        { "riscv64", "", "", NULL, "no IOMMU", "Linux 6.13" },
        { "loongarch64", "", "", NULL, "no IOMMU", "use a machine" },
        { "", "", "", NULL, "no IOMMU", "use a machine" },
};

START_TEST(each_machine_is_told_what_to_do) {
        const Case *one = &cases[_i];
        char text[4096], why[256], fix[256];
        IommuState state;

        snprintf(text, sizeof(text), "%s\n", one->cmdline);
        ck_assert_int_eq(tree_write(tree, "proc/cmdline", text), 0);
        snprintf(text, sizeof(text), "processor\t: 0\nvendor_id\t: %s\n", one->vendor);
        ck_assert_int_eq(tree_write(tree, "proc/cpuinfo", text), 0);
        snprintf(text, sizeof(text), "sys/%s", one->file ?: "nothing");
        ck_assert_int_eq(tree_write(tree, text, "x"), 0);

        iommu_state_read(sysfs, proc, one->machine, &state);
        iommu_state_explain(&state, "pci", "0000:01:00.0", why, sizeof(why), fix, sizeof(fix));
        ck_assert_msg(strstr(why, one->why), "%s", why);
        ck_assert_msg(strstr(fix, one->fix), "%s", fix);
        ck_assert(!state.acs_override);
}
END_TEST

START_TEST(a_driver_of_its_bus_is_tried_on_it) {
        const IommuState state = { .machine = IOMMU_MACHINE_ARM64, .active = true };
        char why[256], fix[256];

        iommu_state_explain(&state, "platform", "fe000000.dma", why, sizeof(why), fix, sizeof(fix));
        ck_assert_str_eq(fix, "let one be tried on it: echo vfio-platform >/sys/bus/platform/devices/fe000000.dma/driver_override; "
                              "echo fe000000.dma >/sys/bus/platform/drivers_probe");
        iommu_state_explain(&state, "mdev", "x", why, sizeof(why), fix, sizeof(fix));
        ck_assert_ptr_nonnull(strstr(why, "not behind it"));
}
END_TEST

START_TEST(an_override_of_acs_is_seen) {
        IommuState state;

        ck_assert_int_eq(tree_write(tree, "proc/cmdline", "quiet pcie_acs_override=downstream,multifunction\n"), 0);
        iommu_state_read(sysfs, proc, "x86_64", &state);
        ck_assert(state.acs_override);
        ck_assert_int_eq(tree_write(tree, "proc/cmdline", "quiet -- pcie_acs_override=downstream\n"), 0);
        iommu_state_read(sysfs, proc, "x86_64", &state);
        ck_assert(!state.acs_override);
}
END_TEST

/* A file that is missing, or longer than anything, is no reason to fail. */
START_TEST(what_cannot_be_read_is_not_so) {
        static char text[65536];
        IommuState state;

        iommu_state_read(sysfs, proc, "x86_64", &state);
        ck_assert(!state.active && !state.firmware && !state.wanted && !state.refused[0]);

        memset(text, '=', sizeof(text) - 1);
        ck_assert_int_eq(tree_write(tree, "proc/cmdline", text), 0);
        ck_assert_int_eq(tree_write(tree, "proc/cpuinfo", text), 0);
        iommu_state_read(sysfs, proc, "x86_64", &state);
        ck_assert_int_eq(state.machine, IOMMU_MACHINE_INTEL);
        ck_assert(!state.wanted);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("iommu-state");
        TCase *tcase = suite_add_case(suite, "iommu-state", make_tree, remove_tree);

        tcase_add_loop_test(tcase, each_machine_is_told_what_to_do, 0, sizeof(cases) / sizeof(*cases));
        tcase_add_test(tcase, a_driver_of_its_bus_is_tried_on_it);
        tcase_add_test(tcase, an_override_of_acs_is_seen);
        tcase_add_test(tcase, what_cannot_be_read_is_not_so);
        return suite_run(suite);
}
