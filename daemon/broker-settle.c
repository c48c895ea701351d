/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: the drivers of devices after a lease, and after an earlier daemon */

#include <string.h>
#include <syslog.h>

#include "broker-internal.h"
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

/* A PF's driver takes its VFs with it. */
static bool has_leased_function(Broker *broker, const Device *const *devices, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (broker_has_leased_function(broker, devices[i], /* besides= */ NULL)) {
                        log_line(LOG_NOTICE, "%s stays with VFIO, as a virtual function of it is leased; vfio-broker "
                                             "restore %s brings it back",
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

static unsigned list_under_way(const Group *group, const Device *ret[BROKER_MOVES_MAX]) {
        const Device *device;
        unsigned n = 0;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->origin && device->origin->step != ORIGIN_BOUND && device->origin->step != ORIGIN_SETTING &&
                    n < BROKER_MOVES_MAX)
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

/* What the last daemon had begun. */
static void resume_under_way(Broker *broker, const Device *const *devices, unsigned n) {
        const Origin *first = devices[0]->origin;
        BindingSpec spec = {
                .goal = BINDING_GOAL_RESTORE,
                .must = true,
                .uid = (uid_t) -1,
                .lease = first->lease,
                .undo = first->step == ORIGIN_BINDING,
        };

        if (have_arrived(devices, n)) {
                for (unsigned i = 0; i < n; i++) {
                        devices[i]->origin->step = ORIGIN_BOUND;
                        broker_note_device(broker, (Device *) devices[i]);
                }
                return;
        }

        if (first->step == ORIGIN_RESTORING && first->lease[0] && first->restore == ORIGIN_NONE)
                spec.goal = BINDING_GOAL_NONE;
        log_not_started(broker_start_back(broker, &spec, devices, n, NULL, NULL));
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
        if (restore == ORIGIN_KEEP || group_has_quarantine(group) || has_leased_function(broker, devices, n)) {
                for (unsigned i = 0; i < n; i++) {
                        devices[i]->origin->lease[0] = '\0';
                        broker_note_device(broker, (Device *) devices[i]);
                }
                return;
        }

        if (restore == ORIGIN_NONE)
                spec.goal = BINDING_GOAL_NONE;
        log_not_started(broker_start_back(broker, &spec, devices, n, NULL, NULL));
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
                log_not_started(broker_start_back(broker, &spec, (const Device *const[]){ device }, 1, NULL, NULL));
        }
}

/* Whoever had asked has no answer and knows nothing, so what was half done is undone; a way back is gone to its end. */
void broker_resume_bindings(Broker *broker) {
        const Device *devices[BROKER_MOVES_MAX];
        Group *group;
        unsigned n;

        forget_changed(broker);
        resume_functions(broker);
        TAILQ_FOREACH(group, &broker->groups.queue, all) {
                n = list_under_way(group, devices);
                if (n > 0)
                        resume_under_way(broker, devices, n);
                settle_leftovers(broker, group);
        }
}
