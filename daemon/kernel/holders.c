/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Holders */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "folder.h"
#include "holders.h"

/* The kernel's own names of files that are in no file system: nothing else can be called so. */
#define NAME_DEVICE "anon_inode:[vfio-device]"
#define NAME_RING   "anon_inode:[io_uring]"

/* In a ring's list of its files the prefix is missing before Linux 6.9. */
#define NAME_DEVICE_IN_RING "[vfio-device]"

/* How often to look again when somebody opens other devices meanwhile. */
#define TRIES_MAX 3

typedef struct Search {
        const HoldersPlan *plan;
        HoldersResult *result;
        Suspects suspects;
        struct statx container;
        dev_t groups[HOLDERS_GROUPS_MAX];
        unsigned n_groups;
} Search;

/* What a process has: for certain, and perhaps. */
typedef struct Seen {
        unsigned sure, maybe;
} Seen;

static unsigned number_of(const char *name) {
        char *end;
        unsigned long number = strtoul(name, &end, 10);

        return *name >= '0' && *name <= '9' && !*end && number < INT32_MAX ? (unsigned) number : 0;
}

static void seen_add(Seen *seen, unsigned what, Guilt guilt) {
        if (guilt == GUILT_SURE)
                seen->sure |= what;
        else if (guilt == GUILT_MAYBE)
                seen->maybe |= what;
}

static void look_at_device(Search *search, int fdinfo, const char *number, Seen *seen) {
        static const char key[] = "vfio-device-syspath:"; /* since Linux 7.0 or so */
        _cleanup_(filep) FILE *file = proc_open(fdinfo, number);
        _cleanup_(freep) char *line = NULL;
        Guilt guilt = suspects_judge_any(&search->suspects);
        size_t size = 0;

        while (file && getline(&line, &size, file) > 0)
                if (strncmp(line, key, strlen(key)) == 0 && strrchr(line, '/')) {
                        line[strcspn(line, "\n")] = '\0';
                        guilt = suspects_judge_named(&search->suspects, strrchr(line, '/') + 1);
                }
        seen_add(seen, HOLDER_DEVICE, guilt);
}

/* "    0: anon_inode:[vfio-device]", after the ring's numbers. */
static void look_at_ring(Search *search, int fdinfo, const char *number, Seen *seen) {
        _cleanup_(filep) FILE *file = proc_open(fdinfo, number);
        _cleanup_(freep) char *line = NULL;
        size_t size = 0;
        char *name;

        while (file && getline(&line, &size, file) > 0) {
                line[strcspn(line, "\n")] = '\0';
                name = strstr(line, ": ");
                if (name && (strcmp(name + 2, NAME_DEVICE) == 0 || strcmp(name + 2, NAME_DEVICE_IN_RING) == 0))
                        seen_add(seen, HOLDER_RING, suspects_judge_any(&search->suspects));
        }
}

static bool same_inode(const struct statx *one, const struct statx *other) {
        return one->stx_ino == other->stx_ino && one->stx_dev_major == other->stx_dev_major &&
               one->stx_dev_minor == other->stx_dev_minor;
}

static bool is_lifeline(const HoldersPlan *plan, const struct statx *status) {
        return plan->lifeline_ino != 0 && status->stx_ino == plan->lifeline_ino &&
               makedev(status->stx_dev_major, status->stx_dev_minor) == plan->lifeline_dev;
}

static bool is_group(const Search *search, const struct statx *status) {
        dev_t number = makedev(status->stx_rdev_major, status->stx_rdev_minor);

        if (!S_ISCHR(status->stx_mode))
                return false;
        for (unsigned i = 0; i < search->n_groups; i++)
                if (search->groups[i] == number)
                        return true;
        return false;
}

