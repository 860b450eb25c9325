/* SPDX-License-Identifier: Apache-2.0 */
/* reservation.c - the states of one hold, and its sums.
 * held_units is what the request needs from the start; it is held in a store only in HELD and COMMITTED. */

#include "core/reservation.h"

void reservation_init(struct reservation *r, const struct account *account,
                      const struct terms *terms, int64_t units, uint64_t id)
{
    ASSERT(units >= 0);
    *r = (struct reservation){
        .state = RESERVATION_NONE,
        .account = account->digest,
        .id = id,
        .held_units = units,
        .limits_len = terms->limits_len,
        .refused_by = -1,
    };
    for (int i = 0; i < terms->limits_len; i++)
        r->limits[i].limit = terms->limits[i];
    list_init(&r->live);
}

void reservation_hold(struct reservation *r, int64_t expires_us)
{
    ASSERT(r->state == RESERVATION_NONE);
    r->state = RESERVATION_HELD;
    r->expires_us = expires_us;
    r->refused_by = -1;
}

void reservation_commit(struct reservation *r)
{
    ASSERT(r->state == RESERVATION_HELD);
    r->state = RESERVATION_COMMITTED;
}

int64_t reservation_settle(struct reservation *r, int64_t used_units)
{
    ASSERT(r->state == RESERVATION_HELD || r->state == RESERVATION_COMMITTED);
    r->state = RESERVATION_SETTLED;
    r->used_units = MIN(MAX(used_units, 0), r->held_units);
    return r->held_units - r->used_units;
}

const struct reserved_limit *reservation_tightest(const struct reservation *r)
{
    if (r->limits_len == 0)
        return NULL;
    if (r->refused_by >= 0)
        return &r->limits[r->refused_by];

    const struct reserved_limit *tightest = &r->limits[0];

    for (int i = 1; i < r->limits_len; i++)
        if (reserved_limit_left(&r->limits[i]) < reserved_limit_left(tightest))
            tightest = &r->limits[i];
    return tightest;
}

int64_t reserved_limit_left(const struct reserved_limit *l)
{
    return l->used_units >= l->limit.units ? 0 : l->limit.units - MAX(l->used_units, 0);
}
