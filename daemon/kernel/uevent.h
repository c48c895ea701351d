/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Uevent
 *
 * Follows PCI functions, and the devices of the other buses, as they come, go and change their driver: udev's
 * messages, through sd-device. Only the action and the device are taken from a message; what is true is read anew
 * from /sys, since messages may be late, or lost, or about one that was there before. A PCI function is named by its
 * address, any other device by its bus and its name: "mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".
 */

typedef struct sd_event sd_event;
typedef struct Uevent Uevent;

typedef enum UeventAction {
        UEVENT_ADD,
        UEVENT_REMOVE,
        UEVENT_CHANGE,  /* bound, unbound, changed, moved */
        UEVENT_LEAVING, /* its VFIO device has gone, and maybe the driver waits for who has it open */
        UEVENT_LOST,   /* messages were lost: look at everything; address is NULL */
        _UEVENT_ACTION_MAX,
} UeventAction;

typedef void (*UeventHandler)(UeventAction action, const char *address, void *userdata);

int uevent_new(Uevent **ret, sd_event *event, UeventHandler handler, void *userdata);
Uevent *uevent_free(Uevent *uevent);
