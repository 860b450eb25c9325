/* SPDX-License-Identifier: Apache-2.0 */
/* account.c - digests of teams.  Only operators name teams, so a hash that is quick and no secret will do. */

#include "core/account.h"

#include "base/hash.h"

#define SEED_TEAM UINT64_C(0x7465616d) /* "team" */

_Static_assert(sizeof(struct account_digest) == HASH_LEN, "a digest is one hash");

struct account_digest account_of_team(struct text team_name)
{
    struct account_digest digest;

    hash_128(team_name, SEED_TEAM, digest.bytes);
    return digest;
}
