/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "job-world.h"
#include "suite.h"

/* Work */

static void list_fds(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        Answer *answer = result;

        for (int fd = 0; fd < 4096 && answer->n_fds < 64; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        answer->fds[answer->n_fds++] = fd;
}

static void look_at_signals(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        Answer *answer = result;
        struct sigaction action;
        sigset_t mask;

        sigprocmask(SIG_SETMASK, NULL, &mask);
        answer->signals_default = true;
        for (int i = 1; i < NSIG; i++) {
                if (sigismember(&mask, i) == 1)
                        answer->signals_default = false;
                if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
                        answer->signals_default = false;
        }
}

static void die(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        raise(SIGKILL);
}

/* With two descriptors, that must not stay in the loop. The child's own socket is the only one that it has, so all
 * numbers are tried. */
static void send_nonsense(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        static char garbage[sizeof(Answer) + 64];
        struct iovec iov = { garbage, ((const Plan *) plan)->n };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(2 * sizeof(int))];
        } control = { .header = { CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        int pair[2];

        if (pipe(pair) < 0)
                return;
        memcpy(CMSG_DATA(&control.header), pair, sizeof(pair));
        for (int fd = 3; fd < 4096; fd++)
                (void) !sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void hand_over_nothing_that_is_open(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        fds[0] = 4000;
        *n_fds = 1;
}

static void fill(const void *plan, void *result, int fds[JOB_FDS_MAX], size_t *n_fds) {
        memset(result, 'x', ((const Plan *) plan)->n);
}

START_TEST(result_and_descriptors_arrive) {
        int value = -1;

        outcome.take = 2;
        start(answer_with_pipes, &(Plan){ .n = 3 }, NULL, 0);
        run_until(done_came);
        ck_assert_int_eq(outcome.r, 0);
        ck_assert_int_eq(outcome.answer.number, 42);
        ck_assert_uint_eq(outcome.n_fds, 3);
        ck_assert(outcome.cloexec);
        ck_assert_int_eq(read(outcome.taken, &value, sizeof(value)), sizeof(value));
        ck_assert_int_eq(value, 2);
        close(outcome.taken);
        run_until(no_children_and_no_descriptors);
        ck_assert_int_eq(outcome.calls, 1);
}
END_TEST

START_TEST(as_many_descriptors_as_promised_arrive) {
        outcome.take = JOB_FDS_MAX - 1;
        start(answer_with_pipes, &(Plan){ .n = JOB_FDS_MAX }, NULL, 0);
        run_until(done_came);
        ck_assert_int_eq(outcome.r, 0);
        ck_assert_uint_eq(outcome.n_fds, JOB_FDS_MAX);
        ck_assert_int_ge(outcome.taken, 0);
        close(outcome.taken);
        run_until(no_children_and_no_descriptors);
}
END_TEST

START_TEST(what_is_not_taken_is_closed) {
        outcome.take = 99;
        start(answer_with_pipes, &(Plan){ .n = 20 }, NULL, 0);
        run_until(done_came);
        ck_assert_uint_eq(outcome.n_fds, 20);
        ck_assert_int_eq(outcome.taken, -EBADF);
        run_until(no_children_and_no_descriptors);
}
END_TEST

START_TEST(the_child_sees_only_what_it_was_given) {
        int opened[12], keep[5];
        bool expected[64] = { true, true, true };
        size_t n_other = 0;

        for (size_t i = 0; i < 12; i++)
                opened[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        /* not in order, with a gap, one twice, one that is none, and one that stays open anyway */
        keep[0] = opened[7];
        keep[1] = opened[2];
        keep[2] = -EBADF;
        keep[3] = opened[7];
        keep[4] = 0;
        expected[keep[0]] = expected[keep[1]] = true;

        start(list_fds, NULL, keep, 5);
        run_until(done_came);
        ck_assert_int_eq(outcome.r, 0);
        for (size_t i = 0; i < outcome.answer.n_fds; i++)
                if (!expected[outcome.answer.fds[i]])
                        n_other++;
        ck_assert_uint_eq(n_other, 1); /* its socket */
        ck_assert_uint_eq(outcome.answer.n_fds, 3 + 2 + 1);
        for (size_t i = 0; i < 12; i++) {
                ck_assert_int_ge(fcntl(opened[i], F_GETFD), 0);
                close(opened[i]);
        }
        run_until(no_children_and_no_descriptors);
}
END_TEST

static void on_signal(int signal_number) {
}

START_TEST(the_child_starts_with_default_signals) {
        sigset_t mask, after;

        signal(SIGUSR1, on_signal);
        signal(SIGPIPE, SIG_IGN);
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        start(look_at_signals, NULL, NULL, 0);
        sigprocmask(SIG_SETMASK, NULL, &after);
        ck_assert_int_eq(sigismember(&after, SIGTERM), 1);
        ck_assert_int_eq(sigismember(&after, SIGUSR2), 0);
        run_until(done_came);
        ck_assert_int_eq(outcome.r, 0);
        ck_assert(outcome.answer.signals_default);
        run_until(no_children_and_no_descriptors);
}
END_TEST

START_TEST(a_child_that_dies_says_so) {
        start(die, NULL, NULL, 0);
        run_until(done_came);
        ck_assert_int_eq(outcome.r, -EPIPE);
        ck_assert_uint_eq(outcome.n_fds, 0);
        run_until(no_children_and_no_descriptors);
        ck_assert_int_eq(outcome.calls, 1);
}
END_TEST

START_TEST(a_message_that_makes_no_sense_is_refused) {
        static const int sizes[] = { 0, 1, sizeof(Answer), sizeof(Answer) + 8, sizeof(Answer) + 64 };

        for (size_t i = 0; i < 5; i++) {
                outcome.calls = 0;
                start(send_nonsense, &(Plan){ .n = sizes[i] }, NULL, 0);
                run_until(done_came);
                ck_assert_int_eq(outcome.r, -EBADMSG);
                ck_assert_uint_eq(outcome.n_fds, 0);
                run_until(no_children_and_no_descriptors);
                ck_assert_int_eq(outcome.calls, 1);
        }
}
END_TEST

START_TEST(passing_on_what_is_not_open_is_an_error_and_no_silence) {
        start(hand_over_nothing_that_is_open, NULL, NULL, 0);
        run_until(done_came);
        ck_assert_int_eq(outcome.r, -EBADF);
        run_until(no_children_and_no_descriptors);
}
END_TEST

START_TEST(a_result_may_be_empty_or_as_large_as_promised) {
        static const size_t sizes[] = { 0, JOB_RESULT_MAX };

        for (size_t i = 0; i < 2; i++) {
                Plan plan = { .n = sizes[i] };
                JobSpec spec = { .work = fill, .plan = &plan, .result_size = sizes[i], .done = on_done };
                Job *job;

                outcome.calls = 0;
                ck_assert_int_eq(job_start(&job, event, &spec), 0);
                run_until(done_came);
                ck_assert_int_eq(outcome.r, 0);
                run_until(no_children_and_no_descriptors);
        }
        ck_assert_int_eq(outcome.answer.text[63], 'x');
}
END_TEST

START_TEST(without_sigchld_blocked_nothing_is_started) {
        JobSpec spec = { .work = answer_with_pipes, .plan = &(Plan){ .n = 1 }, .done = on_done };
        sigset_t none;
        Job *job = NULL;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        ck_assert_int_eq(job_start(&job, event, &spec), -EBUSY);
        ck_assert_ptr_null(job);
        ck_assert(no_children_and_no_descriptors());
        ck_assert_int_eq(outcome.calls, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("job");
        TCase *tcase = suite_add_case(suite, "job", job_world_begin, job_world_end);

        tcase_add_test(tcase, result_and_descriptors_arrive);
        tcase_add_test(tcase, as_many_descriptors_as_promised_arrive);
        tcase_add_test(tcase, what_is_not_taken_is_closed);
        tcase_add_test(tcase, the_child_sees_only_what_it_was_given);
        tcase_add_test(tcase, the_child_starts_with_default_signals);
        tcase_add_test(tcase, a_child_that_dies_says_so);
        tcase_add_test(tcase, a_message_that_makes_no_sense_is_refused);
        tcase_add_test(tcase, passing_on_what_is_not_open_is_an_error_and_no_silence);
        tcase_add_test(tcase, a_result_may_be_empty_or_as_large_as_promised);
        tcase_add_test(tcase, without_sigchld_blocked_nothing_is_started);
        return suite_run(suite);
}
