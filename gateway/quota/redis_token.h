/* SPDX-License-Identifier: Apache-2.0 */
/* redis_token.h - keys, tokens and scores, as redis_scripts.h lays them out.
 *
 * A token: 6 bytes of the owner's digest, 8 of the reservation's id, 2 of the images held; then what was charged.
 *
 *   c w m + 5 digits              images of a day, week, month
 *   C W M + 5 digits, u32         credits; thousandths an image
 *   r     + 5 digits, u48         ROLLING images; the slot
 *   R     + 5 digits, u48, u32    ROLLING credits; the slot, thousandths an image
 *   g     + 5 digits, u48         RATE; microseconds of TAT for all images
 *   t, u56                        when a RATE was charged, in microseconds
 *   i                             IN_FLIGHT, where the subject is not the owner
 *   @ + 6 bytes                   the subject of all that follow: not the owner's, or not the last one's
 *
 * Integers are big endian.  A daily quota alone takes 22 bytes; up to 64 a ledger stays a listpack. */
#pragma once

#include <endian.h>
#include <string.h>

#include "base/text.h"
#include "quota/row.h"

#define REDIS_KEY_MAX 24
#define FIELD_LEN                                                                                  \
    6 /* of a subject, in tokens; rows go by the first 5 of these bytes, as Redis's memory counts */
#define ROW_FIELD_LEN 5

struct redis_key {
    char buf[REDIS_KEY_MAX];
    size_t len;
};

#define HOLD_TOKEN_MAX 168

#define TOKEN_HEAD_LEN (FIELD_LEN + 8 + 2)

/* What must be known of a hold to end it. */
struct hold_handle {
    uint32_t bucket;
    uint32_t token_len;
    unsigned char token[HOLD_TOKEN_MAX];
};

/* Whose part it is: it heads the tokens, and chooses the bucket. */
const struct account_digest *redis_part_owner(const struct reservation *r, int part);
uint32_t redis_part_bucket(const struct reservation *r, int part);
/* One part of r, whose asked_us and buckets are set. */
void redis_token_put(const struct reservation *r, int part, struct hold_handle *out);
struct hold_handle redis_token_make(const struct reservation *r, int part);
/* Of a part, for what charges nothing: an inspection, a mark that an amend was done. */
struct hold_handle redis_token_mark(const struct reservation *r, int part);

struct redis_key redis_ledger_key(const struct hold_handle *handle);
struct redis_key redis_tombs_key(const struct hold_handle *handle);
/* The rows that ending the hold may touch, as many as are returned. */
#define TOKEN_ROWS_MAX (2 * LIMITS_MAX)
int redis_token_rows(const struct hold_handle *handle, struct redis_key out[TOKEN_ROWS_MAX]);
int64_t redis_token_images(const struct hold_handle *handle);
uint64_t redis_token_id(const struct hold_handle *handle);

/* How all keys of a bucket begin, and how those of its rows go on: a letter and a number. */
struct redis_key redis_key_head(uint32_t bucket);
/* A key of that bucket as an argument (redis/wire.h); the place behind it. */
char *redis_put_key(char *out, const struct redis_key *head, const void *suffix, size_t len);
#define SUFFIX_DIGITS 5
#define SUFFIX_LEN    (1 + SUFFIX_DIGITS)
void redis_put_suffix(unsigned char out[SUFFIX_LEN], char letter, int64_t ordinal);
struct redis_key redis_key_of(uint32_t bucket, const unsigned char suffix[SUFFIX_LEN]);
struct redis_key redis_row_key(uint32_t bucket, char letter, int64_t ordinal);
/* The same with an "s" before them: a row of the whole service. */
struct redis_key redis_service_key(uint32_t bucket, char letter, int64_t ordinal);
/* The letter of the rows of a rule. */
char redis_row_letter(const struct limit_rule *rule);
static inline const unsigned char *redis_field(const struct account_digest *digest)
{
    return digest->bytes + 4; /* the bytes before choose the bucket */
}

static inline struct text redis_key_text(const struct redis_key *key)
{
    return (struct text){key->buf, key->len};
}

static inline struct text redis_token_text(const struct hold_handle *handle)
{
    return (struct text){(const char *)handle->token, handle->token_len};
}

/* The last len bytes of it, big endian; at least one. */
static inline void redis_put(unsigned char *out, int len, uint64_t value)
{
    uint64_t bytes = htobe64(value << (64 - 8 * len));

    memcpy(out, &bytes, (size_t)len);
}

static inline uint64_t redis_get(const unsigned char *in, int len)
{
    uint64_t bytes = 0;

    memcpy(&bytes, in, (size_t)len);
    return be64toh(bytes) >> (64 - 8 * len);
}

/* Rounded up, so that a lease is never shorter than promised. */
int64_t redis_score(int64_t expires_us, bool is_committed);
/* What has a score up to this is expired.  Two seconds late, so that a gateway whose clock is a little ahead ends nobody's
 * lease early. */
int64_t redis_horizon(int64_t now_us);
/* When a row may vanish (Unix seconds) that is of use until then: no hold in it can live that long.  Spread over an hour
 * by bucket. */
int64_t redis_row_expiry(int64_t until_s, uint32_t bucket, int64_t lease_us);
