/* SPDX-License-Identifier: Apache-2.0 */
/* key_cache.h - the keys that a worker remembers: known ones, and ones that nobody knows.
 *
 * Each sort has a bound of its own, so that a flood of made-up keys pushes out no real one.  Beyond it, the one that was
 * used longest ago makes room, and its memory is used again: once full, nothing is allocated any more. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "identity/key_record.h"

struct cached_key {
    struct map_node node;
    struct list link; /* by use: the latest last */
    unsigned epoch;
    bool is_known;
    unsigned char sha256[KEY_SHA256_LEN];
    int64_t confirmed_us; /* when the store was asked last */
    /* Of known ones alone: what the store says, and what comes of it in one generation of configuration. */
    int generation;
    bool is_fitting; /* the policy has its tier and team, the keystore's source its zone */
    struct account account;
    struct key_record record;
};

struct key_cache {
    struct map map;
    unsigned epoch; /* entries of an earlier one are forgotten */
    struct list known, unknown;
    int known_len, unknown_len;
};

MUST_CHECK enum status key_cache_init(struct key_cache *cache);
void key_cache_fini(struct key_cache *cache);
/* NULL: it is not remembered. */
struct cached_key *key_cache_find(struct key_cache *cache,
                                  const unsigned char sha256[KEY_SHA256_LEN]);
/* An entry for this key, its last three fields and times as they come, among at most so many (1 or more) of its sort.
 * NULL: no memory. */
struct cached_key *key_cache_put(struct key_cache *cache,
                                 const unsigned char sha256[KEY_SHA256_LEN], bool is_known,
                                 int64_t len_max);
/* Forgets all at once. */
void key_cache_clear(struct key_cache *cache);
