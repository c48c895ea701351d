/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: the gate between two leases
 *
 * Nobody has a device open any more. Each is opened once in a child, so that the kernel resets it and says whether
 * that worked; where it did not, its bus is reset if that hits nothing but what is in this lease's groups or in
 * nobody's hands. What comes of it decides who may have the device next.
 */

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "broker-internal.h"
#include "kernel/reset.h"
#include "log.h"

#define GATE_DEATHS_MAX 3
#define GATE_PAUSE_USEC (500 * 1000) /* whatever killed it may be over then */

ResetPolicy broker_reset_policy(Broker *broker, const Device *device, bool *ret_one_time) {
        const ResetRules *rules = &broker->config.reset;
        ResetPolicy policy;

        if (rules->n > 0)
                (void) broker_device_vf_index(broker, device); /* selectors may ask for it */
        reset_rules_apply(rules, device, &policy, ret_one_time);
        return policy;
}

/* What is configured for the device and what the lease's holder has asked for, whichever is the stricter. */
static ResetPolicy lease_reset_policy(const Lease *lease, const Device *device, bool *ret_one_time) {
        ResetPolicy policy = broker_reset_policy(broker_of(lease), device, ret_one_time);

        /* One that nobody has got was not used. */
        *ret_one_time = (*ret_one_time || lease->one_time) && lease->announced;
        return reset_policy_stricter(policy, lease->reset);
}

static void set_quarantine(Device *device, const Lease *lease, int priority, const char *reason) {
        /* Without memory for the reason the device must not slip through: then it is what nobody may have. */
        if (device_set_quarantine(device, reason) < 0)
                device->last_uid = (uid_t) -1;
        device->unclean = true;
        broker_note_device(broker_of(lease), device);

        log_event(&(LogEvent){ .id = LOG_ID_QUARANTINED,
                               .priority = priority,
                               .lease = lease->id,
                               .device = device_id(device),
                               .reason = reason },
                  "%s is quarantined: %s", device_id(device), reason);
}

void broker_quarantine_device(const Lease *lease, Device *device, const char *reason) {
        set_quarantine(device, lease, LOG_ERR, reason);
}

void broker_device_reset_scope(Broker *broker, const Device *device, const Device *ret[BROKER_SCOPE_MAX],
                               unsigned *ret_n) {
        _Static_assert(RESET_SCOPE_MAX == BROKER_SCOPE_MAX, "one of them has grown");
        ResetScope scope = {};
        int r;

        *ret_n = 0;
        r = reset_scope(broker->sys_fd, device_id(device), &scope);
        for (unsigned i = 0; (r == 0 || r == -E2BIG) && i < scope.n; i++) {
                ret[*ret_n] = device_find(&broker->devices, scope.addresses[i]);
                *ret_n += ret[*ret_n] != NULL;
        }
}

/* After its last use. */
static void use_up(Device *device, const Lease *lease) {
        char reason[96];

        snprintf(reason, sizeof(reason), "one-time use, and that was lease %s of uid %u", lease->id,
                 (unsigned) lease->user->uid);
        set_quarantine(device, lease, LOG_NOTICE, reason);
}

/* Whether a reset of the device's bus may hit @neighbour, which then is in one of the lease's groups, or, if
 * @idle, in an idle one that is put into the plan. */
static bool plan_neighbour(Broker *broker, VfioPlan *plan, const Lease *lease, const Device *neighbour, bool idle) {
        const Group *group = neighbour ? neighbour->group : NULL;
        bool one_time;

        if (!group || !neighbour->facts.vfio_driver)
                return false;
        if (broker_reset_policy(broker, neighbour, &one_time) == RESET_POLICY_NONE)
                return false; /* there will be a reason why it must not be reset */
        if (group->lease == lease)
                return true;
        if (!idle || group->lease || neighbour->quarantine || (group->reset_for && group->reset_for != lease))
                return false;

        for (unsigned i = 0; i < plan->n_idle; i++)
                if (plan->idle[i] == group->number)
                        return true;
        if (plan->n_idle == VFIO_GROUPS_MAX)
                return false;
        plan->idle[plan->n_idle++] = group->number;
        return true;
}

/* Only where every device on the bus is ours. The kernel has the last word on that. */
static void plan_bus(Broker *broker, const Lease *lease, VfioPlan *plan, VfioDevicePlan *planned) {
        const Device *device = device_find(&broker->devices, planned->address);
        unsigned n_idle = plan->n_idle;
        ResetScope scope;
        bool idle;

        if (reset_scope(broker->sys_fd, planned->address, &scope) < 0 || scope.n == 0)
                return;

        /* Others are kept from an idle group meanwhile, so not for one that most likely will not need it: a bus may
         * be full of virtual functions. */
        idle = device && !device_has_own_reset(device);
        planned->bus = true;
        for (unsigned i = 0; i < scope.n && planned->bus; i++)
                planned->bus = plan_neighbour(broker, plan, lease, device_find(&broker->devices, scope.addresses[i]),
                                              idle);
        if (!planned->bus)
                plan->n_idle = n_idle;
}

