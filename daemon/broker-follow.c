/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Broker: following what comes and goes
 *
 * Messages say where to look, and /sys says what is there: they may come late, twice, not at all, or be about an
 * earlier device of the same address. Whoever has a device that the kernel wants back is asked by the kernel, where it
 * has armed that; where it can be seen that this has not helped, by us, and is named.
 */

#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "broker-internal.h"
#include "kernel/uevent.h"
#include "log.h"

/* Who was asked by the kernel, or had just closed it, has let go by then. */
#define LEAVE_USEC (500 * 1000)

/* A device that left its lease's hands while it was leased: gone, or taken from its driver. */
void broker_lose_device(Broker *broker, Device *device, const char *cause, bool stays) {
        Lease *lease = device->group ? device->group->lease : NULL;

        if (!lease || lease_drop_device(lease, device) < 0)
                return;

        if (lease->announced) {
                log_event(&(LogEvent){ .id = LOG_ID_DEVICE_GONE,
                                       .priority = LOG_WARNING,
                                       .lease = lease->id,
                                       .device = device_id(device),
                                       .reason = cause,
                                       .uid = &lease->user->uid },
                          "%s has left lease %s: %s", device_id(device), lease->id, cause);
                NOTIFY(broker, lease_lost_device, lease, device, cause);
        }
        /* The verdict is written down first: once the lease has lost it, no restart would come to one. */
        if (stays) {
                broker_judge_lost(broker, lease, device);
                broker_miss_hooks(broker, lease, device);
        }
        if (lease->announced)
                broker_note_lease(broker, lease);
        if (lease_n_present(lease) == 0)
                broker_end_lease(broker, lease, LEASE_END_REMOVED);
}

bool broker_device_is_locked(Broker *broker, const Device *device) {
        return device->moving || (device->leaving && broker_device_is_let_go(broker, device));
}

static void leaving_on_holders(int r, const Lease *lease, const BrokerHolders *holders, void *userdata) {
        Device *device = userdata;
        char text[400] = "";

        if (!broker_device_is_locked(broker_of_device(device), device))
                return; /* they have let go meanwhile */
        /* Who has the device cannot always be seen while it leaves; then who has something of the lease is named. */
        if (r == 0)
                broker_name_holders(holders, /* all= */ true, text, sizeof(text));
        log_event(&(LogEvent){ .id = LOG_ID_AWAITED,
                               .priority = LOG_WARNING,
                               .lease = lease ? lease->id : NULL,
                               .device = device_id(device),
                               .driver = device->facts.driver,
                               .uid = lease ? &lease->user->uid : NULL },
                  "The kernel takes %s from driver %s, and waits for %s", device_id(device), device->facts.driver,
                  text[0] ? text : "somebody who has it open and is not found");
}

/* The kernel has asked, if anybody had armed that, and the device is still there: now we do. */
static void broker_ask_for(Broker *broker, Device *device) {
        Lease *lease = device->group ? device->group->lease : NULL;
        int r = -ENODEV;

        if (lease)
                r = broker_search(broker, lease, /* signal= */ 0, leaving_on_holders, device);
        else if (device->group)
                r = broker_search_group(broker, device->group, /* nodes= */ NULL, /* at_rest= */ false,
                                        leaving_on_holders, device);
        if (r != 0)
                leaving_on_holders(-EAGAIN, lease, NULL, device);
        broker_lose_device(broker, device, "driver", true);
}

static int broker_arm_leave_timer(Broker *broker);

/* Reads it once more: of all attributes the one that names the driver waits for nothing. May free it. */
static void broker_ask_if_leaving(Broker *broker, Device *device) {
        char id[DEVICE_ID_MAX];

        device->ask_usec = 0;
        if (device->moving)
                return;

        strcpy(id, device_id(device));
        (void) broker_refresh_moved(broker, id);
        device = device_find(&broker->devices, id);
        if (!device || !device->leaving)
                return;

        device->ask_usec = 0;
        broker_ask_for(broker, device);
}

static int broker_on_leave_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Device *device, *next;
        Broker *broker = userdata;
        bool others = false;

        for (device = TAILQ_FIRST(&broker->devices.queue); device; device = next) {
                next = TAILQ_NEXT(device, all);
                if (device->ask_usec > usec)
                        others = true;
                else if (device->ask_usec > 0)
                        broker_ask_if_leaving(broker, device);
        }
        broker->leave_timer = sd_event_source_disable_unref(broker->leave_timer);
        return others ? broker_arm_leave_timer(broker) : 0;
}

