/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Host use: disks
 *
 * A block device is the device's if its place in sysfs is below the device. NVMe namespaces with several paths are not:
 * they are below their subsystem, which has links to its controllers. What is made of disks (dm, md, bcache, loop) is
 * followed upwards until something is mounted; a btrfs names all its disks, and ZFS leaves no more than its label.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "hostuse-internal.h"
#include "sysfs.h"
#include "udevdb.h"

#define DEPTH_MAX 16 /* of things on top of each other */

static int compare_disks(const void *a, const void *b) {
        const Disk *one = a, *other = b;

        return one->number < other->number ? -1 : one->number > other->number;
}

int disks_find(const Disks *disks, const char *name) {
        for (unsigned i = 0; i < disks->n; i++)
                if (strcmp(disks->items[i].name, name) == 0 || strcmp(disks->items[i].alias, name) == 0)
                        return (int) i;
        return -1;
}

static void read_attribute(HostView *view, const char *disk, const char *attribute, char *ret, size_t size) {
        char path[2 * HOSTUSE_NAME_MAX + 32];

        snprintf(path, sizeof(path), "class/block/%s/%s", disk, attribute);
        if (sysfs_read(view->sys, path, ret, size) < 0)
                *ret = '\0';
}

/* What is made of others has a name, or a file, of its own. */
static void read_origin(HostView *view, Disk *disk) {
        char text[4096];

        if (strncmp(disk->name, "dm-", 3) == 0) {
                read_attribute(view, disk->name, "dm/name", text, sizeof(text));
                snprintf(disk->alias, sizeof(disk->alias), "%.*s", HOSTUSE_NAME_MAX - 1, text);
        } else if (strncmp(disk->name, "loop", 4) == 0) {
                read_attribute(view, disk->name, "loop/backing_file", text, sizeof(text));
                disk->file = text[0] ? strdup(text) : NULL;
        }
}

static bool add_controller(HostView *view, const char *name, void *userdata) {
        Disk *disk = userdata;
        _cleanup_(freep) char *target = NULL;
        char path[3 * HOSTUSE_NAME_MAX], *longer;
        const char *subsystem = strstr(disk->target, "/nvme-subsystem/") + strlen("/nvme-subsystem/");

        if (strncmp(name, "nvme", 4) != 0)
                return true;
        snprintf(path, sizeof(path), "class/nvme-subsystem/%.*s/%s", (int) strcspn(subsystem, "/"), subsystem, name);
        if (!hostview_read_link(view, path, &target))
                return true;
        if (asprintf(&longer, "%s %s/", disk->target, target) < 0) {
                hostview_fail(view, -ENOMEM);
                return false;
        }
        free(disk->target);
        disk->target = longer;
        return true;
}

/* "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p1" */
static void read_controllers(HostView *view, Disk *disk) {
        char path[2 * HOSTUSE_NAME_MAX];
        const char *at = strstr(disk->target, "/nvme-subsystem/");

        if (!at)
                return;
        at += strlen("/nvme-subsystem/");
        if (strcspn(at, "/") >= HOSTUSE_NAME_MAX)
                return;
        snprintf(path, sizeof(path), "class/nvme-subsystem/%.*s", (int) strcspn(at, "/"), at);
        hostview_visit(view, path, add_controller, disk);
}

static bool read_disk(HostView *view, const char *name, void *userdata) {
        Disks *disks = &view->disks;
        unsigned major, minor;
        char path[128], number[32];
        Disk *items, *disk;

        items = hostview_grow(view, disks->items, disks->n, sizeof(*items));
        if (!items)
                return false;
        disks->items = items;
        disk = &items[disks->n];
        *disk = (Disk){};
        strcpy(disk->name, name);
        snprintf(path, sizeof(path), "class/block/%s", name);
        if (!hostview_read_link(view, path, &disk->target))
                return true;

        disks->n++;
        read_attribute(view, name, "dev", number, sizeof(number));
        if (sscanf(number, "%u:%u", &major, &minor) == 2)
                disk->number = makedev(major, minor);
        read_origin(view, disk);
        read_controllers(view, disk);
        return true;
}

