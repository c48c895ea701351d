/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tree: devices of other buses */

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree-files.h"

static const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* What of a bus can be written to, if its devices have a driver_override. */
static bool has_override(const char *bus) {
        return strcmp(bus, "platform") == 0 || strcmp(bus, "fsl-mc") == 0 || strcmp(bus, "cdx") == 0 ||
               strcmp(bus, "amba") == 0;
}

__attribute__((format(printf, 3, 4)))
static int write_file(Tree *tree, const char *value, const char *format, ...) {
        char path[PATH_MAX];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(path, sizeof(path), format, arguments);
        va_end(arguments);
        return tree_write(tree, path, value);
}

int tree_add_other_driver(Tree *tree, const char *bus, const char *driver) {
        int r;

        r = write_file(tree, "", "sys/bus/%s/drivers_probe", bus);
        if (r >= 0)
                r = write_file(tree, "", "sys/bus/%s/drivers/%s/bind", bus, driver);
        return r < 0 ? r : write_file(tree, "", "sys/bus/%s/drivers/%s/unbind", bus, driver);
}

static int write_attributes(Tree *tree, const char *bus, const char *name, const char *driver) {
        char text[128];
        int r;

        snprintf(text, sizeof(text), "%s%s%s", driver ? "DRIVER=" : "", driver ?: "", driver ? "\n" : "");
        r = write_file(tree, text, "sys/devices/%s/%s/uevent", bus, name);
        if (r >= 0 && has_override(bus))
                r = write_file(tree, "(null)\n", "sys/devices/%s/%s/driver_override", bus, name);
        return r < 0 ? r : write_file(tree, "auto\n", "sys/devices/%s/%s/power/control", bus, name);
}

static int write_driver(Tree *tree, const char *bus, const char *name, const char *up, const char *driver, int group) {
        char target[PATH_MAX];
        int r;

        if (!driver)
                return 0;

        r = tree_add_other_driver(tree, bus, driver);
        snprintf(target, sizeof(target), "%sbus/%s/drivers/%s", up, bus, driver);
        if (r >= 0)
                r = tree_link(tree, target, "sys/devices/%s/%s/driver", bus, name);
        if (r < 0 || strncmp(driver, "vfio", 4) != 0)
                return r;

        r = write_file(tree, "", "sys/devices/%s/%s/vfio-dev/vfio70/uevent", bus, name);
        return r < 0 ? r : write_file(tree, "", "dev/vfio/%d", group);
}

static int write_group(Tree *tree, const char *bus, const char *name, const char *up, int group) {
        char target[PATH_MAX];
        int r;

        if (group < 0)
                return 0;

        snprintf(target, sizeof(target), "%skernel/iommu_groups/%d", up, group);
        r = tree_link(tree, target, "sys/devices/%s/%s/iommu_group", bus, name);
        snprintf(target, sizeof(target), "../../../../devices/%s/%s", bus, name);
        return r < 0 ? r : tree_link(tree, target, "sys/kernel/iommu_groups/%d/devices/%s", group, last_part(name));
}

int tree_add_other(Tree *tree, const char *bus, const char *name, const char *driver, int group) {
        char target[PATH_MAX], up[128] = "../../../";
        int r;

        for (const char *c = name; *c; c++)
                if (*c == '/')
                        strcat(up, "../");

        r = write_attributes(tree, bus, name, driver);
        if (r >= 0)
                r = write_driver(tree, bus, name, up, driver, group);
        if (r >= 0)
                r = write_group(tree, bus, name, up, group);
        if (r < 0)
                return r;

        snprintf(target, sizeof(target), "../../../devices/%s/%s", bus, name);
        return tree_link(tree, target, "sys/bus/%s/devices/%s", bus, last_part(name));
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
