/* SPDX-License-Identifier: Apache-2.0 */
/* keys.h - keys in the keystore, for operators.  Runs on: control thread.
 *
 *   POST   /v1/keys   {"account": "alice", "tier": "plus"}   a new key, told this once
 *   GET    /v1/keys[?account=A][&n=100][&cursor=C]           keys of an account, or all: {"keys": [...], "cursor": "..."};
 *                                                            more come with that cursor, none where it is null
 *   DELETE /v1/keys/{id}                                     revokes it; id: 16 or more hex digits of its SHA-256
 *   DELETE /v1/keys?account=A                                revokes all of an account
 *
 * A POST's body may also hold
 *   team, timezone   where the account has keys already: as they have it, or left out
 *   label            for people, up to 64 bytes
 *   sha256           in place of a new key: one that was made elsewhere, 64 hex digits.  One that is there is changed
 *
 * A key is told as {"id", "account", "tier", "team", "timezone", "created", "label"}, by POST with "key" (not where sha256
 * was given).  Gateways refuse a revoked key two seconds later at most.  Errors: {"error": "what, in plain words"} with
 *   400  the body or query is wrong          404  no such key, or this gateway has no keystore
 *   409  it would not agree with the account's other keys, or several keys begin so
 *   503  the keystore is down: what was asked for may have been done, and may be asked for again
 * and 401, 403, 405 and 413 as in api.h */
#pragma once

#include "admin/route.h"
#include "identity/keystore.h"

struct keys_api;

/* The owner of these routes is the struct keys_api. */
extern const struct admin_route keys_routes[];

MUST_CHECK enum status keys_api_open(struct loop *loop, struct keys_api **out);
/* keys: a door of this thread's own, lent; NULL: there is no keystore. */
void keys_api_configure(struct keys_api *api, const struct config *config, struct keys *keys);
/* No ask may be pending: the admin was closed before. */
void keys_api_close(struct keys_api **api);
