/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Watch */

#include <check.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>

#include "ask.h"
#include "watch.h"

#define POLKIT "org.freedesktop.PolicyKit1"

const char *device_property(World *world, const char *address, const char *name) {
        return ask_property(world->bus, device_path(address), VFB_INTERFACE_DEVICE, name);
}

bool device_is(World *world, const char *address, const char *availability) {
        return strcmp(device_property(world, address, "Availability"), availability) == 0;
}

bool is_free(World *world, const char *address) {
        return device_is(world, address, "available");
}

uint64_t lease_expires(World *world, const Grant *grant) {
        return strtoull(ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "ExpiresUSec"), NULL, 10);
}

const char *bind_device(World *world, const char *address) {
        return ask(world->bus, device_path(address), VFB_INTERFACE_DEVICE, "Bind", "sa{sv}t", "", 0, UINT64_C(0));
}

const char *restore_device(World *world, const char *address) {
        return ask(world->bus, device_path(address), VFB_INTERFACE_DEVICE, "Restore", "t", UINT64_C(0));
}

const char *set_functions(World *world, const char *address, unsigned count) {
        return ask(world->bus, device_path(address), VFB_INTERFACE_SRIOV, "SetVirtualFunctions", "ua{sv}t", count, 0, UINT64_C(0));
}

const char *set_idle_functions(World *world, const char *address, unsigned count) {
        return ask(world->bus, device_path(address), VFB_INTERFACE_SRIOV, "SetVirtualFunctions", "ua{sv}t", count, 1, "autoprobe",
                   "b", 0, UINT64_C(0));
}

void see_removal(World *world, const char *lease, const char *reason) {
        char line[256];

        snprintf(line, sizeof(line), " %s %s", lease, reason);
        WAIT_FOR(world, world_signals(world, VFB_PATH " LeaseRemoved ") > 0);
        ck_assert_msg(world_signals(world, line) == 1, "Not \"%s\" in:\n%s", line, world->signals);
        ck_assert_uint_eq(world_signals(world, VFB_PATH " LeaseRemoved "), 1);
}

void await_removal(World *world, const char *lease, const char *reason) {
        see_removal(world, lease, reason);
        world_forget_signals(world);
}

void polkit_set(World *world, const char *method, const char *types, ...) {
        va_list arguments;
        int r;

        va_start(arguments, types);
        r = sd_bus_call_methodv(world->bus, POLKIT, "/test", "test.Polkit", method, NULL, NULL, types, arguments);
        va_end(arguments);
        ck_assert_int_ge(r, 0);
}

unsigned polkit_waiting(World *world) {
        return strtoul(ask_at(world->bus, POLKIT, "/test", "test.Polkit", "GetWaiting", ""), NULL, 10);
}

unsigned polkit_asked(World *world) {
        const char *calls = ask_at(world->bus, POLKIT, "/test", "test.Polkit", "GetCalls", "");
        unsigned n = 0;

        for (const char *p = calls; (p = strstr(p, "(system-bus-name ")); p++)
                n++;
        return n;
}

unsigned polkit_cancelled(World *world) {
        const char *ids = ask_at(world->bus, POLKIT, "/test", "test.Polkit", "GetCancelled", "");
        unsigned n = 0;

        /* "[id id]" */
        for (const char *p = ids; *p && strcmp(ids, "[]") != 0; p++)
                n += *p == ' ' || *p == ']';
        return n;
}

size_t count_fds(pid_t pid, const char *what) {
        char path[64], target[PATH_MAX];
        struct dirent *entry;
        size_t n = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        dir = opendir(path);
        if (!dir)
                return 0;
        while ((entry = readdir(dir))) {
                ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

                target[size > 0 ? size : 0] = '\0';
                n += size > 0 && strstr(target, what);
        }
        closedir(dir);
        return n;
}

/* The number behind @key in /proc/PID/@file */
static size_t proc_number(pid_t pid, const char *file, const char *key) {
        char path[64], line[256];
        size_t n = 0;
        FILE *status;

        snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
        status = fopen(path, "re");
        while (status && fgets(line, sizeof(line), status))
                if (strncmp(line, key, strlen(key)) == 0)
                        n = strtoul(line + strlen(key), NULL, 10);
        if (status)
                fclose(status);
        return n;
}

