/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bench */

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "bench.h"
#include "suite.h"

#define SLOTS 32
#define BUSES 255 /* of a domain, but for bus 0 */

static const char config[] = "[Limits]\nLeasesMax=10000\nLeasesPerUserMax=10000\n";
static unsigned n_to_build;
static bool all_in_one_group; /* and on host drivers */

const char *stage_address(unsigned device) {
        static char address[32];

        snprintf(address, sizeof(address), "%04x:%02x:%02x.0", device / SLOTS / BUSES, 1 + device / SLOTS % BUSES,
                 device % SLOTS);
        return address;
}

static int build(Tree *tree) {
        int r = 0;

        for (unsigned i = 0; r == 0 && i < n_to_build; i++)
                r = tree_add_pci(tree, &(TreePci){
                        .address = stage_address(i),
                        .driver = all_in_one_group ? "e1000e" : "vfio-pci",
                        .reset_methods = "flr",
                        .class = 0x020000,
                        .vendor = 0x8086,
                        .device = 0x10c9,
                        .subsystem_vendor = 0x8086,
                        .group = all_in_one_group ? 1 : (int) i + 1,
                });
        return r;
}

static World *stage_build(unsigned n_devices, bool in_one_group) {
        struct rlimit limit;
        World *world;

        /* three descriptors a lease in the daemon, one here */
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);

        n_to_build = n_devices;
        all_in_one_group = in_one_group;
        world_start(&world, &(WorldSpec){ .build = build, .no_daemon = true });
        ck_assert_int_ge(tree_write(world->tree, "daemon.conf", config), 0);

        /* The world's own connection listens to every signal, at the expense of the bus. */
        sd_bus_flush_close_unref(world->bus);
        world->bus = world_connect(world, ROOT);
        return world;
}

World *stage_new(unsigned n_devices) {
        return stage_build(n_devices, /* in_one_group= */ false);
}

World *stage_new_in_one_group(unsigned n_devices) {
        return stage_build(n_devices, /* in_one_group= */ true);
}

static const char *variable(const char *name) {
        const char *value = getenv(name);

        ck_assert_msg(value, "%s is not set: run the benchmark by meson", name);
        return value;
}

static int notify_socket(World *world, char path[sizeof(((struct sockaddr_un *) NULL)->sun_path)]) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/ready", tree_root(world->tree));
        unlink(address.sun_path);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        memcpy(path, address.sun_path, sizeof(address.sun_path));
        return fd;
}

static void exec_program(World *world, const char *const *argv, const char *const *environment) {
        char log[PATH_MAX];
        sigset_t none;
        int fd;

        snprintf(log, sizeof(log), "%s/program.log", tree_root(world->tree));
        fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
                _exit(126);
        close_range(3, ~0U, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvpe(argv[0], (char *const *) argv, (char *const *) environment);
        _exit(127);
}

static void wait_until_ready(int fd) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        char message[1024] = "";

        while (!strstr(message, "READY=1")) {
                ssize_t n;

                ck_assert_msg(poll(&poll_fd, 1, 60000) == 1, "A program is not ready after a minute");
                n = recv(fd, message, sizeof(message) - 1, 0);
                ck_assert_int_ge(n, 0);
                message[n] = '\0';
        }
}

typedef struct Command {
        char texts[4][PATH_MAX + 64];
        const char *argv[16];
        size_t n;
} Command;

static void command_add(Command *command, const char *word) {
        command->argv[command->n++] = word;
}

static void command_new(Command *ret, World *world, Program program, Under under) {
        const char *root = tree_root(world->tree);

        *ret = (Command){};
        snprintf(ret->texts[0], sizeof(ret->texts[0]), "--root=%s", root);
        snprintf(ret->texts[1], sizeof(ret->texts[1]), "--config=%s/daemon.conf", root);
        snprintf(ret->texts[2], sizeof(ret->texts[2]), "--output=%s/trace", root);
        snprintf(ret->texts[3], sizeof(ret->texts[3]), "--callgrind-out-file=%s/callgrind.%%p", root);

        if (under == UNDER_STRACE) {
                /* --daemonize: the tracer steps aside, so that the program is our child and not its */
                const char *const strace[] = { "strace", "--daemonize", "-f", "-y", "-s", "64", ret->texts[2] };

                for (size_t i = 0; i < sizeof(strace) / sizeof(*strace); i++)
                        command_add(ret, strace[i]);
        } else if (under == UNDER_CALLGRIND) {
                command_add(ret, "valgrind");
                command_add(ret, "--tool=callgrind");
                command_add(ret, "--instr-atstart=no");
                command_add(ret, ret->texts[3]);
        }
        command_add(ret, variable(program == PROGRAM_PLAIN ? "PLAIN" : "VFIO_BROKERD"));
        if (program != PROGRAM_PLAIN) {
                command_add(ret, ret->texts[0]);
                command_add(ret, ret->texts[1]);
        }
}

