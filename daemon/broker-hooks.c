/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: release hooks
 *
 * What the administrator's programs do with a device after its reset, before it is anybody's again. They run one after
 * the other, by whatever the bus layer has to run them with; the lease stays in "cleaning" for as long. Which of them
 * a device has to pass is found, and written down, before its reset: whatever happens in between, it is in nobody's
 * hands before all of them have said that they succeeded.
 */

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include "broker-internal.h"
#include "log.h"

/* Each may take an hour; resets must not wait behind them, so they are counted by themselves. */
#define ROUNDS_AT_ONCE_MAX 16

#define UNFINISHED "its release hooks had not ended when the service did"

static void task_run_hooks(Task *task);

void broker_load_hooks(Broker *broker) {
        hooks_load(&broker->hooks, broker->root);
        for (unsigned i = 0; i < broker->hooks.n; i++) {
                const Hook *hook = &broker->hooks.items[i];
                char why[HOOK_WRONG_MAX];

                if (hook_check(hook, broker->root, why) < 0)
                        log_event(&(LogEvent){ .id = LOG_ID_HOOK_WRONG, .priority = LOG_ERR, .reason = why },
                                  "Release hook %s cannot run, and %s: %s", hook->name,
                                  hook->has_match ? "what it is for stays in quarantine after each lease"
                                                  : "every device stays in quarantine after each lease",
                                  why);
        }
}

void broker_use_hooks(Broker *broker, BrokerRunHook run, void *userdata) {
        broker->run_hook = run;
        broker->run_hook_userdata = userdata;
}

static uint64_t hooks_of(Broker *broker, const Device *device) {
        uint64_t hooks = 0;

        _Static_assert(HOOKS_MAX <= 64, "more than there are bits");
        if (broker->hooks.n > 0)
                (void) broker_device_vf_index(broker, device); /* selectors may ask for it */
        for (unsigned i = 0; i < broker->hooks.n; i++)
                if (hook_matches(&broker->hooks.items[i], device))
                        hooks |= UINT64_C(1) << i;

        return hooks;
}

static void set_hooks_due(Broker *broker, Device *device, bool due) {
        device->hooks_due = due;
        broker_note_device(broker, device);
}

void task_plan_hooks(Task *task) {
        for (unsigned i = 0; i < task->plan.n_devices; i++) {
                Device *device = device_find(&task->broker->devices, task->plan.devices[i].address);

                /* An administrator has put it aside as it is: to erase it now is to erase what they want to see. */
                if (!device || (device->quarantine && !device->hooks_due))
                        continue;

                task->hooks[i] = hooks_of(task->broker, device);
                if (task->hooks[i] != 0)
                        set_hooks_due(task->broker, device, true);
                else if (device->hooks_due)
                        broker_return_device(task->broker, device); /* the administrator has taken the hook away */
        }
}

void task_drop_hooks(Task *task, unsigned i, Device *device) {
        task->hooks[i] = 0;
        set_hooks_due(task->broker, device, false);
}

void broker_return_device(Broker *broker, Device *device) {
        if (device->hooks_due && device->quarantine && strcmp(device->quarantine, UNFINISHED) == 0)
                (void) device_set_quarantine(device, NULL);
        set_hooks_due(broker, device, false);
}

void broker_doubt_device(Device *device) {
        /* Without memory for the reason the device must not slip through: then it is what nobody may have. */
        if (device->hooks_due && !device->quarantine && device_set_quarantine(device, UNFINISHED) < 0) {
                device->unclean = true;
                device->last_uid = (uid_t) -1;
        }
}

bool broker_hooks_expect(const Device *device) {
        const Lease *lease = device->group ? device->group->lease : NULL;

        return lease && lease->state == LEASE_CLEANING && device->hooks_due;
}

void broker_miss_hooks(Broker *broker, const Lease *lease, Device *device) {
        if (lease->announced && !device->quarantine && hooks_of(broker, device) != 0)
                broker_quarantine_device(lease, device, "it left its driver before its release hooks could run");
}

/* The device stays where it is, and the others of the lease go on. */
static void task_fail_hook(Task *task, const Hook *hook, Device *device, const char *why) {
        char reason[HOOK_NAME_MAX + HOOK_WRONG_MAX + 32];

        log_event(&(LogEvent){ .id = LOG_ID_HOOK_FAILED,
                               .priority = LOG_ERR,
                               .lease = task->lease->id,
                               .device = device_id(device),
                               .reason = why,
                               .uid = &task->lease->user->uid },
                  "Release hook %s has not cleaned %s after lease %s: %s", hook->name, device_id(device),
                  task->lease->id, why);

        snprintf(reason, sizeof(reason), "its release hook %s failed: %s", hook->name, why);
        task->clean = false;
        task_drop_hooks(task, task->hook_device, device);
        broker_quarantine_device(task->lease, device, reason);
}

