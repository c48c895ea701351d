/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices of other buses than PCI's from host drivers to VFIO and back, alone, in one group with others, in containers. */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "call.h"
#include "suite.h"
#include "watch.h"

#define NIC      "platform:fe010000.ethernet" /* on macb, alone in group 61 */
#define NIC_NAME "fe010000.ethernet"
#define AMBA     "amba:fe040000.dma-controller" /* on dma-pl330, alone in group 63 */
#define CDX      "cdx:cdx-00:01" /* on cdx-net, alone in group 62 */
#define FIRST    "0000:06:0d.0"  /* on uio, in group 26 with 0000:06:0d.1, which has no driver, and */
#define DMA      "platform:fe030000.dma" /* on pl330 */
#define DMA_NAME "fe030000.dma"

#define ROOT_DPRC "fsl-mc:dprc.1" /* group 70, and an object in it */
#define ROOT_NI   "fsl-mc:dpni.0"
#define DPRC      "fsl-mc:dprc.2" /* group 71, and what is in it */
#define NI        "fsl-mc:dpni.1"
#define IO        "fsl-mc:dpio.8"

#define OUTER     "fsl-mc:dprc.4" /* group 72, and in it one on VFIO, in group 73 */
#define INNER     "fsl-mc:dprc.5"

#define NOTHING UINT64_C(0)

static World *world;

typedef struct Other {
        const char *bus, *name, *driver;
        int group;
} Other;

static const Other others[] = {
        { "platform", NIC_NAME, "macb", 61 },
        { "platform", DMA_NAME, "pl330", 26 },
        { "platform", "serial8250", "serial8250", -1 },
        { "cdx", "cdx-00:01", "cdx-net", 62 },
        { "amba", "fe040000.dma-controller", "dma-pl330", 63 },
        { "fsl-mc", "dprc.1", "fsl_mc_dprc", 70 },
        { "fsl-mc", "dprc.1/dpni.0", "fsl_dpaa2_eth", 70 },
        { "fsl-mc", "dprc.1/dprc.2", "fsl_mc_dprc", 71 },
        { "fsl-mc", "dprc.1/dprc.2/dpni.1", "fsl_dpaa2_eth", 71 },
        { "fsl-mc", "dprc.1/dprc.2/dpio.8", "fsl_mc_dpio", 71 },
        { "fsl-mc", "dprc.1/dprc.4", "fsl_mc_dprc", 72 },
        { "fsl-mc", "dprc.1/dprc.4/dprc.5", "vfio-fsl-mc", 73 },
};

static int build(Tree *tree) {
        int r = tree_add_document(tree);

        for (size_t i = 0; r >= 0 && i < sizeof(others) / sizeof(*others); i++)
                r = tree_add_other(tree, others[i].bus, others[i].name, others[i].driver, others[i].group);
        if (r >= 0)
                r = tree_add_other_driver(tree, "platform", "vfio-platform");
        if (r >= 0)
                r = tree_add_other_driver(tree, "fsl-mc", "vfio-fsl-mc");
        if (r >= 0)
                r = tree_add_other_driver(tree, "cdx", "vfio-cdx");
        if (r >= 0)
                r = tree_add_other_driver(tree, "amba", "vfio-amba");
        if (r >= 0)
                r = tree_set_driver(tree, FIRST, "uio");
        if (r >= 0)
                r = tree_set_driver(tree, "0000:06:0d.1", NULL);
        return r < 0 ? r : tree_write(tree, "sys/devices/platform/" NIC_NAME "/driver_override", "macb\n");
}

static void make_world(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nDriverTimeoutSec=30\n" });
}

static void make_world_that_binds(void) {
        world_start(&world, &(WorldSpec) { .build = build, .keep = true, .config = "[Binding]\nOnAcquire=yes\nDriverTimeoutSec=30\n" });
}

static void end_world(void) {
        ck_assert_uint_eq(count_origins(world), 0);
        world = world_stop(world);
}

static const char *state(const char *id) {
        return driver_state(world, id);
}

static const struct {
        const char *id, *before, *bound;
} cases[] = {
        { NIC, "macb macb", "vfio-platform vfio-platform" },
        { DMA, "pl330 (null)", "vfio-platform vfio-platform" },
        { FIRST, "uio (null)", "vfio-pci vfio-pci" },
        { CDX, "cdx-net (null)", "vfio-cdx vfio-cdx" },
        { AMBA, "dma-pl330 (null)", "vfio-amba vfio-amba" },
        { DPRC, "fsl_mc_dprc (null)", "vfio-fsl-mc vfio-fsl-mc" },
        { NI, "fsl_dpaa2_eth (null)", "vfio-fsl-mc vfio-fsl-mc" },
        { IO, "fsl_mc_dpio (null)", "vfio-fsl-mc vfio-fsl-mc" },
        { ROOT_DPRC, "fsl_mc_dprc (null)", "" },
        { ROOT_NI, "fsl_dpaa2_eth (null)", "" },
};

