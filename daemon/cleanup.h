/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Cleanup
 *
 * The four ownership helpers: free or close at the brace (_cleanup_ with freep, closep, filep or what
 * DEFINE_CLEANUP makes), and the visible hand-over (TAKE_PTR, TAKE_FD). They mark owners only: what was
 * found in a list or handed in is borrowed and never carries them.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define TAKE(x, none) ({ __typeof__(x) *_p = &(x), _v = *_p; *_p = (none); _v; })
#define TAKE_PTR(p)   TAKE(p, NULL)
#define TAKE_FD(fd)   TAKE(fd, -EBADF)

#define DEFINE_CLEANUP(Type, function)                     \
        static inline void function##p(Type **p) {         \
                if (*p)                                    \
                        *p = function(*p);                 \
        }

static inline void freep(void *p) {
        free(*(void **) p);
}

static inline void closep(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static inline void filep(FILE **file) {
        if (*file)
                fclose(*file);
}
