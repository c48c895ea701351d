/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Authorizer
 *
 * The question to polkit, asked without waiting. A handler calls authorizer_check(); where there is no
 * answer yet it returns, the loop goes on, and when the answer is in, the same message is put back on the
 * queue and the handler runs again from its beginning, trusting nothing that it saw before. A verdict
 * counts only for the message, the action and the things that it was asked for.
 *
 * Root is not asked for: polkit lets it through by itself, at the cost of ten messages.
 */

#include <stdbool.h>
#include <stdint.h>

#include "bus/ask.h"
#include "bus/sender.h"

typedef struct Authorizer Authorizer;

typedef enum Verdict {
        VERDICT_YES,
        VERDICT_NO,
        VERDICT_CHALLENGE,   /* somebody has to agree, and the caller did not let us ask */
        VERDICT_UNAVAILABLE, /* no polkit, or it makes no sense */
        VERDICT_CHANGED,     /* the things are not those that were asked for any more */
        _VERDICT_MAX,
} Verdict;

int authorizer_new(Authorizer **ret, sd_bus *bus);
Authorizer *authorizer_free(Authorizer *authorizer);
DEFINE_CLEANUP(Authorizer, authorizer_free)

/* All @n asks, none of which may be missing an action; with @n 0 only who is calling. 1: @ret_sender and
 * @ret_verdict are filled. 0: the handler must return 1, it will run again. Negative: @error is set.
 * @quiet: the user is never asked, whatever the message allows. */
int authorizer_ask(Authorizer *authorizer, sd_bus_message *m, const Ask *asks, unsigned n, bool quiet,
                   Sender *ret_sender, Verdict *ret_verdict, sd_bus_error *error);

/* The same, and anything but yes is a refusal with @error set. */
int authorizer_check(Authorizer *authorizer, sd_bus_message *m, const Ask *asks, unsigned n, Sender *ret_sender,
                     sd_bus_error *error);

/* Only who is calling, before what is to be asked about is known. Returns as authorizer_ask(); a later question about
 * the same message is not touched. */
int authorizer_know_sender(Authorizer *authorizer, sd_bus_message *m, Sender *ret, sd_bus_error *error);

/* The caller has left the bus: its questions are taken back. */
void authorizer_forget(Authorizer *authorizer, const char *name);

/* What is being asked about this message; NULL: nothing. Borrowed until the next question. */
const Ask *authorizer_asks(const Authorizer *authorizer, sd_bus_message *m, unsigned *ret_n);

/* polkit has said yes, and to other things than these, so it has to be asked again, which the handler does now: forgets
 * the question. Not without end: then the verdict is that things have changed. */
bool authorizer_forget_outdated(Authorizer *authorizer, sd_bus_message *m, const Ask *asks, unsigned n);

/* Whether the handler runs again with this message. Then polkit has the details already. */
bool authorizer_has_asked(const Authorizer *authorizer, sd_bus_message *m);
