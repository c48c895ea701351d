/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sriov */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "folder.h"
#include "sriov.h"
#include "sysfs.h"
#include "text.h"

static void attribute_path(char ret[PATH_MAX], const char *address, const char *attribute) {
        snprintf(ret, PATH_MAX, "bus/pci/devices/%s/%s", address, attribute);
}

static int read_number(int sysfs, const char *address, const char *attribute, unsigned max, unsigned *ret) {
        char path[PATH_MAX], text[16];
        uint64_t value;
        int r;

        if (!pci_address_is_valid(address))
                return -ENODEV;

        attribute_path(path, address, attribute);
        r = sysfs_read(sysfs, path, text, sizeof(text));
        if (r == -ENOENT)
                return -ENODATA;
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        if (!parse_number(text, 10, max, &value))
                return -EBADMSG;

        *ret = (unsigned) value;
        return 0;
}

static int write_number(int sysfs, const char *address, const char *attribute, unsigned value) {
        char path[PATH_MAX], text[16];

        attribute_path(path, address, attribute);
        snprintf(text, sizeof(text), "%u", value);
        return sysfs_write(sysfs, path, text);
}

int sriov_read_total(int sysfs, const char *address, unsigned *ret) {
        return read_number(sysfs, address, "sriov_totalvfs", SRIOV_FUNCTIONS_MAX, ret);
}

/* "virtfn2" */
static bool parse_link(const char *name, unsigned *ret_index) {
        uint64_t index;

        if (!take_text(&name, "virtfn") || !parse_number(name, 10, SRIOV_FUNCTIONS_MAX, &index))
                return false;

        *ret_index = (unsigned) index;
        return true;
}

static int compare_functions(const void *a, const void *b) {
        const SriovFunction *x = a, *y = b;

        return (x->index > y->index) - (x->index < y->index);
}

static int add_function(int dir, const char *name, SriovFunction **list, size_t *n, size_t *n_allocated) {
        SriovFunction function, *larger;

        if (!parse_link(name, &function.index) ||
            sysfs_readlink_name(dir, name, function.address, sizeof(function.address)) < 0 ||
            !pci_address_is_valid(function.address))
                return 0; /* one that is going, or makes no sense */

        if (*n > SRIOV_FUNCTIONS_MAX)
                return -E2BIG;
        if (*n == *n_allocated) {
                *n_allocated = *n_allocated ? *n_allocated * 2 : 16;
                larger = reallocarray(*list, *n_allocated, sizeof(**list));
                if (!larger)
                        return -ENOMEM;
                *list = larger;
        }
        (*list)[(*n)++] = function;
        return 0;
}

int sriov_list(int sysfs, const char *address, SriovFunction **ret) {
        _cleanup_(freep) SriovFunction *list = NULL;
        _cleanup_(folder_closep) DIR *dir = NULL;
        size_t n = 0, n_allocated = 0;
        struct dirent *entry;
        char path[PATH_MAX];
        int r;

        if (!pci_address_is_valid(address))
                return -ENODEV;

        attribute_path(path, address, "");
        r = folder_open(&dir, sysfs, path);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;

        while ((entry = readdir(dir))) {
                r = add_function(dirfd(dir), entry->d_name, &list, &n, &n_allocated);
                if (r < 0)
                        return r;
        }

        if (n > 0)
                qsort(list, n, sizeof(*list), compare_functions);
        *ret = TAKE_PTR(list);
        return (int) n;
}

/* The one of that index. -ENODEV: there is none. */
static int read_function(int sysfs, const char *address, unsigned index, char ret[PCI_ADDRESS_MAX]) {
        char path[PATH_MAX], link[24];
        int r;

        snprintf(link, sizeof(link), "virtfn%u", index);
        attribute_path(path, address, link);
        r = sysfs_readlink_name(sysfs, path, ret, PCI_ADDRESS_MAX);
        return r == -ENOENT ? -ENODEV : r;
}

/* "0000:03:10.2" as a number: domain, bus, slot and function, one behind the other. */
static uint64_t number_of(const char *address) {
        unsigned long domain = strtoul(address, NULL, 16);
        unsigned bus = 0, slot = 0, function = 0;

        (void) sscanf(strchr(address, ':'), ":%x:%x.%x", &bus, &slot, &function);
        return (uint64_t) domain << 16 | bus << 8 | slot << 3 | function;
}

/* The card says how far its first VF is from it, and the others from each other. */
int sriov_index(int sysfs, const char *address, const char *function, unsigned *ret) {
        unsigned offset, stride, index = 0;
        char found[PCI_ADDRESS_MAX];
        uint64_t distance;
        int r;

        if (!pci_address_is_valid(function))
                return -ENODEV;
        r = read_number(sysfs, address, "sriov_offset", UINT16_MAX, &offset);
        if (r == 0)
                r = read_number(sysfs, address, "sriov_stride", UINT16_MAX, &stride);
        if (r < 0)
                return r == -EBADMSG ? -ENODATA : r;

        distance = number_of(function) - number_of(address) - offset; /* huge for one that is before it */
        if (distance > 0)
                index = stride > 0 && distance / stride < SRIOV_FUNCTIONS_MAX ? (unsigned) (distance / stride) : 0;
        r = read_function(sysfs, address, index, found);
        if (r < 0)
                return r;
        if (strcmp(found, function) != 0)
                return -ENODATA;

        *ret = index;
        return 0;
}

int sriov_look(int sysfs, const char *address, SriovState *ret) {
        SriovState state = { .is_pf = true, .autoprobe = -1 };
        unsigned autoprobe;
        int r;

        r = read_number(sysfs, address, "sriov_numvfs", SRIOV_FUNCTIONS_MAX, &state.count);
        if (r == -ENODATA) {
                *ret = (SriovState){ .autoprobe = -1 };
                return 0;
        }
        if (r < 0)
                return r;

        if (read_number(sysfs, address, "sriov_drivers_autoprobe", 1, &autoprobe) == 0)
                state.autoprobe = (int) autoprobe;
        *ret = state;
        return 0;
}

static int set_count(int sysfs, const char *address, unsigned count) {
        SriovState now;
        int r;

        r = write_number(sysfs, address, "sriov_numvfs", count);
        if (r < 0)
                return r;
        r = sriov_look(sysfs, address, &now);
        if (r < 0)
                return r;
        if (now.count != count)
                return now.count < count ? -ENOSPC : -EBUSY;
        return 0;
}

int sriov_set(int sysfs, const char *address, const SriovState *state) {
        SriovState now;
        int r;

        r = sriov_look(sysfs, address, &now);
        if (r < 0)
                return r;
        if (!now.is_pf)
                return state->count == 0 ? 0 : -ENOENT;

        if (now.count != state->count && now.count > 0) {
                r = set_count(sysfs, address, 0);
                if (r < 0)
                        return r;
                now.count = 0;
        }
        if (state->autoprobe >= 0 && now.autoprobe >= 0 && state->autoprobe != now.autoprobe) {
                r = write_number(sysfs, address, "sriov_drivers_autoprobe", (unsigned) state->autoprobe);
                if (r < 0)
                        return r;
        }
        return now.count == state->count ? 0 : set_count(sysfs, address, state->count);
}
