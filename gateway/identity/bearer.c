/* SPDX-License-Identifier: Apache-2.0 */
/* bearer.c - each distinct token is an account of its own; whether it is good is checked elsewhere.      Runs on: worker.
 * The id for people shows 16 hex digits of the token's SHA-256, enough to find it and too few to be it.  The digest that
 * stores key by is the other half of that hash: ids are cut to its first half, so a token that reads like another
 * account's id does not meet that account, and one hash a request is enough. */
#include "identity/source.h"

#include <string.h>

#define PREFIX      "bearer:"
#define SHOWN_BYTES 8 /* of the hash */

struct account_digest identity_bearer_digest(const unsigned char sha256[32])
{
    struct account_digest digest;

    memcpy(digest.bytes, sha256 + sizeof(digest.bytes), sizeof(digest.bytes));
    return digest;
}

enum identity_answer identity_by_bearer(const struct identity_case *c, struct identity_found *out,
                                        enum identity_fault *fault)
{
    unsigned char sha256[32];
    struct text_out id;

    UNUSED(fault);
    if (c->credential.state != CREDENTIAL_TOKEN)
        return IDENTITY_PASSES;
    identity_sha256(c->credential.token, sha256);
    out->account.digest = identity_bearer_digest(sha256);
    out->account.tier = c->source->tier;
    out->account.team = -1;
    out->account.zone = NULL;
    text_out_init(&id, out->account.id, sizeof(out->account.id));
    text_out_add(&id, TEXT(PREFIX));
    text_out_hex(&id, sha256, SHOWN_BYTES);
    out->hides_key = false;
    return IDENTITY_DECIDES;
}