size_t count_inheritable_fds(pid_t pid) {
        char path[64], line[256];
        struct dirent *entry;
        size_t n = 0;
        FILE *info;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
        dir = opendir(path);
        ck_assert_ptr_nonnull(dir);
        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.' || atoi(entry->d_name) < 3)
                        continue;
                snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", pid, entry->d_name);
                info = fopen(path, "re");
                while (info && fgets(line, sizeof(line), info))
                        n += strncmp(line, "flags:", 6) == 0 && !(strtoul(line + 6, NULL, 8) & O_CLOEXEC);
                if (info)
                        fclose(info);
        }
        closedir(dir);
        return n;
}

size_t memory_kb(pid_t pid) {
        return proc_number(pid, "status", "VmRSS:");
}

size_t count_children(pid_t pid) {
        struct dirent *entry;
        size_t n = 0;
        DIR *dir = opendir("/proc");

        ck_assert_ptr_nonnull(dir);
        while ((entry = readdir(dir))) {
                pid_t other = atoi(entry->d_name);

                n += other > 0 && proc_number(other, "status", "PPid:") == (size_t) pid;
        }
        closedir(dir);
        return n;
}

size_t settled_fds(World *world) {
        WAIT_FOR(world, count_children(world->daemon_pid) == 0);
        /* The child is no more as soon as it is waited for; what the daemon had for it goes in the same turn. */
        ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Version");
        return count_fds(world->daemon_pid, "");
}

/* Of the files of the runtime directory, and hold @what */
static unsigned count_files(World *world, const char *prefix, const char *what) {
        _cleanup_(freep) char *path = NULL;
        struct dirent *entry;
        unsigned n = 0;
        DIR *dir;

        ck_assert_int_gt(asprintf(&path, "%s/run", tree_root(world->tree)), 0);
        dir = opendir(path);
        ck_assert_ptr_nonnull(dir);
        while ((entry = readdir(dir))) {
                _cleanup_(freep) char *name = NULL, *text = NULL;

                if (entry->d_name[0] == '.' || strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
                        continue;
                ck_assert_int_gt(asprintf(&name, "run/%s", entry->d_name), 0);
                text = what[0] ? world_read(world, name) : NULL;
                n += !text || strstr(text, what) != NULL;
        }
        closedir(dir);
        return n;
}

unsigned count_kept(World *world, const char *prefix) {
        return count_files(world, prefix, "");
}

void await_nothing_kept(World *world) {
        WAIT_FOR(world, count_kept(world, "l") == 0); /* leases and lifelines */
        WAIT_FOR(world, keeper_count(world->keeper, "") == 0);
}

unsigned daemon_logged(World *world, const char *what) {
        char *log = world_read(world, "daemon.log");
        unsigned n = count_lines(log, what);

        free(log);
        return n;
}

void check_nothing_held(World *world) {
        /* A lease that is just ending may well have no descriptor for a moment. */
        WAIT_FOR(world, strcmp(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "ListLeases", "t", UINT64_C(0)), "[]") == 0);
        WAIT_FOR(world, count_fds(world->daemon_pid, "") == world->n_fds);
        ck_assert_uint_eq(count_fds(world->daemon_pid, "/fake/"), 0);
        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases"), "0");
}

void check_nothing_opened(World *world) {
        check_nothing_held(world);
        ck_assert_uint_eq(vfio_called(world, " open "), 0);
}

/* Lines that begin with the daemon's name, without it */
char *vfio_calls(World *world) {
        static const char prefix[] = "vfio-brokerd ";
        char *log = world_read(world, "fake/log"), *calls = strdup(""), *rest, *more;

        for (char *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                if (strncmp(line, prefix, strlen(prefix)) != 0)
                        continue;
                ck_assert_int_ge(asprintf(&more, "%s%s\n", calls, line + strlen(prefix)), 0);
                free(calls);
                calls = more;
        }
        free(log);
        return calls;
}

