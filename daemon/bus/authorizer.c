/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Authorizer */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <syslog.h>
#include <systemd/sd-event.h>

#include "bus/authorizer.h"
#include "bus/refuse.h"
#include "errors.h"
#include "log.h"

/* polkit's connection may have 128 calls outstanding to it; stay below, and let no one fill it alone. */
#define QUESTIONS_MAX            96
#define QUESTIONS_PER_SENDER_MAX 8
#define QUESTIONS_PER_USER_MAX   16

/* Of one message: others may take from it one device after the other. */
#define ROUNDS_MAX 16

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

typedef struct Question Question;
LIST_HEAD(QuestionList, Question);

struct Question {
        LIST_ENTRY(Question) all;
        Authorizer *authorizer;
        sd_bus_message *m;
        sd_bus_slot *slot;       /* of the call that we wait for */
        sd_event_source *forget; /* after the second run */
        Sender sender;
        bool sender_known;
        bool quiet;
        bool answered;
        Verdict verdict;
        Ask *asks;
        unsigned n_asks, next; /* the one that is asked now */
        unsigned n_rounds;     /* before this one */
        bool asking;           /* polkit knows the cancellation id */
        uint64_t id;
};

struct Authorizer {
        sd_bus *bus;
        Senders *senders;
        struct QuestionList questions;
        unsigned n;
        uint64_t last_id;
        const sd_bus_message *again; /* this handler's: it is about to ask once more */
        unsigned n_rounds;           /* it has asked so far */
};

/* polkit always lets root through, so root need not wait for it. */
static bool ask_is_needed(const Ask *ask, uid_t uid) {
        return uid != 0 && !(ask->has_owner && ask->owner == uid);
}

static bool asks_are_needed(const Ask *asks, unsigned n, uid_t uid) {
        for (unsigned i = 0; i < n; i++)
                if (ask_is_needed(&asks[i], uid))
                        return true;

        return false;
}

static const char *question_sender(const Question *question) {
        return sd_bus_message_get_sender(question->m);
}

/* What polkit knows the question by, so that it can be taken back. */
static void question_name(const Question *question, char *ret, size_t size) {
        snprintf(ret, size, "vfio-broker-%llu", (unsigned long long) question->id);
}

static void question_cancel(Question *question) {
        char name[40];

        question_name(question, name, sizeof(name));
        sd_bus_call_method_async(question->authorizer->bus, NULL, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                 "CancelCheckAuthorization", NULL, NULL, "s", name);
}

static Question *question_free(Question *question) {
        if (!question)
                return NULL;

        if (question->asking)
                question_cancel(question);
        sd_bus_slot_unref(question->slot);
        sd_event_source_disable_unref(question->forget);

        for (unsigned i = 0; i < question->n_asks; i++)
                ask_done(&question->asks[i]);
        free(question->asks);
        sd_bus_message_unref(question->m);
        question->authorizer->n--;
        LIST_REMOVE(question, all);
        free(question);
        return NULL;
}

int authorizer_new(Authorizer **ret, sd_bus *bus) {
        _cleanup_(authorizer_freep) Authorizer *authorizer = NULL;
        int r;

        authorizer = calloc(1, sizeof(*authorizer));
        if (!authorizer)
                return -ENOMEM;

        LIST_INIT(&authorizer->questions);
        authorizer->bus = bus;
        r = senders_new(&authorizer->senders, bus);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(authorizer);
        return 0;
}

Authorizer *authorizer_free(Authorizer *authorizer) {
        if (!authorizer)
                return NULL;

        while (!LIST_EMPTY(&authorizer->questions))
                question_free(LIST_FIRST(&authorizer->questions));
        senders_free(authorizer->senders);
        free(authorizer);
        return NULL;
}

void authorizer_forget(Authorizer *authorizer, const char *name) {
        Question *question, *next;

        for (question = LIST_FIRST(&authorizer->questions); question; question = next) {
                next = LIST_NEXT(question, all);
                if (strcmp(question_sender(question), name) == 0)
                        question_free(question);
        }
        senders_forget(authorizer->senders, name);
}

static int question_on_idle(sd_event_source *source, void *userdata) {
        question_free(userdata);
        return 0;
}

/* The handler runs again, and comes for its verdict; and if it never does, the question goes all the same. */
static void question_answer(Question *question, Verdict verdict) {
        sd_bus *bus = question->authorizer->bus;
        int r;

        question->answered = true;
        question->asking = false;
        question->verdict = verdict;

        r = sd_bus_message_rewind(question->m, true);
        if (r >= 0)
                r = sd_event_add_defer(sd_bus_get_event(bus), &question->forget, question_on_idle, question);
        if (r >= 0)
                r = sd_event_source_set_priority(question->forget, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_bus_enqueue_for_read(bus, question->m);
        if (r < 0) {
                sd_bus_reply_method_errnof(question->m, r, "Cannot go on after the authorization: %m");
                question_free(question);
        }
}

static void question_ask_next(Question *question);

static int question_on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Question *question = userdata;
        int r, authorized, challenge;

        question->slot = sd_bus_slot_unref(question->slot);
        question->asking = false;

        if (sd_bus_message_is_method_error(reply, NULL)) {
                log_line(LOG_WARNING, "polkit did not answer: %s",
                         sd_bus_message_get_error(reply)->message ?: "no reason given");
                question_answer(question, VERDICT_UNAVAILABLE);
                return 1;
        }

        r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r >= 0)
                r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
        if (r < 0) {
                log_line(LOG_WARNING, "polkit's answer makes no sense: %s", strerror(-r));
                question_answer(question, VERDICT_UNAVAILABLE);
        } else if (!authorized) {
                question_answer(question, challenge ? VERDICT_CHALLENGE : VERDICT_NO);
        } else {
                question->next++;
                question_ask_next(question);
        }
        return 1;
}

