/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Refuse
 *
 * From the daemon's convention to the bus's: a refusal (positive) or an errno (negative) becomes a
 * D-Bus error. All return what an sd-bus handler is to return.
 */

#include <systemd/sd-bus.h>

typedef struct Finding Finding;
typedef struct Lease Lease;

/* @text: what it is about, or NULL for the table's sentence alone. */
int bus_refuse(sd_bus_error *error, int r, const char *text);

/* The same of further descriptors of the lease. */
int bus_refuse_descriptors(sd_bus_error *error, int r, const Lease *lease);

/* With the finding's own words, and what to do about it. */
int bus_refuse_finding(sd_bus_error *error, int r, const Finding *finding);

/* One line for whoever looks after the machine, unless there were too many of late. @uid: -1 if it is not known.
 * @devices may be ""; NULL: it is about a lease that was to be handed over. */
void bus_log_refused(uid_t uid, const char *devices, const sd_bus_error *error);
