/* SPDX-License-Identifier: Apache-2.0 */
/* key_record.c - what a keystore keeps of a key.      Runs on: any thread.  Pure. */
#include "identity/key_record.h"

#include <string.h>

#define VERSION TEXT("1")
#define NOTHING TEXT("-")

static void add(struct text_out *out, const char *value)
{
    text_out_char(out, ' ');
    text_out_add(out, *value ? text_of(value) : NOTHING);
}

void key_record_print(const struct key_record *record, struct text_out *out)
{
    text_out_add(out, VERSION);
    add(out, record->account);
    add(out, record->tier);
    add(out, record->team);
    add(out, record->zone);
    add(out, record->created);
    if (!*record->label)
        return;
    text_out_char(out, ' ');
    text_out_add(out, text_of(record->label));
}

bool key_record_keep(char *into, size_t max, struct text t)
{
    if (t.len > max)
        return false;
    if (t.len)
        memcpy(into, t.ptr, t.len);
    into[t.len] = '\0';
    return true;
}

/* False: it is not there, or too long. */
static bool take(struct text *rest, char *into, size_t max)
{
    struct text part;

    return text_next(rest, ' ', &part) && part.len > 0 && key_record_keep(into, max, part);
}

static bool take_if_any(struct text *rest, char *into, size_t max)
{
    if (!take(rest, into, max))
        return false;
    if (text_equal(text_of(into), NOTHING))
        into[0] = '\0';
    return true;
}

enum status key_record_read(struct text value, struct key_record *out)
{
    struct text rest = value;
    struct text version;
    struct key_record read;

    if (!text_next(&rest, ' ', &version) || !text_equal(version, VERSION))
        return ST_INVALID;
    bool is_whole = take(&rest, read.account, ACCOUNT_ID_MAX) &&
                    take(&rest, read.tier, KEY_NAME_MAX) &&
                    take_if_any(&rest, read.team, KEY_NAME_MAX) &&
                    take_if_any(&rest, read.zone, KEY_NAME_MAX) &&
                    take_if_any(&rest, read.created, KEY_CREATED_LEN) &&
                    key_record_keep(read.label, KEY_LABEL_MAX, rest);
    if (!is_whole)
        return ST_INVALID;
    *out = read;
    return ST_OK;
}

static uint32_t bucket_of(const unsigned char *digest)
{
    return (uint32_t)digest[0] << 8 | digest[1];
}

uint32_t key_bucket(const unsigned char sha256[KEY_SHA256_LEN])
{
    return bucket_of(sha256);
}

uint32_t key_account_bucket(const struct account_digest *digest)
{
    return bucket_of(digest->bytes);
}

struct text key_place(uint32_t bucket, char letter, char buf[KEY_PLACE_MAX])
{
    struct text_out out;

    text_out_init(&out, buf, KEY_PLACE_MAX);
    text_out_add(&out, TEXT("mg:{"));
    text_out_int(&out, bucket);
    text_out_add(&out, TEXT("}:"));
    text_out_char(&out, letter);
    return text_out_text(&out);
}

void key_index_field(const struct account_digest *digest,
                     const unsigned char sha256[KEY_SHA256_LEN], unsigned char out[KEY_INDEX_LEN])
{
    memcpy(out, digest->bytes, KEY_INDEX_PREFIX);
    memcpy(out + KEY_INDEX_PREFIX, sha256, KEY_SHA256_LEN);
}
