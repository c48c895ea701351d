/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sysfs */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "sysfs.h"

static int read_at_most(int dirfd, const char *path, char *ret, size_t size, ssize_t *ret_n) {
        _cleanup_(closep) int fd = -EBADF;
        ssize_t n;

        fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;

        /* One read: the kernel fills in an attribute at the first, and a second could show a newer one. */
        n = read(fd, ret, size);
        if (n < 0)
                return -errno;
        *ret_n = n;
        return 0;
}

int sysfs_read_start(int dirfd, const char *path, char *ret, size_t size) {
        ssize_t n;
        int r;

        assert(size > 0);

        r = read_at_most(dirfd, path, ret, size - 1, &n);
        if (r < 0)
                return r;
        ret[n] = '\0';
        return 0;
}

int sysfs_read(int dirfd, const char *path, char *ret, size_t size) {
        ssize_t n;
        int r;

        assert(size > 0);

        r = read_at_most(dirfd, path, ret, size, &n);
        if (r < 0)
                return r;
        if ((size_t) n == size)
                return -EFBIG;
        if (memchr(ret, '\0', n))
                return -EBADMSG;

        if (n > 0 && ret[n - 1] == '\n')
                n--;
        ret[n] = '\0';
        return 0;
}

int sysfs_readlink_name(int dirfd, const char *path, char *ret, size_t size) {
        char target[PATH_MAX];
        const char *name;
        ssize_t n;

        n = readlinkat(dirfd, path, target, sizeof(target));
        if (n < 0)
                return -errno;
        if ((size_t) n == sizeof(target))
                return -EFBIG;
        target[n] = '\0';

        name = strrchr(target, '/');
        name = name ? name + 1 : target;
        if (strlen(name) >= size)
                return -EFBIG;
        memcpy(ret, name, strlen(name) + 1);
        return 0;
}

int sysfs_write(int dirfd, const char *path, const char *text) {
        _cleanup_(closep) int fd = -EBADF;
        size_t size = strlen(text);
        ssize_t n;

        fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;

        n = write(fd, text, size);
        if (n < 0)
                return -errno;
        return (size_t) n == size ? 0 : -EIO;
}

bool sysfs_exists(int dirfd, const char *path) {
        return faccessat(dirfd, path, F_OK, 0) == 0;
}
