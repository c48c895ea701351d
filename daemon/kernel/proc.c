/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Proc */

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "proc.h"
#include "sysfs.h"

FILE *proc_open(int dirfd, const char *path) {
        FILE *file;
        int fd;

        fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return NULL;

        file = fdopen(fd, "r");
        if (!file)
                close(fd);
        return file;
}

void proc_name(int dirfd, char ret[PROC_NAME_MAX]) {
        char text[64];

        if (sysfs_read(dirfd, "comm", text, sizeof(text)) < 0)
                strcpy(text, "?");

        snprintf(ret, PROC_NAME_MAX, "%.*s", PROC_NAME_MAX - 1, text);
        for (char *p = ret; *p; p++)
                if (*p < ' ' || *p > '~')
                        *p = '?';
}

pid_t proc_parent(int dirfd) {
        char text[1024], *end;
        int parent;

        /* The name is in parentheses and may hold some itself: what counts comes after the last one. */
        if (sysfs_read(dirfd, "stat", text, sizeof(text)) < 0)
                return 0;
        end = strrchr(text, ')');
        return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

bool proc_is_path_only(int fdinfo, const char *number) {
        char text[4096], *flags;

        if (sysfs_read(fdinfo, number, text, sizeof(text)) < 0)
                return true;
        flags = strstr(text, "flags:");
        return !flags || strtoul(flags + strlen("flags:"), NULL, 8) & O_PATH;
}

static long kcmp(pid_t one, pid_t other, int what, unsigned long a, unsigned long b) {
        return syscall(SYS_kcmp, one, other, what, a, b);
}

bool proc_same_file(pid_t pid, unsigned theirs, int ours) {
        return kcmp(pid, getpid(), KCMP_FILE, theirs, (unsigned long) ours) == 0;
}

bool proc_shares_files(pid_t one, pid_t other) {
        return kcmp(one, other, KCMP_FILES, 0, 0) == 0;
}

bool proc_shares_memory(pid_t one, pid_t other) {
        return kcmp(one, other, KCMP_VM, 0, 0) == 0;
}
