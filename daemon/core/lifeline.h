/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lifeline
 *
 * What a lease hangs on: a pipe whose other end is with the holder. The last close of that end, in
 * whatever process it ended up, cuts the lifeline. Owned by its lease.
 */

#include "cleanup.h"

typedef struct sd_event sd_event;
typedef struct Lifeline Lifeline;

/* Called once, when it is cut. May free the lifeline. */
typedef void (*LifelineCut)(void *userdata);

/* @ret_fd is the holder's end. */
int lifeline_new(Lifeline **ret, sd_event *event, LifelineCut cut, void *userdata, int *ret_fd);
Lifeline *lifeline_free(Lifeline *lifeline);
DEFINE_CLEANUP(Lifeline, lifeline_free)
