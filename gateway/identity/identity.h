/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h - which account asks.  Sources are tried in the order of the configuration; the first that applies decides.
 *   keyfile  the request carries a key (Authorization: Bearer, or x-api-key) that the file knows
 *   header   a trusted peer names the account
 *   bearer   the request carries a token: each distinct one is an account of its own, "bearer:" and 16 hex digits of its
 *            SHA-256 for people; its digest is identity_bearer_digest()
 *   address  the request carries no key: its network address is the account
 * Keys are compared by digest and appear nowhere. */
#pragma once

#include "base/op.h"
#include "config/config.h"
#include "core/account.h"
#include "http/head.h"

struct identity_ask {
    const struct config *config;
    const struct http_head *head;
    const struct address *peer; /* of the connection: for trust */
    const struct address
        *client; /* the peer, or what a trusted proxy says stands behind it: for address */
};

struct identity_found {
    struct account account;
    enum identity_kind kind;
    bool hides_key; /* the key was for this gateway: it is not passed on to the backend */
};

enum identity_fault {
    IDENTITY_FAULT_NONE,
    IDENTITY_FAULT_MISSING, /* no source applies and no key was sent */
    IDENTITY_FAULT_BAD_KEY, /* a key was sent that no source knows */
    IDENTITY_FAULT_MALFORMED, /* two credentials, an empty or over-long one, or one that is not a token */
    IDENTITY_FAULT_BAD_TIER, /* the trusted header names an account that is no valid id, or a tier or team the policy lacks */
};

/* ST_OK with *out, ST_REFUSED with *fault, or ST_PENDING (sources that ask elsewhere). */
MUST_CHECK enum status identity_resolve(const struct identity_ask *ask, struct identity_found *out,
                                        enum identity_fault *fault, struct op *op);
/* Cuts SHA-256 of an account's id to its digest. */
struct account_digest identity_digest(struct text account_id);
/* The digest of a bearer account: the second half of its token's SHA-256. */
struct account_digest identity_bearer_digest(const unsigned char sha256[32]);
