/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sriov
 *
 * The virtual functions (VFs) of a physical one (PF). Who they are is read from the links that lead to them, which
 * takes no lock. How many there are by sriov_numvfs waits for whoever is changing that or the PF's driver, and a write
 * to it for the drivers of all VFs: that is for a job's child. From one number to another the kernel goes by none
 * only, and it may make fewer than it was asked for and call that success.
 */

#include <stdbool.h>

#include "scan.h"

#define SRIOV_FUNCTIONS_MAX 65535

typedef struct SriovFunction {
        unsigned index; /* among those of the PF, as in "virtfn2" */
        char address[PCI_ADDRESS_MAX];
} SriovFunction;

typedef struct SriovState {
        bool is_pf; /* false: it can have none, and the rest means nothing */
        unsigned count;
        int autoprobe; /* whether new ones are offered to drivers; -1: the kernel has no such attribute */
} SriovState;

/* How many there may be. -ENODATA: it is no PF. -EBADMSG: no sensible number. */
int sriov_read_total(int sysfs, const char *address, unsigned *ret);

/* Returns how many there are; @ret (to be freed) has them in order of their index. 0 for what is no PF. */
int sriov_list(int sysfs, const char *address, SriovFunction **ret);

/* Which one of @address's @function is, without a look at the others. -ENODEV: none, or not yet: its link is younger
 * than itself. -ENODATA: the kernel does not tell, so look at all of them. */
int sriov_index(int sysfs, const char *address, const char *function, unsigned *ret);

/* May block. */
int sriov_look(int sysfs, const char *address, SriovState *ret);

/* May block for as long as a driver does. After a failure there may be none. -ENOSPC: the kernel has made fewer.
 * -ENOENT: the PF's driver makes none, or it has no driver. */
int sriov_set(int sysfs, const char *address, const SriovState *state);
