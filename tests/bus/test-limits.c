/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a client may have at once, and that it gets it back. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define NVME       "0000:03:00.0"
#define EDU        "0000:01:00.0"
#define SHARED     "0000:06:0d.0"
#define PER_SENDER 8
#define PER_USER   16
#define REFUSALS   100 /* lines, in */

#define REFUSALS_USEC (10 * UINT64_C(1000000))

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void make_world_for_two_each(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nLeasesPerUserMax=2\nLeasesMax=3\n" });
}

static void make_world_for_single_devices(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nDevicesPerLeaseMax=1\n" });
}

static void make_world_of_wrong_limits(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nLeasesMax=2\nLeasesPerUserMax=many\n" });
}

static void end_world(void) {
        world = world_stop(world);
}

static const char *n_leases(void) {
        return ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "NLeases");
}

static void tick_until(Pending *pending, sd_bus *bus) {
        WAIT_FOR(world, (sd_bus_process(bus, NULL), pending->answered));
}

START_TEST(one_connection_has_so_many_questions) {
        sd_bus *bus = world_connect(world, world_user());
        Pending pending[PER_SENDER], extra;

        polkit_set(world, "SetAnswer", "s", "silent");
        for (int i = 0; i < PER_SENDER; i++)
                pending_start(&pending[i], bus, &(Request) { .wants = NVME });
        WAIT_FOR(world, polkit_waiting(world) == PER_SENDER);
        for (int times = 0; times < 20; times++) {
                pending_start(&extra, bus, &(Request) { .wants = NVME });
                tick_until(&extra, bus);
                ck_assert_str_eq(extra.refusal, REFUSED("RateLimited"));
                pending_end(&extra);
        }
        ck_assert_uint_eq(polkit_waiting(world), PER_SENDER);

        /* answered ones make room */
        polkit_set(world, "AnswerWaiting", "s", "no");
        for (int i = 0; i < PER_SENDER; i++) {
                tick_until(&pending[i], bus);
                ck_assert_str_eq(pending[i].refusal, DENIED);
                pending_end(&pending[i]);
        }
        for (int i = 0; i < PER_SENDER; i++)
                pending_start(&pending[i], bus, &(Request) { .wants = NVME });
        WAIT_FOR(world, polkit_waiting(world) == PER_SENDER);
        for (int i = 0; i < PER_SENDER; i++)
                pending_end(&pending[i]);
        sd_bus_flush_close_unref(bus);
        WAIT_FOR(world, polkit_waiting(world) == 0);
}
END_TEST

START_TEST(one_user_has_so_many_questions) {
        sd_bus *bus[3], *other = NULL;
        Pending pending[PER_USER + 1], spare;

        polkit_set(world, "SetAnswer", "s", "silent");
        for (int i = 0; i < 3; i++)
                bus[i] = world_connect(world, world_user());
        for (int i = 0; i < PER_USER; i++)
                pending_start(&pending[i], bus[i / PER_SENDER], &(Request) { .wants = NVME });
        WAIT_FOR(world, polkit_waiting(world) == PER_USER);
        pending_start(&pending[PER_USER], bus[2], &(Request) { .wants = NVME });
        tick_until(&pending[PER_USER], bus[2]);
        ck_assert_str_eq(pending[PER_USER].refusal, REFUSED("RateLimited"));

        /* nobody else's business */
        if (world_is_root()) {
                other = world_connect(world, OTHER);
                pending_start(&spare, other, &(Request) { .wants = NVME });
                WAIT_FOR(world, polkit_waiting(world) == PER_USER + 1);
                pending_end(&spare);
                sd_bus_flush_close_unref(other);
        }
        for (int i = 0; i <= PER_USER; i++)
                pending_end(&pending[i]);
        for (int i = 0; i < 3; i++)
                sd_bus_flush_close_unref(bus[i]);
        WAIT_FOR(world, polkit_waiting(world) == 0);
        polkit_set(world, "SetAnswer", "s", "yes");
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

/* journald drops what a service says beyond some thousand lines in half a minute, whatever it is about. */
START_TEST(refusals_do_not_crowd_out_what_else_is_logged) {
        uint64_t begin = world_now(), passed;

        polkit_set(world, "SetAnswer", "s", "no");
        for (int times = 0; times < 3 * REFUSALS; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), DENIED);
        passed = (world_now() - begin) / REFUSALS_USEC;
        ck_assert_uint_ge(daemon_logged(world, "Refused to uid"), REFUSALS);
        ck_assert_uint_le(daemon_logged(world, "Refused to uid"), REFUSALS * (passed + 1));
        polkit_set(world, "SetAnswer", "s", "yes");
        grant_free(must_acquire(world->bus, NVME));
        WAIT_FOR(world, daemon_logged(world, "is over") == 1);
}
END_TEST

