/* SPDX-License-Identifier: Apache-2.0 */
/* redis_token.h - keys, tokens and scores, as redis_scripts.h lays them out. */
#pragma once

#include "base/text.h"
#include "core/reservation.h"

/* The same in all gateways on one Redis.  An empty bucket costs nothing; at 128 accounts a bucket this serves 8 million
 * active accounts a day. */
#define BUCKETS 65536

#define REDIS_KEY_MAX 24

struct redis_key {
    char buf[REDIS_KEY_MAX];
    size_t len;
};

/* What must be known of a hold to end it. */
struct hold_handle {
    uint32_t bucket;
    uint32_t token_len;
    unsigned char token[RESERVATION_TOKEN_MAX];
};

/* Sets r->bucket, r->token and r->token_len. */
void redis_token_make(struct reservation *r);

struct redis_key redis_ledger_key(const struct hold_handle *handle);
/* How many windows the hold is charged to, and the row of each. */
int redis_token_windows(const struct hold_handle *handle);
struct redis_key redis_row_key(const struct hold_handle *handle, int window);
int64_t redis_token_grains(const struct hold_handle *handle);
uint64_t redis_token_id(const struct hold_handle *handle);

static inline struct text redis_key_text(const struct redis_key *key)
{
    return (struct text){key->buf, key->len};
}

static inline struct text redis_token_text(const struct hold_handle *handle)
{
    return (struct text){(const char *)handle->token, handle->token_len};
}

/* Rounded up, so that a lease is never shorter than promised. */
int64_t redis_score(int64_t expires_us, bool is_committed);
/* What has a score up to this is expired.  Two seconds late, so that a gateway whose clock is a little ahead ends nobody's
 * lease early. */
int64_t redis_horizon(int64_t now_us);
/* When rows charged by this reservation may vanish (Unix seconds): no hold in them can live that long.  Spread over an
 * hour by bucket. */
int64_t redis_row_expiry(const struct reservation *r, int64_t lease_us);