#define N_CASES (sizeof(cases) / sizeof(*cases))

static bool all_is_as_before(void) {
        _cleanup_(freep) char *power = world_read(world, "sys/devices/platform/" NIC_NAME "/power/control");

        for (size_t i = 0; i < N_CASES; i++)
                if (strcmp(state(cases[i].id), cases[i].before) != 0)
                        return false;
        return strcmp(power, "auto\n") == 0;
}

static void check_all_as_before(void) {
        for (size_t i = 0; i < N_CASES; i++)
                ck_assert_msg(strcmp(state(cases[i].id), cases[i].before) == 0, "%s: %s", cases[i].id, state(cases[i].id));
        ck_assert(all_is_as_before());
}

static const char *bind_with(const char *id, const char *driver, const char *key, const char *value) {
        return ask(world->bus, device_path(id), VFB_INTERFACE_DEVICE, "Bind", "sa{sv}t", driver, 1, key, "s", value, NOTHING);
}

START_TEST(each_goes_to_the_driver_of_its_bus_and_comes_back_as_it_was) {
        static const char *const ids[] = { NIC, CDX, AMBA, FIRST, DMA, DPRC };
        const char *id = ids[_i];

        for (int times = 0; times < 3; times++) {
                ck_assert_str_eq(bind_device(world, id), "");
                for (size_t i = 0; i < N_CASES; i++)
                        if (strcmp(cases[i].id, id) == 0)
                                ck_assert_str_eq(state(id), cases[i].bound);
                ck_assert(device_is(world, id, "available"));
                ck_assert_str_eq(bind_device(world, id), "");
                grant_free(must_acquire(world->bus, id));
                WAIT_FOR(world, device_is(world, id, "available"));
                ck_assert_str_eq(restore_device(world, id), "");
                check_all_as_before();
                ck_assert(device_is(world, id, "host"));
                ck_assert_str_eq(restore_device(world, id), INVALID_ARGS);
        }
        check_nothing_held(world);
}
END_TEST

START_TEST(group_of_several_buses_goes_and_comes_back_as_one) {
        ck_assert_str_eq(bind_with(FIRST, "", "companions", "refuse"), REFUSED("NotViable"));
        ck_assert_msg(strstr(ask_message(), DMA), "%s", ask_message());
        check_all_as_before();
        ck_assert_str_eq(bind_device(world, FIRST), "");
        ck_assert_str_eq(state(FIRST), "vfio-pci vfio-pci");
        ck_assert_str_eq(state(DMA), "vfio-platform vfio-platform");
        ck_assert_str_eq(device_property(world, DMA, "RestoreDriver"), "pl330");
        grant_free(must_acquire(world->bus, FIRST "," DMA));
        WAIT_FOR(world, device_is(world, DMA, "available"));
        ck_assert_str_eq(restore_device(world, DMA), "");
        check_all_as_before();
}
END_TEST

START_TEST(failure_at_one_of_them_brings_all_back) {
        static const struct {
                const char *bound, *name, *id, *fault, *value;
        } faults[] = {
                { FIRST, DMA_NAME, DMA, "probe-errno", "16 2" },   { FIRST, DMA_NAME, DMA, "override-errno", "5 1" },
                { FIRST, DMA_NAME, DMA, "unbind-errno", "16 1" },  { DMA, FIRST, FIRST, "probe-errno", "22 2" },
                { DMA, FIRST, FIRST, "unbind-errno", "16 1" },     { NIC, NIC_NAME, NIC, "probe-errno", "12 2" },
                { CDX, "cdx-00:01", CDX, "probe-errno", "12 2" },  { DPRC, "dprc.2", DPRC, "unbind-errno", "16 1" },
                { DPRC, "dprc.2", DPRC, "override-errno", "5 1" }, { DPRC, "dprc.2", DPRC, "probe-errno", "12 2" },
        };

        vfio_fail(world, faults[_i].name, faults[_i].fault, faults[_i].value);
        ck_assert_str_eq(bind_device(world, faults[_i].bound), REFUSED("DriverBindFailed"));
        ck_assert_msg(strstr(ask_message(), faults[_i].id), "%s", ask_message());
        check_all_as_before();
        ck_assert(device_is(world, faults[_i].bound, "host"));
        ck_assert(device_is(world, NI, "host") && device_is(world, IO, "host")); /* also the objects of a container that was on its way */
        ck_assert_str_eq(device_property(world, faults[_i].id, "RestoreDriver"), "");

        ck_assert_str_eq(bind_device(world, faults[_i].bound), "");
        ck_assert_str_eq(restore_device(world, faults[_i].bound), "");
        check_all_as_before();
}
END_TEST

