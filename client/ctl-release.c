/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vfio-broker release */

#include "ctl.h"

int ctl_release(Ctl *ctl, char **args) {
        return bus_act(ctl, "GetLease", args[0], VFB_INTERFACE_LEASE, "Release", NULL);
}
