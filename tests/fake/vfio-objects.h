/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake VFIO: objects
 *
 * What the bus fsl-mc does with the objects in a container (dprc.2): they go with the container's driver, and come anew
 * with the next one. Of a container on VFIO they are for that as well, and say so in driver_override.
 */

/* Anything but a container has none. */
void objects_go(const char *container);
void objects_come(const char *container);
