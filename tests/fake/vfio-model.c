/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: model */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "cleanup.h"
#include "vfio-device.h"
#include "vfio-dma.h"
#include "vfio-model.h"
#include "vfio-reset.h"
#include "vfio-sriov.h"
#include "vfio-state.h"

/* linux/iommufd.h is younger than some build machines. */
#define IOMMU_IOAS_ALLOC _IO(VFIO_TYPE, 0x81)

/* The container's number and the devices that were opened: "7 0000:06:0d.0 0000:06:0d.1"; 0 is none. */
static unsigned group_container(const char *group, char ret_state[STATE_MAX]) {
        char name[96];

        snprintf(name, sizeof(name), "group-%s", group);
        state_read(name, ret_state);
        return strtoul(ret_state, NULL, 10);
}

static void group_set_state(const char *group, const char *state) {
        char name[96];

        snprintf(name, sizeof(name), "group-%s", group);
        state_write(name, state);
}

static bool group_has_open_device(const char *group) {
        char state[STATE_MAX], path[PATH_MAX];
        char *rest, *word;

        group_container(group, state);
        word = strtok_r(state, " \n", &rest);
        while (word && (word = strtok_r(NULL, " \n", &rest))) {
                state_path(path, "fake/device-%s", word);
                if (state_is_open(path))
                        return true;
        }
        return false;
}

/* A device file holds its group's. */
static bool group_is_open(const char *group) {
        char path[PATH_MAX];

        state_path(path, "fake/group-%s", group);
        return state_is_open(path) || group_has_open_device(group);
}

/* Whether @address is one of the group's, and on what: the driver is "" for none. */
static bool group_find(const char *group, const char *address, char ret_driver[256], bool *ret_vfio) {
        char path[PATH_MAX], target[PATH_MAX];
        ssize_t n;

        state_path(path, "sys/kernel/iommu_groups/%s/devices/%s", group, address);
        if (!path_exists(path))
                return false;

        state_path(path, "sys/kernel/iommu_groups/%s/devices/%s/vfio-dev", group, address);
        *ret_vfio = path_exists(path);
        state_path(path, "sys/kernel/iommu_groups/%s/devices/%s/driver", group, address);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        snprintf(ret_driver, 256, "%.255s", strrchr(target, '/') ? strrchr(target, '/') + 1 : "");
        return true;
}

/* -ENODEV: nothing on a VFIO driver. -EPERM: a driver of the host has claimed the group. */
static int group_viable(const char *group) {
        char path[PATH_MAX], driver[256];
        bool claimed = false, vfio = false;
        struct dirent *entry;
        DIR *dir;

        state_path(path, "sys/kernel/iommu_groups/%s/devices", group);
        dir = opendir(path);
        if (!dir)
                return -ENODEV;
        while ((entry = readdir(dir))) {
                bool this_vfio;

                if (entry->d_name[0] == '.' || !group_find(group, entry->d_name, driver, &this_vfio))
                        continue;
                if (this_vfio)
                        vfio = true;
                else if (driver[0] && strcmp(driver, "pcieport") != 0 && strcmp(driver, "pci-stub") != 0)
                        claimed = true;
        }
        closedir(dir);
        return !vfio ? -ENODEV : claimed ? -EPERM : 0;
}

bool object_identify(int fd, Object *ret) {
        static const char *const prefixes[] = {
                [KIND_CONTAINER] = "fake/container-",
                [KIND_GROUP] = "fake/group-",
                [KIND_DEVICE] = "fake/device-",
        };
        char path[PATH_MAX];

        if (!state_below_root(fd, "", path))
                return false;
        for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
                size_t n = strlen(prefixes[i]);

                if (strncmp(path, prefixes[i], n) != 0)
                        continue;
                ret->kind = i;
                snprintf(ret->name, sizeof(ret->name), "%.*s", (int) sizeof(ret->name) - 1, path + n);
                return true;
        }
        return false;
}

/* What is true now of what the container's file says: groups that were closed have left, and with the last
 * one goes the model. Returns the model, 0 for none. */
static unsigned container_settle(const char *container, char ret_groups[STATE_MAX]) {
        char name[96], state[STATE_MAX], other[STATE_MAX];
        unsigned model, number = strtoul(container, NULL, 10);
        char *rest, *word;
        size_t n = 0;

        snprintf(name, sizeof(name), "container-%s", container);
        state_read(name, state);
        model = strtoul(state, NULL, 10);
        ret_groups[0] = '\0';

        word = strtok_r(state, " \n", &rest);
        while (word && (word = strtok_r(NULL, " \n", &rest)))
                if (group_container(word, other) == number && group_is_open(word))
                        n += snprintf(ret_groups + n, STATE_MAX - n, " %s", word);
        return n > 0 ? model : 0;
}

