/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: the drivers of devices after a lease, and after an earlier daemon */

#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "broker-drivers.h"
#include "log.h"

/* What keeps a device may end without a word, when somebody closes it, say. */
#define DUE_FIRST_USEC (1000 * 1000)
#define DUE_LAST_USEC  (32 * 1000 * 1000)

static void log_not_started(int r) {
        if (r != 0)
                log_line(LOG_ERR, "Cannot give devices back to their drivers, the next start tries again: %s",
                         strerror(r < 0 ? -r : EAGAIN));
}

static unsigned list_bound_for(const Group *group, const char *lease, const Device *ret[BROKER_MOVES_MAX]) {
        const Device *device;
        unsigned n = 0;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->origin && !device->moving && device->origin->step == ORIGIN_BOUND &&
                    strcmp(device->origin->lease, lease) == 0 && n < BROKER_MOVES_MAX)
                        ret[n++] = device;
        return n;
}

/* The host's driver is no better judge of it: whoever has the say brings it back. */
static bool group_has_quarantine(const Group *group) {
        const Device *device;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->quarantine)
                        return true;

        return false;
}

/* All that were on their way have arrived, and the last daemon had no time to say so. */
static bool have_arrived(const Device *const *devices, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (devices[i]->origin->step != ORIGIN_BINDING || !devices[i]->facts.vfio_driver ||
                    strcmp(devices[i]->facts.driver, devices[i]->origin->wanted) != 0)
                        return false;
        return true;
}

static const Origin *find_way_back(const Group *group) {
        const Device *device;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->origin && device->origin->step == ORIGIN_RESTORING)
                        return device->origin;
        return NULL;
}

/* Each has a record of its own, and the last daemon may have died between two of them: all go back that were to. */
static bool is_under_way(const Device *device, const Origin *back) {
        const Origin *origin = device->origin;

        if (!origin || origin->step == ORIGIN_SETTING)
                return false;
        return origin->step != ORIGIN_BOUND || (back && (!back->lease[0] || strcmp(origin->lease, back->lease) == 0));
}

static unsigned list_under_way(const Group *group, const Origin *back, const Device *ret[BROKER_MOVES_MAX]) {
        const Device *device;
        unsigned n = 0;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (is_under_way(device, back) && n < BROKER_MOVES_MAX)
                        ret[n++] = device;
        return n;
}

/* Somebody else has changed the driver while there was no daemon. */
static void forget_changed(Broker *broker) {
        Device *device;

        TAILQ_FOREACH(device, &broker->devices.queue, all)
                if (device->origin && device->origin->step == ORIGIN_BOUND && !origin_is_of_functions(device->origin) &&
                    device->facts.driver[0] && !device->facts.vfio_driver)
                        broker_drop_origin(broker, device);
}

static void note_at_rest(Broker *broker, const Device *const *devices, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                devices[i]->origin->step = ORIGIN_BOUND;
                broker_note_device(broker, (Device *) devices[i]);
        }
}

/* What the last daemon had begun. */
static void resume_under_way(Broker *broker, const Group *group) {
        BindingSpec spec = { .goal = BINDING_GOAL_RESTORE, .must = true, .blind = true, .uid = (uid_t) -1 };
        const Origin *back = find_way_back(group);
        const Device *devices[BROKER_MOVES_MAX];
        unsigned n = list_under_way(group, back, devices);

        if (n == 0)
                return;
        spec.undo = !back;
        spec.lease = back ? back->lease : devices[0]->origin->lease;
        /* Whatever the record says: nobody has a lease of what is still on its way. */
        if (group->lease || have_arrived(devices, n)) {
                note_at_rest(broker, devices, n);
                return;
        }

        if (back && back->lease[0] && back->restore == ORIGIN_NONE)
                spec.goal = BINDING_GOAL_NONE;
        log_not_started(broker_start_binding(broker, &spec, devices, n, NULL, NULL));
}

void broker_note_restore(Broker *broker, const Lease *lease) {
        Device *device;

        if (lease->restore == ORIGIN_PREVIOUS)
                return;

        for (unsigned i = 0; i < lease->n_groups; i++)
                TAILQ_FOREACH(device, &lease->groups[i]->devices, siblings) {
                        if (!device->origin || strcmp(device->origin->lease, lease->id) != 0)
                                continue;
                        device->origin->restore = lease->restore;
                        broker_note_device(broker, device);
                }
}

/* Something that is going on needs them as they are: a PF's driver would take its VFs with it, say. */
static bool are_kept(Broker *broker, const Device *const *devices, unsigned n) {
        Findings findings = {};
        const Finding *why;
        int r;

        r = broker_find_restore(broker, devices, n, &findings);
        why = findings_first_error(&findings);
        if (r >= 0 && why && devices[0]->due != DEVICE_DUE_NEEDED)
                log_line(LOG_NOTICE, "%s stays with VFIO for now, and goes back by itself after that: %s",
                         device_id(devices[0]), why->text);
        findings_done(&findings);
        return r >= 0 && why;
}

