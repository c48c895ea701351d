/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Record
 *
 * What the journal keeps of a lease and of a device, as text (JSON) and as a value. Reading checks everything:
 * a record that can be read is one that this program could have written. Keys that are not known are
 * passed over, since a later version may have added them; one that is missing has its default only where it says so
 * here.
 */

#include <stdbool.h>

#include "core/device.h"
#include "core/lease.h"
#include "core/origin.h"
#include "core/serial.h"

#define RECORD_LEASE_PREFIX    "lease-"
#define RECORD_DEVICE_PREFIX   "device-"
#define RECORD_LIFELINE_PREFIX "lifeline-"

typedef struct RecordDevice {
        char id[DEVICE_ID_MAX];
        char token[40];
        bool token_made;
        unsigned group; /* its number */
        uint64_t instance; /* which one at its address; 0: unknown */
        bool gone;      /* it has left the lease */
} RecordDevice;

typedef struct RecordRange {
        uint64_t iova, size;
} RecordRange;

typedef struct LeaseRecord {
        char id[LEASE_ID_MAX];
        LeaseState state;
        LeaseMode mode;
        LeaseBond bond;
        LeaseEnd end;
        ResetPolicy reset; /* not there: RESET_POLICY_UNSET */
        bool one_time;
        OriginRestore restore;
        uid_t uid;
        pid_t pid;
        char *sender, *label; /* ours; NULL is "" */
        char *unit, *invocation; /* likewise; of a lease that is bound to one */
        uint64_t created_usec;
        uint64_t duration_usec, until_usec; /* of CLOCK_BOOTTIME, as in the lease; not there: 0 */
        unsigned model, n_handed_out;
        unsigned n_hands; /* not there: 0 */
        RecordDevice devices[LEASE_DEVICES_MAX];
        unsigned n_devices;
        Revocation *revocation; /* ours; NULL: none, so its absence is no error */
        RecordRange *mappings; /* ours */
        unsigned n_mappings;
} LeaseRecord;

/* What a device has to be told apart by from one that is as it should be. */
typedef struct DeviceRecord {
        char modalias[128]; /* what it is: another one at its address has nothing to do with this; "": unknown */
        uint64_t instance;  /* and which one; 0: unknown */
        char *quarantine; /* ours; NULL: it is not */
        bool hooks_due, unclean, reset_works, reset_fails, bus_works;
        char bus_reset[DEVICE_RESET_MAX];
        uid_t last_uid;
        Serial serial; /* not there: none */
        char vf_token[40];
        bool has_origin;
        Origin origin; /* likewise */
} DeviceRecord;

/* -ENOMEM */
int record_of_lease(const Lease *lease, char **ret);
/* *@ret is NULL if there is nothing to keep. */
int record_of_device(const Device *device, char **ret);

/* -EBADMSG, -ENOMEM */
int record_read_lease(const char *text, LeaseRecord *ret);
int record_read_device(const char *text, DeviceRecord *ret);

void lease_record_done(LeaseRecord *record);
void device_record_done(DeviceRecord *record);
