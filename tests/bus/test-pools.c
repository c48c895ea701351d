/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any one of a pool: which, for whom, how many; and what happens when somebody else is faster. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME     "0000:03:00.0"
#define EDU      "0000:01:00.0"
#define HOST     "0000:02:00.0"
#define PAIR     "0000:04:00.0"
#define NO_RESET "0000:00:10.0"
#define LAB      "pool:lab"

static World *world;
static sd_bus *root;

/* In the order of the inventory: EDU (node 0), NVME (node 1), a pair in one group. */
static int build(Tree *tree) {
        static const struct {
                const char *name, *text;
        } files[] = {
                { "pools.d/lab.conf", "[Pool]\nDescription=three of them\nDevice=01:00.0\nDevice=class=nvme\nDevice=vendor=8086 device=10c9\n" },
                { "pools.d/others.conf", "[Pool]\nDevice=01:00.0\nAllowUser=1\n" },
                { "pools.d/group.conf", "[Pool]\nDevice=01:00.0\nAllowGroup=12345\n" },
                { "pools.d/few.conf", "[Pool]\nDevice=01:00.0\nDevice=class=nvme\nDevice=04:00.0\nMax=2\nMaxPerUser=1\n" },
                { "pools.d/narrow.conf", "[Pool]\nDevice=01:00.0\n" },
                { "pools.d/one-of-two.conf", "[Pool]\nDevice=04:00.0\n" },
                { "pools.d/once.conf", "[Pool]\nDevice=alias:edu\nOneTime=yes\n" },
                { "pools.d/none.conf", "[Pool]\nDevice=class=crypto\n" },
                { "pools.d/wrong.conf", "[Pool]\nDevice=01:00.0\nAllow=root\n" },
                { "sys/devices/system/cpu/cpu2/node0/x", "" },
                { "sys/devices/system/cpu/cpu3/node1/x", "" },
                { "sys/devices/system/cpu/cpu4/x", "" },
        };
        int r = tree_add_document(tree);

        for (size_t i = 0; r == 0 && i < sizeof(files) / sizeof(files[0]); i++)
                r = tree_write(tree, files[i].name, files[i].text);
        return r;
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .config = "[Alias edu]\nDevice=01:00.0\n" });
        root = world_connect(world, world_is_root() ? ROOT : world_user());
}

static void end_world(void) {
        root = sd_bus_flush_close_unref(root);
        world = world_stop(world);
}

static bool has(Grant *grant, const char *address) {
        char role[64];

        snprintf(role, sizeof(role), "device:%s", address);
        return grant_find(grant, role);
}

static const char *refusal(const char *wants) {
        return refusal_of(world->bus, &(Request) { .wants = wants });
}

static const char *explain(const char *wants) {
        return request_explain(world->bus, &(Request) { .wants = wants });
}

static const char *calls(void) {
        return ask_at(world->bus, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", "");
}

START_TEST(each_want_is_another_device_in_a_group_of_its_own) {
        Grant *grant = must_acquire(world->bus, LAB "," LAB "," LAB);

        ck_assert_uint_eq(grant->n_fds, 4);
        ck_assert(has(grant, EDU) && has(grant, NVME) && has(grant, PAIR));
        ck_assert_str_eq(refusal(LAB), REFUSED("PoolExhausted"));
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);

        /* All or nothing, and what is wanted by name is not chosen */
        ck_assert_str_eq(refusal(LAB "," LAB "," LAB "," LAB), REFUSED("PoolExhausted"));
        check_nothing_held(world);
        grant = must_acquire(world->bus, LAB "," EDU "," LAB);
        ck_assert(has(grant, EDU) && has(grant, NVME) && has(grant, PAIR));
        grant_free(grant);
}
END_TEST

