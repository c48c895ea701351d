/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "core/lifeline.h"
#include "fds.h"
#include "suite.h"

#define DEADLINE_USEC (60 * 1000 * 1000)

static sd_event *event;
static Lifeline *lifeline;
static int fd, n_cuts, n_fds_before;

static void on_cut(void *userdata) {
        ck_assert_ptr_eq(userdata, &n_cuts);
        n_cuts++;
}

static void make_world(void) {
        ck_assert_int_ge(sd_event_new(&event), 0);
        n_fds_before = count_fds();
        ck_assert_int_eq(lifeline_new(&lifeline, event, -EBADF, NULL, on_cut, &n_cuts, &fd), 0);
}

static void end_world(void) {
        lifeline = lifeline_free(lifeline);
        closep(&fd);
        ck_assert_int_eq(count_fds(), n_fds_before);
        sd_event_unref(event);
}

static void check_quiet(void) {
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(sd_event_run(event, 0), 0);
        ck_assert_int_eq(n_cuts, 0);
}

START_TEST(while_it_is_held_nothing_happens) {
        check_quiet();
        ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}
END_TEST

START_TEST(the_last_close_cuts_it_once) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        ck_assert_int_ge(copy, 0);
        close(TAKE_FD(fd));
        check_quiet();

        close(copy);
        ck_assert_int_gt(sd_event_run(event, 0), 0);
        ck_assert_int_eq(n_cuts, 1);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(sd_event_run(event, 0), 0);
        ck_assert_int_eq(n_cuts, 1);
}
END_TEST

START_TEST(the_last_close_may_be_another_processs) {
        char go;
        int pair[2];
        pid_t pid;

        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                close(pair[1]);
                (void) !read(pair[0], &go, 1);
                _exit(0);
        }
        close(pair[0]);
        close(TAKE_FD(fd));
        check_quiet();

        close(pair[1]);
        ck_assert_int_gt(sd_event_run(event, DEADLINE_USEC), 0);
        ck_assert_int_eq(n_cuts, 1);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(a_holder_that_is_killed_cuts_it) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                for (;;)
                        pause();
        close(TAKE_FD(fd));
        check_quiet();

        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_gt(sd_event_run(event, DEADLINE_USEC), 0);
        ck_assert_int_eq(n_cuts, 1);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(what_is_written_into_it_is_nobodys_concern) {
        char data[4096] = "";
        ssize_t n;

        while ((n = write(fd, data, sizeof(data))) > 0)
                check_quiet();
        ck_assert_int_eq(errno, EAGAIN); /* the holder is not held up, either */
        check_quiet();

        close(TAKE_FD(fd));
        ck_assert_int_gt(sd_event_run(event, 0), 0);
        ck_assert_int_eq(n_cuts, 1);
}
END_TEST

START_TEST(a_forgotten_lifeline_says_nothing) {
        lifeline = lifeline_free(lifeline);
        close(TAKE_FD(fd));
        check_quiet();
        ck_assert_ptr_null(lifeline_free(NULL));
}
END_TEST

static void free_it(void *userdata) {
        Lifeline **mine = userdata;

        *mine = lifeline_free(*mine);
        n_cuts++;
}

START_TEST(it_may_be_freed_in_the_callback) {
        Lifeline *mine;
        int end;

        for (int i = 0; i < 20; i++) {
                ck_assert_int_eq(lifeline_new(&mine, event, -EBADF, NULL, free_it, &mine, &end), 0);
                close(end);
                ck_assert_int_gt(sd_event_run(event, 0), 0);
                ck_assert_int_eq(n_cuts, i + 1);
                ck_assert_ptr_null(mine);
        }
        ck_assert_int_eq(count_fds(), n_fds_before + 2);
}
END_TEST

START_TEST(many_hang_on_threads_of_their_own) {
        Lifeline *lines[100];
        int ends[100], cuts[100] = {};

        for (int i = 0; i < 100; i++)
                ck_assert_int_eq(lifeline_new(&lines[i], event, -EBADF, NULL, free_it, &lines[i], &ends[i]), 0);
        for (int i = 0; i < 100; i += 2)
                close(ends[i]);
        while (sd_event_run(event, 0) > 0)
                ;
        for (int i = 0; i < 100; i++)
                cuts[i] = !lines[i];
        for (int i = 0; i < 100; i++)
                ck_assert_int_eq(cuts[i], i % 2 == 0);
        for (int i = 1; i < 100; i += 2) {
                lifeline_free(lines[i]);
                close(ends[i]);
        }
        ck_assert_int_eq(n_cuts, 50);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lifeline");
        TCase *tcase = suite_add_case(suite, "lifeline", make_world, end_world);

        tcase_add_test(tcase, while_it_is_held_nothing_happens);
        tcase_add_test(tcase, the_last_close_cuts_it_once);
        tcase_add_test(tcase, the_last_close_may_be_another_processs);
        tcase_add_test(tcase, a_holder_that_is_killed_cuts_it);
        tcase_add_test(tcase, what_is_written_into_it_is_nobodys_concern);
        tcase_add_test(tcase, a_forgotten_lifeline_says_nothing);
        tcase_add_test(tcase, it_may_be_freed_in_the_callback);
        tcase_add_test(tcase, many_hang_on_threads_of_their_own);
        return suite_run(suite);
}
