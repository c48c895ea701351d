/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker run */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "ctl-placeholders.h"
#include "ctl-time.h"
#include "ctl.h"

#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND      127
#define EXIT_SIGNALLED      128

/* Everything that the program is started with. */
typedef struct Launch {
        Handover *handovers;
        size_t n;
        char *names;
        char **argv;
} Launch;

static void launch_done(Launch *launch) {
        for (size_t i = 0; launch->argv && launch->argv[i]; i++)
                free(launch->argv[i]);
        free(launch->argv);
        free(launch->names);
        free(launch->handovers);
}

/* As in the service's roles; the lifeline only on request, so that the lease ends with the command. */
static int collect_handovers(Launch *launch, const Ctl *ctl, const vfb_lease *lease) {
        size_t n = vfb_lease_n_roles(lease);

        launch->handovers = calloc(n + 1, sizeof(*launch->handovers));
        if (!launch->handovers)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                const char *role = vfb_lease_role(lease, i);

                launch->handovers[launch->n++] = (Handover){ role, vfb_lease_fd(lease, role) };
        }
        if (ctl->keep_lifeline)
                launch->handovers[launch->n++] = (Handover){ VFB_ROLE_LIFELINE, vfb_lease_lifeline_fd(lease) };

        return handover_names(&launch->names, launch->handovers, launch->n);
}

/* An exit status. */
static int launch_prepare(Launch *launch, const Ctl *ctl, const vfb_lease *lease, char **args) {
        _cleanup_(freep) char *missing = NULL;
        size_t n_args = 0;
        int r;

        r = collect_handovers(launch, ctl, lease);
        if (r < 0)
                return fail(ctl, r, NULL);

        while (args[n_args])
                n_args++;

        launch->argv = calloc(n_args + 1, sizeof(*launch->argv));
        if (!launch->argv)
                return fail(ctl, -ENOMEM, NULL);

        for (size_t i = 0; i < n_args; i++) {
                r = handover_expand(&launch->argv[i], args[i], launch->handovers, launch->n, &missing);
                if (r == -ENOENT)
                        return fail_usage(ctl, "%s: the lease has no such descriptor", missing ?: args[i]);
                if (r < 0)
                        return fail(ctl, r, NULL);
        }

        return EXIT_SUCCESS;
}

/* Puts the descriptors where sd_listen_fds(3) looks for them. */
static int place_descriptors(const Launch *launch) {
        int above = HANDOVER_FIRST + (int) launch->n;

        /* First all out of the way, so that none is overwritten before it has been copied. */
        for (size_t i = 0; i < launch->n; i++) {
                launch->handovers[i].fd = fcntl(launch->handovers[i].fd, F_DUPFD_CLOEXEC, above);
                if (launch->handovers[i].fd < 0)
                        return -errno;
        }

        for (size_t i = 0; i < launch->n; i++)
                if (dup2(launch->handovers[i].fd, HANDOVER_FIRST + (int) i) < 0)
                        return -errno;

        return 0;
}

static int set_number(const char *name, intmax_t number) {
        char text[24];

        snprintf(text, sizeof(text), "%" PRIdMAX, number);
        return setenv(name, text, 1) < 0 ? -errno : 0;
}

