/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Broker */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "broker-drivers.h"
#include "kernel/hwdb.h"
#include "kernel/job.h"
#include "kernel/uevent.h"

static int broker_open_root(Broker *broker, const char *root) {
        _cleanup_(freep) char *sys = NULL, *dev = NULL, *proc = NULL;

        broker->root = strdup(root);
        if (!broker->root || asprintf(&sys, "%s/sys", root) < 0 || asprintf(&dev, "%s/dev", root) < 0 ||
            asprintf(&proc, "%s/proc", root) < 0)
                return -ENOMEM;

        broker->sys_fd = open(sys, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (broker->sys_fd < 0)
                return -errno;

        broker->dev_fd = open(dev, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (broker->dev_fd < 0)
                return -errno;

        broker->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (broker->proc_fd < 0)
                return -errno;

        broker->host_fd = *root ? open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        if (broker->host_fd < 0)
                broker->host_fd = fcntl(broker->proc_fd, F_DUPFD_CLOEXEC, 3);
        return broker->host_fd < 0 ? -errno : 0;
}

int broker_new(Broker **ret, sd_event *event, const Config *config, const char *root) {
        _cleanup_(broker_freep) Broker *broker = NULL;
        int r;

        broker = calloc(1, sizeof(*broker));
        if (!broker)
                return -ENOMEM;

        broker->sys_fd = broker->dev_fd = broker->proc_fd = broker->host_fd = -EBADF;
        broker->event = sd_event_ref(event);
        broker->config = *config;
        TAILQ_INIT(&broker->devices.queue);
        TAILQ_INIT(&broker->groups.queue);
        LIST_INIT(&broker->users);
        TAILQ_INIT(&broker->leases.queue);
        LIST_INIT(&broker->tasks);
        TAILQ_INIT(&broker->rounds);
        LIST_INIT(&broker->searches);
        LIST_INIT(&broker->bindings);

        r = term_prepare(event);
        if (r < 0)
                return r;
        r = broker_open_root(broker, root);
        if (r < 0)
                return r;

        r = hwdb_new(&broker->hwdb);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(broker);
        return 0;
}

Broker *broker_free(Broker *broker) {
        Binding *binding;
        Device *device;
        Group *group;
        Lease *lease;
        Search *search;
        Task *task;

        if (!broker)
                return NULL;

        /* From the leaves to the root: nothing may call back into what is gone. */
        broker->observer = (BrokerObserver){};
        uevent_free(broker->uevent);
        sd_event_source_disable_unref(broker->leave_timer);
        sd_event_source_disable_unref(broker->due_timer);
        while ((task = LIST_FIRST(&broker->tasks)))
                task_free(task);
        while ((binding = LIST_FIRST(&broker->bindings)))
                binding_free(binding);
        while ((search = LIST_FIRST(&broker->searches)))
                search_free(search);
        while ((lease = TAILQ_FIRST(&broker->leases.queue)))
                lease_free(lease);
        while ((device = TAILQ_FIRST(&broker->devices.queue)))
                device_free(device);
        while ((group = TAILQ_FIRST(&broker->groups.queue)))
                group_free(group);

        pools_done(&broker->pools);
        hwdb_free(broker->hwdb);
        hostview_free(broker->host_view);
        journal_free(broker->journal);
        sd_event_unref(broker->event);
        closep(&broker->sys_fd);
        closep(&broker->dev_fd);
        closep(&broker->host_fd);
        closep(&broker->proc_fd);
        free(broker->root);
        free(broker);
        return NULL;
}

void broker_observe(Broker *broker, const BrokerObserver *observer, void *userdata) {
        broker->observer = *observer;
        broker->userdata = userdata;
}

bool broker_binds_on_acquire(const Broker *broker) {
        return broker->config.bind_on_acquire;
}

const Config *broker_config(const Broker *broker) {
        return &broker->config;
}

const DeviceList *broker_devices(const Broker *broker) {
        return &broker->devices;
}

const GroupList *broker_groups(const Broker *broker) {
        return &broker->groups;
}

const LeaseList *broker_leases(const Broker *broker) {
        return &broker->leases;
}

const Device *broker_find_device(const Broker *broker, const char *id) {
        return device_find(&broker->devices, id);
}

const Group *broker_find_group(const Broker *broker, unsigned number) {
        return group_find(&broker->groups, number);
}

const Lease *broker_find_lease(const Broker *broker, const char *id) {
        return lease_find(&broker->leases, id);
}

int task_new(Task **ret, Broker *broker, Lease *lease) {
        Task *task;

        task = calloc(1, sizeof(*task));
        if (!task)
                return -ENOMEM;

        task->broker = broker;
        task->lease = lease;
        task->plan.dev = broker->dev_fd;
        task->plan.sys = broker->sys_fd;
        task->plan.noiommu = lease_is_noiommu(lease);
        task->dma.container = lease->container_fd;
        for (unsigned i = 0; i < VFIO_GROUPS_MAX; i++)
                task->plan.group_fds[i] = -EBADF;

        lease->n_tasks++;
        broker->n_tasks++;
        LIST_INSERT_HEAD(&broker->tasks, task, all);
        *ret = task;
        return 0;
}

Task *task_free(Task *task) {
        if (!task)
                return NULL;

        job_free(task->job);
        claim_free(task->claim);
        task->lease->n_tasks--;
        task->broker->n_tasks -= !task->in_round;
        task->broker->n_cuts -= task->is_cut;
        task->broker->n_rounds -= task->round_runs;
        if (task->in_round)
                TAILQ_REMOVE(&task->broker->rounds, task, round);
        LIST_REMOVE(task, all);
        free(task);
        return NULL;
}

int task_start_dma(Task *task, JobWork work, JobDone done, int memory) {
        const int keep[] = { task->dma.container, memory };

        return job_start(&task->job, task->broker->event, &(JobSpec){
                .work = work,
                .plan = &task->dma,
                .keep = keep,
                .n_keep = memory >= 0 ? 2 : 1,
                .result_size = sizeof(DmaResult),
                .done = done,
                .userdata = task,
        });
}

int task_start(Task *task, JobWork work, JobDone done, const int *keep, size_t n_keep) {
        int fds[VFIO_GROUPS_MAX + 2];
        size_t n = 0;

        fds[n++] = task->broker->dev_fd;
        fds[n++] = task->broker->sys_fd;
        for (size_t i = 0; i < n_keep; i++)
                if (keep[i] >= 0)
                        fds[n++] = keep[i];

        return job_start(&task->job, task->broker->event, &(JobSpec){
                .work = work,
                .plan = &task->plan,
                .keep = fds,
                .n_keep = n,
                .result_size = sizeof(VfioResult),
                .done = done,
                .userdata = task,
        });
}

void task_plan_store(Task *task) {
        _Static_assert(sizeof(task->plan.lease) == LEASE_ID_MAX, "one of them has grown");

        strcpy(task->plan.lease, task->lease->id);
}

void plan_device(VfioDevicePlan *planned, const Device *device, bool opens_first) {
        strcpy(planned->address, device_id(device));
        planned->name = (unsigned) (device_bus_name(device) - device_id(device));
        planned->ask_reset = opens_first && device->facts.kind != DEVICE_KIND_PCI;
}

void task_plan_devices(Task *task) {
        const Lease *lease = task->lease;
        VfioPlan *plan = &task->plan;

        plan->n_groups = lease->n_groups;
        for (unsigned i = 0; i < lease->n_groups; i++)
                plan->groups[i] = lease->groups[i]->number;

        for (unsigned i = 0; i < lease->n_devices; i++)
                if (lease->devices[i].device)
                        task_plan_device(task, &plan->devices[plan->n_devices++], &lease->devices[i],
                                         /* opens_first= */ true);
}

void broker_reset_name(const Device *device, bool works, char *ret, size_t size) {
        const char *methods = works && device && device_has_own_reset(device) ? device->facts.reset_methods : NULL;

        /* The kernel tries them in this order, and stops at the first that works. A kernel that does not
         * list them may reset all the same. */
        if (methods)
                snprintf(ret, size, "%.*s", (int) strcspn(methods, " "), methods);
        else if (works)
                snprintf(ret, size, "unknown");
        else
                snprintf(ret, size, "%s", device && device->bus_reset[0] ? device->bus_reset : "none available");
}
