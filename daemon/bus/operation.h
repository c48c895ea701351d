/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Operation
 *
 * A method call that waits for the kernel: it keeps the message until there is something to answer.
 * Owned by the server's list; ends when it is answered, or when its caller leaves the bus.
 */

#include <sys/queue.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"

typedef struct Operation Operation;
typedef struct Server Server;
LIST_HEAD(OperationList, Operation);

struct Operation {
        LIST_ENTRY(Operation) all;
        Server *server;
        sd_bus_message *m;
        uid_t uid; /* of the caller */
};

int operation_new(Operation **ret, Server *server, sd_bus_message *m, uid_t uid);
Operation *operation_free(Operation *operation);
DEFINE_CLEANUP(Operation, operation_free)

/* Takes back all of a caller that has left the bus. */
void operations_forget(Server *server, struct OperationList *operations, const char *name);
