/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile.c - keys that a file knows by their SHA-256.      Runs on: worker.
 * The search compares digests, so its time says nothing about a key; the match is confirmed in constant time. */
#include "identity/source.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

static int compare(const void *sha256, const void *entry)
{
    return memcmp(sha256, ((const struct key_entry *)entry)->sha256, 32);
}

void identity_account_of_key(const struct key_entry *key, struct account *out)
{
    identity_account(out, text_of(key->account), key->tier);
    out->team = key->team;
    out->zone = key->zone;
}

enum identity_answer identity_by_keyfile(const struct identity_case *c, struct identity_found *out,
                                         enum identity_fault *fault)
{
    unsigned char sha256[32];

    UNUSED(fault);
    if (c->credential.state != CREDENTIAL_TOKEN || c->source->keys_len == 0)
        return IDENTITY_PASSES;
    identity_sha256(c->credential.token, sha256);
    const struct key_entry *key = bsearch(sha256, c->source->keys, (size_t)c->source->keys_len,
                                          sizeof(*c->source->keys), compare);
    if (!key || CRYPTO_memcmp(key->sha256, sha256, sizeof(sha256)) != 0)
        return IDENTITY_PASSES;
    identity_account_of_key(key, &out->account);
    out->hides_key = true;
    return IDENTITY_DECIDES;
}
