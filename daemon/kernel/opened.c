/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opened */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "opened.h"
#include "sysfs.h"

static bool group_is_open(const OpenedPlan *plan, const OpenedDevice *device) {
        _cleanup_(closep) int fd = -EBADF;
        char path[32];

        snprintf(path, sizeof(path), "vfio/%s%u", device->noiommu ? "noiommu-" : "", device->group);
        fd = openat(plan->dev, path, O_RDWR | O_CLOEXEC);
        return fd < 0 && errno == EBUSY;
}

int opened_in_use(int sysfs, const char *address) {
        char path[96], text[32];
        int r;

        snprintf(path, sizeof(path), "bus/pci/devices/%s/enable", address);
        r = sysfs_read(sysfs, path, text, sizeof(text));
        return r < 0 ? r : strcmp(text, "0") != 0;
}

static bool was_looked_at(const OpenedPlan *plan, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (plan->devices[i].group == plan->devices[n].group)
                        return true;
        return false;
}

static void look_at_devices(const OpenedPlan *plan, uint32_t group, OpenedResult *result) {
        for (unsigned i = 0; i < plan->n && !result->in_use; i++)
                if (plan->devices[i].group == group && plan->devices[i].address[0] &&
                    opened_in_use(plan->sys, plan->devices[i].address) > 0) {
                        result->device = plan->devices[i];
                        result->in_use = true;
                }
}

void opened_find(const void *data, void *result_data, int *fds, size_t *n_fds) {
        OpenedResult *result = result_data;
        const OpenedPlan *plan = data;

        for (unsigned i = 0; i < plan->n && !result->in_use; i++) {
                if (was_looked_at(plan, i) || !group_is_open(plan, &plan->devices[i]))
                        continue;
                result->busy = true;
                result->device = plan->devices[i];
                look_at_devices(plan, plan->devices[i].group, result);
        }
}
