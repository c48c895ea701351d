/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What changes, who hears of it and in which order. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "broker-world.h"
#include "errors.h"
#include "fds.h"
#include "suite.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
#define DEADLINE_SEC  60

static int n_done, done_r;

/* What a uevent about the device would lead to. */
static void check_refresh(const char *id, const char *expected) {
        ck_assert_int_eq(broker_refresh(broker, id), 0);
        check_seen(expected);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(broker_refresh(broker, id), 0);
        check_seen("");
}

/* As long as it stays the same device; negative: to none. */
static void regroup(const char *address, int group) {
        char path[PATH_MAX], target[64];

        snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/iommu_group", tree_root(tree), address);
        ck_assert(unlink(path) == 0 || errno == ENOENT);
        snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", group);
        ck_assert(group < 0 || symlink(target, path) == 0);
}

static void replug(const TreePci *pci) {
        ck_assert_int_eq(tree_remove(tree, pci->address), 0);
        ck_assert_int_eq(tree_add_pci(tree, pci), 0);
}

static const TreePci card = { .address = "0000:01:00.0", .driver = "vfio-pci", .reset_methods = "bus", .class = 0x00ff00, .vendor = 0x1234,
                              .device = 0x11e8, .subsystem_vendor = 0x1af4, .subsystem_device = 0x1100, .group = 12 };

static Lease *lease_out_in_public(const char *id) {
        Lease *lease = lease_out(id, 1000);

        lease->announced = true;
        lease->container_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        ck_assert_int_ge(lease->container_fd, 0);
        return lease;
}

/* The last child may still be about to end. */
static void await_fds(int max) {
        time_t end = time(NULL) + DEADLINE_SEC;

        while (count_fds() > max) {
                ck_assert_msg(time(NULL) < end, "%d descriptors, and not %d", count_fds(), max);
                ck_assert_int_ge(sd_event_run(event, 10000), 0);
        }
}

static void run_until_no_lease(void) {
        time_t end = time(NULL) + DEADLINE_SEC;

        while (broker_leases(broker)->n > 0) {
                ck_assert_msg(time(NULL) < end, "there is still a lease");
                ck_assert_int_ge(sd_event_run(event, 10000), 0);
        }
        ck_assert(LIST_EMPTY(&broker->users));
        ck_assert(LIST_EMPTY(&broker->tasks));
}

static int on_done(int r, const Finding *why, const Lease *lease, int lifeline, const BrokerFds *fds, void *userdata) {
        ck_assert_ptr_eq(userdata, &n_done);
        n_done++;
        done_r = r;
        return 0;
}

static int acquire(const char *id) {
        BrokerTarget target = { id, NULL, find(id), 1 };
        BrokerRequest request = { .targets = &target, .n_targets = 1, .label = "", .uid = 1000, .sender = ":1.1" };

        return broker_acquire(broker, &request, &findings, on_done, &n_done);
}

START_TEST(a_new_device_comes_after_its_new_group_and_before_a_change) {
        TreePci pci = card;

        pci.address = "0001:01:00.0";
        pci.group = 77;
        ck_assert_int_eq(tree_add_pci(tree, &pci), 0);
        check_refresh("0001:01:00.0", "+g77 +0001:01:00.0 ");

        pci.address = "0001:01:00.1";
        ck_assert_int_eq(tree_add_pci(tree, &pci), 0);
        check_refresh("0001:01:00.1", "+0001:01:00.1 ~g77 ");

        pci.address = "0001:01:00.2";
        pci.group = -1;
        ck_assert_int_eq(tree_add_pci(tree, &pci), 0);
        check_refresh("0001:01:00.2", "+0001:01:00.2 ");
}
END_TEST

START_TEST(a_driver_changes) {
        uint64_t generation = find("0000:06:0d.0")->generation;

        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.0", "nvme"), 0);
        check_refresh("0000:06:0d.0", "~0000:06:0d.0 ~g26 ");
        ck_assert_str_eq(find("0000:06:0d.0")->facts.driver, "nvme");
        ck_assert(!find("0000:06:0d.0")->facts.vfio_driver);

        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.0", NULL), 0);
        check_refresh("0000:06:0d.0", "~0000:06:0d.0 ~g26 ");
        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.0", "vfio-pci"), 0);
        check_refresh("0000:06:0d.0", "~0000:06:0d.0 ~g26 ");
        ck_assert(find("0000:06:0d.0")->facts.vfio_driver);
        ck_assert_uint_eq(find("0000:06:0d.0")->generation, generation);
}
END_TEST

