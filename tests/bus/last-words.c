/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Last words */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "last-words.h"

static char from[PATH_MAX];
static pid_t who;

void last_words_from(const char *root) {
        snprintf(from, sizeof(from), "%s", root);
        who = getpid();
}

/* Whole lines of the end of a log, @lines at most */
static void say_last(const char *name, unsigned lines) {
        char path[PATH_MAX + 32], text[8192], *line = text;
        _cleanup_(closep) int fd = -EBADF;
        struct stat st;
        ssize_t n;

        snprintf(path, sizeof(path), "%s/%s", from, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return;
        n = pread(fd, text, sizeof(text) - 1, st.st_size >= (off_t) sizeof(text) ? st.st_size - (off_t) sizeof(text) + 1 : 0);
        if (n <= 0)
                return;
        text[n] = '\0';
        for (char *end = text + n - 1; end > text; end--)
                if (end[-1] == '\n' && --lines == 0) {
                        line = end;
                        break;
                }
        dprintf(STDOUT_FILENO, "# --- failed: end of %s\n", path);
        for (char *rest = NULL, *next = strtok_r(line, "\n", &rest); next; next = strtok_r(NULL, "\n", &rest))
                dprintf(STDOUT_FILENO, "# %s\n", next);
}

/* The first line of /proc/@pid/@name, or as much of it as there is room for */
static void read_about(const char *pid, const char *name, char *ret, size_t size) {
        char path[64];
        _cleanup_(closep) int fd = -EBADF;
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, ret, size - 1) : 0;
        ret[n > 0 ? n : 0] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
}

/* Where in the kernel each of the test's processes is: of one that hangs before it says anything nothing else is known. */
static void say_processes(void) {
        char name[32], pids[4096];

        snprintf(name, sizeof(name), "task/%d/children", (int) who);
        read_about("self", name, pids, sizeof(pids));
        dprintf(STDOUT_FILENO, "# --- failed: processes\n");
        for (char *rest = NULL, *pid = strtok_r(pids, " ", &rest); pid; pid = strtok_r(NULL, " ", &rest)) {
                char stat[128], wchan[128], call[128];

                read_about(pid, "stat", stat, sizeof(stat)); /* number, name, state, parent, ... */
                read_about(pid, "wchan", wchan, sizeof(wchan));
                read_about(pid, "syscall", call, sizeof(call));
                dprintf(STDOUT_FILENO, "# %.60s in %s, system call %s\n", stat, wchan, call);
        }
}

/* How Check ends a test that has failed: past the handlers of atexit(3) */
void _exit(int status) {
        if (status != 0 && who == getpid()) {
                say_last("fake/log", 10);
                say_last("daemon.log", 30);
                say_processes();
        }
        syscall(SYS_exit_group, status);
        __builtin_unreachable();
}
