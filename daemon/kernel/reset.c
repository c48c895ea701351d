/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reset */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "folder.h"
#include "reset.h"
#include "sysfs.h"
#include "vfio-internal.h"

#define BUS_TRIES      5
#define BUS_PAUSE_MSEC 50

typedef struct Gate {
        const VfioPlan *plan;
        VfioResult *result;
        int container;
        bool iommu_set;
        bool opened[VFIO_GROUPS_MAX]; /* here, so closed here */
        int groups[VFIO_GROUPS_MAX];  /* attached to @container; negative: gone */
        int waiting[VFIO_DEVICES_MAX]; /* open, since no reset of their own has worked; negative: not, or not yet */
} Gate;

/* A reset of a bus: what it hits, and the groups of that, whose descriptors the kernel wants to see. */
typedef struct Bus {
        unsigned n, n_groups, n_opened;
        struct vfio_pci_dependent_device hits[RESET_SCOPE_MAX];
        uint32_t numbers[VFIO_GROUPS_MAX];
        int groups[VFIO_GROUPS_MAX];
        int opened[VFIO_GROUPS_MAX]; /* those of them that were opened for it */
} Bus;

typedef uint8_t Header[PCI_STD_HEADER_SIZEOF]; /* of the configuration space, as the hardware has it */

static int scope_add_children(int sysfs, const char *bridge, ResetScope *scope) {
        _cleanup_(folder_closep) DIR *dir = NULL;
        struct dirent *entry;
        char path[64];
        int r;

        snprintf(path, sizeof(path), "bus/pci/devices/%s", bridge);
        r = folder_open(&dir, sysfs, path);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;

        while ((entry = readdir(dir))) {
                if (!pci_address_is_valid(entry->d_name))
                        continue;
                if (scope->n == RESET_SCOPE_MAX)
                        return -E2BIG;
                strcpy(scope->addresses[scope->n++], entry->d_name);
        }
        return 0;
}

static int compare_addresses(const void *a, const void *b) {
        return strcmp(a, b);
}

int reset_scope(int sysfs, const char *address, ResetScope *ret) {
        char path[512], *parent;
        int r;

        r = scan_pci_syspath(sysfs, address, path, sizeof(path));
        if (r < 0)
                return r;

        /* "/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.0" */
        *strrchr(path, '/') = '\0';
        parent = strrchr(path, '/') + 1;
        ret->n = 0;
        if (!pci_address_is_valid(parent))
                return 0; /* a root bus */

        r = scope_add_children(sysfs, parent, ret);
        for (unsigned i = 0; r == 0 && i < ret->n; i++) {
                snprintf(path, sizeof(path), "bus/pci/devices/%s/pci_bus", ret->addresses[i]);
                if (sysfs_exists(sysfs, path)) /* a bridge */
                        r = scope_add_children(sysfs, ret->addresses[i], ret);
        }

        qsort(ret->addresses, ret->n, sizeof(*ret->addresses), compare_addresses);
        return r;
}

/* A group whose last device has left VFIO has no node any more, and says ENODEV to those who still hold it. */
static bool is_gone(const VfioResult *probe) {
        if (probe->step == VFIO_STEP_GROUP)
                return probe->error == ENODEV || probe->error == ENOENT;
        return (probe->step == VFIO_STEP_STATUS || probe->step == VFIO_STEP_ATTACH) && probe->error == ENODEV;
}

static int gate_add_group(Gate *gate, unsigned i) {
        VfioResult probe = { 0 };
        int r, fd = gate->plan->group_fds[i];

        if (fd < 0) {
                r = vfio_open_group(gate->plan, &probe, i, &fd);
                if (r < 0)
                        return is_gone(&probe) ? 0 : vfio_fail(gate->result, probe.step, i, probe.error);
                gate->opened[i] = true;
        } else {
                /* A child that was killed in here has left it in a container that is nobody's. */
                (void) ioctl(fd, VFIO_GROUP_UNSET_CONTAINER);
        }

        r = vfio_attach_group(fd, gate->container, &probe, i);
        if (r < 0) {
                if (gate->opened[i])
                        close(fd);
                return is_gone(&probe) ? 0 : vfio_fail(gate->result, probe.step, i, probe.error);
        }
        gate->groups[i] = fd;

        if (gate->iommu_set)
                return 0;
        r = vfio_set_iommu(gate->container, gate->result, i);
        gate->iommu_set = r == 0;
        return r;
}

/* One after the other: the last close resets once more. What is not clean by then stays open for the next rung, which
 * saves it two resets of its bus: the kernel tries one, and says nothing, when the last device on it is closed. */
