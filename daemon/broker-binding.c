/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Binding */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>

#include "broker-binding.h"
#include "errors.h"
#include "kernel/variant.h"
#include "log.h"

/* Each has a process now and then, and may have it for ever. */
#define BINDINGS_MAX 32

Device *binding_device(const Binding *binding, unsigned i) {
        Device *device = device_find(&binding->broker->devices, binding->devices[i].id);

        return device && device->generation == binding->devices[i].generation ? device : NULL;
}

void binding_plan_device(const Binding *binding, const Device *device, BindPlan *ret) {
        *ret = (BindPlan){ .sys = binding->broker->sys_fd,
                           .bus = device_kind_name(device->facts.kind),
                           .instance = device->facts.instance };
        snprintf(ret->name, sizeof(ret->name), "%.*s", (int) sizeof(ret->name) - 1, device_bus_name(device));
}

/* One before it is of the same group. */
static bool binding_has_told(const Binding *binding, unsigned n, const Group *group) {
        for (unsigned i = 0; i < n; i++) {
                const Device *device = binding_device(binding, i);

                if (device && device->group == group)
                        return true;
        }
        return false;
}

void binding_set_moving(Binding *binding, bool moving) {
        Device *device;

        for (unsigned i = 0; i < binding->n; i++) {
                device = binding_device(binding, i);
                if (device)
                        device->moving = moving;
        }

        for (unsigned i = 0; i < binding->n; i++) {
                device = binding_device(binding, i);
                if (device && device->group && !binding_has_told(binding, i, device->group))
                        NOTIFY(binding->broker, group_changed, device->group);
        }
}

Binding *binding_free(Binding *binding) {
        if (!binding)
                return NULL;

        broker_abandon_searches(binding->broker, binding);
        job_free(binding->job);
        sd_event_source_disable_unref(binding->deadline);
        findings_done(&binding->findings);
        function_cursor_done(&binding->cursor);
        LIST_REMOVE(binding, all);
        binding->broker->n_bindings--;
        free(binding);
        return NULL;
}

int binding_new(Binding **ret, Broker *broker, const BindingSpec *spec) {
        Binding *binding;

        if (broker->n_bindings >= BINDINGS_MAX && !spec->must)
                return VFB_ERROR_RATE_LIMITED;

        binding = calloc(1, sizeof(*binding));
        if (!binding)
                return -ENOMEM;

        binding->broker = broker;
        binding->goal = spec->goal;
        binding->uid = spec->uid;
        binding->sriov = spec->sriov;
        binding->undo = spec->undo;
        binding->blind = spec->blind;
        binding->again = spec->again;
        binding->steal = spec->steal;
        snprintf(binding->lease, sizeof(binding->lease), "%s", spec->lease ?: "");
        LIST_INSERT_HEAD(&broker->bindings, binding, all);
        broker->n_bindings++;
        *ret = binding;
        return 0;
}

int binding_add(Binding *binding, const Device *device, const char *wanted) {
        BindingDevice *item;

        if (binding->n == BINDING_DEVICES_MAX)
                return VFB_ERROR_QUOTA_EXCEEDED;

        item = &binding->devices[binding->n++];
        snprintf(item->id, sizeof(item->id), "%s", device_id(device));
        snprintf(item->wanted, sizeof(item->wanted), "%s", wanted ?: "");
        item->generation = device->generation;
        return 0;
}

Broker *binding_broker(const Binding *binding) {
        return binding->broker;
}

bool binding_is_empty(const Binding *binding) {
        return binding->n == 0;
}

void binding_on_done(Binding *binding, BrokerBound done, void *userdata) {
        binding->done = done;
        binding->userdata = userdata;
}

void broker_abandon_bindings(Broker *broker, void *userdata) {
        Binding *binding;

        LIST_FOREACH(binding, &broker->bindings, all)
                if (binding->userdata == userdata)
                        binding->done = NULL;
}

/* Only the first failure is told, and only once. */
void binding_tell(Binding *binding) {
        BrokerBound done = binding->done;

        binding->done = NULL;
        if (done)
                done(binding->r, findings_first_error(&binding->findings), binding->userdata);
}

/* While devices move nobody looks at them but for their own step, and no lease is told. So now it is seen what has
 * become of the others while the last one was on its way back, or of it while functions became devices. */
