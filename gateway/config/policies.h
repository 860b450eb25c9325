/* SPDX-License-Identifier: Apache-2.0 */
/* policies.h - a policy file: prices, tiers, teams, the ladder, messages. */
#pragma once

#include "config/reader.h"

/* Reads the policy of that name; at is the node that names it, or NULL. */
MUST_CHECK enum status policies_read(struct reader *r, const char *file, const struct node *at,
                                     struct policy *out);
/* The same for a document in memory; file is only its name. */
MUST_CHECK enum status policies_read_text(struct reader *r, const char *file, struct text document,
                                          struct policy *out);
