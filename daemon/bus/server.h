/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Server
 *
 * The connection to the system bus, the tree of objects and the name. The name comes last: who sees
 * it may call at once. Owned by main; borrows the broker, which must outlive it.
 */

#include "cleanup.h"

struct OperationList;
typedef struct Authorizer Authorizer;
typedef struct Broker Broker;
typedef struct Lifetimes Lifetimes;
typedef struct sd_bus sd_bus;
typedef struct sd_event sd_event;
typedef struct Server Server;

int server_new(Server **ret, sd_event *event, Broker *broker);
Server *server_free(Server *server);
DEFINE_CLEANUP(Server, server_free)

/* Objects first, then the name. -EEXIST: somebody has it. */
int server_publish(Server *server);

Broker *server_broker(const Server *server);
sd_bus *server_bus(const Server *server);
Authorizer *server_authorizer(const Server *server);
Lifetimes *server_lifetimes(const Server *server);
struct OperationList *server_operations(Server *server);
