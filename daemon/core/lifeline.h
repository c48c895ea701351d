/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lifeline
 *
 * What a lease hangs on: a pipe whose other end is with the holder. The last close of that end, in
 * whatever process it ended up, cuts the lifeline. Where there is a folder for it the pipe has a name, so
 * that a daemon that comes after this one can take hold of it again. Or, where a lease asks for that, it is a
 * process. Owned by its lease.
 */

#include <stdint.h>
#include <sys/types.h>

#include "cleanup.h"

typedef struct sd_event sd_event;
typedef struct Lifeline Lifeline;

/* Called once, when it is cut. May free the lifeline. */
typedef void (*LifelineCut)(void *userdata);

/* @ret_fd is the holder's end. The pipe is @name in the folder @dir; without a name if @dir is negative. */
int lifeline_new(Lifeline **ret, sd_event *event, int dir, const char *name, LifelineCut cut, void *userdata,
                 int *ret_fd);

/* Takes hold of one that an earlier daemon has made. If the holder has gone meanwhile it is cut in the loop's next
 * turn. -ENOENT: it is not there any more. -EBADMSG: what is there is no pipe. */
int lifeline_reopen(Lifeline **ret, sd_event *event, int dir, const char *name, LifelineCut cut, void *userdata);

/* The inode that both ends have, by which the holder's can be found. */
void lifeline_identity(const Lifeline *lifeline, uint64_t *ret_dev, uint64_t *ret_ino);

/* It cuts nothing any more, but can still be found. */
void lifeline_rest(Lifeline *lifeline);

/* A process instead of a pipe: cut when it ends, in the loop's next turn if it has. Keeps a copy of @pidfd, which must
 * have passed pidfd_check(): anything else might never be cut. */
int lifeline_new_process(Lifeline **ret, sd_event *event, int pidfd, LifelineCut cut, void *userdata);

/* -EBADF: it is no pidfd. -ESRCH: its process has ended. */
int pidfd_check(int fd);

/* The number of its process, as /proc has it. -ESRCH: it has ended, or is not to be seen from here. */
int pidfd_pid(int fd, pid_t *ret);

/* Our end; borrowed. */
int lifeline_fd(const Lifeline *lifeline);

/* The name stays: it is a matter of the lease, which may go on without us. */
Lifeline *lifeline_free(Lifeline *lifeline);
DEFINE_CLEANUP(Lifeline, lifeline_free)
