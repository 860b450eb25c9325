/* SPDX-License-Identifier: Apache-2.0 */
/* redis_layout.c - see redis_layout.h. */

#include "quota/redis_layout.h"

#define BUCKET_ACCOUNTS 128

/* Of two powers the one that is nearer by ratio: that is up to the square root of 2. */
struct redis_layout redis_layout_for(int64_t accounts)
{
    int64_t buckets = BUCKETS_MIN;

    while (buckets < BUCKETS_MAX &&
           accounts * accounts > 2 * (buckets * BUCKET_ACCOUNTS) * (buckets * BUCKET_ACCOUNTS))
        buckets *= 2;
    return (struct redis_layout){.buckets = (uint32_t)buckets};
}

static bool take_number(struct text *rest, uint64_t most, uint64_t *out)
{
    struct text word;

    return text_next(rest, ' ', &word) && text_to_u64(word, out) == ST_OK && *out > 0 &&
           *out <= most;
}

static bool is_count(uint64_t buckets)
{
    return buckets >= BUCKETS_MIN && (buckets & (buckets - 1)) == 0;
}

enum status redis_layout_parse(struct text text, struct redis_layout *out)
{
    uint64_t buckets, next = 0, from_s = 0;

    if (!take_number(&text, BUCKETS_MAX, &buckets) || !is_count(buckets))
        return ST_INVALID;
    if (text.len > 0 && (!take_number(&text, BUCKETS_MAX, &next) || !is_count(next) ||
                         !take_number(&text, INT64_MAX / 1000000, &from_s) || text.len > 0))
        return ST_INVALID;
    *out = (struct redis_layout){(uint32_t)buckets, (uint32_t)next, (int64_t)from_s};
    return ST_OK;
}

bool redis_layout_names(const struct redis_layout *layout, uint32_t buckets)
{
    return buckets == layout->buckets || buckets == layout->next_buckets;
}

bool redis_layout_equal(const struct redis_layout *one, const struct redis_layout *other)
{
    return one->buckets == other->buckets && one->next_buckets == other->next_buckets &&
           one->from_s == other->from_s;
}

uint32_t redis_layout_buckets(const struct redis_layout *layout, int64_t now_us)
{
    bool has_changed = layout->next_buckets > 0 && now_us >= layout->from_s * 1000000;

    return has_changed ? layout->next_buckets : layout->buckets;
}
