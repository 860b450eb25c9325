/* SPDX-License-Identifier: Apache-2.0 */
/* json_scan.c - JSON by pieces.      Runs on: worker.
 * A short string that lies in its piece as it is, as nearly all do, is lent from there.  Of any other the first bytes are
 * kept, and the rest is skipped by memchr for its quote. */
#include "dialect/json_scan.h"

#include <string.h>

/* What may come next, by bits; none: the document has ended. */
enum expect {
    EXPECT_VALUE = 1,
    EXPECT_KEY = 2,
    EXPECT_COLON = 4,
    EXPECT_COMMA = 8,
    EXPECT_END = 16, /* of the innermost container */
    /* Alone: */
    EXPECT_STRING_REST = 32, /* inside a string */
    EXPECT_SCALAR_REST = 64, /* inside a number or literal */
    EXPECT_BROKEN = 128,
};

static enum scan_item broken(struct json_scan *scan)
{
    scan->expect = EXPECT_BROKEN;
    return SCAN_BROKEN;
}

static bool is_in_array(const struct json_scan *scan)
{
    return scan->depth > 0 && (scan->arrays >> (scan->depth - 1) & 1) != 0;
}

static inline bool is_scalar_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == 'E' || c == '+' || c == '-' ||
           c == '.';
}

/* --- outside strings -------------------------------------------------------------------------------------------------- */

/* A value has ended; what may follow it. */
static void after_value(struct json_scan *scan)
{
    scan->expect = scan->depth > 0 ? EXPECT_COMMA | EXPECT_END : 0;
}

static enum scan_item begin_container(struct json_scan *scan, bool is_array)
{
    if (!(scan->expect & EXPECT_VALUE) || scan->depth == JSON_SCAN_DEPTH_MAX)
        return broken(scan);
    uint64_t bit = UINT64_C(1) << scan->depth;
    scan->arrays = is_array ? scan->arrays | bit : scan->arrays & ~bit;
    scan->depth++;
    scan->expect = EXPECT_END | (is_array ? EXPECT_VALUE : EXPECT_KEY);
    return is_array ? SCAN_ARRAY_BEGIN : SCAN_OBJECT_BEGIN;
}

static enum scan_item end_container(struct json_scan *scan, bool is_array)
{
    if (!(scan->expect & EXPECT_END) || is_in_array(scan) != is_array)
        return broken(scan);
    scan->depth--;
    after_value(scan);
    return is_array ? SCAN_ARRAY_END : SCAN_OBJECT_END;
}

static enum scan_item begin_scalar(struct json_scan *scan, char c)
{
    if (!(scan->expect & EXPECT_VALUE) || !is_scalar_char(c))
        return broken(scan);
    scan->expect = EXPECT_SCALAR_REST;
    return SCAN_NONE;
}

/* A colon or comma, and what may follow it. */
static enum scan_item take_sign(struct json_scan *scan, enum expect sign, enum expect next)
{
    if (!(scan->expect & sign))
        return broken(scan);
    scan->expect = next;
    return SCAN_NONE;
}

/* One byte outside strings and scalars. */
static enum scan_item take_token(struct json_scan *scan, char c)
{
    switch (c) {
    case ' ':
    case '\n':
    case '\r':
    case '\t':
        return SCAN_NONE;
    case ':':
        return take_sign(scan, EXPECT_COLON, EXPECT_VALUE);
    case ',':
        return take_sign(scan, EXPECT_COMMA, is_in_array(scan) ? EXPECT_VALUE : EXPECT_KEY);
    case '{':
    case '[':
        return begin_container(scan, c == '[');
    case '}':
    case ']':
        return end_container(scan, c == ']');
    default:
        return begin_scalar(scan, c);
    }
}

/* It has ended once the byte after it is there, which is not part of it. */
static enum scan_item skip_scalar(struct json_scan *scan, const char **at, const char *end)
{
    const char *p = *at;

    while (p < end && is_scalar_char(*p))
        p++;
    *at = p;
    if (p == end)
        return SCAN_NONE;
    after_value(scan);
    return SCAN_SCALAR;
}

/* --- inside strings --------------------------------------------------------------------------------------------------- */

static enum scan_item end_string(struct json_scan *scan, struct text word)
{
    scan->word = word;
    if (scan->is_key) {
        scan->expect = EXPECT_COLON;
        return SCAN_KEY;
    }
    after_value(scan);
    return SCAN_STRING;
}

/* Behind the opening quote: to the closing one where all of the string lies here as it is, else past what does. */
static enum scan_item begin_string(struct json_scan *scan, const char **at, const char *end)
{
    struct text word = {*at, MIN((size_t)(end - *at), (size_t)JSON_SCAN_WORD_MAX)};

