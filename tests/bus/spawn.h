/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Spawn
 *
 * A program beside the test: with nothing of the test's but what is named here, and with an end no later than the test's.
 */

#include <stddef.h>
#include <sys/types.h>

typedef struct Spawn {
        const char *const *argv;
        const char *const *environment;
        const char *log; /* NULL: the test's own stderr */
        int keep; /* becomes descriptor 3 if it is not negative */
        int out;  /* becomes stdout if it is not negative */
        uid_t uid;
        const int *stored; /* from 3 on, as systemd passes an fd store */
        size_t n_stored;
        const char *stored_names;
} Spawn;

/* Returns at once: for a while it is still a copy of the test, with all that the test has. */
pid_t spawn(const Spawn *spec);
