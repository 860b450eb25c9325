/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - the texts and tables of one generation.      Runs on: control thread; freed on any. */
#include "config/memory.h"

#include <stdlib.h>
#include <string.h>

/* A keyfile of the longest kind stays far below this. */
#define GENERATION_BYTES_MAX ((size_t)256 << 20)

struct config_memory *config_memory_new(void)
{
    struct config_memory *memory = calloc(1, sizeof(*memory));

    if (memory)
        arena_init(&memory->arena, GENERATION_BYTES_MAX);
    return memory;
}

void config_memory_free(struct config_memory **memory)
{
    if (!*memory)
        return;
    arena_fini(&(*memory)->arena);
    free(*memory);
    *memory = NULL;
}

void *memory_take(struct config_memory *memory, size_t size)
{
    void *taken = arena_alloc(&memory->arena, size);

    if (taken)
        memset(taken, 0, size);
    return taken;
}

const char *memory_text(struct config_memory *memory, struct text t)
{
    return arena_copy(&memory->arena, t).ptr;
}
