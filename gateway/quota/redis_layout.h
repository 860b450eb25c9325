/* SPDX-License-Identifier: Apache-2.0 */
/* redis_layout.h - over how many buckets the accounts are spread: one number for all gateways on one Redis, since an
 * account that is counted in two buckets has two quotas.
 *
 * It follows quota.accounts: the power of two nearest to a bucket for every 128 accounts that are active in a day.  A
 * bucket of more costs more time for each account in it; past 512 its hashes cost six times the memory.
 *
 * The first gateway writes the number to mg:{0}:meta, all others compare it with theirs, each second.  One that differs
 * refuses counted requests.  To change it (README.md), an operator writes there, in text, either the new number alone, while
 * no gateway runs; or the present one, the new one, and from when on the new one holds (Unix seconds).  Both kinds of
 * gateways go on then, and count in the new buckets from the same instant on.  What is held ends in its old bucket, as its
 * handle says; windows that have begun in old buckets begin again in new ones. */
#pragma once

#include "base/text.h"

#define BUCKETS_MIN 1024
#define BUCKETS_MAX (1 << 23)

struct redis_layout {
    uint32_t buckets;
    uint32_t next_buckets; /* 0: no change is planned */
    int64_t from_s;        /* then: when next_buckets holds */
};

struct redis_layout redis_layout_for(int64_t accounts);
/* ST_OK or ST_INVALID. */
MUST_CHECK enum status redis_layout_parse(struct text text, struct redis_layout *out);
/* A gateway that is configured for so many buckets may count by that layout. */
bool redis_layout_names(const struct redis_layout *layout, uint32_t buckets);
bool redis_layout_equal(const struct redis_layout *one, const struct redis_layout *other);
/* How many there are at that time. */
uint32_t redis_layout_buckets(const struct redis_layout *layout, int64_t now_us);
