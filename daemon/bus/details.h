/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Details
 *
 * What polkit is told about the thing that somebody wants: facts of the daemon's own, as strings, that
 * an administrator's rule can look at with action.lookup("device.vendor"). org.vfiobroker1(5) lists
 * them.
 */

typedef struct Ask Ask;
typedef struct Device Device;
typedef struct Lease Lease;
typedef struct Server Server;

/* All return 0 or negative errno; what was built so far is ask_done()'s. */
int details_of_device(Ask *ask, Server *server, const Device *device);
int details_of_unknown(Ask *ask, const char *selector);
int details_of_request(Ask *ask, const char *mode, const char *label);

int details_of_no_lease(Ask *ask, const char *id);

/* Its holder may without a question. */
int details_of_lease(Ask *ask, const Lease *lease);
