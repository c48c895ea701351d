/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mediated leases: what their devices can reach ends with the lease. */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mediated.h"
#include "suite.h"
#include "watch.h"

static World *world;

static void make_world(void) {
        world_start(&world, &(WorldSpec) {});
}

static void make_world_of_patience(void) {
        world_start(&world, &(WorldSpec) { .config = "[Limits]\nRevokeKillSec=60\n" });
}

static void end_world(void) {
        world = world_stop(world);
}

/* All is taken back, and in the first place, while the client has its device. */
static void check_cut(const char *lease, const char *ioctls) {
        char *calls, *last, *detach;

        WAIT_FOR(world, strcmp(mapped(world), "") == 0);
        WAIT_FOR(world, vfio_called(world, "unset-container 16") > 0);
        ck_assert_str_eq(lease_state(world->bus, lease), "lingering");
        ck_assert(!is_free(world, EDU));
        ck_assert_uint_eq(daemon_logged(world, "is cut"), 1);

        calls = vfio_calls(world);
        last = strstr(calls, ioctls);
        detach = strstr(calls, "unset-container");
        ck_assert_msg(last && detach && last < detach, "%s", calls);
        free(calls);
}

START_TEST(release_cuts_the_dma_of_who_keeps_the_device) {
        Grant *grant = acquire_mediated(world->bus, EDU);
        unsigned n = vfio_resets(world, EDU);

        ck_assert_str_eq(map_page(world, grant, IOVA), "");
        ck_assert_str_eq(map_page(world, grant, IOVA + PAGE), "");
        vfio_forget(world);
        release(world, grant);
        check_cut(grant->lease, "container unmap-dma 0");
        ck_assert_uint_eq(vfio_called(world, "unmap-dma"), 1);
        ck_assert_str_eq(map_page(world, grant, IOVA), REFUSED("NoSuchLease"));
        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), REFUSED("NoSuchLease"));
        ck_assert_uint_eq(vfio_called(world, "map-dma"), 1); /* which is "unmap-dma" */

        grant_close_fds(grant);
        WAIT_FOR(world, is_free(world, EDU));
        ck_assert_uint_eq(vfio_resets(world, EDU), n + 1);
        check_nothing_held(world);
        grant_free(grant);
}
END_TEST

START_TEST(cut_lifeline_cuts_the_dma) {
        Grant *grant = acquire_mediated(world->bus, EDU);

        ck_assert_str_eq(map_page(world, grant, IOVA), "");
        vfio_forget(world);
        grant_close_lifeline(grant);
        check_cut(grant->lease, "container unmap-dma 0");
        grant_free(grant);
        WAIT_FOR(world, is_free(world, EDU));
        check_nothing_held(world);
}
END_TEST

START_TEST(old_kernels_are_asked_for_each_mapping) {
        Grant *grant;

        vfio_fail(world, "container", "extensions", "1 3 4");
        grant = acquire_mediated(world->bus, EDU);
        for (unsigned i = 0; i < 3; i++)
                ck_assert_str_eq(map_page(world, grant, IOVA + i * PAGE), "");
        vfio_forget(world);
        release(world, grant);
        check_cut(grant->lease, "container unmap-dma 0\ncontainer unmap-dma 0\ncontainer unmap-dma 0\n");
        grant_free(grant);
        WAIT_FOR(world, is_free(world, EDU));
}
END_TEST

START_TEST(cut_that_fails_is_tried_again_and_holds_up_nothing) {
        Grant *grant = acquire_mediated(world->bus, EDU);

        ck_assert_str_eq(map_page(world, grant, IOVA), "");
        vfio_fail(world, "container", "unmap-dma-errno", "5 4"); /* all at once, and the one */
        release(world, grant);
        WAIT_FOR(world, strcmp(mapped(world), "") == 0);
        WAIT_FOR(world, daemon_logged(world, "is cut") == 1);
        ck_assert_uint_eq(daemon_logged(world, "is not cut"), 1); /* not each time */
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "lingering");

        vfio_fail(world, "container", "unmap-dma-errno", NULL);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, EDU));
        check_nothing_held(world);
}
END_TEST

