/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Host use: the keys and pointers of who sits in front of the machine */

#include <string.h>

#include "hostuse-internal.h"
#include "udevdb.h"

void input_find_uses(Uses *uses) {
        const HostLinks *links = &uses->view->inputs;
        char seat[HOSTUSE_NAME_MAX];

        for (unsigned i = 0; i < links->n; i++) {
                const HostLink *link = &links->items[i];

                if (strncmp(link->name, "input", 5) != 0 || !uses_are_below(uses, link->target) ||
                    !udevdb_read_seat(link->name, seat, sizeof(seat)) || !udevdb_seat_is_active(seat))
                        continue;
                uses_add(uses, false, "input", "%.32s is used by who is logged in at %.40s", link->name, seat);
        }
}
