/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* World */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "ask.h"
#include "last-words.h"
#include "spawn.h"
#include "watch.h"

/* No limit is named, so they are those of the system bus. */
static const char bus_config[] =
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
        " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
        "<busconfig>\n"
        "  <listen>unix:path=%s/bus</listen>\n"
        "  <auth>EXTERNAL</auth>\n"
        "  <policy context=\"default\">\n"
        "    <allow send_destination=\"*\"/>\n"
        "    <allow receive_sender=\"*\"/>\n"
        "    <allow own=\"*\"/>\n"
        "    <allow user=\"*\"/>\n"
        "  </policy>\n"
        "</busconfig>\n";

uint64_t world_now(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool patience_lasts(Patience *patience) {
        static const uint64_t step_max = 1000000;
        uint64_t now = world_now(), since = patience->seen > 0 ? now - patience->seen : 0;

        patience->seen = now;
        patience->spent += since < step_max ? since : step_max;
        return patience->spent < PATIENCE;
}

bool world_is_root(void) {
        return geteuid() == ROOT;
}

uid_t world_user(void) {
        return world_is_root() ? USER : geteuid();
}

static const char *program(const char *variable) {
        const char *path = getenv(variable);

        ck_assert_msg(path, "%s is not set: run the test by meson", variable);
        return path;
}

static void make_path(World *world, char ret[PATH_MAX], const char *name) {
        snprintf(ret, PATH_MAX, "%s/%s", tree_root(world->tree), name);
}

char *world_read(World *world, const char *name) {
        char path[PATH_MAX];
        char *text = NULL;
        size_t size = 0;
        FILE *file;

        make_path(world, path, name);
        file = fopen(path, "re");
        if (!file)
                return strdup("");
        if (getdelim(&text, &size, '\0', file) < 0) {
                free(text);
                text = strdup("");
        }
        fclose(file);
        return text;
}

unsigned count_lines(const char *text, const char *what) {
        unsigned n = 0;

        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                size_t size = strcspn(line, "\n");

                n += memmem(line, size, what, strlen(what)) != NULL;
        }
        return n;
}

/* The exit status as waitpid() has it. */
static int end(pid_t *pid, int signal) {
        Patience patience = {};
        int status = -1;

        kill(*pid, signal);
        while (waitpid(*pid, &status, WNOHANG) == 0) {
                ck_assert_msg(patience_lasts(&patience), "A process does not end by signal %d", signal);
                usleep(1000);
        }
        *pid = 0;
        return status;
}

int world_kill(pid_t pid, int signal) {
        return end(&pid, signal);
}

/* Before it is that program it is a copy of the test, with all that the test has. */
static bool is_program(pid_t pid, const char *name) {
        char path[64], comm[32] = "";
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/comm", (int) pid);
        file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        ck_assert_ptr_nonnull(fgets(comm, sizeof(comm), file));
        fclose(file);
        return strncmp(comm, name, strlen(name)) == 0 && comm[strlen(name)] == '\n';
}

pid_t world_spawn_holder(int fd) {
        static const char *const argv[] = { "sleep", "1000", NULL }, *const environment[] = { "PATH=/usr/bin:/bin", NULL };
        Patience patience = {};
        pid_t pid;

        pid = spawn(&(Spawn) { .argv = argv, .environment = environment, .keep = fd, .out = -1 });
        while (!is_program(pid, argv[0])) {
                ck_assert_msg(patience_lasts(&patience), "%s does not start", argv[0]);
                usleep(1000);
        }
        return pid;
}

pid_t world_spawn_peer(World *world, uid_t uid, const char *wants, char **ret_lease) {
        const char *argv[] = { program("PEER"), wants, NULL };
        char bus[PATH_MAX + 64], lease[256];
        const char *environment[] = { bus, NULL };
        int out[2];
        ssize_t n;
        pid_t pid;

        ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
        snprintf(bus, sizeof(bus), "DBUS_SYSTEM_BUS_ADDRESS=%s", world->address);
        pid = spawn(&(Spawn) { .argv = argv, .environment = environment, .keep = -1, .out = out[1], .uid = uid });
        close(out[1]);
        n = read(out[0], lease, sizeof(lease) - 1);
        close(out[0]);
        ck_assert_int_gt(n, 0);
        lease[n] = '\0';
        lease[strcspn(lease, "\n")] = '\0';
        *ret_lease = strdup(lease);
        return pid;
}

