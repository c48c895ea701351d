/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker quarantine, unquarantine */

#include "ctl.h"

int ctl_quarantine(Ctl *ctl, char **args) {
        return bus_act(ctl, "GetDevice", args[0], VFB_INTERFACE_DEVICE, "Quarantine", ctl->reason ?: "");
}

int ctl_unquarantine(Ctl *ctl, char **args) {
        return bus_act(ctl, "GetDevice", args[0], VFB_INTERFACE_DEVICE, "Unquarantine", NULL);
}