static int gate_reset_device(Gate *gate, unsigned i) {
        const VfioDevicePlan *device = &gate->plan->devices[i];
        _cleanup_(closep) int fd = -EBADF;
        int r;

        if (gate->groups[device->group] < 0 || device->closed)
                return 0;
        fd = vfio_open_device_quietly(gate->groups[device->group], device);
        if (fd == -ENODEV)
                return 0;
        if (fd < 0)
                return vfio_fail(gate->result, VFIO_STEP_DEVICE, i, -fd);

        r = vfio_check_device(gate->plan, fd, gate->result, i);
        if (r < 0)
                return r;
        if (gate->result->reset_works[i])
                gate->result->resets[i].how = VFIO_RESET_FUNCTION;
        else
                gate->waiting[i] = TAKE_FD(fd);
        return 0;
}

static int header_read(int sysfs, const char *address, Header ret) {
        _cleanup_(closep) int fd = -EBADF;
        char path[64];
        ssize_t n;

        /* VFIO answers for identity and BARs from a copy of its own; this is the device's word. */
        snprintf(path, sizeof(path), "bus/pci/devices/%s/config", address);
        fd = openat(sysfs, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = pread(fd, ret, sizeof(Header), 0);
        return n < 0 ? -errno : n < (ssize_t) sizeof(Header) ? -EIO : 0;
}

/* Not by the vendor: virtual functions have none. */
static bool header_is_silent(const Header header) {
        static const uint8_t silence[] = { 0xff, 0xff, 0xff, 0xff };

        return memcmp(header + PCI_CLASS_REVISION, silence, sizeof(silence)) == 0;
}

static VfioDefect header_compare(const Header before, const Header after) {
        if (header_is_silent(after))
                return VFIO_DEFECT_SILENT;
        if (after[PCI_COMMAND] & PCI_COMMAND_MASTER)
                return VFIO_DEFECT_MASTER;
        if (header_is_silent(before))
                return VFIO_DEFECT_NONE; /* then the reset has brought it back */
        if (memcmp(before + PCI_VENDOR_ID, after + PCI_VENDOR_ID, 4) != 0 ||
            memcmp(before + PCI_CLASS_REVISION, after + PCI_CLASS_REVISION, 4) != 0)
                return VFIO_DEFECT_OTHER;
        if (memcmp(before + PCI_BASE_ADDRESS_0, after + PCI_BASE_ADDRESS_0, 6 * 4) != 0)
                return VFIO_DEFECT_BARS;
        return VFIO_DEFECT_NONE;
}

static int bus_ask(Bus *bus, int device) {
        union {
                struct vfio_pci_hot_reset_info info;
                char bytes[sizeof(struct vfio_pci_hot_reset_info) + sizeof(bus->hits)];
        } answer = { .info.argsz = sizeof(answer) };

        if (ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &answer) < 0)
                return -errno;
        if (answer.info.flags != 0 || answer.info.count > RESET_SCOPE_MAX)
                return -EBADMSG; /* with a flag, what follows are no groups */

        bus->n = answer.info.count;
        memcpy(bus->hits, answer.bytes + sizeof(answer.info), bus->n * sizeof(*bus->hits));
        return 0;
}

/* The kernel lets one file of a group be open at a time, so what opens is in nobody's hands. */
static int bus_open_idle(Bus *bus, const VfioPlan *plan, uint32_t number) {
        char path[32];
        int fd;

        for (unsigned i = 0; i < plan->n_idle; i++) {
                if (plan->idle[i] != number)
                        continue;
                snprintf(path, sizeof(path), "vfio/%s%u", plan->noiommu ? "noiommu-" : "", number);
                fd = openat(plan->dev, path, O_RDWR | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
                bus->opened[bus->n_opened++] = fd;
                return fd;
        }
        return -EPERM;
}

static int bus_add_group(Bus *bus, const Gate *gate, uint32_t number) {
        int fd = -EBADF;

        for (unsigned i = 0; i < bus->n_groups; i++)
                if (bus->numbers[i] == number)
                        return 0;
        if (bus->n_groups == VFIO_GROUPS_MAX)
                return -E2BIG;

        for (unsigned i = 0; i < gate->plan->n_groups; i++)
                if (gate->plan->groups[i] == number)
                        fd = gate->groups[i];
        if (fd < 0)
                fd = bus_open_idle(bus, gate->plan, number);
        if (fd < 0)
                return fd;

        bus->numbers[bus->n_groups] = number;
        bus->groups[bus->n_groups++] = fd;
        return 0;
}

static bool bus_hits(const Bus *bus, const char *address) {
        char hit[PCI_ADDRESS_MAX];

        for (unsigned i = 0; i < bus->n; i++) {
                snprintf(hit, sizeof(hit), "%04x:%02x:%02x.%x", bus->hits[i].segment, bus->hits[i].bus,
                         bus->hits[i].devfn >> 3, bus->hits[i].devfn & 7);
                if (strcmp(hit, address) == 0)
                        return true;
        }
        return false;
}

static int bus_reset(const Bus *bus, int device) {
        union {
                struct vfio_pci_hot_reset reset;
                char bytes[sizeof(struct vfio_pci_hot_reset) + sizeof(bus->groups)];
        } request = { .reset = { .argsz = sizeof(request), .count = bus->n_groups } };

        memcpy(request.bytes + sizeof(request.reset), bus->groups, bus->n_groups * sizeof(*bus->groups));
        for (unsigned tries = 1;; tries++) {
                if (ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, &request) == 0)
                        return 0;
                /* Somebody has the lock of a device of the bus. */
                if ((errno != EAGAIN && errno != EBUSY) || tries == BUS_TRIES)
                        return -errno;
                vfio_pause_msec(BUS_PAUSE_MSEC);
        }
}

