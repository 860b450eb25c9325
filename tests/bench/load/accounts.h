/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.h - whose turn it is: accounts in turn, or each so often in an order that looks random and is always the same. */
#pragma once

#include <stdint.h>

#include "options.h"

struct accounts {
    int64_t accounts, first;
    int64_t length; /* of the whole order, after which it begins anew */
    int64_t next;   /* place in it */
    bool is_scrambled;
    int half_bits; /* of the permutation: 2^(2 * half_bits) >= length */
};

void accounts_init(struct accounts *a, const struct options *options);
int64_t accounts_next(struct accounts *a);
