/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Transient units of the fake systemd
 *
 * StartTransientUnit() and what follows from it. Nothing is run: a unit is over when the test says so, or at once.
 */

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* Registers its methods, those of the manager among them. */
int hooks_register(sd_bus *bus);

/* Answers GetAll() for a transient unit. 0: it is none. */
int hooks_reply_properties(sd_bus_message *m, const char *name);
