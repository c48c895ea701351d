/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Placeholders
 *
 * How `vfio-broker run` tells a program which descriptor is which: by the names of sd_listen_fds(3), and
 * by what it writes into the arguments. Pure text: no bus, no descriptors.
 *
 * Names: "container", "dev0", "dev1" in the order of the request, "group26" by the group's number,
 * "lifeline". A device's address cannot be a name, because ':' separates the names.
 *
 * Placeholders: {container}, {dev:0}, {group:0}, {lifeline} stand for numbers of descriptors,
 * {dev:0:address} for "0000:06:0d.0", {group:0:number} for "26". Anything else in braces is left alone.
 */

#include <stddef.h>

/* One descriptor that the program inherits; it is number HANDOVER_FIRST + index in the program. */
typedef struct Handover {
        const char *role; /* as the service calls it: "device:0000:06:0d.0" */
        int fd;           /* here */
} Handover;

#define HANDOVER_FIRST 3

/* What LISTEN_FDNAMES is to be. Negative errno. */
int handover_names(char **ret, const Handover *handovers, size_t n);

/*
 * @argument with its placeholders replaced. -ENOENT if one is none of the lease's, "{dev:7}": it is then
 * returned in *@ret_missing, which stays as it is otherwise.
 */
int handover_expand(char **ret, const char *argument, const Handover *handovers, size_t n, char **ret_missing);
