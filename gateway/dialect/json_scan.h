/* SPDX-License-Identifier: Apache-2.0 */
/* json_scan.h - the items of a JSON document (RFC 8259) that streams by in pieces cut anywhere.
 *
 * For answers that hold megabytes in one string: nothing is allocated, nothing is copied, and long strings are skipped by
 * memchr.  The skeleton is judged (brackets, commas, colons, nesting), the inside of numbers, literals and long strings is
 * not: every valid document is read right, and some invalid ones go unnoticed. */
#pragma once

#include "base/text.h"

#define JSON_SCAN_DEPTH_MAX 64 /* deeper nesting is SCAN_BROKEN */
#define JSON_SCAN_WORD_MAX  31 /* so much of a string is kept */

enum scan_item {
    SCAN_NONE,
    SCAN_OBJECT_BEGIN,
    SCAN_OBJECT_END,
    SCAN_ARRAY_BEGIN,
    SCAN_ARRAY_END,
    SCAN_KEY,    /* whole, in word */
    SCAN_STRING, /* whole, in word */
    SCAN_SCALAR, /* a number or literal */
    SCAN_BROKEN, /* not JSON; stays so */
};

struct json_scan {
    uint64_t arrays; /* bit d: the container at depth d is an array */
    /* The string that just ended, while its item is told: in its piece, or in kept.  One that was longer than what is kept
     * is told as longer than that. */
    struct text word;
    uint8_t
        depth; /* containers that are open: after a begin and an end, with and without that one */
    uint8_t expect;   /* what may come next */
    bool is_key;      /* the string at work is a key */
    bool is_escaped;  /* a backslash came before the next byte */
    uint8_t hex_left; /* digits of \uXXXX to come */
    uint8_t
        kept_len; /* unescaped bytes of the string at work; JSON_SCAN_WORD_MAX + 1: more than that */
    uint16_t code; /* of \uXXXX so far */
    char kept
        [JSON_SCAN_WORD_MAX]; /* characters escaped as \u0080 and above are kept as one 0xff each */
};

void json_scan_init(struct json_scan *scan);
/* Called for every item as it ends.  False: the rest of the piece is not looked at. */
typedef bool scan_item_fn(struct json_scan *scan, enum scan_item item);
void json_scan_feed(struct json_scan *scan, struct text piece, scan_item_fn *take);
/* The outermost value, an object or array, has ended, and only white space followed. */
bool json_scan_is_done(const struct json_scan *scan);
/* Is the string that just ended this one?  At most JSON_SCAN_WORD_MAX bytes of ASCII. */
static inline bool json_scan_is(const struct json_scan *scan, struct text word)
{
    return text_equal(scan->word, word);
}