void disks_add_edge(HostView *view, int lower, int upper, DiskEdgeKind kind) {
        Disks *disks = &view->disks;
        DiskEdge *edges;

        if (lower < 0 || upper < 0)
                return;
        edges = hostview_grow(view, disks->edges, disks->n_edges, sizeof(*edges));
        if (!edges)
                return;
        disks->edges = edges;
        edges[disks->n_edges++] = (DiskEdge){ (unsigned) lower, (unsigned) upper, kind };
}

static bool add_holder(HostView *view, const char *name, void *userdata) {
        Disk *disk = userdata;

        if (!disk->holder[0])
                strcpy(disk->holder, name);
        disks_add_edge(view, (int) (disk - view->disks.items), disks_find(&view->disks, name), DISK_EDGE_HOLDER);
        return true;
}

/* Of an md or loop device: ".../block/md0/md0p1" */
static void add_part(HostView *view, unsigned part) {
        const char *target = view->disks.items[part].target, *end = strrchr(target, '/'), *begin = end;
        char name[HOSTUSE_NAME_MAX];

        if (!end || !strstr(target, "/virtual/block/"))
                return;
        while (begin > target && begin[-1] != '/')
                begin--;
        if (end - begin >= HOSTUSE_NAME_MAX)
                return;
        snprintf(name, sizeof(name), "%.*s", (int) (end - begin), begin);
        disks_add_edge(view, disks_find(&view->disks, name), (int) part, DISK_EDGE_PART);
}

static void read_edges(HostView *view) {
        Disks *disks = &view->disks;
        char path[HOSTUSE_NAME_MAX + 32];

        for (unsigned i = 0; i < disks->n && view->error == 0; i++) {
                const char *file = disks->items[i].file;

                snprintf(path, sizeof(path), "class/block/%s/holders", disks->items[i].name);
                hostview_visit(view, path, add_holder, &disks->items[i]);
                add_part(view, i);
                if (file && strncmp(file, "/dev/", 5) == 0)
                        disks_add_edge(view, disks_find(disks, strrchr(file, '/') + 1), (int) i, DISK_EDGE_HOLDER);
        }
}

static bool read_btrfs_device(HostView *view, const char *name, void *userdata) {
        int disk = disks_find(&view->disks, name);

        if (disk >= 0)
                view->disks.items[disk].btrfs = view->disks.n_btrfs;
        return true;
}

/* One that is mounted, wherever that is. */
static bool read_btrfs(HostView *view, const char *name, void *userdata) {
        char path[HOSTUSE_NAME_MAX + 32];

        view->disks.n_btrfs++;
        snprintf(path, sizeof(path), "fs/btrfs/%s/devices", name);
        hostview_visit(view, path, read_btrfs_device, NULL);
        return true;
}

static bool read_superblock(HostView *view, const char *name, void *userdata) {
        int disk = disks_find(&view->disks, name);

        if (disk >= 0)
                view->disks.items[disk].elsewhere = true;
        return true;
}

void disks_read(HostView *view) {
        /* These say which disks they have, in whatever mount namespace they are mounted. */
        static const char *const types[] = { "fs/ext4", "fs/xfs", "fs/f2fs" };

        hostview_visit(view, "class/block", read_disk, NULL);
        if (view->disks.n > 0)
                qsort(view->disks.items, view->disks.n, sizeof(Disk), compare_disks);
        read_edges(view);
        hostview_visit(view, "fs/btrfs", read_btrfs, NULL);
        for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
                hostview_visit(view, types[i], read_superblock, NULL);
}

void disks_done(Disks *disks) {
        for (unsigned i = 0; i < disks->n; i++) {
                free(disks->items[i].target);
                free(disks->items[i].file);
        }
        for (unsigned i = 0; i < disks->n_mounts; i++)
                mount_done(&disks->mounts[i]);
        free(disks->items);
        free(disks->edges);
        free(disks->mounts);
}

