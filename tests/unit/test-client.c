/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library and the command against a service that says what it is told to (client-stub.c) */

#include <check.h>
#include <dirent.h>
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
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "names.h"
#include "vfio-broker.h"

#define DEADLINE_MSEC 5000

static char folder[] = "/tmp/vfio-broker-client-XXXXXX", events[1024];
static pid_t bus_pid, stub_pid;
static vfb_request *request;
static vfb *connection;

static pid_t spawn(const char *program, const char *argument) {
        pid_t pid = fork();

        if (pid == 0) {
                close_range(3, ~0U, 0);
                execlp(program, program, argument, argument ? "--nofork" : NULL, (char *) NULL);
                _exit(127);
        }
        ck_assert_int_gt(pid, 0);
        return pid;
}

static bool is_there(const char *name) {
        sd_bus_message *reply = NULL;
        sd_bus *bus = NULL;
        int there = 0;

        if (sd_bus_open_system(&bus) >= 0 &&
            sd_bus_call_method(bus, "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner", NULL,
                               &reply, "s", name) >= 0)
                sd_bus_message_read(reply, "b", &there);
        sd_bus_message_unref(reply);
        sd_bus_flush_close_unref(bus);
        return there;
}

static void wait_for_name(const char *name) {
        for (int i = 0; i < DEADLINE_MSEC && !is_there(name); i++)
                usleep(1000);
}

static void world_begin(void) {
        char path[128], argument[160], address[128];
        FILE *file;

        ck_assert_ptr_nonnull(mkdtemp(strcpy(folder, "/tmp/vfio-broker-client-XXXXXX")));
        snprintf(path, sizeof(path), "%s/bus.conf", folder);
        snprintf(argument, sizeof(argument), "--config-file=%s", path);
        snprintf(address, sizeof(address), "unix:path=%s/bus", folder);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        fprintf(file,
                "<busconfig><listen>%s</listen><auth>EXTERNAL</auth><policy context='default'>"
                "<allow send_destination='*' eavesdrop='true'/><allow own='*'/><allow receive_sender='*'/></policy></busconfig>",
                address);
        fclose(file);
        setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);

        bus_pid = spawn("dbus-daemon", argument);
        wait_for_name("org.freedesktop.DBus");
        stub_pid = spawn(STUB, NULL);
        wait_for_name(VFB_BUS_NAME);

        *events = '\0';
        ck_assert_int_eq(vfb_request_new(&request), 0);
}

static void end(pid_t *pid) {
        if (*pid > 0) {
                kill(*pid, SIGTERM);
                waitpid(*pid, NULL, 0);
        }
        *pid = 0;
}

