/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Settings
 *
 * An INI file read by inih, one setting after the other, without its trap: inih takes what does not fit into its line
 * for the next one, so that the end of a long comment could be a setting. Either as they come, or by a table of all
 * that there may be. Owns nothing.
 */

#include <stddef.h>
#include <stdio.h>

#define SETTINGS_WHY_MAX 512

/* inih's convention: 1 is fine, 0 is an error on this line. */
typedef int (*SettingFound)(void *userdata, unsigned line, const char *section, const char *key, const char *value);

typedef struct SettingsFault {
        unsigned line; /* 0: the file as a whole */
        char why[SETTINGS_WHY_MAX];
} SettingsFault;

/* What a file may say, and who takes it. */
typedef struct Setting {
        const char *section, *key;
        int (*set)(void *object, const char *value); /* negative: the value is wrong */
        const char *what;                            /* is what it must be */
} Setting;

/* -EINVAL: there is a wrong line, and @ret_fault names the first. What is right behind it may have been found all the
 * same. -EIO: it cannot be read (a folder, for one). */
int settings_read(FILE *file, SettingFound found, void *userdata, SettingsFault *ret_fault);

/* Sets @object by all that the file says, and by what is right in it also if it fails. What is not in the table is
 * wrong, not passed over: it may be what makes the rest right. Negative: @ret_fault says what is wrong first. */
int settings_load(const char *path, const Setting *settings, size_t n, void *object, SettingsFault *ret_fault);
