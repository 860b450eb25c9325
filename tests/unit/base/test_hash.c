/* SPDX-License-Identifier: Apache-2.0 */
/* test_hash.c - the hash is XXH3 as published, so that every build of every version agrees. */

#include "base/hash.h"

#include <string.h>

#include <criterion/criterion.h>

static const char *hex_of(const char *bytes, uint64_t seed, char buf[2 * HASH_LEN + 1])
{
    unsigned char hash[HASH_LEN];
    struct text_out out;

    hash_128(text_of(bytes), seed, hash);
    text_out_init(&out, buf, 2 * HASH_LEN + 1);
    text_out_hex(&out, hash, sizeof(hash));
    return buf;
}

Test(hash, is_xxh3)
{
    char buf[2 * HASH_LEN + 1];

    /* the published value for no input */
    cr_expect_str_eq(hex_of("", 0, buf), "99aa06d3014798d86001c324468d497f");
}

Test(hash, differs_by_bytes_and_seed)
{
    char a[2 * HASH_LEN + 1], b[2 * HASH_LEN + 1];

    cr_expect_str_eq(hex_of("acme", 1, a), hex_of("acme", 1, b));
    cr_expect_str_neq(hex_of("acme", 1, a), hex_of("acme", 2, b));
    cr_expect_str_neq(hex_of("acme", 1, a), hex_of("acmf", 1, b));
}
