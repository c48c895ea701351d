/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hwdb
 *
 * Names of vendors and models from systemd's hardware database. Opened at the first question, since most
 * runs of the daemon never ask.
 */

#include <stddef.h>

typedef struct Hwdb Hwdb;

int hwdb_new(Hwdb **ret);
Hwdb *hwdb_free(Hwdb *hwdb);

/* Unknown names are "". Never fails: without a database everything is unknown. */
void hwdb_lookup(Hwdb *hwdb, const char *modalias, char *ret_vendor, size_t vendor_size, char *ret_model,
                 size_t model_size);
