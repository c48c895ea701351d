/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host needs is not taken from it, unless whoever may do that asks for it; and some of it never. */

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define NIC      "0000:02:00.0" /* on e1000e, alone in group 13: eth7 */
#define FIRST    "0000:06:0d.0" /* on uio, in group 26 with */
#define SECOND   "0000:06:0d.1" /* on e1000: eth8 */
#define DISK     "0000:01:00.0" /* on nvme, alone: nvme0n1 */

#define NOTHING UINT64_C(0)
#define ROUTE   "\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"

static World *world;

static int add_link(Tree *tree, const char *path, const char *target) {
        char text[PATH_MAX];
        int r;

        snprintf(text, sizeof(text), "%.*s.folder", (int) (strrchr(path, '/') - path + 1), path);
        r = tree_write(tree, text, "");
        snprintf(text, sizeof(text), "%s/%s", tree_root(tree), path);
        return r < 0 ? r : symlink(target, text);
}

static int build(Tree *tree) {
        static const struct {
                const char *path, *text;
        } files[] = {
                { "sys/devices/pci0000:00/" NIC "/net/eth7/flags", "0x1003\n" },
                { "sys/devices/pci0000:00/0000:00:1e.0/" SECOND "/net/eth8/flags", "0x1003\n" },
                { "sys/devices/pci0000:00/" DISK "/nvme/nvme0/nvme0n1/dev", "259:0\n" },
                { "proc/1/mountinfo", "23 1 254:1 / / rw - ext4 /dev/vda1 rw\n" },
        };
        int r;

        r = tree_add_document_on_the_host(tree);
        if (r >= 0)
                r = tree_set_driver(tree, DISK, "nvme");
        for (size_t i = 0; r >= 0 && i < sizeof(files) / sizeof(*files); i++)
                r = tree_write(tree, files[i].path, files[i].text);
        if (r >= 0)
                r = add_link(tree, "sys/class/net/eth7", "../../devices/pci0000:00/" NIC "/net/eth7");
        if (r >= 0)
                r = add_link(tree, "sys/class/net/eth8", "../../devices/pci0000:00/0000:00:1e.0/" SECOND "/net/eth8");
        if (r >= 0)
                r = add_link(tree, "sys/class/block/nvme0n1", "../../devices/pci0000:00/" DISK "/nvme/nvme0/nvme0n1");
        return r;
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true });
}

static void make_world_that_binds(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nOnAcquire=yes\n" });
}

static void end_world(void) {
        world = world_stop(world);
}

static void put(const char *path, const char *text) {
        ck_assert_int_ge(tree_write(world->tree, path, text), 0);
}

static void mount_disk(const char *where) {
        char text[256];

        snprintf(text, sizeof(text), "23 1 254:1 / / rw - ext4 x rw\n40 1 259:0 / %s rw - ext4 x rw\n", where);
        put("proc/1/mountinfo", text);
}

/* "e1000e", "" for none */
static const char *driver(const char *address) {
        static char text[64];

        snprintf(text, sizeof(text), "%s", device_property(world, address, "Driver"));
        return text;
}

static const char *bind_with(const char *address, const char *on_host_use) {
        return ask(world->bus, device_path(address), VFB_INTERFACE_DEVICE, "Bind", "sa{sv}t", "", 1, "on-host-use", "s", on_host_use, NOTHING);
}

static void check_untouched(void) {
        ck_assert_str_eq(driver(NIC), "e1000e");
        ck_assert_str_eq(driver(FIRST), "uio");
        ck_assert_str_eq(driver(SECOND), "e1000");
        ck_assert_str_eq(driver(DISK), "nvme");
        ck_assert_uint_eq(vfio_called(world, " override "), 0);
        ck_assert_uint_eq(vfio_called(world, " unbind "), 0);
        ck_assert_uint_eq(daemon_logged(world, "The host loses"), 0);
        check_nothing_held(world);
}

