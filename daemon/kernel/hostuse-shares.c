/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Host use: folders of the machine below this one
 *
 * What a virtual machine mounts of its host's files comes by a device of virtio, each with a tag that the mount names
 * as its source. Of virtiofs the kernel says which device has which only since Linux 6.9; before, any of these mounts
 * may be any such device's.
 */

#include <string.h>

#include "hostuse-internal.h"
#include "sysfs.h"

static const struct {
        const char *type, *driver;
} kinds[_SHARE_MAX] = {
        [SHARE_9P] = { "9p", "9pnet_virtio" },
        [SHARE_VIRTIOFS] = { "virtiofs", "virtiofs" },
};

ShareKind share_of_type(const char *type) {
        for (unsigned i = SHARE_NONE + 1; i < _SHARE_MAX; i++)
                if (strcmp(type, kinds[i].type) == 0)
                        return (ShareKind) i;
        return SHARE_NONE;
}

static ShareKind share_of_device(HostView *view, const char *name) {
        char path[128], driver[HOSTUSE_NAME_MAX];

        snprintf(path, sizeof(path), "bus/virtio/devices/%s/driver", name);
        if (sysfs_readlink_name(view->sys, path, driver, sizeof(driver)) < 0)
                return SHARE_NONE;
        for (unsigned i = SHARE_NONE + 1; i < _SHARE_MAX; i++)
                if (strcmp(driver, kinds[i].driver) == 0)
                        return (ShareKind) i;
        return SHARE_NONE;
}

typedef struct Tag {
        const char *device;
        char text[HOSTUSE_WHERE_MAX]; /* "": not known */
} Tag;

/* 9p's ends with a NUL byte. */
static void read_tag(HostView *view, const char *path, Tag *tag) {
        if (sysfs_read_start(view->sys, path, tag->text, sizeof(tag->text)) < 0)
                tag->text[0] = '\0';
        tag->text[strcspn(tag->text, "\n")] = '\0';
}

/* "fs/virtiofs/1/device" leads to the device. */
static bool look_at_virtiofs(HostView *view, const char *name, void *userdata) {
        char path[128], device[HOSTUSE_NAME_MAX];
        Tag *tag = userdata;

        snprintf(path, sizeof(path), "fs/virtiofs/%s/device", name);
        if (sysfs_readlink_name(view->sys, path, device, sizeof(device)) < 0 || strcmp(device, tag->device) != 0)
                return true;
        snprintf(path, sizeof(path), "fs/virtiofs/%s/tag", name);
        read_tag(view, path, tag);
        return false;
}

static void find_tag(HostView *view, ShareKind kind, Tag *tag) {
        char path[128];

        if (kind == SHARE_VIRTIOFS) {
                hostview_visit(view, "fs/virtiofs", look_at_virtiofs, tag);
                return;
        }
        snprintf(path, sizeof(path), "bus/virtio/devices/%s/mount_tag", tag->device);
        read_tag(view, path, tag);
}

static void find_mounts(Uses *uses, ShareKind kind, const char *tag) {
        const Disks *disks = &uses->view->disks;

        for (unsigned i = 0; i < disks->n_mounts; i++) {
                const Mount *mount = &disks->mounts[i];

                if (mount->share == kind && (!tag[0] || strcmp(mount->tag, tag) == 0))
                        uses_add(uses, mount->critical, "share", "%.40s (%s) is mounted on %.80s", mount->tag,
                                 kinds[kind].type, mount->where);
        }
}

void shares_find_uses(Uses *uses) {
        const HostLinks *links = &uses->view->virtios;

        for (unsigned i = 0; i < links->n; i++) {
                Tag tag = { .device = links->items[i].name };
                ShareKind kind;

                if (!uses_are_below(uses, links->items[i].target))
                        continue;
                kind = share_of_device(uses->view, tag.device);
                if (kind == SHARE_NONE)
                        continue;
                find_tag(uses->view, kind, &tag);
                find_mounts(uses, kind, tag.text);
        }
}
