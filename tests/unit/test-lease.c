/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>

#include "core/device.h"
#include "core/group.h"
#include "core/lease.h"
#include "errors.h"
#include "fds.h"
#include "suite.h"

static DeviceList devices;
static GroupList groups;
static LeaseList leases;
static struct UserList users;
static Device *device[4]; /* two in group 26, one in 12, one in 9 */
static User *user;
static Lease *lease;
static int n_fds_before;

static Device *add(const char *id, unsigned number) {
        DeviceFacts facts = { .vfio_driver = true };
        Device *added;
        Group *group;

        snprintf(facts.id, sizeof(facts.id), "%s", id);
        ck_assert_int_eq(device_new(&added, &devices, &facts), 0);
        ck_assert_int_eq(group_get(&group, &groups, number), 0);
        device_join(added, group);
        return added;
}

static Lease *new_lease(unsigned n) {
        Lease *made;

        ck_assert_int_eq(user_get(&user, &users, 1000), 0);
        ck_assert_int_eq(user_charge(user, 10000), 0);
        ck_assert_int_eq(lease_new(&made, &leases, user, n, NULL), 0);
        return made;
}

static void make_world(void) {
        devices = (DeviceList){};
        groups = (GroupList){};
        leases = (LeaseList){};
        TAILQ_INIT(&devices.queue);
        TAILQ_INIT(&groups.queue);
        TAILQ_INIT(&leases.queue);
        LIST_INIT(&users);
        device[0] = add("0000:06:0d.0", 26);
        device[1] = add("0000:06:0d.1", 26);
        device[2] = add("0000:01:00.0", 12);
        device[3] = add("0000:00:10.0", 9);
        n_fds_before = count_fds();
        lease = new_lease(3);
}

static void end_world(void) {
        while (!TAILQ_EMPTY(&leases.queue))
                lease_free(TAILQ_FIRST(&leases.queue));
        ck_assert_uint_eq(leases.n, 0);
        ck_assert_ptr_null(leases.by_id);
        ck_assert(LIST_EMPTY(&users));
        ck_assert_int_eq(count_fds(), n_fds_before);
        while (!TAILQ_EMPTY(&devices.queue))
                device_free(TAILQ_FIRST(&devices.queue));
        while (!TAILQ_EMPTY(&groups.queue))
                group_free(TAILQ_FIRST(&groups.queue));
}

START_TEST(a_new_lease_has_nothing_yet) {
        ck_assert_int_eq(lease->state, LEASE_PREPARING);
        ck_assert(!lease_is_over(lease));
        ck_assert_uint_eq(lease->n_devices, 0);
        ck_assert_uint_eq(lease->n_groups, 0);
        ck_assert_uint_eq(lease_n_present(lease), 0);
        ck_assert_int_lt(lease->container_fd, 0);
        ck_assert_uint_eq(user->n_leases, 1);
        ck_assert_uint_gt(lease->created_usec, 1577836800000000); /* 2020: of the calendar, not of the boot */
        ck_assert_ptr_eq(lease_find(&leases, lease->id), lease);
        ck_assert_ptr_null(lease_find(&leases, ""));
        ck_assert_ptr_null(lease_find(&leases, "l-"));
        ck_assert_ptr_null(lease_find(&leases, "%s"));
}
END_TEST

START_TEST(an_id_is_short_and_without_traps) {
        ck_assert_uint_eq(strlen(lease->id), 8);
        ck_assert_int_eq(strncmp(lease->id, "l-", 2), 0);
        ck_assert_uint_eq(strspn(lease->id + 2, "0123456789bcdfghjkmnpqrstvwxz"), 6);
}
END_TEST

START_TEST(five_thousand_have_ids_of_their_own) {
        char ids[5000][LEASE_ID_MAX];

        for (int i = 0; i < 5000; i++) {
                Lease *made = new_lease(1);

                strcpy(ids[i], made->id);
        }
        ck_assert_uint_eq(leases.n, 5001);
        ck_assert_uint_eq(user->n_leases, 5001);
        for (int i = 0; i < 5000; i++) {
                Lease *found = lease_find(&leases, ids[i]);

                ck_assert_ptr_nonnull(found);
                ck_assert_str_eq(found->id, ids[i]);
                lease_free(found);
                ck_assert_ptr_null(lease_find(&leases, ids[i])); /* so none was there twice */
        }
        ck_assert_uint_eq(leases.n, 1);
        ck_assert_uint_eq(user->n_leases, 1);
}
END_TEST

