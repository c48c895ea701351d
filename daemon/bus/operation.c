/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Operation */

#include <string.h>

#include "broker.h"
#include "bus/operation.h"
#include "bus/refuse.h"
#include "bus/server.h"
#include "bus/units.h"
#include "bus/wish.h"

int operation_new(Operation **ret, Server *server, sd_bus_message *m, uid_t uid) {
        Operation *operation;

        operation = calloc(1, sizeof(*operation));
        if (!operation)
                return -ENOMEM;

        operation->server = server;
        operation->sender.uid = uid;
        operation->m = sd_bus_message_ref(m);
        LIST_INSERT_HEAD(server_operations(server), operation, all);
        *ret = operation;
        return 0;
}

Operation *operation_free(Operation *operation) {
        if (!operation)
                return NULL;

        LIST_REMOVE(operation, all);
        unit_query_free(operation->query);
        wish_free(operation->wish);
        sd_bus_message_unref(operation->m);
        free(operation);
        return NULL;
}

int operation_refuse(const Operation *operation, int r, const Finding *why) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        bus_refuse_finding(&error, r, why);
        return sd_bus_reply_method_error(operation->m, &error);
}

void operation_on_done(int r, const Finding *why, void *userdata) {
        _cleanup_(operation_freep) Operation *operation = userdata;

        if (r == 0)
                sd_bus_reply_method_return(operation->m, NULL);
        else
                (void) operation_refuse(operation, r, why);
}

void operations_forget(Server *server, struct OperationList *operations, const char *name) {
        Operation *operation, *next;

        for (operation = LIST_FIRST(operations); operation; operation = next) {
                next = LIST_NEXT(operation, all);
                if (strcmp(sd_bus_message_get_sender(operation->m), name) != 0)
                        continue;

                broker_abandon(server_broker(server), operation);
                operation_free(operation);
        }
}
