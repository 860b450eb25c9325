/* SPDX-License-Identifier: Apache-2.0 */
/* redis_rows.c - what need not be looked at again for the next account of a bucket.      Runs on: worker.
 * A row that is new to its hash makes a script look at two things beside it: whether the hash stays for long enough, and
 * whether the bucket keeps grants until a date.  Both are the same for all accounts of the bucket; so where a worker does
 * not know them, a plain reserve looks at them even if its row is there.
 *
 * A hash, once it stays for long enough, does so until it is gone: hardly anything takes its last row out but FLUSHALL, or
 * a Redis that has lost what it knew.  Should it be made anew by one who does not look, the first who looks again, KNOWN_S
 * later, sees to it.
 *
 * A bucket may be given such a grant at any time.  But an amend also writes the row of the window that it is given in: so
 * the grant is missed by none who has looked since that window began.  One that was STALE_S on its way, from before the
 * window's begin, could be. */

#include <stdlib.h>
#include <string.h>

#include "quota/redis.h"

#define SEEN_MAX     (1 << 15)
#define STALE_S      120
#define KNOWN_S      600
#define ORDINAL_BITS 26

/* A hash, as a script has found it when it was asked.  A few lines of the cache hold those of all that is charged now. */
struct redis_seen {
    uint32_t bucket;
    uint32_t row;      /* its letter and its ordinal */
    uint32_t asked_s;  /* 0: none */
    uint32_t expiry_s; /* it stays until then at least */
};

/* Digits and small letters differ in their last six bits from each other, and from the capitals. */
static uint32_t name_of(const struct redis_row *row)
{
    ASSERT((uint64_t)row->ordinal >> ORDINAL_BITS == 0);
    return (uint32_t)(row->letter & 63) << ORDINAL_BITS | (uint32_t)row->ordinal;
}

static struct redis_seen *place_of(const struct redis_quota *rq, const struct redis_row *row)
{
    uint32_t place = row->bucket + (uint32_t)row->ordinal * 7919 + (uint32_t)row->letter * 104729;

    return &rq->seen[place % SEEN_MAX];
}

void redis_rows_init(struct redis_quota *rq)
{
    rq->seen = calloc(SEEN_MAX, sizeof(*rq->seen)); /* without memory all is looked at */
}

void redis_rows_forget(struct redis_quota *rq)
{
    if (rq->seen)
        memset(rq->seen, 0, SEEN_MAX * sizeof(*rq->seen));
}

struct redis_row redis_row_of(const struct redis_quota *rq, uint32_t bucket,
                              const struct limit *limit, int64_t asked_us)
{
    struct redis_row row = {.bucket = bucket, .letter = redis_row_letter(&limit->rule)};
    int64_t until_s = limit->window.end_s;

    if (limit_is_calendar(limit->rule.kind)) {
        row.ordinal = limit->window.ordinal;
        row.begun_s = limit->window.start_s;
    } else {
        int64_t segment_s = limit_segment_s(&limit->rule);

        row.ordinal = asked_us / 1000000 / segment_s;
        until_s = (row.ordinal + 2) * segment_s;
    }
    row.expiry_s = redis_row_expiry(until_s, bucket, rq->base.lease_us);
    return row;
}

void redis_rows_expect(const struct redis_quota *rq, uint32_t bucket, const struct limit *limit)
{
    const struct redis_row row = {
        .bucket = bucket,
        .letter = redis_row_letter(&limit->rule),
        .ordinal = limit->window.ordinal,
    };

    if (rq->seen && limit_is_calendar(limit->rule.kind))
        __builtin_prefetch(place_of(rq, &row));
}

void redis_rows_saw(struct redis_quota *rq, const struct redis_row *row, int64_t asked_us)
{
    if (!rq->seen)
        return;
    *place_of(rq, row) = (struct redis_seen){
        .bucket = row->bucket,
        .row = name_of(row),
        .asked_s = (uint32_t)(asked_us / 1000000),
        .expiry_s = (uint32_t)MIN(row->expiry_s, UINT32_MAX),
    };
}

bool redis_rows_are_seen(const struct redis_quota *rq, const struct redis_row *row, int64_t now_us)
{
    const struct redis_seen *seen = rq->seen ? place_of(rq, row) : NULL;

    return seen && seen->bucket == row->bucket && seen->row == name_of(row) &&
           seen->expiry_s >= row->expiry_s && seen->asked_s >= row->begun_s + STALE_S &&
           now_us / 1000000 - seen->asked_s < KNOWN_S;
}
