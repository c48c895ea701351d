/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Alias */

#include <errno.h>
#include <string.h>

#include "core/alias.h"
#include "errors.h"

const Alias *aliases_find(const Aliases *aliases, const char *name) {
        for (unsigned i = 0; i < aliases->n; i++)
                if (strcmp(aliases->items[i].name, name) == 0)
                        return &aliases->items[i];

        return NULL;
}

int aliases_set(Aliases *aliases, const char *name, const char *selector) {
        Alias alias = {}, *old;
        int r;

        if (!selector_name_is_valid(name))
                return -EINVAL;
        r = selector_parse(&alias.selector, selector);
        if (r != 0)
                return r;
        if (alias.selector.alias[0] || alias.selector.pool[0])
                return VFB_ERROR_INVALID_SELECTOR;

        strcpy(alias.name, name);
        old = (Alias *) aliases_find(aliases, name);
        if (!old && aliases->n == ALIASES_MAX)
                return -E2BIG;
        *(old ?: &aliases->items[aliases->n++]) = alias;
        return 0;
}