START_TEST(a_device_goes_before_its_group) {
        ck_assert_int_eq(tree_remove(tree, "0000:01:00.0"), 0);
        check_refresh("0000:01:00.0", "-0000:01:00.0 -g12 ");
        ck_assert_int_eq(tree_remove(tree, "0000:06:0d.0"), 0);
        check_refresh("0000:06:0d.0", "-0000:06:0d.0 ~g26 ");
        ck_assert_int_eq(tree_remove(tree, "0000:00:02.0"), 0);
        check_refresh("0000:00:02.0", "-0000:00:02.0 ");
        check_refresh("0000:09:00.0", "");
}
END_TEST

START_TEST(another_card_in_the_slot_is_another_device) {
        uint64_t generation = find("0000:01:00.0")->generation;
        TreePci other = card;

        ck_assert_int_eq(broker_quarantine(broker, find("0000:01:00.0"), "broken", 0), 0);
        check_seen("~g12 ");
        other.device = 0x11e8 + (unsigned) _i; /* 0: it looks the same in all */
        replug(&other);
        check_refresh("0000:01:00.0", "-0000:01:00.0 -g12 +g12 +0000:01:00.0 ");
        ck_assert_uint_gt(find("0000:01:00.0")->generation, generation);
        ck_assert_ptr_null(find("0000:01:00.0")->quarantine);
}
END_TEST

START_TEST(a_device_moves_to_another_group) {
        uint64_t generation = find("0000:01:00.0")->generation;

        regroup("0000:01:00.0", 77);
        check_refresh("0000:01:00.0", "+g77 -g12 ~0000:01:00.0 ~g77 ");
        ck_assert_uint_eq(find("0000:01:00.0")->generation, generation);
        ck_assert_ptr_null(broker_find_group(broker, 12));

        regroup("0000:01:00.0", 26);
        check_refresh("0000:01:00.0", "-g77 ~0000:01:00.0 ~g26 ");
}
END_TEST

START_TEST(a_device_that_leaves_its_group_for_none_says_so) {
        regroup("0000:01:00.0", -1);
        check_refresh("0000:01:00.0", "-g12 ~0000:01:00.0 ");
        ck_assert_str_eq(broker_availability(find("0000:01:00.0")), "no-iommu");
        regroup("0000:01:00.0", 12);
        check_refresh("0000:01:00.0", "+g12 ~0000:01:00.0 ~g12 ");
}
END_TEST

START_TEST(what_makes_no_sense_is_no_device) {
        ck_assert_int_eq(tree_write(tree, "sys/bus/pci/devices/0000:01:00.0/uevent", "rubbish\n"), 0);
        check_refresh("0000:01:00.0", "-0000:01:00.0 -g12 ");
}
END_TEST

START_TEST(when_all_have_gone_the_lists_are_empty) {
        char id[DEVICE_ID_MAX];

        while (!TAILQ_EMPTY(&broker->devices.queue)) {
                strcpy(id, device_id(TAILQ_FIRST(&broker->devices.queue)));
                tree_remove(tree, id); /* maybe it went with its bridge */
                ck_assert_int_eq(broker_refresh(broker, id), 0);
        }
        ck_assert_uint_eq(broker->devices.n, 0);
        ck_assert_uint_eq(broker->groups.n, 0);
        ck_assert(TAILQ_EMPTY(&broker->groups.queue));
        ck_assert_ptr_null(broker->devices.by_id);
        ck_assert_ptr_null(broker->groups.by_number);
}
END_TEST

START_TEST(a_leased_device_that_goes_is_lost) {
        Lease *lease = lease_out_in_public("0000:06:0d.0");

        lease_add_device(lease, find("0000:06:0d.1"), NULL);
        ck_assert_int_eq(tree_set_driver(tree, "0000:06:0d.0", "nvme"), 0);
        check_refresh("0000:06:0d.0", "~0000:06:0d.0 !0000:06:0d.0:driver ~g26 ");
        ck_assert_uint_eq(lease_n_present(lease), 1);
        ck_assert(!lease_is_over(lease));

        /* It has left the lease, and does not come back into it. */
        ck_assert_int_eq(tree_remove(tree, "0000:06:0d.0"), 0);
        check_refresh("0000:06:0d.0", "-0000:06:0d.0 ~g26 ");
        ck_assert(!lease_is_over(lease));

        ck_assert_int_eq(tree_remove(tree, "0000:06:0d.1"), 0);
        check_refresh("0000:06:0d.1", "!0000:06:0d.1:unplug ~lingering -0000:06:0d.1 ~g26 ");
        ck_assert_int_eq(lease->end, LEASE_END_REMOVED);
        ck_assert_ptr_eq(broker_find_group(broker, 26)->lease, lease);
}
END_TEST

