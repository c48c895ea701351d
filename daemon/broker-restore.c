/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: what an earlier daemon has left
 *
 * Its leases are in the journal, their groups and containers in systemd's fd store. The kernel decides: a lease
 * that was active goes on if somebody can still be using it, everything else goes the one way out of
 * broker-end.c, whatever step of it had been reached. A descriptor that no record explains is a group that
 * somebody unknown may still use, so it is reserved until the kernel says that nobody does.
 */

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "broker-drivers.h"
#include "core/journal.h"
#include "core/record.h"
#include "kernel/fdstore.h"
#include "log.h"

typedef struct Restore {
        Broker *broker;
        Fdstore store;
} Restore;

static void log_restored(const Lease *lease, const char *text) {
        char devices[BROKER_LEASE_IDS_MAX];

        broker_lease_ids(lease, devices, sizeof(devices));
        broker_log_lease(lease, &(LogEvent){ .id = LOG_ID_RESTORED, .priority = LOG_NOTICE },
                         "Lease %s of uid %u, %s, %s", lease->id, (unsigned) lease->user->uid, devices, text);
}

static const char *why_unreadable(int r) {
        switch (r) {
        case -EBADMSG:
                return "it is damaged";
        case -EPROTONOSUPPORT:
                return "a later version has written it";
        case -EBUSY:
                return "another lease has its group";
        default:
                return strerror(-r);
        }
}

static void log_lost(const char *name, int r) {
        log_event(&(LogEvent){ .id = LOG_ID_STATE, .priority = LOG_ERR },
                  "The record %s is not used, %s; what the kernel says is busy stays reserved", name,
                  why_unreadable(r));
}

/* While there was no daemon another one may have come to its address. */
static bool device_is_instance(const Device *device, uint64_t instance) {
        return device && (instance == 0 || device->facts.instance == instance);
}

/* The device that the record means, if it is still there and in that group. */
static bool device_is_recorded(const Device *device, const RecordDevice *recorded) {
        return !recorded->gone && device_is_instance(device, recorded->instance) && device->facts.vfio_driver &&
               device->group && device->group->number == recorded->group;
}

static int restore_devices(Broker *broker, Lease *lease, const LeaseRecord *record) {
        for (unsigned i = 0; i < record->n_devices; i++) {
                const RecordDevice *recorded = &record->devices[i];
                Device *device = device_find(&broker->devices, recorded->id);
                Group *group;
                int r;

                r = group_get(&group, &broker->groups, recorded->group);
                if (r < 0)
                        return r;
                if (group->lease && group->lease != lease)
                        return -EBUSY;

                if (device_is_recorded(device, recorded)) {
                        lease_add_device(lease, device, recorded->token);
                        lease->devices[lease->n_devices - 1].token_made = recorded->token_made;
                        continue;
                }

                lease_add_gone(lease, recorded->id, group);
                if (!recorded->gone && device_is_instance(device, recorded->instance))
                        broker_judge_lost(broker, lease, device); /* taken from its driver while nobody looked */
        }
        return 0;
}

/* What was being mapped or taken back may be there or not; it is taken back as if it were. */
static int restore_mappings(Lease *lease, const LeaseRecord *record) {
        for (unsigned i = 0; i < record->n_mappings; i++) {
                const RecordRange *range = &record->mappings[i];
                int r;

                r = lease_add_mapping(lease, range->iova, range->size, UINT_MAX, UINT64_MAX);
                if (r != 0)
                        return r < 0 ? r : -EBADMSG;
                mappings_set_state(&lease->mappings, mappings_find(&lease->mappings, range->iova, range->size),
                                   MAPPING_THERE);
        }
        return 0;
}

static void restore_descriptors(Restore *restore, Lease *lease) {
        char name[FDSTORE_NAME_MAX];

        fdstore_name_container(name, lease->id);
        lease->container_fd = fdstore_take(&restore->store, name);
        for (unsigned i = 0; i < lease->n_groups; i++) {
                fdstore_name_group(name, lease->groups[i]->number, lease->id);
                lease->group_fds[i] = fdstore_take(&restore->store, name);
        }
}

