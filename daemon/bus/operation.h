/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Operation
 *
 * A method call that waits for the kernel, or for systemd: it keeps the message until there is something to answer.
 * Owned by the server's list; ends when it is answered, or when its caller leaves the bus.
 */

#include <sys/queue.h>
#include <systemd/sd-bus.h>

#include "bus/sender.h"
#include "cleanup.h"

typedef struct Finding Finding;
typedef struct Operation Operation;
typedef struct Server Server;
typedef struct UnitQuery UnitQuery;
typedef struct Wish Wish;
LIST_HEAD(OperationList, Operation);

struct Operation {
        LIST_ENTRY(Operation) all;
        Server *server;
        sd_bus_message *m;
        Sender sender;    /* its pid where it is needed */
        Wish *wish;       /* of an Acquire that has to find out something first */
        UnitQuery *query; /* and this is it */
};

int operation_new(Operation **ret, Server *server, sd_bus_message *m, uid_t uid);
Operation *operation_free(Operation *operation);
DEFINE_CLEANUP(Operation, operation_free)

/* The answer to the message is no. Returns what sd-bus says of sending it. */
int operation_refuse(const Operation *operation, int r, const Finding *why);

/* What the broker is to call when something without a result is done: answers, and ends the operation. */
void operation_on_done(int r, const Finding *why, void *operation);

/* Takes back all of a caller that has left the bus. */
void operations_forget(Server *server, struct OperationList *operations, const char *name);
