/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lifeline */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "core/lifeline.h"

struct Lifeline {
        sd_event_source *source; /* owns our end of the pipe */
        LifelineCut cut;
        void *userdata;
};

static int lifeline_on_hangup(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Lifeline *lifeline = userdata;

        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        lifeline->cut(lifeline->userdata);
        return 0;
}

/* Takes @fd, also on failure. */
static int lifeline_watch(Lifeline **ret, sd_event *event, int fd, LifelineCut cut, void *userdata) {
        _cleanup_(lifeline_freep) Lifeline *lifeline = NULL;
        _cleanup_(closep) int ours = fd;
        int r;

        lifeline = calloc(1, sizeof(*lifeline));
        if (!lifeline)
                return -ENOMEM;

        lifeline->cut = cut;
        lifeline->userdata = userdata;

        /* No EPOLLIN: what a holder writes into it is nobody's concern, and would spin the loop. */
        r = sd_event_add_io(event, &lifeline->source, ours, EPOLLHUP, lifeline_on_hangup, lifeline);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(lifeline->source, 1);
        if (r < 0)
                return r;

        TAKE_FD(ours);
        *ret = TAKE_PTR(lifeline);
        return 0;
}

void lifeline_identity(const Lifeline *lifeline, uint64_t *ret_dev, uint64_t *ret_ino) {
        int fd = sd_event_source_get_io_fd(lifeline->source);
        struct stat status;

        if (fd < 0 || fstat(fd, &status) < 0)
                return;
        *ret_dev = status.st_dev;
        *ret_ino = status.st_ino;
}

int lifeline_fd(const Lifeline *lifeline) {
        return sd_event_source_get_io_fd(lifeline->source);
}

void lifeline_rest(Lifeline *lifeline) {
        sd_event_source_set_enabled(lifeline->source, SD_EVENT_OFF);
}

int lifeline_new_process(Lifeline **ret, sd_event *event, int pidfd, LifelineCut cut, void *userdata) {
        _cleanup_(lifeline_freep) Lifeline *lifeline = NULL;
        _cleanup_(closep) int copy = -EBADF;
        int r;

        lifeline = calloc(1, sizeof(*lifeline));
        if (!lifeline)
                return -ENOMEM;
        *lifeline = (Lifeline){ .cut = cut, .userdata = userdata };

        copy = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;

        r = sd_event_add_io(event, &lifeline->source, copy, EPOLLIN, lifeline_on_hangup, lifeline);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(lifeline->source, 1);
        if (r < 0)
                return r;

        TAKE_FD(copy);
        *ret = TAKE_PTR(lifeline);
        return 0;
}

/* The kernel has no other way to say it: only a pidfd has this line, and it is -1 when the process has been reaped. */
static int read_pid(FILE *info, long *ret) {
        char line[256];

        while (fgets(line, sizeof(line), info))
                if (sscanf(line, "Pid: %ld", ret) == 1)
                        return 0;

        return -EBADF;
}

static int pidfd_read(int fd, long *ret) {
        char path[64];
        FILE *info;
        int r;

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        info = fopen(path, "re");
        if (!info)
                return -errno;

        r = read_pid(info, ret);
        fclose(info);
        return r;
}

int pidfd_check(int fd) {
        struct pollfd poller = { .fd = fd, .events = POLLIN };
        long pid;
        int r;

        r = pidfd_read(fd, &pid);
        if (r < 0)
                return r;

        return pid == -1 || poll(&poller, 1, 0) != 0 ? -ESRCH : 0;
}

int pidfd_pid(int fd, pid_t *ret) {
        long pid;
        int r;

        r = pidfd_read(fd, &pid);
        if (r < 0)
                return r;
        if (pid <= 0)
                return -ESRCH;

        *ret = (pid_t) pid;
        return 0;
}

/* Our end, then the holder's: opened the other way round it would wait for us. */
static int fifo_open_ends(int dir, const char *name, int *ret_ours, int *ret_theirs) {
        _cleanup_(closep) int ours = -EBADF;
        struct stat st;
        int fd;

        ours = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
        if (ours < 0)
                return errno == ELOOP ? -EBADMSG : -errno;
        if (fstat(ours, &st) < 0)
                return -errno;
        if (!S_ISFIFO(st.st_mode))
                return -EBADMSG;

        fd = openat(dir, name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        *ret_ours = TAKE_FD(ours);
        *ret_theirs = fd;
        return 0;
}

static int fifo_new(int dir, const char *name, int fds[2]) {
        int r;

        /* Of a lease of the same id that is long over, if at all */
        if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
                return -errno;
        if (mkfifoat(dir, name, 0600) < 0)
                return -errno;

        r = fifo_open_ends(dir, name, &fds[0], &fds[1]);
        if (r < 0)
                (void) unlinkat(dir, name, 0);
        return r;
}

int lifeline_new(Lifeline **ret, sd_event *event, int dir, const char *name, LifelineCut cut, void *userdata,
                 int *ret_fd) {
        _cleanup_(closep) int theirs = -EBADF;
        int fds[2], r;

        if (dir >= 0)
                r = fifo_new(dir, name, fds);
        else
                r = pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
        if (r < 0)
                return r;

        theirs = fds[1];
        r = lifeline_watch(ret, event, fds[0], cut, userdata);
        if (r < 0)
                return r;

        *ret_fd = TAKE_FD(theirs);
        return 0;
}

int lifeline_reopen(Lifeline **ret, sd_event *event, int dir, const char *name, LifelineCut cut, void *userdata) {
        _cleanup_(closep) int theirs = -EBADF;
        int ours, r;

        /* A pipe hangs up only if it had a writer since it was opened. The one that we open and close is that: if it
         * was the last, the holder has gone while nobody looked. */
        r = fifo_open_ends(dir, name, &ours, &theirs);
        if (r < 0)
                return r;

        return lifeline_watch(ret, event, ours, cut, userdata);
}

Lifeline *lifeline_free(Lifeline *lifeline) {
        if (!lifeline)
                return NULL;

        sd_event_source_disable_unref(lifeline->source);
        free(lifeline);
        return NULL;
}
