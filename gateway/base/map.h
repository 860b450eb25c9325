/* SPDX-License-Identifier: Apache-2.0 */
/* map.h - an intrusive hash table, keyed by bytes, hashed by seeded XXH3.  Grows by doubling; owned by one thread. */
#pragma once

#include "base/status.h"
#include "base/text.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **slots; /* owned; size is a power of two */
    size_t size;
    size_t len;
    /* The key of a node, for comparing. */
    struct text (*key)(const struct map_node *node);
};

/* 64 bits of seeded XXH3; the seed is drawn once a process, so that nobody can aim at a collision. */
uint64_t map_hash(struct text key);

MUST_CHECK enum status map_init(struct map *map, struct text (*key)(const struct map_node *node));
void map_fini(struct map *map); /* frees the slots, not the nodes */

struct map_node *map_find(const struct map *map, struct text key);
/* No node with this key may be in the map.  Growth that finds no memory is skipped: the map works on, slower. */
void map_insert(struct map *map, struct map_node *node);
void map_remove(struct map *map, struct map_node *node);
/* Walks: begin with *cursor 0 and previous NULL, then hand in the node got last; NULL at the end.  To remove while
 * walking, ask for the next node first.  Nothing may be inserted meanwhile. */
struct map_node *map_next(const struct map *map, size_t *cursor, struct map_node *previous);
