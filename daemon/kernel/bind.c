/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bind */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bind.h"
#include "sysfs.h"

typedef struct Move {
        const BindPlan *plan;
        BindResult *result;
} Move;

static int move_fail(Move *move, BindStep step, int r) {
        move->result->step = step;
        move->result->error = -r;
        return r;
}

static void device_path(const BindPlan *plan, const char *attribute, char ret[128]) {
        snprintf(ret, 128, "bus/pci/devices/%s/%s", plan->address, attribute);
}

static int write_device(const BindPlan *plan, const char *attribute, const char *text) {
        char path[128];

        device_path(plan, attribute, path);
        return sysfs_write(plan->sys, path, text);
}

static int write_driver(const BindPlan *plan, const char *driver, const char *attribute) {
        char path[160];

        snprintf(path, sizeof(path), "bus/pci/drivers/%s/%s", driver, attribute);
        return sysfs_write(plan->sys, path, plan->address);
}

static int read_driver(const BindPlan *plan, BindState *ret) {
        char path[128];
        int r;

        ret->driver[0] = '\0';
        ret->vfio = false;
        device_path(plan, "driver", path);
        r = sysfs_readlink_name(plan->sys, path, ret->driver, sizeof(ret->driver));
        if (r < 0 && r != -ENOENT)
                return r;

        device_path(plan, "vfio-dev", path);
        ret->vfio = ret->driver[0] && sysfs_exists(plan->sys, path);
        return 0;
}

static int read_override(const BindPlan *plan, char ret[BIND_OVERRIDE_MAX]) {
        char path[128];
        int r;

        device_path(plan, "driver_override", path);
        r = sysfs_read(plan->sys, path, ret, BIND_OVERRIDE_MAX);
        if (r < 0)
                return r;
        if (strcmp(ret, "(null)") == 0)
                ret[0] = '\0';
        return 0;
}

void bind_look(const void *plan_data, void *result_data, int *fds, size_t *n_fds) {
        Move move = { .plan = plan_data, .result = result_data };
        BindState *state = &move.result->state;
        char path[128];
        int r;

        r = read_override(move.plan, state->override);
        if (r == 0)
                r = read_driver(move.plan, state);
        if (r == 0)
                r = sriov_look(move.plan->sys, move.plan->address, &state->sriov);
        if (r < 0) {
                move_fail(&move, BIND_STEP_LOOK, r);
                return;
        }

        device_path(move.plan, "power/control", path);
        if (sysfs_read(move.plan->sys, path, state->power, sizeof(state->power)) < 0)
                state->power[0] = '\0';
}

/* An empty line takes it away. */
static int write_override(const BindPlan *plan, const char *text) {
        return write_device(plan, "driver_override", text[0] ? text : "\n");
}

static int move_override(Move *move) {
        int r;

        r = write_override(move->plan, move->plan->state.override);
        return r < 0 ? move_fail(move, BIND_STEP_OVERRIDE, r) : 0;
}

static int move_sriov(Move *move, const SriovState *state) {
        int r;

        if (!state->is_pf)
                return 0;
        r = sriov_set(move->plan->sys, move->plan->address, state);
        return r < 0 ? move_fail(move, BIND_STEP_SRIOV, r) : 0;
}

/* Off the driver that it is on, unless that is the one it is to be on. */
static int move_off(Move *move) {
        BindState *state = &move->result->state;
        int r, unbound = 0;

        r = read_driver(move->plan, state);
        if (r < 0)
                return move_fail(move, BIND_STEP_LOOK, r);
        if (!state->driver[0] || strcmp(state->driver, move->plan->state.driver) == 0)
                return 0;

        if (move_sriov(move, &(SriovState){ .is_pf = true, .autoprobe = -1 }) < 0)
                return -move->result->error;
        unbound = write_driver(move->plan, state->driver, "unbind");
        r = read_driver(move->plan, state);
        if (r == 0 && state->driver[0])
                r = unbound < 0 ? unbound : -EBUSY;
        /* Somebody else may have been first: what counts is that it is off. */
        return r < 0 ? move_fail(move, BIND_STEP_UNBIND, r) : 0;
}

static bool move_is_on(Move *move) {
        return read_driver(move->plan, &move->result->state) == 0 &&
               strcmp(move->result->state.driver, move->plan->state.driver) == 0;
}

static int move_check(Move *move, int r) {
        if (!move_is_on(move))
                return move_fail(move, BIND_STEP_PROBE, r < 0 ? r : -ENODEV);
        if (move->plan->state.vfio && !move->result->state.vfio)
                return move_fail(move, BIND_STEP_VFIO, -ENODEV);
        return 0;
}

void bind_to(const void *plan_data, void *result_data, int *fds, size_t *n_fds) {
        Move move = { .plan = plan_data, .result = result_data };
        const BindPlan *plan = move.plan;
        int r;

        r = write_override(plan, plan->state.driver);
        if (r < 0) {
                move_fail(&move, BIND_STEP_OVERRIDE, r);
                return;
        }
        if (move_off(&move) < 0)
                return;

        if (!move_is_on(&move))
                r = sysfs_write(plan->sys, "bus/pci/drivers_probe", plan->address);
        /* Says nothing of what the driver thinks of it. Asked by its name, it says why. */
        if (!move_is_on(&move))
                r = write_driver(plan, plan->state.driver, "bind");
        move_check(&move, r);
}

/* By name, as others may want it, too. A driver that knows the device only by driver_override gets that for the
 * moment. */
static int move_on(Move *move) {
        const BindPlan *plan = move->plan;
        int r;

        if (!plan->state.driver[0] || move_is_on(move))
                return 0;

        r = write_driver(plan, plan->state.driver, "bind");
        if (r < 0 && !move_is_on(move)) {
                (void) write_override(plan, plan->state.driver);
                (void) sysfs_write(plan->sys, "bus/pci/drivers_probe", plan->address);
                if (move_override(move) < 0)
                        return -move->result->error;
        }
        return move_check(move, r);
}

void bind_back(const void *plan_data, void *result_data, int *fds, size_t *n_fds) {
        Move move = { .plan = plan_data, .result = result_data };
        const BindState *state = &move.plan->state;
        int r;

        if (move_override(&move) < 0 || move_off(&move) < 0 || move_on(&move) < 0)
                return;
        if (state->power[0]) {
                r = write_device(move.plan, "power/control", state->power);
                if (r < 0 && r != -ENOENT) {
                        move_fail(&move, BIND_STEP_OVERRIDE, r);
                        return;
                }
        }
        move_sriov(&move, &state->sriov);
}

void bind_sriov(const void *plan_data, void *result_data, int *fds, size_t *n_fds) {
        Move move = { .plan = plan_data, .result = result_data };

        if (move_sriov(&move, &move.plan->state.sriov) == 0)
                (void) sriov_look(move.plan->sys, move.plan->address, &move.result->state.sriov);
}
