/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tree: devices of other buses */

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree.h"

__attribute__((format(printf, 3, 4)))
static int make_link(Tree *tree, const char *target, const char *format, ...) {
        char path[PATH_MAX], full[2 * PATH_MAX], *slash;
        va_list arguments;
        int r;

        va_start(arguments, format);
        vsnprintf(path, sizeof(path), format, arguments);
        va_end(arguments);

        /* A file beside it makes the folders. */
        snprintf(full, sizeof(full), "%s", path);
        slash = strrchr(full, '/');
        strcpy(slash, "/.keep");
        r = tree_write(tree, full, "");
        if (r < 0)
                return r;
        snprintf(full, sizeof(full), "%s/%s", tree_root(tree), path);
        return symlink(target, full) < 0 ? -errno : 0;
}

int tree_add_other(Tree *tree, const char *bus, const char *name, const char *driver, int group) {
        char path[PATH_MAX], target[PATH_MAX];
        int r;

        snprintf(path, sizeof(path), "sys/devices/%s/%s/uevent", bus, name);
        r = tree_write(tree, path, "");
        if (r >= 0 && driver) {
                snprintf(target, sizeof(target), "../../../bus/%s/drivers/%s", bus, driver);
                r = make_link(tree, target, "sys/devices/%s/%s/driver", bus, name);
        }
        if (r >= 0 && driver && strncmp(driver, "vfio", 4) == 0) {
                snprintf(path, sizeof(path), "sys/devices/%s/%s/vfio-dev/vfio70/uevent", bus, name);
                r = tree_write(tree, path, "");
                snprintf(path, sizeof(path), "dev/vfio/%d", group);
                if (r >= 0)
                        r = tree_write(tree, path, "");
        }
        if (r >= 0 && group >= 0) {
                snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", group);
                r = make_link(tree, target, "sys/devices/%s/%s/iommu_group", bus, name);
                snprintf(target, sizeof(target), "../../../../devices/%s/%s", bus, name);
                if (r >= 0)
                        r = make_link(tree, target, "sys/kernel/iommu_groups/%d/devices/%s", group, name);
        }
        if (r < 0)
                return r;

        snprintf(target, sizeof(target), "../../../devices/%s/%s", bus, name);
        return make_link(tree, target, "sys/bus/%s/devices/%s", bus, name);
}

/* The folder goes aside, where nobody looks. */
int tree_remove_other(Tree *tree, const char *bus, const char *name) {
        static unsigned n_gone;
        char path[PATH_MAX], gone[PATH_MAX];

        snprintf(path, sizeof(path), "%s/sys/bus/%s/devices/%s", tree_root(tree), bus, name);
        if (unlink(path) < 0)
                return -errno;
        snprintf(path, sizeof(path), "%s/sys/devices/%s/%s", tree_root(tree), bus, name);
        snprintf(gone, sizeof(gone), "%s/sys/devices/%s/gone-%u", tree_root(tree), bus, n_gone++);
        return rename(path, gone) < 0 ? -errno : 0;
}
