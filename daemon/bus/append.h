/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Append
 *
 * How the daemon's nouns are written into messages: paths of objects, findings, lists of them. All
 * return what sd-bus returns.
 */

#include <systemd/sd-bus.h>

typedef struct Device Device;
typedef struct Findings Findings;

/* Its path; NULL gives "/". */
int append_device(sd_bus_message *m, const Device *device);

/* a(ssssa{sv}): code, severity, device, text, data */
int append_findings(sd_bus_message *m, const Findings *findings);

/* a(ssa{sv}): code, text, data */
int append_blockers(sd_bus_message *m, const Findings *findings);

/* "flr bus" as an array of strings */
int append_words(sd_bus_message *m, const char *words);
