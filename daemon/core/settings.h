/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Settings
 *
 * An INI file read by inih, one setting after the other, without its trap: inih takes what does not fit into its line
 * for the next one, so that the end of a long comment could be a setting. Owns nothing.
 */

#include <stdbool.h>
#include <stdio.h>

/* inih's convention: 1 is fine, 0 is an error on this line. */
typedef int (*SettingFound)(void *userdata, unsigned line, const char *section, const char *key, const char *value);

typedef struct SettingsFault {
        unsigned line;
        bool too_long; /* the line is; otherwise it is no setting, or @found did not like it */
} SettingsFault;

/* -EINVAL: there is a wrong line, and @ret_fault names the first. What is right behind it may have been found all the
 * same. -EIO: it cannot be read (a folder, for one). */
int settings_read(FILE *file, SettingFound found, void *userdata, SettingsFault *ret_fault);
