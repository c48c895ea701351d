/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* By hand */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "by-hand.h"
#include "cleanup.h"

static int open_node(World *world, const char *name) {
        char path[PATH_MAX];
        int fd;

        snprintf(path, sizeof(path), "%s/dev/vfio/%s", tree_root(world->tree), name);
        fd = open(path, O_RDWR | O_CLOEXEC);
        ck_assert_msg(fd >= 0, "%s: %m", path);
        return fd;
}

ByHand by_hand_take(World *world, unsigned group, const char *device) {
        ByHand ret = { -EBADF, -EBADF, -EBADF };
        char name[16];

        snprintf(name, sizeof(name), "%u", group);
        ret.group = open_node(world, name);
        if (!device)
                return ret;
        ret.container = open_node(world, "vfio");
        ck_assert_int_eq(ioctl(ret.group, VFIO_GROUP_SET_CONTAINER, &ret.container), 0);
        ck_assert_int_eq(ioctl(ret.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
        ret.device = ioctl(ret.group, VFIO_GROUP_GET_DEVICE_FD, device);
        ck_assert_int_ge(ret.device, 0);
        return ret;
}

void by_hand_let_go(ByHand *by_hand) {
        closep(&by_hand->device);
        closep(&by_hand->group);
        closep(&by_hand->container);
}
