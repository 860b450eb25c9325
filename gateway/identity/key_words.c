/* SPDX-License-Identifier: Apache-2.0 */
/* key_words.c - new keys. */
#include "identity/key_words.h"

#include <string.h>
#include <sys/random.h>

#include "identity/source.h"

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Divides the number by 62, in place; returns what is left. */
static unsigned divide(unsigned char number[32])
{
    unsigned rest = 0;

    for (int i = 0; i < 32; i++) {
        unsigned value = rest * 256 + number[i];

        number[i] = (unsigned char)(value / 62);
        rest = value % 62;
    }
    return rest;
}

void key_word_print(const unsigned char bytes[32], char out[KEY_WORD_MAX])
{
    unsigned char number[32];

    memcpy(number, bytes, sizeof(number));
    memcpy(out, "mg_", 3);
    for (int i = KEY_WORD_DIGITS - 1; i >= 0; i--)
        out[3 + i] = digits[divide(number)];
    out[KEY_WORD_MAX - 1] = '\0';
    explicit_bzero(number, sizeof(number));
}

void key_word_new(char out[KEY_WORD_MAX])
{
    unsigned char bytes[32];

    ASSERT(getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
    key_word_print(bytes, out);
    explicit_bzero(bytes, sizeof(bytes));
}

void key_word_sha256(struct text key, unsigned char out[32])
{
    identity_sha256(key, out);
}

void key_word_digest(struct text key, char out[KEY_DIGEST_MAX])
{
    unsigned char sha256[32];
    struct text_out hex;

    identity_sha256(key, sha256);
    text_out_init(&hex, out, KEY_DIGEST_MAX);
    text_out_hex(&hex, sha256, sizeof(sha256));
}
