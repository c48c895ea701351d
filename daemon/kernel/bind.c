/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bind */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "bind.h"
#include "cleanup.h"
#include "sysfs.h"

typedef struct Move {
        const BindPlan *plan;
        BindResult *result;
        int device; /* its folder: of a device that goes nothing is there any more, whoever comes in its place */
        char override[BIND_OVERRIDE_MAX]; /* to be left behind */
} Move;

static int move_fail(Move *move, BindStep step, int r) {
        move->result->step = step;
        move->result->error = -r;
        return r;
}

/* First the folder and then the question whose it is: then it is the one's that is meant, or nobody's. */
static int move_open(Move *move) {
        const BindPlan *plan = move->plan;
        char path[128];
        uint64_t instance;
        int r;

        snprintf(path, sizeof(path), "bus/%s/devices/%s", plan->bus, plan->name);
        move->device = openat(plan->sys, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (move->device < 0)
                return move_fail(move, BIND_STEP_LOOK, errno == ENOENT ? -ENODEV : -errno);
        if (plan->instance == 0)
                return 0;

        r = scan_bus_instance(plan->sys, plan->bus, plan->name, &instance);
        if (r == 0 && instance != plan->instance)
                r = -ENODEV;
        return r < 0 ? move_fail(move, BIND_STEP_LOOK, r) : 0;
}

static void move_done(Move *move) {
        closep(&move->device);
}

static int write_driver(const BindPlan *plan, const char *driver, const char *attribute) {
        char path[160];

        snprintf(path, sizeof(path), "bus/%s/drivers/%s/%s", plan->bus, driver, attribute);
        return sysfs_write(plan->sys, path, plan->name);
}

/* Says nothing of what a driver thinks of it. */
static int write_probe(const BindPlan *plan) {
        char path[64];

        snprintf(path, sizeof(path), "bus/%s/drivers_probe", plan->bus);
        return sysfs_write(plan->sys, path, plan->name);
}

static bool may_have_functions(const BindPlan *plan) {
        return strcmp(plan->bus, "pci") == 0;
}

/* -ENODEV: it has gone, which is not the same as to have no driver. */
static int read_driver(const Move *move, BindState *ret) {
        int r;

        ret->driver[0] = '\0';
        ret->vfio = false;
        r = sysfs_readlink_name(move->device, "driver", ret->driver, sizeof(ret->driver));
        if (r == -ENOENT)
                return sysfs_exists(move->device, "uevent") ? 0 : -ENODEV;
        if (r < 0)
                return r;

        ret->vfio = sysfs_exists(move->device, "vfio-dev");
        return 0;
}

static int read_override(const Move *move, char ret[BIND_OVERRIDE_MAX]) {
        int r;

        r = sysfs_read(move->device, "driver_override", ret, BIND_OVERRIDE_MAX);
        if (r < 0)
                return r;
        if (strcmp(ret, "(null)") == 0)
                ret[0] = '\0';
        return 0;
}

static int move_look(Move *move) {
        BindState *state = &move->result->state;
        int r;

        r = read_override(move, state->override);
        if (r == 0)
                r = read_driver(move, state);
        if (r == 0 && may_have_functions(move->plan))
                r = sriov_look(move->plan->sys, move->plan->name, &state->sriov);
        if (r < 0)
                return move_fail(move, BIND_STEP_LOOK, r);

        if (sysfs_read(move->device, "power/control", state->power, sizeof(state->power)) < 0)
                state->power[0] = '\0';
        return 0;
}

/* An empty line takes it away. */
static int write_override(const Move *move, const char *text) {
        return sysfs_write(move->device, "driver_override", text[0] ? text : "\n");
}

static bool is_ours(const BindPlan *plan, const char *override) {
        return strcmp(override, plan->ours) == 0 || strcmp(override, plan->state.override) == 0 ||
               strcmp(override, plan->state.driver) == 0;
}

static void choose_override(Move *move) {
        if (read_override(move, move->override) < 0 || is_ours(move->plan, move->override))
                strcpy(move->override, move->plan->state.override);
}

static int move_override(Move *move) {
        int r;

        r = write_override(move, move->override);
        return r < 0 ? move_fail(move, BIND_STEP_OVERRIDE, r) : 0;
}

static int move_sriov(Move *move, const SriovState *state) {
        int r;

        if (!state->is_pf || !may_have_functions(move->plan))
                return 0;
        r = sriov_set(move->plan->sys, move->plan->name, state);
        return r < 0 ? move_fail(move, BIND_STEP_SRIOV, r) : 0;
}

/* Off the driver that it is on, unless that is the one it is to be on. */
static int move_off(Move *move) {
        BindState *state = &move->result->state;
        int r, unbound = 0;

        r = read_driver(move, state);
        if (r < 0)
                return move_fail(move, BIND_STEP_LOOK, r);
        if (!state->driver[0] || strcmp(state->driver, move->plan->state.driver) == 0)
                return 0;

        if (move_sriov(move, &(SriovState){ .is_pf = true, .autoprobe = -1 }) < 0)
                return -move->result->error;
        unbound = sysfs_write(move->device, "driver/unbind", move->plan->name);
        r = read_driver(move, state);
        if (r == 0 && state->driver[0])
                r = unbound < 0 ? unbound : -EBUSY;
        /* Somebody else may have been first: what counts is that it is off. */
        return r < 0 ? move_fail(move, BIND_STEP_UNBIND, r) : 0;
}

static bool move_is_on(Move *move) {
        return read_driver(move, &move->result->state) == 0 &&
               strcmp(move->result->state.driver, move->plan->state.driver) == 0;
}

static int move_check(Move *move, int r) {
        if (!move_is_on(move))
                return move_fail(move, BIND_STEP_PROBE, r < 0 ? r : -ENODEV);
        if (move->plan->state.vfio && !move->result->state.vfio)
                return move_fail(move, BIND_STEP_VFIO, -ENODEV);
        return 0;
}

static void move_to(Move *move) {
        const BindPlan *plan = move->plan;
        int r;

        r = write_override(move, plan->state.driver);
        if (r < 0) {
                move_fail(move, BIND_STEP_OVERRIDE, r);
                return;
        }
        if (move_off(move) < 0)
                return;

        if (!move_is_on(move))
                r = write_probe(plan);
        /* Asked by its name, it says why. */
        if (!move_is_on(move))
                r = write_driver(plan, plan->state.driver, "bind");
        move_check(move, r);
}

static bool has_driver(const BindPlan *plan) {
        char path[160];

        snprintf(path, sizeof(path), "bus/%s/drivers/%s", plan->bus, plan->state.driver);
        return sysfs_exists(plan->sys, path);
}

/* By name, as others may want it, too. A driver that knows the device only by driver_override gets that for the
 * moment. */
static int move_on(Move *move) {
        const BindPlan *plan = move->plan;
        int r;

        if (!plan->state.driver[0] || move_is_on(move))
                return 0;
        if (!has_driver(plan))
                return move_fail(move, BIND_STEP_DRIVER, -ENOENT);

        r = write_driver(plan, plan->state.driver, "bind");
        if (r < 0 && !move_is_on(move)) {
                (void) write_override(move, plan->state.driver);
                (void) write_probe(plan);
                if (move_override(move) < 0)
                        return -move->result->error;
        }
        return move_check(move, r);
}

static void move_back(Move *move) {
        const BindState *state = &move->plan->state;
        int r;

        choose_override(move);
        if (move_override(move) < 0 || move_off(move) < 0 || move_on(move) < 0)
                return;
        if (state->power[0]) {
                r = sysfs_write(move->device, "power/control", state->power);
                if (r < 0 && r != -ENOENT) {
                        move_fail(move, BIND_STEP_OVERRIDE, r);
                        return;
                }
        }
        move_sriov(move, &state->sriov);
}

static void move_functions(Move *move) {
        if (move_sriov(move, &move->plan->state.sriov) == 0)
                (void) sriov_look(move->plan->sys, move->plan->name, &move->result->state.sriov);
}

void bind_look(const void *plan, void *result, int *fds, size_t *n_fds) {
        _cleanup_(move_done) Move move = { plan, result, -EBADF, "" };

        if (move_open(&move) == 0 && move_look(&move) == 0)
                nodes_find(move.plan->sys, move.plan->name, &move.result->nodes);
}

void bind_to(const void *plan, void *result, int *fds, size_t *n_fds) {
        _cleanup_(move_done) Move move = { plan, result, -EBADF, "" };

        if (move_open(&move) == 0)
                move_to(&move);
}

void bind_back(const void *plan, void *result, int *fds, size_t *n_fds) {
        _cleanup_(move_done) Move move = { plan, result, -EBADF, "" };

        if (move_open(&move) == 0)
                move_back(&move);
}

void bind_sriov(const void *plan, void *result, int *fds, size_t *n_fds) {
        _cleanup_(move_done) Move move = { plan, result, -EBADF, "" };

        if (move_open(&move) == 0)
                move_functions(&move);
}
