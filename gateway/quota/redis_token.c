/* SPDX-License-Identifier: Apache-2.0 */
/* redis_token.c - bytes of keys and tokens. */

#include "quota/redis_token.h"

#include "redis/wire.h"

#define BUCKET_LEN 4
#define ID_LEN     8
#define IMAGES_LEN 2
#define PRICE_LEN  4
#define SLOT_LEN   6
#define COST_LEN   6
#define TIME_LEN   7

#define EPOCH_S       INT64_C(1577836800) /* 2020-01-01: scores fit 32 bits until 2054 */
#define COMMITTED     (INT64_C(1) << 30)
#define HORIZON_LAG_S 2
#define ROW_SPARE_S   INT64_C(3600)

/* The longest entry is of ROLLING credits. */
#define ENTRY_MAX (1 + FIELD_LEN + SUFFIX_LEN + SLOT_LEN + PRICE_LEN)
_Static_assert(TOKEN_HEAD_LEN + 1 + TIME_LEN + LIMITS_MAX * ENTRY_MAX <= HOLD_TOKEN_MAX,
               "every token fits");

void redis_put_suffix(unsigned char out[SUFFIX_LEN], char letter, int64_t ordinal)
{
    uint32_t rest = (uint32_t)ordinal;

    ASSERT(ordinal >= 0 && ordinal <= UINT32_MAX);
    out[0] = (unsigned char)letter;
    for (int i = SUFFIX_DIGITS; i > 0; i--, rest /= 36)
        out[i] = (unsigned char)"0123456789abcdefghijklmnopqrstuvwxyz"[rest % 36];
    ASSERT(rest == 0);
}

static int64_t get_ordinal(const unsigned char *suffix)
{
    int64_t ordinal = 0;

    for (int i = 1; i < SUFFIX_LEN; i++)
        ordinal = ordinal * 36 + (suffix[i] <= '9' ? suffix[i] - '0' : suffix[i] - 'a' + 10);
    return ordinal;
}

/* --- writing --- */

struct writer {
    struct hold_handle *out;
    bool has_time;
    const unsigned char *field; /* of the entries that follow */
};

/* Room for so many bytes. */
static unsigned char *room(struct writer *w, uint32_t len)
{
    unsigned char *bytes = w->out->token + w->out->token_len;

    w->out->token_len += len;
    return bytes;
}

static void add_number(struct writer *w, int len, int64_t value)
{
    ASSERT(value >= 0 && (uint64_t)value >> (8 * len) == 0);
    redis_put(room(w, (uint32_t)len), len, (uint64_t)value);
}

static void add_suffix(struct writer *w, char letter, int64_t ordinal)
{
    redis_put_suffix(room(w, SUFFIX_LEN), letter, ordinal);
}

static void add_subject(struct writer *w, const struct account_digest *subject)
{
    const unsigned char *field = redis_field(subject);

    if (memcmp(field, w->field, FIELD_LEN) == 0)
        return;
    *room(w, 1) = '@';
    memcpy(room(w, FIELD_LEN), field, FIELD_LEN);
    w->field = field;
}

static int64_t price_of(const struct limit *limit)
{
    return limit->image_units / row_shape(limit->rule.measure).grain_units;
}

static void add_rolling(struct writer *w, const struct limit *limit, const struct charge *charge)
{
    add_suffix(w, redis_row_letter(&limit->rule), charge->until_s / charge->segment_s - 2);
    add_number(w, SLOT_LEN, charge->slot);
    if (limit->rule.measure == MEASURE_CREDITS)
        add_number(w, PRICE_LEN, price_of(limit));
}

static void add_rate(struct writer *w, const struct limit *limit, const struct charge *charge)
{
    if (!w->has_time) {
        *room(w, 1) = 't';
        add_number(w, TIME_LEN, charge->at_us);
        w->has_time = true;
    }
    add_suffix(w, redis_row_letter(&limit->rule), charge->until_s / charge->segment_s - 2);
    add_number(w, COST_LEN, MIN(charge->amount, (INT64_C(1) << 47) - 1));
}