static int question_append(Question *question, sd_bus_message *call) {
        const Ask *ask = &question->asks[question->next];
        bool interactive = !question->quiet && sd_bus_message_get_allow_interactive_authorization(question->m) > 0;
        char name[40];
        int r;

        r = sd_bus_message_append(call, "(sa{sv})s", "system-bus-name", 1, "name", "s", question_sender(question),
                                  ask->action);
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(call, 'a', "{ss}");
        for (unsigned i = 0; r >= 0 && i < ask->n_details; i++)
                r = sd_bus_message_append(call, "{ss}", ask->details[2 * i], ask->details[2 * i + 1]);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(call);
        if (r < 0)
                return r;

        question->id = ++question->authorizer->last_id;
        question_name(question, name, sizeof(name));
        return sd_bus_message_append(call, "us", (uint32_t) interactive, name);
}

static int question_send(Question *question) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        sd_bus *bus = question->authorizer->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CheckAuthorization");
        if (r < 0)
                return r;
        r = question_append(question, call);
        if (r < 0)
                return r;

        /* A person may take as long as they like. */
        r = sd_bus_call_async(bus, &question->slot, call, question_on_reply, question, UINT64_MAX);
        if (r < 0)
                return r;

        question->asking = true;
        return 0;
}

static void question_ask_next(Question *question) {
        while (question->next < question->n_asks &&
               !ask_is_needed(&question->asks[question->next], question->sender.uid))
                question->next++;

        if (question->next == question->n_asks) {
                question_answer(question, VERDICT_YES);
                return;
        }

        if (question_send(question) < 0)
                question_answer(question, VERDICT_UNAVAILABLE);
}

/* Whether this user has too many already. Known only now that we know who it is. */
static bool user_is_over_limit(const Authorizer *authorizer, uid_t uid) {
        const Question *question;
        unsigned n = 0;

        LIST_FOREACH(question, &authorizer->questions, all)
                n += question->sender_known && !question->answered && question->sender.uid == uid;

        return n > QUESTIONS_PER_USER_MAX;
}

static void question_on_sender(int r, const Sender *sender, void *userdata) {
        Question *question = userdata;

        question->slot = sd_bus_slot_unref(question->slot);
        if (r < 0) {
                sd_bus_reply_method_errnof(question->m, r, "The bus does not say who you are: %m");
                question_free(question);
                return;
        }

        question->sender = *sender;
        question->sender_known = true;
        if (user_is_over_limit(question->authorizer, sender->uid)) {
                const VfbErrorInfo *info = vfb_error_info(VFB_ERROR_RATE_LIMITED);

                sd_bus_reply_method_errorf(question->m, info->name, "%s", info->text);
                question_free(question);
                return;
        }

        question_ask_next(question);
}

static int question_new(Question **ret, Authorizer *authorizer, sd_bus_message *m, const Ask *asks, unsigned n) {
        Question *question;
        int r = 0;

        question = calloc(1, sizeof(*question));
        if (!question)
                return -ENOMEM;

        question->authorizer = authorizer;
        question->m = sd_bus_message_ref(m);
        LIST_INSERT_HEAD(&authorizer->questions, question, all);
        authorizer->n++;

        question->asks = calloc(n + 1, sizeof(*question->asks));
        if (!question->asks)
                r = -ENOMEM;
        for (; r == 0 && question->n_asks < n; question->n_asks++)
                r = ask_copy(&question->asks[question->n_asks], &asks[question->n_asks]);
        if (r < 0) {
                question_free(question);
                return r;
        }

        *ret = question;
        return 0;
}

static Question *authorizer_find(const Authorizer *authorizer, sd_bus_message *m) {
        Question *question;

        LIST_FOREACH(question, &authorizer->questions, all)
                if (question->m == m)
                        return question;

        return NULL;
}

bool authorizer_has_asked(const Authorizer *authorizer, sd_bus_message *m) {
        return authorizer_find(authorizer, m) != NULL;
}

static bool authorizer_is_full(const Authorizer *authorizer, const char *name) {
        const Question *question;
        unsigned n = 0;

        LIST_FOREACH(question, &authorizer->questions, all)
                n += !question->answered && strcmp(question_sender(question), name) == 0;

        return n >= QUESTIONS_PER_SENDER_MAX || authorizer->n >= QUESTIONS_MAX;
}