/* With the group's descriptor the client could open them, too. */
static void task_plan_companions(Task *task) {
        const Lease *lease = task->lease;
        VfioPlan *plan = &task->plan;
        Device *device;

        for (unsigned i = 0; i < lease->n_groups; i++)
                TAILQ_FOREACH(device, &lease->groups[i]->devices, siblings) {
                        if (!device->facts.vfio_driver || lease_has_device(lease, device))
                                continue;

                        if (plan->n_devices == VFIO_DEVICES_MAX) {
                                set_quarantine(device, lease, LOG_ERR, "so many devices of one lease cannot be reset");
                                continue;
                        }

                        plan_device(&plan->devices[plan->n_devices], device, /* opens_first= */ true);
                        plan->devices[plan->n_devices++].group = i;
                }
}

/* Meanwhile nobody gets the idle groups: their devices would vanish under them for a moment. */
static void reserve_idle(Broker *broker, const VfioPlan *plan, const Lease *lease, bool reserve) {
        for (unsigned i = 0; i < plan->n_idle; i++) {
                Group *group = group_find(&broker->groups, plan->idle[i]);

                if (group)
                        group->reset_for = reserve ? lease : NULL;
        }
}

static void log_reset(const Lease *lease, const Device *device, const char *reset, int priority, const char *text) {
        log_event(&(LogEvent){ .id = LOG_ID_RESET,
                               .priority = priority,
                               .lease = lease->id,
                               .device = device_id(device),
                               .reset = reset,
                               .uid = &lease->user->uid },
                  "%s was %s: reset=%s", device_id(device), text, reset);
}

static const char *defect_text(VfioDefect defect) {
        static const char *const texts[_VFIO_DEFECT_MAX] = {
                [VFIO_DEFECT_NONE] = "",
                [VFIO_DEFECT_SILENT] = "it does not answer any more",
                [VFIO_DEFECT_OTHER] = "it answers as another device",
                [VFIO_DEFECT_MASTER] = "it may still do DMA",
                [VFIO_DEFECT_BARS] = "its BARs were not restored",
        };

        return texts[defect];
}

/* Why the device must not go to anybody, "" if it may. */
static void reset_objection(const Device *device, const VfioReset *reset, ResetPolicy policy, char *ret, size_t size) {
        *ret = '\0';
        if (reset->how == VFIO_RESET_FUNCTION || reset->how == VFIO_RESET_BUS)
                return;

        if (reset->how == VFIO_RESET_BROKEN)
                snprintf(ret, size, "after the reset of its bus %s", defect_text(reset->defect));
        else if (device_has_reset(device))
                snprintf(ret, size, "its reset after the last lease failed");
        else if (policy != RESET_POLICY_REQUIRED)
                return;
        else if (reset->how == VFIO_RESET_FAILED)
                snprintf(ret, size, "its reset is required, and that of its bus failed: %s", strerror(reset->error));
        else
                snprintf(ret, size, "its reset is required, and none of its own works; nor can its bus be reset");
}

/* What the gate says about one device. Returns false if nobody may have it now, since it is not clean. */
static bool lease_judge_device(Lease *lease, Device *device, const VfioReset *reset) {
        bool clean = reset->how == VFIO_RESET_FUNCTION || reset->how == VFIO_RESET_BUS, one_time;
        ResetPolicy policy = lease_reset_policy(lease, device, &one_time);
        char name[DEVICE_RESET_MAX], reason[160], text[96];

        device_note_reset(device, reset->how == VFIO_RESET_FUNCTION);
        device_note_bus_reset(device, reset->how == VFIO_RESET_BUS ? reset->scope : 0);
        device->last_uid = lease->user->uid;
        device->unclean = !clean;

        reset_objection(device, reset, policy, reason, sizeof(reason));
        if (reason[0]) {
                set_quarantine(device, lease, LOG_ERR, reason);
                return false;
        }

        broker_note_device(broker_of(lease), device);
        broker_reset_name(device, reset->how == VFIO_RESET_FUNCTION, name, sizeof(name));
        snprintf(text, sizeof(text), "%sreset after lease %s%s", clean ? "" : "not ", lease->id,
                 clean ? "" : ", it has no reset that works");
        log_reset(lease, device, name, clean ? LOG_INFO : LOG_WARNING, text);
        if (one_time)
                use_up(device, lease);
        return true;
}

