/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mapping */

#include <assert.h>
#include <string.h>

#include "cleanup.h"
#include "core/mapping.h"
#include "errors.h"

/* How many ranges begin below @iova. */
static unsigned mappings_below(const Mappings *mappings, uint64_t iova) {
        unsigned from = 0, to = mappings->n;

        while (from < to) {
                unsigned middle = from + (to - from) / 2;

                if (mappings->items[middle].iova < iova)
                        from = middle + 1;
                else
                        to = middle;
        }

        return from;
}

static uint64_t mapping_last(const Mapping *mapping) {
        return mapping->iova + (mapping->size - 1);
}

static int mappings_make_room(Mappings *mappings) {
        unsigned n = mappings->n_allocated > 0 ? 2 * mappings->n_allocated : 8;
        Mapping *items;

        if (mappings->n < mappings->n_allocated)
                return 0;

        items = reallocarray(mappings->items, n, sizeof(*items));
        if (!items)
                return -ENOMEM;

        mappings->items = items;
        mappings->n_allocated = n;
        return 0;
}

int mappings_add(Mappings *mappings, uint64_t iova, uint64_t size) {
        const Mapping added = { .iova = iova, .size = size, .state = MAPPING_COMING };
        unsigned at = mappings_below(mappings, iova);
        int r;

        assert(size > 0 && size - 1 <= UINT64_MAX - iova);

        if (at > 0 && mapping_last(&mappings->items[at - 1]) >= iova)
                return VFB_ERROR_INVALID_ARGS;
        if (at < mappings->n && mappings->items[at].iova <= mapping_last(&added))
                return VFB_ERROR_INVALID_ARGS;

        r = mappings_make_room(mappings);
        if (r < 0)
                return r;

        memmove(&mappings->items[at + 1], &mappings->items[at], (mappings->n - at) * sizeof(added));
        mappings->items[at] = added;
        mappings->n++;
        mappings->n_coming++;
        mappings->bytes += size;
        return 0;
}

Mapping *mappings_find(const Mappings *mappings, uint64_t iova, uint64_t size) {
        unsigned at = mappings_below(mappings, iova);

        if (at == mappings->n || mappings->items[at].iova != iova || mappings->items[at].size != size)
                return NULL;

        return &mappings->items[at];
}

void mappings_set_state(Mappings *mappings, Mapping *mapping, MappingState state) {
        mappings->n_coming -= mapping->state == MAPPING_COMING;
        mappings->n_coming += state == MAPPING_COMING;
        mapping->state = state;
}

void mappings_remove(Mappings *mappings, Mapping *mapping) {
        unsigned at = (unsigned) (mapping - mappings->items);

        mappings->n_coming -= mapping->state == MAPPING_COMING;
        mappings->bytes -= mapping->size;
        mappings->n--;
        memmove(mapping, mapping + 1, (mappings->n - at) * sizeof(*mapping));
}

void mappings_clear(Mappings *mappings) {
        free(mappings->items);
        *mappings = (Mappings){};
}