START_TEST(what_the_host_needs_is_refused_and_named) {
        ck_assert_str_eq(device_property(world, SECOND, "HostUses"), "[]");
        put("proc/self/net/route", "eth8" ROUTE);
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(bind_device(world, FIRST), REFUSED("InUseByHost"));
                ck_assert_msg(strstr(ask_message(), SECOND) && strstr(ask_message(), "the default route goes by eth8"), "%s", ask_message());
                ck_assert_msg(strstr(ask_message(), "--on-host-use=steal"), "%s", ask_message());
                ck_assert_str_eq(bind_with(SECOND, "refuse"), REFUSED("InUseByHost"));
                ck_assert_str_eq(bind_with(SECOND, "take"), REFUSED("InvalidOption"));
                ck_assert_str_eq(bind_with(SECOND, ""), REFUSED("InvalidOption"));
        }
        ck_assert_ptr_nonnull(strstr(device_property(world, SECOND, "HostUses"), "network"));
        ck_assert_str_eq(device_property(world, FIRST, "HostUses"), "[]");
        check_untouched();

        put("proc/self/net/route", "");
        ck_assert_str_eq(bind_device(world, FIRST), "");
        ck_assert_str_eq(device_property(world, SECOND, "HostUses"), "[]");
        ck_assert_str_eq(restore_device(world, FIRST), "");
        ck_assert_uint_eq(daemon_logged(world, "The host loses"), 0);
}
END_TEST

START_TEST(who_may_takes_it_all_the_same) {
        put("proc/self/net/route", "eth7" ROUTE);
        for (int times = 1; times <= 5; times++) {
                ck_assert_str_eq(bind_device(world, NIC), REFUSED("InUseByHost"));
                ck_assert_str_eq(bind_with(NIC, "steal"), "");
                ck_assert_str_eq(driver(NIC), "vfio-pci");
                ck_assert_uint_eq(daemon_logged(world, "The host loses " NIC), times);
                ck_assert_uint_eq(daemon_logged(world, "the default route goes by eth7"), 2 * times);
                ck_assert_str_eq(restore_device(world, NIC), "");
                ck_assert_str_eq(driver(NIC), "e1000e");
        }
        /* where there is nothing to steal there is nothing to say */
        put("proc/self/net/route", "");
        ck_assert_str_eq(bind_with(NIC, "steal"), "");
        ck_assert_uint_eq(daemon_logged(world, "The host loses"), 5);
        ck_assert_str_eq(restore_device(world, NIC), "");
}
END_TEST

START_TEST(policy_has_a_say_of_its_own_about_that) {
        unsigned n;

        put("proc/self/net/route", "eth8" ROUTE);
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_STEAL, "no");
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(bind_with(SECOND, "steal"), DENIED);
                ck_assert_str_eq(bind_with(NIC, "steal"), DENIED); /* also where there is nothing to steal */
                ck_assert_str_eq(bind_with(DISK, "steal"), DENIED);
        }
        check_untouched();
        n = polkit_asked(world);
        ck_assert_str_eq(bind_device(world, SECOND), REFUSED("InUseByHost"));
        ck_assert_uint_eq(polkit_asked(world), n + 2); /* each of the group, and not about that */
        check_untouched();

        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_STEAL, "yes");
        n = polkit_asked(world);
        ck_assert_str_eq(bind_with(SECOND, "steal"), "");
        ck_assert_uint_eq(polkit_asked(world), n + 4);
        ck_assert_str_eq(driver(FIRST), "vfio-pci");
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_STEAL, "no");
        ck_assert_str_eq(restore_device(world, SECOND), "");

        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_STEAL, "yes");
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_BIND, "no");
        ck_assert_str_eq(bind_with(NIC, "steal"), DENIED);
        ck_assert_str_eq(driver(NIC), "e1000e");
}
END_TEST

START_TEST(policy_is_told_what_the_host_needs_it_for) {
        const char *calls;

        put("proc/self/net/route", "eth7" ROUTE);
        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_str_eq(bind_with(NIC, "steal"), DENIED);
        calls = ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", "");
        ck_assert_msg(strstr(calls, "{device.host-uses network}"), "%s", calls);
        check_untouched();
}
END_TEST

/* No advice that would be refused */
static void check_advice(const char *text) {
        const char *findings = ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Explain", "a(sa{sv})a{sv}", 1, DISK, 0, 0);

        ck_assert_msg(strstr(findings, text) != NULL && !strstr(findings, "bind it: "), "%s", findings);
}

