/* SPDX-License-Identifier: Apache-2.0 */
/* redis_rows.c - what need not be looked at again, where an account is the next to be first charged in a window.
 *      Runs on: worker.
 * A row that is new to its hash makes a script look at two things beside it: whether the hash stays for long enough, and
 * whether the bucket keeps grants until a date.  Both are the same for all accounts of the bucket.
 *
 * A hash, once it stays for long enough, does so until it is gone: hardly anything takes its last row out but FLUSHALL, or
 * a Redis that has lost what it knew.  Should it be made anew by one who does not look, the first who looks again, KNOWN_US
 * later, sees to it.
 *
 * A bucket may be given such a grant at any time.  But an amend also writes the row of the window that it is given in: so
 * the grant is missed by none who has looked since that window began.  One that was STALE_US on its way, from before the
 * window's begin, could be. */

#include <stdlib.h>

#include "quota/redis.h"

#define SEEN_MAX (1 << 14)
#define STALE_US INT64_C(120000000)
#define KNOWN_US INT64_C(600000000)

/* A hash, as a script has found it when it was asked. */
struct redis_seen {
    uint32_t bucket, ordinal;
    unsigned times; /* rq->seen_times then; 0: none */
    char letter;
    int64_t asked_us;
    int64_t expiry_s;
};

static struct redis_seen *place_of(const struct redis_quota *rq, uint32_t bucket,
                                   const struct limit *limit)
{
    uint32_t place =
        bucket + limit->window.ordinal * 7919 + (uint32_t)redis_row_letter(&limit->rule) * 104729;

    return &rq->seen[place % SEEN_MAX];
}

void redis_rows_init(struct redis_quota *rq)
{
    rq->seen = calloc(SEEN_MAX, sizeof(*rq->seen)); /* without memory all is looked at */
    rq->seen_times = 1;
}

void redis_rows_forget(struct redis_quota *rq)
{
    rq->seen_times++;
}

void redis_rows_saw(struct redis_quota *rq, uint32_t bucket, const struct limit *limit,
                    int64_t asked_us)
{
    if (!rq->seen)
        return;
    *place_of(rq, bucket, limit) = (struct redis_seen){
        .bucket = bucket,
        .ordinal = limit->window.ordinal,
        .times = rq->seen_times,
        .letter = redis_row_letter(&limit->rule),
        .asked_us = asked_us,
        .expiry_s = redis_row_expiry(limit->window.end_s, bucket, rq->base.lease_us),
    };
}

bool redis_rows_are_seen(const struct redis_quota *rq, uint32_t bucket, const struct limit *limit,
                         int64_t expiry_s)
{
    const struct redis_seen *seen = rq->seen ? place_of(rq, bucket, limit) : NULL;
    bool is_same = seen && seen->times == rq->seen_times && seen->bucket == bucket &&
                   seen->ordinal == limit->window.ordinal &&
                   seen->letter == redis_row_letter(&limit->rule);

    return is_same && seen->expiry_s >= expiry_s &&
           seen->asked_us >= limit->window.start_s * 1000000 + STALE_US &&
           quota_now_us(&rq->base) - seen->asked_us < KNOWN_US;
}
