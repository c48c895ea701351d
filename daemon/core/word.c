/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Word */

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "core/word.h"

static int compare_words(const void *a, const void *b) {
        return strcmp(a, b);
}

const char *word_keep(const char *text) {
        _cleanup_(freep) char *copy = NULL;
        static void *words; /* tsearch(3) */
        char **node;

        if (!*text)
                return "";

        node = tfind(text, &words, compare_words);
        if (node)
                return *node;

        copy = strdup(text);
        if (!copy || !tsearch(copy, &words, compare_words))
                return NULL;

        return TAKE_PTR(copy);
}
