/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: the drivers of devices after a lease, and after an earlier daemon */

#include <string.h>
#include <syslog.h>

#include "broker-internal.h"
#include "broker-kind.h"
#include "log.h"

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

/* A PF's driver takes its VFs with it, and a container's what is in it. */
static bool have_leased_below(Broker *broker, const Device *const *devices, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (broker_has_leased_function(broker, devices[i], /* besides= */ NULL) ||
                    broker_leased_inside(devices[i])) {
                        log_line(LOG_NOTICE, "%s stays with VFIO, as a virtual function of it, or what is in it, is "
                                             "leased; vfio-broker restore %s brings it back",
                                 device_id(devices[i]), device_id(devices[i]));
                        return true;
                }
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
        BindingSpec spec = { .goal = BINDING_GOAL_RESTORE, .must = true, .uid = (uid_t) -1 };
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

void broker_settle_drivers(Broker *broker, Group *group, const char *lease) {
        BindingSpec spec = { .goal = BINDING_GOAL_RESTORE, .must = true, .uid = (uid_t) -1, .lease = lease };
        const Device *devices[BROKER_MOVES_MAX];
        OriginRestore restore;
        unsigned n;

        n = list_bound_for(group, lease, devices);
        if (n == 0)
                return;

        restore = devices[0]->origin->restore;
        if (restore == ORIGIN_KEEP || group_has_quarantine(group) || have_leased_below(broker, devices, n)) {
                for (unsigned i = 0; i < n; i++) {
                        devices[i]->origin->lease[0] = '\0';
                        broker_note_device(broker, (Device *) devices[i]);
                }
                return;
        }

        if (restore == ORIGIN_NONE)
                spec.goal = BINDING_GOAL_NONE;
        log_not_started(broker_start_binding(broker, &spec, devices, n, NULL, NULL));
}

/* Leases that ended with the last daemon, or never began */
static void settle_leftovers(Broker *broker, Group *group) {
        char lease[ORIGIN_LEASE_MAX] = "";
        const Device *device;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->origin && device->origin->lease[0] && device->origin->step == ORIGIN_BOUND &&
                    !lease_find(&broker->leases, device->origin->lease))
                        strcpy(lease, device->origin->lease);
        if (lease[0] && !group->lease)
                broker_settle_drivers(broker, group, lease);
}

/* Of a PF on its own driver there may be no group. */
static void resume_functions(Broker *broker) {
        BindingSpec spec = { .goal = BINDING_GOAL_UNSET, .must = true, .uid = (uid_t) -1 };
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
