/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: what is written down, so that the next daemon knows it */

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "broker-internal.h"
#include "core/journal.h"
#include "core/record.h"
#include "kernel/fdstore.h"
#include "log.h"

int broker_keep_state(Broker *broker, const char *directory) {
        return journal_new(&broker->journal, directory);
}

static void name_of_lease(const Lease *lease, const char *prefix, char ret[JOURNAL_NAME_MAX]) {
        snprintf(ret, JOURNAL_NAME_MAX, "%s%s", prefix, lease->id);
}

static void name_of_device(const Device *device, char ret[JOURNAL_NAME_MAX]) {
        snprintf(ret, JOURNAL_NAME_MAX, RECORD_DEVICE_PREFIX "%s", device_id(device));
}

void broker_lifeline_name(const Lease *lease, char ret[JOURNAL_NAME_MAX]) {
        if (lease->n_hands == 0)
                name_of_lease(lease, RECORD_LIFELINE_PREFIX, ret);
        else
                snprintf(ret, JOURNAL_NAME_MAX, RECORD_LIFELINE_PREFIX "%s.%u", lease->id, lease->n_hands);
}

int broker_record_lease(Broker *broker, const Lease *lease) {
        _cleanup_(freep) char *text = NULL;
        char name[JOURNAL_NAME_MAX];
        int r;

        if (!broker->journal)
                return 0;

        r = record_of_lease(lease, &text);
        if (r < 0)
                return r;

        name_of_lease(lease, RECORD_LEASE_PREFIX, name);
        return journal_write(broker->journal, name, text);
}

void broker_note_lease(Broker *broker, const Lease *lease) {
        int r;

        r = broker_record_lease(broker, lease);
        if (r < 0)
                log_event(&(LogEvent){ .id = LOG_ID_STATE, .priority = LOG_ERR, .lease = lease->id },
                          "Cannot write down that lease %s is %s, a restart would find it as it was before: %s",
                          lease->id, lease_state_name(lease->state), strerror(-r));
}

void broker_forget_lease(Broker *broker, const Lease *lease) {
        char stored[FDSTORE_NAME_MAX], kept[JOURNAL_NAME_MAX];

        /* Who has come through the reset gate has nothing there any more, see reset_gate(), unless its child was
         * killed. Without a journal nothing is put there, but an earlier daemon may have done so. */
        if (lease->state != LEASE_CLEANING || lease->n_gate_deaths > 0) {
                fdstore_name_container(stored, lease->id);
                fdstore_remove(stored);
                for (unsigned i = 0; i < lease->n_groups; i++) {
                        fdstore_name_group(stored, lease->groups[i]->number, lease->id);
                        fdstore_remove(stored);
                }
        }

        if (lease->bond == LEASE_BOND_PIDFD) {
                fdstore_name_process(stored, lease->id);
                fdstore_remove(stored);
        }

        broker_lifeline_name(lease, kept);
        journal_remove(broker->journal, kept);
        name_of_lease(lease, RECORD_LEASE_PREFIX, kept);
        journal_remove(broker->journal, kept);
}

static bool texts_equal(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

int broker_record_device(Broker *broker, Device *device) {
        _cleanup_(freep) char *text = NULL;
        char name[JOURNAL_NAME_MAX];
        int r;

        if (!broker->journal)
                return 0;

        name_of_device(device, name);
        r = record_of_device(device, &text);
        if (r >= 0 && texts_equal(text, device->record))
                return 0;
        if (r >= 0 && text)
                r = journal_write(broker->journal, name, text);
        else if (r >= 0)
                journal_remove(broker->journal, name);
        if (r < 0)
                return r;

        free(device->record);
        device->record = TAKE_PTR(text);
        return 0;
}

void broker_note_device(Broker *broker, Device *device) {
        int r;

        r = broker_record_device(broker, device);
        if (r < 0)
                log_event(&(LogEvent){ .id = LOG_ID_STATE, .priority = LOG_ERR, .device = device_id(device) },
                          "Cannot write down the state of %s, a restart would find it as it was before: %s",
                          device_id(device), strerror(-r));
}

void broker_forget_device(Broker *broker, const Device *device) {
        char name[JOURNAL_NAME_MAX];

        if (!device->record)
                return;

        name_of_device(device, name);
        journal_remove(broker->journal, name);
}
