/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Binding: its steps
 *
 * A binding is one transaction over some devices, one after the other, each step of it a job: see whether somebody has
 * them open (broker-elsewhere.c), look at all of them, write down what they were, change them; and if one does not let
 * itself be changed, bring all of them back. A restore has only the first and the last of that. No step is waited for:
 * after a while whoever asked is told that it takes too long, and who has the device open; the binding stays until the
 * kernel has let go, and brings things in order then. Until its end nobody gets the devices. If the daemon dies, what
 * is written down tells the next one.
 */

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "broker-binding.h"
#include "errors.h"
#include "log.h"

#define RETRY_USEC (1000 * 1000)
/* Not for ever: a driver that crashes the kernel at each try kills the child, too. */
#define DEATHS_MAX 3

#define FUNCTIONS_AT_ONCE 4

static void binding_after_job(Binding *binding);
static void binding_step(Binding *binding);

static void log_moved(const Binding *binding, const char *id, const char *device, const char *from, const char *to) {
        log_event(&(LogEvent){ .id = id,
                               .priority = LOG_NOTICE,
                               .device = device,
                               .lease = binding->lease[0] ? binding->lease : NULL,
                               .uid = binding->uid != (uid_t) -1 ? &binding->uid : NULL },
                  "%s goes from %s to %s", device, from[0] ? from : "no driver", to[0] ? to : "no driver");
}

static void log_functions(const Binding *binding, const char *device, unsigned count) {
        log_event(&(LogEvent){ .id = LOG_ID_FUNCTIONS,
                               .priority = LOG_NOTICE,
                               .device = device,
                               .uid = binding->uid != (uid_t) -1 ? &binding->uid : NULL },
                  "%s has %u virtual functions now", device, count);
}

/* What nobody has to be brought back from is forgotten. */
static void binding_note_sriov(Binding *binding, const BindResult *result) {
        Device *device = binding_device(binding, 0);
        Origin *origin = device->origin;

        log_functions(binding, device_id(device), result->state.sriov.count);
        origin->set = functions_of_state(&result->state.sriov);
        origin->step = ORIGIN_BOUND;
        if (origin->functions.known && origin->set.count == origin->functions.count &&
            origin->set.autoprobe == origin->functions.autoprobe)
                origin->set = (OriginFunctions){};
        if (origin_is_of_functions(origin) && !origin->set.known)
                broker_drop_origin(binding->broker, device);
        else
                broker_note_device(binding->broker, device);
}

static void binding_go_back(Binding *binding) {
        binding_forget_rest(binding);
        binding->phase = BINDING_BACK;
        binding_step(binding);
}

static void binding_turn_back(Binding *binding) {
        (void) binding_has_kept(binding, binding->at);
        binding_go_back(binding);
}

static void binding_succeed(Binding *binding) {
        if (!binding_has_kept(binding, binding->n - 1)) {
                binding_go_back(binding);
                return;
        }

        for (unsigned i = 0; i < binding->n; i++) {
                Device *device = binding_device(binding, i);

                if (!device || !device->origin)
                        continue;
                device->origin->step = ORIGIN_BOUND;
                broker_note_device(binding->broker, device);
                log_moved(binding, LOG_ID_BOUND, device_id(device), binding->devices[i].before.driver,
                          device->origin->wanted);
        }
        binding_end(binding);
}

/* The number of virtual functions is as it is to be, or there can be none; @r is set then. */
static bool binding_has_nothing_to_do(Binding *binding) {
        const SriovState *is = &binding->devices[0].before.sriov, *shall = &binding->sriov;
        const char *id = binding->devices[0].id;

        if (binding->goal != BINDING_GOAL_SRIOV)
                return false;
        if (!is->is_pf)
                binding_fail(binding, VFB_ERROR_VF_COUNT, id, "", "%s can have no virtual functions", id);
        return !is->is_pf || (is->count == shall->count && (shall->autoprobe < 0 || shall->autoprobe == is->autoprobe));
}

