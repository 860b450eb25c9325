/* SPDX-License-Identifier: Apache-2.0 */
/* text.h - slices of bytes, and a bounded buffer to print into.  Nothing here allocates. */
#pragma once

#include <string.h>

#include "base/status.h"

/* Bytes somewhere else, not NUL-terminated.  {NULL, 0} is "none". */
struct text {
    const char *ptr;
    size_t len;
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})
#define TEXT_NONE     ((struct text){NULL, 0})
/* For printf: printf("%.*s", TEXT_ARG(t)). */
#define TEXT_ARG(t) (int)(t).len, (t).ptr

struct text text_of(const char *cstr); /* NULL gives TEXT_NONE */
bool text_same_nocase(const char *a, const char *b, size_t len);

static inline bool text_equal(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII only.  Lengths or first letters differ nearly always: compared first, inline. */
static inline bool text_equal_nocase(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || (((a.ptr[0] ^ b.ptr[0]) & ~0x20) == 0 &&
                                             text_same_nocase(a.ptr, b.ptr, a.len)));
}

bool text_starts_with(struct text t, struct text prefix);

/* Drops spaces and tabs (RFC 9110 OWS) at both ends. */
static inline struct text text_trim(struct text t)
{
    while (t.len > 0 && (t.ptr[0] == ' ' || t.ptr[0] == '\t')) {
        t.ptr++;
        t.len--;
    }
    while (t.len > 0 && (t.ptr[t.len - 1] == ' ' || t.ptr[t.len - 1] == '\t'))
        t.len--;
    return t;
}

/* Cuts the next element off *rest at the separator; elements are trimmed and may be empty, but a separator at the very
 * end is followed by none.  False when *rest is used up. */
bool text_next(struct text *rest, char separator, struct text *out);

/* Strict decimal: digits only, no sign, no blanks, no overflow.  ST_OK or ST_INVALID. */
MUST_CHECK enum status text_to_u64(struct text t, uint64_t *out);

/* The length (1..4) of the well-formed UTF-8 sequence that t begins with, by RFC 3629; 0 where there is none. */
size_t text_utf8_len(struct text t);
/* How many bytes from the start are printable ASCII that a JSON string holds as it is: no quote, no backslash. */
size_t text_plain_len(struct text t);
/* How many bytes from the start are ASCII and neither a blank, a control character nor this one, which is ASCII, too. */
size_t text_visible_len(struct text t, char other);

/* A bounded output buffer.  Once something did not fit, the buffer is filled to its end, is_full is set, the rest is
 * dropped, and the caller checks once at the end.  buf is always NUL-terminated when size > 0; len never counts the
 * NUL. */
struct text_out {
    char *buf;
    size_t size;
    size_t len;
    bool is_full;
};

void text_out_init(struct text_out *out, char *buf, size_t size);
void text_out_add_part(struct text_out *out, struct text t);

/* Is there room for so many bytes, and the NUL?  Once it is full there is none for any. */
static inline bool text_out_fits(const struct text_out *out, size_t len)
{
    return out->size - out->len > len;
}

/* Inline, so that a literal costs a few stores. */
static inline void text_out_add(struct text_out *out, struct text t)
{
    size_t len = out->len;

    if (!text_out_fits(out, t.len)) {
        text_out_add_part(out, t);
        return;
    }
    char *at = out->buf + len;
    if (t.len > 0)
        memcpy(at, t.ptr, t.len);
    at[t.len] = '\0';
    out->len = len + t.len;
}

static inline void text_out_char(struct text_out *out, char c)
{
    text_out_add(out, (struct text){&c, 1});
}

void text_out_int(struct text_out *out, int64_t value); /* decimal; fast, no printf */
void text_out_digits(struct text_out *out, unsigned value, int width); /* the last ones: "007" */
void text_out_time(struct text_out *out, int64_t at_s); /* UTC: "2026-11-22T00:00:00" */
void text_out_printf(struct text_out *out, const char *format, ...) PRINTF_LIKE(2, 3);
void text_out_hex(struct text_out *out, const void *bytes, size_t len); /* lower case */
struct text text_out_text(const struct text_out *out);

/* 2*len lower- or upper-case hex digits to bytes.  ST_OK or ST_INVALID. */
MUST_CHECK enum status text_unhex(struct text hex, void *out_bytes, size_t len);
