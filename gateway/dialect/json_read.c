/* SPDX-License-Identifier: Apache-2.0 */
/* json_read.c - JSON in one pass over a whole document.      Runs on: worker.
 * Written by hand, as every counted request goes through it: for a body of 240 bytes yajl takes 7,000 instructions, an
 * eighth of a refused request, with its allocations and the look at the document that it needs; this takes 2,000.
 * Strings are judged eight bytes at a time and lent as they stand in the document; only one with escapes is copied.
 * tests/fuzz/fuzz_json_read.c holds it against yajl. */
#include "dialect/json_read.h"

#include <stdlib.h>

#define DEPTH_MAX 64

struct reader {
    const char *at;
    const char *end;
    json_token_fn *token;
    void *owner;
    int depth;     /* of the next value */
    char *scratch; /* owned: room for the longest string to come; NULL: none had an escape yet */
    bool is_out_of_memory;
};

static bool emit(struct reader *r, enum json_kind kind, struct text text)
{
    return r->token(r->owner, kind, text, r->depth);
}

static struct text rest_of(const struct reader *r)
{
    return (struct text){r->at, (size_t)(r->end - r->at)};
}

static bool is_next(const struct reader *r, char c)
{
    return r->at < r->end && *r->at == c;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline void skip_blanks(struct reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        r->at++;
}

/* Reads on behind this token, and the blanks before it, if it is the next. */
static inline bool take(struct reader *r, char c)
{
    skip_blanks(r);
    if (!is_next(r, c))
        return false;
    r->at++;
    return true;
}

/* --- strings ---------------------------------------------------------------------------------------------------------- */

/* To the next byte that does not stand for itself: a quote, a backslash, or one that no string holds. */
static void skip_plain(struct reader *r)
{
    size_t len = 1;

    while (len > 0) {
        r->at += text_plain_len(rest_of(r));
        bool is_ascii = r->at == r->end || (unsigned char)*r->at < 0x80;
        len = is_ascii ? 0 : text_utf8_len(rest_of(r));
        r->at += len;
    }
}

static struct text text_from(const struct reader *r, const char *begin)
{
    return (struct text){begin, (size_t)(r->at - begin)};
}

/* The four digits of \uXXXX; -1: they are none. */
static int32_t take_hex(struct reader *r)
{
    unsigned char bytes[2];

    if (r->end - r->at < 4 || text_unhex((struct text){r->at, 4}, bytes, sizeof(bytes)))
        return -1;
    r->at += 4;
    return bytes[0] << 8 | bytes[1];
}

/* The code point of \uXXXX, or of two that make a pair; the first one's \u was read.  -1: there is none. */
static int32_t take_code(struct reader *r)
{
    int32_t code = take_hex(r);
    const char *behind = r->at;

    if (code < 0xd800 || code > 0xdfff)
        return code;
    if (code < 0xdc00 && r->end - r->at >= 2 && r->at[0] == '\\' && r->at[1] == 'u') {
        r->at += 2;
        int32_t low = take_hex(r);
        if (low >= 0xdc00 && low <= 0xdfff)
            return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    r->at = behind;
    return 0xfffd;
}

static char *put_utf8(char *out, int32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (code & 0x3f));
    return out;
}

/* What stands behind a backslash, into *out.  False: no such escape. */
static bool take_escape(struct reader *r, char **out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";

    if (r->at == r->end || *r->at == '\0')
        return false;
    char letter = *r->at++;
    if (letter == 'u') {
        int32_t code = take_code(r);
        if (code >= 0)
            *out = put_utf8(*out, code);
        return code >= 0;
    }
    const char *found = strchr(letters, letter);
    if (!found)
        return false;
    *(*out)++ = meant[found - letters];
    return true;
}

/* An escape is longer than what it stands for, so what is left of the document has room for any string in it. */
static bool make_scratch(struct reader *r, size_t size)
{
    if (!r->scratch)
        r->scratch = malloc(size);
    r->is_out_of_memory = !r->scratch;
    return r->scratch != NULL;
}

/* A string with escapes, of which the part before the first one was read. */
static bool read_escaped(struct reader *r, enum json_kind kind, const char *begin)
{
    if (!make_scratch(r, (size_t)(r->end - begin)))
        return false;
    char *out = r->scratch;
    for (;;) {
        struct text part = text_from(r, begin);
        memcpy(out, part.ptr, part.len);
        out += part.len;
        if (!is_next(r, '\\'))
            break;
        r->at++;
        if (!take_escape(r, &out))
            return false;
        begin = r->at;
        skip_plain(r);
    }
    if (!is_next(r, '"'))
        return false;
    r->at++;
    return emit(r, kind, (struct text){r->scratch, (size_t)(out - r->scratch)});
}

/* Nearly all are of ASCII alone. */
static bool read_string(struct reader *r, enum json_kind kind)
{
    const char *begin = ++r->at;

    r->at += text_plain_len(rest_of(r));
    if (!is_next(r, '"'))
        skip_plain(r);
    if (is_next(r, '\\'))
        return read_escaped(r, kind, begin);
    if (!is_next(r, '"'))
        return false;
    struct text text = text_from(r, begin);
    r->at++;
    return emit(r, kind, text);
}

/* --- other values ----------------------------------------------------------------------------------------------------- */

static bool read_word(struct reader *r, struct text word, enum json_kind kind)
{
    if (!text_starts_with(rest_of(r), word))
        return false;
    r->at += word.len;
    return emit(r, kind, TEXT_NONE);
}

static bool take_digits(struct reader *r)
{
    const char *begin = r->at;

    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > begin;
}

static bool read_number(struct reader *r)
{
    const char *begin = r->at;

    if (is_next(r, '-'))
        r->at++;
    if (is_next(r, '0'))
        r->at++;
    else if (!take_digits(r))
        return false;
    if (is_next(r, '.')) {
        r->at++;
        if (!take_digits(r))
            return false;
    }
    if (is_next(r, 'e') || is_next(r, 'E')) {
        r->at++;
        if (is_next(r, '+') || is_next(r, '-'))
            r->at++;
        if (!take_digits(r))
            return false;
    }
    return emit(r, JSON_NUMBER, text_from(r, begin));
}

static bool begin_container(struct reader *r, enum json_kind kind)
{
    if (r->depth >= DEPTH_MAX || !emit(r, kind, TEXT_NONE))
        return false;
    r->at++;
    r->depth++;
    return true;
}

static bool end_container(struct reader *r, enum json_kind kind)
{
    r->depth--;
    return emit(r, kind, TEXT_NONE);
}

static bool read_value(struct reader *r);

static bool read_array(struct reader *r)
{
    if (!begin_container(r, JSON_ARRAY_BEGIN))
        return false;
    if (take(r, ']'))
        return end_container(r, JSON_ARRAY_END);
    do {
        if (!read_value(r))
            return false;
    } while (take(r, ','));
    return take(r, ']') && end_container(r, JSON_ARRAY_END);
}

static bool read_member(struct reader *r)
{
    skip_blanks(r);
    return is_next(r, '"') && read_string(r, JSON_KEY) && take(r, ':') && read_value(r);
}

static bool read_object(struct reader *r)
{
    if (!begin_container(r, JSON_OBJECT_BEGIN))
        return false;
    if (take(r, '}'))
        return end_container(r, JSON_OBJECT_END);
    do {
        if (!read_member(r))
            return false;
    } while (take(r, ','));
    return take(r, '}') && end_container(r, JSON_OBJECT_END);
}

/* Calls itself by way of the containers, DEPTH_MAX times at most. */
static bool read_value(struct reader *r)
{
    skip_blanks(r);
    switch (r->at < r->end ? *r->at : '\0') {
    case '{':
        return read_object(r);
    case '[':
        return read_array(r);
    case '"':
        return read_string(r, JSON_STRING);
    case 't':
        return read_word(r, TEXT("true"), JSON_TRUE);
    case 'f':
        return read_word(r, TEXT("false"), JSON_FALSE);
    case 'n':
        return read_word(r, TEXT("null"), JSON_NULL);
    default:
        return read_number(r);
    }
}

enum status json_read(struct text document, json_token_fn *token, void *owner, size_t *out_offset)
{
    struct reader r = {.at = document.ptr, .end = document.ptr, .token = token, .owner = owner};

    if (document.len > 0)
        r.end += document.len;
    bool is_good = read_value(&r);

    if (is_good) {
        skip_blanks(&r);
        is_good = r.at == r.end;
    }
    free(r.scratch);
    if (r.is_out_of_memory)
        return ST_NOMEM;
    if (!is_good && out_offset)
        *out_offset = (size_t)(r.at - document.ptr);
    return is_good ? ST_OK : ST_INVALID;
}
