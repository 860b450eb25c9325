/* SPDX-License-Identifier: Apache-2.0 */
/* keystore.h - keys kept in Redis, for millions of accounts: what a thread remembers of them, and how it asks.
 *
 * A thread asks for a key it does not know, once for all who wait for it, and remembers the answer (key_cache.h).  It asks
 * once a second what was revoked or changed anywhere (KEY_COUNTER): when that has moved, it forgets everything.  So a
 * revoked key is refused everywhere after a second, two at most: what was last heard longer ago than that is not relied
 * on, and the key itself is asked for.
 *
 * While Redis is down, keys that are remembered go on working for `stale_for` after they were last confirmed (an hour: a
 * failover or a restart is not noticed, yet a gateway that is cut off does not serve revoked keys for days).  For all
 * others nothing can be said, which is neither yes nor no: KEY_FAILED. */
#pragma once

#include "base/stats.h"
#include "identity/key_cache.h"
#include "identity/key_line.h"

/* What all threads share: where Redis is.  Made before them, freed after them. */
struct keystore;

/* ST_OK; else with the reason in error.  The configuration has a keystore.  A Redis that is down is no error here. */
MUST_CHECK enum status keystore_open(const struct config *config, char error[CONFIG_ERROR_MAX],
                                     struct keystore **out);
void keystore_close(struct keystore **keystore);

enum key_verdict { KEY_NONE, KEY_KNOWN, KEY_UNKNOWN, KEY_FAILED };

/* How lookups end, as a metric's label. */
enum key_result {
    KEY_RESULT_HIT,     /* known, from memory */
    KEY_RESULT_REFUSED, /* unknown, from memory */
    KEY_RESULT_FOUND,
    KEY_RESULT_UNKNOWN,
    KEY_RESULT_STALE, /* from memory, since Redis is down */
    KEY_RESULT_FAILED,
    KEY_RESULTS_LEN
};
extern const char *const key_result_words[KEY_RESULTS_LEN];

/* One who asks for a key. */
struct key_wait {
    const struct config
        *config; /* set by the caller: what tiers, teams and zones there are; has a keystore */
    struct list link;
    struct op *op;
    enum key_verdict verdict;
    /* Of a known one. */
    bool
        is_fitting; /* the policy has its tier and team, the configuration its zone; then account is set */
    struct account account;
};

/* A thread's door. */
struct keys {
    struct key_line line;
    struct keystore *store;
    struct stats *stats; /* lent; NULL: nobody counts */
    struct key_cache cache;
    struct map lookups;
    struct list spare; /* lookups that are over, for the next ones */
    struct timer poll;
    struct key_call poll_call;
    bool is_polling;
    int64_t counter;          /* as last heard; -1: never */
    int64_t trusted_until_us; /* nothing was revoked that is not known of */
};

MUST_CHECK enum status keys_open(struct keystore *store, struct loop *loop, struct stats *stats,
                                 struct keys **out);
/* ST_OK: wait->verdict is set.  ST_PENDING: it will be, once op is done with ST_OK; wait stays where it is until then, or
 * until op is cancelled. */
MUST_CHECK enum status keys_find(struct keys *keys, const unsigned char sha256[KEY_SHA256_LEN],
                                 struct key_wait *wait, struct op *op);
/* With the loop at rest: those who still wait are told KEY_FAILED. */
void keys_close(struct keys **keys);