static void binding_look_again(Binding *binding) {
        bool all = binding->has_waited || (binding->phase == BINDING_BACK && binding->n > 1);

        for (unsigned i = 0; i < binding->n; i++) {
                const Device *device = binding_device(binding, i);

                if (all || (device && broker_device_is_lost(device)))
                        (void) broker_refresh(binding->broker, binding->devices[i].id); /* may free it */
        }
}

void binding_end(Binding *binding) {
        Broker *broker = binding->broker;
        bool done = binding->r == 0;

        binding_set_moving(binding, false);
        binding_look_again(binding);
        binding_tell(binding);
        binding_free(binding);
        if (done)
                broker_wake_due(broker);
}

static void log_failure(const Binding *binding, int r, const char *id, const char *text) {
        log_event(&(LogEvent){ .id = LOG_ID_NOT_BOUND,
                               .priority = LOG_WARNING,
                               .device = id,
                               .error = r > 0 ? vfb_error_info((VfbError) r)->name : NULL,
                               .uid = binding->uid != (uid_t) -1 ? &binding->uid : NULL },
                  "%s", text);
}

Finding *binding_fail(Binding *binding, int r, const char *id, const char *driver, const char *format, ...) {
        Finding *finding;
        char text[512];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        if (!binding->again || r != VFB_ERROR_HELD_ELSEWHERE)
                log_failure(binding, r, id, text);
        if (binding->r != 0)
                return NULL;

        binding->r = r;
        if (r < 0 || findings_add_error(&binding->findings, &finding, (VfbError) r, id, "%s", text) < 0)
                return NULL;
        snprintf(finding->culprit, sizeof(finding->culprit), "%s", id);
        snprintf(finding->driver, sizeof(finding->driver), "%s", driver);
        (void) finding_set_fix(finding, "%s", vfb_error_info((VfbError) r)->hint);
        return finding;
}

static const char *describe_sriov_error(int error) {
        switch (error) {
        case ENOENT:
                return "its driver makes none, or it has no driver";
        case ENOSPC:
                return "fewer came than were asked for";
        default:
                return strerror(error);
        }
}

/* What the driver of VFIO means by it. */
static void binding_explain_probe(Binding *binding, const BindResult *result, const char *wanted) {
        const BindingDevice *item = &binding->devices[binding->at];
        const char *why = NULL, *fix = NULL, *name;
        Finding *finding;

        if (binding->phase == BINDING_TO)
                why = variant_explain(device_kind_name(device_id_split(item->id, &name)), result->error, &fix);
        finding = binding_fail(binding, VFB_ERROR_DRIVER_BIND_FAILED, item->id, wanted, "%s did not take %s: %s",
                               wanted, item->id, why ?: strerror(result->error));
        if (fix && finding)
                (void) finding_set_fix(finding, "%s", fix);
}

void binding_explain(Binding *binding, const BindResult *result, const char *wanted) {
        const char *id = binding->devices[binding->at].id;

        switch (result->step) {
        case BIND_STEP_UNBIND:
                binding_fail(binding, VFB_ERROR_DRIVER_BIND_FAILED, id, result->state.driver,
                             "%s did not let go of %s: %s", result->state.driver, id, strerror(result->error));
                break;
        case BIND_STEP_DRIVER:
                binding_fail(binding, VFB_ERROR_DRIVER_BIND_FAILED, id, wanted,
                             "Driver %s, which %s was on, is not loaded any more; load it: modprobe %s", wanted, id,
                             wanted);
                break;
        case BIND_STEP_PROBE:
                binding_explain_probe(binding, result, wanted);
                break;
        case BIND_STEP_VFIO:
                binding_fail(binding, VFB_ERROR_DRIVER_BIND_FAILED, id, wanted,
                             "%s took %s, and is no VFIO driver", wanted, id);
                break;
        case BIND_STEP_SRIOV:
                binding_fail(binding, VFB_ERROR_VF_COUNT, id, "",
                             "The number of virtual functions of %s cannot be changed: %s", id,
                             describe_sriov_error(result->error));
                break;
        case BIND_STEP_NONE:
        case BIND_STEP_LOOK:
        case BIND_STEP_OVERRIDE:
        case _BIND_STEP_MAX:
                binding_fail(binding, VFB_ERROR_DRIVER_BIND_FAILED, id, "", "The driver of %s cannot be changed: %s",
                             id, strerror(result->error > 0 ? result->error : EIO));
                break;
        }
}

