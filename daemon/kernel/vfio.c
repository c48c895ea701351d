/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Vfio */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdstore.h"
#include "vfio-internal.h"

static const struct {
        unsigned model;
        const char *name;
} models[] = { /* the better first; the last one is only for what is without an IOMMU */
        { VFIO_TYPE1v2_IOMMU, "type1v2" },
        { VFIO_TYPE1_IOMMU, "type1" },
        { VFIO_NOIOMMU_IOMMU, "noiommu" },
};

#define N_MODELS (sizeof(models) / sizeof(models[0]))

/* linux/iommufd.h is younger than the headers that we build with */
typedef struct IommuIoasAlloc {
        uint32_t size, flags, out_ioas_id;
} IommuIoasAlloc;

#define IOMMU_IOAS_ALLOC_REQUEST _IO(';', 0x81)

#define GROUP_TRIES      11
#define GROUP_PAUSE_MSEC 10

#define DEVICE_TRIES      5
#define DEVICE_PAUSE_MSEC 20

const char *vfio_model_name(unsigned model) {
        for (size_t i = 0; i < N_MODELS; i++)
                if (models[i].model == model)
                        return models[i].name;
        return "";
}

/* Keeps the first failure: the ones after it are its consequences. */
int vfio_fail(VfioResult *result, VfioStep step, unsigned index, int error) {
        if (result->step == VFIO_STEP_NONE) {
                result->step = step;
                result->error = error;
                result->index = index;
        }
        return -error;
}

void vfio_pause_msec(long msec) {
        nanosleep(&(struct timespec){ .tv_nsec = msec * 1000000 }, NULL);
}

static void close_fds(int *fds, size_t *n_fds) {
        while (*n_fds > 0)
                close(fds[--*n_fds]);
}

void vfio_check_plan(const VfioPlan *plan) {
        assert(plan->n_groups <= VFIO_GROUPS_MAX);
        assert(plan->n_devices <= VFIO_DEVICES_MAX);
        assert(plan->n_pass <= plan->n_devices);
        for (unsigned i = 0; i < plan->n_devices; i++)
                assert(plan->devices[i].group < plan->n_groups);
}

/* Where CONFIG_IOMMUFD_VFIO_CONTAINER is on, /dev/vfio/vfio is an iommufd in disguise. It keeps no count of open
 * devices: UNSET_CONTAINER succeeds on a device in use, and a second opener of the group reads the first
 * one's registers. Only an iommufd knows this request. */
static int refuse_iommufd(int container) {
        IommuIoasAlloc alloc = { .size = sizeof(alloc) };

        if (ioctl(container, IOMMU_IOAS_ALLOC_REQUEST, &alloc) == 0)
                return -ENOTSUP;
        return errno == EINVAL || errno == ENOTTY ? 0 : -errno;
}

static int container_check(int container, bool noiommu, unsigned *ret_model) {
        int r;

        r = refuse_iommufd(container);
        if (r < 0)
                return r;
        r = ioctl(container, VFIO_GET_API_VERSION);
        if (r < 0)
                return -errno;
        if (r != VFIO_API_VERSION)
                return -EPROTONOSUPPORT;

        for (size_t i = 0; i < N_MODELS; i++) {
                if ((models[i].model == VFIO_NOIOMMU_IOMMU) != noiommu)
                        continue;
                r = ioctl(container, VFIO_CHECK_EXTENSION, models[i].model);
                if (r < 0)
                        return -errno;
                if (r > 0) {
                        *ret_model = models[i].model;
                        return 0;
                }
        }
        return -ENODEV; /* vfio_iommu_type1 is not loaded */
}

