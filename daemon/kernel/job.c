/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Job
 *
 * A socket pair between the loop and the child carries three things:
 *
 *   loop to child   one byte: go. It comes when the child's end is sure to be noticed, so that no
 *                   failure in job_start() leaves a child at work or a zombie.
 *   child to loop   one message: the result and the descriptors.
 *   loop to child   its end is closed: done.
 *
 * Until that close the child keeps its own copies of what it sent. The last close of a device may take a
 * minute, so it must not be the loop's: whatever the loop drops, by job_free() or because done() did
 * not want it, is still open in the child, and the child's exit is the close that waits.
 */

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "cleanup.h"
#include "job.h"

struct Job {
        sd_event_source *io;
        JobDone done;
        void *userdata;
        size_t result_size;
        int fd;
};

typedef struct Header {
        int32_t r;     /* of the passing on, not of the work; if negative nothing follows */
        uint32_t n_fds;
} Header;

typedef union Control {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * JOB_FDS_MAX)];
} Control;

typedef union Result {
        max_align_t align;
        char bytes[JOB_RESULT_MAX];
} Result;

DEFINE_CLEANUP(Job, job_free)

/* What the daemon was started with, and what its libraries have set by the time of the first job: it sets none itself.
 * To ask for each of them in each child was most of what a child did. */
static const sigset_t *signals_to_reset(void) {
        static sigset_t signals;
        static bool known;
        struct sigaction action;

        if (known)
                return &signals;

        sigemptyset(&signals);
        for (int i = 1; i < _NSIG; i++)
                if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
                        sigaddset(&signals, i);
        known = true;
        return &signals;
}

static void reset_signals(void) {
        const sigset_t *signals = signals_to_reset();
        sigset_t none;

        for (int i = 1; i < _NSIG; i++)
                if (sigismember(signals, i) == 1)
                        (void) signal(i, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All but 0 to 2, @keep and @socket. */
static int close_others(const int *keep, size_t n_keep, int socket) {
        int sorted[JOB_FDS_MAX + 1];
        size_t n = 0;
        int next = 3;

        assert(n_keep <= JOB_FDS_MAX);

        for (size_t i = 0; i <= n_keep; i++) {
                int fd = i < n_keep ? keep[i] : socket;
                size_t at = n++;

                for (; at > 0 && sorted[at - 1] > fd; at--)
                        sorted[at] = sorted[at - 1];
                sorted[at] = fd;
        }

        for (size_t i = 0; i < n; i++) {
                if (sorted[i] < next)
                        continue; /* none, one of 0 to 2, or twice the same */
                if (sorted[i] > next && close_range(next, sorted[i] - 1, 0) < 0)
                        return -errno;
                next = sorted[i] + 1;
        }
        return close_range(next, ~0U, 0) < 0 ? -errno : 0;
}

static int send_result(int socket, const Header *header, const Result *result, size_t size, const int *fds) {
        Control control = { 0 };
        struct iovec iov[] = {
                { (void *) header, sizeof(*header) },
                { (void *) result->bytes, size },
        };
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
        struct cmsghdr *cmsg;

        if (header->n_fds > 0) {
                message.msg_control = control.space;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * header->n_fds);
                cmsg = CMSG_FIRSTHDR(&message);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(sizeof(int) * header->n_fds);
                memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * header->n_fds);
        }
        return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void run_child(const JobSpec *spec, int socket, pid_t parent) {
        int fds[JOB_FDS_MAX];
        Header header = { 0 };
        Result result = { 0 };
        size_t n_fds = 0;
        char go;
        int r;

        reset_signals();
        /* Whatever comes after the daemon finds its groups at rest: nobody who still detaches or resets. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                return;
        if (close_others(spec->keep, spec->n_keep, socket) < 0)
                return;
        if (recv(socket, &go, 1, 0) != 1)
                return;

        spec->work(spec->plan, result.bytes, fds, &n_fds);
        if (n_fds > JOB_FDS_MAX)
                return;

        /* Whoever has the result may rely on it that what was not passed on is closed. */
        if (close_others(fds, n_fds, socket) < 0)
                return;

        header.n_fds = n_fds;
        r = send_result(socket, &header, &result, spec->result_size, fds);
        if (r < 0) {
                header = (Header){ .r = r };
                if (send_result(socket, &header, &result, 0, NULL) < 0)
                        return;
        }
        (void) recv(socket, &go, 1, 0);
}

/* Takes all descriptors out of @message before anything else is looked at: what is not taken leaks. */
static size_t take_fds(struct msghdr *message, int fds[JOB_FDS_MAX]) {
        size_t n_fds = 0, n;

        for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
                if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                assert(n <= JOB_FDS_MAX - n_fds); /* that is all that fits into Control */
                memcpy(fds + n_fds, CMSG_DATA(cmsg), n * sizeof(int));
                n_fds += n;
        }
        return n_fds;
}