static bool question_is_about(const Question *question, const Ask *asks, unsigned n) {
        if (question->n_asks != n)
                return false;

        for (unsigned i = 0; i < n; i++)
                if (!ask_is_same(&question->asks[i], &asks[i]))
                        return false;

        return true;
}

/* 0: it was answered by the time this returns, and runs again. */
static int authorizer_start(Authorizer *authorizer, sd_bus_message *m, const Ask *asks, unsigned n, bool quiet,
                            sd_bus_error *error) {
        Question *question;
        Sender sender;
        int r;

        if (authorizer_is_full(authorizer, sd_bus_message_get_sender(m)))
                return bus_refuse(error, VFB_ERROR_RATE_LIMITED, NULL);

        r = question_new(&question, authorizer, m, asks, n);
        if (r < 0)
                return r;
        question->quiet = quiet;
        if (authorizer->again == m)
                question->n_rounds = authorizer->n_rounds;
        authorizer->again = NULL;

        r = senders_lookup(authorizer->senders, question_sender(question), &sender, &question->slot,
                           question_on_sender, question);
        if (r < 0) {
                question_free(question);
                return r;
        }
        if (r > 0)
                question_on_sender(0, &sender, question);
        return 0;
}

int authorizer_ask(Authorizer *authorizer, sd_bus_message *m, const Ask *asks, unsigned n, bool quiet,
                   Sender *ret_sender, Verdict *ret_verdict, sd_bus_error *error) {
        Question *question;

        if (!sd_bus_message_get_sender(m))
                return bus_refuse(error, VFB_ERROR_ACCESS_DENIED, "the message has no sender");

        question = authorizer_find(authorizer, m);
        if (!question && senders_recall(authorizer->senders, sd_bus_message_get_sender(m), ret_sender) &&
            !asks_are_needed(asks, n, ret_sender->uid)) {
                *ret_verdict = VERDICT_YES;
                return 1;
        }
        if (!question)
                return authorizer_start(authorizer, m, asks, n, quiet, error);

        *ret_sender = question->sender;
        *ret_verdict = question_is_about(question, asks, n) || question->verdict != VERDICT_YES ? question->verdict
                                                                                                : VERDICT_CHANGED;
        question_free(question);
        return 1;
}

const Ask *authorizer_asks(const Authorizer *authorizer, sd_bus_message *m, unsigned *ret_n) {
        const Question *question = authorizer_find(authorizer, m);

        *ret_n = question ? question->n_asks : 0;
        return question ? question->asks : NULL;
}

bool authorizer_forget_outdated(Authorizer *authorizer, sd_bus_message *m, const Ask *asks, unsigned n) {
        Question *question = authorizer_find(authorizer, m);

        if (!question || !question->answered || question->verdict != VERDICT_YES ||
            question->n_rounds == ROUNDS_MAX || question_is_about(question, asks, n))
                return false;

        authorizer->again = m;
        authorizer->n_rounds = question->n_rounds + 1;
        question_free(question);
        return true;
}

int authorizer_know_sender(Authorizer *authorizer, sd_bus_message *m, Sender *ret, sd_bus_error *error) {
        Question *question;

        if (!sd_bus_message_get_sender(m))
                return bus_refuse(error, VFB_ERROR_ACCESS_DENIED, "the message has no sender");

        question = authorizer_find(authorizer, m);
        if (question)
                *ret = question->sender;
        else if (!senders_recall(authorizer->senders, sd_bus_message_get_sender(m), ret))
                return authorizer_start(authorizer, m, NULL, 0, true, error);

        /* A question about something has its verdict still to be fetched. */
        if (question && question->n_asks == 0)
                question_free(question);
        return 1;
}

int authorizer_check(Authorizer *authorizer, sd_bus_message *m, const Ask *asks, unsigned n, Sender *ret_sender,
                     sd_bus_error *error) {
        static const VfbError refusals[_VERDICT_MAX] = {
                [VERDICT_NO] = VFB_ERROR_ACCESS_DENIED,
                [VERDICT_CHALLENGE] = VFB_ERROR_AUTHORIZATION_REQUIRED,
                [VERDICT_UNAVAILABLE] = VFB_ERROR_AUTHORITY_UNAVAILABLE,
                [VERDICT_CHANGED] = VFB_ERROR_DEVICE_GONE,
        };
        Verdict verdict;
        int r;

        r = authorizer_ask(authorizer, m, asks, n, false, ret_sender, &verdict, error);
        if (r <= 0 || verdict == VERDICT_YES)
                return r;

        /* The question could be asked, and there was nobody to answer it. */
        if (verdict == VERDICT_CHALLENGE && sd_bus_message_get_allow_interactive_authorization(m) > 0)
                return bus_refuse(error, VFB_ERROR_ACCESS_DENIED,
                                  "no authentication agent is there to ask an administrator");

        return bus_refuse(error, (int) refusals[verdict], NULL);
}
