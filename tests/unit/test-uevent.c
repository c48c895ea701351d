/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The test plays udev, in namespaces of its own: messages to udev's multicast group, with udev's header.
 * It needs to be root, or user namespaces.
 */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fds.h"
#include "kernel/uevent.h"
#include "namespace.h"
#include "suite.h"

#define DEADLINE_MSEC 60000

#define UDEV_GROUP 2
#define UDEV_MAGIC 0xfeedcafe

/* MurmurHash2, by which the monitor filters in the kernel */
#define HASH_PCI 0x59163b92
#define HASH_NET 0xa74d3cc8
#define HASH_VFIO_DEV 0x573b34c1

typedef struct UdevHeader {
        char prefix[8];
        uint32_t magic, header_size, properties_offset, properties_size;
        uint32_t subsystem_hash, devtype_hash, tag_bloom_high, tag_bloom_low;
} UdevHeader;

typedef struct Seen {
        UeventAction action;
        char address[64];
} Seen;

static sd_event *event;
static Uevent *uevent;
static int udev = -EBADF;
static Seen seen[64];
static size_t n_seen, n_lost;

static void note(UeventAction action, const char *address, void *userdata) {
        ck_assert_ptr_eq(userdata, seen);
        if (action == UEVENT_LOST) {
                ck_assert_ptr_null(address);
                n_lost++;
                return;
        }
        ck_assert_ptr_nonnull(address);
        seen[n_seen % 64].action = action;
        snprintf(seen[n_seen++ % 64].address, sizeof(seen[0].address), "%s", address);
}

static void make_world(void) {
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(uevent_new(&uevent, event, note, seen), 0);
        udev = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        ck_assert_int_ge(udev, 0);
}

static void end_world(void) {
        close(udev);
        ck_assert_ptr_null(uevent_free(uevent));
        ck_assert_ptr_null(sd_event_unref(event));
}

/* @padding: how many bytes a property of no interest adds */
static int say_to(struct sockaddr_nl to, const char *action, const char *subsystem, uint32_t hash, const char *name, size_t padding) {
        static char pad[16384];
        UdevHeader header = {
                .prefix = "libudev",
                .magic = htonl(UDEV_MAGIC),
                .header_size = sizeof(header),
                .properties_offset = sizeof(header),
                .subsystem_hash = htonl(hash),
        };
        char properties[512];
        struct iovec iov[] = { { &header, sizeof(header) }, { properties, 0 }, { pad, padding } };
        struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = 3 };

        iov[1].iov_len = snprintf(properties, sizeof(properties),
                                  "ACTION=%s%cDEVPATH=/devices/pci0000:00/%s%cSUBSYSTEM=%s%c"
                                  "SEQNUM=4711%cUSEC_INITIALIZED=1%c",
                                  action, 0, name, 0, subsystem, 0, 0, 0);
        if (padding > 0) {
                memset(pad, 'x', padding);
                memcpy(pad, "PAD=", 4);
                pad[padding - 1] = '\0';
        }
        header.properties_size = iov[1].iov_len + padding;
        return sendmsg(udev, &message, 0) < 0 ? -errno : 0;
}

static void say(const char *action, const char *subsystem, uint32_t hash, const char *name, size_t padding) {
        (void) say_to((struct sockaddr_nl) { .nl_family = AF_NETLINK, .nl_groups = UDEV_GROUP }, action, subsystem, hash, name, padding);
}

static long now_msec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One more, that is known to come last. */
static void run_to_the_end(void) {
        long end = now_msec() + DEADLINE_MSEC;

        say("change", "pci", HASH_PCI, "ffff:ff:1f.7", 0);
        while (n_seen == 0 || strcmp(seen[(n_seen - 1) % 64].address, "ffff:ff:1f.7") != 0) {
                ck_assert_msg(now_msec() < end, "it did not happen in time");
                ck_assert_int_ge(sd_event_run(event, 100000), 0);
        }
}

START_TEST(actions_and_addresses_arrive_in_order) {
        static const struct {
                const char *action;
                UeventAction expected;
        } actions[] = {
                { "add", UEVENT_ADD }, { "bind", UEVENT_CHANGE }, { "unbind", UEVENT_CHANGE },
                { "change", UEVENT_CHANGE }, { "move", UEVENT_CHANGE }, { "online", UEVENT_CHANGE },
                { "offline", UEVENT_CHANGE }, { "remove", UEVENT_REMOVE },
        };
        char address[32];

        for (size_t i = 0; i < 8; i++) {
                snprintf(address, sizeof(address), "0000:00:0%zu.0", i);
                say(actions[i].action, "pci", HASH_PCI, address, 0);
        }
        run_to_the_end();
        ck_assert_uint_eq(n_seen, 9);
        for (size_t i = 0; i < 8; i++) {
                snprintf(address, sizeof(address), "0000:00:0%zu.0", i);
                ck_assert_str_eq(seen[i].address, address);
                ck_assert_int_eq(seen[i].action, actions[i].expected);
        }
        ck_assert_uint_eq(n_lost, 0);
}
END_TEST

START_TEST(what_is_no_pci_function_is_not_for_us) {
        say("add", "net", HASH_NET, "0000:00:01.0", 0);
        say("add", "net", HASH_PCI, "0000:00:01.0", 0); /* passes the kernel's filter, not the monitor's */
        say("add", "pci", HASH_PCI, "pci_bus", 0);
        say("add", "pci", HASH_PCI, "0000:00:01.0 ", 0);
        say("add", "pci", HASH_PCI, "0000:00:01.9", 0);
        say("nonsense", "pci", HASH_PCI, "0000:00:01.0", 0);
        say("", "pci", HASH_PCI, "0000:00:01.0", 0);
        run_to_the_end();
        ck_assert_uint_eq(n_seen, 1);
        ck_assert_uint_eq(n_lost, 0);
}
END_TEST

