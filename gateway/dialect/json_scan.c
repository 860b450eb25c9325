/* SPDX-License-Identifier: Apache-2.0 */
/* json_scan.c - JSON by pieces.      Runs on: worker.
 * One byte at a time outside strings and for the first bytes of a string; the rest of a string by memchr for its quote. */
#include "dialect/json_scan.h"

#include <string.h>

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* after [ */
    EXPECT_KEY,
    EXPECT_KEY_OR_END, /* after { */
    EXPECT_COLON,
    EXPECT_COMMA_OR_END,
    EXPECT_STRING_REST, /* inside a string */
    EXPECT_SCALAR_REST, /* inside a number or literal */
    EXPECT_NOTHING,     /* the document has ended */
    EXPECT_BROKEN,
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

static bool is_scalar_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == 'E' || c == '+' || c == '-' ||
           c == '.';
}

/* A value has ended; what may follow it. */
static void after_value(struct json_scan *scan)
{
    scan->expect = scan->depth > 0 ? EXPECT_COMMA_OR_END : EXPECT_NOTHING;
}

static void begin_string(struct json_scan *scan, bool is_key)
{
    scan->is_key = is_key;
    scan->is_escaped = false;
    scan->hex_left = 0;
    scan->word_len = 0;
    scan->expect = EXPECT_STRING_REST;
}

static enum scan_item begin_container(struct json_scan *scan, bool is_array)
{
    if (scan->depth == JSON_SCAN_DEPTH_MAX)
        return broken(scan);
    uint64_t bit = UINT64_C(1) << scan->depth;
    scan->arrays = is_array ? scan->arrays | bit : scan->arrays & ~bit;
    scan->depth++;
    scan->expect = is_array ? EXPECT_VALUE_OR_END : EXPECT_KEY_OR_END;
    return is_array ? SCAN_ARRAY_BEGIN : SCAN_OBJECT_BEGIN;
}

static enum scan_item end_container(struct json_scan *scan, bool is_array)
{
    if (scan->depth == 0 || is_in_array(scan) != is_array)
        return broken(scan);
    scan->depth--;
    after_value(scan);
    return is_array ? SCAN_ARRAY_END : SCAN_OBJECT_END;
}

static enum scan_item begin_value(struct json_scan *scan, char c)
{
    if (c == '{' || c == '[')
        return begin_container(scan, c == '[');
    if (c == '"')
        begin_string(scan, false);
    else if (is_scalar_char(c))
        scan->expect = EXPECT_SCALAR_REST;
    else
        return broken(scan);
    return SCAN_NONE;
}

static enum scan_item after_member(struct json_scan *scan, char c)
{
    if (c == ']' || c == '}')
        return end_container(scan, c == ']');
    if (c != ',')
        return broken(scan);
    scan->expect = is_in_array(scan) ? EXPECT_VALUE : EXPECT_KEY;
    return SCAN_NONE;
}

static enum scan_item begin_key(struct json_scan *scan, char c)
{
    if (c != '"')
        return broken(scan);
    begin_string(scan, true);
    return SCAN_NONE;
}

/* One byte outside strings, scalars and white space. */
static enum scan_item take_token(struct json_scan *scan, char c)
{
    switch ((enum expect)scan->expect) {
    case EXPECT_VALUE_OR_END:
        return c == ']' ? end_container(scan, true) : begin_value(scan, c);
    case EXPECT_VALUE:
        return begin_value(scan, c);
    case EXPECT_KEY_OR_END:
        return c == '}' ? end_container(scan, false) : begin_key(scan, c);
    case EXPECT_KEY:
        return begin_key(scan, c);
    case EXPECT_COLON:
        scan->expect = EXPECT_VALUE;
        return c == ':' ? SCAN_NONE : broken(scan);
    case EXPECT_COMMA_OR_END:
        return after_member(scan, c);
    case EXPECT_STRING_REST:
    case EXPECT_SCALAR_REST:
    case EXPECT_NOTHING:
    case EXPECT_BROKEN:
        break;
    }
    return broken(scan);
}

