/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Journal
 *
 * What must survive the daemon: one small file for each lease and for each device that is not as it should be,
 * in the runtime directory. It goes with a reboot, as leases do. A file is replaced as a whole, and its
 * first line seals the rest with version, length and checksum, so that one that is torn, damaged or another
 * program's is noticed and never believed. Owned by the broker.
 *
 * A journal may be NULL, where there is no place for one: then nothing is kept, and nothing is found.
 */

#include <stdbool.h>

#include "cleanup.h"

#define JOURNAL_NAME_MAX 96
#define JOURNAL_TEXT_MAX (8 * 1024 * 1024)

typedef struct Journal Journal;

/* @path must be a folder that only the daemon may write into. */
int journal_new(Journal **ret, const char *path);
Journal *journal_free(Journal *journal);
DEFINE_CLEANUP(Journal, journal_free)

/* The folder, for what else belongs there. Borrowed; negative for a journal that is NULL. */
int journal_dir(const Journal *journal);

/* Makes @text the content of @name, or leaves what was there. -E2BIG. */
int journal_write(Journal *journal, const char *name, const char *text);

/* -ENOENT: no such entry. -EBADMSG: torn, damaged, or no entry at all. -EPROTONOSUPPORT: a later version's. */
int journal_read(Journal *journal, const char *name, char **ret);

/* Not there is as good. */
void journal_remove(Journal *journal, const char *name);

/* Calls @entry for every file whose name begins with @prefix, in order of name. It may write and remove. Leftovers of
 * writes that never came to their end are removed on the way. */
typedef void (*JournalEntry)(const char *name, void *userdata);
int journal_list(Journal *journal, const char *prefix, JournalEntry entry, void *userdata);

/* The content of an entry's file taken apart: @ret is in @data. For tests and fuzzing. */
int journal_unseal(char *data, size_t size, char **ret);
