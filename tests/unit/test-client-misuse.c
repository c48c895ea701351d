/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library where it must not be called: it says so, and nothing comes of it. */

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client-world.h"
#include "suite.h"
#include "vfio-broker.h"

#define TOKEN "0123456789abcdef0123456789abcdef"

static unsigned n_states, n_ended, n_disconnected;
static vfb_request *request;
static vfb *connection;
static vfb_lease *lease;

static void check_refuses_all(int expected) {
        vfb_lease *other = NULL;
        void *address = NULL;
        char *token = NULL;
        uint64_t usec = 7;

        ck_assert_int_eq(vfb_dispatch(connection), expected);
        ck_assert_int_eq(vfb_acquire(connection, request, &other, NULL), expected);
        ck_assert_int_eq(vfb_claim(connection, TOKEN, NULL, &other, NULL), expected);
        ck_assert_int_eq(vfb_lease_renew(lease, 1, &usec, NULL), expected);
        ck_assert_int_eq(vfb_lease_expires(lease, &usec, NULL), expected);
        ck_assert_int_eq(vfb_lease_offer(lease, 1000, -1, 0, &token, NULL), expected);
        ck_assert_int_eq(vfb_list_devices(connection, NULL, NULL, NULL, NULL), expected);
        ck_assert_int_eq(vfb_explain(connection, request, NULL, NULL, NULL), expected);
        ck_assert_int_eq(vfb_dma_alloc(lease, 4096, 0, VFB_DMA_READ, &address, NULL), expected);
        ck_assert(!other && !token && !address && usec == 7);
}

static void on_state(vfb_lease *of, const char *state, void *userdata) {
        vfb_error *error = NULL;

        n_states++;
        check_refuses_all(-EBUSY);
        ck_assert_int_eq(vfb_lease_renew(of, 1, NULL, &error), -EBUSY);
        ck_assert_str_eq(vfb_error_name(error), "System.Error.EBUSY");
        vfb_error_free(error);
}

static void on_ended(vfb_lease *of, const char *reason, void *userdata) {
        n_ended++;
}

static void on_disconnected(vfb *c, void *userdata) {
        n_disconnected++;
}

static const vfb_listener listener = {
        .lease_state = on_state,
        .lease_ended = on_ended,
        .disconnected = on_disconnected,
};

static void world_begin(void) {
        client_world_begin();
        ck_assert_int_eq(vfb_request_new(&request), 0);
        ck_assert_int_eq(vfb_request_add_device(request, "0000:06:0d.0", NULL), 0);
        ck_assert_int_eq(vfb_request_set_mode(request, "mediated"), 0);
        ck_assert_int_eq(vfb_request_set_label(request, "events"), 0);
        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), 0);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
}

static void world_end(void) {
        lease = vfb_lease_free(lease);
        request = vfb_request_free(request);
        connection = vfb_free(connection);
        client_world_end();
}

static void dispatch_all(unsigned n) {
        for (int i = 0; i < CLIENT_DEADLINE_MSEC && n_ended < n; i++) {
                poll(&(struct pollfd){ vfb_get_fd(connection), (short) vfb_get_events(connection), 0 }, 1, 1);
                ck_assert_int_ge(vfb_dispatch(connection), 0);
        }
}

/* A message that had been sent all the same would have the stub tell of one more end. */
START_TEST(callback_can_neither_wait_nor_dispatch) {
        uint64_t usec;

        dispatch_all(1);
        ck_assert_uint_eq(n_states, 1);
        ck_assert_int_eq(vfb_lease_renew(lease, 1000000, &usec, NULL), 0); /* what came before the answer is here */
        ck_assert_int_ge(vfb_dispatch(connection), 0);
        ck_assert_uint_eq(n_ended, 1);
        ck_assert_uint_eq(n_disconnected, 0);
}
END_TEST

START_TEST(child_of_a_fork_can_do_nothing) {
        uint64_t usec;
        int status;
        pid_t pid;

        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                int msec;

                check_refuses_all(-ECHILD);
                ck_assert_int_eq(vfb_get_fd(connection), -ECHILD);
                ck_assert_int_eq(vfb_get_timeout(connection, &msec), -ECHILD);
                ck_assert_int_eq(vfb_lease_release(lease, NULL), -ECHILD);
                lease = vfb_lease_free(lease);
                _exit(n_states + n_ended + n_disconnected);
        }

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(vfb_lease_renew(lease, 1000000, &usec, NULL), 0);
        dispatch_all(1);
        ck_assert_uint_eq(n_disconnected, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client-misuse");
        TCase *tcase = suite_add_case(suite, "client-misuse", world_begin, world_end);

        tcase_add_test(tcase, callback_can_neither_wait_nor_dispatch);
        tcase_add_test(tcase, child_of_a_fork_can_do_nothing);
        return suite_run(suite);
}