static void fill_hook(const Task *task, const Hook *hook, const Device *device, BrokerHook *ret) {
        _Static_assert(sizeof(ret->name) == HOOK_NAME_MAX && sizeof(ret->exec) == HOOK_EXEC_MAX, "one has grown");
        *ret = (BrokerHook){
                .timeout_usec = hook->timeout_sec * UINT64_C(1000000),
                .capabilities = hook->capabilities,
                .uid = task->lease->user->uid,
                .group = device->group ? device->group->number : 0,
        };
        strcpy(ret->name, hook->name);
        strcpy(ret->exec, hook->exec);
        strcpy(ret->lease, task->lease->id);
        strcpy(ret->device, device_id(device));
        broker_reset_name(device, !device->unclean && !device->bus_reset[0], ret->reset, sizeof(ret->reset));
}

static void hook_on_end(const char *why, void *userdata) {
        Task *task = userdata;
        const char *address = task->plan.devices[task->hook_device].address;
        Device *device;

        if (broker_refresh(task->broker, address) < 0)
                log_line(LOG_WARNING, "Cannot look at %s after a release hook", address);
        device = device_find(&task->broker->devices, address);
        if (!device)
                task->hooks[task->hook_device] = 0;
        else if (why)
                task_fail_hook(task, &task->broker->hooks.items[task->hook], device, why);
        else if (task->hooks[task->hook_device] == 0)
                broker_return_device(task->broker, device);

        task_run_hooks(task);
}

/* Returns whether it runs now. */
static bool task_run_hook(Task *task, unsigned place) {
        Broker *broker = task->broker;
        const Hook *hook = &broker->hooks.items[place];
        Device *device = device_find(&broker->devices, task->plan.devices[task->hook_device].address);
        char why[HOOK_WRONG_MAX];
        BrokerHook asked;
        int r;

        task->hook = place;
        task->hooks[task->hook_device] &= ~(UINT64_C(1) << place);
        if (!device || (device->quarantine && !device->hooks_due)) {
                task->hooks[task->hook_device] = 0; /* unplugged, or put aside by an administrator meanwhile */
                return false;
        }

        if (hook_check(hook, broker->root, why) < 0) {
                task_fail_hook(task, hook, device, why);
                return false;
        }

        fill_hook(task, hook, device, &asked);
        r = broker->run_hook ? broker->run_hook(&asked, hook_on_end, task, broker->run_hook_userdata) : -ENOTCONN;
        if (r < 0) {
                task_fail_hook(task, hook, device, strerror(-r));
                return false;
        }

        log_event(&(LogEvent){ .id = LOG_ID_HOOK_STARTED,
                               .priority = LOG_INFO,
                               .lease = asked.lease,
                               .device = asked.device,
                               .reset = asked.reset,
                               .uid = &asked.uid },
                  "Release hook %s runs on %s after lease %s", asked.name, asked.device, asked.lease);
        return true;
}

static Task *find_waiting(Broker *broker) {
        Task *task;

        TAILQ_FOREACH(task, &broker->rounds, round)
                if (!task->round_runs)
                        return task;

        return NULL;
}

/* Those that wait are started as others end. A round may be over at once, and must not start the next from within. */
static void broker_start_rounds(Broker *broker) {
        Task *task;

        if (broker->starts_rounds)
                return;

        broker->starts_rounds = true;
        while (broker->n_rounds < ROUNDS_AT_ONCE_MAX && (task = find_waiting(broker))) {
                task->round_runs = true;
                broker->n_rounds++;
                task_run_hooks(task);
        }
        broker->starts_rounds = false;
}

static void task_end_round(Task *task) {
        Broker *broker = task->broker;
        Lease *lease = task->lease;
        bool clean = task->clean;

        task_free(task);
        broker_close_gate(broker, lease, clean);
        broker_start_rounds(broker);
}

/* The next one, or the end of the round, which frees the task. */
static void task_run_hooks(Task *task) {
        for (; task->hook_device < task->plan.n_devices; task->hook_device++) {
                uint64_t *hooks = &task->hooks[task->hook_device];

                while (*hooks != 0)
                        if (task_run_hook(task, (unsigned) ffsll((long long) *hooks) - 1))
                                return;
        }

        task_end_round(task);
}

static bool task_has_hooks(Task *task) {
        bool any = false;

        for (unsigned i = 0; i < task->plan.n_devices; i++) {
                Device *device = device_find(&task->broker->devices, task->plan.devices[i].address);

                if (task->hooks[i] == 0)
                        continue;
                if (device && device->facts.vfio_driver) {
                        any = true;
                        continue;
                }

                if (device)
                        broker_quarantine_device(task->lease, device,
                                                 "it left its driver before its release hooks could run");
                task->clean &= !device;
                task->hooks[i] = 0;
        }
        return any;
}

void task_end_gate(Task *task) {
        Broker *broker = task->broker;

        if (!task_has_hooks(task)) {
                task_end_round(task);
                return;
        }

        /* A hook may open the device itself, or give it to its own driver for a while. */
        lease_close_groups(task->lease);
        task->in_round = true;
        broker->n_tasks--;
        TAILQ_INSERT_TAIL(&broker->rounds, task, round);
        broker_start_rounds(broker);
}