/* The kernel takes a device out of its group before it takes it out of /sys. */
START_TEST(a_leased_device_that_leaves_its_group_is_lost) {
        Lease *lease = lease_out_in_public("0000:01:00.0");

        regroup("0000:01:00.0", _i);
        ck_assert_int_eq(broker_refresh(broker, "0000:01:00.0"), 0);
        ck_assert_int_eq(strncmp(seen, "!0000:01:00.0:unplug ~lingering ", 32), 0);
        ck_assert_ptr_null(lease->devices[0].device);
        ck_assert_int_eq(lease->end, LEASE_END_REMOVED);
        ck_assert_int_eq(tree_remove(tree, "0000:01:00.0"), 0);
        ck_assert_int_eq(broker_refresh(broker, "0000:01:00.0"), 0);
        ck_assert_ptr_null(lease->devices[0].device);
}
END_TEST

START_TEST(what_the_kernel_will_not_open_is_given_back) {
        int before = count_fds();

        for (int i = 0; i < 20; i++) {
                ck_assert_int_eq(acquire("0000:01:00.0"), 0);
                ck_assert_str_eq(broker_availability(find("0000:01:00.0")), "leased");
                ck_assert_int_eq(acquire("0000:01:00.0"), VFB_ERROR_LEASED);
                ck_assert_str_eq(findings_first_error(&findings)->lease, find("0000:01:00.0")->group->lease->id);
                ck_assert_int_eq(n_done, i);
                findings_done(&findings);
                run_until_no_lease();
                ck_assert_int_eq(n_done, i + 1);
                ck_assert_int_eq(done_r, -ENOTTY);
                ck_assert_str_eq(broker_availability(find("0000:01:00.0")), "available");
                check_seen("~g12 ");
        }
        await_fds(before + 2); /* the loop's own, for its timers */
}
END_TEST

START_TEST(who_does_not_wait_any_more_is_told_nothing) {
        for (int i = 0; i < 20; i++) {
                ck_assert_int_eq(acquire("0000:01:00.0"), 0);
                broker_abandon(broker, &n_done);
                run_until_no_lease();
        }
        ck_assert_int_eq(n_done, 0);
}
END_TEST

START_TEST(a_device_that_goes_while_it_is_opened_is_no_news) {
        ck_assert_int_eq(acquire("0000:01:00.0"), 0);
        ck_assert_int_eq(tree_remove(tree, "0000:01:00.0"), 0);
        ck_assert_int_eq(broker_refresh(broker, "0000:01:00.0"), 0);
        check_seen("-0000:01:00.0 ~g12 "); /* nobody has heard of the lease yet */
        ck_assert_uint_eq(broker_leases(broker)->n, 1);
        run_until_no_lease();
        ck_assert_int_eq(n_done, 1);
        check_seen("~g12 -g12 ");
}
END_TEST

START_TEST(a_broker_may_go_while_the_kernel_works) {
        ck_assert_int_eq(acquire("0000:01:00.0"), 0);
        ck_assert_int_eq(acquire("0000:03:00.0"), 0);
        broker_release(broker, lease_out_in_public("0000:00:10.0"), LEASE_END_RELEASED);
        broker = broker_free(broker);
        ck_assert_int_eq(n_done, 0);
}
END_TEST

START_TEST(what_cannot_be_cleaned_is_quarantined) {
        Lease *lease = lease_out_in_public("0000:01:00.0");

        broker_release(broker, lease, LEASE_END_RELEASED);
        broker_release(broker, lease, LEASE_END_HOLDER_GONE); /* the first reason stays */
        ck_assert_int_eq(lease->end, LEASE_END_RELEASED);
        run_until_no_lease();
        check_seen("~lingering ~cleaning ~failed -lease:failed 0 ~g12 ");
        ck_assert_str_eq(broker_availability(find("0000:01:00.0")), "quarantined");
        ck_assert_ptr_nonnull(strstr(find("0000:01:00.0")->quarantine, "could not be opened for its reset"));
        ck_assert_int_eq(acquire("0000:01:00.0"), VFB_ERROR_QUARANTINED);
}
END_TEST

