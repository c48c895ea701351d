/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* IOMMU groups on the bus. */

typedef struct Group Group;
typedef struct Server Server;

int group_register(Server *server);
void group_emit_changed(Server *server, const Group *group);
