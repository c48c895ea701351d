/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Host use: mediated devices
 *
 * They end with the driver of their parent, which waits for whoever has one open; and nobody can make them again as
 * they were. So whoever made them has to remove them first.
 */

#include "hostuse-internal.h"

void mdev_find_uses(Uses *uses) {
        const HostLinks *links = &uses->view->mdevs;

        for (unsigned i = 0; i < links->n; i++)
                if (uses_are_below(uses, links->items[i].target))
                        uses_add(uses, true, "mdev", "its mediated device %.36s would end with its driver",
                                 links->items[i].name);
}