/* A pool whose only device another pool of the same request could do without gets it, in whatever order they are asked for. */
START_TEST(pools_that_share_devices_do_not_stand_in_each_others_way) {
        static const char *const wants[] = { LAB ",pool:narrow", "pool:narrow," LAB, LAB "," LAB ",pool:narrow" };
        Grant *grant;

        for (unsigned i = 0; i < 3; i++) {
                grant = must_acquire(world->bus, wants[i]);
                ck_assert(has(grant, EDU) && has(grant, NVME));
                ck_assert_str_eq(grant->fds[i == 1 ? 1 : i == 0 ? 2 : 3].role, VFB_ROLE_DEVICE EDU);
                grant_free(grant);
                WAIT_FOR(world, world_signals(world, "LeaseRemoved") == i + 1);
        }
        grant = must_acquire(root, NVME "," PAIR);
        ck_assert_str_eq(refusal(LAB ",pool:narrow"), REFUSED("PoolExhausted"));
        grant_free(grant);
}
END_TEST

START_TEST(what_is_not_to_be_had_is_passed_over_and_told) {
        Grant *grant = must_acquire(root, EDU), *other;
        const char *text;

        ck_assert_str_eq(ask(root, device_path(NVME), VFB_INTERFACE_DEVICE, "Quarantine", "st", "smells", UINT64_C(0)), "");
        other = must_acquire(world->bus, LAB);
        ck_assert(has(other, PAIR));
        grant_free(other);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);

        ck_assert_int_ge(tree_set_driver(world->tree, "0000:04:00.1", "igb"), 0);
        udev_send(world, "bind", "0000:04:00.1");
        WAIT_FOR(world, device_is(world, PAIR, "not-viable"));
        ck_assert_str_eq(refusal(LAB), REFUSED("PoolExhausted"));
        text = ask_message();
        ck_assert_msg(strstr(text, "None of the 4 devices of pool:lab is free: ") && strstr(text, EDU " (IOMMU group 12 is leased: ") &&
                      strstr(text, NVME " (" NVME " is quarantined: smells)") && strstr(text, PAIR " (IOMMU group 15 also holds 0000:04:00.1") &&
                      strstr(text, "0000:04:00.1 (0000:04:00.1 is bound to driver igb") && strstr(text, "; see who has them: vfio-broker list pool:lab"), "%s", text);
        text = explain(LAB);
        ck_assert_msg(strncmp(text, "no [(PoolExhausted error  None of the 4", 39) == 0 && strstr(text, "(Leased info " EDU), "%s", text);
        ck_assert_ptr_null(strstr(calls(), "{device.id " LAB "}")); /* rules go by devices */
        ck_assert_str_eq(refusal("pool:none"), REFUSED("PoolExhausted"));
        ck_assert_str_eq(refusal("pool:wrong"), REFUSED("NoSuchDevice"));
        ck_assert_str_eq(refusal("pool:unheard-of"), REFUSED("NoSuchDevice"));
        grant_free(grant);
}
END_TEST

START_TEST(explain_and_acquire_mean_the_same_pool) {
        ck_assert_str_eq(explain("pool:lab"), "yes []");
        ck_assert_int_eq(strncmp(explain("pool:others"), "no [(AccessDenied error  Pool others is for others", 50), 0);
        ck_assert_ptr_null(strstr(explain("pool:others"), "free"));
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "GetDevice", "s", "pool:lab numa=1"), device_path(NVME));
        check_nothing_held(world);
}
END_TEST

START_TEST(one_near_the_processor_is_preferred) {
        static const struct {
                uint32_t cpu;
                const char *device;
        } cases[] = { { 2, EDU }, { 3, NVME }, { 4, EDU } };
        Grant *grant, *other;

        for (size_t i = 0; i < 3; i++) {
                ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = LAB, .near = true, .near_cpu = cases[i].cpu }), "");
                ck_assert(has(grant, cases[i].device));
                grant_free(grant);
                WAIT_FOR(world, world_signals(world, "LeaseRemoved") == i + 1);
        }
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = LAB, .near = true, .near_cpu = 5 }), REFUSED("InvalidOption"));

        grant = must_acquire(world->bus, NVME);
        ck_assert_str_eq(grant_acquire(&other, world->bus, &(Request) { .wants = LAB, .near = true, .near_cpu = 3 }), "");
        ck_assert(has(other, EDU));
        grant_free(other);
        grant_free(grant);
}
END_TEST

