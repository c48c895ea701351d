/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bench
 *
 * What the benchmarks have in common: a stage, which is a World without a daemon, with as many devices as wanted and
 * nobody who listens to signals; the programs on it, started as systemd would and known to be ready; and rows, the
 * lines that a benchmark prints.
 *
 * Every figure is a count, or a ratio of what was timed in turns in the same run. No row judges a time. A
 * benchmark is a Check program, so that the tests' World serves it; all of this fails rather than return errors.
 */

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ask.h"
#include "watch.h"

#define SKIPPED 77 /* what Meson takes as "not run" */

#define PLAIN_NAME "test.Plain"
#define PLAIN_PATH "/test"

/* With devices 0 to @n_devices - 1, each alone in its group and on vfio-pci; the first group is 1. */
World *stage_new(unsigned n_devices);

/* The same, all in group 1 and on host drivers. */
World *stage_new_in_one_group(unsigned n_devices);

const char *stage_address(unsigned device);

typedef enum Program {
        PROGRAM_DAEMON, /* without VFIO: for what opens nothing */
        PROGRAM_DAEMON_NO_VFIO,
        PROGRAM_PLAIN,
} Program;

typedef enum Under {
        UNDER_NOTHING,
        UNDER_STRACE,    /* the file "trace" below the root is whole when the program has ended */
        UNDER_CALLGRIND, /* with the counting off; "callgrind.PID.N" below the root */
} Under;

/* Returns when it is ready. @ret_usec: from fork to READY=1; may be NULL. */
pid_t program_start(World *world, Program program, Under under, double *ret_usec);
void program_stop(World *world, pid_t pid);

/* In kB. The counters of /proc/PID/status are not exact, this is. */
typedef struct Memory {
        size_t rss, pss, private_dirty;
} Memory;
void memory_read(pid_t pid, Memory *ret);

/* Microseconds, to fractions of one */
double now_usec(void);

double median(const double *values, size_t n);
/* The median of what @numerator is in each round by what @denominator is. */
double median_ratio(const double *numerator, const double *denominator, size_t n);

typedef struct Row {
        const char *name;
        double measured, goal;
        double bound; /* fails above it; 0: is only told */
        const char *stand_in;
} Row;

void row_print(const Row *row);
/* Fails the test if a row has missed its bound. */
void rows_check(void);

/* A call whose reply comes; only the way there and back is timed. @m is used up. */
sd_bus_message *timed_call(sd_bus *bus, sd_bus_message *m, double *ret_usec);

/* A lease of which only the lifeline is kept */
typedef struct Held {
        char lease[128];
        int lifeline;
} Held;
void timed_acquire(Held *ret, sd_bus *bus, unsigned device, double *ret_usec);
/* Ends a lease and waits until the daemon has @n_left. */
void held_end(World *world, Held *held, unsigned n_left);

/* Runs the tests in one program. The status for main(). */
int bench_run(const char *name, const TTest *const *tests, size_t n, bool needs_root);
