/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <string.h>

#include "core/journal.h"
#include "core/record.h"
#include "fuzz.h"

static void check_lease(const char *text) {
        LeaseRecord record;
        int r;

        r = record_read_lease(text, &record);
        must(r == 0 || r == -EBADMSG);
        if (r < 0)
                return;

        must(strncmp(record.id, "l-", 2) == 0 && !strchr(record.id, '/'));
        must(record.state < _LEASE_STATE_MAX && record.mode < _LEASE_MODE_MAX && record.end < _LEASE_END_MAX);
        must(record.n_devices > 0 && record.n_devices <= LEASE_DEVICES_MAX);
        must(record.sender && record.label);
        for (unsigned i = 0; i < record.n_devices; i++)
                must(record.devices[i].id[0] && !strchr(record.devices[i].id, '/'));
        lease_record_done(&record);
}

static void check_device(const char *text) {
        DeviceRecord record;
        int r;

        r = record_read_device(text, &record);
        must(r == 0 || r == -EBADMSG);
        if (r == 0)
                device_record_done(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *copy = malloc(size + 1), *text;

        must(copy);
        memcpy(copy, data, size);
        copy[size] = '\0';
        check_lease(copy);
        check_device(copy);

        /* Last, since it cuts the seal off. */
        if (journal_unseal(copy, size, &text) == 0)
                must(text > copy && text <= copy + size);
        free(copy);
        return 0;
}