static void look_at_file(Search *search, pid_t pid, int folder, int fdinfo, const char *number, Seen *seen) {
        struct statx status;

        /* Not to be held up by a file on a server that does not answer. */
        if (statx(folder, number, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &status) < 0)
                return;

        if (search->plan->container >= 0 && same_inode(&status, &search->container) &&
            proc_same_file(pid, (unsigned) strtoul(number, NULL, 10), search->plan->container))
                seen->sure |= HOLDER_CONTAINER;
        else if (is_lifeline(search->plan, &status) && !proc_is_path_only(fdinfo, number))
                seen->sure |= HOLDER_LIFELINE;
        else if (is_group(search, &status) && !proc_is_path_only(fdinfo, number))
                seen->sure |= HOLDER_GROUP;
        else if (nodes_have(&search->plan->nodes, status.stx_mode,
                            makedev(status.stx_rdev_major, status.stx_rdev_minor)) &&
                 !proc_is_path_only(fdinfo, number))
                seen->sure |= HOLDER_NODE;
}

/* @thread: whose descriptors they are. Returns false if we may not look. */
static bool look_at_files(Search *search, pid_t thread, int process, const char *prefix, Seen *seen) {
        _cleanup_(folder_closep) DIR *folder = NULL;
        _cleanup_(closep) int fdinfo = -EBADF;
        char path[64], target[64];
        struct dirent *entry;
        ssize_t n;
        int r;

        snprintf(path, sizeof(path), "%sfd", prefix);
        r = folder_open(&folder, process, path);
        if (r < 0)
                return r != -EACCES && r != -EPERM;
        snprintf(path, sizeof(path), "%sfdinfo", prefix);
        fdinfo = openat(process, path, O_PATH | O_DIRECTORY | O_CLOEXEC);

        while ((entry = readdir(folder))) {
                n = entry->d_name[0] == '.' ? -1 : readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
                if (n < 0) {
                        if (errno == EACCES && entry->d_name[0] != '.')
                                return false;
                        continue;
                }
                target[n] = '\0';

                if (strcmp(target, NAME_DEVICE) == 0)
                        look_at_device(search, fdinfo, entry->d_name, seen);
                else if (strcmp(target, NAME_RING) == 0)
                        look_at_ring(search, fdinfo, entry->d_name, seen);
                else if (strncmp(target, "anon_inode:", 11) != 0 && strncmp(target, "socket:", 7) != 0)
                        look_at_file(search, thread, dirfd(folder), fdinfo, entry->d_name, seen);
        }
        return true;
}

static void look_at_memory(Search *search, int process, const char *prefix, Seen *seen) {
        _cleanup_(filep) FILE *file = NULL;
        _cleanup_(freep) char *line = NULL;
        uint64_t start, end, offset;
        size_t size = 0;
        char path[64];
        int at;

        snprintf(path, sizeof(path), "%smaps", prefix);
        file = proc_open(process, path);
        while (file && getline(&line, &size, file) > 0) {
                line[strcspn(line, "\n")] = '\0';
                at = 0;
                if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n", &start, &end, &offset, &at) <
                            3 ||
                    at == 0 || strcmp(line + at, NAME_DEVICE) != 0 || end <= start)
                        continue;
                seen_add(seen, HOLDER_MAPPING, suspects_judge_mapping(&search->suspects, offset, end - start));
        }
}

/* Threads need not share their descriptors, and the first one may have ended long before the others. */
static void look_at_threads(Search *search, pid_t pid, int process, Seen *seen) {
        _cleanup_(folder_closep) DIR *folder = NULL;
        struct dirent *entry;
        char prefix[32];
        pid_t thread;

        if (folder_open(&folder, process, "task") < 0)
                return; /* it is gone */

        while ((entry = readdir(folder))) {
                thread = (pid_t) number_of(entry->d_name);
                if (thread == 0 || thread == pid)
                        continue;
                snprintf(prefix, sizeof(prefix), "task/%d/", (int) thread);
                if (!proc_shares_files(pid, thread))
                        (void) look_at_files(search, thread, process, prefix, seen);
                if (!proc_shares_memory(pid, thread))
                        look_at_memory(search, process, prefix, seen);
        }
}