START_TEST(what_the_machine_stands_on_is_never_taken) {
        mount_disk("/data");
        ck_assert_str_eq(bind_device(world, DISK), REFUSED("InUseByHost"));
        check_advice("{fix end what the host needs it for, then: vfio-broker bind " DISK "}");
        mount_disk("/boot");
        check_advice("{fix it stays with the host, which needs it}");
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(bind_with(DISK, "steal"), REFUSED("InUseByHost"));
                ck_assert_msg(strstr(ask_message(), "nvme0n1 is mounted on /boot (never taken)"), "%s", ask_message());
                ck_assert_str_eq(bind_device(world, DISK), REFUSED("InUseByHost"));
        }
        ck_assert_ptr_nonnull(strstr(device_property(world, DISK, "HostUses"), "never taken"));
        check_untouched();
        put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/nvme0n1 partition\t1\t0\t-2\n");
        put("proc/1/mountinfo", "23 1 254:1 / / rw - ext4 x rw\n");
        ck_assert_str_eq(bind_with(DISK, "steal"), REFUSED("InUseByHost"));
        check_untouched();

        /* What nobody knows may be that */
        put("proc/swaps", "");
        put("proc/1/mountinfo", "");
        ck_assert_str_eq(bind_with(DISK, "steal"), REFUSED("InUseByHost"));
        ck_assert_ptr_nonnull(strstr(device_property(world, DISK, "HostUses"), "unknown"));
        check_untouched();
        mount_disk("/data");
        ck_assert_str_eq(bind_with(DISK, "steal"), "");
        ck_assert_uint_eq(daemon_logged(world, "nvme0n1 is mounted on /data"), 2);
        ck_assert_str_eq(restore_device(world, DISK), "");
}
END_TEST

/* Between the question and the first write: the second look counts. */
START_TEST(what_comes_into_use_meanwhile_is_not_taken) {
        Call call;

        polkit_set(world, "SetAnswer", "s", "silent");
        call_start(&call, world->bus, device_path(DISK), VFB_INTERFACE_DEVICE, "Bind", "sa{sv}t", "", 1, "on-host-use", "s",
                   "steal", NOTHING);
        WAIT_FOR(world, polkit_waiting(world) > 0);
        mount_disk("/");
        polkit_set(world, "SetAnswer", "s", "yes");
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, daemon_logged(world, "(never taken)") > 0);
        check_untouched();
        call_end(&call);
}
END_TEST

START_TEST(lease_takes_it_only_by_the_same_option_and_action) {
        Grant *grant = NULL;
        unsigned n;

        put("proc/self/net/route", "eth7" ROUTE);
        for (int times = 0; times < 5; times++) {
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NIC }), REFUSED("InUseByHost"));
                ck_assert_msg(strstr(ask_message(), "--on-host-use=steal"), "%s", ask_message());
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NIC, .on_host_use = "all" }), REFUSED("InvalidOption"));
        }
        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_STEAL, "no");
        for (int times = 0; times < 5; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NIC, .on_host_use = "steal" }), DENIED);
        mount_disk("/usr");
        check_untouched();

        polkit_set(world, "SetAnswerFor", "sss", "action", VFB_ACTION_STEAL, "yes");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = DISK, .on_host_use = "steal" }), REFUSED("InUseByHost"));
        check_untouched();
        n = polkit_asked(world);
        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = NIC, .on_host_use = "steal" }), "");
        ck_assert_uint_eq(polkit_asked(world), n + 3); /* acquire, bind, bind-in-use */
        ck_assert_str_eq(driver(NIC), "vfio-pci");
        ck_assert_uint_eq(daemon_logged(world, "The host loses " NIC), 1);
        grant_free(grant);
        WAIT_FOR(world, device_is(world, NIC, "host"));
        ck_assert_str_eq(driver(NIC), "e1000e");
        check_nothing_held(world);
}
END_TEST

/* Many properties, one look at the host: and never an older one. */
START_TEST(one_look_is_for_one_call) {
        for (int times = 0; times < 20; times++) {
                put("proc/self/net/route", "eth7" ROUTE);
                ck_assert_ptr_nonnull(strstr(device_property(world, NIC, "HostUses"), "network"));
                put("proc/self/net/route", "");
                ck_assert_str_eq(device_property(world, NIC, "HostUses"), "[]");
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("host-uses");
        TCase *by_hand = suite_add_case(suite, "by-hand", make_world, end_world);
        TCase *for_a_lease = suite_add_case(suite, "for-a-lease", make_world_that_binds, end_world);

        tcase_add_test(by_hand, what_the_host_needs_is_refused_and_named);
        tcase_add_test(by_hand, who_may_takes_it_all_the_same);
        tcase_add_test(by_hand, what_the_machine_stands_on_is_never_taken);
        tcase_add_test(by_hand, one_look_is_for_one_call);
        if (world_is_root()) {
                tcase_add_test(by_hand, policy_has_a_say_of_its_own_about_that);
                tcase_add_test(by_hand, policy_is_told_what_the_host_needs_it_for);
                tcase_add_test(by_hand, what_comes_into_use_meanwhile_is_not_taken);
                tcase_add_test(for_a_lease, lease_takes_it_only_by_the_same_option_and_action);
        }
        return suite_run(suite);
}
