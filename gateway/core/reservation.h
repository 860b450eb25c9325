/* SPDX-License-Identifier: Apache-2.0 */
/* reservation.h - units held for one request: HELD -> COMMITTED -> SETTLED, exactly once each. */
#pragma once

#include "base/list.h"
#include "core/policy.h"

enum reservation_state {
    RESERVATION_NONE,      /* nothing held (also: refused, or no limits to hold in) */
    RESERVATION_HELD,      /* an expiry gives the units back */
    RESERVATION_COMMITTED, /* an expiry keeps the charge */
    RESERVATION_SETTLED,
};

/* One limit of the account, and how it stood when the store was asked. */
struct reserved_limit {
    struct limit limit;
    int64_t used_units; /* with this reservation, or without it where that was refused */
};

#define RESERVATION_TOKEN_MAX 64

struct reservation {
    enum reservation_state state;
    struct account_digest account;
    uint64_t id; /* random; what makes every call idempotent */
    int64_t held_units;
    int64_t used_units; /* once settled */
    int64_t expires_us; /* store time; renewed by the store while the gateway lives */
    int limits_len;
    struct reserved_limit limits[LIMITS_MAX];
    int refused_by; /* index of the limit that refused, else -1 */

    /* The store's own. */
    struct list live; /* while HELD or COMMITTED: in the worker's list, for renewing */
    uint32_t bucket;
    int token_len;
    unsigned char token[RESERVATION_TOKEN_MAX];
};

/* A fresh one, state NONE. */
void reservation_init(struct reservation *r, const struct account *account,
                      const struct terms *terms, int64_t units, uint64_t id);
/* Each asserts the state that it leaves. */
void reservation_hold(struct reservation *r, int64_t expires_us);
void reservation_commit(struct reservation *r);
/* used is clamped to 0..held.  Returns the units given back. */
int64_t reservation_settle(struct reservation *r, int64_t used_units);
/* The limit to tell the client about: the one that refused, else the one with the least left; NULL without limits. */
const struct reserved_limit *reservation_tightest(const struct reservation *r);
/* Units left in a limit; never negative. */
int64_t reserved_limit_left(const struct reserved_limit *l);
