/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Job
 *
 * One blocking action of the kernel in a child process, its result as an event. Opening a device may
 * reset it and take a minute; a child that hangs in the kernel cannot be killed, and must hold up
 * nobody. So the child gets only the descriptors that it needs (a copy of another lease's group
 * would keep that group busy), sends one message with its result and the descriptors that it
 * opened, and ends; whatever it opened and did not send is undone by its exit. It dies with the daemon.
 *
 * The loop's thread must have SIGCHLD blocked.
 */

#include <stddef.h>

#define JOB_FDS_MAX    160
#define JOB_RESULT_MAX 4096

typedef struct sd_event sd_event;
typedef struct Job Job;

/* In the child: fills @result (zeroed before), appends what it hands over to @fds. */
typedef void (*JobWork)(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);

/* In the loop, once. @r: 0, or -errno if the child died without a word. @fds are this function's to take
 * (set to -EBADF what is kept); the others are closed after it returns. @job is freed before. The child has closed
 * all that it did not pass on, and keeps copies of what it did until this returns: so no close here is the last. */
typedef void (*JobDone)(int r, const void *result, int *fds, size_t n_fds, void *userdata);

typedef struct JobSpec {
        JobWork work;
        const void *plan; /* only read, and only until job_start() returns in the parent */
        const int *keep;  /* descriptors that stay open in the child */
        size_t n_keep;
        size_t result_size; /* at most JOB_RESULT_MAX */
        JobDone done;
        void *userdata;
} JobSpec;

int job_start(Job **ret, sd_event *event, const JobSpec *spec);

/* Forget it: done is not called, the child ends in its own time, and what it sends is closed. */
Job *job_free(Job *job);
