/* SPDX-License-Identifier: Apache-2.0 */
/* key_words.h - new keys: "mg_" and 256 random bits in base 62. */
#pragma once

#include "base/text.h"

#define KEY_WORD_DIGITS 43 /* 62^43 > 2^256 */
#define KEY_WORD_MAX    (3 + KEY_WORD_DIGITS + 1)
#define KEY_DIGEST_MAX  65

void key_word_new(char out[KEY_WORD_MAX]);
/* The key that these bytes are, the first the most significant. */
void key_word_print(const unsigned char bytes[32], char out[KEY_WORD_MAX]);
void key_word_sha256(struct text key, unsigned char out[32]);
/* The same in hex digits. */
void key_word_digest(struct text key, char out[KEY_DIGEST_MAX]);