unsigned vfio_called(World *world, const char *what) {
        char *calls = vfio_calls(world);
        unsigned n = count_lines(calls, what);

        free(calls);
        return n;
}

/* 0: it is not one of the daemon's children, or it is past the delay or dead. */
static pid_t delayed_child(World *world, DIR *dir, const char *name) {
        static const char prefix[] = "delayed-";
        _cleanup_(closep) int fd = -EBADF;
        pid_t pid;

        if (strncmp(name, prefix, strlen(prefix)) != 0)
                return 0;
        pid = atoi(name + strlen(prefix));
        if (proc_number(pid, "status", "PPid:") != (size_t) world->daemon_pid)
                return 0;
        fd = openat(dirfd(dir), name, O_RDONLY | O_CLOEXEC);
        return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK ? pid : 0;
}

bool vfio_hangs(World *world, const bool *answered, const char *address) {
        WAIT_FOR(world, *answered || vfio_delayed(world) > 0);
        if (vfio_delayed(world) > 0)
                return true;
        ck_assert_uint_gt(daemon_logged(world, "The kernel does not come back with"), 0);
        WAIT_FOR(world, device_is(world, address, "host"));
        return false;
}

pid_t vfio_delayed_beside(World *world, pid_t pid) {
        char path[PATH_MAX];
        struct dirent *entry;
        pid_t other = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "%s/fake", tree_root(world->tree));
        dir = opendir(path);
        while (dir && (other == 0 || other == pid) && (entry = readdir(dir)))
                other = delayed_child(world, dir, entry->d_name);
        if (dir)
                closedir(dir);
        return other == pid ? 0 : other;
}

pid_t vfio_delayed(World *world) {
        return vfio_delayed_beside(world, 0);
}

void vfio_let_go_on(World *world, pid_t pid) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/fake/delayed-%d", tree_root(world->tree), (int) pid);
        ck_assert_int_eq(unlink(path), 0);
}

void vfio_kill_delayed(World *world) {
        pid_t pid;

        WAIT_FOR(world, (pid = vfio_delayed(world)) > 0);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        WAIT_FOR(world, vfio_delayed(world) != pid);
}

void vfio_forget(World *world) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/fake/log", tree_root(world->tree));
        ck_assert(unlink(path) == 0 || errno == ENOENT);
}

uint64_t vfio_looks(World *world) {
        char path[PATH_MAX];
        uint64_t n;
        FILE *file;

        snprintf(path, sizeof(path), "%s/fake/looks", tree_root(world->tree));
        file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fread(&n, sizeof(n), 1, file), 1);
        fclose(file);
        return n;
}

unsigned vfio_resets(World *world, const char *address) {
        char name[128];
        char *text;
        unsigned n;

        snprintf(name, sizeof(name), "fake/resets-%s", address);
        text = world_read(world, name);
        n = strtoul(text, NULL, 10);
        free(text);
        return n;
}

void vfio_fail(World *world, const char *object, const char *fault, const char *value) {
        char name[PATH_MAX], path[PATH_MAX + 64];

        snprintf(name, sizeof(name), "fail/%s/%s", object, fault);
        if (value) {
                ck_assert_int_ge(tree_write(world->tree, name, value), 0);
                return;
        }
        snprintf(path, sizeof(path), "%s/%s", tree_root(world->tree), name);
        ck_assert_int_eq(unlink(path), 0);
}

/* MurmurHash2 of "pci" and so on, which readers have the kernel look for */
#define HASH_PCI      0x59163b92
#define HASH_VFIO_DEV 0x573b34c1
#define HASH_PLATFORM 0x748f983b
#define HASH_MDEV     0xbb5211c7

/* How udev's daemon passes a message on to its readers */
typedef struct UdevHeader {
        char prefix[8];
        uint32_t magic, header_size, properties_offset, properties_size;
        uint32_t subsystem_hash, devtype_hash, tag_bloom_high, tag_bloom_low;
} UdevHeader;