int vfio_open_container(const VfioPlan *plan, VfioResult *result, int *ret) {
        _cleanup_(closep) int fd = -EBADF;
        int r;

        fd = openat(plan->dev, "vfio/vfio", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return vfio_fail(result, VFIO_STEP_CONTAINER, 0, errno);
        r = container_check(fd, plan->noiommu, &result->model);
        if (r < 0)
                return vfio_fail(result, VFIO_STEP_CONTAINER, 0, -r);
        *ret = TAKE_FD(fd);
        return 0;
}

/* Opens /dev/vfio/N, or noiommu-N. The kernel allows one open file of a group at a time, and a job's child that was
 * just forked holds copies of all of the daemon's files until its close_range(): EBUSY for that moment is not
 * somebody's use, so it is asked again for about 100 ms. */
int vfio_open_group(const VfioPlan *plan, VfioResult *result, unsigned i, int *ret) {
        char path[32];
        int fd;

        snprintf(path, sizeof(path), "vfio/%s%u", plan->noiommu ? "noiommu-" : "", plan->groups[i]);
        for (unsigned tries = 1;; tries++) {
                fd = openat(plan->dev, path, O_RDWR | O_CLOEXEC);
                if (fd >= 0)
                        break;
                if (errno != EBUSY || tries == GROUP_TRIES)
                        return vfio_fail(result, VFIO_STEP_GROUP, i, errno);
                vfio_pause_msec(GROUP_PAUSE_MSEC);
        }
        *ret = fd;
        return 0;
}

int vfio_attach_group(int group, int container, VfioResult *result, unsigned i) {
        struct vfio_group_status status = { .argsz = sizeof(status) };

        if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0)
                return vfio_fail(result, VFIO_STEP_STATUS, i, errno);
        if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
                return vfio_fail(result, VFIO_STEP_STATUS, i, EPERM);
        if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0)
                return vfio_fail(result, VFIO_STEP_ATTACH, i, errno);
        return 0;
}

int vfio_set_iommu(int container, VfioResult *result, unsigned i) {
        if (ioctl(container, VFIO_SET_IOMMU, result->model) < 0)
                return vfio_fail(result, VFIO_STEP_IOMMU, i, errno);
        return 0;
}

int vfio_check_device(const VfioPlan *plan, int device, VfioResult *result, unsigned i) {
        struct vfio_device_info info = { .argsz = sizeof(info) };

        if (ioctl(device, VFIO_DEVICE_GET_INFO, &info) < 0)
                return vfio_fail(result, VFIO_STEP_INFO, i, errno);
        result->reset_works[i] = info.flags & VFIO_DEVICE_FLAGS_RESET;
        if (result->reset_works[i] && plan->devices[i].ask_reset)
                result->reset_works[i] = ioctl(device, VFIO_DEVICE_RESET) == 0;
        return 0;
}

static int open_by_name(int group, const VfioDevicePlan *device, bool with_token) {
        char name[sizeof(device->address) + sizeof(device->token) + sizeof(" vf_token=")];
        int fd;

        snprintf(name, sizeof(name), "%.*s%s%.*s", (int) sizeof(device->address) - 1, device->address + device->name,
                 with_token ? " vf_token=" : "", with_token ? (int) sizeof(device->token) - 1 : 0, device->token);

        for (unsigned tries = 1;; tries++) {
                fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
                if (fd >= 0)
                        return fd;
                /* Somebody else has the device's lock, for a reset or a read of its configuration. */
                if (errno != EAGAIN || tries == DEVICE_TRIES)
                        return -errno;
                vfio_pause_msec(DEVICE_PAUSE_MSEC);
        }
}

/* Without a word about a failure in @result, since for some callers it is none. */
int vfio_open_device_quietly(int group, const VfioDevicePlan *device) {
        int r;

        r = open_by_name(group, device, device->token[0]);
        /* It is no PF, and no VF of one on VFIO: the kernel takes a token for a mistake then. */
        return r == -EINVAL && device->made ? open_by_name(group, device, false) : r;
}

/* The kernel takes the token for the one in force, unless a VF is in use, as it looks the PF up by its name; and only
 * then sees that its group has no container, so that the PF is neither opened nor reset. Kernels before 6.0 look the
 * other way round: there it is @open, in a container of its own. */
