/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices that something keeps on VFIO when the lease that they were bound for is over, and that go back after that. */

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "by-hand.h"
#include "suite.h"
#include "watch.h"

#define PF  "0000:03:00.0" /* on nvme */
#define VF0 "0000:03:00.1" /* when it is there, and on VFIO like its PF */
#define VF1 "0000:03:00.2"

#define VF0_GROUP (1000 + 256 * 3 + 1) /* of the fake kernel's making */

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document_with_functions(tree, 4);
        if (r >= 0)
                r = tree_set_driver(tree, PF, "nvme");
        return r < 0 ? r : tree_write(tree, "sys/module/vfio_pci/parameters/enable_sriov", "Y\n");
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nOnAcquire=yes\n" });
}

/* The functions that somebody wanted are there again; what there was before them comes back, too. */
static void end_world(void) {
        ck_assert_str_eq(restore_device(world, PF), "");
        check_nothing_held(world);
        ck_assert_uint_eq(count_origins(world), 0);
        world = world_stop(world);
}

static bool is_back(void) {
        return strcmp(driver_state(world, PF), "nvme (null)") == 0 && device_is(world, PF, "host");
}

static bool is_kept(void) {
        return strcmp(driver_state(world, PF), "vfio-pci vfio-pci") == 0;
}

/* Taken from the host for a lease, with functions made under that */
static Grant *acquire_pf(void) {
        Grant *grant = must_acquire(world->bus, PF);
        const char *answer = set_functions(world, PF, 2);

        ck_assert_msg(answer[0] == '[', "%s: %s", answer, ask_message());
        ck_assert(is_kept());
        return grant;
}

static void release(Grant *grant, const char *address) {
        grant_free(grant);
        WAIT_FOR(world, !device_is(world, address, "leased"));
}

/* The lease of the PF is over, and it would go back but for one of its functions. */
static Grant *keep_pf_by_a_function(void) {
        Grant *vf, *pf = acquire_pf();

        vf = must_acquire(world->bus, VF0);
        release(pf, PF);
        return vf;
}

START_TEST(pf_goes_back_after_the_last_lease_of_its_functions) {
        Grant *first, *second, *pf = acquire_pf();

        first = must_acquire(world->bus, VF0);
        second = must_acquire(world->bus, VF1);
        release(pf, PF);
        ck_assert(is_kept() && device_is(world, PF, "available"));
        ck_assert_uint_eq(daemon_logged(world, "goes back by itself"), 1);
        ck_assert_str_eq(restore_device(world, PF), REFUSED("Leased"));
        release(first, VF0);
        ck_assert(is_kept());
        ck_assert_str_eq(lease_state(world->bus, second->lease), "active");
        ck_assert_uint_eq(daemon_logged(world, "goes back by itself"), 1);
        grant_free(second);
        WAIT_FOR(world, is_back());
        ck_assert_str_ne(driver_state(world, VF1), "vfio-pci (null)"); /* another one, of its own driver's making */
}
END_TEST

/* 0: while it waits. 1: and what it waits for ends while there is no daemon. */
START_TEST(pf_goes_back_over_a_death_of_the_daemon) {
        Grant *vf = keep_pf_by_a_function();

        if (_i == 0) {
                world_crash_daemon(world);
                ck_assert(is_kept());
                ck_assert_str_eq(lease_state(world->bus, vf->lease), "active");
                grant_free(vf);
        } else {
                world_end_daemon(world);
                grant_free(vf);
                world_start_daemon(world);
        }
        WAIT_FOR(world, is_back());
}
END_TEST

START_TEST(who_has_leased_it_meanwhile_keeps_it_as_long_as_that) {
        Grant *vf = keep_pf_by_a_function(), *pf = must_acquire(world->bus, PF);

        release(vf, VF0);
        ck_assert(is_kept());
        ck_assert_str_eq(lease_state(world->bus, pf->lease), "active");
        grant_free(pf);
        WAIT_FOR(world, is_back());
}
END_TEST

START_TEST(who_binds_it_meanwhile_wants_it_to_stay) {
        Grant *vf = keep_pf_by_a_function();

        ck_assert_str_eq(bind_device(world, PF), "");
        release(vf, VF0);
        if (_i == 1)
                world_crash_daemon(world);
        ck_assert(is_kept() && device_is(world, PF, "available"));
        ck_assert_str_eq(device_property(world, PF, "RestoreDriver"), "nvme");
}
END_TEST

/* Nobody tells the broker when that is closed. 1: nothing else keeps it any more. */
START_TEST(what_somebody_has_open_without_a_lease_keeps_it_until_that_is_closed) {
        _cleanup_(freep) char *token = NULL;
        Grant *vf, *pf = acquire_pf();
        ByHand by_hand;
        char name[128];

        token = world_read(world, "fake/vf-token-" PF);
        snprintf(name, sizeof(name), "%s vf_token=%s", VF0, token);
        by_hand = by_hand_take(world, VF0_GROUP, name);
        if (_i == 1) {
                vf = must_acquire(world->bus, VF1);
                release(pf, PF);
                ck_assert_uint_eq(daemon_logged(world, "goes back by itself after that: "), 1);
                grant_free(vf);
        } else {
                release(pf, PF);
        }
        WAIT_FOR(world, daemon_logged(world, "; it goes back by itself") == 1 && device_is(world, PF, "available"));
        ck_assert(is_kept());
        ck_assert_str_eq(restore_device(world, PF), REFUSED("HeldElsewhere"));
        by_hand_let_go(&by_hand);
        WAIT_FOR(world, is_back());
        ck_assert_uint_eq(daemon_logged(world, "; it goes back by itself"), 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("due");
        TCase *tcase = suite_add_case(suite, "due", make_world, end_world);

        tcase_add_test(tcase, pf_goes_back_after_the_last_lease_of_its_functions);
        tcase_add_loop_test(tcase, pf_goes_back_over_a_death_of_the_daemon, 0, 2);
        tcase_add_test(tcase, who_has_leased_it_meanwhile_keeps_it_as_long_as_that);
        tcase_add_loop_test(tcase, who_binds_it_meanwhile_wants_it_to_stay, 0, 2);
        tcase_add_loop_test(tcase, what_somebody_has_open_without_a_lease_keeps_it_until_that_is_closed, 0, 2);
        return suite_run(suite);
}