    if (!(scan->expect & (EXPECT_VALUE | EXPECT_KEY)))
        return broken(scan);
    word.len = text_plain_len(word);
    scan->is_key = (scan->expect & EXPECT_KEY) != 0;
    *at += word.len;
    if (*at < end && **at == '"') {
        ++*at;
        return end_string(scan, word);
    }
    memcpy(scan->kept, word.ptr, word.len);
    scan->kept_len = (uint8_t)word.len;
    scan->is_escaped = false;
    scan->hex_left = 0;
    scan->expect = EXPECT_STRING_REST;
    return SCAN_NONE;
}

static void keep(struct json_scan *scan, char c)
{
    if (scan->kept_len < JSON_SCAN_WORD_MAX)
        scan->kept[scan->kept_len] = c;
    if (scan->kept_len <= JSON_SCAN_WORD_MAX)
        scan->kept_len++;
}

/* One of the four digits of \uXXXX.  False: it is none. */
static bool take_hex(struct json_scan *scan, char c)
{
    unsigned digit;

    if (c >= '0' && c <= '9')
        digit = (unsigned)(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        digit = (unsigned)((c | 0x20) - 'a' + 10);
    else
        return false;
    scan->code = (uint16_t)(scan->code << 4 | digit);
    scan->hex_left--;
    if (scan->hex_left == 0)
        keep(scan, scan->code < 0x80 ? (char)scan->code : (char)0xff);
    return true;
}

/* The byte after a backslash.  False: no such escape. */
static bool take_escape(struct json_scan *scan, char c)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";

    scan->is_escaped = false;
    if (c == 'u') {
        scan->hex_left = 4;
        scan->code = 0;
        return true;
    }
    const char *at = c != '\0' ? strchr(letters, c) : NULL;
    if (!at)
        return false;
    keep(scan, meant[at - letters]);
    return true;
}

/* Do the backslashes before end leave the byte there escaped?  was_escaped: one came before begin. */
static bool is_escaped_at(const char *begin, const char *end, bool was_escaped)
{
    const char *p = end;

    while (p > begin && p[-1] == '\\')
        p--;
    size_t run = (size_t)(end - p) + (p == begin && was_escaped ? 1 : 0);
    return run % 2 != 0;
}

/* The rest of a string whose beginning is known well enough. */
static enum scan_item skip_string(struct json_scan *scan, const char **at, const char *end)
{
    while (*at < end) {
        const char *quote = memchr(*at, '"', (size_t)(end - *at));
        const char *cut = quote ? quote : end;
        bool is_escaped = is_escaped_at(*at, cut, scan->is_escaped);

        *at = quote ? quote + 1 : end;
        scan->is_escaped = !quote && is_escaped;
        if (quote && !is_escaped)
            return end_string(scan, (struct text){scan->kept, scan->kept_len});
    }
    return SCAN_NONE;
}

/* One of the bytes that are kept, not the closing quote.  False: no string holds it. */
static bool take_char(struct json_scan *scan, char c)
{
    if (scan->hex_left > 0)
        return take_hex(scan, c);
    if (scan->is_escaped)
        return take_escape(scan, c);
    if (c == '\\')
        scan->is_escaped = true;
    else
        keep(scan, c);
    return (unsigned char)c >= 0x20;
}

static enum scan_item keep_string(struct json_scan *scan, const char **at, const char *end)
{
    while (*at < end && (scan->kept_len <= JSON_SCAN_WORD_MAX || scan->hex_left > 0)) {
        char c = *(*at)++;

        if (c == '"' && scan->hex_left == 0 && !scan->is_escaped)
            return end_string(scan, (struct text){scan->kept, scan->kept_len});
        if (!take_char(scan, c))
            return broken(scan);
    }
    return skip_string(scan, at, end);
}

/* --- all of it -------------------------------------------------------------------------------------------------------- */

void json_scan_init(struct json_scan *scan)
{
    *scan = (struct json_scan){.expect = EXPECT_VALUE};
}

/* On in what is longer than a byte. */
static enum scan_item read_rest(struct json_scan *scan, const char **at, const char *end)
{
    if (scan->expect == EXPECT_STRING_REST)
        return keep_string(scan, at, end);
    if (scan->expect == EXPECT_SCALAR_REST)
        return skip_scalar(scan, at, end);
    *at = end;
    return SCAN_BROKEN;
}

void json_scan_feed(struct json_scan *scan, struct text piece, scan_item_fn *take)
{
    const char *at = piece.ptr;
    const char *end = at + piece.len;
    bool goes_on = true;

    while (at < end && goes_on) {
        enum scan_item item;

        if (scan->expect >= EXPECT_STRING_REST)
            item = read_rest(scan, &at, end);
        else if (*at++ == '"')
            item = begin_string(scan, &at, end);
        else
            item = take_token(scan, at[-1]);
        if (item != SCAN_NONE)
            goes_on = take(scan, item);
    }
}

bool json_scan_is_done(const struct json_scan *scan)
{
    return scan->expect == 0;
}
