/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library against a service that says what it is told to (client-stub.c) */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "client-world.h"
#include "fds.h"
#include "names.h"
#include "suite.h"
#include "vfio-broker.h"

static char events[1024];
static vfb_request *request;
static vfb *connection;

static void world_begin(void) {
        client_world_begin();
        *events = '\0';
        ck_assert_int_eq(vfb_request_new(&request), 0);
}

static void world_end(void) {
        request = vfb_request_free(request);
        connection = vfb_free(connection);
        client_world_end();
}

static void note(const char *format, const char *a, const char *b) {
        size_t n = strlen(events);

        snprintf(events + n, sizeof(events) - n, format, a, b);
}

static void on_state(vfb_lease *lease, const char *state, void *userdata) {
        note("state=%s%s;", state, "");
}

static void on_ended(vfb_lease *lease, const char *reason, void *userdata) {
        note("ended=%s%s;", reason, "");
}

static void on_device_gone(vfb_lease *lease, const char *device_id, const char *cause, void *userdata) {
        note("gone=%s,%s;", device_id, cause);
}

static void on_expiring(vfb_lease *lease, uint64_t expires_usec, void *userdata) {
        char text[32];

        snprintf(text, sizeof(text), "%" PRIu64, expires_usec);
        note("expiring=%s%s;", text, "");
}

static void on_revoke_requested(vfb_lease *lease, const char *reason, uint64_t deadline_usec, void *userdata) {
        ck_assert_uint_eq(deadline_usec, 1700000000000000);
        note("revoke=%s%s;", reason, "");
}

static void on_disconnected(vfb *c, void *userdata) {
        note("disconnected%s%s;", "", "");
}

static const vfb_listener listener = {
        .lease_state = on_state,
        .lease_ended = on_ended,
        .device_gone = on_device_gone,
        .disconnected = on_disconnected,
        .expiring = on_expiring,
        .revoke_requested = on_revoke_requested,
};

/* Dispatches until @expected was noted, or until nothing happens any more. */
static void dispatch_until(const char *expected) {
        for (int i = 0; i < CLIENT_DEADLINE_MSEC && !strstr(events, expected); i++) {
                int msec;

                if (vfb_get_timeout(connection, &msec) < 0)
                        return;
                poll(&(struct pollfd){ vfb_get_fd(connection), (short) vfb_get_events(connection), 0 }, 1,
                     msec == 0 ? 0 : 1);
                if (vfb_dispatch(connection) < 0)
                        return;
        }
}

