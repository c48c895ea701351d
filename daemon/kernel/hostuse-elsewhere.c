/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Host use: what is mounted in other mount namespaces
 *
 * That of a service, or of a container. Their tables are found by the processes that live there, and read only for a
 * disk that nothing else is known of. A file system that says itself which disks it has needs none of this.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder.h"
#include "hostuse-internal.h"
#include "proc.h"

/* Who is no administrator can make as many as there may be, but mount no disk in any of them:
 * after these it is enough. */
#define NAMESPACES_MAX 1024
#define TEXT_MAX       (16 * 1024 * 1024)

typedef struct Namespaces {
        uint64_t items[NAMESPACES_MAX];
        unsigned n;
        size_t text;
} Namespaces;

/* Returns whether it is one that was not seen before. */
static bool add_namespace(HostView *view, Namespaces *namespaces, const char *pid) {
        char path[64], target[64];
        uint64_t number;
        ssize_t n;

        snprintf(path, sizeof(path), "%.16s/ns/mnt", pid);
        n = readlinkat(view->proc, path, target, sizeof(target) - 1);
        if (n < 0)
                return false; /* it has just ended */
        target[n] = '\0';
        if (sscanf(target, "mnt:[%" SCNu64 "]", &number) != 1)
                return false;
        for (unsigned i = 0; i < namespaces->n; i++)
                if (namespaces->items[i] == number)
                        return false;
        namespaces->items[namespaces->n++] = number;
        return true;
}

static void read_mounts(HostView *view, Namespaces *namespaces, const char *pid) {
        _cleanup_(filep) FILE *file = NULL;
        _cleanup_(freep) char *text = NULL;
        size_t size = 0;
        char path[64];
        MountLine line;
        ssize_t n;
        int disk;

        snprintf(path, sizeof(path), "%.16s/mountinfo", pid);
        file = proc_open(view->proc, path); /* if it has not just ended */
        while (file && namespaces->text < TEXT_MAX && (n = getline(&text, &size, file)) >= 0) {
                namespaces->text += (size_t) n;
                disk = mounts_parse(text, &line) ? mounts_find_disk(&view->disks, &line) : -1;
                if (disk >= 0)
                        view->disks.items[disk].elsewhere = true;
        }
}

void elsewhere_read(HostView *view) {
        _cleanup_(folder_closep) DIR *folder = NULL;
        _cleanup_(freep) Namespaces *namespaces = NULL;
        struct dirent *entry;
        int r;

        if (view->disks.elsewhere_known)
                return;
        view->disks.elsewhere_known = true;
        namespaces = calloc(1, sizeof(*namespaces));
        r = namespaces ? folder_open(&folder, view->proc, ".") : -ENOMEM;
        if (r < 0) {
                hostview_fail(view, r);
                return;
        }

        add_namespace(view, namespaces, "1"); /* which is known by now */
        while ((entry = readdir(folder)) && namespaces->n < NAMESPACES_MAX)
                if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
                    add_namespace(view, namespaces, entry->d_name))
                        read_mounts(view, namespaces, entry->d_name);
}
