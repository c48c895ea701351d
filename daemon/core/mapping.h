/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Mapping
 *
 * The memory that the devices of a mediated lease can reach, as ranges of their addresses (IOVA). A range is
 * recorded before the kernel is asked for it, and forgotten after the kernel has taken it back, so that nothing
 * is ever mapped that nobody knows of. The list belongs to its lease; what it adds up to is charged to the
 * lease's user. Pointers into it are good until the next mappings_add() or mappings_remove().
 */

#include <stdbool.h>
#include <stdint.h>

typedef enum MappingState {
        MAPPING_COMING, /* the kernel is being asked for it */
        MAPPING_THERE,
        MAPPING_GOING, /* the kernel is being asked to take it back */
} MappingState;

typedef struct Mapping {
        uint64_t iova, size;
        MappingState state;
} Mapping;

typedef struct Mappings {
        Mapping *items; /* in the order of their addresses */
        unsigned n, n_allocated;
        unsigned n_coming;
        uint64_t bytes;
} Mappings;

/* As MAPPING_COMING. VFB_ERROR_INVALID_ARGS: it overlaps with one that is there. The range is sound: neither empty nor
 * beyond the last address. The caller has seen to the limits. */
int mappings_add(Mappings *mappings, uint64_t iova, uint64_t size);

/* Exactly that range; NULL if it is none. */
Mapping *mappings_find(const Mappings *mappings, uint64_t iova, uint64_t size);

void mappings_set_state(Mappings *mappings, Mapping *mapping, MappingState state);
void mappings_remove(Mappings *mappings, Mapping *mapping);

/* Forgets all. */
void mappings_clear(Mappings *mappings);
