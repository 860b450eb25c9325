/* SPDX-License-Identifier: Apache-2.0 */
/* reservation.h - images held for one request: HELD -> COMMITTED -> SETTLED, exactly once each.
 *
 * Each limit is charged images * image_units.  A store charges all limits of one subject group in one atomic call (a
 * part); an account in a team has two parts, since a Cluster may keep them in different slots: they are reserved in order,
 * and a later refusal gives the earlier part back. */
#pragma once

#include "base/list.h"
#include "core/policy.h"

enum reservation_state {
    RESERVATION_NONE,      /* nothing held (also: refused, or no limits to hold in) */
    RESERVATION_HELD,      /* an expiry gives the units back */
    RESERVATION_COMMITTED, /* an expiry keeps the charge */
    RESERVATION_SETTLED,
};

/* One limit, and how it stood when the store was asked. */
struct reserved_limit {
    struct limit limit;
    int64_t
        used_units; /* with this reservation, or without it where that was refused; RATE: burst less what is left */
    int64_t granted_units; /* extra, on top of the rule's */
    int64_t
        reset_us; /* store time when units come back: the window's end, or as the store worked out */
    bool is_over; /* a limit on trial that would have refused */
};

#define RESERVATION_PARTS_MAX 2

/* Limits that a store charges in one call. */
struct reservation_part {
    int first, len; /* limits[first .. first+len) */
    bool is_held;
    int64_t sure_until_us; /* store time until which nobody can have given it back */
    void *renewal;         /* the store's request on its way, that tells; NULL: none */
    void *commit;          /* likewise */
};

struct reservation {
    enum reservation_state state;
    struct account_digest account;
    uint64_t id; /* random; what makes every call idempotent */
    int64_t held_images;
    int64_t used_images; /* once settled */
    int64_t expires_us;  /* store time; renewed by the store while the gateway lives */
    int refused_by;      /* index of the limit that refused, else -1 */

    /* The store's own. */
    struct list live;         /* while HELD or COMMITTED: in the worker's list, for renewing */
    struct local_hold *local; /* quota/local.c's; NULL: held in the store itself */
    int64_t
        asked_us; /* store time: chooses slots and segments, so it makes the same token at any time */
    uint32_t buckets; /* likewise: among how many the part's is chosen */
    int parts_len;
    struct reservation_part parts[RESERVATION_PARTS_MAX];

    int limits_len;
    struct reserved_limit limits[LIMITS_MAX]; /* last: there may be room for limits_len alone */
};

/* The room that reservation_init() needs for so many limits. */
static inline size_t reservation_bytes(int limits_len)
{
    return offsetof(struct reservation, limits) +
           (size_t)limits_len * sizeof(struct reserved_limit);
}

/* A fresh one, state NONE, its parts laid out by subject group (SCOPE_TEAM is a group of its own). */
void reservation_init(struct reservation *r, const struct account *account,
                      const struct terms *terms, int64_t images, uint64_t id);
/* Each asserts the state that it leaves. */
void reservation_hold(struct reservation *r, int64_t expires_us);
void reservation_commit(struct reservation *r);
/* Settled with so many images used, it leaves others more than before: images come back, or an in-flight limit has room. */
bool reservation_gives_back(const struct reservation *r, int64_t used_images);
/* used is clamped to 0..held.  Returns the images given back. */
int64_t reservation_settle(struct reservation *r, int64_t used_images);
/* The limit to tell the client about: the one that refused, else the enforced one with the smallest share left, of equals
 * the first; NULL where there is none.  IN_FLIGHT is told only where it refused. */
const struct reserved_limit *reservation_tightest(const struct reservation *r);
/* Units left in a limit, with its grants; never negative. */
int64_t reserved_limit_left(const struct reserved_limit *l);
/* The limit never allows what was asked for, however long one waits. */
static inline bool reserved_limit_is_hopeless(const struct reserved_limit *l)
{
    return l->reset_us == INT64_MAX;
}
/* Images of this job that fit into what is left; INT64_MAX where they cost nothing. */
int64_t reserved_limit_images_left(const struct reserved_limit *l);
