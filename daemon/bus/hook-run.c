/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* HookRunner */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <syslog.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "broker.h"
#include "bus/dictionary.h"
#include "bus/hook-run.h"
#include "bus/hook-unit.h"
#include "log.h"

#define SYSTEMD_NAME    "org.freedesktop.systemd1"
#define SYSTEMD_PATH    "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_SERVICE "org.freedesktop.systemd1.Service"
#define UNIT_PREFIX     "/org/freedesktop/systemd1/unit"

#define AGAIN_USEC UINT64_C(500000)
#define SLACK_USEC UINT64_C(60000000) /* for systemd to start it, and to say that it has ended */
#define WHY_MAX    256

typedef struct HookRun HookRun;
LIST_HEAD(HookRunList, HookRun);

struct HookRunner {
        sd_bus *bus;    /* borrowed, like the next */
        Broker *broker;
        sd_bus_slot *removals; /* NULL: there was no run yet */
        struct HookRunList runs;
};

struct HookRun {
        LIST_ENTRY(HookRun) all;
        HookRunner *runner;
        BrokerHook hook;
        BrokerHookEnded ended;
        void *task;
        char unit[HOOK_UNIT_MAX];
        char *job; /* its path; NULL: systemd has not answered yet */
        char result[32]; /* of the job */
        sd_bus_slot *slot; /* of the call that we wait for */
        sd_event_source *deadline, *again;
};

static HookRun *run_free(HookRun *run) {
        if (!run)
                return NULL;

        sd_event_source_disable_unref(run->deadline);
        sd_event_source_disable_unref(run->again);
        sd_bus_slot_unref(run->slot);
        LIST_REMOVE(run, all);
        free(run->job);
        free(run);
        return NULL;
}

/* The unit was kept, so that its result can be read. */
static void run_let_unit_go(HookRun *run) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = run->runner->bus;

        if (!run->job || sd_bus_message_new_method_call(bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                                        "UnrefUnit") < 0)
                return;
        if (sd_bus_message_append(m, "s", run->unit) >= 0 && sd_bus_message_set_expect_reply(m, 0) >= 0)
                (void) sd_bus_send(bus, m, NULL);
}

/* Frees the run. @why NULL: it has succeeded. */
static void run_end(HookRun *run, const char *why) {
        BrokerHookEnded ended = run->ended;
        void *task = run->task;
        char copy[WHY_MAX];

        snprintf(copy, sizeof(copy), "%s", why ?: "");
        run_let_unit_go(run);
        run_free(run);
        ended(why ? copy : NULL, task);
}

static void __attribute__((format(printf, 2, 3))) run_fail(HookRun *run, const char *format, ...) {
        char why[WHY_MAX];
        va_list ap;

        va_start(ap, format);
        vsnprintf(why, sizeof(why), format, ap);
        va_end(ap);
        run_end(run, why);
}

static int run_on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        run_fail(userdata, "systemd does not say how it ended");
        return 0;
}

/* Longer than systemd gives it. */
static int run_set_deadline(HookRun *run) {
        uint64_t usec = run->hook.timeout_usec + HOOK_STOP_USEC + SLACK_USEC;

        run->deadline = sd_event_source_disable_unref(run->deadline);
        return sd_event_add_time_relative(sd_bus_get_event(run->runner->bus), &run->deadline, CLOCK_MONOTONIC, usec, 0,
                                          run_on_deadline, run);
}

typedef struct UnitResult {
        char result[32];
        int code, status; /* as waitid(2) has them */
} UnitResult;

static int read_entry(sd_bus_message *m, const char *key, void *userdata) {
        UnitResult *unit = userdata;

        if (strcmp(key, "Result") == 0)
                return dictionary_read_string(m, unit->result, sizeof(unit->result));
        if (strcmp(key, "ExecMainCode") == 0)
                return sd_bus_message_read(m, "v", "i", &unit->code);
        if (strcmp(key, "ExecMainStatus") == 0)
                return sd_bus_message_read(m, "v", "i", &unit->status);
        return sd_bus_message_skip(m, "v");
}

static int read_result(sd_bus_message *m, UnitResult *ret) {
        int r;

        *ret = (UnitResult){};
        r = dictionary_read(m, read_entry, ret);
        return r < 0 ? r : *ret->result ? 0 : -EBADMSG;
}

/* Only what has run, and ended by itself with 0, has succeeded: a unit may also be over because it was never begun. */
static int run_on_result(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        HookRun *run = userdata;
        UnitResult unit;

        if (sd_bus_message_get_error(m) || read_result(m, &unit) < 0)
                run_fail(run, "systemd does not say how it ended; its job is %s", run->result);
        else if (strcmp(unit.result, "timeout") == 0)
                run_fail(run, "it took longer than %llu s", (unsigned long long) run->hook.timeout_usec / 1000000);
        else if (unit.code == CLD_EXITED && unit.status != 0)
                run_fail(run, "it exited with status %d", unit.status);
        else if (unit.code == CLD_KILLED || unit.code == CLD_DUMPED)
                run_fail(run, "signal %d has ended it", unit.status);
        else if (unit.code != CLD_EXITED || strcmp(unit.result, "success") != 0 || strcmp(run->result, "done") != 0)
                run_fail(run, "systemd did not run it: %s, %s", run->result, unit.result);
        else
                run_end(run, NULL);
        return 1;
}