pid_t program_start(World *world, Program program, Under under, double *ret_usec) {
        char bus[PATH_MAX + 64], preload[PATH_MAX + 16] = "LANG=C", notify[160] = "NOTIFY_SOCKET=";
        const char *environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", bus, notify, preload, NULL };
        Command command;
        double start;
        pid_t pid;
        int fd;

        command_new(&command, world, program, under);
        snprintf(bus, sizeof(bus), "DBUS_SYSTEM_BUS_ADDRESS=%s", world->address);
        if (program == PROGRAM_DAEMON_NO_VFIO)
                snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", variable("NO_VFIO"));
        fd = notify_socket(world, notify + strlen(notify));

        start = now_usec();
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                exec_program(world, command.argv, environment);
        wait_until_ready(fd);
        if (ret_usec)
                *ret_usec = now_usec() - start;
        close(fd);
        return pid;
}

void program_stop(World *world, pid_t pid) {
        int status = -1;

        ck_assert_int_eq(kill(pid, SIGTERM), 0);
        WAIT_FOR(world, waitpid(pid, &status, WNOHANG) != 0);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "A program's status is %d", status);
}

void memory_read(pid_t pid, Memory *ret) {
        char path[64], line[256];
        FILE *file;

        *ret = (Memory){};
        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
        file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        while (fgets(line, sizeof(line), file)) {
                (void) sscanf(line, "Rss: %zu", &ret->rss);
                (void) sscanf(line, "Pss: %zu", &ret->pss);
                (void) sscanf(line, "Private_Dirty: %zu", &ret->private_dirty);
        }
        fclose(file);
}

double now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

double median(const double *values, size_t n) {
        _cleanup_(freep) double *sorted = calloc(n, sizeof(*sorted));

        ck_assert_ptr_nonnull(sorted);
        memcpy(sorted, values, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), compare);
        return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double median_ratio(const double *numerator, const double *denominator, size_t n) {
        _cleanup_(freep) double *ratios = calloc(n, sizeof(*ratios));

        ck_assert_ptr_nonnull(ratios);
        for (size_t i = 0; i < n; i++)
                ratios[i] = numerator[i] / denominator[i];
        return median(ratios, n);
}

static unsigned n_missed;

void row_print(const Row *row) {
        bool missed = row->bound > 0 && row->measured > row->bound;
        char bound[64] = "";

        if (row->bound > 0 && row->bound != row->goal)
                snprintf(bound, sizeof(bound), ", fails over %.4g", row->bound);
        if (row->goal > 0)
                printf("%s: measured %.4g (goal %.4g%s, stand-in %s)%s\n", row->name, row->measured, row->goal, bound,
                       row->stand_in, missed ? " MISSED" : "");
        else
                printf("%s: measured %.4g (no goal, stand-in %s)\n", row->name, row->measured, row->stand_in);
        fflush(stdout);
        n_missed += missed;
}

void rows_check(void) {
        ck_assert_msg(n_missed == 0, "%u rows have missed their goal", n_missed);
}

sd_bus_message *timed_call(sd_bus *bus, sd_bus_message *m, double *ret_usec) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        double start = now_usec();
        int r;

        r = sd_bus_call(bus, m, 0, &error, &reply);
        if (ret_usec)
                *ret_usec = now_usec() - start;
        ck_assert_msg(r >= 0, "%s", error.message);
        sd_bus_message_unref(m);
        return reply;
}

void timed_acquire(Held *ret, sd_bus *bus, unsigned device, double *ret_usec) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *lease;
        int lifeline;

        reply = timed_call(bus, request_new(bus, &(Request){ .wants = stage_address(device) }), ret_usec);
        ck_assert_int_ge(sd_bus_message_read(reply, "oh", &lease, &lifeline), 0);
        snprintf(ret->lease, sizeof(ret->lease), "%s", lease);
        ret->lifeline = fcntl(lifeline, F_DUPFD_CLOEXEC, 3);
        ck_assert_int_ge(ret->lifeline, 0);
}

void held_end(World *world, Held *held, unsigned n_left) {
        char left[16];

        snprintf(left, sizeof(left), "%u", n_left);
        closep(&held->lifeline);
        WAIT_FOR(world, strcmp(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), left) == 0);
}

int bench_run(const char *name, const TTest *const *tests, size_t n, bool needs_root) {
        Suite *suite = suite_create(name);
        TCase *tcase = suite_add_case(suite, name, NULL, NULL);

        if (needs_root && !world_is_root())
                return SKIPPED;
        tcase_set_timeout(tcase, 3600);
        for (size_t i = 0; i < n; i++)
                tcase_add_test(tcase, tests[i]);
        return suite_run(suite);
}
