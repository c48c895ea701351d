/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * edu-driver [CONTAINER DEVICE]: an ordinary userspace driver. It is given an open container and an open
 * device, by number or as sd_listen_fds_with_names(3) does it, and knows nothing of who opened them.
 * With a third argument it stays until it is killed.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edu.h"

#define LISTEN_FDS_FIRST 3

/* Says how a step went and passes its result on. */
static int step(const char *what, int r) {
        printf("%-42s %s\n", what, r < 0 ? strerror(-r) : "ok");
        (void) fflush(stdout);
        return r;
}

/* The place of @name in the list "container:dev0". */
static int find_listen_fd(const char *name) {
        const char *pid = getenv("LISTEN_PID"), *names = getenv("LISTEN_FDNAMES");
        size_t n = strlen(name);

        if (!pid || !names || strtol(pid, NULL, 10) != (long) getpid())
                return -ENOENT;

        for (int fd = LISTEN_FDS_FIRST; names; fd++) {
                if (strncmp(names, name, n) == 0 && (names[n] == ':' || names[n] == 0))
                        return fd;
                names = strchr(names, ':');
                if (names)
                        names++;
        }
        return -ENOENT;
}

static int drive(int container, int device) {
        Edu *edu;
        int r;

        r = step("the registers are an edu's", edu_new(&edu, device));
        if (r < 0)
                return r;

        r = step("8 KiB of memory mapped for the device", edu_map_memory(edu, container));
        if (r >= 0)
                r = step("DMA to the device and back, data compared", edu_check_dma(edu));
        if (r >= 0)
                r = step("an MSI through an eventfd", edu_check_msi(edu));
        if (r >= 0)
                r = step("the memory unmapped", edu_unmap_memory(edu, container));
        edu_free(edu);
        return r;
}

int main(int argc, char **argv) {
        int container, device, r;

        container = argc > 2 ? (int) strtol(argv[1], NULL, 10) : find_listen_fd("container");
        device = argc > 2 ? (int) strtol(argv[2], NULL, 10) : find_listen_fd("dev0");
        if (container < 0 || device < 0) {
                fprintf(stderr, "usage: vfio-broker run -d DEVICE -- edu-driver [{container} {dev:0} [stay]]\n");
                return 2;
        }

        r = drive(container, device);
        while (argc > 3 && r >= 0)
                (void) pause();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
