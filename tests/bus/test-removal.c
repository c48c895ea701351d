/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The device of a lease is pulled out, in whatever state the lease is: it ends cleanly, and who waits is told. */

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "call.h"
#include "mediated.h"
#include "suite.h"
#include "watch.h"

#define HOST  "0000:02:00.0"
#define MSEC  UINT64_C(1000)

static World *world;
static sd_bus *other;

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .keep = true, .config = "[Binding]\nOnAcquire=yes\n[Limits]\nRevokeDelayMaxSec=300\n" });
        other = world_connect(world, OTHER);
}

static void end_world(void) {
        other = sd_bus_flush_close_unref(other);
        world = world_stop(world);
}

static void pull(const char *address) {
        ck_assert_int_ge(tree_remove(world->tree, address), 0);
        udev_send(world, "remove", address);
}

/* Nothing is left of it, neither in the service nor in its records, and the other devices are to be had. */
static void check_gone(const char *address) {
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        ck_assert_int_eq(device_property(world, address, "Id")[0], '!');
        ck_assert_uint_eq(count_kept(world, "lease-"), 0);
        check_nothing_held(world);
        grant_free(must_acquire(world->bus, EDU));
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 2);
        check_nothing_held(world);
}

static void check_told(const char *lease) {
        char line[256];

        snprintf(line, sizeof(line), "%s DeviceGone %s unplug", lease, device_path(NVME));
        WAIT_FOR(world, world_signals(world, line) == 1);
}

static const char *offer(const Grant *grant) {
        return ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Offer", "a{sv}", 2, "uid", "u", (uint32_t) OTHER, "timeout-usec", "t",
                   60000 * MSEC);
}

static const char *claim(const char *token) {
        _cleanup_(grant_freep) Grant *grant = NULL;

        return grant_claim(&grant, other, token);
}

START_TEST(offer_of_what_is_gone_is_void) {
        Grant *grant = must_acquire(world->bus, NVME);
        char token[64];

        snprintf(token, sizeof(token), "%s", offer(grant));
        ck_assert_uint_eq(strlen(token), 32);
        pull(NVME);
        check_told(grant->lease);
        for (int times = 0; times < 5; times++)
                ck_assert_str_ne(claim(token), "");
        grant_free(grant);
        check_gone(NVME);
        ck_assert_str_ne(claim(token), "");
}
END_TEST

/* What was offered is not there any more as a whole: the lease stays with its holder, and what is left of it. */
START_TEST(lease_that_has_lost_a_device_is_not_claimed) {
        Grant *grant = must_acquire(world->bus, NVME "," EDU);
        char token[64];

        snprintf(token, sizeof(token), "%s", offer(grant));
        pull(NVME);
        check_told(grant->lease);
        ck_assert_str_eq(claim(token), REFUSED("DeviceGone"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        ck_assert_str_eq(grant_get_fds(grant, world->bus, VFB_ROLE_DEVICE EDU), "");
        grant_free(grant);
        check_gone(NVME);
}
END_TEST

START_TEST(claim_that_is_under_way_comes_to_nothing) {
        Grant *grant = must_acquire(world->bus, NVME);
        char token[64];
        Call call;

        snprintf(token, sizeof(token), "%s", offer(grant));
        vfio_fail(world, NVME, "open-hangs", "");
        call_start(&call, other, VFB_PATH, VFB_INTERFACE_MANAGER, "Claim", "sa{sv}t", token, 0, UINT64_C(0));
        WAIT_FOR(world, vfio_delayed(world) > 0);
        pull(NVME);
        check_told(grant->lease);
        vfio_fail(world, NVME, "open-hangs", NULL);
        WAIT_FOR(world, sd_bus_process(other, NULL) >= 0 && call.answered);
        ck_assert_int_eq(call.answer[0], '!');
        call_end(&call);
        grant_free(grant);
        check_gone(NVME);
}
END_TEST

START_TEST(lease_that_is_taken_back_ends_with_its_device) {
        Grant *grant = must_acquire(world->bus, NVME);
        const char *id = ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Id");

        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id, "maintenance", UINT64_C(250000000), UINT64_C(0)), "");
        WAIT_FOR(world, strcmp(lease_state(world->bus, grant->lease), "revoking") == 0);
        pull(NVME);
        check_told(grant->lease);
        grant_free(grant);
        check_gone(NVME);
}
END_TEST