static void binding_after_look(Binding *binding, const BindResult *result) {
        const char *id = binding->devices[binding->at].id;

        if (!binding_device(binding, binding->at))
                binding_fail(binding, VFB_ERROR_DEVICE_GONE, id, "", "%s has gone", id);
        else if (result->step != BIND_STEP_NONE)
                binding_explain(binding, result, "");
        if (binding->r != 0) {
                binding_end(binding);
                return;
        }

        binding->devices[binding->at].nodes = result->nodes;
        binding->devices[binding->at++].before = result->state;
        if (binding_has_nothing_to_do(binding)) {
                binding_end(binding);
                return;
        }
        if (binding->at == binding->n) {
                if (binding_write_down(binding) != 0) {
                        binding_end(binding);
                        return;
                }
                binding->phase = BINDING_TO;
                binding->at = 0;
        }
        binding_step(binding);
}

static void binding_after_to(Binding *binding, const BindResult *result) {
        const BindingDevice *item = &binding->devices[binding->at];

        if (!binding_device(binding, binding->at))
                binding_fail(binding, VFB_ERROR_DEVICE_GONE, item->id, "", "%s has gone", item->id);
        else if (result->step != BIND_STEP_NONE)
                binding_explain(binding, result, item->wanted);
        if (binding->r != 0) {
                binding_turn_back(binding);
                return;
        }

        if (binding->goal == BINDING_GOAL_SRIOV) {
                binding_note_sriov(binding, result);
                binding_end(binding);
                return;
        }
        if (binding->at + 1 == binding->n) {
                binding_succeed(binding);
        } else if (binding_check_host(binding, binding->at + 1) != 0) {
                binding_turn_back(binding);
        } else {
                binding->at++;
                binding_step(binding);
        }
}

/* The rest is brought back all the same. */
static void binding_after_back(Binding *binding, const BindResult *result) {
        BindingDevice *item = &binding->devices[binding->at];
        Device *device = binding_device(binding, binding->at);

        if (device && device->origin && result->step == BIND_STEP_NONE) {
                if (binding_is_of_functions(binding, device->origin))
                        log_functions(binding, item->id, result->state.sriov.count);
                else
                        log_moved(binding, LOG_ID_GIVEN_BACK, item->id, device->origin->wanted, device->facts.driver);
                binding_keep_origin(binding, item, device->origin);
                binding_forget(binding, binding->at);
        } else if (device && device->origin) {
                binding_explain(binding, result, device->origin->driver);
                /* At rest, whatever it is now, and kept for another try. */
                device->origin->step = ORIGIN_BOUND;
                broker_note_device(binding->broker, device);
        } else if (!device && binding->done) {
                binding_fail(binding, VFB_ERROR_DEVICE_GONE, item->id, "", "%s has gone", item->id);
        }

        binding->n_deaths = 0;
        if (binding->at-- == 0)
                binding_end(binding);
        else
                binding_step(binding);
}

static void log_hang(const Binding *binding, int priority, const char *text) {
        log_event(&(LogEvent){ .id = LOG_ID_HANGS, .priority = priority, .device = binding->devices[binding->at].id },
                  "%s %s", text, binding->devices[binding->at].id);
}

/* What is on its way to VFIO has missed its time, also if the answer that says so still waits for the holders. */
static void binding_note_late(Binding *binding) {
        log_hang(binding, LOG_NOTICE, "The kernel has come back after all with");
        if (binding->phase != BINDING_BACK && binding->r == 0)
                binding_fail_late(binding, "");
}

static int binding_on_turn(sd_event_source *source, uint64_t usec, void *userdata) {
        Binding *binding = userdata;

        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        if (binding->n > 0)
                binding_step(binding);
        else
                binding_end(binding);
        return 0;
}

/* To the microsecond: what need not be exact the loop lets wait for a quarter of a second, to wake up less often. */
static int binding_step_in(Binding *binding, uint64_t usec) {
        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        return sd_event_add_time_relative(binding->broker->event, &binding->deadline, CLOCK_MONOTONIC, usec, 1,
                                          binding_on_turn, binding);
}

