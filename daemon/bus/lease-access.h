/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lease access
 *
 * The lease whose object a message was sent to, for those who may. Each returns 1: here it is; 0: polkit or the bus is
 * being asked, the handler must return 1 and will run again; negative: @error is set.
 */

#include "bus/sender.h"

typedef struct Lease Lease;
typedef struct Server Server;

/* Only its holder may, and polkit is not asked. */
int lease_for_holder(Server *server, sd_bus_message *m, const Lease **ret, sd_bus_error *error);

/* Its holder may, and others if polkit says so of @action with the lease of that id. @lease NULL: there is none, which
 * is told only to who may. */
int lease_authorize(Server *server, sd_bus_message *m, const char *action, const char *id, const Lease *lease,
                    Sender *ret_sender, sd_bus_error *error);

/* The same, with the lease. */
int lease_for_action(Server *server, sd_bus_message *m, const char *action, const Lease **ret, Sender *ret_sender,
                     sd_bus_error *error);