static void keep(struct json_scan *scan, char c)
{
    if (scan->word_len < JSON_SCAN_WORD_MAX)
        scan->word[scan->word_len] = c;
    if (scan->word_len <= JSON_SCAN_WORD_MAX)
        scan->word_len++;
}

/* Likewise bytes that stand for themselves. */
static void keep_run(struct json_scan *scan, struct text *piece)
{
    size_t room = (size_t)JSON_SCAN_WORD_MAX - scan->word_len;
    size_t len = text_plain_len((struct text){piece->ptr, MIN(piece->len, room)});

    memcpy(scan->word + scan->word_len, piece->ptr, len);
    scan->word_len = (uint8_t)(scan->word_len + len);
    piece->ptr += len;
    piece->len -= len;
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

/* The rest of a string whose beginning is known well enough.  True: its closing quote was read. */
static bool skip_string(struct json_scan *scan, struct text *piece)
{
    while (piece->len > 0) {
        const char *quote = memchr(piece->ptr, '"', piece->len);
        const char *end = quote ? quote : piece->ptr + piece->len;
        bool is_escaped = is_escaped_at(piece->ptr, end, scan->is_escaped);
        size_t taken = (size_t)(end - piece->ptr) + (quote ? 1 : 0);
        piece->ptr += taken;
        piece->len -= taken;
        scan->is_escaped = !quote && is_escaped;
        if (quote && !is_escaped)
            return true;
    }
    return false;
}

/* True: the closing quote was read, or something that no string holds (then EXPECT_BROKEN). */
static bool read_string(struct json_scan *scan, struct text *piece)
{
    if (scan->word_len < JSON_SCAN_WORD_MAX && scan->hex_left == 0 && !scan->is_escaped)
        keep_run(scan, piece);
    while (piece->len > 0 && (scan->word_len <= JSON_SCAN_WORD_MAX || scan->hex_left > 0)) {
        char c = *piece->ptr++;
        bool is_good = true;

        piece->len--;
        if (scan->hex_left > 0)
            is_good = take_hex(scan, c);
        else if (scan->is_escaped)
            is_good = take_escape(scan, c);
        else if (c == '"')
            return true;
        else if (c == '\\')
            scan->is_escaped = true;
        else if ((unsigned char)c < 0x20)
            is_good = false;
        else
            keep(scan, c);
        if (!is_good) {
            scan->expect = EXPECT_BROKEN;
            return true;
        }
    }
    return skip_string(scan, piece);
}

/* True: the byte after it is there, which is not part of it. */
static bool skip_scalar(struct text *piece)
{
    while (piece->len > 0 && is_scalar_char(*piece->ptr)) {
        piece->ptr++;
        piece->len--;
    }
    return piece->len > 0;
}

static enum scan_item end_string(struct json_scan *scan)
{
    if (scan->expect == EXPECT_BROKEN)
        return SCAN_BROKEN;
    if (!scan->is_key) {
        after_value(scan);
        return SCAN_STRING;
    }
    scan->expect = EXPECT_COLON;
    return SCAN_KEY;
}

void json_scan_init(struct json_scan *scan)
{
    *scan = (struct json_scan){.expect = EXPECT_VALUE};
}

enum scan_item json_scan_next(struct json_scan *scan, struct text *piece)
{
    while (piece->len > 0 && scan->expect != EXPECT_BROKEN) {
        if (scan->expect == EXPECT_STRING_REST) {
            if (read_string(scan, piece))
                return end_string(scan);
            continue;
        }
        char c = *piece->ptr;
        if (scan->expect == EXPECT_SCALAR_REST) {
            if (!skip_scalar(piece))
                continue;
            after_value(scan);
            return SCAN_SCALAR;
        }
        piece->ptr++;
        piece->len--;
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        enum scan_item item = take_token(scan, c);
        if (item != SCAN_NONE)
            return item;
    }
    return scan->expect == EXPECT_BROKEN ? SCAN_BROKEN : SCAN_NONE;
}

bool json_scan_is(const struct json_scan *scan, struct text word)
{
    return scan->word_len == word.len && memcmp(scan->word, word.ptr, word.len) == 0;
}

bool json_scan_is_done(const struct json_scan *scan)
{
    return scan->expect == EXPECT_NOTHING;
}