/* A way back must be gone to its end: what did not go now may go in a second. */
static void binding_step_later(Binding *binding, int why) {
        log_line(LOG_ERR, "Cannot bring back %s, trying again: %s", binding->devices[binding->at].id, strerror(-why));
        if (binding_step_in(binding, RETRY_USEC) < 0)
                binding_end(binding); /* what is written down is for the next daemon */
}

static void binding_go_on(Binding *binding) {
        BindResult result = binding->result; /* the binding may end */

        switch (binding->phase) {
        case BINDING_ELSEWHERE:
                break;
        case BINDING_LOOK:
                binding_after_look(binding, &result);
                break;
        case BINDING_TO:
                binding_after_to(binding, &result);
                break;
        case BINDING_BACK:
                binding_after_back(binding, &result);
                break;
        }
}

static int binding_on_functions(sd_event_source *source, uint64_t usec, void *userdata) {
        Binding *binding = userdata;

        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        binding_after_job(binding);
        return 0;
}

/* The virtual functions that have come or gone with it become devices, or are none any more; some at a time. */
static void binding_after_job(Binding *binding) {
        const char *id = binding->devices[binding->at].id;

        if (binding->phase != BINDING_LOOK &&
            broker_refresh_functions(binding->broker, id, &binding->cursor, FUNCTIONS_AT_ONCE)) {
                binding->has_waited = true;
                if (sd_event_add_time_relative(binding->broker->event, &binding->deadline, CLOCK_MONOTONIC, 0, 1,
                                               binding_on_functions, binding) >= 0)
                        return;
                (void) broker_refresh_functions(binding->broker, id, &binding->cursor, UINT_MAX);
        }
        binding_go_on(binding);
}

static void binding_on_job(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        Binding *binding = userdata;
        BindResult result = { .step = BIND_STEP_LOOK, .error = r < 0 ? -r : 0 };
        bool was_late = binding->late;
        int died = r;

        if (r >= 0)
                result = *(const BindResult *) data;
        binding->job = NULL;
        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        binding->late = false;

        /* May free the device */
        r = broker_refresh_with_objects(binding->broker, binding->devices[binding->at].id);
        if (r < 0)
                log_line(LOG_WARNING, "Cannot look at %s: %s", binding->devices[binding->at].id, strerror(-r));
        if (was_late)
                binding_note_late(binding);
        if (died < 0 && binding->phase == BINDING_BACK && binding->n_deaths++ < DEATHS_MAX) {
                binding_step_later(binding, died);
                return;
        }

        binding->result = result;
        function_cursor_done(&binding->cursor);
        binding_after_job(binding);
}

static void binding_plan(const Binding *binding, const Device *device, BindPlan *plan) {
        const BindingDevice *item = &binding->devices[binding->at];
        const Origin *origin = device->origin;

        binding_plan_device(binding, device, plan);
        if (binding->phase == BINDING_LOOK)
                return;
        if (binding->phase == BINDING_TO) {
                plan->state.sriov = binding->sriov;
                strcpy(plan->state.driver, item->wanted);
                plan->state.vfio = true;
                return;
        }

        strcpy(plan->ours, origin->wanted);
        if (binding->goal == BINDING_GOAL_SRIOV || (binding->goal == BINDING_GOAL_BIND && item->was_known)) {
                plan->state = item->before;
                return;
        }
        strcpy(plan->state.override, origin->override);
        strcpy(plan->state.power, origin->power);
        if (binding->goal != BINDING_GOAL_NONE) {
                strcpy(plan->state.driver, origin->driver);
                plan->state.sriov =
                        state_of_functions(binding_keeps_set(binding, origin) ? &origin->set : &origin->functions);
        }
}

static int binding_on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Binding *binding = userdata;

        binding->late = true;
        log_hang(binding, LOG_WARNING, "The kernel does not come back with");
        binding_find_holders(binding);
        return 0;
}

