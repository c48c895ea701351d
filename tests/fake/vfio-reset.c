/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: reset */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "vfio-model.h"
#include "vfio-reset.h"
#include "vfio-state.h"

#define HITS_MAX 64

typedef struct Hits {
        char addresses[HITS_MAX][32];
        unsigned groups[HITS_MAX];
        bool vfio[HITS_MAX];
        unsigned n;
} Hits;

static bool is_address(const char *name) {
        return strlen(name) == 12 && name[4] == ':' && name[7] == ':' && name[10] == '.';
}

/* -EPERM: in no group. */
static int hits_add(Hits *hits, const char *address) {
        char path[PATH_MAX], target[PATH_MAX];
        ssize_t n;

        if (hits->n == HITS_MAX)
                return -ENOSPC;
        state_path(path, "sys/bus/pci/devices/%s/iommu_group", address);
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                return -EPERM;
        target[n] = '\0';
        hits->groups[hits->n] = strtoul(strrchr(target, '/') + 1, NULL, 10);
        state_path(path, "sys/bus/pci/devices/%s/vfio-dev", address);
        hits->vfio[hits->n] = path_exists(path);
        snprintf(hits->addresses[hits->n++], sizeof(hits->addresses[0]), "%.31s", address);
        return 0;
}

/* -ENODEV: it is on a root bus. */
static int hits_find(Hits *hits, const char *address) {
        char path[PATH_MAX], target[PATH_MAX], *parent;
        struct dirent *entry;
        ssize_t n;
        DIR *dir;
        int r = 0;

        hits->n = 0;
        state_path(path, "sys/bus/pci/devices/%s", address);
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                return -ENODEV;
        target[n] = '\0';
        *strrchr(target, '/') = '\0';
        parent = strrchr(target, '/') + 1;
        if (!is_address(parent))
                return -ENODEV;

        state_path(path, "sys/bus/pci/devices/%s", parent);
        dir = opendir(path);
        while (dir && r == 0 && (entry = readdir(dir)))
                if (is_address(entry->d_name))
                        r = hits_add(hits, entry->d_name);
        if (dir)
                closedir(dir);
        return r;
}

int reset_get_bus_info(const Object *object, void *argument) {
        struct vfio_pci_hot_reset_info *info = argument;
        Hits hits;
        int r;

        if (info->argsz < sizeof(*info))
                return -EINVAL;
        r = hits_find(&hits, object->name);
        if (r < 0)
                return r;

        info->flags = 0;
        info->count = hits.n;
        if (info->argsz < sizeof(*info) + hits.n * sizeof(info->devices[0]))
                return -ENOSPC;
        for (unsigned i = 0; i < hits.n; i++) {
                unsigned segment, bus, slot, function;

                sscanf(hits.addresses[i], "%x:%x:%x.%x", &segment, &bus, &slot, &function);
                info->devices[i] = (struct vfio_pci_dependent_device){
                        .group_id = hits.groups[i],
                        .segment = segment,
                        .bus = bus,
                        .devfn = slot << 3 | function,
                };
        }
        return 0;
}

static bool has_group(const struct vfio_pci_hot_reset *reset, unsigned number) {
        char name[16];
        Object group;

        snprintf(name, sizeof(name), "%u", number);
        for (unsigned i = 0; i < reset->count; i++)
                if (object_identify(reset->group_fds[i], &group) && strcmp(group.name, name) == 0)
                        return true;
        return false;
}

static bool has_fault(const char *address, const char *fault) {
        char path[PATH_MAX];

        state_path(path, "fail/%s/%s", address, fault);
        return path_exists(path);
}

/* What the device answers from now on, unless all is well. */
static void spoil_header(const char *address) {
        uint8_t header[PCI_STD_HEADER_SIZEOF];
        _cleanup_(closep) int fd = -EBADF;
        char path[PATH_MAX];

        state_path(path, "sys/bus/pci/devices/%s/config", address);
        fd = state_open(path, O_RDWR);
        if (fd < 0 || pread(fd, header, sizeof(header), 0) != sizeof(header))
                return;
        if (has_fault(address, "silent-after-reset"))
                memset(header, 0xff, sizeof(header));
        if (has_fault(address, "other-after-reset"))
                header[PCI_DEVICE_ID] ^= 1;
        if (has_fault(address, "master-after-reset"))
                header[PCI_COMMAND] |= PCI_COMMAND_MASTER;
        if (has_fault(address, "bars-after-reset"))
                memset(header + PCI_BASE_ADDRESS_0, 0, 4);
        if (pwrite(fd, header, sizeof(header), 0) != sizeof(header))
                abort();
}

static void hit(const char *address) {
        static const char zeroes[REGISTERS_SIZE];
        _cleanup_(closep) int fd = -EBADF;
        char path[PATH_MAX], name[96], text[STATE_MAX];

        state_path(path, "fake/device-%s", address);
        fd = state_open(path, O_RDWR);
        if (fd >= 0 && pwrite(fd, zeroes, sizeof(zeroes), 0) < 0)
                abort();
        spoil_header(address);

        snprintf(name, sizeof(name), "bus-resets-%s", address);
        state_read(name, text);
        snprintf(text, sizeof(text), "%lu\n", strtoul(text, NULL, 10) + 1);
        state_write(name, text);
}

int reset_bus(const Object *object, void *argument) {
        const struct vfio_pci_hot_reset *reset = argument;
        Object group;
        Hits hits;
        int r;

        if (reset->argsz < sizeof(*reset) || reset->flags != 0)
                return -EINVAL;
        r = hits_find(&hits, object->name);
        if (r < 0)
                return r;

        if (reset->count == 0 || reset->count > hits.n)
                return -EINVAL;
        for (unsigned i = 0; i < reset->count; i++)
                if (!object_identify(reset->group_fds[i], &group) || group.kind != KIND_GROUP)
                        return -EINVAL;
        for (unsigned i = 0; i < hits.n; i++)
                if (!hits.vfio[i] || !has_group(reset, hits.groups[i]))
                        return -EINVAL;

        for (unsigned i = 0; i < hits.n; i++)
                hit(hits.addresses[i]);
        return 0;
}
