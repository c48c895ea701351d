/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lifetimes
 *
 * What leases hang on that only the bus can see: names on it, and units of systemd. When such a thing has gone the
 * broker is told, and ends what hung on it. Owned by the server.
 */

#include "cleanup.h"

typedef struct Broker Broker;
typedef struct Lifetimes Lifetimes;
typedef struct Units Units;
typedef struct sd_bus sd_bus;

int lifetimes_new(Lifetimes **ret, sd_bus *bus, Broker *broker);
Lifetimes *lifetimes_free(Lifetimes *lifetimes);
DEFINE_CLEANUP(Lifetimes, lifetimes_free)

Units *lifetimes_units(const Lifetimes *lifetimes);

/* Looks whether what the leases of an earlier service hang on is still there. */
int lifetimes_resume(Lifetimes *lifetimes);

/* A unique name has left the bus. */
void lifetimes_forget_name(Lifetimes *lifetimes, const char *name);
