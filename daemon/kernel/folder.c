/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Folder */

#include <errno.h>
#include <fcntl.h>

#include "cleanup.h"
#include "kernel/folder.h"

int folder_open(DIR **ret, int dirfd, const char *path) {
        _cleanup_(closep) int fd = -EBADF;
        DIR *folder;

        fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        folder = fdopendir(fd);
        if (!folder)
                return -errno;
        TAKE_FD(fd); /* @folder's from here on */

        *ret = folder;
        return 0;
}

void folder_closep(DIR **folder) {
        if (*folder)
                closedir(*folder);
}