/* The device, if it is still there and on its VFIO driver. */
static Device *find_cleaned(Broker *broker, const char *address) {
        Device *device;

        /* Who unbinds a device waits for its last user, and may have come first. */
        if (broker_refresh(broker, address) < 0)
                log_line(LOG_WARNING, "Cannot look at %s after its reset", address);

        device = device_find(&broker->devices, address);
        return device && device->facts.vfio_driver ? device : NULL;
}

/* Not even looked at: whatever is in it is for the next. */
static void lease_pass_over(const Lease *lease, Device *device) {
        char text[96];
        bool one_time;

        device_note_bus_reset(device, 0);
        device->last_uid = lease->user->uid;
        device->unclean = false;
        broker_note_device(broker_of(lease), device);

        snprintf(text, sizeof(text), "not reset after lease %s, as it is configured", lease->id);
        log_reset(lease, device, "not wanted", LOG_INFO, text);
        (void) lease_reset_policy(lease, device, &one_time);
        if (one_time)
                use_up(device, lease);
}

void broker_judge_lost(Broker *broker, const Lease *lease, Device *device) {
        bool one_time;

        if (!lease->announced)
                return;
        if (lease_reset_policy(lease, device, &one_time) == RESET_POLICY_REQUIRED)
                set_quarantine(device, lease, LOG_ERR,
                               "its reset is required, and it left its driver before one could be proved");
        else if (one_time)
                use_up(device, lease);
}

static void task_judge(Task *task, const VfioResult *result) {
        const VfioPlan *plan = &task->plan;
        Lease *lease = task->lease;

        task->clean = true;
        for (unsigned i = 0; i < plan->n_devices; i++) {
                Device *device = find_cleaned(broker_of(lease), plan->devices[i].address);
                char reason[128];

                if (!device)
                        continue;

                if (plan->devices[i].closed) {
                        lease_pass_over(lease, device);
                        continue;
                }
                if (result->step == VFIO_STEP_NONE) {
                        if (lease_judge_device(lease, device, &result->resets[i]))
                                continue;
                } else {
                        snprintf(reason, sizeof(reason), "it could not be opened for its reset: %s",
                                 strerror(result->error));
                        set_quarantine(device, lease, LOG_ERR, reason);
                }
                task_drop_hooks(task, i, device);
                task->clean = false;
        }
}

void broker_close_gate(Broker *broker, Lease *lease, bool clean) {
        if (!clean) {
                lease->end = LEASE_END_FAILED;
                broker_move_lease(broker, lease, LEASE_FAILED);
        }

        broker_finish_lease(broker, lease);
}

static void gate_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        static const VfioResult no_result = { .step = VFIO_STEP_CONTAINER, .error = EIO };
        Task *task = userdata;
        Broker *broker = task->broker;
        Lease *lease = task->lease;

        task->job = NULL;
        reserve_idle(broker, &task->plan, lease, false);

        /* That the child was killed says nothing about the device. */
        if (r < 0 && ++lease->n_gate_deaths < GATE_DEATHS_MAX) {
                task_free(task);
                broker_wait_lease_usec(broker, lease, GATE_PAUSE_USEC);
                return;
        }

        task_judge(task, r < 0 ? &no_result : data);
        task_end_gate(task);
}

/* A device that is not to be reset is not opened. */
static void task_plan_resets(Task *task) {
        VfioPlan *plan = &task->plan;

        for (unsigned i = 0; i < plan->n_devices; i++) {
                const Device *device = device_find(&task->broker->devices, plan->devices[i].address);
                bool one_time;

                plan->devices[i].closed = device && lease_reset_policy(task->lease, device, &one_time) ==
                                                            RESET_POLICY_NONE;
                if (!plan->devices[i].closed)
                        plan_bus(task->broker, task->lease, plan, &plan->devices[i]);
        }
}

int broker_start_gate(Broker *broker, Lease *lease) {
        _cleanup_(task_freep) Task *task = NULL;
        int r;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;

        task_plan_store(task);
        task_plan_devices(task);
        if (lease->mode == LEASE_MODE_LEGACY_RAW)
                task_plan_companions(task);
        task_plan_resets(task);
        memcpy(task->plan.group_fds, lease->group_fds, lease->n_groups * sizeof(int));

        task_plan_hooks(task);

        r = task_start(task, reset_gate, gate_on_done, lease->group_fds, lease->n_groups);
        if (r < 0)
                return r;

        reserve_idle(broker, &task->plan, lease, true);
        TAKE_PTR(task);
        return 0;
}
