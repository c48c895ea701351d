/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Job world */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fds.h"
#include "job-world.h"

sd_event *event;
Outcome outcome;

static int n_fds_before;

void job_world_begin(void) {
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        ck_assert_int_ge(sd_event_new(&event), 0);
        outcome = (Outcome){ .taken = -EBADF };
        n_fds_before = count_fds();
}

void job_world_end(void) {
        sd_event_unref(event);
}

long now_msec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool no_children(void) {
        siginfo_t si;

        return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

bool no_children_and_no_descriptors(void) {
        return no_children() && count_fds() <= n_fds_before;
}

bool done_came(void) {
        return outcome.calls > 0;
}

void run_until(bool (*condition)(void)) {
        long end = now_msec() + DEADLINE_MSEC;

        while (!condition()) {
                ck_assert_msg(now_msec() < end, "it did not happen in time");
                ck_assert_int_ge(sd_event_run(event, 10000), 0);
        }
}

void on_done(int r, const void *result, int *fds, size_t n_fds, void *userdata) {
        outcome.calls++;
        outcome.r = r;
        outcome.n_fds = n_fds;
        if (r == 0)
                memcpy(&outcome.answer, result, sizeof(outcome.answer));
        if (outcome.take < n_fds) {
                outcome.cloexec = fcntl(fds[outcome.take], F_GETFD) & FD_CLOEXEC;
                outcome.taken = TAKE_FD(fds[outcome.take]);
        }
}

Job *start(JobWork work, const void *plan, const int *keep, size_t n_keep) {
        JobSpec spec = {
                .work = work,
                .plan = plan,
                .keep = keep,
                .n_keep = n_keep,
                .result_size = sizeof(Answer),
                .done = on_done,
        };
        Job *job = NULL;

        ck_assert_int_eq(job_start(&job, event, &spec), 0);
        ck_assert_ptr_nonnull(job);
        return job;
}

void answer_with_pipes(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        Answer *answer = result;
        int pair[2];

        answer->number = 42;
        for (int i = 0; i < ((const Plan *) plan)->n; i++) {
                if (pipe(pair) < 0)
                        return;
                if (write(pair[1], &i, sizeof(i)) != sizeof(i))
                        return;
                close(pair[1]);
                fds[(*n_fds)++] = pair[0];
        }
}
