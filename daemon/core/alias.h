/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Alias
 *
 * A name that the administrator gives to a device, for a selector that says which: "alias:lab-nic". Part of the
 * configuration, and values like that; owns nothing. An alias never stands for another one, so there are no loops.
 */

#include "core/selector.h"

#define ALIASES_MAX 64

typedef struct Alias {
        char name[SELECTOR_NAME_MAX];
        Selector selector;
} Alias;

typedef struct Aliases {
        Alias items[ALIASES_MAX];
        unsigned n;
} Aliases;

/* The last word about a name counts. -EINVAL: it may not be called that. VFB_ERROR_INVALID_SELECTOR: it is none, or
 * one of an alias or a pool. -E2BIG: there are too many. */
int aliases_set(Aliases *aliases, const char *name, const char *selector);

/* NULL: there is none of that name. */
const Alias *aliases_find(const Aliases *aliases, const char *name);
