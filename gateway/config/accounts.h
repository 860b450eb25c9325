/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.h - a file of keys: the SHA-256 of each, its account, tier, team and time zone. */
#pragma once

#include "config/reader.h"

/* Reads the keyfile that node names into source: keyfile, keys, keys_len.  Tiers and teams are those of policy. */
MUST_CHECK enum status accounts_read(struct reader *r, const struct node *node,
                                     const struct policy *policy, struct identity_source *source);
