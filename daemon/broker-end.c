/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: the one way out
 *
 * A trigger (lifeline, Release, time, removal) only starts it. Where the daemon alone has the container (mediated),
 * the DMA ends at once. Then the kernel is asked, again and again and less and less often, whether anybody has a
 * device open (VFIO_GROUP_UNSET_CONTAINER says EBUSY); when nobody has, the devices are reset in a container of our
 * own, and only then are they free.
 */

#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "broker-drivers.h"
#include "log.h"

#define WAIT_FIRST_USEC 1000
#define WAIT_LAST_USEC  (4 * 1000 * 1000)
#define WAIT_TURN_USEC  (20 * 1000)
#define WAIT_LOG_USEC   (512 * 1000) /* a wait of this length is worth a line: a second has passed */

/* A client with thousands of leases ends them all at once when it dies; each needs a process for a moment. */
#define ENDS_AT_ONCE_MAX 64

void broker_move_lease(Broker *broker, Lease *lease, LeaseState state) {
        lease_advance(lease, state);
        broker_note_lease(broker, lease);
        if (lease->announced)
                NOTIFY(broker, lease_changed, lease);
}

static void log_lease(const Lease *lease, const char *id, int priority, const char *text) {
        broker_log_lease(lease, &(LogEvent){ .id = id, .priority = priority, .reason = lease_end_name(lease->end) },
                         "Lease %s %s", lease->id, text);
}

void broker_finish_lease(Broker *broker, Lease *lease) {
        Group *groups[LEASE_DEVICES_MAX];
        unsigned n = lease->n_groups;
        bool announced = lease->announced;
        char id[LEASE_ID_MAX];

        memcpy(id, lease->id, sizeof(id));
        memcpy(groups, lease->groups, n * sizeof(*groups));
        if (lease->announced) {
                broker_revoke_report(lease);
                log_lease(lease, LOG_ID_RELEASED, LOG_INFO, "is over");
                NOTIFY(broker, lease_removed, lease);
        }
        broker_forget_lease(broker, lease);
        lease_free(lease);
        if (announced)
                NOTIFY(broker, n_leases_changed, broker->leases.n);

        for (unsigned i = 0; i < n; i++) {
                broker_settle_drivers(broker, groups[i], id);
                NOTIFY(broker, group_changed, groups[i]);
                broker_tidy_group(broker, groups[i]);
        }
        broker_wake_due(broker);
}

static int lease_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Lease *lease = userdata;

        broker_continue_end(broker_of(lease), lease);
        return 0;
}

void broker_wait_lease_usec(Broker *broker, Lease *lease, uint64_t usec) {
        int r;

        lease->timer = sd_event_source_disable_unref(lease->timer);
        r = sd_event_add_time_relative(broker->event, &lease->timer, CLOCK_MONOTONIC, usec, 0, lease_on_timer, lease);
        if (r < 0)
                log_line(LOG_ERR, "Cannot wait for the end of lease %s, its devices stay reserved: %s", lease->id,
                         strerror(-r));
}

static void lease_wait(Broker *broker, Lease *lease) {
        if (lease->cut == LEASE_CUT_FAILED)
                lease->cut = LEASE_CUT_NONE; /* once more, before the kernel is asked again */

        lease->wait_usec = lease->wait_usec == 0 ? WAIT_FIRST_USEC : lease->wait_usec * 2;
        if (lease->wait_usec > WAIT_LAST_USEC)
                lease->wait_usec = WAIT_LAST_USEC;
        if (lease->wait_usec >= WAIT_LOG_USEC && lease->wait_usec < 2 * WAIT_LOG_USEC)
                log_lease(lease, LOG_ID_LINGERING, LOG_WARNING, "is over, but somebody still has a device of it open");

        broker_wait_lease_usec(broker, lease, lease->wait_usec);
}

static void detach_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        Task *task = userdata;
        Broker *broker = task->broker;
        Lease *lease = task->lease;
        const VfioResult *result = data;

        task->job = NULL;

        /* legacy-raw: these had been the client's, and are ours again */
        for (unsigned i = 0, next = 0; i < task->plan.n_groups && next < n_fds; i++)
                if (task->plan.group_fds[i] < 0)
                        lease->group_fds[task->where[i]] = TAKE_FD(fds[next++]);
        task_free(task);

        if (r < 0 || result->step != VFIO_STEP_NONE) {
                lease_wait(broker, lease);
                return;
        }

        if (lease_n_present(lease) == 0) {
                broker_finish_lease(broker, lease);
                return;
        }

        broker_move_lease(broker, lease, LEASE_CLEANING);
        broker_continue_end(broker, lease);
}

