/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: devices that somebody has open without a lease
 *
 * Through VFIO, as whoever may open /dev/vfio can. A driver of VFIO lets go of its device when that is closed and not
 * before, so what is open is not to be taken from it: the kernel would wait, and nobody could call it off. Two jobs
 * look: whether a group is open; and if so, in which processes. Of whoever opens it later, or keeps a host driver from
 * letting go, only the latter is asked, once the kernel does not come back.
 */

#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "broker-binding.h"
#include "errors.h"

/* Also where a driver has less than that */
#define LOOK_USEC_MIN (3 * UINT64_C(1000000))

static bool is_way_back(const Binding *binding) {
        return binding->goal == BINDING_GOAL_RESTORE || binding->goal == BINDING_GOAL_NONE;
}

/* The virtual functions of a PF go with its driver, and whenever their number changes. */
static bool goes_with(const Binding *binding, const Device *device, const Device *moved) {
        if (device->is_vf > 0 && strcmp(device->physfn, device_id(moved)) == 0)
                return true;
        return is_way_back(binding) && moved->origin && !origin_is_of_functions(moved->origin) &&
               moved->facts.vfio_driver && device->group == moved->group;
}

/* Of VFIO's devices those that the kernel would wait for, and those of their groups, whose holder has them all. */
static unsigned list_devices(const Binding *binding, OpenedDevice *ret) {
        const Device *device, *moved;
        unsigned n = 0;

        TAILQ_FOREACH(device, &binding->broker->devices.queue, all) {
                bool goes = false;

                if (!device->facts.vfio_driver || !device->group)
                        continue;
                for (unsigned i = 0; i < binding->n && !goes; i++) {
                        moved = binding_device(binding, i);
                        goes = moved && goes_with(binding, device, moved);
                }
                if (!goes)
                        continue;

                ret[n] = (OpenedDevice){ .group = device->group->number, .noiommu = device->group->noiommu };
                if (device->facts.kind == DEVICE_KIND_PCI)
                        snprintf(ret[n].address, sizeof(ret[n].address), "%.*s", (int) sizeof(ret[n].address) - 1,
                                 device_id(device));
                n++;
        }
        return n;
}

/* Nobody waits for it: it was bound for a lease that is over. */
static bool binding_is_due(const Binding *binding) {
        return binding->lease[0] && is_way_back(binding);
}

static void binding_make_due(Binding *binding, DeviceDue due) {
        Device *device;

        for (unsigned i = 0; i < binding->n; i++) {
                device = binding_device(binding, i);
                if (device && device->origin)
                        device->due = due;
        }
        broker_wait_for_due(binding->broker);
}

/* @holders: "" if none of them is known for certain. */
static void binding_refuse(Binding *binding, const char *holders) {
        const OpenedDevice *opened = &binding->opened.device;
        const Device *device = binding_device(binding, 0);
        const char *id = binding->devices[0].id;
        bool due = binding_is_due(binding);
        Finding *finding;
        char what[64];

        if (binding->opened.in_use)
                snprintf(what, sizeof(what), "%s", opened->address);
        else
                snprintf(what, sizeof(what), "IOMMU group %u", opened->group);
        finding = binding_fail(binding, VFB_ERROR_HELD_ELSEWHERE, id, device ? device->facts.driver : "",
                               "%s is left as it is: %s is open through VFIO, without a lease, in %s%s", id, what,
                               holders[0] ? holders : "a process that cannot be told for certain",
                               due ? "; it goes back by itself after that" : "");
        if (finding && holders[0])
                (void) finding_set_fix(finding, "end it, or let it close the device, and try again");
        else if (finding)
                (void) finding_set_fix(finding, "find it with: fuser -v /dev/vfio/%s%u",
                                       opened->noiommu ? "noiommu-" : "", opened->group);
        if (due)
                binding_make_due(binding, DEVICE_DUE_OPEN);
        binding_end(binding);
}

static int find_news(const Binding *binding, Findings *findings) {
        const Device *device;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < binding->n; i++) {
                device = binding_device(binding, i);
                if (device)
                        r = broker_find_going(binding->broker, &device, 1, findings);
        }
        return r;
}

static void binding_refuse_news(Binding *binding, const Finding *why) {
        const Device *device = binding_device(binding, 0);
        Finding *finding;

        finding = binding_fail(binding, (int) why->error, binding->devices[0].id, device ? device->facts.driver : "",
                               "%s", why->text);
        if (finding && why->fix)
                (void) finding_set_fix(finding, "%s", why->fix);
        if (binding_is_due(binding))
                binding_make_due(binding, DEVICE_DUE_NEEDED);
        binding_end(binding);
}

/* The look took a while, in which the host may have begun to use a function of what goes back. What goes to VFIO is
 * looked at once more right before that, see binding_check_host(). */
static void binding_after_look_elsewhere(Binding *binding) {
        Findings findings = {};
        const Finding *why = NULL;

        if (is_way_back(binding) && find_news(binding, &findings) >= 0)
                why = findings_first_error(&findings);
        if (why)
                binding_refuse_news(binding, why);
        else
                binding_enter(binding);
        findings_done(&findings);
}

