/* SPDX-License-Identifier: Apache-2.0 */
/* bearer.c - each distinct token is an account of its own; whether it is good is checked elsewhere.      Runs on: worker.
 * The id for people shows 16 hex digits of the token's SHA-256, enough to find it and too few to be it.  The digest that
 * stores key by covers all of them, under the prefix: no token can be chosen to meet another account's. */
#include "identity/source.h"

#define PREFIX     "bearer:"
#define SHOWN      16 /* hex digits */
#define HEX_DIGITS 64

enum identity_answer identity_by_bearer(const struct identity_case *c, struct identity_found *out,
                                        enum identity_fault *fault)
{
    unsigned char sha256[32];
    char buf[sizeof(PREFIX) + HEX_DIGITS];
    struct text_out name;

    UNUSED(fault);
    if (c->credential.state != CREDENTIAL_TOKEN)
        return IDENTITY_PASSES;
    identity_sha256(c->credential.token, sha256);
    text_out_init(&name, buf, sizeof(buf));
    text_out_add(&name, TEXT(PREFIX));
    text_out_hex(&name, sha256, sizeof(sha256));
    struct text whole = text_out_text(&name);
    struct text shown = {whole.ptr, sizeof(PREFIX) - 1 + SHOWN};
    identity_account_shown_as(&out->account, shown, whole, c->source->tier);
    return IDENTITY_DECIDES;
}
