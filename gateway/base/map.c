/* SPDX-License-Identifier: Apache-2.0 */
/* map.c - an intrusive hash table with chains.  Runs on: whichever thread owns the map; the seed is shared. */
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAP_FIRST_SIZE 16

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void draw_seed(void)
{
    ASSERT(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
}

uint64_t map_hash(struct text key)
{
    ASSERT(pthread_once(&seed_once, draw_seed) == 0);
    return XXH3_64bits_withSeed(key.ptr, key.len, seed);
}

enum status map_init(struct map *map, struct text (*key)(const struct map_node *node))
{
    struct map_node **slots = calloc(MAP_FIRST_SIZE, sizeof(struct map_node *));

    if (!slots)
        return ST_NOMEM;
    *map = (struct map){.slots = slots, .size = MAP_FIRST_SIZE, .key = key};
    return ST_OK;
}

void map_fini(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

static struct map_node **slot_of(const struct map *map, uint64_t hash)
{
    return &map->slots[hash & (map->size - 1)];
}

struct map_node *map_find(const struct map *map, struct text key)
{
    uint64_t hash = map_hash(key);

    for (struct map_node *node = *slot_of(map, hash); node; node = node->next) {
        if (node->hash == hash && text_equal(map->key(node), key))
            return node;
    }
    return NULL;
}

static void push(struct map *map, struct map_node *node)
{
    struct map_node **slot = slot_of(map, node->hash);

    node->next = *slot;
    *slot = node;
}

static void grow(struct map *map)
{
    struct map_node **old = map->slots;
    size_t old_size = map->size;
    struct map_node **slots = calloc(old_size * 2, sizeof(struct map_node *));

    if (!slots)
        return;
    map->slots = slots;
    map->size = old_size * 2;
    for (size_t i = 0; i < old_size; i++) {
        struct map_node *node = old[i];

        while (node) {
            struct map_node *next = node->next;

            push(map, node);
            node = next;
        }
    }
    free(old);
}

void map_insert(struct map *map, struct map_node *node)
{
    if (map->len >= map->size)
        grow(map);
    node->hash = map_hash(map->key(node));
    push(map, node);
    map->len++;
}

void map_remove(struct map *map, struct map_node *node)
{
    struct map_node **link = slot_of(map, node->hash);

    while (*link != node) {
        ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    *link = node->next;
    node->next = NULL;
    map->len--;
}

struct map_node *map_next(const struct map *map, size_t *cursor, struct map_node *previous)
{
    if (previous && previous->next)
        return previous->next;
    for (size_t i = *cursor; i < map->size; i++) {
        if (map->slots[i]) {
            *cursor = i + 1;
            return map->slots[i];
        }
    }
    *cursor = map->size;
    return NULL;
}
