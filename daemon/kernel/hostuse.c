/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Host use
 *
 * A block device or a network interface is the device's if its place in sysfs is below the device. NVMe namespaces with
 * several paths are not: they are below their subsystem, which has links to its controllers.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "hostuse.h"
#include "scan.h"
#include "sriov.h"
#include "sysfs.h"

#define UPPER_DEPTH_MAX 4
#define NAME_LENGTH     64

typedef struct Uses {
        int sys, proc;
        const char *address;
        HostUse *items;
        int n;
        int error; /* the first, negative */
} Uses;

/* One entry of a folder. Returns false to stop. */
typedef bool (*Visit)(Uses *uses, const char *name, void *userdata);

static void filep(FILE **file) {
        if (*file)
                fclose(*file);
}

__attribute__((format(printf, 3, 4)))
static void uses_add(Uses *uses, const char *kind, const char *format, ...) {
        HostUse *use = &uses->items[uses->n];
        va_list arguments;

        if (uses->n == HOSTUSE_MAX)
                return;

        snprintf(use->kind, sizeof(use->kind), "%s", kind);
        va_start(arguments, format);
        vsnprintf(use->text, sizeof(use->text), format, arguments);
        va_end(arguments);
        for (char *c = use->text; *c; c++)
                if (*c < 0x20 || *c > 0x7e)
                        *c = '?';
        uses->n++;
}

static void uses_fail(Uses *uses, int r) {
        if (uses->error == 0)
                uses->error = r;
}

/* A folder that is not there is empty. */
static void visit(Uses *uses, const char *path, Visit function, void *userdata) {
        struct dirent *entry;
        DIR *dir;
        int fd;

        fd = openat(uses->sys, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                if (errno != ENOENT)
                        uses_fail(uses, -errno);
                return;
        }
        dir = fdopendir(fd);
        if (!dir) {
                uses_fail(uses, -errno);
                close(fd);
                return;
        }

        while ((entry = readdir(dir)))
                if (entry->d_name[0] != '.' && strlen(entry->d_name) < NAME_LENGTH &&
                    !function(uses, entry->d_name, userdata))
                        break;
        closedir(dir);
}

static FILE *open_text(Uses *uses, const char *path) {
        int fd = openat(uses->proc, path, O_RDONLY | O_CLOEXEC);
        FILE *file = fd >= 0 ? fdopen(fd, "re") : NULL;

        if (!file && fd >= 0)
                close(fd);
        /* Without IPv6, or without swap, there is no such file. */
        if (!file && errno != ENOENT)
                uses_fail(uses, -errno);
        return file;
}

static bool link_is_below(Uses *uses, const char *link) {
        char target[PATH_MAX], part[PCI_ADDRESS_MAX + 2];
        ssize_t n = readlinkat(uses->sys, link, target, sizeof(target) - 1);

        if (n < 0)
                return false;
        target[n] = '\0';
        snprintf(part, sizeof(part), "/%s/", uses->address);
        return strstr(target, part) != NULL;
}

typedef struct Subsystem {
        char path[PATH_MAX];
        bool ours;
} Subsystem;

static bool look_at_controller(Uses *uses, const char *name, void *userdata) {
        Subsystem *subsystem = userdata;
        char link[PATH_MAX + NAME_LENGTH + 2];

        if (strncmp(name, "nvme", 4) != 0)
                return true;
        snprintf(link, sizeof(link), "%s/%s", subsystem->path, name);
        subsystem->ours = link_is_below(uses, link);
        return !subsystem->ours;
}

