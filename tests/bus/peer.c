/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Peer
 *
 * A client with a process of its own: acquires what its argument names, writes the lease's path, and keeps
 * everything until it is killed.
 */

#include <stdio.h>
#include <systemd/sd-bus.h>

#include "ask.h"

int main(int argc, char **argv) {
        sd_bus *bus = NULL;
        Grant *grant = NULL;
        const char *refusal;

        if (argc != 2 || sd_bus_open_system(&bus) < 0)
                return EXIT_FAILURE;
        refusal = grant_acquire(&grant, bus, &(Request) { .wants = argv[1] });
        printf("%s\n", refusal[0] ? refusal : grant->lease);
        fflush(stdout);
        for (;;)
                pause();
}
