/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Trace
 *
 * The system calls of a program and its children as strace wrote them, in order. A call that another process'
 * came in between has a second line, "<... NAME resumed>", with its end; that one is found, but not counted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "world.h"

typedef struct Trace {
        pid_t strace, pid;
        char *text;
        char **lines; /* point into the text, behind the pid */
        pid_t *pids;
        size_t n;
} Trace;

/* Of a program that runs, from when this returns until trace_end(). */
void trace_begin(Trace *ret, World *world, pid_t pid);
void trace_end(Trace *trace, World *world);
/* Of a program that has been started with a trace and has ended. */
void trace_read(Trace *ret, World *world, pid_t pid);
void trace_done(Trace *trace);

/* The first line of @pid at or behind @from with @what in it, @trace->n if there is none. */
size_t trace_find(const Trace *trace, pid_t pid, size_t from, const char *what);
/* The last line of @pid before @to that begins so. */
size_t trace_find_back(const Trace *trace, pid_t pid, size_t to, const char *begin);
/* How many calls of @pid (0: of all others than the program) in [@from, @to) have @what in their line. */
unsigned trace_count(const Trace *trace, pid_t pid, size_t from, size_t to, const char *what);
/* The same calls by name: "recvmsg 3, sendmsg 2", to be freed. */
char *trace_summary(const Trace *trace, pid_t pid, size_t from, size_t to);
