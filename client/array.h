/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Array
 *
 * Reads an array of structs or of dictionary entries, one after the other, from a message that anybody may have sent.
 */

#include <systemd/sd-bus.h>

#define ARRAY_ELEMENT_MAX 16 /* characters of a signature */

/* Reads all that an element has. Negative ends the reading. */
typedef int (*ArrayElement)(sd_bus_message *m, void *userdata);

/* @element: the signature of one, such as "{sv}". */
int array_read(sd_bus_message *m, const char *element, ArrayElement function, void *userdata);

/* For an element: a variant. 1: it is a string. 0: it is something else, of a later version, and passed over. */
int variant_read_string(sd_bus_message *m, const char **ret);