static int restore_user(Broker *broker, uid_t uid, User **ret) {
        int r;

        r = user_get(ret, &broker->users, uid);
        /* What they have they have, whatever the limit is by now. */
        return r < 0 ? r : user_charge(*ret, UINT_MAX);
}

static int restore_facts(Lease *lease, const LeaseRecord *record) {
        lease->mode = record->mode;
        lease->bond = record->bond;
        lease->reset = record->reset;
        lease->one_time = record->one_time;
        lease->restore = record->restore;
        lease->pid = record->pid;
        lease->created_usec = record->created_usec;
        lease->model = record->model;
        lease->n_handed_out = record->n_handed_out;
        lease->n_hands = record->n_hands;
        lease->announced = true;
        lease->sender = strdup(record->sender ?: "");
        lease->unit = record->unit ? strdup(record->unit) : NULL;
        lease->invocation = record->invocation ? strdup(record->invocation) : NULL;
        if (!lease->sender || (record->unit && !lease->unit) || (record->invocation && !lease->invocation))
                return -ENOMEM;

        return lease_set_label(lease, record->label ?: "");
}

static int restore_lease_new(Restore *restore, LeaseRecord *record, Lease **ret) {
        _cleanup_(lease_freep) Lease *lease = NULL;
        Broker *broker = restore->broker;
        User *user;
        int r;

        r = restore_user(broker, record->uid, &user);
        if (r < 0)
                return r;
        r = lease_new(&lease, &broker->leases, user, record->n_devices, record->id);
        if (r < 0) {
                user_discharge(user);
                return r;
        }

        r = restore_facts(lease, record);
        if (r >= 0)
                r = restore_devices(broker, lease, record);
        if (r >= 0)
                r = restore_mappings(lease, record);
        if (r < 0)
                return r;

        lease->revocation = TAKE_PTR(record->revocation);
        if (lease->revocation) {
                r = broker_resume_revocation(broker, lease);
                if (r < 0)
                        return r;
        }

        restore_descriptors(restore, lease);
        *ret = TAKE_PTR(lease);
        return 0;
}

static bool lease_has_groups(const Lease *lease) {
        for (unsigned i = 0; i < lease->n_groups; i++)
                if (lease->group_fds[i] < 0)
                        return false;

        return lease->container_fd >= 0;
}

/* Nobody had a device open, so the kernel dissolved the container with the last daemon's descriptors. */
static void probe_on_done(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        Task *task = userdata;
        Broker *broker = task->broker;
        Lease *lease = task->lease;
        const VfioResult *result = data;

        task->job = NULL;
        task_free(task);

        if (r >= 0 && result->step == VFIO_STEP_NONE && !lease_is_over(lease)) {
                log_restored(lease, "ends: its container has not outlived the last daemon");
                broker_end_lease(broker, lease, LEASE_END_FAILED);
        } else if (lease_is_over(lease)) {
                broker_continue_end(broker, lease);
        }
}

/* The descriptors are lost: not kept by systemd, or it was no restart but a stop. Is anybody there? */
static int broker_probe_lease(Broker *broker, Lease *lease) {
        _cleanup_(task_freep) Task *task = NULL;
        int r;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;

        task_plan_store(task); /* those that are kept still are in the way of the question */
        task->plan.n_groups = lease->n_groups;
        for (unsigned i = 0; i < lease->n_groups; i++)
                task->plan.groups[i] = lease->groups[i]->number;

        r = task_start(task, vfio_detach, probe_on_done, NULL, 0);
        if (r < 0)
                return r;

        TAKE_PTR(task);
        return 0;
}

/* Without its descriptors the container is nobody's to hand out again, and groups are only opened to ask. */
static void lease_drop_descriptors(Lease *lease) {
        lease_close_groups(lease);
        closep(&lease->container_fd);
        lease->container_fd = -EBADF;
}