/* Whatever polkit would say, which is not even asked. */
START_TEST(pools_are_for_whom_they_say) {
        sd_bus *other = world_connect(world, OTHER);
        Grant *grant;

        ck_assert_str_eq(refusal("pool:others"), DENIED);
        ck_assert_str_eq(refusal("pool:group"), DENIED);
        ck_assert_uint_eq(polkit_asked(world), 0);
        check_nothing_held(world);
        grant = must_acquire(other, "pool:others");
        ck_assert_str_eq(refusal("pool:others"), DENIED);
        grant_free(grant);
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(polkit_hears_which_one_it_is_and_has_the_last_word) {
        ck_assert_str_eq(refusal("pool:others"), DENIED);
        polkit_set(world, "SetAnswerFor", "sss", "pool", "lab", "no");
        ck_assert_str_eq(refusal(LAB), DENIED);
        ck_assert_ptr_nonnull(strstr(calls(), "{device.id " EDU "}"));
        ck_assert_ptr_nonnull(strstr(calls(), "{pool lab}"));
        grant_free(must_acquire(world->bus, EDU));
        ck_assert_ptr_nonnull(strstr(calls(), "{pool }"));
}
END_TEST

/* What comes along with a device of the pool is none of the pool's: rules by the pool's name do not mean it. */
START_TEST(companion_is_not_asked_for_by_the_pool) {
        Grant *grant;

        polkit_set(world, "SetAnswer", "s", "no");
        polkit_set(world, "SetAnswerFor", "sss", "pool", "one-of-two", "yes");
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = "pool:one-of-two", .mode = "legacy-raw" }), DENIED);
        ck_assert_uint_eq(vfio_called(world, PAIR " "), 0);
        grant = must_acquire(world->bus, "pool:one-of-two");
        ck_assert(has(grant, PAIR));
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        polkit_set(world, "SetAnswerFor", "sss", "device.id", "0000:04:00.1", "yes");
        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = "pool:one-of-two", .mode = "legacy-raw" }), "");
        grant_free(grant);
}
END_TEST

START_TEST(who_is_refused_learns_nothing) {
        char plain[256];
        Grant *grant;

        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_str_eq(refusal(LAB), DENIED);
        snprintf(plain, sizeof(plain), "%s", ask_message());
        grant = must_acquire(root, LAB "," LAB "," LAB);
        ck_assert_str_eq(refusal(LAB), DENIED);
        ck_assert_str_eq(ask_message(), plain);
        ck_assert_str_eq(refusal("pool:none"), DENIED);
        ck_assert_str_eq(ask_message(), plain);
        ck_assert_str_eq(refusal("pool:unheard-of"), DENIED);
        ck_assert_str_eq(ask_message(), plain);
        ck_assert_uint_eq(grant->n_fds, 4);
        grant_free(grant);
}
END_TEST