static JobWork binding_work(const Binding *binding, const Device *device) {
        switch (binding->phase) {
        case BINDING_ELSEWHERE:
        case BINDING_LOOK:
                break;
        case BINDING_TO:
                return binding->goal == BINDING_GOAL_SRIOV ? bind_sriov : bind_to;
        case BINDING_BACK:
                return binding_is_of_functions(binding, device->origin) ? bind_sriov : bind_back;
        }
        return bind_look;
}

static int binding_start_job(Binding *binding, const Device *device) {
        Broker *broker = binding->broker;
        BindPlan plan;
        int r;

        if (binding->phase != BINDING_LOOK)
                broker_learn_functions(broker, device_id(device)); /* some of them may have gone afterwards */
        binding_plan(binding, device, &plan);
        r = sd_event_add_time_relative(broker->event, &binding->deadline, CLOCK_MONOTONIC,
                                       broker->config.driver_timeout_sec * UINT64_C(1000000), 0, binding_on_deadline,
                                       binding);
        if (r < 0)
                return r;

        return job_start(&binding->job, broker->event, &(JobSpec){
                .work = binding_work(binding, device),
                .plan = &plan,
                .keep = &broker->sys_fd,
                .n_keep = 1,
                .result_size = sizeof(BindResult),
                .done = binding_on_job,
                .userdata = binding,
        });
}

static void binding_on_no_job(Binding *binding, int r) {
        const char *id = binding->devices[binding->at].id;

        if (binding->phase == BINDING_BACK) {
                binding_step_later(binding, r);
                return;
        }

        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        binding_fail(binding, r, id, "", "No process for %s: %s", id, strerror(-r));
        if (binding->phase == BINDING_LOOK)
                binding_end(binding);
        else
                binding_turn_back(binding);
}

/* What has gone has no way back. Returns false if that was the last of it. */
static bool binding_skip_gone(Binding *binding) {
        const Device *device = binding_device(binding, binding->at);

        if (!device && binding->phase != BINDING_BACK) {
                binding_fail(binding, VFB_ERROR_DEVICE_GONE, binding->devices[binding->at].id, "", "%s has gone",
                             binding->devices[binding->at].id);
                if (binding->phase == BINDING_LOOK)
                        return false;
                binding_forget_rest(binding);
                binding->phase = BINDING_BACK;
        }

        while (binding->phase == BINDING_BACK && (!device || !device->origin)) {
                if (binding->at == 0)
                        return false;
                device = binding_device(binding, --binding->at);
        }
        return true;
}

static void binding_step(Binding *binding) {
        int r;

        if (binding->phase == BINDING_ELSEWHERE) {
                binding_look_elsewhere(binding);
                return;
        }
        if (!binding_skip_gone(binding)) {
                binding_end(binding);
                return;
        }

        r = binding_start_job(binding, binding_device(binding, binding->at));
        if (r < 0)
                binding_on_no_job(binding, r);
}

/* That they are on their way back is written down first; if it cannot be, the record still says that they are bound. */
static void binding_begin_restore(Binding *binding) {
        binding->phase = BINDING_BACK;
        binding->at = binding->n - 1;
        for (unsigned i = 0; i < binding->n; i++) {
                Device *device = binding_device(binding, i);

                if (!device || !device->origin || device->origin->step == ORIGIN_SETTING)
                        continue;
                device->origin->step = ORIGIN_RESTORING;
                broker_note_device(binding->broker, device);
        }
}

static void binding_begin(Binding *binding) {
        if (binding->goal == BINDING_GOAL_BIND || binding->goal == BINDING_GOAL_SRIOV)
                binding->phase = BINDING_LOOK;
        else
                binding_begin_restore(binding);
}

void binding_enter(Binding *binding) {
        binding_begin(binding);
        binding_step(binding);
}

int binding_start(Binding *binding) {
        int r;

        /* Not at once: nobody is told of the end before the beginning. */
        r = binding_step_in(binding, 0);
        if (r < 0)
                return r;

        if (binding->blind)
                binding_begin(binding); /* else it begins as it was made, with BINDING_ELSEWHERE */
        binding_set_moving(binding, true);
        return 0;
}
