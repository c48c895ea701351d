/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Revocation
 *
 * That a lease is to end against its holder's will: why, until when the holder may end it by itself, and what has been
 * done about it so far, one line for each step, for people and for whoever asks on the bus. It outlives the lease's
 * own end, since somebody may still have a device then. Owned by its lease, and ends with it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"

#define REVOCATION_REASON_MAX 256 /* characters; four bytes each at most */
#define REVOCATION_STEPS_MAX  32

typedef struct json_object json_object;
typedef struct sd_event_source sd_event_source;
typedef struct Revocation Revocation;
typedef struct Term Term;

typedef enum RevocationStage {
        REVOCATION_ASKED, /* the holder may still end it */
        REVOCATION_CUT,   /* memory is taken back */
        REVOCATION_TERM,  /* holders are asked to end, by SIGTERM */
        REVOCATION_KILL,  /* and are ended */
        _REVOCATION_STAGE_MAX,
} RevocationStage;

struct Revocation {
        char *reason;
        RevocationStage stage;
        uint64_t until_usec; /* of CLOCK_BOOTTIME */
        Term *deadline;
        sd_event_source *timer; /* until the next step by force */
        unsigned n_kills;       /* rounds of them */
        bool told_busy;         /* that all this was in vain */
        char *steps[REVOCATION_STEPS_MAX];
        unsigned n_steps;
};

int revocation_new(Revocation **ret, const char *reason);
Revocation *revocation_free(Revocation *revocation);
DEFINE_CLEANUP(Revocation, revocation_free)

/* "word: what it was". Where there is no more room it takes the place of the last. */
int revocation_add_step(Revocation *revocation, const char *text);

/* As the record of its lease has it. A reference of its own, NULL: no memory. */
json_object *revocation_to_json(const Revocation *revocation);

/* Without its deadline, which has to be set anew. Force that had begun begins from its first step. -EBADMSG, -ENOMEM */
int revocation_from_json(Revocation **ret, json_object *object);
