/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker: from a wish to descriptors */

#include <stdio.h>
#include <string.h>

#include "broker-drivers.h"
#include "errors.h"
#include "names.h"

/*
 * A lease's descriptors have an order: the container and the groups, where the client gets them, the
 * devices. A place in it is what pages and GetFds count by.
 */

static unsigned lease_n_container_roles(const Lease *lease) {
        return lease->mode == LEASE_MODE_MEDIATED ? 0 : 1;
}

static unsigned lease_n_group_roles(const Lease *lease) {
        return lease->mode == LEASE_MODE_LEGACY_RAW ? lease->n_groups : 0;
}

static unsigned lease_n_roles(const Lease *lease) {
        return lease_n_container_roles(lease) + lease_n_group_roles(lease) + lease->n_devices;
}

/* The lease's device at that place, -1 if it is something else's. */
static int lease_device_at(const Lease *lease, unsigned place) {
        return (int) place - (int) (lease_n_container_roles(lease) + lease_n_group_roles(lease));
}

static void fd_for_container(const Lease *lease, BrokerFd *ret) {
        *ret = (BrokerFd){ .role = VFB_ROLE_CONTAINER, .fd = lease->container_fd, .attribute = "model" };
        snprintf(ret->value, sizeof(ret->value), "%s", vfio_model_name(lease->model));
}

static void fd_for_group(const Lease *lease, unsigned i, BrokerFd *ret) {
        *ret = (BrokerFd){ .fd = lease->group_fds[i] };
        snprintf(ret->role, sizeof(ret->role), VFB_ROLE_GROUP "%u", lease->groups[i]->number);
}

static void fd_for_device(const Lease *lease, const LeaseDevice *device, int fd, bool reset_works, BrokerFd *ret) {
        *ret = (BrokerFd){ .fd = fd, .attribute = "reset" };
        if (broker_gives_token(broker_of(lease), device))
                strcpy(ret->vf_token, device->token);
        snprintf(ret->role, sizeof(ret->role), VFB_ROLE_DEVICE "%s", device->id);
        broker_reset_name(device->device, reset_works, ret->value, sizeof(ret->value));
}

/* @device_fds are those of the devices among @places, in their order. */
static void fds_for_places(Lease *lease, const unsigned *places, unsigned n, const int *device_fds,
                           const bool *reset_works, BrokerFds *ret) {
        unsigned next = 0;

        ret->n = n;
        for (unsigned i = 0; i < n; i++) {
                int device = lease_device_at(lease, places[i]);

                if (places[i] < lease_n_container_roles(lease)) {
                        fd_for_container(lease, &ret->items[i]);
                } else if (device < 0) {
                        fd_for_group(lease, places[i] - lease_n_container_roles(lease), &ret->items[i]);
                } else {
                        fd_for_device(lease, &lease->devices[device], device_fds[next], reset_works[next],
                                      &ret->items[i]);
                        next++;
                }

                if (places[i] == lease->n_handed_out)
                        lease->n_handed_out++;
        }
        ret->complete = lease->n_handed_out == lease_n_roles(lease);
}

/* Tells whoever waits that it came to nothing. */
static void task_refuse(Task *task, int r, const Finding *why) {
        if (task->done)
                task->done(r, why, NULL, -EBADF, NULL, task->userdata);
}

static void task_refuse_result(Task *task, const VfioResult *result) {
        Findings findings = {};
        const Finding *why;
        int r;

        r = broker_explain_result(task->broker, task->lease, &task->plan, result, &findings);
        why = findings_first_error(&findings);
        task_refuse(task, why ? (int) why->error : r < 0 ? r : -EIO, why);
        findings_done(&findings);
}

static void lease_take_groups(Lease *lease, int *fds) {
        lease->container_fd = TAKE_FD(fds[0]);
        for (unsigned i = 0; i < lease->n_groups; i++)
                lease->group_fds[i] = TAKE_FD(fds[1 + i]);
}

/* It is written down before anybody hears of it: a daemon that dies in between leaves a lease whose lifeline nobody
 * has, and the next one ends that. */
static int lease_begin(Broker *broker, Lease *lease, int *ret_fd) {
        int r;

        r = broker_tie_lease(broker, lease, ret_fd);
        if (r < 0)
                return r;

        lease_advance(lease, LEASE_ACTIVE);
        r = broker_record_lease(broker, lease);
        if (r >= 0)
                broker_note_restore(broker, lease);
        return r;
}