static void container_set_state(const char *container, unsigned model, const char *groups) {
        char name[96], state[STATE_MAX + 16];

        snprintf(name, sizeof(name), "container-%s", container);
        snprintf(state, sizeof(state), "%u%s\n", model, groups);
        state_write(name, state);
}

static bool container_knows(unsigned long extension) {
        char path[PATH_MAX], text[STATE_MAX], word[32];

        if (extension == VFIO_NOIOMMU_IOMMU) {
                state_path(path, "sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
                text_read(path, text);
                return text[0] == 'Y';
        }

        state_path(path, "fail/container/extensions");
        text_read(path, text);
        snprintf(word, sizeof(word), "%lu", extension);
        return text_has_word(path_exists(path) ? text : "1 3 4 9", word);
}

static int container_get_api_version(const Object *object, void *argument) {
        return VFIO_API_VERSION;
}

static int container_check_extension(const Object *object, void *argument) {
        return container_knows((unsigned long) argument);
}

static int container_set_iommu(const Object *object, void *argument) {
        unsigned long model = (unsigned long) argument;
        char groups[STATE_MAX], copy[STATE_MAX];

        if (container_settle(object->name, groups) != 0 || !groups[0])
                return -EINVAL;
        if (!container_knows(model))
                return -ENODEV;
        memcpy(copy, groups, sizeof(copy));
        if (!model_fits(model, copy))
                return -EPERM;

        container_set_state(object->name, model, groups);
        return 0;
}

static int container_map(const Object *object, void *argument) {
        char groups[STATE_MAX];

        return container_settle(object->name, groups) == 0 ? -EINVAL : dma_map(object->name, argument);
}

static int container_unmap(const Object *object, void *argument) {
        struct vfio_iommu_type1_dma_unmap *unmap = argument;
        char groups[STATE_MAX];

        if (container_settle(object->name, groups) == 0)
                return -EINVAL;
        if ((unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL) && !container_knows(VFIO_UNMAP_ALL))
                return -EINVAL;
        return dma_unmap(object->name, unmap);
}

/* The request of another interface, which a container does not know, unless it is that one in disguise. */
static int container_ioas_alloc(const Object *object, void *argument) {
        char path[PATH_MAX], groups[STATE_MAX];

        state_path(path, "fail/container/is-iommufd");
        if (path_exists(path))
                return 0;
        return container_settle(object->name, groups) == 0 ? -EINVAL : -ENOTTY;
}

static int group_get_status(const Object *object, void *argument) {
        struct vfio_group_status *status = argument;
        char state[STATE_MAX];
        int r;

        if (status->argsz < sizeof(*status))
                return -EINVAL;
        r = group_viable(object->name);
        if (r == -ENODEV)
                return r;

        status->flags = r == 0 ? VFIO_GROUP_FLAGS_VIABLE : 0;
        if (group_container(object->name, state) != 0)
                status->flags |= VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
        return 0;
}

static int group_set_container(const Object *object, void *argument) {
        char state[STATE_MAX], groups[STATE_MAX], name[96];
        Object container;
        unsigned model;
        int fd, r;

        memcpy(&fd, argument, sizeof(fd));
        if (fcntl(fd, F_GETFD) < 0)
                return -EBADF;
        if (group_container(object->name, state) != 0)
                return -EINVAL;
        if (!object_identify(fd, &container) || container.kind != KIND_CONTAINER)
                return -EBADFD;
        r = group_viable(object->name);
        if (r < 0)
                return r;

        model = container_settle(container.name, groups);
        snprintf(groups + strlen(groups), sizeof(groups) - strlen(groups), " %s", object->name);
        container_set_state(container.name, model, groups);
        snprintf(name, sizeof(name), "%s\n", container.name);
        group_set_state(object->name, name);
        return 0;
}

static int group_unset_container(const Object *object, void *argument) {
        char state[STATE_MAX], groups[STATE_MAX], name[64];
        unsigned container, model;

        container = group_container(object->name, state);
        if (container == 0)
                return -EINVAL;
        if (group_has_open_device(object->name))
                return -EBUSY;

        group_set_state(object->name, "0\n");
        snprintf(name, sizeof(name), "%u", container);
        model = container_settle(name, groups);
        container_set_state(name, model, groups);
        if (model == 0)
                dma_forget(name);
        return 0;
}

void device_name(const void *argument, char ret[64]) {
        snprintf(ret, 64, "%.*s", (int) strcspn(argument, " "), (const char *) argument);
}

static int group_get_device_fd(const Object *object, void *argument) {
        char address[64], state[STATE_MAX], groups[STATE_MAX], driver[256], container[64];
        bool vfio;
        int fd, r;

        device_name(argument, address);
        snprintf(container, sizeof(container), "%u", group_container(object->name, state));
        if (!group_find(object->name, address, driver, &vfio) || !vfio)
                return -ENODEV;
        r = sriov_check_token(address, argument);
        if (r < 0)
                return r;
        if (container_settle(container, groups) == 0)
                return -EINVAL;

        fd = device_open(address);
        if (fd >= 0 && !text_has_word(state, address)) {
                state[strcspn(state, "\n")] = '\0';
                snprintf(state + strlen(state), sizeof(state) - strlen(state), " %s\n", address);
                group_set_state(object->name, state);
        }
        return fd;
}

int container_open(const Object *object, void *argument) {
        char text[STATE_MAX], name[32], path[PATH_MAX];
        unsigned long number;

        state_read("containers", text);
        number = strtoul(text, NULL, 10) + 1;
        snprintf(text, sizeof(text), "%lu\n", number);
        state_write("containers", text);
        snprintf(name, sizeof(name), "%lu", number);
        container_set_state(name, 0, "");
        state_path(path, "fake/container-%s", name);
        return state_open(path, O_RDWR);
}

int group_open(const Object *object, void *argument) {
        _cleanup_(closep) int fd = -EBADF;
        char path[PATH_MAX];

        state_path(path, "dev/vfio/%s", object->name);
        if (!path_exists(path))
                return -ENOENT;
        if (group_viable(object->name) == -ENODEV)
                return -ENODEV;
        state_path(path, "fake/group-%s", object->name);
        fd = state_open(path, O_RDWR | O_CREAT);
        if (fd < 0)
                return fd;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 || group_has_open_device(object->name))
                return -EBUSY;

        /* whatever was attached left with the last close */
        group_set_state(object->name, "0\n");
        return TAKE_FD(fd);
}