static void set_token(const VfioPlan *plan, const VfioDevicePlan *device, bool open) {
        _cleanup_(closep) int container = -EBADF, group = -EBADF, fd = -EBADF;
        VfioPlan own = { .dev = plan->dev, .n_groups = 1, .groups = { device->guard_group } };
        VfioResult ignored = {};
        VfioDevicePlan pf = {};
        int r;

        memcpy(pf.address, device->guard, sizeof(pf.address));
        memcpy(pf.token, device->token, sizeof(pf.token));
        r = vfio_open_group(&own, &ignored, 0, &group);
        if (r == 0 && open)
                r = vfio_open_container(&own, &ignored, &container);
        if (r == 0 && open)
                r = vfio_attach_group(group, container, &ignored, 0);
        if (r == 0 && open)
                r = vfio_set_iommu(container, &ignored, 0);
        if (r == 0)
                fd = vfio_open_device_quietly(group, &pf);
}

static int open_guarded(const VfioPlan *plan, int group, const VfioDevicePlan *device) {
        int r;

        r = vfio_open_device_quietly(group, device);
        for (int open = 0; r == -EACCES && device->guard[0] && open < 2; open++) {
                set_token(plan, device, open);
                r = vfio_open_device_quietly(group, device);
        }
        return r;
}

static int device_open(const VfioPlan *plan, VfioResult *result, int group, unsigned i, int *ret) {
        _cleanup_(closep) int fd = -EBADF;
        int r;

        fd = open_guarded(plan, group, &plan->devices[i]);
        if (fd < 0)
                return vfio_fail(result, VFIO_STEP_DEVICE, i, -fd);
        r = vfio_check_device(plan, fd, result, i);
        if (r < 0)
                return r;
        *ret = TAKE_FD(fd);
        return 0;
}