void world_tick(World *world) {
        if (!world->bus) {
                usleep(2000);
                return;
        }
        while (sd_bus_process(world->bus, NULL) > 0)
                ;
        sd_bus_wait(world->bus, 2000);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        World *world = userdata;
        unsigned mark = ask_mark();
        const char *text = ask_dump(m), *path = sd_bus_message_get_path(m), *member = sd_bus_message_get_member(m);
        size_t size = strlen(path) + strlen(member) + strlen(text) + sizeof("  \n");
        char *larger = realloc(world->signals, world->n_signals + size);

        if (!larger)
                return -ENOMEM;
        world->signals = larger;
        sprintf(larger + world->n_signals, "%s %s %s\n", path, member, text);
        world->n_signals += size - 1;
        ask_forget_since(mark);
        return 0;
}

unsigned world_signals(World *world, const char *what) {
        while (sd_bus_process(world->bus, NULL) > 0)
                ;
        return count_lines(world->signals, what);
}

void world_forget_signals(World *world) {
        while (sd_bus_process(world->bus, NULL) > 0)
                ;
        world->signals[0] = '\0';
        world->n_signals = 0;
}

static int try_connect(World *world, uid_t uid, sd_bus **ret) {
        sd_bus *bus = NULL;
        uid_t was;
        int r;

        ck_assert_int_ge(sd_bus_new(&bus), 0);
        ck_assert_int_ge(sd_bus_set_address(bus, world->address), 0);
        ck_assert_int_ge(sd_bus_set_bus_client(bus, true), 0);
        ck_assert_int_ge(sd_bus_negotiate_fds(bus, true), 0);
        /* one call may be a question to polkit for each of a hundred devices */
        ck_assert_int_ge(sd_bus_set_method_call_timeout(bus, 3 * PATIENCE), 0);

        /* who connects is the caller for as long as the connection lasts */
        was = geteuid();
        ck_assert_int_eq(seteuid(uid), 0);
        r = sd_bus_start(bus);
        ck_assert_int_eq(seteuid(was), 0);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

sd_bus *world_connect(World *world, uid_t uid) {
        const char *name;
        sd_bus *bus = NULL;

        ck_assert_int_ge(try_connect(world, uid, &bus), 0);
        ck_assert_int_ge(sd_bus_get_unique_name(bus, &name), 0);
        return bus;
}

static void start_bus(World *world) {
        const char *environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
        char path[PATH_MAX], log[PATH_MAX], option[PATH_MAX + 32], text[sizeof(bus_config) + PATH_MAX];
        const char *argv[] = { "dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", option, NULL };

        snprintf(text, sizeof(text), bus_config, tree_root(world->tree));
        ck_assert_int_ge(tree_write(world->tree, "bus.conf", text), 0);
        make_path(world, path, "bus.conf");
        snprintf(option, sizeof(option), "--config-file=%s", path);
        snprintf(world->address, sizeof(world->address), "unix:path=%.4000s/bus", tree_root(world->tree));
        make_path(world, log, "bus.log");
        world->bus_pid = spawn(&(Spawn) { .argv = argv, .environment = environment, .log = log, .keep = -1, .out = -1 });
        WAIT_FOR(world, try_connect(world, world_user(), &world->bus) == 0);
        ck_assert_int_ge(sd_bus_match_signal(world->bus, NULL, VFB_BUS_NAME, NULL, NULL, NULL, on_signal, world), 0);
}

static bool name_has_owner(World *world, const char *name) {
        return strcmp(ask_at(world->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                             "NameHasOwner", "s", name), "yes") == 0;
}

void world_leave(World *world, sd_bus *bus) {
        const char *unique;
        char name[64];

        ck_assert_int_ge(sd_bus_get_unique_name(bus, &unique), 0);
        snprintf(name, sizeof(name), "%s", unique);
        sd_bus_flush_close_unref(bus);
        WAIT_FOR(world, !name_has_owner(world, name));
        ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Version"); /* after the bus has told the daemon */
}

static pid_t start_service(World *world, const char *path, const char *name) {
        const char *argv[] = { path, NULL };
        char bus[PATH_MAX + 64];
        const char *environment[] = { bus, NULL };
        pid_t pid;

        snprintf(bus, sizeof(bus), "DBUS_SYSTEM_BUS_ADDRESS=%s", world->address);
        pid = spawn(&(Spawn) { .argv = argv, .environment = environment, .keep = -1, .out = -1 });
        WAIT_FOR(world, name_has_owner(world, name));
        return pid;
}

void world_start_polkit(World *world) {
        world->polkit_pid = start_service(world, program("FAKE_POLKIT"), "org.freedesktop.PolicyKit1");
}

void world_start_systemd(World *world) {
        world->systemd_pid = start_service(world, program("FAKE_SYSTEMD"), "org.freedesktop.systemd1");
}

void world_end_systemd(World *world) {
        end(&world->systemd_pid, SIGTERM);
        WAIT_FOR(world, !name_has_owner(world, "org.freedesktop.systemd1"));
}

void world_end_polkit(World *world) {
        end(&world->polkit_pid, SIGTERM);
        WAIT_FOR(world, !name_has_owner(world, "org.freedesktop.PolicyKit1"));
}

static void start_notify(World *world, char ret_variable[PATH_MAX]) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        snprintf(address.sun_path, sizeof(address.sun_path), "%.100s/notify", tree_root(world->tree));
        world->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(bind(world->notify_fd, (struct sockaddr *) &address, sizeof(address)), 0);
        snprintf(ret_variable, PATH_MAX, "NOTIFY_SOCKET=%s", address.sun_path);
}

