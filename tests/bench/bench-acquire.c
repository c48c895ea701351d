/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Goals 1 and 2: how long an Acquire takes, against its parts
 *
 * The daemon runs without VFIO (no-vfio.c). What is left of the kernel's part is the job: a child, its three
 * opens, the descriptors' way back. The plain service does the same work by the same job, so a job's cost is what
 * OpenByJob takes more than Open, and is taken off once for each Acquire or GetFds.
 */

#include <stdio.h>

#include "bench.h"

#define ROUNDS 41
#define CALLS  5   /* a round's figure is the quickest of them: the others were disturbed */
#define MARGIN 1.4 /* for the noise of a machine that has other work */

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

typedef enum Mode {
        MODE_OPEN,
        MODE_JOB,
        MODE_CHECK,
        MODE_ACQUIRE_USER,
        MODE_ACQUIRE_ROOT,
        MODE_GET_DEVICE,
        MODE_GET_CONTAINER,
        _MODE_MAX,
} Mode;

typedef struct Scene {
        World *world;
        sd_bus *root, *user;
        Held held; /* for GetFds */
        unsigned next_device, next_id;
} Scene;

static sd_bus_message *new_call(sd_bus *bus, const char *name, const char *path, const char *interface, const char *member) {
        sd_bus_message *m;

        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &m, name, path, interface, member), 0);
        return m;
}

static sd_bus_message *new_open(Scene *scene, const char *member) {
        return new_call(scene->root, PLAIN_NAME, PLAIN_PATH, PLAIN_NAME, member);
}

