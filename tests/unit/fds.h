/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How many descriptors the test has open, to see whether it has so many again. */

#include <check.h>
#include <dirent.h>

static inline int count_fds(void) {
        DIR *dir = opendir("/proc/self/fd");
        int n = 0;

        ck_assert_ptr_nonnull(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}
