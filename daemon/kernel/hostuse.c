/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Host use */

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "folder.h"
#include "hostuse-internal.h"
#include "proc.h"
#include "scan-bus.h"
#include "scan.h"
#include "sriov.h"
#include "sysfs.h"

#define PARTS_MAX   1024
#define ENTRIES_MAX 16384 /* of a folder */

void hostview_fail(HostView *view, int r) {
        if (view->error == 0)
                view->error = r;
}

void *hostview_grow(HostView *view, void *items, unsigned n, size_t size) {
        void *larger = items;

        /* The powers of two are when it is full. */
        if ((n & (n - 1)) == 0)
                larger = reallocarray(items, n > 0 ? 2 * (size_t) n : 1, size);
        if (!larger)
                hostview_fail(view, -ENOMEM);
        return larger;
}

void hostview_visit(HostView *view, const char *path, HostVisit function, void *userdata) {
        _cleanup_(folder_closep) DIR *folder = NULL;
        struct dirent *entry;
        unsigned n = 0;
        int r;

        r = folder_open(&folder, view->sys, path);
        if (r == -ENOENT)
                return;
        if (r < 0) {
                hostview_fail(view, r);
                return;
        }

        while ((entry = readdir(folder))) {
                if (entry->d_name[0] == '.' || strlen(entry->d_name) >= HOSTUSE_NAME_MAX)
                        continue;
                if (++n > ENTRIES_MAX) {
                        hostview_fail(view, -E2BIG);
                        return;
                }
                if (!function(view, entry->d_name, userdata))
                        return;
        }
}

FILE *hostview_open(HostView *view, const char *path) {
        FILE *file = proc_open(view->proc, path);

        /* Without IPv6, or without swap, there is no such file. */
        if (!file && errno != ENOENT)
                hostview_fail(view, -errno);
        return file;
}

bool hostview_read_link(HostView *view, const char *path, char **ret) {
        char target[PATH_MAX];
        ssize_t n = readlinkat(view->sys, path, target, sizeof(target) - 1);

        if (n < 0)
                return false; /* it has just gone */
        target[n] = '\0';
        *ret = strdup(target);
        if (!*ret)
                hostview_fail(view, -ENOMEM);
        return *ret;
}

typedef struct Reading {
        const char *folder;
        HostLinks *links;
} Reading;

static bool read_link(HostView *view, const char *name, void *userdata) {
        Reading *reading = userdata;
        HostLinks *links = reading->links;
        char path[HOSTUSE_NAME_MAX + 64];
        HostLink *items;

        items = hostview_grow(view, links->items, links->n, sizeof(*items));
        if (!items)
                return false;
        links->items = items;
        snprintf(path, sizeof(path), "%s/%s", reading->folder, name);
        if (hostview_read_link(view, path, &items[links->n].target))
                strcpy(items[links->n++].name, name);
        return true;
}

void hostview_read_links(HostView *view, const char *folder, HostLinks *ret) {
        hostview_visit(view, folder, read_link, &(Reading){ folder, ret });
}

void host_links_done(HostLinks *links) {
        for (unsigned i = 0; i < links->n; i++)
                free(links->items[i].target);
        free(links->items);
}

int hostview_new(HostView **ret, int sys, int proc) {
        HostView *view;

        view = calloc(1, sizeof(*view));
        if (!view)
                return -ENOMEM;

        view->sys = sys;
        view->proc = proc;
        disks_read(view);
        mounts_read(view);
        network_read(view);
        hostview_read_links(view, "class/graphics", &view->framebuffers);
        hostview_read_links(view, "class/input", &view->inputs);
        hostview_read_links(view, "class/tty", &view->ttys);
        hostview_read_links(view, "bus/mdev/devices", &view->mdevs);
        hostview_read_links(view, "bus/virtio/devices", &view->virtios);
        *ret = view;
        return 0;
}

HostView *hostview_free(HostView *view) {
        if (!view)
                return NULL;

        disks_done(&view->disks);
        network_done(&view->network);
        host_links_done(&view->framebuffers);
        host_links_done(&view->inputs);
        host_links_done(&view->ttys);
        host_links_done(&view->mdevs);
        host_links_done(&view->virtios);
        free(view);
        return NULL;
}

void uses_add(Uses *uses, bool never, const char *kind, const char *format, ...) {
        HostUse *use = &uses->items[uses->n < HOSTUSE_MAX ? uses->n : HOSTUSE_MAX - 1];
        va_list arguments;

        if (uses->n == HOSTUSE_MAX && (!never || use->never))
                return;

        *use = (HostUse){ .never = never };
        snprintf(use->kind, sizeof(use->kind), "%s", kind);
        va_start(arguments, format);
        vsnprintf(use->text, sizeof(use->text) - sizeof(" (never taken)"), format, arguments);
        va_end(arguments);
        for (char *c = use->text; *c; c++)
                if (*c < 0x20 || *c > 0x7e)
                        *c = '?';
        if (never)
                strcat(use->text, " (never taken)");
        if (uses->n < HOSTUSE_MAX)
                uses->n++;
}

bool uses_are_below(const Uses *uses, const char *links) {
        for (unsigned i = 0; i < uses->n_parts; i++)
                if (strstr(links, uses->parts[i]))
                        return true;
        return false;
}

static void add_part(Uses *uses, const char *name) {
        void *parts;

        if (uses->n_parts == PARTS_MAX) {
                hostview_fail(uses->view, -E2BIG);
                return;
        }
        parts = hostview_grow(uses->view, uses->parts, uses->n_parts, sizeof(*uses->parts));
        if (!parts)
                return;
        uses->parts = parts;
        snprintf(uses->parts[uses->n_parts++], sizeof(*uses->parts), "/%s/", name);
}

/* A driver that goes takes the virtual functions with it. Those that the host has no driver for are no loss: they
 * come again. Not by sriov_numvfs, which is locked while somebody changes it. */
static void find_functions(Uses *uses, const char *address) {
        _cleanup_(freep) SriovFunction *functions = NULL;
        int n = sriov_list(uses->view->sys, address, &functions);

        if (n < 0 && n != -ENOENT && n != -ENODEV)
                hostview_fail(uses->view, n);
        for (int i = 0; i < n; i++) {
                char path[128], driver[64];

                add_part(uses, functions[i].address);
                snprintf(path, sizeof(path), "bus/pci/devices/%s/vfio-dev", functions[i].address);
                if (sysfs_exists(uses->view->sys, path))
                        continue;
                snprintf(path, sizeof(path), "bus/pci/devices/%s/driver", functions[i].address);
                if (sysfs_readlink_name(uses->view->sys, path, driver, sizeof(driver)) == 0)
                        uses_add(uses, false, "sriov", "its virtual function %s is on driver %s", functions[i].address,
                                 driver);
        }
}

int hostuse_find(HostView *view, const char *bus, const char *name, HostUse ret[HOSTUSE_MAX]) {
        bool is_pci = strcmp(bus, "pci") == 0;
        Uses uses = { .view = view, .bus = bus, .items = ret };

        if (is_pci ? !pci_address_is_valid(name) : !bus_name_is_valid(name))
                return -EINVAL;

        add_part(&uses, name);
        if (uses.n_parts > 0) {
                if (is_pci) {
                        display_find_uses(&uses, name);
                        find_functions(&uses, name);
                }
                disks_find_uses(&uses);
                network_find_uses(&uses);
                console_find_uses(&uses);
                input_find_uses(&uses);
                mdev_find_uses(&uses);
                shares_find_uses(&uses);
        }
        free(uses.parts);
        return view->error < 0 ? view->error : uses.n;
}
