/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command against the real service, as an administrator uses it who wants four virtual functions for four jobs. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "ask.h"
#include "suite.h"
#include "watch.h"

#define PF    "0000:03:00.0"
#define NO_PF "0000:02:00.0"

static World *world;

static int build(Tree *tree) {
        int r;

        r = tree_add_document_with_functions(tree, 8);
        return r < 0 ? r : tree_write(tree, "pools.d/ci.conf", "[Pool]\nDescription=for CI jobs\nDevice=pf=03:00.0\nMaxPerUser=4\n");
}

static void make_world_with(const char *config) {
        world_start(&world, &(WorldSpec) { .build = build, .config = config });
        ck_assert_int_eq(setenv("DBUS_SYSTEM_BUS_ADDRESS", world->address, 1), 0);
}

static void make_world(void) {
        make_world_with("");
}

static void make_binding_world(void) {
        make_world_with("[Binding]\nOnAcquire=yes\n");
}

static void end_world(void) {
        world = world_stop(world);
}

/* What it says, on both outputs, good until the next call. */
static const char *do_command(const char *arguments, int status) {
        static char output[16384];
        char line[1024];
        size_t n;
        FILE *f;
        int r;

        snprintf(line, sizeof(line), "\"$VFIO_BROKER\" %s 2>&1", arguments);
        f = popen(line, "re");
        ck_assert_ptr_nonnull(f);
        n = fread(output, 1, sizeof(output) - 1, f);
        output[n] = '\0';
        r = pclose(f);
        ck_assert_msg(WIFEXITED(r) && WEXITSTATUS(r) == status, "%s ends with %x: %s", arguments, r, output);
        return output;
}

static void check(const char *arguments, int status, const char *text) {
        const char *output = do_command(arguments, status);

        ck_assert_msg(strstr(output, text) != NULL, "%s says: %s", arguments, output);
}

START_TEST(what_is_wrong_is_told_with_what_to_do) {
        check("vfs " NO_PF " 4", 6, NO_PF " can have no virtual functions\n  hint: vfio-broker show ");
        check("vfs " PF " 9", 2, PF " can have 8 virtual functions at most, not 9");
        check("run -d pool:ci -- true", 5, "No device matches \"pool:ci\" now\n  hint: which belong to it: vfio-broker pools");
        check("vfs " PF " 2", 0, "0000:03:00.2  VF 1 of " PF ", on nvme\n");
        check("vfs " PF " 2 --driver=none", 0, "for others: vfio-broker vfs " PF " 0, and this again\n");
        check("vfs " PF " 0", 0, PF " has no virtual functions\n");
        check("vfs " PF " 2 --driver=none", 0, "0000:03:00.2  VF 1 of " PF ", on no driver\n");
        check("explain " PF, 6, "note: the virtual functions of " PF " (2) go with its driver\n");
        check("run -d pool:ci -- true", 5, "bind them: vfio-broker bind 0000:03:00.1 and so on, or OnAcquire=yes in vfio-broker.conf(5)");
        check("bind 0000:03:00.1 pf=03:00.0 vf=1", 2, "are one argument: 'pf=03:00.0 vf=3'");
        check("list 0000:03:00.1", 0, " host ");
        check("bind 0000:03:00.1 'pf=03:00.0 vf=1'", 0, "0000:03:00.2: from no driver to vfio-pci\n");
        check("run -d pool:ci -- echo {dev:0:address}", 0, "0000:03:00.1\n");
        check("explain 0000:ff:00.0", 3, "no: No device matches \"0000:ff:00.0\"\n    vfio-broker list shows what there is\n");
        check("run -d pool:unheard-of -- true", 3, "see which there are: vfio-broker pools");
        WAIT_FOR(world, strstr(do_command("list pool:ci", 0), " leased ") == NULL);
        check("restore " PF, 0, PF ": 0 virtual functions, 2 before\n");
        check("vfs " PF " 3 --driver=none", 0, "VF 2 of " PF);
        check("restore --json " PF, 0, "\"vfs_from\": 3,\n    \"vfs_to\": 0\n");
        check("restore " NO_PF, 2, "was not changed by the broker\n  hint: there is nothing to bring back\n");
        check("bind " NO_PF " --driver=e1000", 2, "e1000 is no VFIO driver for " NO_PF "\n  hint: name none");
        check("bind " NO_PF " --companions=some", 2, "is none of auto, include, refuse\n  hint: vfio-broker bind --help\n");
}
END_TEST

START_TEST(four_jobs_get_one_each) {
        const char *output;

        check("vfs " PF " 4 --driver=none", 0, "VF 3 of " PF);
        check("pools", 0, "ci      4 pf=03:00.0 for CI jobs");
        for (int times = 0; times < 3; times++) {
                /* each ends when the others have begun, for which there is no other sign */
                output = do_command("--version; dir=$(mktemp -d); for i in 1 2 3 4; do \"$VFIO_BROKER\" run -d pool:ci -- sh -c "
                                    "'echo {dev:0:address} >$0/$1; while [ $(ls $0 | wc -l) -lt 4 ]; do sleep 0.02; done' $dir $i & done; wait; "
                                    "sort $dir/*; rm -r $dir", 0);
                ck_assert_msg(strstr(output, "0000:03:00.1\n0000:03:00.2\n0000:03:00.3\n0000:03:00.4\n") != NULL, "%s", output);
                WAIT_FOR(world, strstr(do_command("pools", 0), "ci      4 ") != NULL);
        }
        output = do_command("run -d pool:ci -d pool:ci -d pool:ci -d pool:ci -- \"$VFIO_BROKER\" run -d pool:ci -- true", 8);
        ck_assert_msg(strstr(output, "You have 4 devices of pool ci, and a user may have 4\n  hint: try again when one is released") != NULL, "%s", output);
        WAIT_FOR(world, strstr(do_command("list pool:ci", 0), " leased ") == NULL && strstr(do_command("list pool:ci", 0), " held ") == NULL);
        check("vfs " PF " 0", 0, "has no virtual functions");
        check_nothing_held(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("jobs");

        tcase_add_test(suite_add_case(suite, "plain", make_world, end_world), what_is_wrong_is_told_with_what_to_do);
        tcase_add_test(suite_add_case(suite, "binding", make_binding_world, end_world), four_jobs_get_one_each);
        return suite_run(suite);
}
