/* SPDX-License-Identifier: Apache-2.0 */
/* account.h - who pays. */
#pragma once

#include "base/text.h"

#define ACCOUNT_ID_MAX 128
#define TIERS_MAX      16

/* The first 128 bits of SHA-256 over the account's id: what stores key by, so that nobody can aim at a collision. */
struct account_digest {
    unsigned char bytes[16];
};

struct zone;

struct account {
    char id[ACCOUNT_ID_MAX +
            1]; /* for people: "alice", "bearer:5f0c...", "ip:192.0.2.7"; never a key */
    struct account_digest digest;
    int tier; /* index into the policy's tiers */
    int team; /* index into the policy's teams, or -1 */
    const struct zone
        *zone; /* of its calendar windows; NULL: the policy's.  Owned by the config generation. */
};

/* What stores key a team's rows by. */
struct account_digest account_of_team(struct text team_name);