/* What systemd would pass: a place for state, and a socket to be told what to keep. */
static void start_keeper(World *world, char ret_directory[PATH_MAX], char ret_notify[PATH_MAX]) {
        char run[PATH_MAX], path[PATH_MAX];

        make_path(world, run, "run");
        make_path(world, path, "notify");
        if (!world->keeper) {
                ck_assert_int_eq(mkdir(run, 0700), 0);
                world->keeper = keeper_new(path);
        }
        if (!world->spec.keep_no_state)
                snprintf(ret_directory, PATH_MAX, "RUNTIME_DIRECTORY=%.4000s%s", run,
                         world->spec.keep_list ? ":/nowhere" : "");
        snprintf(ret_notify, PATH_MAX, "NOTIFY_SOCKET=%.4000s", path);
}

static void check_has_started(World *world) {
        char *log;

        if (name_has_owner(world, VFB_BUS_NAME))
                return;
        log = world_read(world, "daemon.log");
        ck_abort_msg("The daemon ended at its start: %s", log);
}

/* The environment names the bus, the fake kernel, what systemd would pass and nothing else. */
void world_start_daemon(World *world) {
        const WorldSpec *spec = &world->spec;
        char root[PATH_MAX], config[PATH_MAX], log[PATH_MAX], bus[PATH_MAX + 64], preload[PATH_MAX + 64], fake[PATH_MAX];
        char notify[PATH_MAX] = "LANG=C", run[PATH_MAX] = "LANG=C", names[KEEPER_MAX * 256] = "";
        int stored[KEEPER_MAX];
        size_t n_stored = 0;
        const char *argv[] = { program("VFIO_BROKERD"), root, config, NULL };
        const char *environment[] = {
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=1:exitcode=99:quarantine_size_mb=1",
                "UBSAN_OPTIONS=print_stacktrace=1",
                bus, preload, fake, notify, run, NULL,
        };

        ck_assert_int_ge(tree_write(world->tree, "daemon.conf", spec->config ? spec->config : ""), 0);
        snprintf(root, sizeof(root), "--root=%s", tree_root(world->tree));
        snprintf(config, sizeof(config), "--config=%s/daemon.conf", tree_root(world->tree));
        snprintf(bus, sizeof(bus), "DBUS_SYSTEM_BUS_ADDRESS=%s", world->address);
        snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", program("FAKE_VFIO"));
        snprintf(fake, sizeof(fake), FAKE_VFIO_ROOT "=%s", tree_root(world->tree));
        if (spec->notify)
                start_notify(world, notify);
        if (spec->keep) {
                start_keeper(world, run, notify);
                n_stored = keeper_list(world->keeper, stored, names, sizeof(names));
        }
        make_path(world, log, "daemon.log");
        world->daemon_pid = spawn(&(Spawn) { .argv = argv, .environment = environment, .log = log, .keep = -1, .out = -1,
                                             .stored = stored, .n_stored = n_stored, .stored_names = spec->keep_no_names ? "stored" : names });
        WAIT_FOR(world, name_has_owner(world, VFB_BUS_NAME) || waitpid(world->daemon_pid, NULL, WNOHANG) != 0);
        check_has_started(world);

        /* What is opened at first use is opened now. */
        ask(world->bus, VFB_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "");
        ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Version");
        if (world->n_fds == 0) /* a later one may have leases from the start */
                world->n_fds = settled_fds(world);
        ck_assert_uint_gt(world->n_fds, 3);
}