START_TEST(a_lease_has_its_descriptors_and_gives_them_away) {
        vfb_lease *lease;
        int fd;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.1", NULL);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);

        ck_assert_str_eq(vfb_lease_id(lease), "l-1");
        ck_assert_str_eq(vfb_lease_mode(lease), "legacy");
        ck_assert_str_eq(vfb_lease_model(lease), "type1v2");
        ck_assert_uint_eq(vfb_lease_n_devices(lease), 2);
        ck_assert_str_eq(vfb_lease_device_id(lease, 0), "0000:06:0d.1");
        ck_assert_ptr_null(vfb_lease_device_id(lease, 2));
        ck_assert_str_eq(vfb_lease_reset_used(lease, 0), "flr");
        ck_assert_ptr_null(vfb_lease_reset_used(lease, 2));
        ck_assert_ptr_null(vfb_lease_attribute(lease, "container", "later"));
        ck_assert_uint_eq(vfb_lease_n_roles(lease), 3);
        ck_assert_str_eq(vfb_lease_role(lease, 0), "container");
        ck_assert_ptr_null(vfb_lease_role(lease, 3));
        ck_assert_int_eq(vfb_lease_device_fd(lease, 2), -ENOENT);
        ck_assert_int_eq(vfb_lease_group_fd(lease, 0), -ENOENT);
        ck_assert_int_eq(vfb_lease_group(lease, 0), -ENOENT);
        ck_assert_int_eq(vfb_lease_fd(lease, "banana"), -ENOENT);
        ck_assert_int_eq(vfb_lease_fd(lease, "container"), vfb_lease_container_fd(lease));
        ck_assert_int_eq(vfb_lease_device_fd_by_id(lease, "0000:06:0d.0"), vfb_lease_device_fd(lease, 1));
        ck_assert_int_eq(fcntl(vfb_lease_container_fd(lease), F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(fcntl(vfb_lease_device_fd(lease, 0), F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(fcntl(vfb_lease_lifeline_fd(lease), F_GETFD), FD_CLOEXEC);

        fd = vfb_lease_take_fd(lease, "device:0000:06:0d.0");
        ck_assert_int_ge(fd, 3);
        ck_assert_int_eq(vfb_lease_device_fd(lease, 1), -EBADF);
        ck_assert_int_eq(vfb_lease_take_fd(lease, "device:0000:06:0d.0"), -EBADF);
        ck_assert_int_eq(vfb_lease_take_fd(lease, "device:none"), -ENOENT);
        vfb_lease_free(lease);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        close(fd);
}
END_TEST

START_TEST(a_lease_of_many_devices_comes_in_pages) {
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "many:40", NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        ck_assert_uint_eq(vfb_lease_n_devices(lease), 40);
        for (size_t i = 0; i < 40; i++)
                ck_assert_int_ge(vfb_lease_device_fd(lease, i), 3);
        vfb_lease_free(lease);
}
END_TEST

START_TEST(mediated_mode_has_no_container) {
        vfb_error *error = NULL;
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        vfb_request_set_mode(request, "mediated");
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        ck_assert_str_eq(vfb_lease_mode(lease), "mediated");
        ck_assert_ptr_null(vfb_lease_model(lease));
        ck_assert_int_eq(vfb_lease_container_fd(lease), -ENOENT);
        ck_assert_uint_eq(vfb_lease_n_roles(lease), 1);
        vfb_lease_free(lease);

        request = vfb_request_free(request);
        vfb_request_new(&request);
        vfb_request_add_device(request, "bad:container", NULL);
        vfb_request_set_mode(request, "mediated");
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, &error), -EBADMSG);
        vfb_error_free(error);
}
END_TEST

START_TEST(devices_of_other_buses_have_other_names) {
        const char *id = "platform:soc@0:gpu,mali-450+1_2.auto";
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, id, NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        ck_assert_int_ge(vfb_lease_device_fd_by_id(lease, id), 3);
        vfb_lease_free(lease);
}
END_TEST

START_TEST(raw_mode_has_groups) {
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        vfb_request_set_mode(request, "legacy-raw");
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        ck_assert_str_eq(vfb_lease_mode(lease), "legacy-raw");
        ck_assert_uint_eq(vfb_lease_n_groups(lease), 1);
        ck_assert_int_eq(vfb_lease_group(lease, 0), 26);
        ck_assert_int_ge(vfb_lease_group_fd(lease, 0), 3);
        vfb_lease_free(lease);
}
END_TEST

static const struct {
        const char *selector;
        int expected;
        const char *name;
} failures[] = {
        { "refuse:Leased", -EBUSY, "org.vfiobroker1.Error.Leased" },
        { "refuse:NotViable", -EPERM, "org.vfiobroker1.Error.NotViable" },
        { "refuse:Later", -EIO, "org.vfiobroker1.Error.Later" },
        { "bad:role", -EBADMSG, "System.Error.EBADMSG" },
        { "bad:twice", -EBADMSG, "System.Error.EBADMSG" },
        { "bad:bare", -EBADMSG, "System.Error.EBADMSG" },
        { "bad:signature", -EBADMSG, "System.Error.EBADMSG" },
        { "bad:path", -EBADMSG, "System.Error.EBADMSG" },
        { "bad:endless", -EBADMSG, "System.Error.EBADMSG" },
        { "bad:page", -EBADMSG, "System.Error.EBADMSG" },
};

START_TEST(a_failure_has_a_name_and_leaves_nothing_open) {
        int before;

        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), 0);
        before = count_fds();
        vfb_request_add_device(request, failures[_i].selector, NULL);
        vfb_request_add_device(request, "many:40", NULL);
        for (int i = 0; i < 20; i++) {
                vfb_lease *lease = NULL;
                vfb_error *error = NULL;

                ck_assert_int_eq(vfb_acquire(connection, request, &lease, &error), failures[_i].expected);
                ck_assert_ptr_null(lease);
                ck_assert_str_eq(vfb_error_name(error), failures[_i].name);
                vfb_error_free(error);
                ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), failures[_i].expected);
        }
        ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(released_and_freed_leases_leave_nothing_open) {
        int before;

        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), 0);
        before = count_fds();
        vfb_request_add_device(request, "many:30", NULL);
        for (int i = 0; i < 20; i++) {
                vfb_lease *lease;

                ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
                if (i % 2) {
                        ck_assert_int_eq(vfb_lease_release(lease, NULL), 0);
                        ck_assert_int_eq(count_fds(), before);
                        ck_assert_int_eq(vfb_lease_container_fd(lease), -EBADF);
                        ck_assert_int_eq(vfb_lease_lifeline_fd(lease), -EBADF);
                }
                vfb_lease_free(lease);
                ck_assert_int_eq(count_fds(), before);
        }
}
END_TEST

