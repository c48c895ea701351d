/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Offer
 *
 * A lease that its holder would hand over: to one user or one process, for a while, once. Whoever claims it names a
 * token that cannot be guessed, and must be the one besides: a token that others have seen is of no use to them. Owned
 * by its lease; no daemon remembers it after a restart.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/term.h"

#define OFFER_TOKEN_MAX 33 /* 128 bits in hexadecimal digits */

typedef struct sd_event sd_event;
typedef struct Offer Offer;

/* @pidfd, which must have passed pidfd_check(), if it is not negative, and @uid otherwise. @over comes after
 * @timeout_usec, and may free the offer. */
int offer_new(Offer **ret, sd_event *event, uid_t uid, int pidfd, uint64_t timeout_usec, TermEvent over,
              void *userdata);
Offer *offer_free(Offer *offer);
DEFINE_CLEANUP(Offer, offer_free)

void offer_token(const Offer *offer, char ret[OFFER_TOKEN_MAX]);

/* Not after its time, whether @over has come or not. Says not what is wrong, nor by the time that it takes how much of
 * the token is right. @pid: of the process that the bus knows the caller by, 0 if it does not. */
bool offer_is_for(const Offer *offer, const char *token, uid_t uid, pid_t pid);