static bool block_is_ours(Uses *uses, const char *name) {
        char link[128], target[PATH_MAX], *at;
        Subsystem subsystem = {};
        ssize_t n;

        snprintf(link, sizeof(link), "class/block/%s", name);
        if (link_is_below(uses, link))
                return true;

        n = readlinkat(uses->sys, link, target, sizeof(target) - 1);
        if (n < 0)
                return false;
        target[n] = '\0';

        /* "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p1" */
        at = strstr(target, "/nvme-subsystem/");
        if (!at)
                return false;
        at += strlen("/nvme-subsystem/");
        snprintf(subsystem.path, sizeof(subsystem.path), "class/nvme-subsystem/%.*s", (int) strcspn(at, "/"), at);
        visit(uses, subsystem.path, look_at_controller, &subsystem);
        return subsystem.ours;
}

/* "\040" is a space in mountinfo. */
static void unescape(char *text) {
        char *to = text;

        for (char *from = text; *from; to++)
                if (from[0] == '\\' && from[1] && from[2] && from[3]) {
                        *to = (char) strtol((char[]){ from[1], from[2], from[3], 0 }, NULL, 8);
                        from += 4;
                } else {
                        *to = *from++;
                }
        *to = '\0';
}

static const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* "36 25 259:1 / /mnt rw,noatime shared:1 - ext4 /dev/nvme0n1p1 rw": by number, and by name where the file system has
 * a number of its own (btrfs). */
static void find_mounts(Uses *uses, const char *name, const char *number) {
        char line[8192], where[4096], device[64], source[4096], *rest;
        _cleanup_(filep) FILE *file = open_text(uses, "1/mountinfo");

        while (file && fgets(line, sizeof(line), file)) {
                if (sscanf(line, "%*u %*u %63s %*s %4095s", device, where) != 2)
                        continue;
                rest = strstr(line, " - ");
                if (!rest || sscanf(rest, " - %*s %4095s", source) != 1)
                        source[0] = '\0';
                if (strcmp(device, number) != 0 && strcmp(last_part(source), name) != 0)
                        continue;

                unescape(where);
                uses_add(uses, "block", "%s is mounted on %.80s", name, where);
                return;
        }
}

static void find_swaps(Uses *uses, const char *name) {
        char line[4096], path[4096];
        _cleanup_(filep) FILE *file = open_text(uses, "swaps");

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "%4095s", path) == 1 && path[0] == '/' && strcmp(last_part(path), name) == 0)
                        uses_add(uses, "block", "%s is swap space", name);
}

static bool add_holder(Uses *uses, const char *name, void *userdata) {
        uses_add(uses, "block", "%s is held by %s", (const char *) userdata, name);
        return false;
}

static bool look_at_btrfs(Uses *uses, const char *name, void *userdata) {
        char path[NAME_LENGTH * 2 + 32];

        snprintf(path, sizeof(path), "fs/btrfs/%s/devices/%s", name, (const char *) userdata);
        if (!sysfs_exists(uses->sys, path))
                return true;
        uses_add(uses, "block", "%s is part of a mounted btrfs", (const char *) userdata);
        return false;
}

static bool look_at_block(Uses *uses, const char *name, void *userdata) {
        char path[128], number[32];
        int before = uses->n;

        if (!block_is_ours(uses, name))
                return true;

        snprintf(path, sizeof(path), "class/block/%s/dev", name);
        if (sysfs_read(uses->sys, path, number, sizeof(number)) < 0)
                number[0] = '\0'; /* a hidden path of an NVMe namespace */
        else
                find_mounts(uses, name, number);
        find_swaps(uses, name);
        snprintf(path, sizeof(path), "class/block/%s/holders", name);
        visit(uses, path, add_holder, (void *) name);
        if (uses->n == before)
                visit(uses, "fs/btrfs", look_at_btrfs, (void *) name);
        return true;
}

/* "eth0	00000000	0102A8C0	0003	0	0	100	00000000	0	0	0" */
static bool has_default_route4(Uses *uses, const char *name) {
        _cleanup_(filep) FILE *file = open_text(uses, "self/net/route");
        char line[512], interface[64];
        unsigned long destination, mask;
        unsigned flags;

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "%63s %lx %*s %x %*s %*s %*s %lx", interface, &destination, &flags, &mask) == 4 &&
                    destination == 0 && mask == 0 && strcmp(interface, name) == 0)
                        return true;
        return false;
}

