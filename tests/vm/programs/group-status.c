/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* group-status NUMBER [hold]: the kernel's own word on a group; "hold" keeps it open until the standard input ends. */

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
        struct vfio_group_status status = { .argsz = sizeof(status) };
        char node[64], byte;
        int group;

        if (argc < 2)
                return 2;

        (void) snprintf(node, sizeof(node), "/dev/vfio/%s", argv[1]);
        group = open(node, O_RDWR | O_CLOEXEC);
        if (group < 0) {
                printf("%s\n", strerrorname_np(errno));
                return EXIT_FAILURE;
        }
        if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0)
                return EXIT_FAILURE;

        printf("%s\n", status.flags & VFIO_GROUP_FLAGS_VIABLE ? "viable" : "not viable");
        (void) fflush(stdout);
        if (argc > 2)
                while (read(STDIN_FILENO, &byte, 1) > 0)
                        ;
        return EXIT_SUCCESS;
}