START_TEST(without_room_for_descriptors_it_says_so) {
        struct rlimit limit = { 20, 20 };
        vfb_error *error = NULL;
        vfb_lease *lease = NULL;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "many:40", NULL);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, &error), -EMFILE);
        ck_assert_str_eq(vfb_error_name(error), "System.Error.EMFILE");
        vfb_error_free(error);
}
END_TEST

START_TEST(events_come_from_dispatch_and_in_order) {
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        vfb_request_set_label(request, "events");
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);

        /* This call receives the events; they wait for their turn. */
        ck_assert_int_eq(vfb_lease_release(lease, NULL), 0);
        ck_assert_str_eq(events, "");
        dispatch_until("ended");
        ck_assert_str_eq(events, "state=lingering;gone=0000:06:0d.0,unplug;expiring=1700000000000000;ended=removed;");
        vfb_lease_free(lease);
}
END_TEST

START_TEST(a_lease_is_given_back_when_asked_for) {
        vfb_lease *lease;
        size_t n;

        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        vfb_request_set_label(request, "revoke");
        n = count_fds();
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        dispatch_until("revoke=main\033[31mtenance;");
        ck_assert_int_eq(vfb_lease_revoke_complete(lease, NULL), 0);
        ck_assert_uint_eq(count_fds(), n);
        ck_assert_int_eq(vfb_lease_container_fd(lease), -EBADF);
        dispatch_until("ended=revoked;");
        ck_assert_str_eq(events, "state=revoking;revoke=main\033[31mtenance;ended=revoked;");
        connection = vfb_free(connection);
        ck_assert_int_eq(vfb_lease_revoke_complete(lease, NULL), -ENOTCONN);
        vfb_lease_free(lease);
}
END_TEST

START_TEST(a_lease_is_renewed_and_says_when_it_ends) {
        vfb_error *error = NULL;
        uint64_t usec = 5;
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        ck_assert_int_eq(vfb_lease_renew(lease, 4000000, &usec, NULL), 0);
        ck_assert_uint_eq(usec, 4000000);
        ck_assert_int_eq(vfb_lease_renew(lease, 4000000, NULL, NULL), 0);
        ck_assert_int_eq(vfb_lease_expires(lease, &usec, NULL), 0);
        ck_assert_uint_eq(usec, 1700000003600000);
        ck_assert_int_eq(vfb_lease_renew(lease, 77000000, &usec, &error), -EDQUOT);
        ck_assert_uint_eq(usec, 1700000003600000);
        ck_assert_str_eq(vfb_error_text(error), "A lease may last 60 seconds");
        vfb_error_free(error);

        connection = vfb_free(connection);
        ck_assert_int_eq(vfb_lease_renew(lease, 4000000, &usec, NULL), -ENOTCONN);
        ck_assert_int_eq(vfb_lease_expires(lease, &usec, NULL), -ENOTCONN);
        vfb_lease_free(lease);
}
END_TEST

START_TEST(a_lease_is_offered_and_claimed) {
        vfb_error *error = NULL;
        char *token = NULL;
        vfb_lease *lease, *claimed = NULL;
        int before;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        ck_assert_int_eq(vfb_lease_offer(lease, 1000, -1, 60000000, &token, NULL), 0);
        before = count_fds();

        ck_assert_int_eq(vfb_claim(connection, "x", NULL, &claimed, &error), -EACCES);
        ck_assert_ptr_null(claimed);
        vfb_error_free(error);
        ck_assert_int_eq(count_fds(), before);
        ck_assert_int_eq(vfb_claim(connection, token, NULL, &claimed, NULL), 0);
        ck_assert_str_eq(vfb_lease_device_id(claimed, 0), "0000:06:0d.0");
        ck_assert_int_ge(vfb_lease_lifeline_fd(claimed), 3);
        vfb_lease_free(claimed);
        ck_assert_int_eq(count_fds(), before);
        free(token);
        vfb_lease_free(lease);
}
END_TEST

/* Anybody may send a signal to anybody; the sender's name is all that tells them apart. */
static void forge_events(void) {
        sd_bus_message *reply = NULL, *m;
        const char *name;
        sd_bus *bus;

        ck_assert_int_ge(sd_bus_open_system(&bus), 0);
        ck_assert_int_ge(sd_bus_call_method(bus, "org.freedesktop.DBus", "/", "org.freedesktop.DBus",
                                            "ListNames", NULL, &reply, NULL),
                         0);
        ck_assert_int_gt(sd_bus_message_enter_container(reply, 'a', "s"), 0);
        while (sd_bus_message_read(reply, "s", &name) > 0) {
                ck_assert_int_ge(
                        sd_bus_message_new_signal(bus, &m, VFB_PATH, VFB_INTERFACE_MANAGER, "LeaseRemoved"),
                        0);
                ck_assert_int_ge(sd_bus_message_append(m, "sos", "l-1", VFB_PATH_LEASE "/l_2d1", "forged"), 0);
                ck_assert_int_ge(sd_bus_message_set_destination(m, name), 0);
                ck_assert_int_ge(sd_bus_send(bus, m, NULL), 0);
                sd_bus_message_unref(m);
        }
        sd_bus_message_unref(reply);
        sd_bus_flush_close_unref(bus);
}