void binding_fail_late(Binding *binding, const char *holders) {
        const BindingDevice *item = &binding->devices[binding->at];
        const Device *device = binding_device(binding, binding->at);
        const char *driver = device ? device->facts.driver : "";

        if (binding->goal == BINDING_GOAL_SRIOV)
                binding_fail(binding, VFB_ERROR_DRIVER_UNBIND_TIMEOUT, item->id, driver,
                             "The kernel has not changed the number of virtual functions of %s within %u seconds",
                             item->id, binding->broker->config.driver_timeout_sec);
        else
                binding_fail(binding, VFB_ERROR_DRIVER_UNBIND_TIMEOUT, item->id, driver,
                             "The kernel has not changed the driver of %s%s%s within %u seconds%s%s", item->id,
                             driver[0] ? " from " : "", driver, binding->broker->config.driver_timeout_sec,
                             holders[0] ? ", it is open in " : "", holders);
        binding_tell(binding);
}

OriginFunctions functions_of_state(const SriovState *state) {
        return (OriginFunctions){ state->is_pf, state->count, state->is_pf ? state->autoprobe : 0 };
}

SriovState state_of_functions(const OriginFunctions *functions) {
        return (SriovState){ functions->known, functions->count, functions->autoprobe };
}

bool binding_is_of_functions(const Binding *binding, const Origin *origin) {
        return binding->goal == BINDING_GOAL_SRIOV || binding->goal == BINDING_GOAL_UNSET ||
               origin_is_of_functions(origin);
}

bool binding_keeps_set(const Binding *binding, const Origin *origin) {
        return origin->set.known && (binding->lease[0] || binding->undo || binding->goal == BINDING_GOAL_UNSET);
}

void binding_keep_origin(const Binding *binding, BindingDevice *item, Origin *origin) {
        switch (binding->goal) {
        case BINDING_GOAL_NONE:
                item->was_known = true;
                strcpy(item->wanted_before, origin->wanted);
                origin->restore = ORIGIN_PREVIOUS;
                break;
        case BINDING_GOAL_RESTORE:
                item->was_known = binding_keeps_set(binding, origin);
                break;
        case BINDING_GOAL_UNSET:
                item->was_known = origin->set.known || !origin_is_of_functions(origin);
                break;
        case BINDING_GOAL_BIND:
        case BINDING_GOAL_SRIOV:
                break;
        }
}

void broker_drop_origin(Broker *broker, Device *device) {
        free(device->origin);
        device->origin = NULL;
        device->due = DEVICE_DUE_NOT;
        broker_note_device(broker, device);
}

static void origin_set_drivers(Origin *origin, const BindState *state) {
        strcpy(origin->driver, state->driver);
        strcpy(origin->override, state->override);
        strcpy(origin->power, state->power);
}

/* Whether what is written down is still true, and only something is added to it. */
static bool binding_knows(const Binding *binding, const BindingDevice *item, const Origin *origin) {
        if (!origin)
                return false;

        return binding->goal == BINDING_GOAL_SRIOV || origin_is_of_functions(origin) || !item->before.driver[0];
}

/* What was before counts, however often it is changed afterwards; unless somebody else has changed the driver since. */
static int binding_write_down_one(Binding *binding, unsigned i) {
        BindingDevice *item = &binding->devices[i];
        Device *device = binding_device(binding, i);
        Origin *origin;

        if (!device)
                return VFB_ERROR_DEVICE_GONE;

        item->was_known = binding_knows(binding, item, device->origin);
        if (!item->was_known) {
                origin = calloc(1, sizeof(*origin));
                if (!origin)
                        return -ENOMEM;
                origin_set_drivers(origin, &item->before);
                origin->functions = functions_of_state(&item->before.sriov);
                free(device->origin);
                device->origin = origin;
        } else if (origin_is_of_functions(device->origin)) {
                origin_set_drivers(device->origin, &item->before);
        }

        strcpy(item->wanted_before, device->origin->wanted);
        if (binding->goal == BINDING_GOAL_SRIOV) {
                device->origin->step = ORIGIN_SETTING;
                return broker_record_device(binding->broker, device);
        }

        strcpy(device->origin->wanted, item->wanted);
        device->due = DEVICE_DUE_NOT;
        device->origin->step = ORIGIN_BINDING;
        strcpy(device->origin->lease, binding->lease);
        device->origin->restore = ORIGIN_PREVIOUS; /* until the lease begins */
        return broker_record_device(binding->broker, device);
}