START_TEST(one_user_has_so_many_leases) {
        Grant *first = must_acquire(world->bus, NVME), *second = must_acquire(world->bus, EDU);

        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "LeasesPerUserMax"), "2");
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = SHARED }), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(n_leases(), "2");
        ck_assert_str_eq(lease_state(world->bus, first->lease), "active");
        ck_assert_str_eq(lease_state(world->bus, second->lease), "active");
        grant_free(second);
        WAIT_FOR(world, strcmp(n_leases(), "1") == 0);
        second = must_acquire(world->bus, SHARED);
        grant_free(first);
        grant_free(second);
}
END_TEST

START_TEST(refusals_cost_nothing) {
        Grant *first, *second;

        for (int times = 0; times < 20; times++) {
                vfio_fail(world, NVME, "open-errno", "5");
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), "!System.Error.EIO");
                vfio_fail(world, NVME, "open-errno", NULL);
        }
        for (int times = 0; times < 20; times++) {
                grant_free(must_acquire(world->bus, NVME));
                WAIT_FOR(world, strcmp(n_leases(), "0") == 0);
        }

        /* as many as ever, at once */
        grant_free(must_acquire(world->bus, NVME));
        WAIT_FOR(world, strcmp(n_leases(), "0") == 0);
        first = must_acquire(world->bus, NVME);
        second = must_acquire(world->bus, EDU);
        grant_free(first);
        grant_free(second);
}
END_TEST

START_TEST(limit_holds_for_requests_that_wait_together) {
        static const char *const wants[] = { NVME, EDU, SHARED, "0000:04:00.0" };
        Pending pending[4];
        int n_yes = 0, n_no = 0;

        polkit_set(world, "SetAnswer", "s", "silent");
        for (int i = 0; i < 4; i++)
                pending_start(&pending[i], world->bus, &(Request) { .wants = wants[i] });
        WAIT_FOR(world, polkit_waiting(world) == 4);
        polkit_set(world, "AnswerWaiting", "s", "yes");
        for (int i = 0; i < 4; i++) {
                WAIT_FOR(world, pending[i].answered);
                n_yes += pending[i].grant != NULL;
                n_no += strcmp(pending[i].refusal, REFUSED("QuotaExceeded")) == 0;
        }
        ck_assert_int_eq(n_yes, 2);
        ck_assert_int_eq(n_no, 2);
        ck_assert_str_eq(n_leases(), "2");
        for (int i = 0; i < 4; i++)
                pending_end(&pending[i]);
}
END_TEST

START_TEST(all_users_have_so_many_leases) {
        sd_bus *other = world_connect(world, OTHER);
        Grant *grants[] = { must_acquire(world->bus, NVME), must_acquire(world->bus, EDU), must_acquire(other, SHARED) };

        ck_assert_str_eq(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "LeasesMax"), "3");
        ck_assert_str_eq(refusal_of(other, &(Request) { .wants = "0000:04:00.0" }), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(n_leases(), "3");
        for (int i = 0; i < 3; i++)
                grant_free(grants[i]);
        WAIT_FOR(world, strcmp(n_leases(), "0") == 0);
        grant_free(must_acquire(other, "0000:04:00.0"));
        sd_bus_flush_close_unref(other);
}
END_TEST

START_TEST(lease_has_so_many_devices) {
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME "," EDU }), REFUSED("QuotaExceeded"));
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = "group:26" }), REFUSED("QuotaExceeded"));
        check_nothing_held(world);
        grant_free(must_acquire(world->bus, SHARED));
}
END_TEST

