/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - what one generation of configuration is made of, freed at once with its last reference. */
#pragma once

#include "base/arena.h"
#include "config/config.h"

struct named_zone;

struct config_memory {
    struct arena arena;
    struct named_zone *zones; /* in the arena; see zone_take() */
};

/* Cleared.  NULL when there is no memory. */
void *memory_take(struct config_memory *memory, size_t size);
/* A copy as a C string.  NULL when there is no memory. */
const char *memory_text(struct config_memory *memory, struct text t);
