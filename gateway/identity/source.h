/* SPDX-License-Identifier: Apache-2.0 */
/* source.h - the sources of identity: one file and one row in identity.c each. */
#pragma once

#include "identity/credential.h"
#include "identity/identity.h"

/* One request being identified. */
struct identity_case {
    const struct identity_ask *ask;
    const struct identity_source *source; /* the one being tried */
    struct credential credential;
    struct op *op; /* what to wait with */
};

enum identity_answer {
    IDENTITY_ANSWER_NONE,
    IDENTITY_PASSES,  /* the source does not apply: the next one is tried */
    IDENTITY_DECIDES, /* *out is the account */
    IDENTITY_REFUSES, /* *fault says why; no other source is tried */
    IDENTITY_WAITS,   /* for c->op; then the source is tried again */
};

/* *out is written where the source decides, all of it but the kind. */
typedef enum identity_answer identity_source_fn(const struct identity_case *c,
                                                struct identity_found *out,
                                                enum identity_fault *fault);

identity_source_fn identity_by_keyfile;
identity_source_fn identity_by_keystore;
identity_source_fn identity_by_header;
identity_source_fn identity_by_bearer;
identity_source_fn identity_by_address;

/* An account of that id and tier, in no team, in the policy's zone.  The id is at most ACCOUNT_ID_MAX bytes. */
void identity_account(struct account *out, struct text id, int tier);
/* The account that a keyfile gives to a key. */
void identity_account_of_key(const struct key_entry *key, struct account *out);
/* SHA-256. */
void identity_sha256(struct text bytes, unsigned char out[32]);