static bool has_default_route6(Uses *uses, const char *name) {
        static const char any[] = "00000000000000000000000000000000";
        _cleanup_(filep) FILE *file = open_text(uses, "self/net/ipv6_route");
        char line[512], destination[64], prefix[8], next_hop[64], interface[64];

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "%63s %7s %*s %*s %63s %*s %*s %*s %*s %63s", destination, prefix, next_hop,
                           interface) == 4 &&
                    strcmp(destination, any) == 0 && strcmp(prefix, "00") == 0 && strcmp(next_hop, any) != 0 &&
                    strcmp(interface, name) == 0)
                        return true;
        return false;
}

typedef struct Interface {
        const char *lowest, *name;
        unsigned depth;
} Interface;

static void look_at_interface(Uses *uses, const Interface *interface);

/* A bond, a bridge or a VLAN on top of it: "upper_br0". */
static bool look_at_upper(Uses *uses, const char *name, void *userdata) {
        const Interface *interface = userdata;

        if (strncmp(name, "upper_", 6) == 0)
                look_at_interface(uses, &(Interface){ interface->lowest, name + 6, interface->depth + 1 });
        return true;
}

static void look_at_interface(Uses *uses, const Interface *interface) {
        char path[128], flags[32];

        snprintf(path, sizeof(path), "class/net/%s/flags", interface->name);
        if (interface->depth == UPPER_DEPTH_MAX || sysfs_read(uses->sys, path, flags, sizeof(flags)) < 0 ||
            !(strtoul(flags, NULL, 16) & IFF_UP))
                return;

        if (has_default_route4(uses, interface->name) || has_default_route6(uses, interface->name))
                uses_add(uses, "network", "the default route goes by %s%s%s", interface->lowest,
                         interface->depth > 0 ? " below " : "", interface->depth > 0 ? interface->name : "");

        snprintf(path, sizeof(path), "class/net/%s", interface->name);
        visit(uses, path, look_at_upper, (void *) interface);
}

static bool look_at_net(Uses *uses, const char *name, void *userdata) {
        char link[128];

        snprintf(link, sizeof(link), "class/net/%s", name);
        if (link_is_below(uses, link))
                look_at_interface(uses, &(Interface){ name, name, 0 });
        return true;
}

/* A driver that goes takes the virtual functions with it. Those that the host has no driver for are no loss: they
 * come again. Not by sriov_numvfs, which is locked while somebody changes it. */
static void find_functions(Uses *uses) {
        _cleanup_(freep) SriovFunction *functions = NULL;
        char path[128], driver[64];
        int n = sriov_list(uses->sys, uses->address, &functions);

        for (int i = 0; i < n; i++) {
                snprintf(path, sizeof(path), "bus/pci/devices/%s/vfio-dev", functions[i].address);
                if (sysfs_exists(uses->sys, path))
                        continue;
                snprintf(path, sizeof(path), "bus/pci/devices/%s/driver", functions[i].address);
                if (sysfs_readlink_name(uses->sys, path, driver, sizeof(driver)) == 0)
                        uses_add(uses, "sriov", "its virtual function %s is on driver %s", functions[i].address,
                                 driver);
        }
}

int hostuse_find(int sys, int proc, const char *address, HostUse ret[HOSTUSE_MAX]) {
        Uses uses = { .sys = sys, .proc = proc, .address = address, .items = ret };

        if (!pci_address_is_valid(address))
                return -EINVAL;

        if (scan_pci_boot_vga(sys, address))
                uses_add(&uses, "display", "it is the display that the firmware has chosen");
        visit(&uses, "class/block", look_at_block, NULL);
        visit(&uses, "class/net", look_at_net, NULL);
        find_functions(&uses);
        return uses.error < 0 ? uses.error : uses.n;
}
