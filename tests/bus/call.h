/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Call
 *
 * A method call whose answer the test does not wait for. Ends with its answer; whoever does not wait for that ends it
 * before it goes, since it keeps the connection.
 */

#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef struct Call {
        bool answered;
        char answer[512]; /* as ask() returns it */
        char text[512];   /* the sentence that came with a refusal */
        sd_bus_slot *slot;
} Call;

void call_start(Call *ret, sd_bus *bus, const char *path, const char *interface, const char *method, const char *types, ...);
/* Bind, or Restore */
void call_change_driver(Call *ret, sd_bus *bus, const char *address, bool bind);
/* SetVirtualFunctions; they are not offered to the host's drivers. */
void call_set_idle_functions(Call *ret, sd_bus *bus, const char *address, unsigned count);
/* A message that the test has put together itself */
void call_send(Call *ret, sd_bus *bus, sd_bus_message *m);
/* Forgets the answer if it has not come. */
void call_end(Call *call);
