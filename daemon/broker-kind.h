/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Broker, inside: kinds
 *
 * What can be done about the driver of a device depends on its bus. The rest of the broker asks here, and has no cases
 * for kinds of its own.
 */

#include "broker.h"
#include "core/finding.h"

/* Whether @name on the bus of that kind is a container of objects. */
bool broker_is_container(DeviceKind kind, const char *name);

/* The container that an object goes to VFIO with, and in no other way; NULL: it goes by itself. */
const Device *broker_container_to_bind(const Device *device);

/* What is leased and in a container that is in this one, and so would go with it; NULL: nothing.
 * The same as an error. */
const Device *broker_leased_inside(const Device *container);
int broker_find_inside(const Device *container, Findings *findings);

/* Whether the driver of the device is nobody's to change, and why, and what may be done instead; and why it goes with
 * another's. Nothing is added if it is not so. */
bool broker_is_never_bound(const Device *device);
int broker_find_unbindable(const Device *device, Findings *findings);
int broker_find_in_container(const Device *device, Findings *findings);

/* How it comes to a VFIO driver. */
int broker_fix_driver(const Device *device, Finding *finding);
