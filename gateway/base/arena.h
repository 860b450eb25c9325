/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - memory that is freed all at once, at the end of its request. */
#pragma once

#include "base/shelf.h"
#include "base/text.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* owned; the newest first */
    size_t used_bytes;          /* of the newest block */
    size_t total_bytes;         /* of all blocks */
    size_t limit_bytes;         /* of total_bytes; arena_alloc refuses more */
    struct shelf *shelf;        /* lends the ordinary blocks; NULL: malloc() does */
};

void arena_init(struct arena *arena, size_t limit_bytes);
/* One whose ordinary blocks are lent by that shelf, and as large as its objects. */
void arena_init_from(struct arena *arena, size_t limit_bytes, struct shelf *shelf);
/* 16-byte aligned, not cleared.  NULL when the limit or the memory is used up. */
void *arena_alloc(struct arena *arena, size_t len);
/* A copy with a NUL behind it.  TEXT_NONE when there is no room. */
struct text arena_copy(struct arena *arena, struct text t);
void arena_fini(struct arena *arena);