/* The lease is open: let it hang on its lifeline, hand it over, and tell the others. */
static void task_hand_over(Task *task, const VfioResult *result, const int *device_fds) {
        _cleanup_(closep) int lifeline_fd = -EBADF;
        Broker *broker = task->broker;
        Lease *lease = task->lease;
        BrokerFds fds;
        int r;

        r = broker_limit_lease(broker, lease, lease->duration_usec);
        if (r >= 0)
                r = lease_begin(broker, lease, &lifeline_fd);
        if (r < 0) {
                task_refuse(task, r, NULL);
                broker_end_lease(broker, lease, LEASE_END_FAILED);
                return;
        }

        for (unsigned i = 0; i < lease->n_devices; i++)
                device_note_reset(lease->devices[i].device, result->reset_works[i]);
        broker_log_acquired(lease);

        fds_for_places(lease, task->places, task->n_places, device_fds, result->reset_works, &fds);
        r = task->done(0, NULL, lease, lifeline_fd, &fds, task->userdata);

        lease->announced = true;
        NOTIFY(broker, lease_new, lease);
        NOTIFY(broker, n_leases_changed, broker->leases.n);
        for (unsigned i = 0; i < lease->n_groups; i++)
                NOTIFY(broker, group_changed, lease->groups[i]);
        if (r < 0)
                broker_end_lease(broker, lease, LEASE_END_HOLDER_GONE);
}

/* Whether there is a complete lease in our hands, and what to tell the one who waits if not. */
static bool acquire_is_complete(Task *task, int r, const VfioResult *result, int *fds, size_t n_fds) {
        Lease *lease = task->lease;

        if (r < 0 || (result->step == VFIO_STEP_NONE && n_fds != 1 + lease->n_groups + task->plan.n_pass)) {
                task_refuse(task, r < 0 ? r : -EIO, NULL);
                return false;
        }
        if (result->step != VFIO_STEP_NONE) {
                task_refuse_result(task, result);
                return false;
        }

        lease_take_groups(lease, fds);
        lease->model = result->model;

        if (lease_is_over(lease) || lease_n_present(lease) < lease->n_devices) {
                task_refuse(task, VFB_ERROR_DEVICE_GONE, NULL);
                return false;
        }
        return task->done != NULL;
}

static void acquire_on_opened(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        Task *task = userdata;
        Broker *broker = task->broker;
        Lease *lease = task->lease;

        task->job = NULL;
        if (acquire_is_complete(task, r, data, fds, n_fds))
                task_hand_over(task, data, fds + 1 + lease->n_groups);
        else if (!lease_is_over(lease))
                broker_end_lease(broker, lease, LEASE_END_FAILED);

        task_free(task);
        if (lease_is_over(lease))
                broker_continue_end(broker, lease);
}

static int task_plan_acquire(Task *task) {
        const Lease *lease = task->lease;
        int r = broker_choose_tokens(task->broker, task->lease);

        if (r < 0)
                return r;

        if (task->broker->journal)
                task_plan_store(task);
        task_plan_devices(task);
        task->n_places = lease_n_roles(lease);
        if (task->n_places > BROKER_FDS_MAX - 1) /* the lifeline is one, too */
                task->n_places = BROKER_FDS_MAX - 1;

        for (unsigned i = 0; i < task->n_places; i++) {
                task->places[i] = i;
                task->plan.n_pass += lease_device_at(lease, i) >= 0;
        }

        return task_start(task, vfio_open, acquire_on_opened, NULL, 0);
}

/* The lease's devices are on VFIO drivers now, or as they were. */
static void acquire_on_bound(int r, const Finding *why, void *userdata) {
        Task *task = userdata;
        Broker *broker = task->broker;
        Lease *lease = task->lease;

        if (r == 0 && (lease_is_over(lease) || lease_n_present(lease) < lease->n_devices))
                r = VFB_ERROR_DEVICE_GONE;
        if (r == 0 && task->done) {
                r = task_plan_acquire(task);
                if (r == 0)
                        return;
        }
        if (r != 0)
                task_refuse(task, r, why);
        if (!lease_is_over(lease))
                broker_end_lease(broker, lease, LEASE_END_FAILED);
        task_free(task);
        broker_continue_end(broker, lease);
}

