/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Iommu state */

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "folder.h"
#include "iommu-state.h"
#include "sysfs.h"
#include "variant.h"

#define CMDLINE_MAX 4096
#define CPUINFO_MAX 4096 /* the first processor's vendor is in its first lines */
#define ACPI        "firmware/acpi/tables/"

/* The kernel goes by the last of several, and so do we: a later one of the same key takes back an earlier one. */
static const struct {
        const char *word;
        bool wants, refuses;
} options[] = {
        { "intel_iommu=on", true, false },       { "intel_iommu=off", false, true },
        { "amd_iommu=force_enable", true, false }, { "amd_iommu=off", false, true },
        { "iommu=force", true, false },          { "iommu=off", false, true },
        { "iommu=noforce", false, false },       { "iommu=soft", false, true },
        { "arm-smmu.disable_bypass=0", false, false },
};

static void read_option(IommuState *state, const char *word) {
        for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
                if (strcmp(options[i].word, word) != 0)
                        continue;
                if (options[i].wants)
                        state->wanted = true;
                if (options[i].refuses)
                        snprintf(state->refused, sizeof(state->refused), "%s", word);
                else if (strncmp(state->refused, word, strcspn(word, "=") + 1) == 0)
                        state->refused[0] = '\0';
        }

        if (strcmp(word, "iommu=pt") == 0 || strcmp(word, "iommu.passthrough=1") == 0)
                state->passthrough = true;
        if (strncmp(word, "pcie_acs_override=", 18) == 0)
                state->acs_override = true;
}

/* "intel_iommu=on,sm_on" is two words of the kernel's. */
static void read_word(IommuState *state, char *word) {
        char single[64], *save = NULL, *value;

        value = strchr(word, '=');
        if (!value || (strncmp(word, "intel_iommu=", 12) != 0 && strncmp(word, "amd_iommu=", 10) != 0 &&
                       strncmp(word, "iommu=", 6) != 0)) {
                read_option(state, word);
                return;
        }

        *value++ = '\0';
        for (char *part = strtok_r(value, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
                if (snprintf(single, sizeof(single), "%s=%s", word, part) < (int) sizeof(single))
                        read_option(state, single);
        }
}

static void read_command_line(IommuState *state, int proc) {
        char text[CMDLINE_MAX], *save = NULL;

        if (sysfs_read(proc, "cmdline", text, sizeof(text)) < 0)
                return;
        for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
                if (strcmp(word, "--") == 0)
                        return; /* the rest is for init */
                read_word(state, word);
        }
}

static IommuMachine read_x86(int proc) {
        char text[CPUINFO_MAX];

        if (sysfs_read_start(proc, "cpuinfo", text, sizeof(text)) < 0)
                return IOMMU_MACHINE_INTEL;
        return strstr(text, "AuthenticAMD") || strstr(text, "HygonGenuine") ? IOMMU_MACHINE_AMD : IOMMU_MACHINE_INTEL;
}

static IommuMachine read_machine(int proc, const char *machine) {
        static const struct {
                const char *name;
                IommuMachine machine;
        } machines[] = {
                { "aarch64", IOMMU_MACHINE_ARM64 }, { "ppc", IOMMU_MACHINE_POWER },   { "s390", IOMMU_MACHINE_S390 },
                { "riscv", IOMMU_MACHINE_RISCV },
        };

        if (strcmp(machine, "x86_64") == 0 || (machine[0] == 'i' && strcmp(machine + 2, "86") == 0))
                return read_x86(proc);
        for (size_t i = 0; i < sizeof(machines) / sizeof(*machines); i++)
                if (strncmp(machine, machines[i].name, strlen(machines[i].name)) == 0)
                        return machines[i].machine;
        return IOMMU_MACHINE_OTHER;
}