static void resume_active(Broker *broker, Lease *lease, const LeaseRecord *record, int pidfd) {
        int r;

        lease_advance(lease, LEASE_ACTIVE);
        if (lease->revocation)
                lease_advance(lease, LEASE_REVOKING);
        r = broker_tie_again(broker, lease, pidfd);
        if (r < 0) {
                log_restored(lease, "ends: what it hung on is lost");
                broker_end_lease(broker, lease, LEASE_END_FAILED);
                return;
        }

        r = broker_resume_limit(broker, lease, record->duration_usec, record->until_usec);
        if (r < 0)
                log_lost(lease->id, r);
        if (lease_n_present(lease) == 0) {
                log_restored(lease, "ends: its devices have gone");
                broker_end_lease(broker, lease, LEASE_END_REMOVED);
                return;
        }
        if (lease_has_groups(lease)) {
                log_restored(lease, "goes on");
                return;
        }

        lease_drop_descriptors(lease);
        log_restored(lease, "goes on; its descriptors are lost here, so no further ones can be had");
        r = broker_probe_lease(broker, lease);
        if (r < 0)
                log_lost(lease->id, r);
}

/* Whatever step of the way out the last daemon had come to, the first is right: what was done is done in no time. */
static void resume_end(Broker *broker, Lease *lease, LeaseEnd end) {
        lease->end = end == LEASE_END_NONE ? LEASE_END_FAILED : end;
        lease_advance(lease, LEASE_LINGERING);
        log_restored(lease, "is over, and goes on ending");
        if (lease->mode == LEASE_MODE_LEGACY_RAW)
                lease_close_groups(lease);
        broker_note_lease(broker, lease);
        broker_continue_end(broker, lease);
}

static int restore_process(Restore *restore, const Lease *lease) {
        char name[FDSTORE_NAME_MAX];

        fdstore_name_process(name, lease->id);
        return fdstore_take(&restore->store, name);
}

static void restore_lease(const char *name, void *userdata) {
        _cleanup_(closep) int pidfd = -EBADF;
        Restore *restore = userdata;
        Broker *broker = restore->broker;
        _cleanup_(freep) char *text = NULL;
        LeaseRecord record = {};
        Lease *lease;
        int r;

        r = journal_read(broker->journal, name, &text);
        if (r >= 0)
                r = record_read_lease(text, &record);
        if (r >= 0 && strcmp(name + strlen(RECORD_LEASE_PREFIX), record.id) != 0)
                r = -EBADMSG;
        if (r >= 0)
                r = restore_lease_new(restore, &record, &lease);
        if (r >= 0)
                pidfd = restore_process(restore, lease); /* of one that is over, too: it is known then */
        if (r < 0) {
                log_lost(name, r);
                journal_remove(broker->journal, name);
        } else if (record.state == LEASE_ACTIVE || record.state == LEASE_REVOKING) {
                resume_active(broker, lease, &record, pidfd);
        } else {
                resume_end(broker, lease, record.end);
        }
        lease_record_done(&record);
}

static bool device_is_that_of(const Device *device, const DeviceRecord *record) {
        return device_is_instance(device, record->instance) &&
               (!record->modalias[0] || strcmp(device->facts.modalias, record->modalias) == 0);
}

static void restore_device(const char *name, void *userdata) {
        Restore *restore = userdata;
        Broker *broker = restore->broker;
        Device *device = device_find(&broker->devices, name + strlen(RECORD_DEVICE_PREFIX));
        _cleanup_(freep) char *text = NULL;
        DeviceRecord record = {};
        int r;

        r = journal_read(broker->journal, name, &text);
        if (r >= 0)
                r = record_read_device(text, &record);
        if (r < 0) {
                log_lost(name, r);
                /* It had a record, so something was wrong with it: nobody gets it before somebody has looked. */
                if (device && device_set_quarantine(device, "the record of its state was damaged") >= 0)
                        broker_note_device(broker, device);
                else
                        journal_remove(broker->journal, name);
                return;
        }

        if (!device_is_that_of(device, &record)) {
                journal_remove(broker->journal, name);
        } else {
                device->quarantine = TAKE_PTR(record.quarantine);
                device->hooks_due = record.hooks_due;
                device->unclean = record.unclean;
                device->reset_works = record.reset_works;
                device->reset_fails = record.reset_fails;
                device->bus_works = record.bus_works;
                strcpy(device->bus_reset, record.bus_reset);
                device->last_uid = record.last_uid;
                serial_give_back(&record.serial, device);
                strcpy(device->vf_token, record.vf_token);
                device->origin = record.has_origin ? malloc(sizeof(*device->origin)) : NULL;
                if (device->origin)
                        *device->origin = record.origin;
                broker_doubt_device(device);
                device->record = TAKE_PTR(text);
        }
        device_record_done(&record);
}