/* A client that has the group itself: the broker opens it again to ask who else has, and here nobody can. */
START_TEST(a_raw_lease_ends_when_its_group_has_gone) {
        Lease *lease = lease_out_in_public("0000:01:00.0");

        lease_add_device(lease, find("0000:03:00.0"), NULL);
        lease->mode = LEASE_MODE_LEGACY_RAW;
        ck_assert_int_eq(tree_remove(tree, "0000:01:00.0"), 0);
        ck_assert_int_eq(broker_refresh(broker, "0000:01:00.0"), 0);
        broker_release(broker, lease, LEASE_END_RELEASED);
        run_until_no_lease();
        ck_assert_ptr_null(broker_find_group(broker, 12));
        ck_assert_ptr_nonnull(strstr(find("0000:03:00.0")->quarantine, "could not be opened for its reset"));
}
END_TEST

START_TEST(descriptors_are_only_for_an_active_lease) {
        Lease *lease = lease_out_in_public("0000:01:00.0");
        static const char *const none[] = { "device:0000:03:00.0", "device:", "", "group:12", "Container", "%n", "device:0000:01:00.0x" };

        for (size_t i = 0; i < N_ELEMENTS(none); i++)
                ck_assert_int_eq(broker_get_fds(broker, lease, &none[i], 1, on_done, &n_done), VFB_ERROR_INVALID_ARGS);
        ck_assert_uint_eq(lease->n_tasks, 0);

        lease_drop_device(lease, find("0000:01:00.0"));
        ck_assert_int_eq(broker_get_fds(broker, lease, NULL, 0, on_done, &n_done), VFB_ERROR_DEVICE_GONE);
        lease_advance(lease, LEASE_LINGERING);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(broker_get_fds(broker, lease, NULL, 0, on_done, &n_done), VFB_ERROR_NO_SUCH_LEASE);
        ck_assert_uint_eq(lease->n_tasks, 0);
        ck_assert_int_eq(n_done, 0);
}
END_TEST

START_TEST(a_lease_has_only_so_many_at_work) {
        Lease *lease = lease_out_in_public("0000:01:00.0");
        int n = 0, r;

        while ((r = broker_get_fds(broker, lease, NULL, 0, on_done, &n_done)) == 0)
                ck_assert_int_lt(n++, 100);
        ck_assert_int_eq(r, VFB_ERROR_RATE_LIMITED);
        ck_assert_int_gt(n, 1);
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(broker_get_fds(broker, lease, NULL, 0, on_done, &n_done), VFB_ERROR_RATE_LIMITED);
        ck_assert_uint_eq(lease->n_tasks, n);
        broker_release(broker, lease, LEASE_END_RELEASED);
        run_until_no_lease();
        ck_assert_int_eq(n_done, n);
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, a_new_device_comes_after_its_new_group_and_before_a_change);
        tcase_add_test(tcase, a_driver_changes);
        tcase_add_test(tcase, a_device_goes_before_its_group);
        tcase_add_loop_test(tcase, another_card_in_the_slot_is_another_device, 0, 2);
        tcase_add_test(tcase, a_device_moves_to_another_group);
        tcase_add_test(tcase, a_device_that_leaves_its_group_for_none_says_so);
        tcase_add_test(tcase, what_makes_no_sense_is_no_device);
        tcase_add_test(tcase, when_all_have_gone_the_lists_are_empty);
        tcase_add_test(tcase, a_leased_device_that_goes_is_lost);
        tcase_add_loop_test(tcase, a_leased_device_that_leaves_its_group_is_lost, -1, 1);
        tcase_add_test(tcase, what_the_kernel_will_not_open_is_given_back);
        tcase_add_test(tcase, who_does_not_wait_any_more_is_told_nothing);
        tcase_add_test(tcase, a_device_that_goes_while_it_is_opened_is_no_news);
        tcase_add_test(tcase, a_broker_may_go_while_the_kernel_works);
        tcase_add_test(tcase, what_cannot_be_cleaned_is_quarantined);
        tcase_add_test(tcase, a_raw_lease_ends_when_its_group_has_gone);
        tcase_add_test(tcase, descriptors_are_only_for_an_active_lease);
        tcase_add_test(tcase, a_lease_has_only_so_many_at_work);
}

int main(void) {
        Suite *suite = suite_create("broker-changes");
        TCase *tcase = suite_add_case(suite, "broker-changes", broker_world_begin, broker_world_end);

        add_tests(tcase);
        return suite_run(suite);
}