static void add_entry(struct writer *w, const struct limit *limit, int64_t images, int64_t asked_us)
{
    struct charge charge;
    bool is_owners = memcmp(w->out->token, redis_field(&limit->subject), FIELD_LEN) == 0;

    if (limit->rule.kind == LIMIT_IN_FLIGHT && is_owners)
        return;
    add_subject(w, &limit->subject);
    switch (limit->rule.kind) {
    case LIMIT_NONE:
        return;
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
        add_suffix(w, redis_row_letter(&limit->rule), limit->window.ordinal);
        if (limit->rule.measure == MEASURE_CREDITS)
            add_number(w, PRICE_LEN, price_of(limit));
        return;
    case LIMIT_ROLLING:
        charge = charge_of(limit, images, asked_us);
        add_rolling(w, limit, &charge);
        return;
    case LIMIT_RATE:
        charge = charge_of(limit, images, asked_us);
        add_rate(w, limit, &charge);
        return;
    case LIMIT_IN_FLIGHT:
        *room(w, 1) = 'i';
        return;
    }
}

/* Whose part it is: the account, or, of the team that is known by its limits alone, the first one's subject. */
const struct account_digest *redis_part_owner(const struct reservation *r, int part)
{
    const struct limit *first = &r->limits[r->parts[part].first].limit;

    return first->rule.scope == SCOPE_TEAM ? &first->subject : &r->account;
}

static uint32_t bucket_of(const struct account_digest *owner, uint32_t buckets)
{
    return (uint32_t)redis_get(owner->bytes, BUCKET_LEN) % buckets;
}

uint32_t redis_part_bucket(const struct reservation *r, int part)
{
    return bucket_of(redis_part_owner(r, part), r->buckets);
}

static void put_head(const struct reservation *r, int part, int64_t images, struct hold_handle *out)
{
    const struct account_digest *owner = redis_part_owner(r, part);

    ASSERT(images >= 0 && images <= UINT16_MAX);
    out->bucket = bucket_of(owner, r->buckets);
    out->token_len = TOKEN_HEAD_LEN;
    memcpy(out->token, redis_field(owner), FIELD_LEN);
    redis_put(out->token + FIELD_LEN, ID_LEN, r->id);
    redis_put(out->token + FIELD_LEN + ID_LEN, IMAGES_LEN, (uint64_t)images);
}

void redis_token_put(const struct reservation *r, int part, struct hold_handle *out)
{
    const struct reservation_part *p = &r->parts[part];
    struct writer w = {.out = out, .field = out->token};

    put_head(r, part, r->held_images, out);
    for (int i = p->first; i < p->first + p->len; i++)
        add_entry(&w, &r->limits[i].limit, r->held_images, r->asked_us);
}

struct hold_handle redis_token_make(const struct reservation *r, int part)
{
    struct hold_handle handle = {.bucket = 0};

    redis_token_put(r, part, &handle);
    return handle;
}

struct hold_handle redis_token_mark(const struct reservation *r, int part)
{
    struct hold_handle handle = {.bucket = 0};

    put_head(r, part, 0, &handle);
    return handle;
}

/* --- reading --- */

/* Bytes of the entry that begins with this letter; the same walk is in the scripts. */
static uint32_t entry_len(unsigned char letter)
{
    switch (letter) {
    case '@':
        return 1 + FIELD_LEN;
    case 't':
        return 1 + TIME_LEN;
    case 'i':
        return 1;
    case 'g': /* NOLINT(bugprone-branch-clone): two widths that happen to be the same */
        return SUFFIX_LEN + COST_LEN;
    case 'r':
        return SUFFIX_LEN + SLOT_LEN;
    case 'R':
        return SUFFIX_LEN + SLOT_LEN + PRICE_LEN;
    default:
        return letter > 96 ? SUFFIX_LEN : SUFFIX_LEN + PRICE_LEN;
    }
}

struct redis_key redis_key_head(uint32_t bucket)
{
    struct redis_key key;
    char *end = wire_number(wire_bytes(key.buf, "mg:{", 4), bucket);

