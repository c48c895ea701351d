/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the command line knows of a subcommand, and what the help says of it.
 */

#include "ctl.h"

/* Options that not every subcommand takes. */
enum {
        OPTION_DEVICE = 1,
        OPTION_REQUEST = 2, /* mode, label, lifetime, near-cpu, reset, restore, time, vf-token */
        OPTION_REASON = 4,
        OPTION_KEEP_LIFELINE = 8,
        OPTION_VERBOSE = 16,
        OPTION_LOG = 32, /* lease, since, lines, follow */
        OPTION_ONE_TIME = 64,
        OPTION_GRACE = 128,
        OPTION_ON_REVOKE = 256,
        OPTION_OFFER = 512, /* uid, pid, timeout */
        OPTION_BIND = 1024, /* driver */
        OPTION_COMPANIONS = 2048, /* and on-host-use */
};

typedef struct Command {
        const char *name;
        const char *synopsis;
        const char *help; /* first line: for the overview */
        unsigned options;
        int n_min, n_max; /* arguments, those of -d included; -1: any number */
        int (*run)(Ctl *ctl, char **args);
} Command;

/* Exit statuses. */
int help_overview(const Command *commands, size_t n);
int help_command(const Command *command);
