/* SPDX-License-Identifier: Apache-2.0 */
/* redis_scripts.h - what runs inside Redis.  All keys of a call carry the bucket's hash tag.
 *
 * A ledger mg:{b}:h is a sorted set of holds.  A member (token) packs what never changes: 6 bytes of the account's digest,
 * 8 of the reservation's id, 2 of the grains held, then 6 a window charged, which is the end of that window's key.  The
 * score is what changes: the expiry in seconds since 2020, plus 2^30 once committed.  A row mg:{b}:c<day> is a hash from
 * digest to granted * 2^24 + used.  So commit is a plain ZADD XX and a settle with the full charge a plain ZREM.
 *
 *   RESERVE   ledger, row a limit; token, score, grains, reap up to this score, reap first (0 or 1), then a limit: grains
 *             allowed, when its row expires.  Replies the grains used where one limit was asked for and holds; else a list:
 *             0 (held), the 1-based limit that refuses, or -3 (much has expired: ask again); then the used of each.
 *   SETTLE    ledger, rows; token, grains to give back.  Replies 1, or 0 where it is gone.
 *   REVIVE    ledger, rows; token, score, grains, when the rows expire.  Holds and charges again, over the limit if need
 *             be, what expired and yet was used.  Replies 1, or 0 where it is held. */
#pragma once

#include "base/status.h"

enum redis_script { SCRIPT_RESERVE, SCRIPT_SETTLE, SCRIPT_REVIVE, SCRIPTS };

#define SHA1_HEX_LEN 40

struct redis_digests {
    char hex[SCRIPTS][SHA1_HEX_LEN + 1];
};

const char *redis_script_source(enum redis_script script);
/* What EVALSHA calls them by.  ST_OK, or ST_UNAVAILABLE: this OpenSSL does no SHA-1. */
MUST_CHECK enum status redis_scripts_digest(struct redis_digests *out);