static void __attribute__((noreturn)) execute(const Launch *launch, const sigset_t *mask) {
        int r;

        r = place_descriptors(launch);
        if (r >= 0)
                r = set_number("LISTEN_PID", getpid());
        if (r >= 0)
                r = set_number("LISTEN_FDS", (intmax_t) launch->n);
        if (r >= 0)
                r = unsetenv("LISTEN_PIDFDID") < 0 ? -errno : 0; /* of our own activation, if there was one */
        if (r >= 0)
                r = setenv("LISTEN_FDNAMES", launch->names, 1) < 0 ? -errno : 0;
        if (r >= 0)
                r = sigprocmask(SIG_SETMASK, mask, NULL) < 0 ? -errno : 0;
        if (r >= 0) {
                execvp(launch->argv[0], launch->argv);
                r = -errno;
        }

        say(stderr, "vfio-broker: %s: %s\n", launch->argv[0], strerror(-r));
        _exit(r == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

/* What goes on while the program runs. */
typedef struct Running {
        const Ctl *ctl;
        const sigset_t *mask; /* that it was started with */
        pid_t pid;            /* the program; 0: not yet */
        pid_t hook;           /* of --on-revoke; 0: none */
} Running;

static void run_on_state(vfb_lease *lease, const char *state, void *userdata) {
        if (strcmp(state, "active") != 0 && strcmp(state, "revoking") != 0)
                say(stderr,
                    "vfio-broker: lease %s is over (%s); the program keeps its descriptors until it ends\n",
                    vfb_lease_id(lease), state);
}

static void run_on_device_gone(vfb_lease *lease, const char *device_id, const char *cause, void *userdata) {
        say(stderr, "vfio-broker: lease %s has lost device %s: %s\n", vfb_lease_id(lease), device_id, cause);
}

static void run_on_expiring(vfb_lease *lease, uint64_t expires_usec, void *userdata) {
        char text[TIME_TEXT_MAX];

        time_format_date(expires_usec, text);
        say(stderr, "vfio-broker: lease %s ends at %s; for longer: vfio-broker renew %s TIME\n", vfb_lease_id(lease),
            text, vfb_lease_id(lease));
}

static void __attribute__((noreturn)) execute_hook(const Running *running, const vfb_lease *lease, const char *reason,
                                                   uint64_t deadline_usec) {
        int r;

        r = setenv("VFIO_BROKER_LEASE", vfb_lease_id(lease), 1) < 0 ? -errno : 0;
        if (r >= 0)
                r = setenv("VFIO_BROKER_REASON", reason, 1) < 0 ? -errno : 0;
        if (r >= 0)
                r = set_number("VFIO_BROKER_DEADLINE", (intmax_t) (deadline_usec / 1000000));
        if (r >= 0)
                r = sigprocmask(SIG_SETMASK, running->mask, NULL) < 0 ? -errno : 0;
        if (r >= 0) {
                execl("/bin/sh", "sh", "-c", running->ctl->on_revoke, NULL);
                r = -errno;
        }

        say(stderr, "vfio-broker: %s: %s\n", running->ctl->on_revoke, strerror(-r));
        _exit(EXIT_CANNOT_EXECUTE);
}

/* The program has the devices, so it is the one to let go; the lease ends with it. */
static void run_on_revoke_requested(vfb_lease *lease, const char *reason, uint64_t deadline_usec, void *userdata) {
        Running *running = userdata;

        say(stderr, "vfio-broker: lease %s is to be given back%s%s\n", vfb_lease_id(lease), *reason ? ": " : "",
            reason);
        if (running->pid == 0)
                return;

        if (!running->ctl->on_revoke) {
                (void) kill(running->pid, SIGTERM);
                return;
        }
        if (running->hook > 0)
                return; /* it is at it */

        running->hook = fork();
        if (running->hook == 0)
                execute_hook(running, lease, reason, deadline_usec);
        if (running->hook < 0) {
                running->hook = 0;
                (void) kill(running->pid, SIGTERM);
        }
}

/* 1 and the exit status once the program has ended. */
static int reap(pid_t pid, int *ret_status) {
        int status;

        if (waitpid(pid, &status, WNOHANG) != pid)
                return 0;

        *ret_status = WIFSIGNALED(status) ? EXIT_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
        return 1;
}

/* Hands signals on until the program has ended. Its exit status. */
static int attend(Running *running, vfb *connection, int signal_fd) {
        int r, status = EXIT_FAILURE;
        bool from_terminal;

        for (;;) {
                r = hold_wait(connection, signal_fd, &from_terminal);
                if (r < 0)
                        return fail(running->ctl, r, NULL);

                if (r == SIGCHLD && reap(running->pid, &status))
                        return status;
                if (r == SIGCHLD && running->hook > 0 && waitpid(running->hook, NULL, WNOHANG) == running->hook)
                        running->hook = 0;

                /* The terminal sends its signals to the program as well. */
                if (r > 0 && r != SIGCHLD && !from_terminal)
                        (void) kill(running->pid, r);
        }
}

/* VFIO counts open files: what stayed open here would keep the devices busy after the program. */
static void close_all_but_lifeline(vfb_lease *lease) {
        const char *role;

        for (size_t i = 0; (role = vfb_lease_role(lease, i)); i++)
                close(vfb_lease_take_fd(lease, role));
}

static int run(Running *running, vfb *connection, vfb_lease *lease, char **args) {
        _cleanup_(launch_done) Launch launch = {};
        int r, status, signal_fd;
        const Ctl *ctl = running->ctl;
        sigset_t mask;
        pid_t pid;

        r = launch_prepare(&launch, ctl, lease, args);
        if (r != 0)
                return r;

        sigprocmask(SIG_SETMASK, NULL, &mask);
        r = hold_signals(&signal_fd);
        if (r < 0)
                return fail(ctl, r, NULL);

        if (isatty(STDERR_FILENO))
                say(stderr, "vfio-broker: lease %s, mode %s\n", vfb_lease_id(lease), vfb_lease_mode(lease));

        pid = fork();
        if (pid < 0)
                return fail(ctl, -errno, NULL);
        if (pid == 0)
                execute(&launch, &mask);

        close_all_but_lifeline(lease);
        running->mask = &mask;
        running->pid = pid;
        status = attend(running, connection, signal_fd);

        /* Who asked for the lifeline to be kept may have left it to a process in the background. */
        if (!ctl->keep_lifeline)
                (void) vfb_lease_release(lease, NULL);
        return status;
}

int ctl_run(Ctl *ctl, char **args) {
        _cleanup_(vfb_request_freep) vfb_request *request = NULL;
        _cleanup_(vfb_error_freep) vfb_error *error = NULL;
        _cleanup_(vfb_freep) vfb *connection = NULL;
        _cleanup_(vfb_lease_freep) vfb_lease *lease = NULL;
        static const vfb_listener listener = {
                .lease_state = run_on_state,
                .device_gone = run_on_device_gone,
                .expiring = run_on_expiring,
                .revoke_requested = run_on_revoke_requested,
        };
        Running running = { .ctl = ctl };
        int r;

        r = request_new_from(&request, ctl, /* args= */ NULL);
        if (r < 0)
                return fail(ctl, r, NULL);

        r = vfb_open(&connection, &listener, &running, &error);
        if (r < 0)
                return fail(ctl, r, error);

        r = acquire_lease(ctl, connection, request, &lease);
        if (r != 0)
                return r;

        return run(&running, connection, lease, args);
}
