/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Suspects */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "folder.h"
#include "opened.h"
#include "suspects.h"
#include "sysfs.h"

/* VFIO's own order of a PCI device's regions in its descriptor (VFIO_PCI_OFFSET_SHIFT). */
#define REGION_SHIFT 40

static bool is_open(int sysfs, const char *address) {
        /* What cannot be read may be open. */
        return opened_in_use(sysfs, address) != 0;
}

static const Suspect *suspects_find(const Suspects *suspects, const char *address) {
        for (unsigned i = 0; i < suspects->n; i++)
                if (strcmp(suspects->items[i].facts.address, address) == 0)
                        return &suspects->items[i];
        return NULL;
}

static void suspects_add(Suspects *suspects, int sysfs, const SuspectAddress *addresses, unsigned n, bool ours) {
        for (unsigned i = 0; i < n; i++) {
                Suspect *suspect = &suspects->items[suspects->n];

                if (scan_pci(sysfs, addresses[i], &suspect->facts) < 0)
                        continue;
                suspect->ours = ours;
                suspect->open = is_open(sysfs, addresses[i]);
                suspects->n++;
        }
}

/* Devices of other kinds (platform, mdev) say nowhere whether they are open. */
static bool has_strangers(const Suspects *suspects, int sysfs) {
        _cleanup_(folder_closep) DIR *dir = NULL;
        bool found = false;
        struct dirent *entry;
        int r;

        r = folder_open(&dir, sysfs, "class/vfio-dev");
        if (r < 0)
                return r != -ENOENT;

        while (!found && (entry = readdir(dir))) {
                char path[300], address[PCI_ADDRESS_MAX];

                if (entry->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "class/vfio-dev/%s/device", entry->d_name);
                found = sysfs_readlink_name(sysfs, path, address, sizeof(address)) < 0 ||
                        !suspects_find(suspects, address);
        }
        return found;
}

int suspects_load(Suspects *ret, int sysfs, const SuspectAddress *ours, unsigned n_ours, const SuspectAddress *others,
                  unsigned n_others) {
        Suspects suspects = {};

        suspects.items = calloc(n_ours + n_others + 1, sizeof(*suspects.items));
        if (!suspects.items)
                return -ENOMEM;

        suspects_add(&suspects, sysfs, ours, n_ours, true);
        suspects_add(&suspects, sysfs, others, n_others, false);
        suspects.strangers = has_strangers(&suspects, sysfs);
        *ret = suspects;
        return 0;
}

void suspects_done(Suspects *suspects) {
        free(suspects->items);
}

bool suspects_refresh(Suspects *suspects, int sysfs) {
        bool more = false, strangers = suspects->strangers;

        for (unsigned i = 0; i < suspects->n; i++) {
                Suspect *suspect = &suspects->items[i];
                bool was = suspect->open;

                suspect->open = was || is_open(sysfs, suspect->facts.address);
                more |= suspect->open && !was && !suspect->ours;
        }

        /* One that was bound to VFIO meanwhile is a stranger, too. */
        suspects->strangers = strangers || has_strangers(suspects, sysfs);
        return more || suspects->strangers != strangers;
}

void suspects_give_up(Suspects *suspects) {
        suspects->strangers = true;
}

static Guilt judge(const Suspects *suspects, bool ours, bool others) {
        if (!ours)
                return GUILT_NONE;
        return others || suspects->strangers ? GUILT_MAYBE : GUILT_SURE;
}

Guilt suspects_judge_any(const Suspects *suspects) {
        bool ours = false, others = false;

        for (unsigned i = 0; i < suspects->n; i++) {
                const Suspect *suspect = &suspects->items[i];

                ours |= suspect->open && suspect->ours;
                others |= suspect->open && !suspect->ours;
        }
        return judge(suspects, ours, others);
}

Guilt suspects_judge_named(const Suspects *suspects, const char *address) {
        const Suspect *suspect = suspects_find(suspects, address);

        return suspect && suspect->ours ? GUILT_SURE : GUILT_NONE;
}

static bool is_within(uint64_t offset, uint64_t length, uint64_t start, uint64_t size) {
        return offset >= start && length <= size && offset - start <= size - length;
}

/* Which of the two meanings an offset has depends on the kernel, and fixes travel to older kernels: so both
 * must lead to a device of ours. */
static bool can_be(const Suspect *suspect, uint64_t offset, uint64_t length) {
        uint64_t index = offset >> REGION_SHIFT, within = offset & ((UINT64_C(1) << REGION_SHIFT) - 1);

        for (unsigned i = 0; suspect->open && i < suspect->facts.n_bars; i++) {
                const PciBar *bar = &suspect->facts.bars[i];

                if (is_within(offset, length, bar->start, bar->size) ||
                    (index == bar->index && is_within(within, length, 0, bar->size)))
                        return true;
        }
        return false;
}

Guilt suspects_judge_mapping(const Suspects *suspects, uint64_t offset, uint64_t length) {
        bool ours = false, others = false;

        for (unsigned i = 0; i < suspects->n; i++) {
                bool can = can_be(&suspects->items[i], offset, length);

                ours |= can && suspects->items[i].ours;
                others |= can && !suspects->items[i].ours;
        }
        return judge(suspects, ours, others);
}