START_TEST(pools_have_limits) {
        sd_bus *other = world_connect(world, OTHER);
        Grant *grant = must_acquire(world->bus, "pool:few"), *theirs;

        ck_assert(has(grant, EDU));
        ck_assert_str_eq(refusal("pool:few"), REFUSED("QuotaExceeded"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "You have 1 devices of pool few"));
        ck_assert_str_eq(refusal("pool:few,pool:few"), REFUSED("QuotaExceeded"));
        theirs = must_acquire(other, "pool:few");
        ck_assert(has(theirs, NVME));
        ck_assert_str_eq(refusal_of(root, &(Request) { .wants = "pool:few" }), REFUSED("QuotaExceeded"));
        ck_assert_ptr_nonnull(strstr(ask_message(), "2 devices of pool few are leased"));
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        grant_free(must_acquire(world->bus, "pool:few"));
        grant_free(theirs);
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(pool_for_one_use_keeps_its_devices_back) {
        grant_free(must_acquire(world->bus, "pool:once"));
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        ck_assert_str_eq(device_property(world, EDU, "Availability"), "quarantined");
        ck_assert_str_eq(refusal("pool:once"), REFUSED("PoolExhausted"));
}
END_TEST

static void ask_silent_polkit(Pending *pending, sd_bus *bus, const char *wants, unsigned waiting) {
        polkit_set(world, "SetAnswer", "s", "silent");
        pending_start(pending, bus, &(Request) { .wants = wants });
        WAIT_FOR(world, polkit_waiting(world) == waiting);
        polkit_set(world, "SetAnswer", "s", "yes");
}

/* Polkit's yes was for another one, so it is asked again. */
START_TEST(another_one_is_chosen_when_it_was_taken_meanwhile) {
        Pending pending;
        Grant *taken;

        ask_silent_polkit(&pending, world->bus, LAB, 1);
        taken = must_acquire(root, EDU);
        polkit_set(world, "SetAnswer", "s", "silent");
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, polkit_asked(world) == 2 && polkit_waiting(world) == 1);
        ck_assert(!pending.answered);
        ck_assert_ptr_nonnull(strstr(calls(), "{device.id " NVME "}"));
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, "");
        ck_assert(has(pending.grant, NVME) && has(taken, EDU));
        ck_assert_uint_eq(polkit_asked(world), 2);
        pending_end(&pending);
        grant_free(taken);
}
END_TEST

START_TEST(no_for_the_next_one_is_no) {
        Pending pending;
        Grant *taken;

        polkit_set(world, "SetAnswerFor", "sss", "device.id", NVME, "no");
        ask_silent_polkit(&pending, world->bus, LAB, 1);
        taken = must_acquire(root, EDU);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, DENIED);
        ck_assert_uint_eq(vfio_called(world, NVME " "), 0);
        pending_end(&pending);
        grant_free(taken);
}
END_TEST

/* One that is better and came meanwhile is not the one that polkit was asked about. */
START_TEST(choice_stays_as_long_as_it_is_free) {
        Grant *taken = must_acquire(root, EDU);
        Pending pending;

        ask_silent_polkit(&pending, world->bus, LAB, 1);
        grant_free(taken);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, pending.answered);
        ck_assert_str_eq(pending.refusal, "");
        ck_assert(has(pending.grant, NVME));
        ck_assert_uint_eq(polkit_asked(world), 1);
        pending_end(&pending);
}
END_TEST

START_TEST(last_one_goes_to_one_of_two) {
        Grant *taken = must_acquire(root, LAB "," LAB);
        sd_bus *other = world_connect(world, world_is_root() ? OTHER : world_user());
        unsigned asked = polkit_asked(world); /* not for root, who has taken the others */
        Pending one, two;

        ask_silent_polkit(&one, world->bus, LAB, 1);
        ask_silent_polkit(&two, other, LAB, 2);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        WAIT_FOR(world, sd_bus_process(other, NULL) >= 0 && one.answered && two.answered);
        ck_assert_msg(!one.refusal[0] != !two.refusal[0], "%s and %s", one.refusal, two.refusal);
        ck_assert_str_eq(one.refusal[0] ? one.refusal : two.refusal, REFUSED("PoolExhausted"));
        ck_assert(has(one.refusal[0] ? two.grant : one.grant, PAIR));
        ck_assert_uint_eq(polkit_asked(world), asked + 2);
        pending_end(&one);
        pending_end(&two);
        sd_bus_flush_close_unref(other);
        grant_free(taken);
}
END_TEST

