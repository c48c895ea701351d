/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Slow
 *
 * A preload for bus tests: each of the programs in a world can be made slow at the moments at which the order of things is
 * decided between them. A test that nowhere counts on an order that nobody promises passes however slow whichever is.
 *
 *   SLOW_TEST, SLOW_BUS, SLOW_DAEMON, SLOW_FAKES   what that program waits, as in "turn=20 send=20"
 *
 *   turn=MS      when an event is there, before it is looked at
 *   send=MS      after a message has left, before what comes next
 *   child=MS     a child after fork(2), while it has a copy of everything
 *   parent=MS    who has just forked it
 *   exit=MS      a child before it is gone
 *   chance=PERCENT   that often, and then some time up to that
 *   stop=MS      it stands still now and then, up to so long, wherever it is
 *   stop-all=MS  the test, and with it all of its world, as on a machine that has other things to do
 */

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PRELOAD "LD_PRELOAD="
#define ENVIRONMENT_MAX 128
#define RUNS_MS 100 /* between two stops, at most */

/* The first that @program_invocation_short_name begins with */
static const struct {
        const char *program, *variable;
} slow[] = {
        { "test-", "SLOW_TEST" },
        { "dbus-daemon", "SLOW_BUS" },
        { "vfio-brokerd", "SLOW_DAEMON" },
        { "fake-", "SLOW_FAKES" },
};

static const char *settings(void) {
        for (size_t i = 0; i < sizeof(slow) / sizeof(*slow); i++)
                if (strncmp(program_invocation_short_name, slow[i].program, strlen(slow[i].program)) == 0)
                        return getenv(slow[i].variable);
        return NULL;
}

static long setting(const char *name) {
        const char *at = settings();

        at = at ? strstr(at, name) : NULL;
        return at ? atol(at + strlen(name)) : 0;
}

/* Each process has its own luck. */
static long chance(long ms) {
        static unsigned seed;
        struct timespec now;
        long percent = setting("chance=");

        if (percent <= 0 || ms <= 0)
                return ms;
        clock_gettime(CLOCK_MONOTONIC, &now);
        seed ^= (unsigned) getpid() * 31 + (unsigned) now.tv_nsec;
        return rand_r(&seed) % 100 < percent ? rand_r(&seed) % ms + 1 : 0;
}

static void wait_for(const char *name) {
        int error = errno;
        long ms = chance(setting(name));

        if (ms > 0)
                nanosleep(&(struct timespec) { ms / 1000, ms % 1000 * 1000000 }, NULL);
        errno = error;
}

/* The function that this one stands before */
#define NEXT(function) ((__typeof__(&(function))) dlsym(RTLD_NEXT, #function))

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout) {
        int r = NEXT(epoll_wait)(fd, events, n, timeout);

        if (r > 0 && timeout != 0)
                wait_for("turn=");
        return r;
}

/* sd-event's, where the kernel and the C library have it */
int epoll_pwait2(int fd, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *signals) {
        int r = NEXT(epoll_pwait2)(fd, events, n, timeout, signals);

        if (r > 0)
                wait_for("turn=");
        return r;
}

/* sd_bus_wait()'s */
int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *signals) {
        int r = NEXT(ppoll)(fds, n, timeout, signals);

        if (r > 0)
                wait_for("turn=");
        return r;
}

int poll(struct pollfd *fds, nfds_t n, int timeout) {
        int r = NEXT(poll)(fds, n, timeout);

        if (r > 0 && timeout != 0)
                wait_for("turn=");
        return r;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
        ssize_t n = NEXT(sendmsg)(fd, message, flags);

        wait_for("send=");
        return n;
}

pid_t fork(void) {
        pid_t pid = NEXT(fork)();

        wait_for(pid == 0 ? "child=" : "parent=");
        return pid;
}

void _exit(int status) {
        wait_for("exit=");
        NEXT(_exit)(status);
        __builtin_unreachable();
}

/* In a process that is nobody's child, in no group of theirs and has nothing of theirs; until that of @pidfd has ended. */
static _Noreturn void stop_now_and_then(int pidfd, pid_t target, long ms) {
        struct pollfd gone = { .fd = pidfd, .events = POLLIN };
        unsigned seed = (unsigned) getpid() ^ (unsigned) time(NULL);

        /* most tests are short; so are most stops, or none would come to its end */
        while (NEXT(poll)(&gone, 1, (int) (rand_r(&seed) % RUNS_MS)) == 0) {
                kill(target, SIGSTOP);
                (void) NEXT(poll)(&gone, 1, (int) (rand_r(&seed) % (rand_r(&seed) % 4 == 0 ? ms : ms / 16 + 1)));
                kill(target, SIGCONT);
        }
        NEXT(_exit)(0);
        __builtin_unreachable();
}

/* @target: itself, or its group, as for kill(2) */
static void have_stopped(const char *name, pid_t target) {
        pid_t self = getpid(), pid;
        long ms = setting(name);
        int pidfd;

        if (ms <= 0)
                return;
        pid = NEXT(fork)();
        if (pid != 0) {
                (void) waitpid(pid, NULL, 0);
                return;
        }
        if (setsid() >= 0 && NEXT(fork)() == 0) {
                close_range(0, ~0U, 0);
                pidfd = (int) syscall(SYS_pidfd_open, self, 0);
                if (pidfd >= 0)
                        stop_now_and_then(pidfd, target, ms);
        }
        NEXT(_exit)(0);
}

/* A test program itself only waits for the processes that Check makes of it, one for each test. */
static bool is_test_program(void) {
        return strncmp(program_invocation_short_name, slow[0].program, strlen(slow[0].program)) == 0;
}

__attribute__((constructor)) static void begin(void) {
        if (!is_test_program())
                have_stopped("stop=", getpid());
}

/* What such a process begins with: all of its world is of its group. */
int setpgid(pid_t pid, pid_t group) {
        int r = NEXT(setpgid)(pid, group);

        if (r == 0 && pid == 0 && group == 0 && is_test_program()) {
                have_stopped("stop=", getpid());
                have_stopped("stop-all=", -getpid());
        }
        return r;
}

static bool is_passed_on(const char *entry) {
        return strncmp(entry, PRELOAD, strlen(PRELOAD)) == 0 || strncmp(entry, "SLOW_", strlen("SLOW_")) == 0 ||
               strncmp(entry, "ASAN_OPTIONS=", strlen("ASAN_OPTIONS=")) == 0;
}

/* A world gives its programs an environment of their own: this goes along, behind what is preloaded there. */
int execvpe(const char *file, char *const *argv, char *const *environment) {
        char *entries[ENVIRONMENT_MAX], preload[8192] = "";
        size_t n = 0;

        for (; *environment && n < ENVIRONMENT_MAX / 2; environment++)
                if (strncmp(*environment, PRELOAD, strlen(PRELOAD)) == 0)
                        snprintf(preload, sizeof(preload), "%s:%s", *environment, getenv("LD_PRELOAD"));
                else
                        entries[n++] = *environment;
        for (char **own = environ; *own && n < ENVIRONMENT_MAX - 2; own++)
                if (is_passed_on(*own) && (!*preload || strncmp(*own, PRELOAD, strlen(PRELOAD)) != 0))
                        entries[n++] = *own;
        if (*preload)
                entries[n++] = preload;
        entries[n] = NULL;
        return NEXT(execvpe)(file, argv, entries);
}