/* "nvme0n1p2 is mounted on /srv", "nvme0n1p2 is below dm-0 (vg-root), which is swap space". Returns whether it is. */
static bool add_use(Uses *uses, const Disk *lowest, const Disk *disk, bool file) {
        char what[HOSTUSE_WHERE_MAX + 32], relation[2 * HOSTUSE_NAME_MAX + 64] = "";

        if (disk->mounted)
                snprintf(what, sizeof(what), "is mounted on %s", disk->where);
        else if (disk->swap)
                snprintf(what, sizeof(what), "is swap space");
        else if (disk->btrfs > 0)
                snprintf(what, sizeof(what), "is part of a mounted btrfs");
        else if (disk->elsewhere)
                snprintf(what, sizeof(what), "is mounted where the first process does not see it");
        else
                return false;

        if (disk != lowest)
                snprintf(relation, sizeof(relation), "%s %s%s%s%s, which ", file ? "has the file of" : "is below",
                         disk->name, disk->alias[0] ? " (" : "", disk->alias, disk->alias[0] ? ")" : "");
        uses_add(uses, disk->critical, "block", "%.31s %.70s%s", lowest->name, relation, what);
        return true;
}

/* Also partitions of what is made of it. Returns whether any is in use. What lies in a file of a file system tells
 * nothing new, unless the machine stands on it. */
static bool add_uppers(Uses *uses, unsigned lowest, unsigned at, bool file, unsigned depth) {
        Disks *disks = &uses->view->disks;
        bool found = false;

        for (unsigned i = 0; i < disks->n_edges && depth < DEPTH_MAX; i++) {
                const DiskEdge *edge = &disks->edges[i];
                Disk *upper = &disks->items[edge->upper];
                bool in_file = file || edge->kind == DISK_EDGE_FILE;

                if (edge->lower != at || (depth == 0 && edge->kind == DISK_EDGE_PART) || upper->seen == disks->search)
                        continue;
                upper->seen = disks->search;
                if (!in_file || upper->critical)
                        found |= add_use(uses, &disks->items[lowest], upper, in_file);
                found |= add_uppers(uses, lowest, edge->upper, in_file, depth + 1);
        }
        return found;
}

/* Of ZFS: the pool is the label. One that is not imported uses nothing. */
static void find_zfs(Uses *uses, const Disk *disk) {
        char type[32], label[HOSTUSE_NAME_MAX], path[HOSTUSE_NAME_MAX + 32];
        const Disks *disks = &uses->view->disks;
        bool critical = false;

        if (faccessat(uses->view->proc, "spl/kstat/zfs", F_OK, 0) < 0 ||
            !udevdb_read("block", disk->name, "ID_FS_TYPE", type, sizeof(type)) || strcmp(type, "zfs_member") != 0)
                return;

        if (!udevdb_read("block", disk->name, "ID_FS_LABEL", label, sizeof(label)) || strchr(label, '/'))
                label[0] = '\0';
        snprintf(path, sizeof(path), "spl/kstat/zfs/%s", label);
        if (label[0] && faccessat(uses->view->proc, path, F_OK, 0) < 0)
                return;

        for (unsigned i = 0; i < disks->n_mounts; i++)
                if (disks->mounts[i].pool && disks->mounts[i].critical &&
                    (!label[0] || strcmp(disks->mounts[i].pool, label) == 0))
                        critical = true;
        uses_add(uses, critical, "block", "%.31s is part of the ZFS pool %s", disk->name,
                 label[0] ? label : "(unknown)");
}

static void find_elsewhere(Uses *uses, const Disk *disk) {
        elsewhere_read(uses->view);
        add_use(uses, disk, disk, false);
}

void disks_find_uses(Uses *uses) {
        Disks *disks = &uses->view->disks;

        for (unsigned i = 0; i < disks->n; i++) {
                Disk *disk = &disks->items[i];
                bool found;

                if (!uses_are_below(uses, disk->target))
                        continue;
                disks->search++;
                found = add_use(uses, disk, disk, false);
                found |= add_uppers(uses, i, i, false, 0);
                if (!found && disk->holder[0])
                        uses_add(uses, false, "block", "%.31s is held by %s", disk->name, disk->holder);
                else if (!found)
                        find_elsewhere(uses, disk);
                find_zfs(uses, disk);
        }
}