static void record_add_group(LeaseRecord *record, const Group *group) {
        const Device *device;

        TAILQ_FOREACH(device, &group->devices, siblings)
                if (device->facts.vfio_driver && record->n_devices < LEASE_DEVICES_MAX) {
                        strcpy(record->devices[record->n_devices].id, device_id(device));
                        record->devices[record->n_devices++].group = group->number;
                }
}

/* All groups of one lease: as one, since that is how they are tied to the container. */
static void record_of_leftovers(Restore *restore, const char *id, LeaseRecord *ret) {
        /* Its holder may have the groups, too: to ask whether anybody has one open is right for every mode. */
        LeaseRecord record = { .mode = LEASE_MODE_LEGACY_RAW, .uid = (uid_t) -1 };

        strcpy(record.id, id);
        for (size_t i = 0; i < restore->store.n; i++) {
                const StoredFd *stored = &restore->store.items[i];
                const char *lease;
                unsigned number;
                Group *group;

                if (stored->fd < 0 || fdstore_parse_group(stored->name, &number, &lease) < 0 || strcmp(lease, id) != 0)
                        continue;
                group = group_find(&restore->broker->groups, number);
                if (group && !group->lease)
                        record_add_group(&record, group);
        }

        *ret = record;
}

/* Groups in the fd store that no record explains: somebody may have their devices. */
static int restore_unknown(Restore *restore, const char *id) {
        LeaseRecord record;
        Lease *lease;
        int r;

        if (strlen(id) >= sizeof(record.id))
                return -ENOENT;
        record_of_leftovers(restore, id, &record);
        if (record.n_devices == 0)
                return -ENOENT;

        r = restore_lease_new(restore, &record, &lease);
        if (r < 0)
                return r;

        resume_end(restore->broker, lease, LEASE_END_FAILED);
        return 0;
}

static void restore_leftovers(Restore *restore) {
        for (size_t i = 0; i < restore->store.n; i++) {
                const StoredFd *stored = &restore->store.items[i];
                const char *lease;
                unsigned group;

                if (stored->fd >= 0 && fdstore_parse_group(stored->name, &group, &lease) == 0)
                        (void) restore_unknown(restore, lease);
        }

        for (size_t i = 0; i < restore->store.n; i++) {
                const StoredFd *stored = &restore->store.items[i];

                if (stored->fd < 0)
                        continue;
                log_event(&(LogEvent){ .id = LOG_ID_STATE, .priority = LOG_WARNING },
                          "The descriptor \"%s\" belongs to no lease, and is let go", stored->name);
                fdstore_remove(stored->name);
        }
}

/* Of a lease that is no more, or of a holder who has handed it over */
static void tidy_lifeline(const char *name, void *userdata) {
        Broker *broker = userdata;
        char id[LEASE_ID_MAX], expected[JOURNAL_NAME_MAX] = "";
        const Lease *lease;

        snprintf(id, sizeof(id), "%.*s", (int) strcspn(name + strlen(RECORD_LIFELINE_PREFIX), "."),
                 name + strlen(RECORD_LIFELINE_PREFIX));
        lease = lease_find(&broker->leases, id);
        if (lease)
                broker_lifeline_name(lease, expected);
        if (strcmp(name, expected) != 0)
                journal_remove(broker->journal, name);
}

int broker_restore(Broker *broker) {
        Restore restore = { .broker = broker };
        int r, q;

        /* Without its descriptors a lease is still a lease. */
        q = fdstore_receive(&restore.store);

        r = journal_list(broker->journal, RECORD_DEVICE_PREFIX, restore_device, &restore);
        if (r >= 0)
                r = journal_list(broker->journal, RECORD_LEASE_PREFIX, restore_lease, &restore);
        restore_leftovers(&restore);
        if (r >= 0)
                r = journal_list(broker->journal, RECORD_LIFELINE_PREFIX, tidy_lifeline, broker);

        broker_resume_bindings(broker);

        fdstore_done(&restore.store);
        return q < 0 ? q : r;
}
