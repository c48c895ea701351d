/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Host use: what is mounted
 *
 * The mounts are those of the first process, read from /proc, which does not ask the file systems: one whose server is
 * away does not hold us up. The machine stands on some of them, on swap space, and on what these are made of.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "hostuse-internal.h"

#define MOUNTS_MAX 65536

/* "\040" is a space. */
static char *unescape(char *text) {
        char *to = text;

        for (char *from = text; *from; to++)
                if (from[0] == '\\' && from[1] && from[2] && from[3]) {
                        *to = (char) strtol((char[]){ from[1], from[2], from[3], 0 }, NULL, 8);
                        from += 4;
                } else {
                        *to = *from++;
                }
        *to = '\0';
        return text;
}

/* "36 25 259:1 / /mnt rw,noatime shared:1 - ext4 /dev/nvme0n1p1 rw" */
bool mounts_parse(char *text, MountLine *ret) {
        char *save = NULL, *word = strtok_r(text, " \n", &save);
        char *words[5];

        for (unsigned i = 0; i < 5; i++, word = strtok_r(NULL, " \n", &save)) {
                if (!word)
                        return false;
                words[i] = word;
        }
        while (word && strcmp(word, "-") != 0)
                word = strtok_r(NULL, " \n", &save);
        if (!word || sscanf(words[2], "%u:%u", &ret->major, &ret->minor) != 2)
                return false;

        ret->where = unescape(words[4]);
        ret->type = strtok_r(NULL, " \n", &save);
        ret->source = strtok_r(NULL, " \n", &save);
        ret->options = strtok_r(NULL, " \n", &save);
        if (!ret->type)
                return false;
        ret->source = ret->source ? unescape(ret->source) : (char *) "";
        ret->options = ret->options ? unescape(ret->options) : (char *) "";
        return true;
}

/* Without these, or with them for a while on a file system that has lost its disk, the machine does not go on, or does
 * not come up again. /run has the broker's state. What lies below /usr, /etc and /boot belongs to them. */
static bool is_critical(const char *where) {
        static const char *const exactly[] = { "/", "/usr", "/etc", "/boot", "/efi", "/nix",
                                               "/var", "/var/lib", "/var/log", "/run", "/run/vfio-broker" };
        static const char *const below[] = { "/usr/", "/etc/", "/boot/", "/nix/" };

        for (size_t i = 0; i < sizeof(exactly) / sizeof(*exactly); i++)
                if (strcmp(where, exactly[i]) == 0)
                        return true;
        for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++)
                if (strncmp(where, below[i], strlen(below[i])) == 0)
                        return true;
        return false;
}

static bool is_remote(const char *type) {
        static const char *const types[] = { "nfs", "nfs4", "cifs", "smb3", "ceph", "afs" };

        for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
                if (strcmp(type, types[i]) == 0)
                        return true;
        return false;
}

static const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static int compare_number(const void *key, const void *item) {
        const Disk *disk = item;
        dev_t number = *(const dev_t *) key;

        return number < disk->number ? -1 : number > disk->number;
}

/* By number; by name where the file system has a number of its own, but never where anybody may choose the name, as
 * with FUSE. */
int mounts_find_disk(const Disks *disks, const MountLine *line) {
        dev_t number = makedev(line->major, line->minor);
        const Disk *disk = NULL;

        if (line->major == 0)
                return strcmp(line->type, "btrfs") == 0 ? disks_find(disks, last_part(line->source)) : -1;
        if (disks->n > 0)
                disk = bsearch(&number, disks->items, disks->n, sizeof(Disk), compare_number);
        return disk ? (int) (disk - disks->items) : -1;
}

/* The first place counts, unless the machine stands on another. */
static void note_mounted(Disk *disk, const char *where, bool critical) {
        if (disk->mounted && (disk->critical || !critical))
                return;
        disk->mounted = true;
        disk->critical |= critical;
        snprintf(disk->where, sizeof(disk->where), "%.*s", HOSTUSE_WHERE_MAX - 1, where);
}

static void note_disk(Disks *disks, int disk, const char *where, bool critical) {
        unsigned btrfs = disks->items[disk].btrfs;

        note_mounted(&disks->items[disk], where, critical);
        for (unsigned i = 0; btrfs > 0 && i < disks->n; i++)
                if (disks->items[i].btrfs == btrfs)
                        note_mounted(&disks->items[i], where, critical);
}

/* The file system that a path is on: of the mounts that lead to it the last one of the longest. */
static int find_mount(const Disks *disks, const char *path) {
        size_t longest = 0;
        int found = -1;

        for (unsigned i = 0; i < disks->n_mounts; i++) {
                const char *where = disks->mounts[i].where;
                size_t n = strcmp(where, "/") == 0 ? 0 : strlen(where);

                if (n < longest || strncmp(path, where, n) != 0 || (path[n] != '/' && path[n] != '\0'))
                        continue;
                longest = n;
                found = (int) i;
        }
        return found;
}