static void forget_lease(Broker *broker, Device *device) {
        device->origin->lease[0] = '\0';
        device->due = DEVICE_DUE_NOT;
        broker_note_device(broker, device);
}

void broker_settle_drivers(Broker *broker, Group *group, const char *lease) {
        BindingSpec spec = { .goal = BINDING_GOAL_RESTORE, .must = true, .uid = (uid_t) -1, .lease = lease };
        const Device *devices[BROKER_MOVES_MAX];
        OriginRestore restore;
        unsigned n;

        n = list_bound_for(group, lease, devices);
        if (n == 0)
                return;

        restore = devices[0]->origin->restore;
        if (restore == ORIGIN_KEEP || group_has_quarantine(group)) {
                for (unsigned i = 0; i < n; i++)
                        forget_lease(broker, (Device *) devices[i]);
                return;
        }
        if (are_kept(broker, devices, n)) {
                for (unsigned i = 0; i < n; i++)
                        ((Device *) devices[i])->due = DEVICE_DUE_NEEDED;
                broker_wait_for_due(broker);
                return;
        }

        if (restore == ORIGIN_NONE)
                spec.goal = BINDING_GOAL_NONE;
        spec.again = devices[0]->due == DEVICE_DUE_OPEN;
        log_not_started(broker_start_binding(broker, &spec, devices, n, NULL, NULL));
}

/* The same, of what the device was changed for; it forgets that in here. */
static void settle_for(Broker *broker, const Device *device) {
        char lease[ORIGIN_LEASE_MAX];

        strcpy(lease, device->origin->lease);
        broker_settle_drivers(broker, device->group, lease);
}

void broker_keep_bound(Broker *broker, Group *group) {
        Device *device;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->due)
                        forget_lease(broker, device);
}

static int due_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Broker *broker = userdata;
        bool any = false;
        Device *device;

        broker->due_timer = sd_event_source_disable_unref(broker->due_timer);
        TAILQ_FOREACH(device, &broker->devices.queue, all) {
                if (!device->due || !device->origin)
                        continue;
                any = true;
                if (device->group && !device->moving)
                        settle_for(broker, device);
        }
        if (any)
                broker_wait_for_due(broker);
        else
                broker->due_usec = 0;
        return 0;
}

static void due_wait(Broker *broker, uint64_t usec) {
        int r;

        broker->due_timer = sd_event_source_disable_unref(broker->due_timer);
        r = sd_event_add_time_relative(broker->event, &broker->due_timer, CLOCK_MONOTONIC, usec, 1, due_on_timer,
                                       broker);
        if (r < 0)
                log_line(LOG_ERR, "Cannot wait to give devices back to their drivers, the next start does it: %s",
                         strerror(-r));
}

void broker_wait_for_due(Broker *broker) {
        if (broker->due_timer)
                return;

        if (broker->due_usec == 0)
                broker->due_usec = DUE_FIRST_USEC;
        due_wait(broker, broker->due_usec);
        if (broker->due_usec < DUE_LAST_USEC)
                broker->due_usec *= 2;
}

void broker_wake_due(Broker *broker) {
        if (!broker->due_timer)
                return;

        broker->due_usec = DUE_FIRST_USEC;
        due_wait(broker, 0);
}

/* Leases that ended with the last daemon, or never began */
static void settle_leftovers(Broker *broker, Group *group) {
        const Device *device;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->origin && device->origin->lease[0] && device->origin->step == ORIGIN_BOUND &&
                    !device->moving && !device->due && !lease_find(&broker->leases, device->origin->lease))
                        settle_for(broker, device);
}

/* Of a PF on its own driver there may be no group. */
static void resume_functions(Broker *broker) {
        BindingSpec spec = { .goal = BINDING_GOAL_UNSET, .must = true, .blind = true, .uid = (uid_t) -1 };
        Device *device;

        TAILQ_FOREACH(device, &broker->devices.queue, all) {
                if (!device->origin || device->origin->step == ORIGIN_BOUND)
                        continue;
                if (device->origin->step != ORIGIN_SETTING &&
                    (device->group || !origin_is_of_functions(device->origin)))
                        continue;

                spec.goal = device->origin->step == ORIGIN_SETTING ? BINDING_GOAL_UNSET : BINDING_GOAL_RESTORE;
                log_not_started(broker_start_binding(broker, &spec, (const Device *const[]){ device }, 1, NULL, NULL));
        }
}

/* Whoever had asked has no answer and knows nothing, so what was half done is undone; a way back is gone to its end. */
void broker_resume_bindings(Broker *broker) {
        Group *group;

        forget_changed(broker);
        resume_functions(broker);
        TAILQ_FOREACH(group, &broker->groups.queue, all) {
                resume_under_way(broker, group);
                settle_leftovers(broker, group);
        }
}
