/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hook
 *
 * A program of the administrator's that a device has to pass after its reset and before anybody else gets it, such as
 * one that formats a disk. Described by NAME.hook in one of two folders. One that cannot be read is not passed over:
 * it stays in the list with what is wrong with it, matches all that it may have been meant for, and fails. Owned by
 * the list, which is a value.
 */

#include <stdbool.h>
#include <stdint.h>

#include "core/selector.h"

#define HOOK_NAME_MAX  64
#define HOOK_EXEC_MAX  256
#define HOOK_WRONG_MAX 512
#define HOOKS_MAX      64

/* The first goes before the other, where both have a file of that name. */
#define HOOK_FOLDER        "/etc/vfio-broker/release.d"
#define HOOK_FOLDER_VENDOR "/usr/lib/vfio-broker/release.d"

typedef struct Hook {
        char name[HOOK_NAME_MAX]; /* of its file, without ".hook" */
        Selector match;
        bool says_match; /* has a line that should say what it is for */
        bool has_match;  /* and that does; otherwise it is for every device */
        char exec[HOOK_EXEC_MAX];
        unsigned timeout_sec;
        uint64_t capabilities; /* 1 << CAP_X */
        char wrong[HOOK_WRONG_MAX]; /* "": nothing is */
} Hook;

typedef struct HookList {
        Hook items[HOOKS_MAX]; /* in the order in which they run */
        unsigned n;
} HookList;

/* @root: "" or the folder in which the two folders are (tests). Whatever goes wrong becomes a hook that is wrong. */
void hooks_load(HookList *ret, const char *root);

bool hook_matches(const Hook *hook, const Device *device);

/* Whether it may run: nobody but root (or who we are, in tests) can have put its program there, or anything else in its
 * place. Looked at before each run, since files change. -EPERM, and @ret_why says why not. */
int hook_check(const Hook *hook, const char *root, char ret_why[HOOK_WRONG_MAX]);