/* Linux wants a reset function for a platform device unless it is told otherwise. */
START_TEST(platform_device_without_a_reset_is_told_what_helps) {
        vfio_fail(world, NIC_NAME, "probe-errno", "2 2");
        ck_assert_str_eq(bind_device(world, NIC), REFUSED("DriverBindFailed"));
        ck_assert_msg(strstr(ask_message(), "knows no reset") && strstr(ask_message(), "reset_required=0"), "%s", ask_message());
        check_all_as_before();
}
END_TEST

START_TEST(objects_go_with_their_container_and_come_anew) {
        Grant *grant;

        for (int times = 0; times < 3; times++) {
                ck_assert_str_eq(bind_device(world, DPRC), "");
                ck_assert_str_eq(state(NI), "vfio-fsl-mc vfio-fsl-mc");
                ck_assert_str_eq(device_property(world, NI, "Driver"), "vfio-fsl-mc");
                ck_assert_str_eq(device_property(world, IO, "Driver"), "vfio-fsl-mc");
                ck_assert(device_is(world, NI, "available") && device_is(world, DPRC, "available"));
                ck_assert_str_eq(device_property(world, NI, "Group"), VFB_PATH_GROUP "/71");
                ck_assert_uint_eq(count_origins(world), 1); /* only the container's driver was changed by us */

                grant = must_acquire(world->bus, DPRC "," NI);
                ck_assert_ptr_nonnull(grant_find(grant, "device:" NI));
                ck_assert_str_eq(restore_device(world, NI), REFUSED("Leased"));
                ck_assert_str_eq(restore_device(world, DPRC), REFUSED("Leased"));
                grant_free(grant);
                WAIT_FOR(world, device_is(world, NI, "available"));

                ck_assert_str_eq(restore_device(world, times % 2 ? DPRC : NI), "");
                check_all_as_before();
                ck_assert_str_eq(device_property(world, NI, "Driver"), "fsl_dpaa2_eth");
                ck_assert(device_is(world, NI, "host") && device_is(world, IO, "host"));
        }
        check_nothing_held(world);
}
END_TEST

START_TEST(what_cannot_be_is_refused_and_changes_nothing) {
        for (int times = 0; times < 3; times++) {
                ck_assert_str_eq(bind_device(world, NI), INVALID_ARGS);
                ck_assert_msg(strstr(ask_message(), "vfio-broker bind " DPRC), "%s", ask_message());
                ck_assert_str_eq(bind_device(world, ROOT_NI), INVALID_ARGS);
                ck_assert_msg(strstr(ask_message(), "in the machine's own container") && strstr(ask_message(), "restool"), "%s", ask_message());
                ck_assert_str_eq(bind_device(world, ROOT_DPRC), INVALID_ARGS);
                ck_assert_msg(strstr(ask_message(), "the machine's own container"), "%s", ask_message());
                ck_assert_str_eq(bind_with(DPRC, "", "companions", "refuse"), REFUSED("NotViable"));
                ck_assert_str_eq(bind_with(NIC, "vfio-pci", "companions", "auto"), INVALID_ARGS);
                ck_assert_str_eq(bind_with(NIC, "../x", "companions", "auto"), INVALID_ARGS);
                ck_assert_str_eq(restore_device(world, NI), INVALID_ARGS);
                ck_assert_str_eq(restore_device(world, NIC), INVALID_ARGS);
        }
        check_all_as_before();
        ck_assert_uint_eq(vfio_called(world, " override "), 0);
        ck_assert_uint_eq(vfio_called(world, " unbind "), 0);
        ck_assert_str_eq(bind_with(NIC, "vfio-platform", "companions", "refuse"), "");
        ck_assert_str_eq(restore_device(world, NIC), "");
        check_nothing_held(world);
}
END_TEST

