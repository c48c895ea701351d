/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goal 6: whether an Acquire costs more when there are many leases
 *
 * Instructions of the daemon from the call until it has nothing more to do, signals and all, as callgrind counts them
 * for the time of that one call. The leases are root's, who needs no polkit; the one that is counted is a
 * user's, who does. It is always of the same device. valgrind is slow to fork, so the leases take minutes to make:
 * $BENCH_LEASES says how many there are in the end, instead of 1,000.
 */

#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#include "bench.h"

#define TIMES 3

typedef struct Scene {
        World *world;
        sd_bus *user;
        unsigned n_devices, n_dumps;
} Scene;

static void control(Scene *scene, const char *option, const char *value) {
        char command[128];

        snprintf(command, sizeof(command), "callgrind_control %s %s %d >/dev/null 2>&1", option, value, scene->world->daemon_pid);
        ck_assert_int_eq(system(command), 0);
}

/* The line "totals: N" of the newest dump */
static double read_totals(Scene *scene) {
        _cleanup_(freep) char *text = NULL;
        char name[64];
        const char *totals;

        snprintf(name, sizeof(name), "callgrind.%d.%u", scene->world->daemon_pid, ++scene->n_dumps);
        text = world_read(scene->world, name);
        totals = strstr(text, "totals: ");
        ck_assert_msg(totals, "%s says nothing", name);
        return strtod(totals + strlen("totals: "), NULL);
}

static double count(Scene *scene, sd_bus *bus, unsigned n_leases) {
        double n;
        Held held;

        control(scene, "-i", "on");
        timed_acquire(&held, bus, scene->n_devices - 1, NULL);
        WAIT_FOR(scene->world, count_children(scene->world->daemon_pid) == 0);
        control(scene, "-d", "");
        n = read_totals(scene);
        control(scene, "-i", "off");
        held_end(scene->world, &held, n_leases);
        return n;
}

static double count_median(Scene *scene, sd_bus *bus, unsigned n_leases) {
        double counts[TIMES];

        for (size_t i = 0; i < TIMES; i++)
                counts[i] = count(scene, bus, n_leases);
        return median(counts, TIMES);
}

static void print_rows(unsigned n_leases, const double *now, const double *before) {
        static const char *const who[] = { "a user", "root" };
        char name[128];

        for (size_t i = 0; i < 2; i++) {
                printf("%u leases: Acquire by %s is %.0f instructions\n", n_leases, who[i], now[i]);
                snprintf(name, sizeof(name), "6 instructions of an Acquire by %s with %u leases / with 1", who[i], n_leases);
                if (n_leases > 1)
                        row_print(&(Row){ .name = name, .measured = now[i] / before[i], .goal = 1.05, .bound = 1.05, .stand_in = "1.0" });
        }
}

START_TEST(acquire_costs_the_same_whatever_there_is) {
        const char *wanted = getenv("BENCH_LEASES");
        unsigned n_leases = wanted ? strtoul(wanted, NULL, 10) : 1000, sizes[] = { 1, n_leases / 4, n_leases };
        Scene scene = { .world = stage_new(n_leases + 1), .n_devices = n_leases + 1 };
        Held *held = calloc(n_leases, sizeof(*held));
        double n[3][2];

        scene.user = world_connect(scene.world, USER);
        scene.world->daemon_pid = program_start(scene.world, PROGRAM_DAEMON_NO_VFIO, UNDER_CALLGRIND, NULL);
        for (size_t i = 0, k = 0; i < 3; i++) {
                for (; k < sizes[i]; k++)
                        timed_acquire(&held[k], scene.world->bus, k, NULL);
                /* what the first takes more: functions found, credentials asked for */
                count(&scene, scene.user, k);
                n[i][0] = count_median(&scene, scene.user, k);
                n[i][1] = count_median(&scene, scene.world->bus, k);
                print_rows(sizes[i], n[i], n[0]);
        }

        kill(scene.world->daemon_pid, SIGKILL);
        waitpid(TAKE(scene.world->daemon_pid, 0), NULL, 0);
        for (unsigned i = 0; i < n_leases; i++)
                closep(&held[i].lifeline);
        free(held);
        sd_bus_flush_close_unref(scene.user);
        world_stop(scene.world);
        rows_check();
}
END_TEST

int main(void) {
        return bench_run("leases", (const TTest *const[]){ acquire_costs_the_same_whatever_there_is }, 1, true);
}
