/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Host */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "kernel/udevdb.h"
#include "tree.h"

static Tree *tree;
static int sys, proc;

static void must(bool good, const char *what) {
        if (good)
                return;
        fprintf(stderr, "host: %s: %s\n", what, strerror(errno));
        abort();
}

static const char *full(const char *path) {
        static char text[512];

        must(snprintf(text, sizeof(text), "%s/%s", tree_root(tree), path) < (int) sizeof(text), path);
        return text;
}

void host_put(const char *path, const char *text) {
        must(tree_write(tree, path, text) >= 0, path);
}

void host_put_link(const char *path, const char *target) {
        char folder[300];

        snprintf(folder, sizeof(folder), "%.*s.folder", (int) (strrchr(path, '/') - path + 1), path);
        host_put(folder, "");
        must(symlink(target, full(path)) == 0, path);
}

void host_remove(const char *path) {
        must(unlink(full(path)) == 0, path);
}

void host_put_virtual_disk(const char *path, const char *number) {
        const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        char link[128], target[256];

        snprintf(link, sizeof(link), "sys/class/block/%s", name);
        snprintf(target, sizeof(target), "../../devices/virtual/block/%s", path);
        host_put_link(link, target);
        snprintf(target, sizeof(target), "sys/devices/virtual/block/%s/dev", path);
        host_put(target, number);
}

void host_put_holder(const char *lower, const char *upper) {
        char path[256];

        snprintf(path, sizeof(path), "%s/holders/%s", lower, upper);
        host_put(path, "");
}

static int open_folder(const char *name) {
        int fd;

        (void) mkdir(full(name), 0755);
        fd = open(full(name), O_PATH | O_DIRECTORY | O_CLOEXEC);
        must(fd >= 0, name);
        return fd;
}

static void put_disk(const char *path, const char *number) {
        char name[128], target[256];

        snprintf(name, sizeof(name), "sys/class/block/%s", strrchr(path, '/') + 1);
        snprintf(target, sizeof(target), "../../%s", path + strlen("sys/"));
        host_put_link(name, target);
        snprintf(target, sizeof(target), "%s/dev", path);
        host_put(target, number);
}

void host_start(void) {
        must(tree_new(&tree) >= 0 && tree_add_document(tree) >= 0, "tree");
        sys = open_folder("sys");
        proc = open_folder("proc");
        host_put("proc/1/mountinfo", HOST_MOUNTS);
        host_put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
        put_disk(HOST_BLOCK, "259:0\n");
        put_disk(HOST_BLOCK "/nvme0n1p1", "259:1\n");
        put_disk(HOST_BLOCK "/nvme0n1p2", "259:2\n");
        host_put_link("sys/class/net/eth7", "../../devices/pci0000:00/" HOST_NIC "/net/eth7");
        host_put(HOST_NET "/flags", "0x1003\n");
        host_put_link("sys/class/net/lo", "../../devices/virtual/net/lo");
}

void host_end(void) {
        close(sys);
        close(proc);
        tree_free(tree);
}

int host_find_on(const char *bus, const char *name, HostUse ret[HOSTUSE_MAX]) {
        _cleanup_(hostview_freep) HostView *view = NULL;

        must(hostview_new(&view, sys, proc) >= 0, "view");
        return hostuse_find(view, bus, name, ret);
}

int host_find(const char *address, HostUse ret[HOSTUSE_MAX]) {
        return host_find_on("pci", address, ret);
}

const char *host_uses(const char *address) {
        return host_uses_on("pci", address);
}

const char *host_uses_on(const char *bus, const char *name) {
        static char text[HOSTUSE_MAX * sizeof(HostUse)];
        HostUse uses[HOSTUSE_MAX];
        int n = host_find_on(bus, name, uses);
        size_t at = 0;

        text[0] = '\0';
        must(n >= 0, "uses");
        for (int i = 0; i < n; i++) {
                must(uses[i].never == !!strstr(uses[i].text, " (never taken)"), uses[i].text);
                at += (size_t) snprintf(text + at, sizeof(text) - at, "%s%s: %s", i > 0 ? "\n" : "", uses[i].kind, uses[i].text);
        }
        return text;
}

static bool read_text(const char *path, char *ret, size_t size) {
        FILE *file = fopen(full(path), "re");
        bool there = file && fgets(ret, (int) size, file);

        if (file)
                fclose(file);
        return there;
}

/* What the daemon would ask libsystemd is in the tree: udev/block/nvme0n1/ID_FS_TYPE, udev/input/input5/seat, seats/seat0 */

bool udevdb_read(const char *subsystem, const char *name, const char *property, char *ret, size_t size) {
        char path[256];

        snprintf(path, sizeof(path), "udev/%s/%s/%s", subsystem, name, property);
        return read_text(path, ret, size);
}

bool udevdb_read_seat(const char *input, char *ret, size_t size) {
        return udevdb_read("input", input, "seat", ret, size);
}

bool udevdb_seat_is_active(const char *seat) {
        char path[128], text[32];

        snprintf(path, sizeof(path), "seats/%s", seat);
        return read_text(path, text, sizeof(text));
}
