/* SPDX-License-Identifier: Apache-2.0 */
/* key_record.h - what a keystore keeps of a key, and where.  Pure.
 *
 *   mg:{B}:k   hash.  field: the key's SHA-256, whole (32 bytes); value: "1 ACCOUNT TIER TEAM ZONE CREATED LABEL"
 *   mg:{B}:a   hash.  field: 8 bytes of the account's digest, then the key's SHA-256; value: empty.  The keys of an account
 *   mg:{0}:keys   counts what was revoked or changed, so that all who remember keys know when to forget them
 *
 * B is the first two bytes of the key's SHA-256, or of the account's digest: some 128 keys a hash for eight million, kept as
 * a packed list.  "1" is the version; a team or zone that there is none of is "-"; the label may be missing or have
 * blanks.  The entry of an account is written before the key's own and taken out after it, so a key that works is always
 * listed; what a crash leaves behind is an entry without a key, which the next revocation of that account takes out. */
#pragma once

#include "core/account.h"

#define KEY_SHA256_LEN  32
#define KEY_LABEL_MAX   64
#define KEY_NAME_MAX    64
#define KEY_CREATED_LEN 10
#define KEY_BUCKETS     65536
#define KEY_VALUE_MAX   512
/* The keystore's name of a key for people: the first digits of its SHA-256. */
#define KEY_ID_DIGITS 16

#define KEY_COUNTER        TEXT("mg:{0}:keys")
#define KEY_COUNTER_BUCKET 0

struct key_record {
    char account[ACCOUNT_ID_MAX + 1];
    char tier[KEY_NAME_MAX + 1];
    char team[KEY_NAME_MAX + 1];       /* "": none */
    char zone[KEY_NAME_MAX + 1];       /* "": the policy's */
    char created[KEY_CREATED_LEN + 1]; /* "2026-11-22" */
    char label[KEY_LABEL_MAX + 1];     /* "": none */
};

/* Each text must be as the configuration, or the API, takes it. */
void key_record_print(const struct key_record *record, struct text_out *out);
/* ST_OK; ST_INVALID: of another version, or damaged. */
MUST_CHECK enum status key_record_read(struct text value, struct key_record *out);
/* Copies t as a C string of at most max bytes; false: it is longer. */
bool key_record_keep(char *into, size_t max, struct text t);

uint32_t key_bucket(const unsigned char sha256[KEY_SHA256_LEN]);
uint32_t key_account_bucket(const struct account_digest *digest);

#define KEY_PLACE_MAX 24
/* Writes "mg:{B}:" and the letter, k or a; the text is in buf. */
struct text key_place(uint32_t bucket, char letter, char buf[KEY_PLACE_MAX]);

#define KEY_INDEX_PREFIX 8
#define KEY_INDEX_LEN    (KEY_INDEX_PREFIX + KEY_SHA256_LEN)
void key_index_field(const struct account_digest *digest,
                     const unsigned char sha256[KEY_SHA256_LEN], unsigned char out[KEY_INDEX_LEN]);