static const Call calls[] = {
        { KIND_CONTAINER, VFIO_GET_API_VERSION, "get-api-version", container_get_api_version },
        { KIND_CONTAINER, VFIO_CHECK_EXTENSION, "check-extension", container_check_extension },
        { KIND_CONTAINER, IOMMU_IOAS_ALLOC, "ioas-alloc", container_ioas_alloc },
        { KIND_CONTAINER, VFIO_SET_IOMMU, "set-iommu", container_set_iommu },
        { KIND_CONTAINER, VFIO_IOMMU_MAP_DMA, "map-dma", container_map },
        { KIND_CONTAINER, VFIO_IOMMU_UNMAP_DMA, "unmap-dma", container_unmap },
        { KIND_GROUP, VFIO_GROUP_GET_STATUS, "get-status", group_get_status },
        { KIND_GROUP, VFIO_GROUP_SET_CONTAINER, "set-container", group_set_container },
        { KIND_GROUP, VFIO_GROUP_UNSET_CONTAINER, "unset-container", group_unset_container },
        { KIND_GROUP, VFIO_GROUP_GET_DEVICE_FD, "open", group_get_device_fd },
        { KIND_DEVICE, VFIO_DEVICE_GET_INFO, "get-info", device_get_info },
        { KIND_DEVICE, VFIO_DEVICE_GET_REGION_INFO, "get-region-info", device_get_region_info },
        { KIND_DEVICE, VFIO_DEVICE_SET_IRQS, "set-irqs", device_set_irqs },
        { KIND_DEVICE, VFIO_DEVICE_RESET, "reset", device_do_reset },
        { KIND_DEVICE, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, "bus-info", reset_get_bus_info },
        { KIND_DEVICE, VFIO_DEVICE_PCI_HOT_RESET, "bus-reset", reset_bus },
};

const Call *call_find(Kind kind, unsigned long request) {
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
                if (calls[i].kind == kind && calls[i].request == request)
                        return &calls[i];
        return NULL;
}

/* A container without a model has nobody to ask. */
int call_unknown(const Object *object) {
        char groups[STATE_MAX];

        if (object->kind == KIND_CONTAINER && container_settle(object->name, groups) == 0)
                return -EINVAL;
        return -ENOTTY;
}