START_TEST(events_of_others_are_not_believed) {
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        forge_events();
        client_world_lose_stub();
        dispatch_until("disconnected");
        ck_assert_str_eq(events, "disconnected;");
        ck_assert_int_ge(vfb_lease_container_fd(lease), 3);
        vfb_lease_free(lease);
}
END_TEST

START_TEST(a_lost_bus_is_told_once_and_the_descriptors_stay) {
        vfb_error *error = NULL;
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        client_world_lose_bus();
        dispatch_until("never");
        ck_assert_str_eq(events, "disconnected;");
        ck_assert_int_eq(vfb_dispatch(connection), -ENOTCONN);
        ck_assert_int_eq(vfb_get_fd(connection), -ENOTCONN);
        ck_assert_int_ge(vfb_lease_container_fd(lease), 3);
        ck_assert_int_eq(vfb_lease_release(lease, &error), -ENOTCONN);
        ck_assert_int_eq(vfb_error_exit_code(error), 9);
        ck_assert_int_eq(vfb_lease_container_fd(lease), -EBADF);
        vfb_error_free(error);
        vfb_lease_free(lease);
}
END_TEST

START_TEST(a_lease_outlives_its_connection) {
        vfb_error *error = NULL;
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        connection = vfb_free(connection);
        ck_assert_int_ge(vfb_lease_container_fd(lease), 3);
        ck_assert_int_eq(vfb_lease_release(lease, &error), -ENOTCONN);
        vfb_error_free(error);
        vfb_lease_free(lease);
}
END_TEST

static void on_alarm(int signal) {
}

START_TEST(a_signal_handler_does_not_cost_the_lease) {
        struct sigaction action = { .sa_handler = on_alarm };
        vfb_lease *lease;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "slow:300", NULL);
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &(struct itimerval){ .it_value.tv_usec = 50000, .it_interval.tv_usec = 50000 },
                  NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        setitimer(ITIMER_REAL, &(struct itimerval){}, NULL);
        vfb_lease_free(lease);
}
END_TEST

START_TEST(a_lease_that_comes_too_late_leaves_nothing_open) {
        vfb_error *error = NULL;
        vfb_lease *lease;
        int before;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "late", NULL);
        before = count_fds();
        vfb_request_set_timeout(request, 100000);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, &error), -ETIMEDOUT);
        vfb_error_free(error);

        /* which has the late answer come before its own */
        ck_assert_int_eq(vfb_explain(connection, request, NULL, NULL, NULL), 1);
        ck_assert_int_eq(count_fds(), before);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client");
        TCase *tcase = suite_add_case(suite, "client", world_begin, world_end);

        tcase_add_test(tcase, a_lease_has_its_descriptors_and_gives_them_away);
        tcase_add_test(tcase, a_lease_of_many_devices_comes_in_pages);
        tcase_add_test(tcase, mediated_mode_has_no_container);
        tcase_add_test(tcase, devices_of_other_buses_have_other_names);
        tcase_add_test(tcase, raw_mode_has_groups);
        tcase_add_loop_test(tcase, a_failure_has_a_name_and_leaves_nothing_open, 0,
                            sizeof(failures) / sizeof(*failures));
        tcase_add_test(tcase, released_and_freed_leases_leave_nothing_open);
        tcase_add_test(tcase, without_room_for_descriptors_it_says_so);
        tcase_add_test(tcase, events_come_from_dispatch_and_in_order);
        tcase_add_test(tcase, a_lease_is_given_back_when_asked_for);
        tcase_add_test(tcase, a_lease_is_renewed_and_says_when_it_ends);
        tcase_add_test(tcase, a_lease_is_offered_and_claimed);
        tcase_add_test(tcase, events_of_others_are_not_believed);
        tcase_add_test(tcase, a_lost_bus_is_told_once_and_the_descriptors_stay);
        tcase_add_test(tcase, a_lease_outlives_its_connection);
        tcase_add_test(tcase, a_signal_handler_does_not_cost_the_lease);
        tcase_add_test(tcase, a_lease_that_comes_too_late_leaves_nothing_open);
        return suite_run(suite);
}