START_TEST(lease_whose_dma_cannot_be_cut_ends_with_its_last_descriptor) {
        Grant *grant = acquire_mediated(world->bus, EDU);

        ck_assert_str_eq(map_page(world, grant, IOVA), "");
        vfio_fail(world, "container", "unmap-dma-errno", "5");
        release(world, grant);
        WAIT_FOR(world, daemon_logged(world, "is not cut") > 0);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, EDU));
        ck_assert_str_eq(mapped(world), "");
        check_nothing_held(world);
}
END_TEST

START_TEST(map_that_is_under_way_at_the_end_is_cut_as_well) {
        Grant *grant = acquire_mediated(world->bus, EDU);
        int fd = memory_new(PAGE, SHRINK);
        Call call;

        ck_assert_str_eq(map_page(world, grant, IOVA), "");
        vfio_fail(world, "container", "map-dma-hangs", "");
        vfio_forget(world);
        send_map(&call, world->bus, grant->lease, fd, IOVA + PAGE);
        WAIT_FOR(world, vfio_delayed(world) > 0);
        release(world, grant);
        WAIT_FOR(world, vfio_called(world, "unmap-dma 0") == 1); /* at once */
        ck_assert_uint_eq(vfio_called(world, "map-dma 0"), 1);
        ck_assert(!call.answered);
        vfio_fail(world, "container", "map-dma-hangs", NULL);
        WAIT_FOR(world, call.answered);
        ck_assert_str_eq(call.answer, REFUSED("NoSuchLease"));
        check_cut(grant->lease, "container map-dma 0\ncontainer check-extension 0\ncontainer unmap-dma 0\n");

        call_end(&call);
        close(fd);
        grant_free(grant);
        WAIT_FOR(world, is_free(world, EDU));
        check_nothing_held(world);
}
END_TEST

START_TEST(revocation_maps_no_more_and_cuts_at_its_deadline) {
        Grant *grant = acquire_mediated(world->bus, EDU);
        const char *id = ask_property(world->bus, grant->lease, VFB_INTERFACE_LEASE, "Id");

        /* who keeps the device is this process */
        signal(SIGTERM, SIG_IGN);
        ck_assert_str_eq(map_page(world, grant, IOVA), "");
        ck_assert_str_eq(map_page(world, grant, IOVA + PAGE), "");
        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id, "", UINT64_C(60000000), UINT64_C(0)), "");
        ck_assert_str_eq(lease_state(world->bus, grant->lease), "revoking");
        ck_assert_str_eq(map_page(world, grant, IOVA + 2 * PAGE), REFUSED("NoSuchLease"));
        ck_assert_str_eq(unmap(world, grant, IOVA, PAGE), ""); /* to tidy up is what the time is for */
        ck_assert_str_eq(mapped(world), "101000 1000 3\n");

        ck_assert_str_eq(ask(world->bus, VFB_PATH, VFB_INTERFACE_MANAGER, "Revoke", "sstt", id, "", UINT64_C(0), UINT64_C(0)), "");
        WAIT_FOR(world, world_signals(world, "dma-unmapped: for good, 1 mappings of 4096 bytes") > 0);
        ck_assert_str_eq(mapped(world), "");
        ck_assert(!is_free(world, EDU));
        ck_assert_str_eq(unmap(world, grant, IOVA + PAGE, PAGE), REFUSED("NoSuchLease"));

        grant_free(grant);
        WAIT_FOR(world, is_free(world, EDU));
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("cut");
        TCase *tcase;

        tcase = suite_add_case(suite, "end", make_world, end_world);
        tcase_add_test(tcase, release_cuts_the_dma_of_who_keeps_the_device);
        tcase_add_test(tcase, cut_lifeline_cuts_the_dma);
        tcase_add_test(tcase, old_kernels_are_asked_for_each_mapping);
        tcase_add_test(tcase, cut_that_fails_is_tried_again_and_holds_up_nothing);
        tcase_add_test(tcase, lease_whose_dma_cannot_be_cut_ends_with_its_last_descriptor);
        tcase_add_test(tcase, map_that_is_under_way_at_the_end_is_cut_as_well);
        tcase = suite_add_case(suite, "revocation", make_world_of_patience, end_world);
        tcase_add_test(tcase, revocation_maps_no_more_and_cuts_at_its_deadline);
        return suite_run(suite);
}
