/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who has something of a lease, and who may know it. */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME "0000:03:00.0"
#define EDU  "0000:01:00.0"

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *list(sd_bus *bus, const char *lease) {
        return ask(bus, lease, VFB_INTERFACE_LEASE, "ListHolders", "t", UINT64_C(0));
}

static bool has(sd_bus *bus, const char *lease, pid_t pid, const char *name) {
        char text[64];

        snprintf(text, sizeof(text), "(%d %s)", (int) pid, name);
        return strstr(list(bus, lease), text);
}

START_TEST(holders_are_those_who_have_something_and_no_others) {
        Grant *grant = must_acquire(world->bus, NVME), *second = must_acquire(world->bus, EDU);
        pid_t container = world_spawn_holder(grant->fds[0].fd), lifeline = world_spawn_holder(grant->lifeline);
        pid_t other = world_spawn_holder(second->fds[0].fd), nothing = world_spawn_holder(-1);

        WAIT_FOR(world, has(world->bus, grant->lease, container, "sleep"));
        WAIT_FOR(world, has(world->bus, grant->lease, lifeline, "sleep"));
        WAIT_FOR(world, has(world->bus, second->lease, other, "sleep"));
        ck_assert(has(world->bus, grant->lease, getpid(), "test-holders"));
        for (int times = 0; times < 5; times++) {
                ck_assert(!has(world->bus, grant->lease, other, "sleep"));
                ck_assert(!has(world->bus, grant->lease, nothing, "sleep"));
                ck_assert(!has(world->bus, grant->lease, world->daemon_pid, "vfio-brokerd"));
                ck_assert(!has(world->bus, second->lease, container, "sleep"));
        }

        world_kill(container, SIGKILL);
        ck_assert(!has(world->bus, grant->lease, container, "sleep"));
        ck_assert(has(world->bus, grant->lease, lifeline, "sleep"));
        world_kill(lifeline, SIGKILL);
        world_kill(other, SIGKILL);
        world_kill(nothing, SIGKILL);
        grant_free(grant);
        grant_free(second);
}
END_TEST

START_TEST(device_alone_is_told_while_no_other_is_open) {
        Grant *grant = must_acquire(world->bus, NVME), *second;
        pid_t holder = world_spawn_holder(grant_find(grant, "device:" NVME)->fd);
        char lease[128];

        WAIT_FOR(world, has(world->bus, grant->lease, holder, "sleep"));
        second = must_acquire(world->bus, EDU);
        ck_assert(!has(world->bus, grant->lease, holder, "sleep"));
        ck_assert(!has(world->bus, second->lease, holder, "sleep"));
        grant_free(second);

        /* over, and still told */
        snprintf(lease, sizeof(lease), "%s", grant->lease);
        grant_free(grant);
        WAIT_FOR(world, strcmp(lease_state(world->bus, lease), "lingering") == 0);
        WAIT_FOR(world, has(world->bus, lease, holder, "sleep"));
        world_kill(holder, SIGKILL);
        WAIT_FOR(world, strchr(lease_state(world->bus, lease), '!'));
        ck_assert_ptr_nonnull(strchr(list(world->bus, lease), '!'));
}
END_TEST

START_TEST(others_need_polkit_to_know) {
        sd_bus *other = world_connect(world, OTHER);
        Grant *grant = must_acquire(world->bus, NVME);
        unsigned n = polkit_asked(world);

        ck_assert(has(world->bus, grant->lease, getpid(), "test-holders"));
        ck_assert_uint_eq(polkit_asked(world), n);

        polkit_set(world, "SetAnswer", "s", "no");
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(list(other, grant->lease), DENIED);
        polkit_set(world, "SetAnswer", "s", "yes");
        ck_assert(has(other, grant->lease, getpid(), "test-holders"));
        ck_assert_uint_eq(polkit_asked(world), n + 21);
        ck_assert_ptr_nonnull(strstr(ask_at(other, "org.freedesktop.PolicyKit1", "/test", "test.Polkit", "GetCalls", ""), VFB_ACTION_INSPECT));
        ck_assert_str_eq(ask(world->bus, grant->lease, VFB_INTERFACE_LEASE, "ListHolders", "t", UINT64_C(1)), REFUSED("InvalidOption"));
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "active");
        grant_free(grant);
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(caller_that_leaves_takes_the_question_along) {
        Grant *grant = must_acquire(world->bus, NVME);

        for (int times = 0; times < 20; times++) {
                sd_bus *bus = world_connect(world, world_user());

                ck_assert_int_ge(sd_bus_call_method_async(bus, NULL, VFB_BUS_NAME, grant->lease, VFB_INTERFACE_LEASE, "ListHolders", NULL, NULL,
                                                          "t", UINT64_C(0)), 0);
                sd_bus_flush_close_unref(bus);
        }
        WAIT_FOR(world, count_children(world->daemon_pid) == 0);
        WAIT_FOR(world, has(world->bus, grant->lease, getpid(), "test-holders"));
        grant_free(grant);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("holders");
        TCase *tcase = suite_add_case(suite, "holders", make_world, end_world);

        tcase_add_test(tcase, holders_are_those_who_have_something_and_no_others);
        tcase_add_test(tcase, device_alone_is_told_while_no_other_is_open);
        tcase_add_test(tcase, caller_that_leaves_takes_the_question_along);
        if (world_is_root())
                tcase_add_test(tcase, others_need_polkit_to_know);
        return suite_run(suite);
}
