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

int lifeline_new(Lifeline **ret, sd_event *event, LifelineCut cut, void *userdata, int *ret_fd) {
        _cleanup_(lifeline_freep) Lifeline *lifeline = NULL;
        int r, fds[2];

        lifeline = calloc(1, sizeof(*lifeline));
        if (!lifeline)
                return -ENOMEM;

        lifeline->cut = cut;
        lifeline->userdata = userdata;

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        _cleanup_(closep) int ours = fds[0], theirs = fds[1];

        /* No EPOLLIN: what a holder writes into it is nobody's concern, and would spin the loop. */
        r = sd_event_add_io(event, &lifeline->source, ours, EPOLLHUP, lifeline_on_hangup, lifeline);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(lifeline->source, 1);
        if (r < 0)
                return r;

        TAKE_FD(ours);
        *ret_fd = TAKE_FD(theirs);
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

int pidfd_check(int fd) {
        struct pollfd poller = { .fd = fd, .events = POLLIN };
        char path[64];
        FILE *info;
        long pid;
        int r;

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        info = fopen(path, "re");
        if (!info)
                return -errno;
        r = read_pid(info, &pid);
        fclose(info);
        if (r < 0)
                return r;

        return pid == -1 || poll(&poller, 1, 0) != 0 ? -ESRCH : 0;
}

Lifeline *lifeline_free(Lifeline *lifeline) {
        if (!lifeline)
                return NULL;

        sd_event_source_disable_unref(lifeline->source);
        free(lifeline);
        return NULL;
}
