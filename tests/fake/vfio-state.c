/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: state */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "cleanup.h"
#include "vfio.h"
#include "vfio-state.h"

int state_open(const char *path, int flags) {
        int fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0666);

        /* whatever the umask is */
        if (fd >= 0 && (flags & O_CREAT))
                (void) fchmod(fd, 0666);
        return fd < 0 ? -errno : fd;
}

void state_path(char ret[PATH_MAX], const char *format, ...) {
        va_list arguments;
        int n;

        n = snprintf(ret, PATH_MAX, "%s/", getenv(FAKE_VFIO_ROOT));
        va_start(arguments, format);
        vsnprintf(ret + n, PATH_MAX - n, format, arguments);
        va_end(arguments);
}

bool path_exists(const char *path) {
        return faccessat(AT_FDCWD, path, F_OK, 0) == 0;
}

void text_read(const char *path, char ret[STATE_MAX]) {
        _cleanup_(closep) int fd = state_open(path, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, ret, STATE_MAX - 1);

        ret[n > 0 ? n : 0] = '\0';
}

void text_write(const char *path, const char *text) {
        _cleanup_(closep) int fd = state_open(path, O_WRONLY | O_CREAT);
        ssize_t n = strlen(text);

        /* the library plays write(), too; cut afterwards, so that who reads meanwhile never finds it empty */
        if (fd < 0 || syscall(SYS_write, fd, text, n) != n || ftruncate(fd, n) < 0)
                abort();
}

void state_read(const char *name, char ret[STATE_MAX]) {
        char path[PATH_MAX];

        state_path(path, "fake/%s", name);
        text_read(path, ret);
}

void state_write(const char *name, const char *text) {
        char path[PATH_MAX];

        state_path(path, "fake/%s", name);
        text_write(path, text);
}

bool text_has_word(const char *text, const char *word) {
        size_t n = strlen(word);

        for (const char *p = text; *p; p += strcspn(p, " \n")) {
                p += strspn(p, " \n");
                if (strncmp(p, word, n) == 0 && (!p[n] || isspace((unsigned char) p[n])))
                        return true;
        }
        return false;
}

/* Makes the folder, too. */
static int open_and_lock(const char *path) {
        char folder[PATH_MAX];
        int fd;

        state_path(folder, "fake");
        if (mkdirat(AT_FDCWD, folder, 0777) == 0)
                (void) fchmodat(AT_FDCWD, folder, 0777, 0);
        fd = state_open(path, O_RDWR | O_CREAT);
        while (fd >= 0 && flock(fd, LOCK_EX) < 0 && errno == EINTR)
                ;
        return fd;
}

int state_lock(void) {
        char path[PATH_MAX];

        state_path(path, "fake/lock");
        return open_and_lock(path);
}

bool state_is_open(const char *path) {
        _cleanup_(closep) int fd = state_open(path, O_RDONLY);

        return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
}

void call_log(const char *object, const char *call, int r) {
        char path[PATH_MAX], line[256];
        int fd;

        state_path(path, "fake/log");
        fd = state_open(path, O_WRONLY | O_CREAT | O_APPEND);
        if (fd < 0)
                return;
        snprintf(line, sizeof(line), "%s %s %s %d\n", program_invocation_short_name, object, call, r < 0 ? -r : 0);
        if (write(fd, line, strlen(line)) < 0)
                abort();
        close(fd);
}

int fault_errno(const char *object, const char *call) {
        char path[PATH_MAX], text[STATE_MAX];
        int number, times = -1;

        state_path(path, "fail/%s/%s-errno", object, call);
        text_read(path, text);
        if (sscanf(text, "%d %d", &number, &times) < 1)
                return 0;
        if (times == 0)
                return 0;
        if (times > 0) {
                snprintf(text, sizeof(text), "%d %d\n", number, times - 1);
                text_write(path, text);
        }
        return -number;
}

void fault_delay(const char *object, const char *call) {
        char hangs[PATH_MAX], told[PATH_MAX], path[PATH_MAX], text[STATE_MAX];
        _cleanup_(closep) int fd = -EBADF;
        struct timespec left;
        long ms;

        state_path(path, "fail/%s/%s-delay-ms", object, call);
        text_read(path, text);
        ms = atol(text);
        state_path(hangs, "fail/%s/%s-hangs", object, call);
        if (ms <= 0 && !path_exists(hangs))
                return;

        /* The lock says that it goes on: a file alone outlives a process that is killed. */
        state_path(told, "fake/delayed-%d", (int) getpid());
        fd = open_and_lock(told);
        left = (struct timespec) { ms / 1000, ms % 1000 * 1000000 };
        while (ms > 0 && nanosleep(&left, &left) < 0 && errno == EINTR)
                ;
        while (path_exists(hangs) && path_exists(told))
                usleep(1000);
}

bool state_below_root(int dirfd, const char *path, char ret[PATH_MAX]) {
        char full[PATH_MAX], link[64];
        const char *root = getenv(FAKE_VFIO_ROOT);
        size_t size = root ? strlen(root) : 0;
        ssize_t n = 0;

        if (size == 0)
                return false;
        if (path[0] != '/') {
                snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
                n = dirfd < 0 ? -1 : readlink(link, full, sizeof(full) - 1);
                if (n < 0)
                        return false;
        }
        snprintf(full + n, sizeof(full) - n, "%s%s", path[0] && path[0] != '/' ? "/" : "", path);
        if (strncmp(full, root, size) != 0 || full[size] != '/')
                return false;
        snprintf(ret, PATH_MAX, "%s", full + size + 1);
        return true;
}
