/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * No VFIO
 *
 * A library, preloaded into the daemon, that answers VFIO's ioctls at once and without a system call (but for the
 * one that opens a device: that is /dev/null). What is left of an Acquire is what the daemon itself costs. Groups
 * and the container are the files of the fake tree, which open as often as one likes.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOMMUFD_BASE 0x80 /* iommufd's requests have VFIO's letter, and begin here */

static int answer(unsigned long request, void *argument) {
        switch (request) {
        case VFIO_GET_API_VERSION:
                return VFIO_API_VERSION;
        case VFIO_CHECK_EXTENSION:
                return 1;
        case VFIO_GROUP_GET_STATUS:
                ((struct vfio_group_status *) argument)->flags = VFIO_GROUP_FLAGS_VIABLE;
                return 0;
        case VFIO_GROUP_GET_DEVICE_FD:
                return open("/dev/null", O_RDWR | O_CLOEXEC);
        case VFIO_DEVICE_GET_INFO:
                ((struct vfio_device_info *) argument)->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
                return 0;
        default:
                return 0;
        }
}

int ioctl(int fd, unsigned long request, ...) {
        void *argument;
        va_list ap;

        va_start(ap, request);
        argument = va_arg(ap, void *);
        va_end(ap);

        if (_IOC_TYPE(request) != VFIO_TYPE)
                return syscall(SYS_ioctl, fd, request, argument);
        if (_IOC_NR(request) < IOMMUFD_BASE)
                return answer(request, argument);
        errno = ENOTTY;
        return -1;
}