/* It has ended only when the bus knows it, too: a call to its name would still be refused for the one before. */
static int end_daemon(World *world, int signal) {
        int status = end(&world->daemon_pid, signal);

        WAIT_FOR(world, !name_has_owner(world, VFB_BUS_NAME));
        return status;
}

void world_crash_daemon(World *world) {
        int status = end_daemon(world, SIGKILL);

        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "The daemon's status was %d", status);
        world_start_daemon(world);
}

void world_start(World **ret, const WorldSpec *spec) {
        World *world = calloc(1, sizeof(*world));

        ck_assert_ptr_nonnull(world);
        world->notify_fd = -EBADF;
        world->spec = *spec;
        world->signals = strdup("");
        ck_assert_int_ge(tree_new(&world->tree), 0);
        last_words_from(tree_root(world->tree));
        ck_assert_int_eq(chmod(tree_root(world->tree), 0755), 0);
        ck_assert_int_eq(fake_vfio_use(tree_root(world->tree)), 0);
        ck_assert_int_ge(spec->build ? spec->build(world->tree) : tree_add_document(world->tree), 0);

        /* uevents: none of the machine's comes in, and those of the test do not get out */
        if (world_is_root())
                (void) unshare(CLONE_NEWNET);
        start_bus(world);
        if (!spec->no_polkit)
                world_start_polkit(world);
        if (!spec->no_daemon)
                world_start_daemon(world);
        *ret = world;
}

void world_end_daemon(World *world) {
        char *log;
        int status;

        status = end_daemon(world, SIGTERM);
        log = world_read(world, "daemon.log");
        ck_assert_msg(!strstr(log, "Sanitizer") && !strstr(log, "runtime error:"), "%s", log);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "The daemon's status is %d: %s", status, log);
        free(log);
}

World *world_stop(World *world) {
        if (world->daemon_pid > 0) {
                WAIT_FOR(world, count_fds(world->daemon_pid, "") == world->n_fds && count_children(world->daemon_pid) == 0);
                ck_assert_uint_eq(count_inheritable_fds(world->daemon_pid), 0);
                world_end_daemon(world);
        }
        if (world->polkit_pid > 0)
                end(&world->polkit_pid, SIGTERM);
        if (world->systemd_pid > 0)
                end(&world->systemd_pid, SIGTERM);
        sd_bus_flush_close_unref(world->bus);
        end(&world->bus_pid, SIGTERM);
        closep(&world->notify_fd);
        keeper_free(world->keeper);
        tree_free(world->tree);
        free(world->signals);
        free(world);
        return NULL;
}