START_TEST(a_device_comes_with_its_group) {
        lease_add_device(lease, device[0], "token");
        lease_add_device(lease, device[2], NULL);
        lease_add_device(lease, device[1], "");

        ck_assert_uint_eq(lease->n_devices, 3);
        ck_assert_uint_eq(lease->n_groups, 2);
        ck_assert_ptr_eq(device[0]->group->lease, lease);
        ck_assert_ptr_eq(device[2]->group->lease, lease);
        ck_assert_ptr_null(device[3]->group->lease);
        ck_assert_uint_eq(lease->devices[0].group, 0);
        ck_assert_uint_eq(lease->devices[1].group, 1);
        ck_assert_uint_eq(lease->devices[2].group, 0);
        ck_assert_str_eq(lease->devices[0].id, "0000:06:0d.0");
        ck_assert_str_eq(lease->devices[0].token, "token");
        ck_assert_str_eq(lease->devices[1].token, "");
        ck_assert_uint_eq(lease_n_present(lease), 3);
        for (unsigned i = 0; i < lease->n_groups; i++)
                ck_assert_int_lt(lease->group_fds[i], 0);
}
END_TEST

START_TEST(a_dropped_device_keeps_its_place) {
        lease_add_device(lease, device[0], NULL);
        lease_add_device(lease, device[1], NULL);

        ck_assert_int_eq(lease_drop_device(lease, device[2]), -1);
        ck_assert_int_eq(lease_drop_device(lease, device[1]), 1);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(lease_drop_device(lease, device[1]), -1);
        ck_assert_uint_eq(lease_n_present(lease), 1);
        ck_assert_uint_eq(lease->n_devices, 2);
        ck_assert_str_eq(lease->devices[1].id, "0000:06:0d.1");
        ck_assert_ptr_null(lease->devices[1].device);
        ck_assert_ptr_eq(device[1]->group->lease, lease);
        ck_assert_int_eq(lease_drop_device(lease, device[0]), 0);
        ck_assert_uint_eq(lease_n_present(lease), 0);
}
END_TEST

static void count_cut(void *userdata) {
        ++*(int *) userdata;
}

START_TEST(freeing_gives_everything_back) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int before, end, cuts = 0;
        Lease *other = new_lease(1);
        Lifeline *lifeline;

        ck_assert_int_ge(sd_event_new(&event), 0);
        before = count_fds();
        lease_add_device(other, device[3], NULL);
        lease_add_device(lease, device[0], NULL);
        lease_add_device(lease, device[2], NULL);
        lease->container_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        lease->group_fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
        lease->group_fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
        lease->label = strdup("label");
        lease->sender = strdup(":1.1");
        ck_assert_int_eq(lifeline_new(&lifeline, event, -EBADF, NULL, count_cut, &cuts, &end), 0);
        lease_hold_by(lease, lifeline);
        ck_assert_int_ge(sd_event_add_time_relative(event, &lease->timer, CLOCK_MONOTONIC, 0, 0, NULL, NULL), 0);
        ck_assert_int_eq(count_fds(), before + 6); /* the timer is one, too */

        ck_assert_ptr_null(lease_free(lease));
        ck_assert_ptr_null(device[0]->group->lease);
        ck_assert_ptr_null(device[2]->group->lease);
        ck_assert_ptr_eq(device[3]->group->lease, other);
        ck_assert_uint_eq(user->n_leases, 1);
        ck_assert_uint_eq(leases.n, 1);
        close(end);
        ck_assert_int_eq(cuts, 0);
        ck_assert_ptr_null(lease_free(NULL));
}
END_TEST

START_TEST(closing_the_groups_may_be_repeated) {
        lease_add_device(lease, device[0], NULL);
        lease->group_fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int i = 0; i < 20; i++) {
                lease_close_groups(lease);
                ck_assert_int_lt(lease->group_fds[0], 0);
        }
        ck_assert_int_eq(count_fds(), n_fds_before);
        ck_assert_ptr_eq(device[0]->group->lease, lease);
}
END_TEST

