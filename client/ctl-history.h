/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * History
 *
 * What has happened, from the journal: an entry of the service's as an object, and an object as a line. Members of an
 * object: time_usec, event, message_id, lease, devices, drivers, uid, reset, reason, error, text; each but the first
 * three and the last only where the entry has it.
 */

#include "ctl.h"
#include "events.h"

typedef struct sd_journal sd_journal;

/* *@ret is NULL if the entry is no event: it has no message id. */
int history_read(sd_journal *journal, json_object **ret);

void history_print(const Ctl *ctl, json_object *event);
