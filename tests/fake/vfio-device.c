/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: devices */

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "cleanup.h"
#include "vfio-device.h"
#include "vfio-state.h"

#define CONFIG_OFFSET 2048

/* Those of other buses have no colon in their names. Opening them resets nothing, and asking does. */
static bool device_is_other(const char *address) {
        return !strchr(address, ':');
}

/* A reset clears the registers and counts. */
static bool device_reset(const char *address, int fd) {
        static const char zeroes[REGISTERS_SIZE];
        char path[PATH_MAX], text[STATE_MAX], name[96];
        unsigned long count;
        bool works;

        state_path(path, "sys/bus/pci/devices/%s/reset_method", address);
        text_read(path, text);
        works = device_is_other(address) || text[strspn(text, " \n")] != '\0';
        state_path(path, "fail/%s/reset-fails", address);
        works = works && !path_exists(path);
        if (works && pwrite(fd, zeroes, sizeof(zeroes), 0) < 0)
                works = false;

        snprintf(name, sizeof(name), "resets-%s", address);
        state_read(name, text);
        count = strtoul(text, NULL, 10) + works;
        snprintf(text, sizeof(text), "%lu %d\n", count, works);
        state_write(name, text);
        return works;
}

static bool device_reset_worked(const char *address) {
        char text[STATE_MAX], name[96];
        unsigned long count;
        int works;

        snprintf(name, sizeof(name), "resets-%s", address);
        state_read(name, text);
        return sscanf(text, "%lu %d", &count, &works) == 2 && works;
}

static void device_set_enable(const char *address, bool open) {
        char path[PATH_MAX];

        /* a client that opens a device by its group may not be root */
        state_path(path, "sys/bus/pci/devices/%s/enable", address);
        if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
                text_write(path, open ? "1\n" : "0\n");
}

int device_open(const char *address) {
        _cleanup_(closep) int fd = -EBADF;
        char path[PATH_MAX];

        state_path(path, "fake/device-%s", address);
        fd = state_open(path, O_RDWR | O_CREAT);
        if (fd < 0)
                return fd;
        if (ftruncate(fd, REGISTERS_SIZE) < 0)
                return -errno;

        /* nobody else has it: the first open, which resets it */
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && !device_is_other(address))
                device_reset(address, fd);
        if (flock(fd, LOCK_SH) < 0)
                return -errno;
        device_set_enable(address, true);
        return TAKE_FD(fd);
}

int device_get_info(const Object *object, void *argument) {
        struct vfio_device_info *info = argument;

        if (info->argsz < offsetof(struct vfio_device_info, num_irqs) + sizeof(info->num_irqs))
                return -EINVAL;

        info->flags = device_is_other(object->name) ? VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET
                                                    : VFIO_DEVICE_FLAGS_PCI;
        if (device_reset_worked(object->name))
                info->flags |= VFIO_DEVICE_FLAGS_RESET;
        info->num_regions = VFIO_PCI_NUM_REGIONS;
        info->num_irqs = VFIO_PCI_NUM_IRQS;
        return 0;
}

/* BAR 0 is the first half of the file, the configuration space the second. */
int device_get_region_info(const Object *object, void *argument) {
        struct vfio_region_info *info = argument;
        bool config = info->index == VFIO_PCI_CONFIG_REGION_INDEX, bar = info->index == VFIO_PCI_BAR0_REGION_INDEX;

        if (info->argsz < sizeof(*info) || info->index >= VFIO_PCI_NUM_REGIONS)
                return -EINVAL;

        info->flags = config || bar ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
        info->size = bar ? CONFIG_OFFSET : config ? REGISTERS_SIZE - CONFIG_OFFSET : 0;
        info->offset = config ? CONFIG_OFFSET : 0;
        info->cap_offset = 0;
        return 0;
}

/* Only the interrupt that asks for the device, fired as a test: somebody listens where the test says so. */
int device_set_irqs(const Object *object, void *argument) {
        const struct vfio_irq_set *set = argument;
        char path[PATH_MAX];

        if (set->argsz < sizeof(*set) || set->index != VFIO_PCI_REQ_IRQ_INDEX ||
            set->flags != (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER))
                return -EINVAL;
        state_path(path, "fail/%s/listens", object->name);
        return path_exists(path) ? 0 : -EINVAL;
}

int device_do_reset(const Object *object, void *argument) {
        _cleanup_(closep) int fd = -EBADF;
        char path[PATH_MAX];

        if (!device_reset_worked(object->name) && !device_is_other(object->name))
                return -EINVAL;
        state_path(path, "fake/device-%s", object->name);
        fd = state_open(path, O_RDWR);
        return fd < 0 ? fd : device_reset(object->name, fd) ? 0 : -EINVAL;
}

void device_refresh_enable(const char *address) {
        char path[PATH_MAX];

        state_path(path, "fake/device-%s", address);
        device_set_enable(address, state_is_open(path));
}