START_TEST(a_vfio_device_that_goes_is_its_functions_news) {
        say("add", "vfio-dev", HASH_VFIO_DEV, "0000:00:08.0/0000:01:00.0/vfio-dev/vfio0", 0);
        say("change", "vfio-dev", HASH_VFIO_DEV, "0000:00:08.0/0000:01:00.0/vfio-dev/vfio0", 0);
        say("remove", "vfio-dev", HASH_VFIO_DEV, "0000:00:08.0/0000:01:00.0/vfio-dev/vfio0", 0);
        say("remove", "vfio-dev", HASH_VFIO_DEV, "0000:00:08.0/0000:01:00.9/vfio-dev/vfio0", 0);
        say("remove", "vfio-dev", HASH_VFIO_DEV, "0000:00:08.0/0000:01:00.0/vfio0", 0);
        say("remove", "vfio-dev", HASH_VFIO_DEV, "vfio-dev/vfio0", 0);
        run_to_the_end();
        ck_assert_uint_eq(n_seen, 2);
        ck_assert_int_eq(seen[0].action, UEVENT_LEAVING);
        ck_assert_str_eq(seen[0].address, "0000:01:00.0");
}
END_TEST

static int say_as_nobody(uint32_t groups, uint32_t port) {
        int status;
        pid_t pid;

        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                close(udev);
                if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
                        _exit(255);
                udev = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
                _exit(-say_to((struct sockaddr_nl) { .nl_family = AF_NETLINK, .nl_groups = groups, .nl_pid = port }, "remove", "pci", HASH_PCI,
                              "0000:00:01.0", 0));
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* Neither as udev nor as the kernel, nor behind the backs of both: the first netlink socket of a process has its number. */
START_TEST(nobody_else_is_heard) {
        if (say_as_nobody(UDEV_GROUP, 0) != 255) {
                ck_assert_int_eq(say_as_nobody(UDEV_GROUP, 0), EPERM);
                ck_assert_int_eq(say_as_nobody(1, 0), EPERM);
                ck_assert_int_eq(say_as_nobody(0, (uint32_t) getpid()), EPERM);
        }
        /* from root, but not to all */
        ck_assert_int_eq(say_to((struct sockaddr_nl) { .nl_family = AF_NETLINK, .nl_pid = (uint32_t) getpid() }, "remove", "pci", HASH_PCI,
                                "0000:00:01.0", 0), 0);
        run_to_the_end();
        ck_assert_uint_eq(n_seen, 1);
        ck_assert_uint_eq(n_lost, 0);
}
END_TEST

/* Twice, since the loss must be noticed each time. */
START_TEST(losses_are_told) {
        for (size_t round = 1; round <= 2; round++) {
                size_t n_said = 8000;

                n_seen = 0;
                for (size_t i = 0; i < n_said; i++)
                        say("change", "pci", HASH_PCI, "0000:00:01.0", 7000);
                while (sd_event_run(event, 0) > 0)
                        ;
                ck_assert_uint_lt(n_seen, n_said);
                ck_assert_uint_eq(n_lost, round);
                run_to_the_end();
                ck_assert_uint_eq(n_lost, round);
        }
}
END_TEST

START_TEST(coming_and_going_leaves_no_descriptor) {
        int before = count_fds();

        for (int i = 0; i < 20; i++) {
                Uevent *other;

                ck_assert_int_eq(uevent_new(&other, event, note, seen), 0);
                uevent_free(other);
        }
        ck_assert_int_eq(count_fds(), before);
}
END_TEST

/* What of it is read is of no subsystem that is followed, so nothing but the count says that there was more. */
START_TEST(losses_are_told_if_the_loop_knew_of_a_message_before) {
        say("change", "net", HASH_PCI, "0000:00:01.0", 0);
        ck_assert_int_eq(sd_event_prepare(event), 0);
        ck_assert_int_gt(sd_event_wait(event, 0), 0);
        for (size_t i = 0; i < 8000; i++)
                say("change", "net", HASH_PCI, "0000:00:01.0", 7000);
        ck_assert_int_gt(sd_event_dispatch(event), 0);
        while (sd_event_run(event, 0) > 0)
                ;
        ck_assert_uint_eq(n_seen, 0);
        ck_assert_uint_eq(n_lost, 1);
}
END_TEST

/* Where no udev runs the monitor stays silent, so the test has a sign of one. */
static bool enter_namespaces(void) {
        return namespace_enter(CLONE_NEWNS | CLONE_NEWNET) &&
               mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0 &&
               mkdir("/run/udev", 0755) == 0 && mknod("/run/udev/control", S_IFREG | 0644, 0) == 0;
}

int main(void) {
        Suite *suite = suite_create("uevent");
        TCase *tcase = suite_add_case(suite, "uevent", make_world, end_world);

        if (!enter_namespaces()) {
                puts("1..0 # SKIP no namespaces to play udev in");
                return EXIT_SUCCESS;
        }
        tcase_add_test(tcase, actions_and_addresses_arrive_in_order);
        tcase_add_test(tcase, what_is_no_pci_function_is_not_for_us);
        tcase_add_test(tcase, a_vfio_device_that_goes_is_its_functions_news);
        tcase_add_test(tcase, nobody_else_is_heard);
        tcase_add_test(tcase, losses_are_told);
        tcase_add_test(tcase, losses_are_told_if_the_loop_knew_of_a_message_before);
        tcase_add_test(tcase, coming_and_going_leaves_no_descriptor);
        return suite_run(suite);
}