/* What the process has of the lease. */
static unsigned look_at_process(Search *search, pid_t pid, char ret_name[PROC_NAME_MAX]) {
        const HoldersPlan *plan = search->plan;
        _cleanup_(closep) int process = -EBADF;
        Seen seen = {};
        char path[16];

        if (pid == plan->self)
                return 0;
        snprintf(path, sizeof(path), "%d", (int) pid);
        process = openat(plan->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (process < 0)
                return 0;

        if (!look_at_files(search, pid, process, "", &seen)) {
                search->result->hidden = true;
                return 0;
        }
        look_at_memory(search, process, "", &seen);
        look_at_threads(search, pid, process, &seen);

        /* systemd keeps for the daemon what the daemon keeps. */
        if (pid == 1)
                seen.sure &= ~(HOLDER_LIFELINE | HOLDER_CONTAINER | HOLDER_GROUP);
        /* Whoever has something of the lease, and a device that may be the lease's, has the lease's. */
        if (seen.sure)
                seen.sure |= seen.maybe;
        if (!seen.sure || proc_parent(process) == plan->self)
                return 0;

        proc_name(process, ret_name);
        return seen.sure;
}

static int search_processes(Search *search) {
        HoldersResult *result = search->result;
        _cleanup_(folder_closep) DIR *folder = NULL;
        struct dirent *entry;
        int r;

        r = folder_open(&folder, search->plan->proc, ".");
        if (r < 0)
                return r;

        result->n = 0;
        result->more = result->hidden = false;
        while ((entry = readdir(folder))) {
                pid_t pid = (pid_t) number_of(entry->d_name);
                Holder holder = { .pid = (uint32_t) pid };

                if (pid == 0)
                        continue;
                holder.what = (uint16_t) look_at_process(search, pid, holder.name);
                if (!holder.what)
                        continue;
                if (result->n == HOLDERS_MAX)
                        result->more = true;
                else
                        result->items[result->n++] = holder;
        }
        return 0;
}

static int search_all(Search *search) {
        int r;

        for (unsigned tries = 1;; tries++) {
                r = search_processes(search);
                if (r < 0 || search->suspects.strangers || !suspects_refresh(&search->suspects, search->plan->sys))
                        return r;
                if (tries == TRIES_MAX)
                        suspects_give_up(&search->suspects);
        }
}

static int search_begin(Search *search) {
        const HoldersPlan *plan = search->plan;
        struct stat status;
        char path[32];
        int r;

        if (plan->container >= 0 &&
            statx(plan->container, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &search->container) < 0)
                return -errno;

        for (unsigned i = 0; i < plan->n_groups; i++) {
                snprintf(path, sizeof(path), "vfio/%u", plan->groups[i]);
                r = fstatat(plan->dev, path, &status, 0);
                if (r < 0) {
                        snprintf(path, sizeof(path), "vfio/noiommu-%u", plan->groups[i]);
                        r = fstatat(plan->dev, path, &status, 0);
                }
                if (r == 0 && S_ISCHR(status.st_mode))
                        search->groups[search->n_groups++] = status.st_rdev;
        }
        return suspects_load(&search->suspects, plan->sys, plan->ours, plan->n_ours, plan->others, plan->n_others);
}

static void send_signal(Search *search, Holder *holder) {
        const HoldersPlan *plan = search->plan;
        pid_t pid = (pid_t) holder->pid;
        _cleanup_(closep) int pidfd = -EBADF;
        char name[PROC_NAME_MAX];

        if (!(holder->what & HOLDER_KEEPS) || pid == 1 || pid == plan->self || pid == plan->spared)
                return;

        /* First the descriptor, then the second look: if the number has passed to another process, that one is not
         * whom the descriptor means. */
        pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0 || !(look_at_process(search, pid, name) & HOLDER_KEEPS))
                return;
        holder->signalled = syscall(SYS_pidfd_send_signal, pidfd, plan->signal, NULL, 0) == 0;
}

static void search(const HoldersPlan *plan, HoldersResult *result) {
        Search search = { .plan = plan, .result = result };
        int r;

        r = search_begin(&search);
        if (r >= 0)
                r = search_all(&search);
        for (unsigned i = 0; r >= 0 && plan->signal > 0 && i < result->n; i++)
                send_signal(&search, &result->items[i]);
        suspects_done(&search.suspects);
        result->error = r < 0 ? -r : 0;
}

void holders_find(const void *plan, void *result, int *fds, size_t *n_fds) {
        HoldersPlan quiet = *(const HoldersPlan *) plan;

        quiet.signal = 0;
        search(&quiet, result);
}

void holders_signal(const void *plan, void *result, int *fds, size_t *n_fds) {
        search(plan, result);
}
