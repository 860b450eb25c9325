/* SPDX-License-Identifier: Apache-2.0 */
/* test_key_words.c - keys in base 62. */
#include <criterion/criterion.h>
#include <string.h>

#include "identity/key_words.h"

Test(key_words, digits_are_the_number)
{
    unsigned char bytes[32] = {0};
    char key[KEY_WORD_MAX];

    key_word_print(bytes, key);
    cr_expect_str_eq(key, "mg_0000000000000000000000000000000000000000000");
    bytes[31] = 61;
    key_word_print(bytes, key);
    cr_expect_eq(key[KEY_WORD_MAX - 2], 'z');
    bytes[30] = 1;
    bytes[31] = 0; /* 256 = 4 * 62 + 8 */
    key_word_print(bytes, key);
    cr_expect_str_eq(key + KEY_WORD_MAX - 3, "48");
    memset(bytes, 0xff, sizeof(bytes));
    key_word_print(bytes, key);
    cr_expect_eq(strlen(key), KEY_WORD_MAX - 1);
    cr_expect_eq(bytes[0], 0xff, "the number is not touched");
}

Test(key_words, two_are_never_alike)
{
    char a[KEY_WORD_MAX], b[KEY_WORD_MAX];

    key_word_new(a);
    key_word_new(b);
    cr_expect_str_neq(a, b);
    cr_expect_eq(strncmp(a, "mg_", 3), 0);
}

Test(key_words, digest_is_sha256)
{
    char digest[KEY_DIGEST_MAX];

    key_word_digest(TEXT("alice"), digest);
    cr_expect_str_eq(digest, "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90");
}
