/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tree: files */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tree-files.h"

int tree_make_parents(Tree *tree, const char *path) {
        char part[PATH_MAX];

        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                snprintf(part, sizeof(part), "%.*s", (int) (slash - path), path);
                if (mkdirat(tree_fd(tree), part, 0755) < 0 && errno != EEXIST)
                        return -errno;
        }
        return 0;
}

int tree_open(Tree *tree, const char *folder) {
        int fd = openat(tree_fd(tree), folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int tree_write(Tree *tree, const char *path, const char *value) {
        _cleanup_(closep) int fd = -EBADF;
        size_t size = strlen(value);
        int r;

        r = tree_make_parents(tree, path);
        if (r < 0)
                return r;

        fd = openat(tree_fd(tree), ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        if (write(fd, value, size) != (ssize_t) size)
                return -EIO;
        return renameat(tree_fd(tree), ".new", tree_fd(tree), path) < 0 ? -errno : 0;
}

int tree_link(Tree *tree, const char *target, const char *format, ...) {
        char path[PATH_MAX];
        va_list arguments;
        int r;

        va_start(arguments, format);
        vsnprintf(path, sizeof(path), format, arguments);
        va_end(arguments);

        r = tree_make_parents(tree, path);
        if (r < 0)
                return r;
        return symlinkat(target, tree_fd(tree), path) < 0 ? -errno : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path) < 0 ? -errno : 0;
}

int tree_remove_all(Tree *tree, const char *format, ...) {
        char path[PATH_MAX], full[2 * PATH_MAX];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(path, sizeof(path), format, arguments);
        va_end(arguments);
        snprintf(full, sizeof(full), "%s/%s", tree_root(tree), path);

        if (nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
                return -errno;
        return 0;
}