/* The machine stands on what is in that file, or folder. */
static void note_file(Disks *disks, const char *path) {
        int mount = path[0] == '/' ? find_mount(disks, path) : -1;

        if (mount < 0)
                return;
        disks->mounts[mount].critical = true;
        if (disks->mounts[mount].disk >= 0)
                note_disk(disks, disks->mounts[mount].disk, disks->mounts[mount].where, true);
}

/* "rw,lowerdir=/a:/b,upperdir=/c,workdir=/d" of a file system that is made of folders of others. */
static void note_layers(Disks *disks, char *options) {
        char *outer = NULL, *inner;

        for (char *option = strtok_r(options, ",", &outer); option; option = strtok_r(NULL, ",", &outer)) {
                if (strncmp(option, "lowerdir", 8) != 0 && strncmp(option, "upperdir=", 9) != 0)
                        continue;
                option = strchr(option, '=');
                inner = NULL;
                for (char *path = option ? strtok_r(option + 1, ":", &inner) : NULL; path;
                     path = strtok_r(NULL, ":", &inner))
                        note_file(disks, path);
        }
}

void mount_done(Mount *mount) {
        free(mount->where);
        free(mount->pool);
        free(mount->tag);
}

static bool add_mount(HostView *view, const MountLine *line) {
        Disks *disks = &view->disks;
        Mount *mounts, *mount;

        if (disks->n_mounts == MOUNTS_MAX) {
                hostview_fail(view, -E2BIG);
                return false;
        }
        mounts = hostview_grow(view, disks->mounts, disks->n_mounts, sizeof(*mounts));
        if (!mounts)
                return false;
        disks->mounts = mounts;
        mount = &mounts[disks->n_mounts];
        *mount = (Mount){ .disk = mounts_find_disk(disks, line), .critical = is_critical(line->where) };
        mount->where = strdup(line->where);
        if (strcmp(line->type, "zfs") == 0)
                mount->pool = strndup(line->source, strcspn(line->source, "/"));
        mount->share = share_of_type(line->type);
        if (mount->share != SHARE_NONE)
                mount->tag = strdup(line->source);
        disks->n_mounts++;
        if (!mount->where || (mount->share != SHARE_NONE && !mount->tag)) {
                disks->n_mounts--;
                mount_done(mount);
                hostview_fail(view, -ENOMEM);
                return false;
        }

        if (mount->disk >= 0)
                note_disk(disks, mount->disk, mount->where, mount->critical);
        disks->remote |= mount->critical && is_remote(line->type);
        return true;
}

static void read_mounts(HostView *view) {
        _cleanup_(filep) FILE *file = hostview_open(view, "1/mountinfo");
        _cleanup_(freep) char *text = NULL, *layers = NULL;
        size_t size = 0;
        MountLine line;

        /* Every machine has mounts: we may not see them. */
        if (!file || getline(&text, &size, file) < 0) {
                hostview_fail(view, -ENODATA);
                return;
        }

        do {
                if (!mounts_parse(text, &line))
                        continue;
                if (!add_mount(view, &line))
                        return;
                if (!layers && strcmp(line.type, "overlay") == 0 && strcmp(line.where, "/") == 0)
                        layers = strdup(line.options);
        } while (getline(&text, &size, file) >= 0);
        if (ferror(file))
                hostview_fail(view, -EIO);
        if (layers)
                note_layers(&view->disks, layers);
}

/* "/dev/nvme0n1p2 partition 1048572 0 -2" */
static void read_swaps(HostView *view) {
        _cleanup_(filep) FILE *file = hostview_open(view, "swaps");
        _cleanup_(freep) char *text = NULL;
        Disks *disks = &view->disks;
        size_t size = 0;

        while (file && getline(&text, &size, file) >= 0) {
                char *save = NULL, *path = strtok_r(text, " \t\n", &save), *type = strtok_r(NULL, " \t\n", &save);
                int disk;

                if (!type || path[0] != '/')
                        continue;
                unescape(path);
                if (strcmp(type, "partition") != 0) {
                        note_file(disks, path);
                        continue;
                }
                disk = disks_find(disks, last_part(path));
                if (disk >= 0)
                        disks->items[disk].swap = disks->items[disk].critical = true;
        }
        if (file && ferror(file))
                hostview_fail(view, -EIO);
}

/* Loop devices are made of files. */
static void read_loops(HostView *view) {
        Disks *disks = &view->disks;

        for (unsigned i = 0; i < disks->n; i++) {
                const char *path = disks->items[i].file;
                int mount = path && path[0] == '/' ? find_mount(disks, path) : -1;

                if (mount >= 0 && disks->mounts[mount].disk >= 0)
                        disks_add_edge(view, disks->mounts[mount].disk, (int) i, DISK_EDGE_FILE);
        }
}

void mounts_read(HostView *view) {
        read_mounts(view);
        read_swaps(view);
        read_loops(view);
}
