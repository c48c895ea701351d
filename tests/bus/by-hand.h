/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * By hand
 *
 * A test that opens a device itself, without the broker, as a program can that may open /dev/vfio.
 */

#include "world.h"

typedef struct ByHand {
        int container, group, device; /* negative: not */
} ByHand;

/* @device: its address, or that and " vf_token=UUID"; NULL: only the group is opened. */
ByHand by_hand_take(World *world, unsigned group, const char *device);
void by_hand_let_go(ByHand *by_hand);
