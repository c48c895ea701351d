/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sender
 *
 * Who is behind a unique bus name, as the bus itself vouches for it: never read from /proc, where the
 * process may be another one by now. Asked without waiting, and remembered while the name lives,
 * since a unique name is never used twice. Forgetting costs one more question, so what is remembered
 * is bounded.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"

#define SENDER_GROUPS_MAX 64

typedef struct Senders Senders;

typedef struct Sender {
        uid_t uid;
        pid_t pid; /* 0: unknown */
        gid_t groups[SENDER_GROUPS_MAX]; /* that it is in; more than these do not count */
        unsigned n_groups;
} Sender;

typedef void (*SenderKnown)(int r, const Sender *sender, void *userdata);

int senders_new(Senders **ret, sd_bus *bus);
Senders *senders_free(Senders *senders);
DEFINE_CLEANUP(Senders, senders_free)

/* Whether it is remembered. */
bool senders_recall(Senders *senders, const char *name, Sender *ret);

/* 1: @ret is filled. 0: asked; @known will be called, unless @ret_slot is unreferenced before. */
int senders_lookup(Senders *senders, const char *name, Sender *ret, sd_bus_slot **ret_slot, SenderKnown known,
                   void *userdata);

/* The name has left the bus. */
void senders_forget(Senders *senders, const char *name);
