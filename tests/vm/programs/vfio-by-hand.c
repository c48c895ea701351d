/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfio-by-hand ADDRESS: uses an edu as the kernel's vfio.rst shows it, as root and without the broker.
 * It proves the machine that the other tests rely on, and is what they compare with.
 *
 * With a second argument "hold" it keeps the device open, its DMA going on, until it is killed;
 * with "nvme" the device is an NVMe, of which only the register is used that shows a reset.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "edu.h"
#include "nvme.h"

#define CANARY 0x12345678U

/* What a system call returns, as a negative errno if it failed. */
static int result(int r) {
        return r < 0 ? -errno : r;
}

/* Says how a step went and passes its result on. */
static int step(const char *what, int r) {
        printf("%s: %s\n", what, r < 0 ? strerrorname_np(-r) : "ok");
        (void) fflush(stdout);
        return r;
}

static int open_group(const char *address) {
        char link[PATH_MAX], target[PATH_MAX], node[PATH_MAX];
        ssize_t n;

        (void) snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", address);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0)
                return -errno;
        target[n] = 0;

        (void) snprintf(node, sizeof(node), "/dev/vfio/%s", basename(target));
        return result(open(node, O_RDWR | O_CLOEXEC));
}

static int check_version(int container) {
        if (ioctl(container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
                return -EPROTO;
        return ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU) == 1 ? 0 : -ENOTSUP;
}

static int check_viable(int group) {
        struct vfio_group_status status = { .argsz = sizeof(status) };

        if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0)
                return -errno;
        return status.flags & VFIO_GROUP_FLAGS_VIABLE ? 0 : -EXDEV;
}

static int print_info(int device) {
        struct vfio_device_info info = { .argsz = sizeof(info) };

        if (ioctl(device, VFIO_DEVICE_GET_INFO, &info) < 0)
                return -errno;
        printf("reset: %s\n", info.flags & VFIO_DEVICE_FLAGS_RESET ? "yes" : "no");
        return 0;
}

/* Whether the last user's value was still there. */
static void print_canary(uint32_t value) {
        printf("canary: %s\n", value == CANARY ? "left" : "cleared");
}

static int use_nvme(int device) {
        uint32_t mask;
        int r;

        r = step("read-mask", nvme_read_mask(device, &mask));
        if (r < 0)
                return r;
        print_canary(mask);

        r = step("write-mask", nvme_write_mask(device, CANARY));
        if (r < 0)
                return r;

        /* A register that takes no value would look like one that was reset. */
        r = nvme_read_mask(device, &mask);
        return step("mask-taken", r == 0 && mask != CANARY ? -EBADMSG : r);
}

static int use_edu(int container, int device, bool hold) {
        Edu *edu;
        int r;

        r = step("registers", edu_new(&edu, device));
        if (r < 0)
                return r;

        print_canary(edu_read_canary(edu));
        edu_write_canary(edu, CANARY);

        r = step("map", edu_map_memory(edu, container));
        if (r >= 0)
                r = step("dma", edu_check_dma(edu));
        if (r >= 0)
                r = step("msi", edu_check_msi(edu));
        if (r >= 0 && hold)
                r = step("hold", edu_check_dma_forever(edu));
        if (r >= 0)
                r = step("unmap", edu_unmap_memory(edu, container));
        edu_free(edu);
        return r;
}

/* Descriptors are closed by our end. */
static int run(const char *address, const char *mode) {
        int container, group, device;

        container = result(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
        if (step("container", container) < 0 || step("version", check_version(container)) < 0)
                return -1;

        group = open_group(address);
        if (step("group", group) < 0 || step("viable", check_viable(group)) < 0)
                return -1;

        if (step("set-container", result(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))) < 0 ||
            step("set-iommu", result(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU))) < 0)
                return -1;

        device = result(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address));
        if (step("device", device) < 0 || step("info", print_info(device)) < 0)
                return -1;

        if (strcmp(mode, "nvme") == 0)
                return use_nvme(device);
        return use_edu(container, device, strcmp(mode, "hold") == 0);
}

int main(int argc, char **argv) {
        const char *mode = argc > 2 ? argv[2] : "";

        if (argc < 2 || argc > 3 || (argc == 3 && strcmp(mode, "hold") != 0 && strcmp(mode, "nvme") != 0)) {
                fprintf(stderr, "usage: vfio-by-hand ADDRESS [hold|nvme]\n");
                return 2;
        }
        return run(argv[1], mode) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