/* Nothing has been written to /sys for this device, or it is as it was. */
void binding_forget(Binding *binding, unsigned i) {
        Device *device = binding_device(binding, i);

        if (!device || !device->origin)
                return;
        if (!binding->devices[i].was_known) {
                broker_drop_origin(binding->broker, device);
                return;
        }
        device->origin->step = ORIGIN_BOUND;
        if (binding->goal != BINDING_GOAL_SRIOV && binding->goal != BINDING_GOAL_UNSET) {
                strcpy(device->origin->wanted, binding->devices[i].wanted_before);
                device->origin->lease[0] = '\0';
                device->due = DEVICE_DUE_NOT;
        }
        broker_note_device(binding->broker, device);
}

/* The same for virtual functions, which go with the driver of their PF. */
static int binding_check_functions(Binding *binding, unsigned i) {
        const BindingDevice *item = &binding->devices[i];
        const Device *device = binding_device(binding, i);
        const Finding *why;
        Findings findings = {};
        int r;

        if (!device || !item->before.sriov.is_pf || item->before.sriov.count == 0 ||
            (binding->goal == BINDING_GOAL_SRIOV && binding->sriov.count == item->before.sriov.count))
                return 0;

        r = broker_find_functions(binding->broker, device, binding->steal, &findings);
        why = findings_first_error(&findings);
        if (r >= 0 && why)
                r = (int) why->error;
        if (r != 0)
                binding_fail(binding, r, device_id(device), "", "%s", why ? why->text : strerror(-r));
        findings_done(&findings);
        return r;
}

int binding_check_host(Binding *binding, unsigned i) {
        const Device *device = binding_device(binding, i);
        BrokerUse use;
        int r;

        r = binding_check_functions(binding, i);
        if (r != 0 || !device || binding->goal == BINDING_GOAL_SRIOV ||
            !broker_host_keeps(binding->broker, device, binding->steal, &use))
                return r;

        binding_fail(binding, VFB_ERROR_IN_USE_BY_HOST, device_id(device), device->facts.driver,
                     "The host needs %s by now: %s", device_id(device), use.text);
        return VFB_ERROR_IN_USE_BY_HOST;
}

int binding_write_down(Binding *binding) {
        unsigned i;
        int r = 0;

        for (i = 0; r == 0 && i < binding->n; i++)
                r = binding_check_host(binding, i);
        if (r != 0)
                return r;

        for (i = 0; r == 0 && i < binding->n; i++)
                r = binding_write_down_one(binding, i);
        if (r == 0) {
                for (i = 0; i < binding->n; i++)
                        broker_log_stolen(binding->broker, binding_device(binding, i), binding->uid, binding->lease);
                return 0;
        }

        binding_fail(binding, r, binding->devices[i - 1].id, "",
                     "What %s was cannot be written down, so its driver is left alone", binding->devices[i - 1].id);
        while (i-- > 0)
                binding_forget(binding, i);
        return r;
}

bool binding_has_kept(Binding *binding, unsigned n) {
        bool all = true;

        for (unsigned i = 0; i < n; i++) {
                Device *device;

                (void) broker_refresh_moved(binding->broker, binding->devices[i].id); /* may free it */
                device = binding_device(binding, i);
                if (device && device->facts.vfio_driver)
                        continue;

                binding_fail(binding, device ? VFB_ERROR_DRIVER_BIND_FAILED : VFB_ERROR_DEVICE_GONE,
                             binding->devices[i].id, device ? device->facts.driver : "", "%s %s meanwhile",
                             binding->devices[i].id, device ? "was taken from its VFIO driver" : "has gone");
                if (device && device->facts.driver[0])
                        broker_drop_origin(binding->broker, device);
                all = false;
        }
        return all;
}

void binding_forget_rest(Binding *binding) {
        for (unsigned i = binding->at + 1; i < binding->n; i++)
                binding_forget(binding, i);
}
