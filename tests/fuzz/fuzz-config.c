/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define SD_JOURNAL_SUPPRESS_LOCATION

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "config.h"
#include "core/lease.h"
#include "fuzz.h"

/* Ours comes before the library's: what is said about the input is looked at, too. */
int sd_journal_sendv(const struct iovec *iov, int n) {
        must(n >= 2);
        for (int i = 0; i < n; i++)
                must(iov[i].iov_len > 0 && memchr(iov[i].iov_base, '=', iov[i].iov_len));
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const Config untouched = { 1, 2, 3 };
        Config config = untouched;
        char path[64];
        int fd, r;

        setenv("JOURNAL_STREAM", "1:2", 1);
        fd = memfd_create("config", MFD_CLOEXEC);
        must(fd >= 0);
        must(write(fd, data, size) == (ssize_t) size);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

        r = config_load(&config, path);
        must(r == 0 || r == -EINVAL);
        if (r < 0)
                must(memcmp(&config, &untouched, sizeof(config)) == 0);
        else
                must(config.leases_max >= 1 && config.leases_max <= 100000 && config.leases_per_user_max <= 100000 &&
                     config.devices_per_lease_max >= 1 && config.devices_per_lease_max <= LEASE_DEVICES_MAX);

        close(fd);
        return 0;
}