/* @r is what the reset has said. */
static VfioReset bus_judge(const Bus *bus, const Gate *gate, unsigned i, const Header before, int r) {
        VfioReset reset = { .how = VFIO_RESET_BUS, .scope = bus->n };
        Header after;

        if (r < 0) {
                reset.how = VFIO_RESET_FAILED;
                reset.error = -r;
        }

        /* One that has failed may have happened all the same. */
        if (header_read(gate->plan->sys, gate->plan->devices[i].address, after) < 0)
                reset.defect = VFIO_DEFECT_SILENT;
        else
                reset.defect = header_compare(before, after);
        if (reset.defect != VFIO_DEFECT_NONE)
                reset.how = VFIO_RESET_BROKEN;
        return reset;
}

/* All that wait for it are reset with the one at @i. */
static void bus_run(const Bus *bus, Gate *gate, unsigned i) {
        Header before[VFIO_DEVICES_MAX];
        bool hit[VFIO_DEVICES_MAX] = {};
        int r = 0;

        for (unsigned j = 0; r == 0 && j < gate->plan->n_devices; j++) {
                hit[j] = gate->waiting[j] >= 0 && bus_hits(bus, gate->plan->devices[j].address);
                if (hit[j])
                        r = header_read(gate->plan->sys, gate->plan->devices[j].address, before[j]);
        }
        if (r < 0) {
                gate->result->resets[i] = (VfioReset){ .how = VFIO_RESET_FAILED, .error = -r };
                return;
        }

        r = bus_reset(bus, gate->waiting[i]);
        if (r == -EINVAL)
                return; /* a device on it is on no VFIO driver: nothing has happened */
        for (unsigned j = 0; j < gate->plan->n_devices; j++)
                if (hit[j])
                        gate->result->resets[j] = bus_judge(bus, gate, j, before[j], r);
}

static void gate_reset_bus(Gate *gate, unsigned i) {
        Bus bus;
        int r;

        if (gate->waiting[i] < 0 || !gate->plan->devices[i].bus || gate->result->resets[i].how != VFIO_RESET_NONE)
                return;

        bus.n = bus.n_groups = bus.n_opened = 0;
        r = bus_ask(&bus, gate->waiting[i]);
        for (unsigned j = 0; r == 0 && j < bus.n; j++)
                r = bus_add_group(&bus, gate, bus.hits[j].group_id);
        if (r == 0)
                bus_run(&bus, gate, i);
        for (unsigned j = 0; j < bus.n_opened; j++)
                close(bus.opened[j]);
}

/* Also after a failure: the daemon's group must not stay in a container that nobody has. */
static void gate_end(Gate *gate) {
        for (unsigned i = 0; i < gate->plan->n_devices; i++)
                closep(&gate->waiting[i]);
        for (unsigned i = 0; i < gate->plan->n_groups; i++) {
                if (gate->groups[i] < 0)
                        continue;
                (void) vfio_detach_group(gate->groups[i], gate->result, i);
                if (gate->opened[i])
                        close(gate->groups[i]);
        }
        close(gate->container);
}

void reset_gate(const void *plan_data, void *result_data, int fds[JOB_FDS_MAX], size_t *n_fds) {
        Gate gate = { .plan = plan_data, .result = result_data };
        const VfioPlan *plan = plan_data;
        int r;

        vfio_check_plan(plan);

        r = vfio_open_container(plan, gate.result, &gate.container);
        if (r < 0) {
                vfio_unstore(plan);
                return;
        }

        for (unsigned i = 0; i < plan->n_groups; i++)
                gate.groups[i] = -EBADF;
        for (unsigned i = 0; i < plan->n_devices; i++)
                gate.waiting[i] = -EBADF;
        for (unsigned i = 0; r == 0 && i < plan->n_groups; i++)
                r = gate_add_group(&gate, i);
        for (unsigned i = 0; r == 0 && i < plan->n_devices; i++)
                r = gate_reset_device(&gate, i);
        for (unsigned i = 0; r == 0 && i < plan->n_devices; i++)
                gate_reset_bus(&gate, i);
        gate_end(&gate);
        vfio_unstore(plan);
}
