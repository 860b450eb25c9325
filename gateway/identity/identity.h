/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h - which account asks.  Sources are tried in the order of the configuration; the first that applies decides.
 *   keyfile  the request carries a key (Authorization: Bearer, or x-api-key) that the file knows
 *   keystore likewise, where a Redis knows it (keystore.h)
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
#include "identity/keystore.h"

/* Where the sources stand; zeroed before the first call. */
struct identity_wait {
    int source; /* that waits */
    struct key_wait key;
};

struct identity_ask {
    const struct config *config;
    const struct http_head *head;
    const struct address_short *peer; /* of the connection: for trust */
    const struct address_short
        *client; /* the peer, or what a trusted proxy says stands behind it: for address */
    struct keys
        *keys; /* NULL: no keystore is open; then one among the sources is as if it were down */
    struct identity_wait *wait;
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
    IDENTITY_FAULT_BAD_TIER, /* the trusted header names an account that is no valid id; it, or the keystore, a tier or team the policy lacks */
    IDENTITY_FAULT_UNAVAILABLE, /* the keystore is down, and does not say whether it knows the key */
};

/* ST_OK with *out, or ST_REFUSED with *fault.  ST_PENDING: a source asks elsewhere; once op is done, with ST_OK, the same
 * is to be called again, and goes on from there.  What ask points to stays as it is until then. */
MUST_CHECK enum status identity_resolve(const struct identity_ask *ask, struct identity_found *out,
                                        enum identity_fault *fault, struct op *op);
/* Cuts SHA-256 of an account's id to its digest. */
struct account_digest identity_digest(struct text account_id);
/* The digest of a bearer account: the second half of its token's SHA-256. */
struct account_digest identity_bearer_digest(const unsigned char sha256[32]);
