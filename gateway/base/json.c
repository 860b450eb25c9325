/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - JSON over yajl.
 * yajl checks UTF-8 only by its lead bytes and takes vertical tabs and form feeds for blanks; so the document is looked
 * through once before, and yajl is told not to check strings again.  Nor does it see a string behind the document that
 * never ends; so what follows the document is looked at, too. */
#include "base/json.h"

#include <string.h>
#include <yajl/yajl_parse.h>

#define DEPTH_MAX 64

struct reader {
    yajl_handle yajl;
    json_token_fn *token;
    void *owner;
    int depth;        /* of the next value */
    size_t end_bytes; /* of the document: its outermost value ended there; 0: not yet */
};

static int emit(struct reader *r, enum json_kind kind, struct text text)
{
    if (r->depth == 0)
        r->end_bytes = yajl_get_bytes_consumed(r->yajl);
    return r->token(r->owner, kind, text, r->depth);
}

static int begin(struct reader *r, enum json_kind kind)
{
    if (r->depth >= DEPTH_MAX || !emit(r, kind, TEXT_NONE))
        return 0;
    r->depth++;
    return 1;
}

static int end(struct reader *r, enum json_kind kind)
{
    r->depth--;
    return emit(r, kind, TEXT_NONE);
}

static int on_null(void *reader)
{
    return emit(reader, JSON_NULL, TEXT_NONE);
}

static int on_boolean(void *reader, int value)
{
    return emit(reader, value ? JSON_TRUE : JSON_FALSE, TEXT_NONE);
}

static int on_number(void *reader, const char *ptr, size_t len)
{
    return emit(reader, JSON_NUMBER, (struct text){ptr, len});
}

static int on_string(void *reader, const unsigned char *ptr, size_t len)
{
    return emit(reader, JSON_STRING, (struct text){(const char *)ptr, len});
}

static int on_key(void *reader, const unsigned char *ptr, size_t len)
{
    return emit(reader, JSON_KEY, (struct text){(const char *)ptr, len});
}

static int on_object_begin(void *reader)
{
    return begin(reader, JSON_OBJECT_BEGIN);
}

static int on_object_end(void *reader)
{
    return end(reader, JSON_OBJECT_END);
}

static int on_array_begin(void *reader)
{
    return begin(reader, JSON_ARRAY_BEGIN);
}

static int on_array_end(void *reader)
{
    return end(reader, JSON_ARRAY_END);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_object_begin,
    .yajl_map_key = on_key,
    .yajl_end_map = on_object_end,
    .yajl_start_array = on_array_begin,
    .yajl_end_array = on_array_end,
};

/* How far the document is well-formed UTF-8 without control bytes but tab, line feed and carriage return. */
static size_t clean_len(struct text document)
{
    size_t at = 0;

    while (at < document.len) {
        unsigned char byte = (unsigned char)document.ptr[at];

        if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r')
            return at;
        if (byte < 0x80) {
            at++;
            continue;
        }
        size_t len = text_utf8_len((struct text){document.ptr + at, document.len - at});

        if (len == 0)
            return at;
        at += len;
    }
    return at;
}

static bool is_blank(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        if (!strchr(" \t\r\n", t.ptr[i]))
            return false;
    }
    return true;
}

static enum status parse(struct reader *r, struct text document, size_t *offset)
{
    const unsigned char *bytes = (const unsigned char *)document.ptr;

    if (document.len > 0 && yajl_parse(r->yajl, bytes, document.len) != yajl_status_ok) {
        *offset = yajl_get_bytes_consumed(r->yajl);
        return ST_INVALID;
    }
    size_t end = r->end_bytes;

    /* Only now is a number at the very end complete, or an end that came too soon noticed. */
    *offset = document.len;
    if (yajl_complete_parse(r->yajl) != yajl_status_ok)
        return ST_INVALID;
    if (end == 0 || is_blank((struct text){document.ptr + end, document.len - end}))
        return ST_OK;
    *offset = end;
    return ST_INVALID;
}

enum status json_parse(struct text document, json_token_fn *token, void *owner, size_t *out_offset)
{
    struct reader reader = {.token = token, .owner = owner};
    size_t offset = clean_len(document);
    enum status st = ST_INVALID;

    if (offset == document.len) {
        reader.yajl = yajl_alloc(&callbacks, NULL, &reader);
        if (!reader.yajl)
            return ST_NOMEM;
        yajl_config(reader.yajl, yajl_dont_validate_strings, 1);
        st = parse(&reader, document, &offset);
        yajl_free(reader.yajl);
    }
    if (st && out_offset)
        *out_offset = offset;
    return st;
}

/* The letter that stands behind a backslash for this byte, or 0. */
static char short_escape(unsigned char byte)
{
    static const char bytes[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *found = byte ? strchr(bytes, byte) : NULL;

    return found ? letters[found - bytes] : 0;
}

static void add_escaped(struct text_out *out, unsigned char byte)
{
    char letter = short_escape(byte);

    if (letter) {
        text_out_char(out, '\\');
        text_out_char(out, letter);
        return;
    }
    text_out_add(out, TEXT("\\u00"));
    text_out_hex(out, &byte, 1);
}

/* How many bytes from the start can be written as they are. */
static size_t plain_len(struct text t)
{
    size_t at = 0;

    for (;;) {
        at += text_plain_len((struct text){t.ptr + at, t.len - at});
        if (at == t.len || (unsigned char)t.ptr[at] < 0x80)
            return at;
        size_t len = text_utf8_len((struct text){t.ptr + at, t.len - at});

        if (len == 0)
            return at;
        at += len;
    }
}

void json_out_string(struct text_out *out, struct text t)
{
    text_out_char(out, '"');
    while (t.len > 0) {
        size_t len = plain_len(t);

        text_out_add(out, (struct text){t.ptr, len});
        t.ptr += len;
        t.len -= len;
        if (t.len == 0)
            break;
        unsigned char byte = (unsigned char)t.ptr[0];

        if (byte < 0x80)
            add_escaped(out, byte);
        else
            text_out_add(out, TEXT("\xef\xbf\xbd"));
        t.ptr++;
        t.len--;
    }
    text_out_char(out, '"');
}
