/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How jobs end: late, forgotten, many at once, and who closes what. What they bring is test-job.c's.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "job-world.h"
#include "suite.h"

static void die(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        raise(SIGKILL);
}

static void hang(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        char byte;

        (void) !read(((const Plan *) plan)->fd, &byte, 1);
        answer_with_pipes(&(Plan){ .n = 2 }, result, fds, n_fds);
}

/* Hands over the first pipe end, and leaves the second one open. */
static void pass_one_of_two(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        const Plan *p = plan;

        fds[(*n_fds)++] = p->fd;
}

START_TEST(a_child_that_hangs_does_not_hold_up_another) {
        int pair[2];
        Job *slow;

        outcome.take = 99;
        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        slow = start(hang, &(Plan){ .fd = pair[0] }, &pair[0], 1);
        for (int i = 0; i < 20; i++) {
                outcome.calls = 0;
                start(answer_with_pipes, &(Plan){ .n = 1 }, NULL, 0);
                run_until(done_came);
                ck_assert_int_eq(outcome.r, 0);
                ck_assert_uint_eq(outcome.n_fds, 1);
        }

        outcome.calls = 0;
        close(pair[1]);
        run_until(done_came);
        ck_assert_uint_eq(outcome.n_fds, 2);
        close(pair[0]);
        run_until(no_children_and_no_descriptors);
        (void) slow;
}
END_TEST

START_TEST(a_forgotten_job_is_silent_and_leaves_nothing) {
        int pair[2];
        Job *job;

        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        job = start(hang, &(Plan){ .fd = pair[0] }, &pair[0], 1);
        ck_assert_ptr_null(job_free(job));
        close(pair[0]);
        close(pair[1]); /* now it opens and sends */
        run_until(no_children_and_no_descriptors);
        ck_assert_int_eq(outcome.calls, 0);
}
END_TEST

START_TEST(a_job_forgotten_with_its_answer_waiting_leaves_nothing) {
        struct pollfd p = { .fd = -1, .events = POLLIN };
        int pair[2];
        Job *job;

        ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
        job = start(answer_with_pipes, &(Plan){ .n = 20 }, &pair[1], 1);
        /* The child closes what it does not pass on just before it sends, and with it the pipe's last writer. */
        close(pair[1]);
        p.fd = pair[0];
        ck_assert_int_eq(poll(&p, 1, DEADLINE_MSEC), 1);
        ck_assert_ptr_null(job_free(job));
        close(pair[0]);
        run_until(no_children_and_no_descriptors);
        ck_assert_int_eq(outcome.calls, 0);
}
END_TEST

START_TEST(what_is_not_passed_on_is_closed_when_the_result_is_there) {
        int kept[2], passed[2];
        char byte;

        ck_assert_int_eq(pipe2(kept, O_CLOEXEC | O_NONBLOCK), 0);
        ck_assert_int_eq(pipe2(passed, O_CLOEXEC | O_NONBLOCK), 0);
        start(pass_one_of_two, &(Plan){ .fd = passed[1] }, (int[]){ passed[1], kept[1] }, 2);
        close(kept[1]);
        close(passed[1]);
        run_until(done_came);
        ck_assert_int_eq(outcome.r, 0);
        ck_assert_int_eq(read(kept[0], &byte, 1), 0);
        ck_assert_int_eq(read(passed[0], &byte, 1), -1);
        ck_assert_int_eq(errno, EAGAIN);
        close(outcome.taken);
        close(kept[0]);
        close(passed[0]);
        run_until(no_children_and_no_descriptors);
}
END_TEST

static bool child_has_died(void) {
        siginfo_t si = { 0 };

        return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid > 0;
}

static int writer = -EBADF;

static void look_who_closes_last(int r, const void *result, int *fds, size_t n_fds, void *userdata) {
        char byte;
        int *reader = userdata;

        outcome.calls++;
        ck_assert_int_eq(r, 0);
        closep(&fds[0]);
        fds[0] = -EBADF;
        /* The child still has it, so the close above did not wait for a device. */
        ck_assert_int_eq(read(*reader, &byte, 1), -1);
        ck_assert_int_eq(errno, EAGAIN);
}

START_TEST(the_last_close_is_the_childs) {
        int pair[2];
        Plan plan;
        JobSpec spec = {
                .work = pass_one_of_two,
                .plan = &plan,
                .keep = &writer,
                .n_keep = 1,
                .done = look_who_closes_last,
        };
        struct pollfd p = { .events = POLLIN };
        char byte;
        Job *job;

        ck_assert_int_eq(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
        plan.fd = writer = pair[1];
        p.fd = pair[0];
        spec.userdata = &pair[0];
        ck_assert_int_eq(job_start(&job, event, &spec), 0);
        close(pair[1]);
        for (long end = now_msec() + 200; now_msec() < end; usleep(1000))
                ck_assert_msg(!child_has_died(), "the child did not wait");
        run_until(done_came);
        ck_assert_int_eq(poll(&p, 1, DEADLINE_MSEC), 1);
        ck_assert_int_eq(read(pair[0], &byte, 1), 0);
        close(pair[0]);
        run_until(no_children_and_no_descriptors);
}
END_TEST

START_TEST(twenty_in_a_row_leave_nothing) {
        for (int i = 0; i < 20; i++) {
                outcome.calls = 0;
                outcome.take = 99;
                if (i % 5 == 4)
                        start(die, NULL, NULL, 0);
                else
                        start(answer_with_pipes, &(Plan){ .n = 8 }, NULL, 0);
                run_until(done_came);
                ck_assert_int_eq(outcome.r, i % 5 == 4 ? -EPIPE : 0);
        }
        run_until(no_children_and_no_descriptors);
}
END_TEST

START_TEST(twenty_at_once_leave_nothing) {
        Job *jobs[20];

        outcome.take = 99;
        for (int i = 0; i < 20; i++)
                jobs[i] = start(answer_with_pipes, &(Plan){ .n = 8 }, NULL, 0);
        for (int i = 0; i < 20; i += 2)
                job_free(jobs[i]);
        run_until(no_children_and_no_descriptors);
        ck_assert_int_eq(outcome.calls, 10);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("job-end");
        TCase *tcase = suite_add_case(suite, "job-end", job_world_begin, job_world_end);

        tcase_add_test(tcase, a_child_that_hangs_does_not_hold_up_another);
        tcase_add_test(tcase, a_forgotten_job_is_silent_and_leaves_nothing);
        tcase_add_test(tcase, a_job_forgotten_with_its_answer_waiting_leaves_nothing);
        tcase_add_test(tcase, what_is_not_passed_on_is_closed_when_the_result_is_there);
        tcase_add_test(tcase, the_last_close_is_the_childs);
        tcase_add_test(tcase, twenty_in_a_row_leave_nothing);
        tcase_add_test(tcase, twenty_at_once_leave_nothing);
        return suite_run(suite);
}
