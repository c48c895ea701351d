/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Suspects
 *
 * The VFIO devices of this machine, ours (of the lease in question) and all others. Most kernels give all
 * descriptors and mappings of all VFIO devices one and the same inode, so which device a process has can
 * only be told by exclusion: if every device that it can be is ours, it is one of ours. Whatever cannot be
 * told is told as such. Lives in a job's child, and ends with it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "scan.h"

typedef char SuspectAddress[PCI_ADDRESS_MAX];

typedef struct Suspect {
        PciFacts facts;
        bool ours;
        bool open; /* by somebody, as "enable" has it */
} Suspect;

typedef struct Suspects {
        Suspect *items;
        unsigned n;
        bool strangers; /* there are VFIO devices of other kinds: then exclusion proves nothing */
} Suspects;

typedef enum Guilt {
        GUILT_NONE,  /* it is none of ours */
        GUILT_MAYBE,
        GUILT_SURE,  /* it is one of ours */
} Guilt;

/* Reads /sys (@sysfs). Devices that are not there are passed over. */
int suspects_load(Suspects *ret, int sysfs, const SuspectAddress *ours, unsigned n_ours, const SuspectAddress *others,
                  unsigned n_others);
void suspects_done(Suspects *suspects);

/* Reads anew which are open. Returns whether one of the others has been opened since: then what was judged in
 * between may be wrong. Those that were open before stay so in the table. */
bool suspects_refresh(Suspects *suspects, int sysfs);

/* From here on everything else counts as open: nothing is told by exclusion any more. */
void suspects_give_up(Suspects *suspects);

/* Of a descriptor that has no mark at all. */
Guilt suspects_judge_any(const Suspects *suspects);

/* Of a descriptor of which the kernel says the device. */
Guilt suspects_judge_named(const Suspects *suspects, const char *address);

/* Of a mapping: up to Linux 6.10 its offset is the physical address, later the region's place in the descriptor. */
Guilt suspects_judge_mapping(const Suspects *suspects, uint64_t offset, uint64_t length);
