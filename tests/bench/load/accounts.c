/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.c - see accounts.h.
 * The order is a Feistel network over the next power of four, applied again until it falls into the wanted range: a
 * permutation without a table, so every system under test gets the same one at no cost. */
#include "accounts.h"

#define ROUNDS 4

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t permute(const struct accounts *a, uint64_t place)
{
    uint64_t mask = (UINT64_C(1) << a->half_bits) - 1;
    uint64_t left = place >> a->half_bits;
    uint64_t right = place & mask;

    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t mixed = left ^ (mix(right + (i << 56)) & mask);

        left = right;
        right = mixed;
    }
    return (left << a->half_bits) | right;
}

void accounts_init(struct accounts *a, const struct options *options)
{
    a->accounts = options->accounts;
    a->first = options->first;
    a->length = options->accounts * options->each;
    a->is_scrambled = options->is_scrambled;
    a->next = options->skip % a->length;
    a->half_bits = 1;
    while ((INT64_C(1) << (2 * a->half_bits)) < a->length)
        a->half_bits++;
}

int64_t accounts_next(struct accounts *a)
{
    uint64_t place = (uint64_t)a->next;

    a->next = a->next + 1 < a->length ? a->next + 1 : 0;
    if (a->is_scrambled) {
        place = permute(a, place);
        while (place >= (uint64_t)a->length)
            place = permute(a, place);
    }
    return a->first + (int64_t)(place % (uint64_t)a->accounts);
}