static int broker_arm_leave_timer(Broker *broker) {
        if (broker->leave_timer)
                return 0;
        return sd_event_add_time_relative(broker->event, &broker->leave_timer, CLOCK_MONOTONIC, LEAVE_USEC, 0,
                                          broker_on_leave_timer, broker);
}

int broker_find_leaving(const char *about, const Device *device, Findings *findings) {
        Finding *finding;
        int r;

        r = findings_add_error(findings, &finding, VFB_ERROR_HELD_ELSEWHERE, about,
                               "%s is being removed or unbound: the kernel takes it from driver %s, and waits for "
                               "whoever has it open",
                               device_id(device), device->facts.driver);
        if (r < 0)
                return r;

        return finding_set_fix(finding, "end who has it; they are named by: journalctl -u vfio-broker");
}

/* Whether it is still leaving by then, and somebody has it. */
static void broker_look_later(Broker *broker, Device *device) {
        int r;

        r = sd_event_now(broker->event, CLOCK_MONOTONIC, &device->ask_usec);
        device->ask_usec += LEAVE_USEC;
        if (r >= 0)
                r = broker_arm_leave_timer(broker);
        if (r < 0)
                log_line(LOG_WARNING, "Cannot follow the removal of %s: %s", device_id(device), strerror(-r));
}

void broker_let_leave(Broker *broker, Device *device, bool leaves) {
        if (device->leaving == leaves)
                return;

        device->leaving = leaves;
        device->ask_usec = 0;
        broker_abandon_searches(broker, device);
        if (leaves)
                broker_look_later(broker, device);
}

/* Nothing of it is read, since the kernel may keep it locked. */
static int broker_on_leaving(Broker *broker, Device *device) {
        DeviceFacts facts = device->facts;

        if (device->moving || !device->facts.vfio_driver)
                return 0; /* what comes of it is told by itself */

        /* The word comes a moment before its VFIO device has left /sys. */
        if (!broker_device_is_let_go(broker, device)) {
                broker_look_later(broker, device);
                return 0;
        }

        facts.vfio_driver = false;
        return broker_update(broker, device, &facts, device->group ? (int) device->group->number : -1);
}

bool broker_skip_locked(Broker *broker, const char *id, uint64_t instance) {
        Device *device = device_find(&broker->devices, id);

        if (!device || device->facts.instance != instance || !broker_device_is_locked(broker, device))
                return false;

        /* It may be through, and the word of that be lost. */
        device->seen = true;
        if (!device->moving)
                (void) broker_refresh_moved(broker, id);
        return true;
}

static int broker_rescan(Broker *broker) {
        Device *device, *next;
        int r;

        TAILQ_FOREACH(device, &broker->devices.queue, all)
                device->seen = false;

        broker_look_at_iommu(broker);
        broker->scanning = true;
        r = broker_scan_all(broker);
        broker->scanning = false;
        if (r < 0)
                return r;

        for (device = TAILQ_FIRST(&broker->devices.queue); device; device = next) {
                next = TAILQ_NEXT(device, all);
                if (!device->seen)
                        broker_remove(broker, device);
        }

        return 0;
}

/* Its driver may be through with it by now. */
static int broker_on_change(Broker *broker, const char *id) {
        const Device *device = device_find(&broker->devices, id);

        if (device && device->leaving && !device->moving)
                return broker_refresh_moved(broker, id);
        return broker_refresh(broker, id);
}

/* Whoever was there may have gone long ago, and this be about the one before. */
static int broker_on_gone(Broker *broker, const char *address) {
        Device *device = device_find(&broker->devices, address);

        if (device && broker_device_has_come_anew(broker, device))
                broker_remove(broker, device);
        return broker_on_change(broker, address);
}

static void broker_on_uevent(UeventAction action, const char *address, void *userdata) {
        Broker *broker = userdata;
        Device *device;
        int r = 0;

        switch (action) {
        case UEVENT_REMOVE:
                r = broker_on_gone(broker, address);
                break;
        case UEVENT_ADD:
        case UEVENT_CHANGE:
                r = broker_on_change(broker, address);
                break;
        case UEVENT_LEAVING:
                device = device_find(&broker->devices, address);
                r = device ? broker_on_leaving(broker, device) : 0;
                break;
        case UEVENT_LOST:
                r = broker_rescan(broker);
                break;
        case _UEVENT_ACTION_MAX:
                break;
        }

        if (r < 0)
                log_line(LOG_WARNING, "Cannot follow %s: %s", address ?: "the devices", strerror(-r));
}

int broker_start(Broker *broker) {
        int r;

        /* First listen, then look: nothing is lost in between. */
        r = uevent_new(&broker->uevent, broker->event, broker_on_uevent, broker);
        if (r < 0)
                return r;

        return broker_rescan(broker);
}
