/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Scan: any bus */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "folder.h"
#include "scan-bus.h"
#include "sysfs.h"
#include "text.h"

#define ATTRIBUTE_MAX 4097 /* a page, and one to see that there is no more */

const char *const scan_buses[] = { "platform", "mdev", "ap", "ccw", "fsl-mc", "cdx", "amba", NULL };

bool bus_name_is_valid(const char *name) {
        size_t n = strlen(name);

        if (n == 0 || n >= BUS_NAME_MAX || name[0] == '.')
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char) name[i]) && !strchr("-_.:@,+", name[i]))
                        return false;
        return true;
}

static void bus_path(char ret[PATH_MAX], const char *bus, const char *name, const char *attribute) {
        snprintf(ret, PATH_MAX, "bus/%s/devices/%s/%s", bus, name, attribute);
}

static int read_attribute(int sysfs, const char *bus, const char *name, const char *attribute, char *ret, size_t size) {
        char path[PATH_MAX];

        bus_path(path, bus, name, attribute);
        return sysfs_read(sysfs, path, ret, size);
}

/* The kernel never gives two files of sysfs the same inode number, and this link comes and goes with the device. */
int scan_bus_instance(int sysfs, const char *bus, const char *name, uint64_t *ret) {
        char path[PATH_MAX];
        struct stat st;

        if (!bus_name_is_valid(name))
                return -ENODEV;

        snprintf(path, sizeof(path), "bus/%s/devices/%s", bus, name);
        if (fstatat(sysfs, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? -ENODEV : -errno;
        *ret = st.st_ino;
        return 0;
}

bool scan_bus_is_let_go(int sysfs, const char *bus, const char *name) {
        char path[PATH_MAX], driver[64];

        if (!bus_name_is_valid(name))
                return false;

        bus_path(path, bus, name, "vfio-dev");
        if (sysfs_exists(sysfs, path))
                return false;
        bus_path(path, bus, name, "driver");
        return sysfs_readlink_name(sysfs, path, driver, sizeof(driver)) == -ENOENT;
}

static void read_group(int sysfs, BusFacts *facts, const char *bus) {
        char path[PATH_MAX], name[16];
        uint64_t group;

        bus_path(path, bus, facts->name, "iommu_group");
        if (sysfs_readlink_name(sysfs, path, name, sizeof(name)) == 0 && parse_number(name, 10, INT_MAX, &group))
                facts->group = (int) group;
        bus_path(path, bus, facts->name, "vfio-dev");
        facts->vfio_driver = sysfs_exists(sysfs, path);
}

/* Of the links and attributes that there may be, none has to be there. */
static void read_rest(int sysfs, BusFacts *facts, const char *bus) {
        char path[PATH_MAX], text[ATTRIBUTE_MAX], driver[sizeof(facts->driver)];
        uint64_t node;

        bus_path(path, bus, facts->name, "driver");
        if (sysfs_readlink_name(sysfs, path, driver, sizeof(driver)) == 0)
                copy_plain(facts->driver, sizeof(facts->driver), driver);
        if (read_attribute(sysfs, bus, facts->name, "modalias", text, sizeof(text)) == 0)
                copy_plain(facts->modalias, sizeof(facts->modalias), text);
        if (read_attribute(sysfs, bus, facts->name, "numa_node", text, sizeof(text)) == 0 &&
            parse_number(text, 10, INT_MAX, &node))
                facts->numa_node = (int) node;
}

/* "dprc.1" of "/sys/devices/platform/80c000000.fsl-mc/dprc.1/dprc.2" */
static void read_parent(int sysfs, BusFacts *facts, const char *bus) {
        char path[PATH_MAX], *slash;

        if (scan_bus_syspath(sysfs, bus, facts->name, path, sizeof(path)) < 0)
                return;
        slash = strrchr(path, '/');
        *slash = '\0';
        slash = strrchr(path, '/');
        copy_plain(facts->parent, sizeof(facts->parent), slash + 1);
}

static int scan_one(int sysfs, const char *bus, const char *name, uint64_t instance, BusFacts *ret) {
        BusFacts facts = { .instance = instance, .group = -1, .numa_node = -1 };

        memcpy(facts.name, name, strlen(name) + 1);
        read_group(sysfs, &facts, bus);
        /* A mediated device is there for VFIO, and in a group only while it is in its hands. */
        if (facts.group < 0 && !facts.vfio_driver && strcmp(bus, "mdev") != 0)
                return -ENODEV;

        read_rest(sysfs, &facts, bus);
        read_parent(sysfs, &facts, bus);
        *ret = facts;
        return 0;
}

int scan_bus_device(int sysfs, const char *bus, const char *name, BusFacts *ret) {
        uint64_t instance;
        int r;

        r = scan_bus_instance(sysfs, bus, name, &instance);
        return r < 0 ? r : scan_one(sysfs, bus, name, instance, ret);
}

int scan_bus_all(int sysfs, const char *bus, bool (*skip)(const char *name, uint64_t instance, void *userdata),
                 int (*found)(const BusFacts *facts, void *userdata), void *userdata) {
        _cleanup_(folder_closep) DIR *dir = NULL;
        struct dirent *entry;
        char path[PATH_MAX];
        BusFacts facts;
        int r;

        snprintf(path, sizeof(path), "bus/%s/devices", bus);
        r = folder_open(&dir, sysfs, path);
        if (r < 0)
                return r;

        while ((entry = readdir(dir))) {
                if (!bus_name_is_valid(entry->d_name) || skip(entry->d_name, entry->d_ino, userdata) ||
                    scan_one(sysfs, bus, entry->d_name, entry->d_ino, &facts) < 0)
                        continue;
                r = found(&facts, userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}

int scan_bus_syspath(int sysfs, const char *bus, const char *name, char *ret, size_t size) {
        char path[PATH_MAX], target[PATH_MAX];
        const char *below;
        ssize_t n;

        if (!bus_name_is_valid(name))
                return -ENODEV;

        snprintf(path, sizeof(path), "bus/%s/devices/%s", bus, name);
        n = readlinkat(sysfs, path, target, sizeof(target));
        if (n < 0)
                return errno == ENOENT ? -ENODEV : -errno;
        if ((size_t) n == sizeof(target))
                return -EFBIG;
        target[n] = '\0';

        /* "../../../devices/pci0000:00/0000:00:1e.0/0000:06:0d.0" */
        below = strstr(target, "devices/");
        if (!below)
                return -EBADMSG;
        n = snprintf(ret, size, "/sys/%s", below);
        return (size_t) n < size ? 0 : -EFBIG;
}

static bool is_cdev_name(const char *name) {
        uint64_t number;

        return take_text(&name, "vfio") && parse_number(name, 10, INT_MAX, &number);
}

int scan_bus_cdev(int sysfs, const char *bus, const char *name, char *ret, size_t size) {
        _cleanup_(folder_closep) DIR *dir = NULL;
        char path[PATH_MAX];
        struct dirent *entry;
        int r;

        if (!bus_name_is_valid(name))
                return -ENODEV;

        bus_path(path, bus, name, "vfio-dev");
        r = folder_open(&dir, sysfs, path);
        if (r < 0)
                return r == -ENOENT ? -ENODATA : r;

        while ((entry = readdir(dir))) {
                if (!is_cdev_name(entry->d_name))
                        continue;
                /* The folder alone is there since 6.1, with or without a character device. */
                snprintf(path, sizeof(path), "%s/dev", entry->d_name);
                if (!sysfs_exists(dirfd(dir), path))
                        continue;
                return copy_plain(ret, size, entry->d_name) ? 0 : -EFBIG;
        }
        return -ENODATA;
}