/* Groups are not all that binds them together. */
START_TEST(container_stays_while_one_within_it_is_leased) {
        Grant *grant;

        grant = must_acquire(world->bus, INNER);
        ck_assert_str_eq(bind_device(world, OUTER), REFUSED("Leased"));
        ck_assert_msg(strstr(ask_message(), INNER), "%s", ask_message());
        ck_assert_str_eq(state(OUTER), "fsl_mc_dprc (null)");
        grant_free(grant);
        WAIT_FOR(world, device_is(world, INNER, "available"));
        ck_assert_str_eq(bind_device(world, OUTER), "");
        ck_assert_str_eq(state(OUTER), "vfio-fsl-mc vfio-fsl-mc");

        grant = must_acquire(world->bus, INNER);
        ck_assert_str_eq(restore_device(world, OUTER), REFUSED("Leased"));
        ck_assert_str_eq(state(OUTER), "vfio-fsl-mc vfio-fsl-mc");
        grant_free(grant);
        WAIT_FOR(world, device_is(world, INNER, "available"));
        ck_assert_str_eq(restore_device(world, OUTER), "");
        ck_assert_str_eq(state(OUTER), "fsl_mc_dprc (null)");
}
END_TEST

START_TEST(driver_that_is_not_loaded_is_named) {
        char path[PATH_MAX], away[PATH_MAX];

        snprintf(path, sizeof(path), "%s/sys/bus/platform/drivers/vfio-platform", tree_root(world->tree));
        snprintf(away, sizeof(away), "%s/away", tree_root(world->tree));
        ck_assert_int_eq(rename(path, away), 0);
        ck_assert_str_eq(bind_device(world, NIC), REFUSED("DriverBindFailed"));
        ck_assert_msg(strstr(ask_message(), "modprobe vfio_platform"), "%s", ask_message());
        ck_assert_str_eq(bind_device(world, FIRST), REFUSED("DriverBindFailed")); /* for the companion's sake */
        check_all_as_before();
        ck_assert_int_eq(rename(away, path), 0);
}
END_TEST

START_TEST(death_in_the_middle_of_a_bind_brings_all_back) {
        static const struct {
                const char *bound, *id, *name;
        } at[] = { { NIC, NIC, NIC_NAME }, { FIRST, DMA, DMA_NAME }, { DPRC, DPRC, "dprc.2" }, { CDX, CDX, "cdx-00:01" } };
        Call call;

        vfio_fail(world, at[_i].name, "unbind-hangs", "");
        call_change_driver(&call, world->bus, at[_i].bound, true);
        WAIT_FOR(world, vfio_delayed(world));
        ck_assert_ptr_nonnull(strstr(state(at[_i].id), " vfio-"));
        if (_i % 2)
                world_end_daemon(world);
        else
                ck_assert_int_ge(world_kill(world->daemon_pid, SIGKILL), 0);
        vfio_fail(world, at[_i].name, "unbind-hangs", NULL);
        world_start_daemon(world);
        WAIT_FOR(world, all_is_as_before() && device_is(world, at[_i].bound, "host"));
        ck_assert(device_is(world, NI, "host"));
        call_end(&call);
}
END_TEST

START_TEST(death_in_the_middle_of_a_restore_is_a_restore) {
        static const struct {
                const char *bound, *id, *name;
        } at[] = { { NIC, NIC, NIC_NAME }, { FIRST, DMA, DMA_NAME }, { DPRC, DPRC, "dprc.2" } };
        Call call;

        ck_assert_str_eq(bind_device(world, at[_i].bound), "");
        vfio_fail(world, at[_i].name, "unbind-hangs", "");
        call_change_driver(&call, world->bus, at[_i].bound, false);
        WAIT_FOR(world, vfio_delayed(world));
        ck_assert_ptr_null(strstr(state(at[_i].id), " vfio-")); /* driver_override is as it was */
        world_crash_daemon(world);
        vfio_fail(world, at[_i].name, "unbind-hangs", NULL);
        WAIT_FOR(world, all_is_as_before() && device_is(world, at[_i].bound, "host"));
        WAIT_FOR(world, device_is(world, NI, "host"));
        call_end(&call);
}
END_TEST

START_TEST(death_of_the_child_in_the_middle_brings_all_back) {
        static const struct {
                const char *bound, *id, *name;
        } at[] = { { NIC, NIC, NIC_NAME }, { FIRST, DMA, DMA_NAME }, { DPRC, DPRC, "dprc.2" } };
        Call call;

        vfio_fail(world, at[_i].name, "unbind-hangs", "");
        call_change_driver(&call, world->bus, at[_i].bound, true);
        vfio_kill_delayed(world);
        vfio_fail(world, at[_i].name, "unbind-hangs", NULL);
        WAIT_FOR(world, all_is_as_before() && device_is(world, at[_i].bound, "host"));
        ck_assert_str_eq(bind_device(world, at[_i].bound), "");
        ck_assert_str_eq(restore_device(world, at[_i].bound), "");
        check_all_as_before();
        call_end(&call);
}
END_TEST