/* @properties: each ends in a newline here, and in a NUL on its way */
static void udev_say(uint32_t hash, const char *action, const char *properties, unsigned times) {
        static uint64_t sequence = 1000;
        const struct sockaddr_nl udev_readers = { .nl_family = AF_NETLINK, .nl_groups = 2 };
        struct {
                UdevHeader header;
                char properties[8192];
        } message = { { "libudev", htobe32(0xfeedcafe), sizeof(UdevHeader), sizeof(UdevHeader) } };
        int fd, n;

        n = snprintf(message.properties, sizeof(message.properties),
                     "ACTION=%s\n%sSEQNUM=%" PRIu64 "\n", action, properties, ++sequence);
        for (int i = 0; i < n; i++)
                if (message.properties[i] == '\n')
                        message.properties[i] = '\0';
        message.header.properties_size = n;
        message.header.subsystem_hash = htobe32(hash);

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        ck_assert_int_ge(fd, 0);
        while (times-- > 0)
                ck_assert_int_eq(sendto(fd, &message, sizeof(UdevHeader) + n, 0, (const struct sockaddr *) &udev_readers,
                                        sizeof(udev_readers)),
                                 sizeof(UdevHeader) + n);
        close(fd);
}

void udev_send(World *world, const char *action, const char *address) {
        char properties[256];

        snprintf(properties, sizeof(properties), "DEVPATH=/devices/pci0000:00/%s\nSUBSYSTEM=pci\nPCI_SLOT_NAME=%s\n", address,
                 address);
        udev_say(HASH_PCI, action, properties, 1);
}

void udev_send_vfio(World *world, const char *action, const char *address) {
        char properties[256];

        snprintf(properties, sizeof(properties), "DEVPATH=/devices/pci0000:00/%s/vfio-dev/vfio7\nSUBSYSTEM=vfio-dev\n", address);
        udev_say(HASH_VFIO_DEV, action, properties, 1);
}

void udev_send_other(World *world, const char *action, const char *bus, const char *name) {
        char properties[256];

        snprintf(properties, sizeof(properties), "DEVPATH=/devices/%s/%s\nSUBSYSTEM=%s\n", bus, name, bus);
        udev_say(strcmp(bus, "mdev") == 0 ? HASH_MDEV : HASH_PLATFORM, action, properties, 1);
}

/* They are of no subsystem that is followed, which costs whoever else listens next to nothing. */
void udev_flood(World *world) {
        char properties[7100] = "DEVPATH=/devices/virtual/flood\nSUBSYSTEM=flood\nPAD=";
        size_t n = strlen(properties);

        memset(properties + n, 'x', sizeof(properties) - 2 - n);
        properties[sizeof(properties) - 2] = '\n';
        udev_say(HASH_PCI, "change", properties, 8000);
}

/* "platform:fe000000.dma" is on the bus platform; what has no bus before its name, on PCI's. */
static void device_folder(char ret[160], const char *id) {
        static const char *const buses[] = { "platform", "mdev", "fsl-mc", "cdx", "amba" };

        for (size_t i = 0; i < sizeof(buses) / sizeof(*buses); i++)
                if (strncmp(id, buses[i], strlen(buses[i])) == 0 && id[strlen(buses[i])] == ':') {
                        snprintf(ret, 160, "sys/bus/%s/devices/%.80s", buses[i], id + strlen(buses[i]) + 1);
                        return;
                }
        snprintf(ret, 160, "sys/bus/pci/devices/%.80s", id);
}

const char *driver_state(World *world, const char *id) {
        static char texts[8][160], target[PATH_MAX], path[PATH_MAX];
        static unsigned next;
        char *text = texts[next++ % 8], folder[160], name[192];
        _cleanup_(freep) char *override = NULL;
        ssize_t n;

        device_folder(folder, id);
        snprintf(path, sizeof(path), "%s/%s/driver", tree_root(world->tree), folder);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        snprintf(name, sizeof(name), "%s/driver_override", folder);
        override = world_read(world, name);
        override[strcspn(override, "\n")] = '\0';
        snprintf(text, 160, "%.60s %.60s", n > 0 ? strrchr(target, '/') + 1 : "-", override);
        return text;
}

unsigned count_origins(World *world) {
        return count_files(world, "device-", "\"origin\"");
}
