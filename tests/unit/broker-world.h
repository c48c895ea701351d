/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Broker world
 *
 * A broker on the fake tree, and what its observer saw. There is one at a time. The tree's nodes know no ioctl, so a
 * lease gets as far as the kernel's first answer; lease_out() makes one without a kernel behind it.
 */

#include "broker-internal.h"
#include "tree.h"

extern Tree *tree;
extern sd_event *event;
extern Broker *broker;
extern Findings findings; /* whoever wants some; freed at the end */

/* What the observer saw, in order: "+0000:01:00.0 -g26 ~g13 +lease ~lingering -lease:revoked ", the number of leases,
 * and "!0000:01:00.0:unplug " of a leased device that went. */
extern char seen[4096];

void broker_world_begin(void);
void broker_world_end(void);

/* It must be there. */
Device *find(const char *id);
/* Active, not announced, and of that device alone. */
Lease *lease_out(const char *id, uid_t uid);

/* That this is all; and forgets it. */
void check_seen(const char *expected);
