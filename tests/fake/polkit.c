/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fake polkit
 *
 * Answers org.freedesktop.PolicyKit1.Authority as the test tells it to. The test talks to the object /test,
 * interface test.Polkit:
 *
 *   SetAnswer(s)             yes, no, challenge, silent, error, garbage, crash; "yes" at first
 *   SetAnswerFor(sss)        the same where a detail (s, or "action") has that value (s); first match first, and
 *                            for the same detail and value the last answer
 *   SetDelayMs(u)            how long each answer takes
 *   GetCalls() -> a(sssa{ss}us)   kind of subject, its name, action, details, flags, cancellation id
 *   GetCancelled() -> as     cancellation ids
 *   GetWaiting() -> u        questions without an answer
 *   AnswerWaiting(s)         answers these
 *
 * challenge: yes to who lets the user be asked, "a challenge" to the others, as if the user agreed. silent: no
 * answer until AnswerWaiting. crash: ends at the question. A cancelled question is answered with
 * polkit's own error.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "cleanup.h"

#define FLAG_INTERACTION 1U
#define ERROR(x)         "org.freedesktop.PolicyKit1.Error." x
#define AUTHORITY_PATH   "/org/freedesktop/PolicyKit1/Authority"
#define AUTHORITY        "org.freedesktop.PolicyKit1.Authority"

typedef struct Polkit Polkit;

typedef struct Question {
        TAILQ_ENTRY(Question) entry;
        Polkit *polkit;
        sd_bus_message *message;
        sd_event_source *timer;
        const char *answer;
        const char *kind, *name, *action, *id; /* the message's */
        uint32_t flags;
        bool waits;
} Question;

typedef struct Rule {
        char *key, *value;
        const char *answer;
} Rule;

struct Polkit {
        sd_event *event;
        sd_bus *bus;
        const char *answer;
        Rule rules[64];
        size_t n_rules;
        uint32_t delay_ms;
        TAILQ_HEAD(, Question) questions; /* kept, for GetCalls */
};

static const char *const answers[] = { "yes", "no", "challenge", "silent", "error", "garbage", "crash" };

static int answer_find(const char *word, const char **ret, sd_bus_error *error) {
        for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
                if (strcmp(answers[i], word) != 0)
                        continue;
                *ret = answers[i];
                return 0;
        }
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "No such answer: %s", word);
}

/* Leaves the message at its details. */
static int question_read_subject(Question *question) {
        sd_bus_message *m = question->message;
        const char *key;
        int r;

        question->name = "";
        r = sd_bus_message_rewind(m, true);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, 'r', "sa{sv}");
        if (r < 0)
                return r;
        r = sd_bus_message_read(m, "s", &question->kind);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                r = strcmp(key, "name") == 0 ? sd_bus_message_read(m, "v", "s", &question->name) : sd_bus_message_skip(m, "v");
                if (r < 0)
                        return r;
                sd_bus_message_exit_container(m);
        }
        if (r < 0)
                return r;
        sd_bus_message_exit_container(m);
        sd_bus_message_exit_container(m);
        return sd_bus_message_read(m, "s", &question->action);
}

static void question_match(Question *question, const char *key, const char *value) {
        const Polkit *polkit = question->polkit;

        for (size_t i = 0; i < polkit->n_rules && !question->answer; i++)
                if (strcmp(polkit->rules[i].key, key) == 0 && strcmp(polkit->rules[i].value, value) == 0)
                        question->answer = polkit->rules[i].answer;
}

static int question_read(Question *question) {
        sd_bus_message *m = question->message;
        const char *key, *value;
        int r;

        r = question_read_subject(question);
        if (r < 0)
                return r;
        question_match(question, "action", question->action);

        r = sd_bus_message_enter_container(m, 'a', "{ss}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0)
                question_match(question, key, value);
        if (r < 0)
                return r;
        sd_bus_message_exit_container(m);
        if (!question->answer)
                question->answer = question->polkit->answer;
        return sd_bus_message_read(m, "us", &question->flags, &question->id);
}

static int question_reply(Question *question) {
        bool interaction = question->flags & FLAG_INTERACTION;
        const char *answer = question->answer;
        bool challenge = strcmp(answer, "challenge") == 0;

        question->waits = false;
        if (strcmp(answer, "crash") == 0)
                _exit(0);
        if (strcmp(answer, "error") == 0)
                return sd_bus_reply_method_errorf(question->message, ERROR("Failed"), "The test wants it so");
        if (strcmp(answer, "garbage") == 0)
                return sd_bus_reply_method_return(question->message, "ss", "yes", "of course");
        return sd_bus_reply_method_return(question->message, "(bba{ss})",
                                          strcmp(answer, "yes") == 0 || (challenge && interaction),
                                          challenge && !interaction, 0);
}

static int question_on_time(sd_event_source *source, uint64_t now, void *userdata) {
        Question *question = userdata;

        return question->waits ? question_reply(question) : 0;
}

static Question *question_find(Polkit *polkit, sd_bus_message *m, const char *id) {
        Question *question;

        TAILQ_FOREACH(question, &polkit->questions, entry)
                if (question->waits && strcmp(question->id, id) == 0 &&
                    strcmp(sd_bus_message_get_sender(question->message), sd_bus_message_get_sender(m)) == 0)
                        return question;
        return NULL;
}

static int polkit_method_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Polkit *polkit = userdata;
        Question *question;
        int r;

        question = calloc(1, sizeof(*question));
        if (!question)
                return -ENOMEM;
        question->polkit = polkit;
        question->message = sd_bus_message_ref(m);
        TAILQ_INSERT_TAIL(&polkit->questions, question, entry);
        r = question_read(question);
        if (r < 0)
                return r;
        if (question->id[0] && question_find(polkit, m, question->id))
                return sd_bus_error_set(error, ERROR("CancellationIdNotUnique"), "This id is in use");

        question->waits = true;
        if (strcmp(question->answer, "silent") == 0)
                return 1;
        if (polkit->delay_ms == 0)
                return question_reply(question);
        r = sd_event_add_time_relative(polkit->event, &question->timer, CLOCK_MONOTONIC, polkit->delay_ms * UINT64_C(1000), 1,
                                       question_on_time, question);
        return r < 0 ? r : 1;
}