static void world_end(void) {
        char path[128];

        request = vfb_request_free(request);
        connection = vfb_free(connection);
        end(&stub_pid);
        end(&bus_pid);
        snprintf(path, sizeof(path), "%s/bus.conf", folder);
        unlink(path);
        snprintf(path, sizeof(path), "%s/bus", folder);
        unlink(path);
        rmdir(folder);
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

static size_t count_fds(void) {
        DIR *dir = opendir("/proc/self/fd");
        size_t n = 0;

        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

/* Dispatches until @expected was noted, or until nothing happens any more. */
static void dispatch_until(const char *expected) {
        for (int i = 0; i < DEADLINE_MSEC && !strstr(events, expected); i++) {
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
        size_t before;

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
        ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(released_and_freed_leases_leave_nothing_open) {
        size_t before;

        ck_assert_int_eq(vfb_open(&connection, &listener, NULL, NULL), 0);
        before = count_fds();
        vfb_request_add_device(request, "many:30", NULL);
        for (int i = 0; i < 20; i++) {
                vfb_lease *lease;

                ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
                if (i % 2) {
                        ck_assert_int_eq(vfb_lease_release(lease, NULL), 0);
                        ck_assert_uint_eq(count_fds(), before);
                        ck_assert_int_eq(vfb_lease_container_fd(lease), -EBADF);
                        ck_assert_int_eq(vfb_lease_lifeline_fd(lease), -EBADF);
                }
                vfb_lease_free(lease);
                ck_assert_uint_eq(count_fds(), before);
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
        size_t before;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "0000:06:0d.0", NULL);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, NULL), 0);
        ck_assert_int_eq(vfb_lease_offer(lease, 1000, -1, 60000000, &token, NULL), 0);
        before = count_fds();

        ck_assert_int_eq(vfb_claim(connection, "x", NULL, &claimed, &error), -EACCES);
        ck_assert_ptr_null(claimed);
        vfb_error_free(error);
        ck_assert_uint_eq(count_fds(), before);
        ck_assert_int_eq(vfb_claim(connection, token, NULL, &claimed, NULL), 0);
        ck_assert_str_eq(vfb_lease_device_id(claimed, 0), "0000:06:0d.0");
        ck_assert_int_ge(vfb_lease_lifeline_fd(claimed), 3);
        vfb_lease_free(claimed);
        ck_assert_uint_eq(count_fds(), before);
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
        end(&stub_pid);
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
        end(&bus_pid);
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
        size_t before;

        ck_assert_int_eq(vfb_open(&connection, NULL, NULL, NULL), 0);
        vfb_request_add_device(request, "slow:300", NULL);
        before = count_fds();
        vfb_request_set_timeout(request, 100000);
        ck_assert_int_eq(vfb_acquire(connection, request, &lease, &error), -ETIMEDOUT);
        vfb_error_free(error);

        /* The answer to the next call comes after the late one. */
        ck_assert_int_eq(vfb_explain(connection, request, NULL, NULL, NULL), 1);
        ck_assert_uint_eq(count_fds(), before);
}
END_TEST

static const struct {
        const char *arguments, *output;
        int status;
} commands[] = {
        { "list", "0000:06:0d.1 e1000        -    0 not-viable group 26 has a bridge", 0 },
        { "list --json | tr -d ' \\n'", "\"id\":\"0000:06:0d.1\",", 0 },
        { "list --json", "\"why\": \"group 26 has a bridge\"", 0 },
        { "tree", "0000:06:0d.0    26 yes    vfio-pci available", 0 },
        { "tree --json", "\"parent\": \"0000:00:1e.0\"", 0 },
        { "show 0000:06:0d.0", "Name: Sound ?[31mcard", 0 },
        { "show 0000:06:0d.0 --json", "\"vendor_id\": 32902", 0 },
        { "show 0000:06:0d.7", "hint: vfio-broker list", 3 },
        { "show 0000:06:0d.7 --json", "\"error\":\"org.vfiobroker1.Error.NoSuchDevice\"", 3 },
        { "leases", "l-1   root active", 0 },
        { "explain 0000:06:0d.0", "yes: ", 0 },
        { "explain refuse:NotViable", "no: group 26 also holds 0000:06:0d.1\n    unbind it\n", 6 },
        { "explain refuse:Leased --json", "\"code\": \"Leased\"", 5 },
        { "acquire refuse:Quarantined", "It is ?[31mQuarantined\n  hint: An admin", 7 },
        { "acquire 0000:06:0d.0 --label events", "lease l-1 has ended: its devices are gone", 1 },
        { "acquire -d 0000:06:0d.0 --label events --json", "{\"event\":\"lease-ended\",\"lease\":\"l-1\",\"reason\":\"removed\"}", 1 },
        { "run -d 0000:06:0d.0 -d 0000:06:0d.1 -- echo {container} {dev:1} {dev:1:address} {x}", "3 5 0000:06:0d.1 {x}\n", 0 },
        { "run -d 0000:06:0d.0 -- sh -c 'test -e /proc/self/fd/4 -a ! -e /proc/self/fd/5 -a $LISTEN_PID = $$ && echo $LISTEN_FDS$LISTEN_FDNAMES'", "2container:dev0\n", 0 },
        { "run -d 0000:06:0d.0 --keep-lifeline --mode legacy-raw -- sh -c 'echo $LISTEN_FDNAMES'", "container:group26:lifeline\n", 0 },
        { "run -d 0000:06:0d.0 --mode mediated -- sh -c 'echo $LISTEN_FDNAMES {dev:0}'", "dev0 3\n", 0 },
        { "run -d 0000:06:0d.0 --mode mediated -- echo {container}", "{container}: the lease has no such", 2 },
        { "acquire 0000:06:0d.0 --mode mediated --label events", "lease l-1, mode mediated\n  device 0000:06:0d.0", 1 },
        { "acquire 0000:06:0d.0 --mode mediated --label events --json", "\"model\":null,", 1 },
        { "run -d 0000:06:0d.0 -- echo {dev:1}", "{dev:1}: the lease has no such", 2 },
        { "run -d 0000:06:0d.0 -- sh -c 'exit 9'", "", 9 },
        { "run -d 0000:06:0d.0 -- sh -c 'kill -USR1 $$'", "", 138 },
        { "run -d 0000:06:0d.0 -- /", "", 126 },
        { "run -d 0000:06:0d.0 -- /nonexistent", "", 127 },
        { "run -d 0000:06:0d.0 -- sh -c 'kill -TERM $PPID; exec sleep 5'", "", 143 },
        { "acquire 0000:06:0d.0 --time 2h --label events", "; for longer: vfio-broker renew l-1 TIME", 1 },
        { "acquire 0000:06:0d.0 --label events --json", "{\"event\":\"expiring\",\"lease\":\"l-1\",\"expires_usec\":1700000000000000}", 1 },
        { "run -d 0000:06:0d.0 --label events --time 1h -- sleep 0.2", "for longer: vfio-broker renew l-1", 0 },
        { "acquire 0000:06:0d.0 --label events --lifetime pid:1", "has ended", 1 },
        { "acquire 0000:06:0d.0 --label events --lifetime pid:nobody", "pid:nobody: no number", 2 },
        { "acquire 0000:06:0d.0 --time soon", "--time=soon: no time; try 90s", 2 },
        { "acquire 0000:06:0d.0 --time 0", "no time", 2 },
        { "acquire 0000:06:0d.0 --label revoke", "lease l-1 is to be given back: main?[31mtenance\nlease l-1 was taken back\n", 1 },
        { "acquire 0000:06:0d.0 --label revoke --json", "{\"event\":\"lease-ended\",\"lease\":\"l-1\",\"reason\":\"revoked\"}", 1 },
        { "run -d 0000:06:0d.0 --label revoke -- sleep 5", "lease l-1 is to be given back: main?[31m", 143 },
        { "run -d 0000:06:0d.0 --label revoke --on-revoke 'echo $VFIO_BROKER_LEASE $VFIO_BROKER_DEADLINE' -- sleep 0.5", "l-1 1700000000\n", 0 },
        { "acquire 0000:06:0d.0 --on-revoke true", "acquire does not take", 2 },
        { "revoke l-1 --grace 7", "asked: the holder has 7 s\nsigterm: process 47 (a?b), which has: device\nlease l-1 is over (revoked)\n", 0 },
        { "revoke l-1 --grace 7s --reason x --json", "{\"event\":\"step\",\"lease\":\"l-1\",\"step\":\"asked\",\"text\":\"the holder has 7 s\"}", 0 },
        { "revoke l-busy --grace 7", "busy: in vain\nvfio-broker: lease l-busy stays", 5 },
        { "revoke l-dirty --grace 7", "lease l-dirty is over (failed)\n", 7 },
        { "revoke l-1 --grace 7 --reason refuse", "Not allowed", 4 },
        { "revoke l-1 --grace soon", "--grace=soon: no time", 2 },
        { "revoke", "revoke needs: LEASE", 2 },
        { "renew l-1 2h", "lease l-1 ends at 1970-01-01 0", 0 },
        { "renew l-1 2h --json", "{\"lease\":\"l-1\",\"expires_usec\":7200000000}", 0 },
        { "renew l-1 0", "lease l-1 has no end of time", 0 },
        { "renew l-1 77s", "A lease may last 60 seconds\n  hint: ", 8 },
        { "renew l-1 soon", "soon: no time", 2 },
        { "renew l-1", "renew needs: LEASE TIME", 2 },
        { "leases", "0s   0000:06:0d.0 0000:06:0d.1", 0 },
        { "log --since never", "--since=never: no time", 2 },
        { "log -n 0", "--lines=0: a number", 2 },
        { "log l-1", "log takes no arguments but: [-d DEVICE]", 2 },
        { "log -d 0000:06:0d.7x", "No device matches", 3 },
        { "log -d a -d b", "log takes one device", 2 },
        { "leases --lease l-1", "does not take", 2 },
        { "offer l-1 --uid 1000", "0123456789abcdef0123456789abcdef\n", 0 },
        { "offer l-1 --uid 1000 --timeout 2h --json", "{\"lease\":\"l-1\",\"token\":\"0123456789abcdef0123456789abcdef\"}", 0 },
        { "offer l-1 --uid root", "other\n", 0 },
        { "offer l-1 --pid 1", "other\n", 0 },
        { "offer l-1 --pid 99999999", "No such process", 1 },
        { "offer l-1", "offer needs: --uid USER", 2 },
        { "offer l-1 --uid 1 --pid 1", "offer needs: --uid USER", 2 },
        { "offer l-1 --uid nobody-here", "no such user", 2 },
        { "offer l-1 --uid 4294967295", "no such user", 2 },
        { "offer l-1 --uid 1 --timeout soon", "no time", 2 },
        { "claim 0123456789abcdef0123456789abcdef", "lease l-1, mode legacy\n", 1 },
        { "claim x", "Not allowed", 4 },
        { "release l-1", "", 0 },
        { "quarantine 0000:06:0d.0 --reason dirty", "", 0 },
        { "quarantine 0000:06:0d.0", "--reason", 2 },
        { "unquarantine 0000:06:0d.0", "", 0 },
        { "bind 0000:06:0d.0 --driver vfio-pci --companions refuse", "", 0 },
        { "bind", "bind needs", 2 },
        { "restore 0000:06:0d.0", "", 0 },
        { "restore 0000:06:0d.0 --driver vfio-pci", "does not take", 2 },
        { "list --reason x", "does not take", 2 },
        { "list --color=sometimes", "auto, always or never", 2 },
        { "list --color=always", "\033[3", 0 },
        { "nonsense", "nonsense: no such command", 2 },
        { "list --nonsense", "--nonsense", 2 },
        { "", "missing", 2 },
        { "--version", "vfio-broker ", 0 },
        { "run --help", "sd_listen_fds_with_names(3)", 0 },
};

START_TEST(the_command_says_what_it_did) {
        char line[512], output[8192] = "";
        FILE *pipe;
        int status;

        snprintf(line, sizeof(line), "exec 2>&1 </dev/null; LC_ALL=C.UTF-8 %s %s", COMMAND,
                 commands[_i].arguments);
        pipe = popen(line, "re");
        ck_assert_ptr_nonnull(pipe);
        ck_assert_uint_lt(fread(output, 1, sizeof(output) - 1, pipe), sizeof(output) - 1);
        status = pclose(pipe);
        ck_assert_msg(strstr(output, commands[_i].output), "%s says: %s", commands[_i].arguments, output);
        ck_assert_int_eq(WEXITSTATUS(status), commands[_i].status);
}
END_TEST

START_TEST(without_the_service_the_command_says_how_to_start_it) {
        char output[512] = "";
        FILE *pipe;

        end(&stub_pid);
        pipe = popen(COMMAND " list 2>&1", "re");
        ck_assert_uint_gt(fread(output, 1, sizeof(output) - 1, pipe), 0);
        ck_assert_int_eq(WEXITSTATUS(pclose(pipe)), 9);
        ck_assert_str_eq(
                output,
                "vfio-broker: The service is not running\n  hint: Start it: systemctl start vfio-broker\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client");
        TCase *tcase = tcase_create("client");
        SRunner *runner = srunner_create(suite);
        int failed;

        suite_add_tcase(suite, tcase);
        tcase_add_checked_fixture(tcase, world_begin, world_end);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_lease_has_its_descriptors_and_gives_them_away);
        tcase_add_test(tcase, a_lease_of_many_devices_comes_in_pages);
        tcase_add_test(tcase, mediated_mode_has_no_container);
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
        tcase_add_loop_test(tcase, the_command_says_what_it_did, 0, sizeof(commands) / sizeof(*commands));
        tcase_add_test(tcase, without_the_service_the_command_says_how_to_start_it);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed != 0;
}