/* Who cannot be found may be systemd, or a child of ours that ends. */
static void binding_judge(Binding *binding, const char *holders) {
        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        if (holders[0] || binding->opened.in_use)
                binding_refuse(binding, holders);
        else
                binding_after_look_elsewhere(binding);
}

static void binding_on_found(int r, const Lease *lease, const BrokerHolders *holders, void *userdata) {
        Binding *binding = userdata;
        char text[400] = "";

        if (binding->phase != BINDING_ELSEWHERE || !binding->deadline)
                return; /* too late for that */
        if (r == 0)
                broker_name_holders(holders, /* all= */ false, text, sizeof(text));
        binding_judge(binding, text);
}

static int binding_on_not_found(sd_event_source *source, uint64_t usec, void *userdata) {
        binding_judge(userdata, "");
        return 0;
}

/* Neither a look nor a search takes longer than a driver may: who is not found in time loses the device's group, or is
 * not named. */
static int binding_limit(Binding *binding, sd_event_time_handler_t handler) {
        uint64_t usec = binding->broker->config.driver_timeout_sec * UINT64_C(1000000);

        return sd_event_add_time_relative(binding->broker->event, &binding->deadline, CLOCK_MONOTONIC,
                                          usec < LOOK_USEC_MIN ? LOOK_USEC_MIN : usec, 0, handler, binding);
}

static void binding_search(Binding *binding) {
        Broker *broker = binding->broker;
        const Group *group = group_find(&broker->groups, binding->opened.device.group);
        int r = -ENODEV;

        if (group)
                r = broker_search_group(broker, group, NULL, /* at_rest= */ true, binding_on_found, binding);
        if (r == 0)
                r = binding_limit(binding, binding_on_not_found);
        if (r != 0)
                binding_judge(binding, "");
}

static void binding_on_opened(int r, const void *data, int *fds, size_t n_fds, void *userdata) {
        Binding *binding = userdata;

        binding->job = NULL;
        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        if (r >= 0)
                binding->opened = *(const OpenedResult *) data;
        if (binding->opened.busy)
                binding_search(binding);
        else
                binding_after_look_elsewhere(binding);
}

/* Somebody is about to open it, or to close it: the kernel will say. */
static int binding_on_no_answer(sd_event_source *source, uint64_t usec, void *userdata) {
        Binding *binding = userdata;

        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        binding->job = job_free(binding->job);
        binding_after_look_elsewhere(binding);
        return 0;
}

static int binding_start_look(Binding *binding, const OpenedDevice *devices, unsigned n) {
        Broker *broker = binding->broker;
        int r;

        r = binding_limit(binding, binding_on_no_answer);
        if (r < 0)
                return r;
        return job_start(&binding->job, broker->event, &(JobSpec){
                .work = opened_find,
                .plan = &(OpenedPlan){ .dev = broker->dev_fd, .sys = broker->sys_fd, .devices = devices, .n = n },
                .keep = (int[]){ broker->dev_fd, broker->sys_fd },
                .n_keep = 2,
                .result_size = sizeof(OpenedResult),
                .done = binding_on_opened,
                .userdata = binding,
        });
}

/* Of none that stay as many as they are. */
static bool binding_moves_something(const Binding *binding) {
        const Device *device = binding_device(binding, 0);

        return binding->goal != BINDING_GOAL_SRIOV || !device ||
               broker_functions_current(binding->broker, device) != binding->sriov.count;
}

static unsigned binding_list(const Binding *binding, OpenedDevice **ret) {
        const Device *device;

        *ret = binding_moves_something(binding) ? calloc(binding->broker->devices.n + 1, sizeof(**ret)) : NULL;
        if (!*ret)
                return 0;

        for (unsigned i = 0; i < binding->n; i++) {
                device = binding_device(binding, i);
                if (device && broker_device_is_pf(binding->broker, device))
                        broker_learn_functions(binding->broker, device_id(device));
        }
        return list_devices(binding, *ret);
}

void binding_look_elsewhere(Binding *binding) {
        _cleanup_(freep) OpenedDevice *devices = NULL;
        unsigned n;

        n = binding_list(binding, &devices);
        if (n > 0 && binding_start_look(binding, devices, n) == 0)
                return;

        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        binding_enter(binding);
}

static void binding_on_holders(int r, const Lease *lease, const BrokerHolders *holders, void *userdata) {
        Binding *binding = userdata;
        char text[400] = "";

        if (!binding->late || !binding->deadline)
                return; /* too late for that */
        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        if (r == 0)
                broker_name_holders(holders, /* all= */ false, text, sizeof(text));
        binding_fail_late(binding, text);
}

/* The search looks at the device, too, and may hang with it. */
static int binding_on_no_holders(sd_event_source *source, uint64_t usec, void *userdata) {
        Binding *binding = userdata;

        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        binding_fail_late(binding, "");
        return 0;
}

void binding_find_holders(Binding *binding) {
        const Device *device = binding_device(binding, binding->at);
        int r = -ENODEV;

        binding->deadline = sd_event_source_disable_unref(binding->deadline);
        if (device && device->group)
                r = broker_search_group(binding->broker, device->group, &binding->devices[binding->at].nodes,
                                        /* at_rest= */ false, binding_on_holders, binding);
        if (r == 0)
                r = binding_limit(binding, binding_on_no_holders);
        if (r != 0)
                binding_fail_late(binding, "");
}