START_TEST(what_was_before_outlives_the_daemon) {
        static const char *const ids[] = { NIC, FIRST, DPRC, CDX };

        for (size_t i = 0; i < 4; i++)
                ck_assert_str_eq(bind_device(world, ids[i]), "");
        for (int times = 0; times < 2; times++) {
                world_crash_daemon(world);
                ck_assert(device_is(world, NIC, "available") && device_is(world, DMA, "available") && device_is(world, NI, "available") && device_is(world, CDX, "available"));
                ck_assert_str_eq(device_property(world, DMA, "RestoreDriver"), "pl330");
        }
        for (size_t i = 0; i < 4; i++)
                ck_assert_str_eq(restore_device(world, ids[i]), "");
        check_all_as_before();
}
END_TEST

START_TEST(lease_takes_them_and_gives_them_back) {
        static const char *const ids[] = { NIC, DMA, FIRST "," DMA, CDX, DPRC };

        for (int times = 0; times < 2; times++) {
                Grant *grant = must_acquire(world->bus, ids[_i]);

                ck_assert(!all_is_as_before());
                grant_free(grant);
                WAIT_FOR(world, all_is_as_before() && device_is(world, NIC, "host") && device_is(world, DMA, "host") && device_is(world, CDX, "host") && device_is(world, NI, "host"));
                check_nothing_held(world);
        }
}
END_TEST

START_TEST(lease_of_an_object_alone_is_refused_with_the_way) {
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = NI }), INVALID_ARGS);
        ck_assert_msg(strstr(ask_message(), "vfio-broker bind " DPRC), "%s", ask_message());
        ck_assert_str_eq(refusal_of(world->bus, &(Request) { .wants = ROOT_DPRC }), INVALID_ARGS);
        check_all_as_before();
        ck_assert_str_eq(bind_device(world, DPRC), "");
        grant_free(must_acquire(world->bus, NI));
        WAIT_FOR(world, device_is(world, NI, "available"));
        ck_assert_str_eq(restore_device(world, DPRC), "");
        check_all_as_before();
}
END_TEST

START_TEST(polkit_is_asked_about_objects_that_would_go_along) {
        unsigned n;

        polkit_set(world, "SetAnswer", "s", "no");
        ck_assert_str_eq(bind_device(world, DPRC), DENIED);
        ck_assert_str_eq(bind_device(world, FIRST), DENIED);
        check_all_as_before();
        polkit_set(world, "SetAnswer", "s", "yes");
        n = polkit_asked(world);
        ck_assert_str_eq(bind_device(world, DPRC), "");
        ck_assert_uint_eq(polkit_asked(world), n + 3);
        n = polkit_asked(world);
        ck_assert_str_eq(bind_device(world, FIRST), "");
        ck_assert_uint_eq(polkit_asked(world), n + 2);
        ck_assert_str_eq(restore_device(world, DPRC), "");
        ck_assert_str_eq(restore_device(world, DMA), "");
        check_all_as_before();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("kinds-bind");
        TCase *tcase = suite_add_case(suite, "kinds-bind", make_world, end_world);
        TCase *binds = suite_add_case(suite, "on-acquire", make_world_that_binds, end_world);

        tcase_add_loop_test(tcase, each_goes_to_the_driver_of_its_bus_and_comes_back_as_it_was, 0, 6);
        tcase_add_test(tcase, group_of_several_buses_goes_and_comes_back_as_one);
        tcase_add_loop_test(tcase, failure_at_one_of_them_brings_all_back, 0, 10);
        tcase_add_test(tcase, platform_device_without_a_reset_is_told_what_helps);
        tcase_add_test(tcase, objects_go_with_their_container_and_come_anew);
        tcase_add_test(tcase, what_cannot_be_is_refused_and_changes_nothing);
        tcase_add_test(tcase, container_stays_while_one_within_it_is_leased);
        tcase_add_test(tcase, driver_that_is_not_loaded_is_named);
        tcase_add_loop_test(tcase, death_in_the_middle_of_a_bind_brings_all_back, 0, 4);
        tcase_add_loop_test(tcase, death_in_the_middle_of_a_restore_is_a_restore, 0, 3);
        tcase_add_loop_test(tcase, death_of_the_child_in_the_middle_brings_all_back, 0, 3);
        tcase_add_test(tcase, what_was_before_outlives_the_daemon);
        if (world_is_root())
                tcase_add_test(tcase, polkit_is_asked_about_objects_that_would_go_along);

        tcase_add_loop_test(binds, lease_takes_them_and_gives_them_back, 0, 5);
        tcase_add_test(binds, lease_of_an_object_alone_is_refused_with_the_way);
        return suite_run(suite);
}