static void run_ask_result(HookRun *run, const char *result) {
        _cleanup_(freep) char *path = NULL;
        int r;

        snprintf(run->result, sizeof(run->result), "%s", result);
        r = sd_bus_path_encode(UNIT_PREFIX, run->unit, &path);
        if (r >= 0)
                r = sd_bus_call_method_async(run->runner->bus, &run->slot, SYSTEMD_NAME, path,
                                             "org.freedesktop.DBus.Properties", "GetAll", run_on_result, run, "s",
                                             SYSTEMD_SERVICE);
        if (r < 0)
                run_fail(run, "cannot ask systemd how it ended: %s", strerror(-r));
}

static int runner_on_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        HookRunner *runner = userdata;
        const char *job, *unit, *result;
        uint32_t id;
        HookRun *run;

        if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
                return 0;

        LIST_FOREACH(run, &runner->runs, all)
                if (run->job && !*run->result && strcmp(run->job, job) == 0) {
                        run_ask_result(run, result);
                        return 0;
                }
        return 0;
}

static int run_start(HookRun *run);

static int run_on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        HookRun *run = userdata;
        int r;

        r = run_start(run);
        if (r < 0)
                run_fail(run, "cannot ask systemd to run it: %s", strerror(-r));
        return 0;
}

/* An earlier daemon's hook still runs for the lease, and must end first. */
static void run_wait(HookRun *run) {
        int r;

        run->again = sd_event_source_disable_unref(run->again);
        r = sd_event_add_time_relative(sd_bus_get_event(run->runner->bus), &run->again, CLOCK_MONOTONIC, AGAIN_USEC, 0,
                                       run_on_again, run);
        if (r < 0)
                run_fail(run, "cannot wait for the one before: %s", strerror(-r));
}

static int run_on_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *refusal = sd_bus_message_get_error(m);
        HookRun *run = userdata;
        const char *job;

        run->slot = sd_bus_slot_unref(run->slot);
        if (refusal && strcmp(refusal->name, SYSTEMD_NAME ".UnitExists") == 0) {
                run_wait(run);
        } else if (refusal) {
                run_fail(run, "systemd does not run it: %s", refusal->message ?: refusal->name);
        } else if (sd_bus_message_read(m, "o", &job) < 0 || !(run->job = strdup(job)) || run_set_deadline(run) < 0) {
                run_fail(run, "systemd's answer is lost");
        }
        return 1;
}

static int run_start(HookRun *run) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = run->runner->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = hook_unit_append(m, run->unit, &run->hook);
        return r < 0 ? r : sd_bus_call_async(bus, &run->slot, m, run_on_started, run, SLACK_USEC);
}

/* Before the first unit is started: the bus handles in order what we send. */
static int runner_follow(HookRunner *runner) {
        if (runner->removals)
                return 0;

        return sd_bus_add_match_async(runner->bus, &runner->removals,
                                      "type='signal',sender='" SYSTEMD_NAME "',path='" SYSTEMD_PATH "',"
                                      "interface='" SYSTEMD_MANAGER "',member='JobRemoved'",
                                      runner_on_removed, NULL, runner);
}

static int runner_run(const BrokerHook *hook, BrokerHookEnded ended, void *task, void *userdata) {
        HookRunner *runner = userdata;
        HookRun *run;
        int r;

        run = calloc(1, sizeof(*run));
        if (!run)
                return -ENOMEM;

        *run = (HookRun){ .runner = runner, .hook = *hook, .ended = ended, .task = task };
        LIST_INSERT_HEAD(&runner->runs, run, all);
        hook_unit_name(hook, run->unit);

        r = runner_follow(runner);
        if (r >= 0)
                r = run_set_deadline(run);
        if (r >= 0)
                r = run_start(run);
        if (r < 0) {
                run_free(run);
                return r;
        }
        return 0;
}

int hook_runner_new(HookRunner **ret, sd_bus *bus, Broker *broker) {
        HookRunner *runner;

        runner = calloc(1, sizeof(*runner));
        if (!runner)
                return -ENOMEM;

        *runner = (HookRunner){ .bus = bus, .broker = broker };
        LIST_INIT(&runner->runs);
        broker_use_hooks(broker, runner_run, runner);
        *ret = runner;
        return 0;
}

HookRunner *hook_runner_free(HookRunner *runner) {
        if (!runner)
                return NULL;

        broker_use_hooks(runner->broker, NULL, NULL);
        while (!LIST_EMPTY(&runner->runs))
                run_free(LIST_FIRST(&runner->runs));
        sd_bus_slot_unref(runner->removals);
        free(runner);
        return NULL;
}
