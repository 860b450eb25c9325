/* SPDX-License-Identifier: Apache-2.0 */
/* redis_token.c - bytes of keys and tokens. */

#include "quota/redis_token.h"

#include <string.h>

#include "quota/row.h"

#define FIELD_LEN     6
#define FIELD_AT      4 /* in the digest; the bytes before choose the bucket */
#define ID_LEN        8
#define HEAD_LEN      (FIELD_LEN + ID_LEN + 2)
#define SUFFIX_LEN    6
#define SUFFIX_DIGITS (SUFFIX_LEN - 1)

#define EPOCH_S       INT64_C(1577836800) /* 2020-01-01: scores fit 32 bits until 2054 */
#define COMMITTED     (INT64_C(1) << 30)
#define HORIZON_LAG_S 2
#define ROW_SPARE_S   INT64_C(3600)

_Static_assert(HEAD_LEN + LIMITS_MAX * SUFFIX_LEN <= RESERVATION_TOKEN_MAX, "a token has room");

static void put_be(unsigned char *out, int len, uint64_t value)
{
    for (int i = len - 1; i >= 0; i--, value >>= 8)
        out[i] = (unsigned char)value;
}

static uint64_t get_be(const unsigned char *in, int len)
{
    uint64_t value = 0;

    for (int i = 0; i < len; i++)
        value = value << 8 | in[i];
    return value;
}

/* The kind's letter and the window's ordinal in base 36. */
static void put_suffix(unsigned char *out, const struct limit *limit)
{
    uint32_t ordinal = limit->window.ordinal;

    ASSERT(limit->kind == LIMIT_DAY);
    out[0] = 'c';
    for (int i = SUFFIX_DIGITS; i > 0; i--, ordinal /= 36)
        out[i] = (unsigned char)"0123456789abcdefghijklmnopqrstuvwxyz"[ordinal % 36];
    ASSERT(ordinal == 0);
}

void redis_token_make(struct reservation *r)
{
    int64_t grains = grains_of(r->held_units);

    ASSERT(grains > 0 && grains <= UINT16_MAX);
    r->bucket = (uint32_t)get_be(r->account.bytes, FIELD_AT) % BUCKETS;
    memcpy(r->token, r->account.bytes + FIELD_AT, FIELD_LEN);
    put_be(r->token + FIELD_LEN, ID_LEN, r->id);
    put_be(r->token + FIELD_LEN + ID_LEN, 2, (uint64_t)grains);
    for (int i = 0; i < r->limits_len; i++)
        put_suffix(r->token + HEAD_LEN + i * SUFFIX_LEN, &r->limits[i].limit);
    r->token_len = HEAD_LEN + r->limits_len * SUFFIX_LEN;
}

static struct redis_key key_of(uint32_t bucket, struct text suffix)
{
    struct redis_key key;
    struct text_out text;

    text_out_init(&text, key.buf, sizeof(key.buf));
    text_out_add(&text, TEXT("mg:{"));
    text_out_int(&text, bucket);
    text_out_add(&text, TEXT("}:"));
    text_out_add(&text, suffix);
    ASSERT(!text.is_full);
    key.len = text.len;
    return key;
}

struct redis_key redis_ledger_key(const struct hold_handle *handle)
{
    return key_of(handle->bucket, TEXT("h"));
}

int redis_token_windows(const struct hold_handle *handle)
{
    return (int)(handle->token_len - HEAD_LEN) / SUFFIX_LEN;
}

struct redis_key redis_row_key(const struct hold_handle *handle, int window)
{
    const unsigned char *suffix = handle->token + HEAD_LEN + window * SUFFIX_LEN;

    return key_of(handle->bucket, (struct text){(const char *)suffix, SUFFIX_LEN});
}

int64_t redis_token_grains(const struct hold_handle *handle)
{
    return (int64_t)get_be(handle->token + FIELD_LEN + ID_LEN, 2);
}

uint64_t redis_token_id(const struct hold_handle *handle)
{
    return get_be(handle->token + FIELD_LEN, ID_LEN);
}

int64_t redis_score(int64_t expires_us, bool is_committed)
{
    int64_t score = (expires_us + 999999) / 1000000 - EPOCH_S;

    return is_committed ? COMMITTED + score : score;
}

int64_t redis_horizon(int64_t now_us)
{
    return now_us / 1000000 - EPOCH_S - HORIZON_LAG_S;
}

int64_t redis_row_expiry(const struct reservation *r, int64_t lease_us)
{
    int64_t end_s = 0;

    for (int i = 0; i < r->limits_len; i++)
        end_s = MAX(end_s, r->limits[i].limit.window.end_s);
    return end_s + lease_us / 1000000 + ROW_SPARE_S + (int64_t)(r->bucket % 3600);
}
