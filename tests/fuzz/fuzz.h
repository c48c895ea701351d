/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fuzz
 *
 * What each fuzz-x.c defines, and libFuzzer or replay.c calls: one input, which may be anything. What is wrong
 * ends the program.
 */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In programs that may be built with NDEBUG, too. */
#define must(condition)                          \
        ({                                       \
                if (!(condition))                \
                        __builtin_trap();        \
        })