START_TEST(again_and_again_leaves_nothing) {
        lease_free(lease);
        for (int i = 0; i < 20; i++) {
                lease = new_lease(2);
                lease_add_device(lease, device[0], NULL);
                lease_add_device(lease, device[1], NULL);
                lease_free(lease);
                ck_assert_ptr_null(device[0]->group->lease);
                ck_assert(LIST_EMPTY(&users));
        }
}
END_TEST

static const bool allowed[_LEASE_STATE_MAX][_LEASE_STATE_MAX] = {
        /*                     preparing active revoking lingering cleaning failed */
        [LEASE_PREPARING] = { false, true, false, true, false, false },
        [LEASE_ACTIVE] = { false, false, true, true, false, false },
        [LEASE_REVOKING] = { false, false, false, true, false, false },
        [LEASE_LINGERING] = { false, false, false, false, true, true },
        [LEASE_CLEANING] = { false, false, false, false, false, true },
        [LEASE_FAILED] = { false, false, false, false, false, false },
};

START_TEST(an_allowed_move_is_made) {
        for (int to = 0; to < _LEASE_STATE_MAX; to++) {
                if (!allowed[_i][to])
                        continue;
                lease->state = (LeaseState) _i;
                lease_advance(lease, (LeaseState) to);
                ck_assert_int_eq(lease->state, to);
        }
}
END_TEST

#ifndef NDEBUG
/* Each of these is to abort. */
static void without_core_file(void) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){});
}

START_TEST(a_forbidden_move_aborts) {
        int from = _i / _LEASE_STATE_MAX, to = _i % _LEASE_STATE_MAX;

        without_core_file();
        if (allowed[from][to])
                abort(); /* not this test's */
        lease->state = (LeaseState) from;
        lease_advance(lease, (LeaseState) to);
}
END_TEST

START_TEST(a_device_for_which_there_is_no_room_aborts) {
        without_core_file();
        for (int i = 0; i < 4; i++)
                lease_add_device(lease, device[i], NULL);
}
END_TEST

START_TEST(a_group_that_another_lease_has_aborts) {
        without_core_file();
        lease_add_device(lease, device[0], NULL);
        lease_add_device(new_lease(1), device[1], NULL);
}
END_TEST
#endif

START_TEST(everything_has_a_name) {
        for (int i = 0; i < _LEASE_STATE_MAX; i++)
                ck_assert_ptr_nonnull(lease_state_name((LeaseState) i));
        for (int i = 0; i < _LEASE_MODE_MAX; i++)
                ck_assert_ptr_nonnull(lease_mode_name((LeaseMode) i));
        for (int i = 0; i < _LEASE_END_MAX; i++)
                ck_assert_ptr_nonnull(lease_end_name((LeaseEnd) i));
        ck_assert_str_eq(lease_state_name(LEASE_LINGERING), "lingering");
        ck_assert_str_eq(lease_mode_name(LEASE_MODE_LEGACY_RAW), "legacy-raw");
        ck_assert_str_eq(lease_mode_name(LEASE_MODE_MEDIATED), "mediated");
        ck_assert_str_eq(lease_end_name(LEASE_END_HOLDER_GONE), "holder-gone");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lease");
        TCase *tcase = suite_add_case(suite, "lease", make_world, end_world);

        tcase_add_test(tcase, a_new_lease_has_nothing_yet);
        tcase_add_test(tcase, an_id_is_short_and_without_traps);
        tcase_add_test(tcase, five_thousand_have_ids_of_their_own);
        tcase_add_test(tcase, a_device_comes_with_its_group);
        tcase_add_test(tcase, a_dropped_device_keeps_its_place);
        tcase_add_test(tcase, freeing_gives_everything_back);
        tcase_add_test(tcase, closing_the_groups_may_be_repeated);
        tcase_add_test(tcase, again_and_again_leaves_nothing);
        tcase_add_loop_test(tcase, an_allowed_move_is_made, 0, _LEASE_STATE_MAX);
#ifndef NDEBUG
        tcase_add_loop_test_raise_signal(tcase, a_forbidden_move_aborts, SIGABRT, 0, _LEASE_STATE_MAX * _LEASE_STATE_MAX);
        tcase_add_test_raise_signal(tcase, a_device_for_which_there_is_no_room_aborts, SIGABRT);
        tcase_add_test_raise_signal(tcase, a_group_that_another_lease_has_aborts, SIGABRT);
#endif
        tcase_add_test(tcase, everything_has_a_name);
        return suite_run(suite);
}
