/* SPDX-License-Identifier: Apache-2.0 */
/* key_cache.c - the keys that a worker remembers.      Runs on: worker. */
#include "identity/key_cache.h"

#include <stdlib.h>
#include <string.h>

static struct cached_key *of_node(const struct map_node *node)
{
    return container_of(node, struct cached_key, node);
}

static struct text key_of(const struct map_node *node)
{
    return (struct text){(const char *)of_node(node)->sha256, KEY_SHA256_LEN};
}

static struct text text_of_sha256(const unsigned char *sha256)
{
    return (struct text){(const char *)sha256, KEY_SHA256_LEN};
}

static struct list *list_of(struct key_cache *cache, bool is_known, int **out_len)
{
    *out_len = is_known ? &cache->known_len : &cache->unknown_len;
    return is_known ? &cache->known : &cache->unknown;
}

enum status key_cache_init(struct key_cache *cache)
{
    list_init(&cache->known);
    list_init(&cache->unknown);
    return map_init(&cache->map, key_of);
}

static struct cached_key *take_out(struct key_cache *cache, struct cached_key *key)
{
    int *len;

    (void)list_of(cache, key->is_known, &len);
    --*len;
    list_remove(&key->link);
    map_remove(&cache->map, &key->node);
    return key;
}

static void empty(struct key_cache *cache, struct list *list)
{
    while (!list_is_empty(list))
        free(take_out(cache, container_of(list->next, struct cached_key, link)));
}

void key_cache_fini(struct key_cache *cache)
{
    empty(cache, &cache->known);
    empty(cache, &cache->unknown);
    map_fini(&cache->map);
}

/* Also one that is forgotten. */
static struct cached_key *find(const struct key_cache *cache, const unsigned char *sha256)
{
    struct map_node *node = map_find(&cache->map, text_of_sha256(sha256));

    return node ? of_node(node) : NULL;
}

struct cached_key *key_cache_find(struct key_cache *cache,
                                  const unsigned char sha256[KEY_SHA256_LEN])
{
    struct cached_key *key = find(cache, sha256);
    int *len;

    if (!key || key->epoch != cache->epoch)
        return NULL;
    list_remove(&key->link);
    list_push_back(list_of(cache, key->is_known, &len), &key->link);
    return key;
}

/* A bound that was lowered frees what is too much. */
static struct cached_key *make_room(struct key_cache *cache, bool is_known, int64_t len_max)
{
    struct cached_key *freed = NULL;
    int *len;
    struct list *list = list_of(cache, is_known, &len);

    while (*len >= len_max) {
        free(freed);
        freed = take_out(cache, container_of(list->next, struct cached_key, link));
    }
    if (freed)
        return freed;
    return calloc(1, is_known ? sizeof(*freed) : offsetof(struct cached_key, generation));
}

struct cached_key *key_cache_put(struct key_cache *cache,
                                 const unsigned char sha256[KEY_SHA256_LEN], bool is_known,
                                 int64_t len_max)
{
    struct cached_key *key = find(cache, sha256);
    int *len;

    ASSERT(len_max > 0);
    if (key && key->is_known != is_known) {
        free(take_out(cache, key));
        key = NULL;
    }
    if (key)
        (void)take_out(cache, key);
    else
        key = make_room(cache, is_known, len_max);
    if (!key)
        return NULL;
    key->epoch = cache->epoch;
    key->is_known = is_known;
    memcpy(key->sha256, sha256, KEY_SHA256_LEN);
    map_insert(&cache->map, &key->node);
    list_push_back(list_of(cache, is_known, &len), &key->link);
    ++*len;
    return key;
}

void key_cache_clear(struct key_cache *cache)
{
    cache->epoch++;
}
