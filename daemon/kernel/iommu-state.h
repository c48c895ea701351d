/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Iommu state
 *
 * Why devices have no IOMMU group, and what to do about it: what the kernel, its command line and the firmware say.
 * None of it changes while the machine runs, but that the kernel may find an IOMMU late.
 */

#include <stdbool.h>
#include <stddef.h>

typedef enum IommuMachine {
        IOMMU_MACHINE_INTEL,
        IOMMU_MACHINE_AMD,
        IOMMU_MACHINE_ARM64,
        IOMMU_MACHINE_POWER,
        IOMMU_MACHINE_S390,
        IOMMU_MACHINE_RISCV,
        IOMMU_MACHINE_OTHER,
        _IOMMU_MACHINE_MAX,
} IommuMachine;

typedef struct IommuState {
        IommuMachine machine;
        bool active;   /* the kernel has one: something is in /sys/class/iommu */
        bool firmware; /* the firmware describes one: an ACPI table DMAR, IVRS or IORT */
        bool wanted;   /* intel_iommu=on, amd_iommu=force_enable, iommu=force: the kernel was told to use it */
        bool passthrough;  /* iommu=pt or iommu.passthrough=1, which does not switch it on */
        char refused[32];  /* the option by which the kernel was told not to; "": none */
        bool acs_override; /* it was told to split groups that belong together */
} IommuState;

/* @proc is a descriptor of /proc, @machine what uname(2) says. What cannot be read is not so. */
void iommu_state_read(int sysfs, int proc, const char *machine, IommuState *ret);

/* Why a device has no group, and what may be done: the words after "ADDRESS is in no IOMMU group: ". @bus and @device
 * as in /sys/bus/BUS/devices/DEVICE. */
void iommu_state_explain(const IommuState *state, const char *bus, const char *device, char *ret_why,
                         size_t why_size, char *ret_fix, size_t fix_size);
