/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Client world
 *
 * A bus of the test's own, at which the library and the command look for the system bus, and on it a service that says
 * what it is told to (client-stub.c). There is one at a time.
 */

#define CLIENT_DEADLINE_MSEC 60000

void client_world_begin(void);
void client_world_end(void);

void client_world_lose_stub(void);
void client_world_lose_bus(void);