static bool folder_has_entries(int dirfd, const char *path) {
        _cleanup_(folder_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (folder_open(&dir, dirfd, path) < 0)
                return false;
        while ((entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        return true;
        return false;
}

void iommu_state_read(int sysfs, int proc, const char *machine, IommuState *ret) {
        static const char *const tables[_IOMMU_MACHINE_MAX] = {
                [IOMMU_MACHINE_INTEL] = ACPI "DMAR",
                [IOMMU_MACHINE_AMD] = ACPI "IVRS",
                [IOMMU_MACHINE_ARM64] = ACPI "IORT",
        };
        IommuState state = { .machine = read_machine(proc, machine) };

        state.active = folder_has_entries(sysfs, "class/iommu");
        state.firmware = tables[state.machine] && sysfs_exists(sysfs, tables[state.machine]);
        read_command_line(&state, proc);
        *ret = state;
}

/* The machine has none that the kernel uses. */
static const char *explain_none(const IommuState *state, const char **ret_fix) {
        switch (state->machine) {
        case IOMMU_MACHINE_INTEL:
                *ret_fix = "switch VT-d on in the firmware's setup, and boot with intel_iommu=on";
                if (!state->firmware)
                        return "the firmware offers no IOMMU";
                *ret_fix = state->wanted ? "see what the kernel says: journalctl --dmesg --grep DMAR"
                                         : "boot with intel_iommu=on";
                return state->wanted        ? "the kernel was told to use the IOMMU, and could not"
                       : state->passthrough ? "the kernel was not told to use the IOMMU, and iommu=pt alone does not"
                                            : "the kernel was not told to use the IOMMU";
        case IOMMU_MACHINE_AMD:
                *ret_fix = "switch the IOMMU (AMD-Vi) on in the firmware's setup; the kernel needs no option";
                if (!state->firmware)
                        return "the firmware offers no IOMMU";
                *ret_fix = "see what the kernel says: journalctl --dmesg --grep AMD-Vi";
                return "the kernel could not use the IOMMU";
        case IOMMU_MACHINE_ARM64:
                *ret_fix = "the kernel needs no option, but firmware that describes an SMMU, and the driver arm-smmu "
                           "or arm-smmu-v3";
                return state->firmware ? "the kernel could not use an SMMU"
                                       : "the firmware describes no SMMU that the kernel uses";
        case IOMMU_MACHINE_POWER:
                *ret_fix = "the kernel needs no option, but must be Linux 6.4 or later on bare metal, 6.11 in a "
                           "partition";
                return "this kernel makes no IOMMU groups here";
        case IOMMU_MACHINE_S390:
                *ret_fix = "the kernel needs no option; bring the function online: "
                           "echo 1 >/sys/bus/pci/slots/FID/power";
                return "a function that is not online has none";
        case IOMMU_MACHINE_RISCV:
                *ret_fix = "the kernel needs no option, but must be Linux 6.13 or later, on a machine with a RISC-V "
                           "IOMMU";
                return "the kernel has found no IOMMU";
        case IOMMU_MACHINE_OTHER:
        case _IOMMU_MACHINE_MAX:
                break;
        }
        *ret_fix = "use a machine with an IOMMU that Linux knows";
        return "the kernel has found no IOMMU";
}

void iommu_state_explain(const IommuState *state, const char *bus, const char *device, char *ret_why,
                         size_t why_size, char *ret_fix, size_t fix_size) {
        const char *driver = variant_plain(bus), *fix;

        if (state->active && state->machine == IOMMU_MACHINE_ARM64 && driver) {
                snprintf(ret_why, why_size,
                         "kernels before Linux 6.15 make one when a driver is tried on a device first");
                snprintf(ret_fix, fix_size,
                         "let one be tried on it: echo %s >/sys/bus/%s/devices/%s/driver_override; "
                         "echo %s >/sys/bus/%s/drivers_probe", driver, bus, device, device, bus);
                return;
        }
        if (state->active) {
                snprintf(ret_why, why_size, "the machine has an IOMMU, and this device is not behind it");
                snprintf(ret_fix, fix_size, "%s",
                         strcmp(bus, "pci") == 0
                                 ? "put the card into another slot; host bridges and some built-in devices have no "
                                   "group at all"
                                 : "the firmware has to say which IOMMU it is behind; of most devices there is none to "
                                   "say");
                return;
        }
        if (state->refused[0]) {
                snprintf(ret_why, why_size, "the kernel was told not to use an IOMMU: %s", state->refused);
                snprintf(ret_fix, fix_size, "boot without %s%s", state->refused,
                         state->machine == IOMMU_MACHINE_INTEL ? ", and with intel_iommu=on" : "");
                return;
        }

        snprintf(ret_why, why_size, "%s", explain_none(state, &fix));
        snprintf(ret_fix, fix_size, "%s", fix);
}
