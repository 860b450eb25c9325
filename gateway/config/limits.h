/* SPDX-License-Identifier: Apache-2.0 */
/* limits.h - limits as a policy writes them: of images or credits, for an account, a model or a team. */
#pragma once

#include "config/keys.h"

#define LIMITS_EXPECTED "unlimited, or limits such as {per_day: 3}"

/* Where rules are read to. */
struct rule_set {
    enum limit_scope scope;
    const char *model; /* SCOPE_MODEL: the pattern */
    struct limit_rule *rules;
    int *len;
    int max;
    const char *where; /* "in a tier", for errors */
};

/* Adds the rules that the mapping `images` or `credits` has, or none for "unlimited". */
MUST_CHECK enum status limits_read(struct reader *r, const struct key *key, const struct node *node,
                                   enum limit_measure measure, struct rule_set *set);
/* Adds the rules of `images` and `credits` of a mapping that has no other keys; at least one of them must be there. */
MUST_CHECK enum status limits_read_both(struct reader *r, const struct node *node,
                                        struct rule_set *set);