/* The IOMMU comes after the first group, not after the last: an error then belongs to one group. */
static int open_container_and_groups(const VfioPlan *plan, VfioResult *result, int *fds, size_t *n_fds) {
        int *groups = fds + 1;
        int r;

        r = vfio_open_container(plan, result, &fds[0]);
        if (r < 0)
                return r;
        *n_fds = 1;

        for (unsigned i = 0; i < plan->n_groups; i++) {
                r = vfio_open_group(plan, result, i, &groups[i]);
                if (r < 0)
                        return r;
                ++*n_fds;
                r = vfio_attach_group(groups[i], fds[0], result, i);
                if (r < 0)
                        return r;
                if (i == 0)
                        r = vfio_set_iommu(fds[0], result, i);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* PFs, or what is none. */
static int open_some(const VfioPlan *plan, VfioResult *result, const int *groups, unsigned n, bool pfs, int *opened) {
        int fd = -EBADF, r;

        for (unsigned i = 0; i < n; i++) {
                if (plan->devices[i].pf != pfs)
                        continue;
                r = device_open(plan, result, groups[plan->devices[i].group], i, &fd);
                if (r < 0)
                        return r;
                if (i < plan->n_pass)
                        opened[i] = fd;
                else
                        close(fd);
        }
        return 0;
}

static int open_devices(const VfioPlan *plan, VfioResult *result, const int *groups, unsigned n, int *fds,
                        size_t *n_fds) {
        int opened[VFIO_DEVICES_MAX], r;

        for (unsigned i = 0; i < plan->n_pass; i++)
                opened[i] = -EBADF;
        r = open_some(plan, result, groups, n, /* pfs= */ true, opened);
        if (r == 0)
                r = open_some(plan, result, groups, n, /* pfs= */ false, opened);

        for (unsigned i = 0; i < plan->n_pass; i++)
                if (r == 0)
                        fds[(*n_fds)++] = opened[i];
                else
                        closep(&opened[i]);
        return r;
}

/* Before anybody is told of the lease: what the daemon's death would close has to be kept by then. */
static void store_groups(const VfioPlan *plan, const int *fds) {
        char name[FDSTORE_NAME_MAX];

        if (!plan->lease[0])
                return;

        fdstore_name_container(name, plan->lease);
        fdstore_add(name, fds[0]);
        for (unsigned i = 0; i < plan->n_groups; i++) {
                fdstore_name_group(name, plan->groups[i], plan->lease);
                fdstore_add(name, fds[1 + i]);
        }
        fdstore_barrier();
}

void vfio_unstore(const VfioPlan *plan) {
        char name[FDSTORE_NAME_MAX];

        if (!plan->lease[0])
                return;

        fdstore_name_container(name, plan->lease);
        fdstore_remove(name);
        for (unsigned i = 0; i < plan->n_groups; i++) {
                fdstore_name_group(name, plan->groups[i], plan->lease);
                fdstore_remove(name);
        }
        fdstore_barrier();
}

void vfio_open(const void *plan_data, void *result_data, int fds[JOB_FDS_MAX], size_t *n_fds) {
        const VfioPlan *plan = plan_data;
        VfioResult *result = result_data;
        int r;

        vfio_check_plan(plan);

        r = open_container_and_groups(plan, result, fds, n_fds);
        if (r == 0)
                r = open_devices(plan, result, fds + 1, plan->n_devices, fds, n_fds);
        if (r < 0)
                close_fds(fds, n_fds);
        else
                store_groups(plan, fds);
}

void vfio_open_more(const void *plan_data, void *result_data, int fds[JOB_FDS_MAX], size_t *n_fds) {
        const VfioPlan *plan = plan_data;

        vfio_check_plan(plan);
        if (open_devices(plan, result_data, plan->group_fds, plan->n_pass, fds, n_fds) < 0)
                close_fds(fds, n_fds);
}

int vfio_detach_group(int group, VfioResult *result, unsigned i) {
        if (ioctl(group, VFIO_GROUP_UNSET_CONTAINER) == 0)
                return 0;
        /* EINVAL: it has none */
        return errno == EINVAL ? 0 : vfio_fail(result, VFIO_STEP_DETACH, i, errno);
}

static bool lacks_group(const VfioPlan *plan) {
        for (unsigned i = 0; i < plan->n_groups; i++)
                if (plan->group_fds[i] < 0)
                        return true;
        return false;
}

void vfio_detach(const void *plan_data, void *result_data, int fds[JOB_FDS_MAX], size_t *n_fds) {
        const VfioPlan *plan = plan_data;
        VfioResult *result = result_data;

        vfio_check_plan(plan);

        /* A group is opened to learn who else has it: not systemd. */
        if (lacks_group(plan))
                vfio_unstore(plan);

        /* On after a failure: what can be detached writes into nobody's memory any more. */
        for (unsigned i = 0; i < plan->n_groups; i++) {
                if (plan->group_fds[i] >= 0)
                        (void) vfio_detach_group(plan->group_fds[i], result, i);
                else if (vfio_open_group(plan, result, i, &fds[*n_fds]) == 0)
                        ++*n_fds;
        }

        if (result->step != VFIO_STEP_NONE)
                close_fds(fds, n_fds);
}

void vfio_request(const void *plan_data, void *result_data, int fds[JOB_FDS_MAX], size_t *n_fds) {
        struct vfio_irq_set set = {
                .argsz = sizeof(set),
                .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
                .index = VFIO_PCI_REQ_IRQ_INDEX,
                .count = 1,
        };
        const VfioPlan *plan = plan_data;
        VfioResult *result = result_data;

        vfio_check_plan(plan);

        for (unsigned i = 0; i < plan->n_devices; i++) {
                int fd = vfio_open_device_quietly(plan->group_fds[plan->devices[i].group], &plan->devices[i]);

                if (fd < 0)
                        continue;
                result->told[i] = ioctl(fd, VFIO_DEVICE_SET_IRQS, &set) == 0;
                close(fd);
        }
}