/* What is sent without wanting its cookie is sent without wanting a reply, which is another case. */
static void send_and_forget(sd_bus *bus, sd_bus_message *m) {
        uint64_t cookie;

        ck_assert_int_ge(sd_bus_send(bus, m, &cookie), 0);
        sd_bus_message_unref(m);
}

/* What is for it stays with the bus, which counts. */
START_TEST(client_that_never_reads_harms_nobody) {
        sd_bus *deaf = world_connect(world, world_user());
        sd_bus_message *m;

        for (int i = 0; i < 300; i++) {
                ck_assert_int_ge(sd_bus_message_new_method_call(deaf, &m, VFB_BUS_NAME, VFB_PATH, "org.freedesktop.DBus.ObjectManager",
                                                                "GetManagedObjects"),
                                 0);
                send_and_forget(deaf, m);
        }
        ck_assert_int_ge(sd_bus_flush(deaf), 0);
        grant_free(must_acquire(world->bus, EDU));
        for (int times = 0; times < 20; times++)
                ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Version");
        ck_assert_uint_lt(memory_kb(world->daemon_pid), 400 * 1024);
        sd_bus_close_unref(deaf);
        WAIT_FOR(world, strcmp(n_leases(), "0") == 0);
}
END_TEST

/* The reply holds the descriptors while nobody takes it. */
START_TEST(reply_that_is_never_read_ends_with_its_connection) {
        sd_bus *deaf = world_connect(world, world_user());

        send_and_forget(deaf, request_new(deaf, &(Request) { .wants = NVME }));
        ck_assert_int_ge(sd_bus_flush(deaf), 0);
        WAIT_FOR(world, world_signals(world, "LeaseNew") == 1);
        WAIT_FOR(world, count_fds(world->daemon_pid, "/fake/device-") == 0);
        for (int times = 0; times < 20; times++)
                ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NVME }), REFUSED("Leased"));
        sd_bus_close_unref(deaf);
        WAIT_FOR(world, strcmp(n_leases(), "0") == 0);
        check_nothing_held(world);
}
END_TEST

START_TEST(caller_that_wants_no_reply_leaves_nothing) {
        sd_bus_message *m = request_new(world->bus, &(Request) { .wants = NVME });

        ck_assert_int_ge(sd_bus_send(world->bus, m, NULL), 0);
        sd_bus_message_unref(m);
        WAIT_FOR(world, polkit_asked(world) == 1);
        WAIT_FOR(world, strcmp(n_leases(), "0") == 0 && count_children(world->daemon_pid) == 0);
        check_nothing_held(world);
        WAIT_FOR(world, is_free(world, NVME));
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

START_TEST(half_of_a_wrong_configuration_is_not_used) {
        ck_assert_uint_ge(daemon_logged(world, "LeasesPerUserMax"), 1);
        ck_assert_str_ne(ask_property(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "LeasesMax"), "2");
        grant_free(must_acquire(world->bus, NVME));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("limits");
        TCase *tcase;

        tcase = suite_add_case(suite, "questions", make_world, end_world);
        tcase_add_test(tcase, one_connection_has_so_many_questions);
        tcase_add_test(tcase, one_user_has_so_many_questions);
        tcase_add_test(tcase, refusals_do_not_crowd_out_what_else_is_logged);
        tcase_add_test(tcase, client_that_never_reads_harms_nobody);
        tcase_add_test(tcase, reply_that_is_never_read_ends_with_its_connection);
        tcase_add_test(tcase, caller_that_wants_no_reply_leaves_nothing);
        tcase = suite_add_case(suite, "leases", make_world_for_two_each, end_world);
        tcase_add_test(tcase, one_user_has_so_many_leases);
        tcase_add_test(tcase, refusals_cost_nothing);
        tcase_add_test(tcase, limit_holds_for_requests_that_wait_together);
        if (world_is_root())
                tcase_add_test(tcase, all_users_have_so_many_leases);
        tcase_add_test(suite_add_case(suite, "devices", make_world_for_single_devices, end_world),
                       lease_has_so_many_devices);
        tcase_add_test(suite_add_case(suite, "wrong limits", make_world_of_wrong_limits, end_world),
                       half_of_a_wrong_configuration_is_not_used);
        return suite_run(suite);
}
