/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hide */

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hide.h"

/* The numbers that the child keeps: one to tell its parent, and what the device hides behind. */
#define KEEP_TELL   3
#define KEEP_DEVICE 4
#define KEEP_FIRST  5

static int hide_mapped(int device) {
        struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };

        if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar) < 0)
                return -errno;
        if (mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t) bar.offset) == MAP_FAILED)
                return -errno;
        return close(device) < 0 ? -errno : 0;
}

static int hide_in_flight(int device) {
        char bytes[CMSG_SPACE(sizeof(int))] = {}, nothing = 0;
        struct iovec vector = { .iov_base = &nothing, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = bytes, .msg_controllen = sizeof(bytes) };
        struct cmsghdr *control = CMSG_FIRSTHDR(&message);
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;

        *control = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(control), &device, sizeof(device));
        if (sendmsg(ends[0], &message, 0) < 0)
                return -errno;
        return close(device) < 0 ? -errno : 0;
}

/* Without liburing: all that is needed are two system calls. */
static int hide_in_ring(int device) {
        struct io_uring_params params = {};
        int ring;

        ring = (int) syscall(SYS_io_uring_setup, 1, &params);
        if (ring < 0)
                return -errno;
        if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &device, 1) < 0)
                return -errno;
        return close(device) < 0 ? -errno : 0;
}

static int hide_here(const char *how, int device) {
        if (strcmp(how, "open") == 0)
                return 0;
        if (strcmp(how, "mapped") == 0)
                return hide_mapped(device);
        if (strcmp(how, "flight") == 0)
                return hide_in_flight(device);
        if (strcmp(how, "uring") == 0)
                return hide_in_ring(device);
        return -EINVAL;
}

static void __attribute__((noreturn)) hide_in_child(const char *how, int device, int tell) {
        int r;

        /* Both may be among the numbers that they are to have. */
        device = fcntl(device, F_DUPFD, KEEP_FIRST);
        tell = fcntl(tell, F_DUPFD, KEEP_FIRST);
        if (dup2(tell, KEEP_TELL) < 0 || dup2(device, KEEP_DEVICE) < 0)
                _exit(EXIT_FAILURE);
        if (syscall(SYS_close_range, KEEP_FIRST, ~0U, 0) < 0)
                _exit(EXIT_FAILURE);
        /* Whoever reads what the parent prints is not to wait for the child. */
        for (int fd = 0; fd < KEEP_TELL; fd++)
                (void) close(fd);

        r = hide_here(how, KEEP_DEVICE);
        if (write(KEEP_TELL, &r, sizeof(r)) != sizeof(r))
                _exit(EXIT_FAILURE);
        (void) close(KEEP_TELL);
        for (;;)
                (void) pause();
}

int hide(const char *how, int device, pid_t *ret) {
        int tell[2], r = -EIO;
        pid_t pid;

        if (!how || device < 0)
                return -EINVAL;
        if (pipe2(tell, O_CLOEXEC) < 0)
                return -errno;

        pid = fork();
        if (pid == 0)
                hide_in_child(how, device, tell[1]);
        (void) close(tell[1]);
        if (pid > 0 && read(tell[0], &r, sizeof(r)) != sizeof(r))
                r = -EIO;
        (void) close(tell[0]);
        if (pid < 0)
                return -EAGAIN;

        *ret = pid;
        return r;
}