/* systemd is asked after polkit, and a while later the choice is still the same. */
START_TEST(pool_goes_with_a_unit) {
        Grant *grant;

        world_start_systemd(world);
        ck_assert_int_ge(sd_bus_call_method(world->bus, "org.freedesktop.systemd1", "/test", "test.Systemd", "SetUnit", NULL, NULL, "sss",
                                            "a.service", "active", "0123456789abcdef0123456789abcdef"), 0);
        ck_assert_str_eq(grant_acquire(&grant, world->bus, &(Request) { .wants = LAB "," LAB, .lifetime = "unit", .unit = "a.service", .near = true,
                                                                        .near_cpu = 3 }), "");
        ck_assert(has(grant, EDU) && has(grant, NVME));
        ck_assert_uint_eq(polkit_asked(world), 2);
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Release", "t", UINT64_C(0)), "");
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "LeaseRemoved") == 1);
}
END_TEST

START_TEST(pools_are_shown_with_what_is_free) {
        const char *text = ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Pools");
        Grant *grant;

        ck_assert_msg(strstr(text, "(lab [01:00.0 class=nvme vendor=8086 device=10c9] three of them 4)"), "%s", text);
        ck_assert_ptr_nonnull(strstr(text, "(none [class=crypto]  0)"));
        ck_assert_ptr_null(strstr(text, "(wrong "));
        ck_assert_uint_eq(daemon_logged(world, "pools.d/wrong.conf: line 3: unknown key Allow"), 1);
        grant = must_acquire(world->bus, EDU);
        WAIT_FOR(world, world_signals(world, "device=10c9] three of them 3)") == 1);
        grant_free(grant);
        WAIT_FOR(world, world_signals(world, "device=10c9] three of them 4)") == 1);
        ck_assert_str_eq(ask(world->bus, device_path(NO_RESET), VFB_INTERFACE_DEVICE, "Quarantine", "st", "x", UINT64_C(0)), "");
        ck_assert_str_eq(ask(root, device_path(NVME), VFB_INTERFACE_DEVICE, "Quarantine", "st", "x", UINT64_C(0)), "");
        WAIT_FOR(world, world_signals(world, "three of them 3)") == 2);
        ck_assert_uint_eq(world_signals(world, "{Pools "), 3); /* of what is in no pool there is nothing to tell */
}
END_TEST

int main(void) {
        Suite *suite = suite_create("pools");
        TCase *tcase = suite_add_case(suite, "pools", make_world, end_world);

        tcase_add_test(tcase, each_want_is_another_device_in_a_group_of_its_own);
        tcase_add_test(tcase, pools_that_share_devices_do_not_stand_in_each_others_way);
        tcase_add_test(tcase, explain_and_acquire_mean_the_same_pool);
        tcase_add_test(tcase, one_near_the_processor_is_preferred);
        tcase_add_test(tcase, polkit_hears_which_one_it_is_and_has_the_last_word);
        tcase_add_test(tcase, companion_is_not_asked_for_by_the_pool);
        tcase_add_test(tcase, pool_for_one_use_keeps_its_devices_back);
        tcase_add_test(tcase, last_one_goes_to_one_of_two);
        tcase_add_test(tcase, pool_goes_with_a_unit);
        tcase_add_test(tcase, pools_are_shown_with_what_is_free);
        if (world_is_root()) {
                tcase_add_test(tcase, what_is_not_to_be_had_is_passed_over_and_told);
                tcase_add_test(tcase, pools_are_for_whom_they_say);
                tcase_add_test(tcase, who_is_refused_learns_nothing);
                tcase_add_test(tcase, pools_have_limits);
                tcase_add_test(tcase, another_one_is_chosen_when_it_was_taken_meanwhile);
                tcase_add_test(tcase, no_for_the_next_one_is_no);
                tcase_add_test(tcase, choice_stays_as_long_as_it_is_free);
        }
        return suite_run(suite);
}
