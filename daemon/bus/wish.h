/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Wish
 *
 * What a call of Acquire or Explain asks for, read from its message and checked: devices and options, and the
 * questions that polkit is to answer first. Lives for one run of a handler, since its strings are the message's
 * and its devices are borrowed from the broker.
 */

#include <systemd/sd-bus.h>

#include "broker.h"
#include "bus/authorizer.h"

typedef struct Server Server;

typedef struct Wish {
        /* as it is written; NULL: not at all */
        BrokerWant wants[BROKER_WANTS_MAX];
        unsigned n_wants;
        const char *mode_name, *label, *reset_name, *restore_name, *companions_name, *on_host_use, *lifetime, *unit;
        uint64_t flags; /* VFB_ACQUIRE_*; Explain has none */
        uint64_t duration_usec;
        uint32_t near_cpu; /* UINT32_MAX: wherever */
        int pidfd;         /* borrowed from the message */

        /* as it is meant */
        LeaseMode mode;
        ResetPolicy reset;
        OriginRestore restore;
        BrokerCompanions companions;
        bool steal; /* what the host needs, too */
        LeaseBond bond;
        int numa_node; /* of the processor; -1: wherever */

        /* what it is about now */
        Sender sender; /* known from the start where a pool is wanted */
        BrokerTarget targets[BROKER_WANTS_MAX];
        unsigned n_targets;

        /* what polkit is to say about that, and what it was asked the last time */
        Ask *asks;
        unsigned n_asks;
        bool asked; /* already: then there is no need for details */
        const Ask *before;
        unsigned n_before;
} Wish;

/* The arguments "a(sa{sv})a{sv}" at the reading end of @m. */
int wish_read(Wish **ret, sd_bus_message *m, sd_bus_error *error);
Wish *wish_free(Wish *wish);
DEFINE_CLEANUP(Wish, wish_free)

/* Finds the devices that are meant, and prepares the questions about them. From a pool one is chosen; if somebody
 * else has taken it while polkit was asked, another one, and polkit is asked again. 1: ask, or fetch the answer. 0:
 * the handler must return 1, it will run again. Negative: @error is set. */
int wish_resolve(Wish *wish, Server *server, sd_bus_message *m, sd_bus_error *error);

/* A pool is wanted that is not for @wish->sender: its name. NULL: there is none. */
const char *wish_denied_pool(const Wish *wish);

/* The same once more, after a while: VFB_ERROR_DEVICE_GONE if they are not those that polkit was asked about. */
int wish_resolve_again(Wish *wish, Server *server, sd_bus_error *error);

/* What the broker is asked for, good for as long as the wish is. */
BrokerRequest wish_request(const Wish *wish, Server *server, sd_bus_message *m, const Sender *sender);
