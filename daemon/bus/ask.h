/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ask
 *
 * One thing that a caller wants to do, as polkit is asked about it: the action, what the verdict is good for, and the
 * details that a rule may look at.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define AUTHORIZER_DETAILS_MAX 32

typedef struct Ask {
        const char *action;
        char *subject; /* what a verdict is good for: "0000:06:0d.0 17" */
        char *details[AUTHORIZER_DETAILS_MAX * 2]; /* key, value, ... NULL */
        unsigned n_details;
        bool has_owner; /* then @owner may without a question */
        uid_t owner;
} Ask;

/* Begins an ask: to do @action with what has this id and this generation. */
int ask_about(Ask *ret, const char *action, const char *id, uint64_t generation);

/* To do the same with the same, whatever else is known of it. */
bool ask_is_same(const Ask *ask, const Ask *other);

/* Goes on with it. -E2BIG: more than AUTHORIZER_DETAILS_MAX. */
int ask_add(Ask *ask, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
void ask_done(Ask *ask);

/* -ENOMEM; then, too, @ret is ask_done()'s. */
int ask_copy(Ask *ret, const Ask *ask);
