/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: objects */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vfio-bind.h"
#include "vfio-objects.h"
#include "vfio-state.h"

#define OBJECTS_MAX 16

typedef struct Names {
        char items[OBJECTS_MAX][64];
        unsigned n;
} Names;

static void move(const char *from, const char *to) {
        if (rename(from, to) < 0)
                abort();
}

/* Those that have a folder there: in the container's own, or where they are while it has no driver. */
static void list_objects(const char *folder, Names *ret) {
        struct dirent *entry;
        DIR *dir = opendir(folder);

        *ret = (Names) {};
        while (dir && (entry = readdir(dir)))
                if (entry->d_type == DT_DIR && strncmp(entry->d_name, "dp", 2) == 0 && ret->n < OBJECTS_MAX)
                        snprintf(ret->items[ret->n++], 64, "%.63s", entry->d_name);
        if (dir)
                closedir(dir);
}

static void aside(const char *container, char ret[PATH_MAX]) {
        state_path(ret, "fake/objects-%s", container);
        (void) mkdir(ret, 0755);
}

/* As its driver lets go of it. The one that is not VFIO's is the one that it comes to again. */
static void leave_driver(const char *object) {
        char path[PATH_MAX], driver[64], name[96];

        bind_read_driver(object, driver);
        if (strncmp(driver, "vfio-", 5) != 0) {
                snprintf(name, sizeof(name), "native-%s", object);
                state_write(name, driver);
        }
        bind_device_path(path, object, "vfio-dev/vfio0");
        (void) rmdir(path);
        bind_device_path(path, object, "vfio-dev");
        (void) rmdir(path);
        bind_device_path(path, object, "driver");
        (void) unlink(path);
}

/* The old link stays on the disk, so that the file system gives its inode's number to no other. */
void objects_go(const char *container) {
        static unsigned n_gone;
        char folder[PATH_MAX], from[2 * PATH_MAX], to[2 * PATH_MAX], kept[PATH_MAX];
        Names names;

        if (strncmp(container, "dprc.", 5) != 0)
                return;

        bind_device_path(folder, container, "");
        aside(container, kept);
        list_objects(folder, &names);
        for (unsigned i = 0; i < names.n; i++) {
                leave_driver(names.items[i]);
                bind_device_path(from, names.items[i], "");
                snprintf(to, sizeof(to), "%s/link-%d-%u", kept, (int) getpid(), n_gone++);
                move(from, to);
                snprintf(from, sizeof(from), "%s/%s", folder, names.items[i]);
                snprintf(to, sizeof(to), "%s/%s", kept, names.items[i]);
                move(from, to);
        }
}

/* "../../../devices/..." */
static void link_to_bus(const char *folder, const char *object) {
        char root[PATH_MAX], path[PATH_MAX], real[PATH_MAX], target[2 * PATH_MAX];

        state_path(root, "sys");
        state_path(path, "sys/bus/fsl-mc/devices/%s", object);
        if (!realpath(folder, real))
                abort();
        snprintf(target, sizeof(target), "../../..%s", real + strlen(root));
        if (symlink(target, path) < 0)
                abort();
}

static void come_to_driver(const char *object, bool vfio) {
        char path[PATH_MAX], driver[STATE_MAX], name[96];

        bind_device_path(path, object, "driver_override");
        text_write(path, vfio ? "vfio-fsl-mc\n" : "(null)\n");
        snprintf(name, sizeof(name), "native-%s", object);
        state_read(name, driver);
        (void) bind_to_driver(vfio ? "vfio-fsl-mc" : driver, object);
}

void objects_come(const char *container) {
        char folder[PATH_MAX], from[2 * PATH_MAX], to[2 * PATH_MAX], kept[PATH_MAX];
        Names names;

        if (strncmp(container, "dprc.", 5) != 0)
                return;

        bind_device_path(folder, container, "vfio-dev");
        aside(container, kept);
        list_objects(kept, &names);
        for (unsigned i = 0; i < names.n; i++) {
                bool vfio = path_exists(folder);

                snprintf(from, sizeof(from), "%s/%s", kept, names.items[i]);
                bind_device_path(to, container, names.items[i]);
                move(from, to);
                link_to_bus(to, names.items[i]);
                come_to_driver(names.items[i], vfio);
        }
}