    end = wire_bytes(end, "}:", 2);
    key.len = (size_t)(end - key.buf);
    return key;
}

char *redis_put_key(char *out, const struct redis_key *head, const void *suffix, size_t len)
{
    out = wire_count(out, '$', head->len + len);
    out = wire_bytes(out, head->buf, head->len);
    return wire_end_line(wire_bytes(out, suffix, len));
}

static struct redis_key key_of(uint32_t bucket, struct text suffix)
{
    struct redis_key key = redis_key_head(bucket);

    ASSERT(key.len + suffix.len < sizeof(key.buf));
    memcpy(key.buf + key.len, suffix.ptr, suffix.len);
    key.len += suffix.len;
    key.buf[key.len] = '\0';
    return key;
}

struct redis_key redis_ledger_key(const struct hold_handle *handle)
{
    return key_of(handle->bucket, TEXT("h"));
}

struct redis_key redis_tombs_key(const struct hold_handle *handle)
{
    return key_of(handle->bucket, TEXT("t"));
}

struct redis_key redis_key_of(uint32_t bucket, const unsigned char suffix[SUFFIX_LEN])
{
    return key_of(bucket, (struct text){(const char *)suffix, SUFFIX_LEN});
}

struct redis_key redis_row_key(uint32_t bucket, char letter, int64_t ordinal)
{
    unsigned char suffix[SUFFIX_LEN];

    redis_put_suffix(suffix, letter, ordinal);
    return redis_key_of(bucket, suffix);
}

struct redis_key redis_service_key(uint32_t bucket, char letter, int64_t ordinal)
{
    unsigned char suffix[1 + SUFFIX_LEN] = {'s'};

    redis_put_suffix(suffix + 1, letter, ordinal);
    return key_of(bucket, (struct text){(const char *)suffix, sizeof(suffix)});
}

/* A row of segments may have moved on to the next. */
static int add_rows(const struct hold_handle *handle, const unsigned char *entry,
                    struct redis_key *out)
{
    char letter = (char)entry[0];
    int64_t ordinal;

    if (letter == '@' || letter == 't' || letter == 'i')
        return 0;
    ordinal = get_ordinal(entry);
    out[0] = redis_row_key(handle->bucket, letter, ordinal);
    if (letter != 'g' && letter != 'r' && letter != 'R')
        return 1;
    out[1] = redis_row_key(handle->bucket, letter, ordinal + 1);
    return 2;
}

int redis_token_rows(const struct hold_handle *handle, struct redis_key out[TOKEN_ROWS_MAX])
{
    uint32_t at = TOKEN_HEAD_LEN;
    int len = 0;

    while (at < handle->token_len && len + 2 <= TOKEN_ROWS_MAX) {
        len += add_rows(handle, handle->token + at, out + len);
        at += entry_len(handle->token[at]);
    }
    return len;
}

int64_t redis_token_images(const struct hold_handle *handle)
{
    return (int64_t)redis_get(handle->token + FIELD_LEN + ID_LEN, IMAGES_LEN);
}

uint64_t redis_token_id(const struct hold_handle *handle)
{
    return redis_get(handle->token + FIELD_LEN, ID_LEN);
}

char redis_row_letter(const struct limit_rule *rule)
{
    bool is_credits = rule->measure == MEASURE_CREDITS;

    switch (rule->kind) {
    case LIMIT_DAY:
        return is_credits ? 'C' : 'c';
    case LIMIT_WEEK:
        return is_credits ? 'W' : 'w';
    case LIMIT_MONTH:
        return is_credits ? 'M' : 'm';
    case LIMIT_ROLLING:
        return is_credits ? 'R' : 'r';
    case LIMIT_RATE:
        return 'g';
    case LIMIT_IN_FLIGHT:
    case LIMIT_NONE:
        break;
    }
    return 'i';
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

int64_t redis_row_expiry(int64_t until_s, uint32_t bucket, int64_t lease_us)
{
    return until_s + lease_us / 1000000 + ROW_SPARE_S + (int64_t)(bucket % 3600);
}