/* As many details, and about as long, as the daemon's */
static sd_bus_message *new_check(Scene *scene) {
        sd_bus_message *m = new_call(scene->user, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
        char id[32];

        snprintf(id, sizeof(id), "bench-%u", scene->next_id++);
        ck_assert_int_ge(sd_bus_message_append(m, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s", ":1.7", "org.vfiobroker1.acquire",
                                               14, "device.id", "0000:01:00.0", "device.kind", "pci", "device.address", "0000:01:00.0",
                                               "device.vendor", "0x8086", "device.product", "0x10c9", "device.subsystem", "0x8086:0x0000",
                                               "device.class", "0x020000", "device.driver", "vfio-pci", "device.numa-node", "0",
                                               "device.reset", "flr", "device.group", "1", "device.group-members", "0000:01:00.0",
                                               "device.is-vf", "no", "device.physical-function", "", 0, id), 0);
        return m;
}

static sd_bus_message *new_get_fds(Scene *scene, const char *role) {
        sd_bus_message *m = new_call(scene->root, VFB_BUS_NAME, scene->held.lease, VFB_INTERFACE_LEASE, "GetFds");

        ck_assert_int_ge(sd_bus_message_append(m, "ast", 1, role, UINT64_C(0)), 0);
        return m;
}

static double acquire(Scene *scene, sd_bus *bus) {
        double usec;
        Held held;

        /* device 0 is the one that is held */
        scene->next_device = scene->next_device % 31 + 1;
        timed_acquire(&held, bus, scene->next_device, &usec);
        held_end(scene->world, &held, 1);
        return usec;
}

static double measure(Scene *scene, Mode mode) {
        sd_bus_message *m = NULL;
        sd_bus *bus = scene->root;
        char role[64];
        double usec;

        switch (mode) {
        case MODE_ACQUIRE_USER:
                return acquire(scene, scene->user);
        case MODE_ACQUIRE_ROOT:
                return acquire(scene, scene->root);
        case MODE_OPEN:
                m = new_open(scene, "Open");
                break;
        case MODE_JOB:
                m = new_open(scene, "OpenByJob");
                break;
        case MODE_CHECK:
                m = new_check(scene);
                bus = scene->user;
                break;
        case MODE_GET_DEVICE:
                snprintf(role, sizeof(role), "device:%s", stage_address(0));
                m = new_get_fds(scene, role);
                break;
        case MODE_GET_CONTAINER:
                m = new_get_fds(scene, "container");
                break;
        case _MODE_MAX:
                break;
        }
        sd_bus_message_unref(timed_call(bus, m, &usec));
        return usec;
}

static double measure_quickest(Scene *scene, Mode mode) {
        double quickest = measure(scene, mode);

        for (size_t i = 1; i < CALLS; i++) {
                double usec = measure(scene, mode);

                if (usec < quickest)
                        quickest = usec;
        }
        return quickest;
}

typedef struct Ratio {
        const char *name;
        const double *numerator, *denominator;
        double goal; /* 0: none */
        const char *stand_in;
} Ratio;

static void print_ratio(const Ratio *ratio) {
        row_print(&(Row){
                .name = ratio->name,
                .measured = median_ratio(ratio->numerator, ratio->denominator, ROUNDS),
                .goal = ratio->goal,
                .bound = ratio->goal * MARGIN,
                .stand_in = ratio->stand_in,
        });
}

static void print_rows(double usec[_MODE_MAX][ROUNDS]) {
        static const char *const names[_MODE_MAX] = {
                "Open", "OpenByJob", "CheckAuthorization", "Acquire as user", "Acquire as root", "GetFds device", "GetFds container",
        };
        static const char few[] = "0.99-1.11";
        double ours[_MODE_MAX][ROUNDS], asked[ROUNDS], asked_by_job[ROUNDS];
        const double *open = usec[MODE_OPEN], *job = usec[MODE_JOB];
        const double *user = usec[MODE_ACQUIRE_USER], *root = usec[MODE_ACQUIRE_ROOT], *device = usec[MODE_GET_DEVICE];
        const Ratio ratios[] = {
                { "1 Acquire as user without its job / (Open + CheckAuthorization)", ours[MODE_ACQUIRE_USER], asked, 1.15, "1.04" },
                { "1 Acquire as user / (OpenByJob + CheckAuthorization)", user, asked_by_job, 1.15, "1.04" },
                { "1 Acquire as user, job and all / (Open + CheckAuthorization)", user, asked, 0, "1.04" },
                { "2 Acquire as root without its job / Open", ours[MODE_ACQUIRE_ROOT], open, 1.2, few },
                { "2 Acquire as root / OpenByJob", root, job, 1.2, few },
                { "2 Acquire as root, job and all / Open", root, open, 0, few },
                { "2 GetFds of a device without its job / Open", ours[MODE_GET_DEVICE], open, 1.2, few },
                { "2 GetFds of a device / OpenByJob", device, job, 1.2, few },
                { "2 GetFds of a device, job and all / Open", device, open, 0, few },
                { "2 GetFds of the container / Open", usec[MODE_GET_CONTAINER], open, 1.2, few },
        };

        for (Mode mode = 0; mode < _MODE_MAX; mode++)
                printf("%s: median %.0f us\n", names[mode], median(usec[mode], ROUNDS));
        for (size_t i = 0; i < ROUNDS; i++) {
                asked[i] = open[i] + usec[MODE_CHECK][i];
                asked_by_job[i] = job[i] + usec[MODE_CHECK][i];
                for (Mode mode = 0; mode < _MODE_MAX; mode++)
                        ours[mode][i] = usec[mode][i] - (job[i] - open[i]);
        }
        for (size_t i = 0; i < sizeof(ratios) / sizeof(*ratios); i++)
                print_ratio(&ratios[i]);
}

START_TEST(acquire_takes_little_more_than_its_parts) {
        Scene scene = { .world = stage_new(32) };
        double usec[_MODE_MAX][ROUNDS];
        pid_t daemon, plain;

        daemon = program_start(scene.world, PROGRAM_DAEMON_NO_VFIO, UNDER_NOTHING, NULL);
        plain = program_start(scene.world, PROGRAM_PLAIN, UNDER_NOTHING, NULL);
        scene.root = world_connect(scene.world, ROOT);
        scene.user = world_connect(scene.world, world_user());
        timed_acquire(&scene.held, scene.root, 0, NULL);

        /* Each mode is the first in its turn; what the first call of a connection costs is paid before. */
        for (Mode mode = 0; mode < _MODE_MAX; mode++)
                measure(&scene, mode);
        for (size_t round = 0; round < ROUNDS; round++)
                for (unsigned turn = 0; turn < _MODE_MAX; turn++) {
                        Mode mode = (turn + round) % _MODE_MAX;

                        usec[mode][round] = measure_quickest(&scene, mode);
                }
        print_rows(usec);

        held_end(scene.world, &scene.held, 0);
        sd_bus_flush_close_unref(scene.root);
        sd_bus_flush_close_unref(scene.user);
        program_stop(scene.world, plain);
        program_stop(scene.world, daemon);
        world_stop(scene.world);
        rows_check();
}
END_TEST

int main(void) {
        return bench_run("acquire", (const TTest *const[]){ acquire_takes_little_more_than_its_parts }, 1, true);
}