static int lease_describe(Lease *lease, const BrokerRequest *request) {
        int r;

        lease->mode = request->mode;
        lease->pid = request->pid;
        lease->reset = request->reset;
        lease->one_time = request->one_time;
        lease->restore = request->restore;
        lease->duration_usec = request->duration_usec;
        lease->sender = strdup(request->sender);
        if (!lease->sender)
                return -ENOMEM;

        r = lease_set_label(lease, request->label);
        if (r < 0)
                return r;
        r = broker_bond_lease(broker_of(lease), lease, request);
        if (r < 0)
                return r;

        for (unsigned i = 0; i < request->n_targets; i++)
                lease_add_device(lease, (Device *) request->targets[i].device, request->targets[i].token);
        return 0;
}

static int broker_new_lease(Broker *broker, const BrokerRequest *request, Lease **ret) {
        User *user;
        int r;

        r = user_get(&user, &broker->users, request->uid);
        if (r < 0)
                return r;

        r = user_charge(user, broker->config.leases_per_user_max);
        if (r != 0)
                return r;

        r = lease_new(ret, &broker->leases, user, request->n_targets, NULL);
        if (r < 0)
                user_discharge(user);
        return r;
}

int broker_acquire(Broker *broker, const BrokerRequest *request, Findings *findings, BrokerAcquired done,
                   void *userdata) {
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_(task_freep) Task *task = NULL;
        bool binding = false;
        int r;

        r = broker_examine(broker, request, findings);
        if (r >= 0)
                r = findings_refusal(findings);
        if (r != 0)
                return r;

        r = broker_new_lease(broker, request, &lease);
        if (r != 0)
                return r;

        r = lease_describe(lease, request);
        if (r < 0)
                return r;

        r = task_new(&task, broker, lease);
        if (r < 0)
                return r;

        if (request->bind)
                r = broker_bind_for_lease(broker, lease, request->steal, acquire_on_bound, task, &binding);
        if (r == 0 && !binding)
                r = task_plan_acquire(task);
        if (r != 0)
                return r;

        task->done = done;
        task->userdata = userdata;
        TAKE_PTR(task);
        TAKE_PTR(lease);
        return 0;
}

void broker_abandon(Broker *broker, void *userdata) {
        Task *task;

        LIST_FOREACH(task, &broker->tasks, all)
                if (task->userdata == userdata) {
                        task->done = NULL;
                        task->mapped = NULL;
                }
        broker_abandon_searches(broker, userdata);
        broker_abandon_bindings(broker, userdata);
}

/* What is open goes to who has asked. */
static void task_hand_out(Task *task, const int *device_fds, const bool *reset_works) {
        _cleanup_(closep) int lifeline_fd = -EBADF;
        Lease *lease = task->lease;
        BrokerFds page;
        int r;

        if (task->claim) {
                r = broker_change_hands(task, &lifeline_fd);
                if (r != 0) {
                        task_refuse(task, r, NULL);
                        return;
                }
        }

        fds_for_places(lease, task->places, task->n_places, device_fds, reset_works, &page);
        broker_note_lease(task->broker, lease); /* which page is next, and whose: before anybody hears of it */
        r = task->done(0, NULL, lease, lifeline_fd, &page, task->userdata);
        if (!task->claim)
                return;

        broker_tell_claimed(lease);
        if (r < 0)
                broker_end_lease(task->broker, lease, LEASE_END_HOLDER_GONE);
}

static void get_fds_on_opened(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        Task *task = userdata;
        const VfioResult *result = data;
        Broker *broker = task->broker;
        Lease *lease = task->lease;

        task->job = NULL;

        if (r < 0 || (result->step == VFIO_STEP_NONE && n_fds != task->plan.n_pass)) {
                task_refuse(task, r < 0 ? r : -EIO, NULL);
        } else if (lease->state != LEASE_ACTIVE) {
                task_refuse(task, VFB_ERROR_NO_SUCH_LEASE, NULL); /* over, or to be given back */
        } else if (result->step != VFIO_STEP_NONE) {
                task_refuse_result(task, result);
        } else if (task->done) {
                task_hand_out(task, fds, result->reset_works);
        }

        task_free(task);
        if (lease_is_over(lease))
                broker_continue_end(broker, lease);
}

