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

static void set_quarantine(Device *device, const Lease *lease, const char *reason) {
        /* Without memory for the reason the device must not slip through: then it is what nobody may have. */
        if (device_set_quarantine(device, reason) < 0)
                device->last_uid = (uid_t) -1;
        device->unclean = true;
        broker_note_device(broker_of(lease), device);

        log_event(&(LogEvent){ .id = LOG_ID_QUARANTINED,
                               .priority = LOG_ERR,
                               .lease = lease->id,
                               .device = device_id(device),
                               .reason = reason },
                  "%s is quarantined: %s", device_id(device), reason);
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

/* Whether a reset of the device's bus may hit @neighbour, which then is in one of the lease's groups, or in an idle
 * one that is put into the plan. */
static bool plan_neighbour(VfioPlan *plan, const Lease *lease, const Device *neighbour) {
        const Group *group = neighbour ? neighbour->group : NULL;

        if (!group || !neighbour->facts.vfio_driver)
                return false;
        if (group->lease == lease)
                return true;
        if (group->lease || neighbour->quarantine || (group->reset_for && group->reset_for != lease))
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
        unsigned n_idle = plan->n_idle;
        ResetScope scope;

        if (reset_scope(broker->sys_fd, planned->address, &scope) < 0 || scope.n == 0)
                return;

        planned->bus = true;
        for (unsigned i = 0; i < scope.n && planned->bus; i++)
                planned->bus = plan_neighbour(plan, lease, device_find(&broker->devices, scope.addresses[i]));
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
                                set_quarantine(device, lease, "so many devices of one lease cannot be reset");
                                continue;
                        }

                        strcpy(plan->devices[plan->n_devices].address, device_id(device));
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

static void log_reset(const Lease *lease, const Device *device, bool clean) {
        char reset[DEVICE_RESET_MAX];

        broker_reset_name(device, clean && !device->bus_reset[0], reset, sizeof(reset));
        log_event(&(LogEvent){ .id = LOG_ID_RESET,
                               .priority = clean ? LOG_INFO : LOG_WARNING,
                               .lease = lease->id,
                               .device = device_id(device),
                               .reset = reset,
                               .uid = &lease->user->uid },
                  clean ? "%s was reset after lease %s: reset=%s"
                        : "%s was not reset after lease %s, it has no reset that works: reset=%s",
                  device_id(device), lease->id, reset);
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

/* What the gate says about one device. Returns false if nobody may have it now. */
static bool lease_judge_device(Lease *lease, Device *device, const VfioReset *reset) {
        bool clean = reset->how == VFIO_RESET_FUNCTION || reset->how == VFIO_RESET_BUS;
        char reason[128];

        device_note_reset(device, reset->how == VFIO_RESET_FUNCTION);
        device_note_bus_reset(device, reset->how == VFIO_RESET_BUS ? reset->scope : 0);
        device->last_uid = lease->user->uid;
        device->unclean = !clean;

        if (reset->how == VFIO_RESET_BROKEN) {
                snprintf(reason, sizeof(reason), "after the reset of its bus %s", defect_text(reset->defect));
                set_quarantine(device, lease, reason);
                return false;
        }
        if (!clean && device_has_reset(device)) {
                set_quarantine(device, lease, "its reset after the last lease failed");
                return false;
        }

        broker_note_device(broker_of(lease), device);
        log_reset(lease, device, clean);
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

static bool lease_judge(Lease *lease, const VfioPlan *plan, const VfioResult *result) {
        bool clean = true;

        for (unsigned i = 0; i < plan->n_devices; i++) {
                Device *device = find_cleaned(broker_of(lease), plan->devices[i].address);
                char reason[128];

                if (!device)
                        continue;

                if (result->step == VFIO_STEP_NONE) {
                        clean &= lease_judge_device(lease, device, &result->resets[i]);
                        continue;
                }

                snprintf(reason, sizeof(reason), "it could not be opened for its reset: %s", strerror(result->error));
                set_quarantine(device, lease, reason);
                clean = false;
        }

        return clean;
}

static void gate_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        static const VfioResult no_result = { .step = VFIO_STEP_CONTAINER, .error = EIO };
        Task *task = userdata;
        Broker *broker = task->broker;
        Lease *lease = task->lease;

        task->job = NULL;
        reserve_idle(broker, &task->plan, lease, false);
        if (!lease_judge(lease, &task->plan, r < 0 ? &no_result : data)) {
                lease->end = LEASE_END_FAILED;
                broker_move_lease(broker, lease, LEASE_FAILED);
        }

        task_free(task);
        broker_finish_lease(broker, lease);
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
        for (unsigned i = 0; i < task->plan.n_devices; i++)
                plan_bus(broker, lease, &task->plan, &task->plan.devices[i]);
        memcpy(task->plan.group_fds, lease->group_fds, lease->n_groups * sizeof(int));

        r = task_start(task, reset_gate, gate_on_done, lease->group_fds, lease->n_groups);
        if (r < 0)
                return r;

        reserve_idle(broker, &task->plan, lease, true);
        TAKE_PTR(task);
        return 0;
}