START_TEST(device_that_is_being_cleaned_may_go) {
        Grant *grant = must_acquire(world->bus, NVME);

        vfio_fail(world, NVME, "open-hangs", "");
        grant_close_fds(grant);
        grant_close_lifeline(grant);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "cleaning");
        pull(NVME);
        check_told(grant->lease);
        vfio_fail(world, NVME, "open-hangs", NULL);
        check_gone(NVME);
        grant_free(grant);
}
END_TEST

/* Nobody but the service could take back what it can reach. */
START_TEST(memory_of_what_is_gone_is_unmapped) {
        Grant *grant = acquire_mediated(world->bus, NVME);

        ck_assert_str_eq(map_page(world, grant, IOVA), "");
        ck_assert_str_ne(mapped(world), "");
        pull(NVME);
        check_told(grant->lease);
        WAIT_FOR(world, !*mapped(world));
        ck_assert_str_ne(map_page(world, grant, IOVA + PAGE), "");
        grant_free(grant);
        check_gone(NVME);
}
END_TEST

/* It is on its way from its host driver, for a lease that nobody has yet. */
START_TEST(device_on_its_way_to_a_lease_may_go) {
        static const char *const calls[] = { "unbind-hangs", "probe-hangs" };
        Pending pending;

        vfio_fail(world, HOST, calls[_i], "");
        pending_start(&pending, world->bus, &(Request) { .wants = HOST });
        WAIT_FOR(world, vfio_delayed(world) > 0);
        ck_assert_int_ge(tree_remove(world->tree, HOST), 0);
        udev_send(world, "remove", HOST);
        vfio_fail(world, HOST, calls[_i], NULL);
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, REFUSED("DeviceGone"));
        pending_end(&pending);
        WAIT_FOR(world, device_property(world, HOST, "Id")[0] == '!');
        ck_assert_uint_eq(count_kept(world, "lease-") + count_kept(world, "device-" HOST), 0);
        check_nothing_held(world);
}
END_TEST

/* The word that it is gone may come before the end of its lease, or after it; and be the same device's again. */
START_TEST(device_that_comes_back_at_once_is_another_one) {
        static const TreePci twin = { .address = NVME, .driver = "vfio-pci", .reset_methods = "flr bus", .class = 0x010802, .vendor = 0x1b36,
                                      .device = 0x0010, .subsystem_vendor = 0x1af4, .subsystem_device = 0x1100, .group = 14, .numa_node = 1 };
        Grant *grant;

        for (unsigned times = 1; times <= 5; times++) {
                grant = must_acquire(world->bus, NVME);
                ck_assert_int_ge(tree_remove(world->tree, NVME), 0);
                ck_assert_int_ge(tree_add_pci(world->tree, &twin), 0);
                if (times % 2)
                        udev_send(world, "add", NVME);
                grant_free(grant);
                udev_send(world, "remove", NVME);
                udev_send(world, "add", NVME);
                WAIT_FOR(world, world_signals(world, "LeaseRemoved") == times);
                WAIT_FOR(world, is_free(world, NVME));
        }
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("removal");
        TCase *tcase = suite_add_case(suite, "removal", make_world, end_world);

        if (world_is_root()) {
                tcase_add_test(tcase, offer_of_what_is_gone_is_void);
                tcase_add_test(tcase, lease_that_has_lost_a_device_is_not_claimed);
                tcase_add_test(tcase, claim_that_is_under_way_comes_to_nothing);
                tcase_add_test(tcase, lease_that_is_taken_back_ends_with_its_device);
                tcase_add_test(tcase, device_that_is_being_cleaned_may_go);
                tcase_add_test(tcase, memory_of_what_is_gone_is_unmapped);
                tcase_add_loop_test(tcase, device_on_its_way_to_a_lease_may_go, 0, 2);
                tcase_add_test(tcase, device_that_comes_back_at_once_is_another_one);
        }
        return suite_run(suite);
}
