/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Namespace */

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "namespace.h"

static bool write_file(const char *path, const char *text) {
        _cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);
}

static bool map_root(uid_t uid, gid_t gid) {
        char text[64];

        snprintf(text, sizeof(text), "0 %u 1", uid);
        if (!write_file("/proc/self/uid_map", text) || !write_file("/proc/self/setgroups", "deny"))
                return false;
        snprintf(text, sizeof(text), "0 %u 1", gid);
        return write_file("/proc/self/gid_map", text);
}

bool namespace_enter(int flags) {
        uid_t uid = getuid();
        gid_t gid = getgid();

        if (unshare(flags) < 0 && (unshare(CLONE_NEWUSER | flags) < 0 || !map_root(uid, gid)))
                return false;
        return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}
