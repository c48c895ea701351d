/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Processes of this machine with files that stand for a lease's, and a made-up /proc for what only a kernel with
 * VFIO shows.
 */

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/holders.h"
#include "suite.h"
#include "tree.h"

#define OURS   "0000:01:00.0"
#define OTHER  "0000:03:00.0"
#define DEVICE "anon_inode:[vfio-device]"
#define RING   "anon_inode:[io_uring]"
/* No process of this machine: beyond what the kernel gives out */
#define PID 2000000000

static const SuspectAddress ours[] = { OURS }, others[] = { OTHER };
static Tree *tree;
static HoldersPlan plan;
static HoldersResult result;
static pid_t child;
static int lifeline[2];

static int open_below(const char *name) {
        int fd = tree_open(tree, name);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static void set_enable(const char *address, const char *value) {
        char path[128];

        snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/enable", address);
        ck_assert_int_eq(tree_write(tree, path, value), 0);
}

static void make_world(void) {
        struct stat status;

        ck_assert_int_eq(tree_new(&tree), 0);
        ck_assert_int_eq(tree_add_document(tree), 0);
        ck_assert_int_eq(pipe2(lifeline, O_CLOEXEC), 0);
        ck_assert_int_eq(fstat(lifeline[0], &status), 0);
        plan = (HoldersPlan) {
                .proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
                .sys = open_below("sys"),
                .dev = open_below("dev"),
                .container = memfd_create("container", MFD_CLOEXEC),
                .lifeline_dev = status.st_dev,
                .lifeline_ino = status.st_ino,
                .ours = ours,
                .n_ours = 1,
                .others = others,
                .n_others = 1,
                .self = getpid(),
        };
        set_enable(OURS, "1\n");
}

static void end_world(void) {
        if (child > 0) {
                kill(child, SIGKILL);
                waitpid(child, NULL, 0);
                child = 0;
        }
        close(plan.proc);
        close(plan.sys);
        close(plan.dev);
        close(plan.container);
        close(lifeline[0]);
        close(lifeline[1]);
        tree = tree_free(tree);
}

static const Holder *find(pid_t pid) {
        result = (HoldersResult) {};
        holders_find(&plan, &result, NULL, NULL);
        ck_assert_int_eq(result.error, 0);
        for (unsigned i = 0; i < result.n; i++)
                if (result.items[i].pid == (uint32_t) pid)
                        return &result.items[i];
        return NULL;
}

/* A child of no child of the daemon's: the search is made as if by somebody else. */
static void spawn(void (*prepare)(void)) {
        char ready;
        int pipes[2];

        plan.self = 0;
        ck_assert_int_eq(pipe(pipes), 0);
        child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                signal(SIGTERM, SIG_DFL);
                prepare();
                if (write(pipes[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(pipes[1]);
        ck_assert_int_eq(read(pipes[0], &ready, 1), 1);
        close(pipes[0]);
}

static void keep_all(void) {
        prctl(PR_SET_NAME, "na\tme\xff");
}

START_TEST(process_with_container_and_lifeline_is_found) {
        const Holder *holder;

        spawn(keep_all);
        holder = find(child);
        ck_assert_ptr_nonnull(holder);
        ck_assert_uint_eq(holder->what, HOLDER_CONTAINER | HOLDER_LIFELINE);
        ck_assert_str_eq(holder->name, "na?me?");
}
END_TEST

static void open_anew(void) {
        char path[64];

        /* the same inodes, but other open files; and a mere place in the file system */
        snprintf(path, sizeof(path), "/proc/self/fd/%d", plan.container);
        if (open(path, O_RDWR) < 0)
                _exit(1);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", lifeline[1]);
        if (open(path, O_PATH) < 0)
                _exit(1);
        close(plan.container);
        close(lifeline[0]);
        close(lifeline[1]);
}

START_TEST(another_open_file_of_the_same_inode_is_nothing) {
        spawn(open_anew);
        ck_assert_ptr_null(find(child));
}
END_TEST

START_TEST(daemon_and_its_children_are_none) {
        spawn(keep_all);
        plan.self = getpid();
        ck_assert_ptr_null(find(child));
        ck_assert_ptr_null(find(getpid()));
}
END_TEST

static void *hide_in_thread(void *userdata) {
        if (unshare(CLONE_FILES) < 0)
                _exit(1);
        ck_assert_int_eq(write(*(int *) userdata, "", 1), 1);
        for (;;)
                pause();
}

static void keep_in_a_thread(void) {
        pthread_t thread;
        int pipes[2];
        char ready;

        if (pipe(pipes) < 0 || pthread_create(&thread, NULL, hide_in_thread, &pipes[1]) != 0 || read(pipes[0], &ready, 1) != 1)
                _exit(1);
        close(plan.container);
        close(lifeline[0]);
        close(lifeline[1]);
}

START_TEST(descriptors_of_a_thread_of_its_own_are_found) {
        const Holder *holder;

        spawn(keep_in_a_thread);
        holder = find(child);
        ck_assert_ptr_nonnull(holder);
        ck_assert_uint_eq(holder->what, HOLDER_CONTAINER | HOLDER_LIFELINE);
}
END_TEST

START_TEST(who_keeps_no_device_gets_no_signal) {
        spawn(keep_all);
        plan.signal = SIGKILL;
        holders_signal(&plan, &result, NULL, NULL);
        ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0);
        for (unsigned i = 0; i < result.n; i++)
                ck_assert(!result.items[i].signalled);
}
END_TEST

/* The made-up process */

static void add_fd(int number, const char *target, const char *fdinfo) {
        char path[128];

        snprintf(path, sizeof(path), "proc/%d/fdinfo/%d", PID, number);
        ck_assert_int_eq(tree_write(tree, path, fdinfo), 0);
        snprintf(path, sizeof(path), "%s/proc/%d/fd/%d", tree_root(tree), PID, number);
        ck_assert_int_eq(symlink(target, path), 0);
}

static void make_process(void) {
        char path[128];

        snprintf(path, sizeof(path), "proc/%d/fd/keep", PID);
        ck_assert_int_eq(tree_write(tree, path, ""), 0);
        snprintf(path, sizeof(path), "%s/proc/%d/fd/keep", tree_root(tree), PID);
        ck_assert_int_eq(unlink(path), 0);
        snprintf(path, sizeof(path), "proc/%d/comm", PID);
        ck_assert_int_eq(tree_write(tree, path, "driver\n"), 0);
        snprintf(path, sizeof(path), "proc/%d/stat", PID);
        ck_assert_int_eq(tree_write(tree, path, "1 (a) b) S 17 0\n"), 0);
        close(plan.proc);
        plan.proc = open_below("proc");
        plan.self = 4;
}

static void set_maps(const char *text) {
        char path[128];

        snprintf(path, sizeof(path), "proc/%d/maps", PID);
        ck_assert_int_eq(tree_write(tree, path, text), 0);
}

static unsigned what_it_has(void) {
        const Holder *holder = find(PID);

        if (!holder)
                return 0;
        ck_assert_str_eq(holder->name, "driver");
        return holder->what;
}

START_TEST(device_is_told_by_exclusion) {
        make_process();
        add_fd(5, DEVICE, "pos:\t0\nflags:\t02000002\n");
        ck_assert_uint_eq(what_it_has(), HOLDER_DEVICE);
        set_enable(OTHER, "1\n");
        ck_assert_uint_eq(what_it_has(), 0);
        set_enable(OTHER, "0\n");
        set_enable(OURS, "0\n");
        ck_assert_uint_eq(what_it_has(), 0);
}
END_TEST

START_TEST(device_is_told_by_what_else_the_process_has) {
        char target[128], path[128];
        struct stat status;

        make_process();
        add_fd(5, DEVICE, "flags:\t02000002\n");
        set_enable(OTHER, "1\n");
        snprintf(path, sizeof(path), "%s/fifo", tree_root(tree));
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        ck_assert_int_eq(stat(path, &status), 0);
        plan.lifeline_dev = status.st_dev;
        plan.lifeline_ino = status.st_ino;
        snprintf(target, sizeof(target), "%s", path);
        add_fd(6, target, "flags:\t01\n");
        ck_assert_uint_eq(what_it_has(), HOLDER_DEVICE | HOLDER_LIFELINE);
}
END_TEST

START_TEST(device_is_told_by_the_kernels_word) {
        make_process();
        set_enable(OTHER, "1\n");
        add_fd(5, DEVICE, "flags:\t02\nvfio-device-syspath: /sys/devices/pci0000:00/" OTHER "\n");
        ck_assert_uint_eq(what_it_has(), 0);
        add_fd(6, DEVICE, "flags:\t02\nvfio-device-syspath: /sys/devices/pci0000:00/" OURS "\n");
        ck_assert_uint_eq(what_it_has(), HOLDER_DEVICE);
}
END_TEST

START_TEST(fixed_file_of_a_ring_is_found) {
        make_process();
        add_fd(5, RING, "SqMask:\t0x0\nUserFiles:\t2\n    0: /tmp/x\nUserBufs:\t0\n");
        ck_assert_uint_eq(what_it_has(), 0);
        add_fd(6, RING, "SqMask:\t0x0\nUserFiles:\t1\n    0: [vfio-device]\nUserBufs:\t0\n");
        ck_assert_uint_eq(what_it_has(), HOLDER_RING);
        add_fd(7, RING, "SqMask:\t0x0\nUserFiles:\t1\n    0: " DEVICE "\n");
        ck_assert_uint_eq(what_it_has(), HOLDER_RING);
}
END_TEST

START_TEST(mapping_is_found) {
        make_process();
        set_enable(OTHER, "1\n");
        set_maps("7f0000000000-7f0000001000 rw-s fe000000 00:0f 1046                       /tmp/" DEVICE "\n"
                 "7f0000000000-7f0000001000 rw-s fe0 00:0f 1046\n"
                 "nonsense\n");
        ck_assert_uint_eq(what_it_has(), 0);
        ck_assert_int_eq(tree_write(tree, "sys/bus/pci/devices/" OTHER "/resource", ""), 0);
        set_maps("7f0000000000-7f0000100000 rw-s fe000000 00:0f 1046                       " DEVICE "\n");
        ck_assert_uint_eq(what_it_has(), HOLDER_MAPPING);
}
END_TEST

START_TEST(child_of_the_daemon_is_none) {
        make_process();
        add_fd(5, DEVICE, "flags:\t02\n");
        plan.self = 17;
        ck_assert_uint_eq(what_it_has(), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("holders");
        TCase *tcase = suite_add_case(suite, "holders", make_world, end_world);

        tcase_add_test(tcase, process_with_container_and_lifeline_is_found);
        tcase_add_test(tcase, another_open_file_of_the_same_inode_is_nothing);
        tcase_add_test(tcase, daemon_and_its_children_are_none);
        tcase_add_test(tcase, descriptors_of_a_thread_of_its_own_are_found);
        tcase_add_test(tcase, who_keeps_no_device_gets_no_signal);
        tcase_add_test(tcase, device_is_told_by_exclusion);
        tcase_add_test(tcase, device_is_told_by_what_else_the_process_has);
        tcase_add_test(tcase, device_is_told_by_the_kernels_word);
        tcase_add_test(tcase, fixed_file_of_a_ring_is_found);
        tcase_add_test(tcase, mapping_is_found);
        tcase_add_test(tcase, child_of_the_daemon_is_none);
        return suite_run(suite);
}