static int polkit_method_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Polkit *polkit = userdata;
        Question *question;
        const char *id;
        int r;

        r = sd_bus_message_read(m, "s", &id);
        if (r < 0)
                return r;
        question = question_find(polkit, m, id);
        if (!question)
                return sd_bus_error_set(error, ERROR("Failed"), "Nobody asked with this id");

        question->waits = false;
        question->answer = "cancelled";
        r = sd_bus_reply_method_errorf(question->message, ERROR("Cancelled"), "As you wished");
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int test_method_set_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Polkit *polkit = userdata;
        const char *word;
        int r;

        r = sd_bus_message_read(m, "s", &word);
        if (r < 0)
                return r;
        r = answer_find(word, &polkit->answer, error);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int test_method_set_answer_for(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Polkit *polkit = userdata;
        Rule *rule = polkit->rules;
        const char *key, *value, *word;
        int r;

        r = sd_bus_message_read(m, "sss", &key, &value, &word);
        if (r < 0)
                return r;
        while (rule < &polkit->rules[polkit->n_rules] && (strcmp(rule->key, key) != 0 || strcmp(rule->value, value) != 0))
                rule++;
        if (rule == &polkit->rules[sizeof(polkit->rules) / sizeof(polkit->rules[0])])
                return -ENOBUFS;
        r = answer_find(word, &rule->answer, error);
        if (r < 0)
                return r;
        if (rule < &polkit->rules[polkit->n_rules])
                return sd_bus_reply_method_return(m, NULL);

        rule->key = strdup(key);
        rule->value = strdup(value);
        polkit->n_rules++;
        return sd_bus_reply_method_return(m, NULL);
}

static int test_method_set_delay(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Polkit *polkit = userdata;
        int r;

        r = sd_bus_message_read(m, "u", &polkit->delay_ms);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int append_call(sd_bus_message *reply, Question *question) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "sssa{ss}us");
        if (r < 0)
                return r;
        r = question_read_subject(question);
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "sss", question->kind, question->name, question->action);
        for (int i = 0; i < 3 && r >= 0; i++)
                r = sd_bus_message_copy(reply, question->message, false);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int test_method_get_calls(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Polkit *polkit = userdata;
        Question *question;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(sssa{ss}us)");
        if (r < 0)
                return r;
        TAILQ_FOREACH(question, &polkit->questions, entry) {
                r = append_call(reply, question);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int test_method_get_cancelled(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Polkit *polkit = userdata;
        Question *question;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "s");
        if (r < 0)
                return r;
        TAILQ_FOREACH(question, &polkit->questions, entry) {
                if (strcmp(question->answer, "cancelled") != 0)
                        continue;
                r = sd_bus_message_append(reply, "s", question->id);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int test_method_get_waiting(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Polkit *polkit = userdata;
        Question *question;
        uint32_t n = 0;

        TAILQ_FOREACH(question, &polkit->questions, entry)
                n += question->waits;
        return sd_bus_reply_method_return(m, "u", n);
}

static int test_method_answer_waiting(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Polkit *polkit = userdata;
        const char *word, *answer = NULL;
        Question *question;
        int r;

        r = sd_bus_message_read(m, "s", &word);
        if (r < 0)
                return r;
        r = answer_find(word, &answer, error);
        if (r < 0)
                return r;

        TAILQ_FOREACH(question, &polkit->questions, entry) {
                if (!question->waits)
                        continue;
                question->answer = answer;
                r = question_reply(question);
                if (r < 0)
                        return r;
        }
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable authority_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", polkit_method_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelCheckAuthorization", "s", "", polkit_method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable test_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("SetAnswer", "s", "", test_method_set_answer, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetAnswerFor", "sss", "", test_method_set_answer_for, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetDelayMs", "u", "", test_method_set_delay, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetCalls", "", "a(sssa{ss}us)", test_method_get_calls, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetCancelled", "", "as", test_method_get_cancelled, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetWaiting", "", "u", test_method_get_waiting, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("AnswerWaiting", "s", "", test_method_answer_waiting, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

/* Ends with a signal; what it allocated goes then. */
static int run(Polkit *polkit) {
        int r;

        r = sd_event_default(&polkit->event);
        if (r < 0)
                return r;
        r = sd_bus_open_system(&polkit->bus);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(polkit->bus, NULL, AUTHORITY_PATH, AUTHORITY, authority_vtable, polkit);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(polkit->bus, NULL, "/test", "test.Polkit", test_vtable, polkit);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(polkit->bus, polkit->event, 0);
        if (r < 0)
                return r;
        /* the name comes last: who sees it may call at once */
        r = sd_bus_request_name(polkit->bus, "org.freedesktop.PolicyKit1", 0);
        return r < 0 ? r : sd_event_loop(polkit->event);
}

int main(void) {
        static Polkit polkit;
        int r;

        polkit.answer = answers[0];
        TAILQ_INIT(&polkit.questions);
        r = run(&polkit);
        if (r < 0)
                fprintf(stderr, "fake-polkit: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