static int broker_start_detach(Broker *broker, Lease *lease) {
        _cleanup_(task_freep) Task *task = NULL;
        int r;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;

        task_plan_store(task);
        for (unsigned i = 0; i < lease->n_groups; i++) {
                unsigned n = task->plan.n_groups;

                if (lease->group_fds[i] < 0 && !group_has_vfio(lease->groups[i]))
                        continue; /* there is nothing left to open, nor to hold */

                task->where[n] = i;
                task->plan.groups[n] = lease->groups[i]->number;
                task->plan.group_fds[n] = lease->group_fds[i];
                task->plan.n_groups++;
        }

        r = task_start(task, vfio_detach, detach_on_done, lease->group_fds, lease->n_groups);
        if (r < 0)
                return r;

        TAKE_PTR(task);
        return 0;
}

/* Others that hang in a reset must not hold it up, so cuts are counted by themselves. */
static void broker_cut_at_end(Broker *broker, Lease *lease) {
        int r;

        if (broker->n_cuts >= ENDS_AT_ONCE_MAX) {
                broker_wait_lease_usec(broker, lease, WAIT_TURN_USEC);
                return;
        }

        r = broker_cut_dma(broker, lease, NULL, NULL);
        if (r < 0)
                lease_wait(broker, lease);
}

/* The number of its virtual functions is being changed, by a process that has the kernel's lock on it. */
static bool lease_is_moving(const Lease *lease) {
        const Device *device;

        for (unsigned i = 0; i < lease->n_groups; i++)
                TAILQ_FOREACH(device, &lease->groups[i]->devices, siblings)
                        if (device->moving)
                                return true;

        return false;
}

void broker_continue_end(Broker *broker, Lease *lease) {
        int r;

        /* At once, whatever else is under way for the lease */
        if (broker_must_cut(lease)) {
                broker_cut_at_end(broker, lease);
                return;
        }

        if (lease->n_tasks > 0)
                return;

        if (lease->state == LEASE_PREPARING && lease->container_fd < 0) {
                broker_finish_lease(broker, lease); /* it never began */
                return;
        }
        if (lease->state == LEASE_PREPARING)
                broker_move_lease(broker, lease, LEASE_LINGERING);

        if (broker->n_tasks >= ENDS_AT_ONCE_MAX || (lease->state == LEASE_CLEANING && lease_is_moving(lease))) {
                broker_wait_lease_usec(broker, lease, WAIT_TURN_USEC);
                return;
        }

        r = lease->state == LEASE_CLEANING ? broker_start_gate(broker, lease) : broker_start_detach(broker, lease);
        if (r < 0)
                lease_wait(broker, lease);
}

void broker_end_lease(Broker *broker, Lease *lease, LeaseEnd end) {
        if (lease_is_over(lease))
                return;

        lease->end = broker_revoke_end(lease, end);
        if (lease->lifeline)
                lifeline_rest(lease->lifeline); /* who has it is a holder still */
        lease->process = lifeline_free(lease->process);
        lease->term = term_free(lease->term);
        lease->offer = offer_free(lease->offer);
        if (lease->state == LEASE_ACTIVE || lease->state == LEASE_REVOKING) {
                log_lease(lease, LOG_ID_ENDED, LOG_INFO, "ends");
                broker_move_lease(broker, lease, LEASE_LINGERING);
        }

        /* The client has a descriptor of the group itself; ours would stand in the way of asking who else has. */
        if (lease->mode == LEASE_MODE_LEGACY_RAW)
                lease_close_groups(lease);

        broker_continue_end(broker, lease);
}

void broker_release(Broker *broker, const Lease *lease, LeaseEnd end) {
        broker_end_lease(broker, (Lease *) lease, end);
}

int broker_quarantine(Broker *broker, const Device *borrowed, const char *reason, uid_t uid) {
        Device *device = (Device *) borrowed;
        int r;

        r = device_set_quarantine(device, reason);
        if (r < 0)
                return r;

        if (!reason)
                device->unclean = false;
        device->hooks_due = false; /* that is the administrator's word, too */
        broker_note_device(broker, device);

        log_event(&(LogEvent){ .id = reason ? LOG_ID_QUARANTINED : LOG_ID_RETURNED,
                               .priority = LOG_NOTICE,
                               .device = device_id(device),
                               .reason = reason,
                               .uid = &uid },
                  reason ? "%s is quarantined by uid %u: %s" : "%s is brought back by uid %u%s", device_id(device),
                  (unsigned) uid, reason ?: "");
        if (device->group)
                NOTIFY(broker, group_changed, device->group);
        else
                NOTIFY(broker, device_changed, device);
        return 0;
}
