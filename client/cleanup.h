/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Cleanup
 *
 * What the client needs of ownership helpers beyond those that sd-bus brings along. As in the daemon,
 * they mark owners only.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* free()s what a pointer of any type points to, at the brace. */
static inline void freep(void *p) {
        free(*(void **) p);
}

#define DEFINE_FREEP(type, function)               \
        static inline void function##p(type **p) { \
                function(*p);                      \
        }

/* Gives the value away and leaves NULL behind. */
#define TAKE_PTR(p) ({ __typeof__(p) _taken = (p); (p) = NULL; _taken; })
