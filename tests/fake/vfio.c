/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO */

/* Here open() and open64() are two symbols, and neither may be an inline function of the C library's. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "vfio-bind.h"
#include "vfio.h"
#include "vfio-device.h"
#include "vfio-looks.h"
#include "vfio-model.h"
#include "vfio-sriov.h"
#include "vfio-state.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int fake_vfio_use(const char *root) {
        return setenv(FAKE_VFIO_ROOT, root, 1) < 0 ? -errno : 0;
}

/* @label: what faults and the log call it */
static int run(const char *name, CallFunction function, const char *label, const Object *object, void *argument) {
        _cleanup_(closep) int lock = -EBADF;
        int r;

        fault_delay(label, name);
        lock = state_lock();
        r = fault_errno(label, name);
        if (r == 0)
                r = function(object, argument);
        call_log(label, name, r);
        return r;
}

static int ioctl_vfio(const Object *object, unsigned long request, void *argument) {
        _cleanup_(closep) int lock = -EBADF;
        const Call *call = call_find(object->kind, request);
        char label[96];

        if (!call) {
                lock = state_lock();
                return call_unknown(object);
        }

        if (request == VFIO_GROUP_GET_DEVICE_FD)
                device_name(argument, label);
        else if (object->kind == KIND_CONTAINER)
                snprintf(label, sizeof(label), "container");
        else
                snprintf(label, sizeof(label), "%s%s", object->kind == KIND_GROUP ? "group-" : "", object->name);
        return run(call->name, call->run, label, object, argument);
}

static int open_vfio(const char *node, int flags) {
        static const char noiommu[] = "noiommu-";
        bool without = strncmp(node, noiommu, strlen(noiommu)) == 0;
        Object object = { .kind = KIND_GROUP };
        char label[96];
        int fd;

        node += without ? strlen(noiommu) : 0;
        if (snprintf(object.name, sizeof(object.name), "%s", node) >= (int) sizeof(object.name))
                return -ENOENT;
        if (strcmp(node, "vfio") != 0 && group_is_noiommu(node) != without)
                return -ENOENT;
        snprintf(label, sizeof(label), "group-%s", object.name);
        fd = strcmp(node, "vfio") == 0 ? run("open", container_open, "container", &object, NULL)
                                       : run("open", group_open, label, &object, NULL);
        if (fd >= 0 && !(flags & O_CLOEXEC))
                (void) fcntl(fd, F_SETFD, 0);
        return fd;
}

/* @path ends in "ADDRESS/enable". */
static void refresh_enable(const char *path) {
        const char *end = strrchr(path, '/'), *start = end;
        _cleanup_(closep) int lock = -EBADF;
        char address[64];

        lock = state_lock();
        while (start > path && start[-1] != '/')
                start--;
        snprintf(address, sizeof(address), "%.*s", (int) (end - start), start);
        device_refresh_enable(address);
}

static int open_any(int dirfd, const char *path, int flags, mode_t mode) {
        static const char nodes[] = "dev/vfio/", enable[] = "/enable";
        char below[PATH_MAX];
        size_t n;
        int r;

        look_count(dirfd);
        if (flags & (O_PATH | O_DIRECTORY | O_CREAT) || !state_below_root(dirfd, path, below))
                return syscall(SYS_openat, dirfd, path, flags, mode);

        if (strncmp(below, nodes, strlen(nodes)) == 0) {
                r = open_vfio(below + strlen(nodes), flags);
                if (r < 0)
                        errno = -r;
                return r < 0 ? -1 : r;
        }

        n = strlen(below);
        if (n > strlen(enable) && strcmp(below + n - strlen(enable), enable) == 0)
                refresh_enable(below);
        return syscall(SYS_openat, dirfd, path, flags, mode);
}

/* In the kernel a device's file has no place in the file system. */
EXPORT ssize_t readlinkat(int dirfd, const char *path, char *buffer, size_t size) {
        static const char name[] = "anon_inode:[vfio-device]";
        const char *root = getenv(FAKE_VFIO_ROOT);
        char prefix[PATH_MAX];
        ssize_t n;

        look_count(dirfd);
        n = syscall(SYS_readlinkat, dirfd, path, buffer, size);
        snprintf(prefix, sizeof(prefix), "%s/fake/device-", root ?: "");
        if (!root || n < (ssize_t) strlen(prefix) || memcmp(buffer, prefix, strlen(prefix)) != 0)
                return n;
        n = (ssize_t) strlen(name);
        n = n > (ssize_t) size ? (ssize_t) size : n;
        memcpy(buffer, name, (size_t) n);
        return n;
}

EXPORT int faccessat(int dirfd, const char *path, int mode, int flags) {
        look_count(dirfd);
        return flags ? syscall(SYS_faccessat2, dirfd, path, mode, flags) : syscall(SYS_faccessat, dirfd, path, mode);
}

/* Only what is written to a device's driver means something here. */
EXPORT ssize_t write(int fd, const void *data, size_t size) {
        char link[64], path[PATH_MAX], below[PATH_MAX];
        ssize_t n;
        int r;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = getenv(FAKE_VFIO_ROOT) ? syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1) : -1;
        path[n > 0 ? n : 0] = '\0';
        if (n <= 0 || path[0] != '/' || !state_below_root(AT_FDCWD, path, below) ||
            (!bind_is_about(below) && !sriov_is_about(below)))
                return syscall(SYS_write, fd, data, size);

        r = sriov_is_about(below) ? sriov_write(below, data, size) : bind_write(below, data, size);
        if (r < 0)
                errno = -r;
        return r < 0 ? -1 : (ssize_t) size;
}

/* There is a third argument only if a file may be made. */
#define TAKE_MODE(flags, mode)                                                    \
        mode_t mode = 0;                                                          \
        if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) {            \
                va_list arguments;                                                \
                va_start(arguments, flags);                                       \
                mode = va_arg(arguments, unsigned);                               \
                va_end(arguments);                                                \
        }

EXPORT int open(const char *path, int flags, ...) {
        TAKE_MODE(flags, mode)
        return open_any(AT_FDCWD, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...) {
        TAKE_MODE(flags, mode)
        return open_any(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int dirfd, const char *path, int flags, ...) {
        TAKE_MODE(flags, mode)
        return open_any(dirfd, path, flags, mode);
}

EXPORT int openat64(int dirfd, const char *path, int flags, ...) {
        TAKE_MODE(flags, mode)
        return open_any(dirfd, path, flags, mode);
}

/* What the C library's headers make of the four above with _FORTIFY_SOURCE */
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open_2(const char *path, int flags) {
        return open_any(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags) {
        return open_any(AT_FDCWD, path, flags, 0);
}

EXPORT int __openat_2(int dirfd, const char *path, int flags);
EXPORT int __openat_2(int dirfd, const char *path, int flags) {
        return open_any(dirfd, path, flags, 0);
}

EXPORT int __openat64_2(int dirfd, const char *path, int flags);
EXPORT int __openat64_2(int dirfd, const char *path, int flags) {
        return open_any(dirfd, path, flags, 0);
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
        Object object;
        va_list arguments;
        void *argument;
        int r;

        va_start(arguments, request);
        argument = va_arg(arguments, void *);
        va_end(arguments);

        if (_IOC_TYPE(request) != _IOC_TYPE(VFIO_GET_API_VERSION) || !object_identify(fd, &object))
                return syscall(SYS_ioctl, fd, request, argument);

        r = ioctl_vfio(&object, request, argument);
        if (r < 0)
                errno = -r;
        return r < 0 ? -1 : r;
}
