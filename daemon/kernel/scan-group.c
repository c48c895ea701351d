/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Scan: IOMMU groups */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "scan.h"
#include "sysfs.h"
#include "text.h"

#define ATTRIBUTE_MAX 4097 /* a page, and one to see that there is no more */

int scan_group_type(int sysfs, unsigned group, char *ret, size_t size) {
        char path[64];
        int r;

        snprintf(path, sizeof(path), "kernel/iommu_groups/%u/type", group);
        r = sysfs_read(sysfs, path, ret, size);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;
        return is_plain(ret) ? 0 : -EBADMSG;
}

bool scan_group_is_noiommu(int sysfs, unsigned group) {
        char path[64], name[32];

        snprintf(path, sizeof(path), "kernel/iommu_groups/%u/name", group);
        return sysfs_read(sysfs, path, name, sizeof(name)) == 0 && strcmp(name, "vfio-noiommu") == 0;
}

/* "0x00000000fee00000 0x00000000feefffff msi" */
static bool take_region(const char **s, ReservedRegion *ret) {
        char kind[sizeof(ret->kind)];
        size_t n;

        if (!take_text(s, "0x") || !take_number(s, 16, UINT64_MAX, &ret->first) || !take_text(s, " 0x") ||
            !take_number(s, 16, UINT64_MAX, &ret->last) || !take_text(s, " "))
                return false;

        n = strcspn(*s, "\n");
        if (n >= sizeof(kind))
                return false;
        memcpy(kind, *s, n);
        kind[n] = '\0';
        if (!copy_plain(ret->kind, sizeof(ret->kind), kind))
                return false;
        *s += n;
        return take_text(s, "\n") || **s == '\0';
}

int scan_group_reserved(int sysfs, unsigned group, ReservedRegion *ret, unsigned n) {
        char path[64], text[ATTRIBUTE_MAX];
        ReservedRegion region;
        const char *s = text;
        unsigned count;
        int r;

        snprintf(path, sizeof(path), "kernel/iommu_groups/%u/reserved_regions", group);
        r = sysfs_read(sysfs, path, text, sizeof(text));
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;

        for (count = 0; *s; count++) {
                if (!take_region(&s, &region))
                        return -EBADMSG;
                if (count < n)
                        ret[count] = region;
        }
        return count;
}
