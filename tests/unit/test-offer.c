/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Offers */

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>

#include "core/lifeline.h"
#include "core/offer.h"
#include "suite.h"

#define MSEC UINT64_C(1000)

static sd_event *event;
static Offer *offer;
static unsigned n_over;

static void make_event(void) {
        ck_assert_int_ge(sd_event_new(&event), 0);
        n_over = 0;
}

static void end_event(void) {
        offer = offer_free(offer);
        event = sd_event_unref(event);
}

static void on_over(void *userdata) {
        n_over++;
        offer = offer_free(offer);
}

START_TEST(a_token_is_for_its_user_and_no_other) {
        char token[OFFER_TOKEN_MAX], other[OFFER_TOKEN_MAX];

        ck_assert_int_eq(offer_new(&offer, event, 1000, -1, 60000 * MSEC, on_over, NULL), 0);
        offer_token(offer, token);
        ck_assert_uint_eq(strlen(token), 32);
        ck_assert_uint_eq(strspn(token, "0123456789abcdef"), 32);
        ck_assert(offer_is_for(offer, token, 1000, 0));
        ck_assert(!offer_is_for(offer, token, 1001, 0));
        ck_assert(!offer_is_for(offer, token, 0, 0));

        for (size_t i = 0; i < 32; i++) {
                strcpy(other, token);
                other[i] = other[i] == 'a' ? 'b' : 'a';
                ck_assert(!offer_is_for(offer, other, 1000, 0));
        }
        ck_assert(!offer_is_for(offer, "", 1000, 0));
        other[31] = '\0';
        ck_assert(!offer_is_for(offer, other, 1000, 0));
}
END_TEST

START_TEST(no_two_tokens_are_the_same) {
        char tokens[100][OFFER_TOKEN_MAX];

        for (size_t i = 0; i < 100; i++) {
                ck_assert_int_eq(offer_new(&offer, event, 1000, -1, MSEC, on_over, NULL), 0);
                offer_token(offer, tokens[i]);
                offer = offer_free(offer);
                for (size_t j = 0; j < i; j++)
                        ck_assert_str_ne(tokens[i], tokens[j]);
        }
}
END_TEST

static int open_pidfd(pid_t pid) {
        int fd = (int) syscall(SYS_pidfd_open, pid, 0);

        ck_assert_int_ge(fd, 0);
        return fd;
}

START_TEST(a_token_is_for_its_process_while_that_lives) {
        char token[OFFER_TOKEN_MAX];
        pid_t pid = fork(), found;
        int fd;

        if (pid == 0) {
                pause();
                _exit(0);
        }
        fd = open_pidfd(pid);
        ck_assert_int_eq(pidfd_check(fd), 0);
        ck_assert_int_eq(pidfd_pid(fd, &found), 0);
        ck_assert_int_eq(found, pid);
        ck_assert_int_eq(offer_new(&offer, event, 1000, fd, 60000 * MSEC, on_over, NULL), 0);
        offer_token(offer, token);
        ck_assert(offer_is_for(offer, token, 7, pid));
        ck_assert(!offer_is_for(offer, token, 1000, pid + 1));
        ck_assert(!offer_is_for(offer, token, 1000, 0));

        kill(pid, SIGKILL);
        ck_assert_int_eq(waitid(P_PID, (id_t) pid, &(siginfo_t){}, WEXITED | WNOWAIT), 0);
        ck_assert(!offer_is_for(offer, token, 7, pid)); /* not even while its number is taken */
        ck_assert_int_eq(pidfd_check(fd), -ESRCH);
        waitpid(pid, NULL, 0);
        ck_assert_int_eq(pidfd_check(fd), -ESRCH);
        ck_assert_int_eq(pidfd_pid(fd, &found), -ESRCH);
        ck_assert(!offer_is_for(offer, token, 7, pid));
        close(fd);
}
END_TEST

START_TEST(what_is_no_pidfd_is_seen) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        pid_t pid;

        ck_assert_int_eq(pidfd_check(fd), -EBADF);
        ck_assert_int_eq(pidfd_pid(fd, &pid), -EBADF);
        close(fd);
        ck_assert_int_lt(pidfd_check(fd), 0);
}
END_TEST

START_TEST(an_offer_is_over_once) {
        ck_assert_int_eq(offer_new(&offer, event, 1000, -1, 20 * MSEC, on_over, NULL), 0);
        for (int i = 0; i < 50 && n_over == 0; i++)
                ck_assert_int_ge(sd_event_run(event, 100 * MSEC), 0);
        ck_assert_uint_eq(n_over, 1);
        ck_assert_int_eq(sd_event_run(event, 50 * MSEC), 0);
}
END_TEST

START_TEST(an_offer_whose_time_is_over_is_for_nobody) {
        char token[OFFER_TOKEN_MAX];
        uint64_t until;

        ck_assert_int_eq(offer_new(&offer, event, 1000, -1, 20 * MSEC, on_over, NULL), 0);
        offer_token(offer, token);
        until = term_now_usec() + 20 * MSEC;
        while (term_now_usec() < until)
                usleep(1000);
        ck_assert(!offer_is_for(offer, token, 1000, 0)); /* although the loop has not turned */
        ck_assert_uint_eq(n_over, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("offer");
        TCase *tcase = suite_add_case(suite, "offer", make_event, end_event);

        tcase_add_test(tcase, a_token_is_for_its_user_and_no_other);
        tcase_add_test(tcase, no_two_tokens_are_the_same);
        tcase_add_test(tcase, a_token_is_for_its_process_while_that_lives);
        tcase_add_test(tcase, what_is_no_pidfd_is_seen);
        tcase_add_test(tcase, an_offer_is_over_once);
        tcase_add_test(tcase, an_offer_whose_time_is_over_is_for_nobody);
        return suite_run(suite);
}