/* -EAGAIN: nothing there yet. -EPIPE: the child has ended without a word. */
static int receive_result(int socket, Result *result, size_t size, int fds[JOB_FDS_MAX], size_t *ret_n_fds) {
        Header header = { 0 };
        Control control;
        struct iovec iov[] = {
                { &header, sizeof(header) },
                { result->bytes, size },
        };
        struct msghdr message = {
                .msg_iov = iov,
                .msg_iovlen = 2,
                .msg_control = control.space,
                .msg_controllen = sizeof(control.space),
        };
        ssize_t n;

        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        *ret_n_fds = take_fds(&message, fds);
        if (n == 0 && *ret_n_fds == 0)
                return -EPIPE;
        if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || header.n_fds != *ret_n_fds)
                return -EBADMSG;
        if (n == sizeof(header) && header.r < 0)
                return header.r;
        return (size_t) n == sizeof(header) + size && header.r == 0 ? 0 : -EBADMSG;
}

static void close_all(int *fds, size_t n_fds) {
        for (size_t i = 0; i < n_fds; i++)
                closep(&fds[i]);
}

static int job_on_message(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        _cleanup_(closep) int socket = -EBADF;
        int fds[JOB_FDS_MAX], r;
        Result result = { 0 };
        size_t n_fds = 0;
        Job *job = userdata;
        JobDone done = job->done;
        void *done_userdata = job->userdata;

        r = receive_result(fd, &result, job->result_size, fds, &n_fds);
        if (r == -EAGAIN)
                return 0;
        if (r < 0) {
                close_all(fds, n_fds);
                n_fds = 0;
        }

        /* The child holds its copies until this is closed, after what done() leaves over. */
        socket = TAKE_FD(job->fd);
        job_free(job);
        done(r, result.bytes, fds, n_fds, done_userdata);
        close_all(fds, n_fds);
        return 0;
}

static int job_on_exit(sd_event_source *source, const siginfo_t *si, void *userdata) {
        (void) waitpid(si->si_pid, NULL, WNOHANG);

        /* The loop has the only reference, and would keep the source, that has fired once, until its own end. */
        sd_event_source_set_floating(source, false);
        return 0;
}

static pid_t fork_with_signals_blocked(void) {
        sigset_t all, before;
        int error;
        pid_t pid;

        /* A handler of the daemon must not run in the child. */
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before);
        pid = fork();
        error = errno;
        if (pid != 0)
                sigprocmask(SIG_SETMASK, &before, NULL);
        return pid < 0 ? -error : pid;
}

/* The child's end belongs to the loop, not to the job: it is reaped even if the job is forgotten. */
static int watch_child(sd_event *event, pid_t pid, int socket) {
        int r;

        r = sd_event_add_child(event, NULL, pid, WEXITED, job_on_exit, NULL);
        if (r < 0)
                return r;
        if (send(socket, "", 1, MSG_NOSIGNAL) < 0 && errno != EPIPE)
                return -errno;
        return 0; /* EPIPE: it has died already, and the loop will see that */
}

static int job_new(Job **ret, sd_event *event, const JobSpec *spec, int *ret_child_fd) {
        _cleanup_(job_freep) Job *job = NULL;
        _cleanup_(closep) int child_fd = -EBADF;
        int pair[2], r;

        job = calloc(1, sizeof(*job));
        if (!job)
                return -ENOMEM;
        job->fd = -EBADF;
        job->done = spec->done;
        job->userdata = spec->userdata;
        job->result_size = spec->result_size;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        job->fd = pair[0];
        child_fd = pair[1];

        r = sd_event_add_io(event, &job->io, job->fd, EPOLLIN, job_on_message, job);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(job);
        *ret_child_fd = TAKE_FD(child_fd);
        return 0;
}

int job_start(Job **ret, sd_event *event, const JobSpec *spec) {
        _cleanup_(closep) int child_fd = -EBADF;
        _cleanup_(job_freep) Job *job = NULL;
        pid_t parent = getpid(), pid;
        int r;

        assert(spec->n_keep <= JOB_FDS_MAX);
        assert(spec->result_size <= JOB_RESULT_MAX);

        r = job_new(&job, event, spec, &child_fd);
        if (r < 0)
                return r;

        (void) signals_to_reset(); /* for all children, not by each */
        pid = fork_with_signals_blocked();
        if (pid < 0)
                return pid;
        if (pid == 0) {
                run_child(spec, child_fd, parent);
                _exit(0);
        }

        closep(&child_fd);
        child_fd = -EBADF;
        r = watch_child(event, pid, job->fd);
        if (r < 0) {
                /* Without "go" it ends at once. */
                job = job_free(job);
                (void) waitpid(pid, NULL, 0);
                return r;
        }

        *ret = TAKE_PTR(job);
        return 0;
}

Job *job_free(Job *job) {
        if (!job)
                return NULL;
        sd_event_source_disable_unref(job->io);
        closep(&job->fd);
        free(job);
        return NULL;
}
