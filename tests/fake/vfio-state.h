/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO: state
 *
 * The files that the fake kernel consists of, the faults that a test has planned, the log. Everything
 * is relative to $FAKE_VFIO_ROOT. Opens bypass the library's own open().
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define STATE_MAX 4096

/* A descriptor or -errno. Close-on-exec; what is made is for everybody, since clients have other uids. */
int state_open(const char *path, int flags);

__attribute__((format(printf, 2, 3)))
void state_path(char ret[PATH_MAX], const char *format, ...);

/* What is below the root of where (@dirfd, @path) leads; false if it leads elsewhere. */
bool state_below_root(int dirfd, const char *path, char ret[PATH_MAX]);

bool path_exists(const char *path);

/* "" for what is not there */
void text_read(const char *path, char ret[STATE_MAX]);
void text_write(const char *path, const char *text);
bool text_has_word(const char *text, const char *word);

/* The same for fake/@name. */
void state_read(const char *name, char ret[STATE_MAX]);
void state_write(const char *name, const char *text);

/* One call at a time, in all processes. The last close of what it returns unlocks. Who looks at a file's lock
 * must have this one, since looking is trying. */
int state_lock(void);
bool state_is_open(const char *path);

/* 0, or the negative errno that the test wants to see here */
int fault_errno(const char *object, const char *call);
/* Must be called without state_lock(), or nobody else gets on. */
void fault_delay(const char *object, const char *call);

void call_log(const char *object, const char *call, int r);
