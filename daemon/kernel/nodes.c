/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Nodes */

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "folder.h"
#include "nodes.h"

/* "226:0" is a link to "../../devices/pci0000:00/0000:02:00.0/drm/card0". */
static void find_in(int sysfs, const char *path, const char *below, bool block, Nodes *nodes) {
        _cleanup_(folder_closep) DIR *folder = NULL;
        unsigned major, minor;
        struct dirent *entry;

        if (folder_open(&folder, sysfs, path) < 0)
                return;

        while (nodes->n < NODES_MAX && (entry = readdir(folder))) {
                char target[PATH_MAX];
                ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

                if (n < 0)
                        continue;
                target[n] = '\0';
                if (strstr(target, below) && sscanf(entry->d_name, "%u:%u", &major, &minor) == 2)
                        nodes->items[nodes->n++] = (Node){ makedev(major, minor), block };
        }
}

void nodes_find(int sysfs, const char *name, Nodes *ret) {
        char below[NAME_MAX + 3];

        ret->n = 0;
        snprintf(below, sizeof(below), "/%s/", name);
        find_in(sysfs, "dev/char", below, false, ret);
        find_in(sysfs, "dev/block", below, true, ret);
}

bool nodes_have(const Nodes *nodes, mode_t mode, dev_t number) {
        for (unsigned i = 0; i < nodes->n; i++)
                if (nodes->items[i].number == number && (nodes->items[i].block ? S_ISBLK(mode) : S_ISCHR(mode)))
                        return true;
        return false;
}
