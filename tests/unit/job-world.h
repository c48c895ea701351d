/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Job world
 *
 * An event loop for jobs, and what came of the last one. There is one at a time.
 */

#include <stdbool.h>

#include "kernel/job.h"

#define DEADLINE_MSEC 60000

typedef struct Plan {
        int n;
        int fd;
} Plan;

typedef struct Answer {
        int number;
        int fds[64];
        size_t n_fds;
        bool signals_default;
        char text[64];
} Answer;

typedef struct Outcome {
        int calls, r, taken;
        size_t n_fds, take; /* which of the descriptors is taken, if there are so many */
        bool cloexec;
        Answer answer;
} Outcome;

extern sd_event *event;
extern Outcome outcome;

void job_world_begin(void);
void job_world_end(void);

/* For a job whose result is an Answer: into @outcome */
void on_done(int r, const void *result, int *fds, size_t n_fds, void *userdata);
Job *start(JobWork work, const void *plan, const int *keep, size_t n_keep);
void run_until(bool (*condition)(void));

long now_msec(void);

/* At all: neither at work nor dead and not reaped. */
bool no_children(void);
/* And as many descriptors as at the beginning. */
bool no_children_and_no_descriptors(void);
bool done_came(void);

/* Work: 42, and so many pipes, from which their numbers can be read */
void answer_with_pipes(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds);
