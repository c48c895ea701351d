/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fake VFIO: looks */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "vfio.h"
#include "vfio-looks.h"
#include "vfio-state.h"

static uint64_t *map_counter(void) {
        _cleanup_(closep) int fd = -EBADF;
        char path[PATH_MAX];
        void *counter;

        if (!getenv(FAKE_VFIO_ROOT))
                return NULL;

        state_path(path, "fake/looks");
        fd = state_open(path, O_RDWR);
        if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) < 0)
                return NULL;
        counter = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return counter == MAP_FAILED ? NULL : counter;
}

void look_count(int dirfd) {
        static uint64_t *counter;
        static bool tried;

        if (dirfd == AT_FDCWD)
                return;
        if (!tried)
                counter = map_counter();
        tried = true;
        if (counter)
                __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}
