/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Dictionary
 *
 * Reads an a{sv}, be it the options of a method or what another service answers.
 */

#include <stddef.h>
#include <systemd/sd-bus.h>

/* Reads the value, a variant, or skips it. Negative ends the reading. */
typedef int (*DictionaryEntry)(sd_bus_message *m, const char *key, void *userdata);

int dictionary_read(sd_bus_message *m, DictionaryEntry entry, void *userdata);

/* For an entry: a string, cut to what @ret can take. */
int dictionary_read_string(sd_bus_message *m, char *ret, size_t size);