static int lease_find_role(const Lease *lease, const char *role) {
        BrokerFd fd;

        if (strcmp(role, VFB_ROLE_CONTAINER) == 0)
                return lease_n_container_roles(lease) > 0 ? 0 : -1;

        for (unsigned i = 0; i < lease_n_group_roles(lease); i++) {
                fd_for_group(lease, i, &fd);
                if (strcmp(role, fd.role) == 0)
                        return (int) (lease_n_container_roles(lease) + i);
        }

        for (unsigned i = 0; i < lease->n_devices; i++) {
                fd_for_device(lease, &lease->devices[i], -EBADF, false, &fd);
                if (strcmp(role, fd.role) == 0)
                        return (int) (lease_n_roles(lease) - lease->n_devices + i);
        }

        return -1;
}

static int task_choose_places(Task *task, const char *const *roles, unsigned n_roles) {
        const Lease *lease = task->lease;
        unsigned first = task->claim ? 0 : lease->n_handed_out, left = lease_n_roles(lease) - first;
        unsigned max = task->claim ? BROKER_FDS_MAX - 1 : BROKER_FDS_MAX; /* a claim gets a lifeline, too */

        if (n_roles > BROKER_FDS_MAX)
                return VFB_ERROR_INVALID_ARGS;

        task->n_places = n_roles > 0 ? n_roles : left < max ? left : max;
        for (unsigned i = 0; i < task->n_places; i++) {
                int place = n_roles > 0 ? lease_find_role(lease, roles[i]) : (int) (first + i);
                if (place < 0)
                        return VFB_ERROR_INVALID_ARGS;
                task->places[i] = (unsigned) place;
        }

        return 0;
}

/* The plan of a GetFds: all groups as they are, and of the devices those that are to be opened. */
static int task_plan_places(Task *task) {
        const Lease *lease = task->lease;
        VfioPlan *plan = &task->plan;
        VfioDevicePlan *planned;

        plan->n_groups = lease->n_groups;
        for (unsigned i = 0; i < lease->n_groups; i++) {
                plan->groups[i] = lease->groups[i]->number;
                plan->group_fds[i] = lease->group_fds[i];
        }

        for (unsigned i = 0; i < task->n_places; i++) {
                int at = lease_device_at(lease, task->places[i]);

                if (at < 0)
                        continue;
                if (!lease->devices[at].device)
                        return VFB_ERROR_DEVICE_GONE;

                planned = &plan->devices[plan->n_devices++];
                task_plan_device(task, planned, &lease->devices[at], /* opens_first= */ false);
        }

        plan->n_pass = plan->n_devices;
        return 0;
}

int broker_open_places(Task **task, const char *const *roles, unsigned n_roles, BrokerAcquired done, void *userdata) {
        Lease *lease = (*task)->lease;
        int r;

        if (lease->n_tasks > LEASE_TASKS_MAX)
                return VFB_ERROR_RATE_LIMITED;

        r = task_choose_places(*task, roles, n_roles);
        if (r != 0)
                return r;

        if (lease->container_fd < 0)
                return VFB_ERROR_HELD_ELSEWHERE; /* lost with an earlier daemon: only the holder has it */

        r = task_plan_places(*task);
        if (r != 0)
                return r;

        (*task)->done = done;
        (*task)->userdata = userdata;
        if ((*task)->plan.n_devices > 0) {
                r = task_start(*task, vfio_open_more, get_fds_on_opened, lease->group_fds, lease->n_groups);
                if (r < 0)
                        return r;

                TAKE_PTR(*task);
                return 0;
        }

        /* the container and the groups are at hand */
        task_hand_out(*task, NULL, NULL);
        *task = task_free(*task);
        if (lease_is_over(lease))
                broker_continue_end(broker_of(lease), lease);
        return 0;
}

int broker_get_fds(Broker *broker, const Lease *lease, const char *const *roles, unsigned n_roles, BrokerAcquired done,
                   void *userdata) {
        _cleanup_(task_freep) Task *task = NULL;
        int r;

        if (lease->state != LEASE_ACTIVE)
                return VFB_ERROR_NO_SUCH_LEASE;

        r = task_new(&task, broker, (Lease *) lease);
        if (r < 0)
                return r;

        return broker_open_places(&task, roles, n_roles, done, userdata);
}
