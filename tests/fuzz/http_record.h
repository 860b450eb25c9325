/* SPDX-License-Identifier: Apache-2.0 */
/* http_record.h - feeds bytes to the parser as a connection would, cut into pieces, and writes down all that it told,
 * so that two ways of cutting can be compared byte by byte.  For fuzz_request.c and fuzz_answer.c. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "http/parser.h"

#define FUZZ_INPUT_MAX  8192
#define FUZZ_RECORD_MAX (1 << 18)

/* How the messages are to be read. */
struct fuzz_way {
    enum http_side side;
    struct http_limits limits;
    bool answers_head;
    unsigned seed; /* 0: all at once; 1: byte by byte; else pieces of odd sizes */
};

struct fuzz_record {
    char *text; /* owned */
    struct text_out out;
};

static inline size_t fuzz_step(struct fuzz_way *way, size_t left)
{
    if (way->seed == 0)
        return left;
    if (way->seed == 1)
        return 1;
    way->seed = way->seed * 1103515245U + 12345U;
    size_t step = 1 + (way->seed >> 16) % 61;
    return MIN(step, left);
}

static inline void fuzz_add(struct fuzz_record *r, const char *name, struct text value)
{
    text_out_add(&r->out, text_of(name));
    text_out_char(&r->out, value.ptr ? '=' : '-');
    text_out_int(&r->out, (int64_t)value.len);
    text_out_char(&r->out, ':');
    text_out_add(&r->out, value);
}

static inline void fuzz_number(struct fuzz_record *r, const char *name, int64_t value)
{
    text_out_add(&r->out, text_of(name));
    text_out_char(&r->out, '=');
    text_out_int(&r->out, value);
    text_out_char(&r->out, '\n');
}

static inline void fuzz_head(struct fuzz_record *r, const struct http_parser *p)
{
    const struct http_head *head = p->head;

    fuzz_add(r, "method", head->method_text);
    fuzz_add(r, "target", head->target);
    fuzz_add(r, "path", head->path);
    fuzz_add(r, "query", head->query);
    fuzz_number(r, "is", (int64_t)head->method);
    fuzz_number(r, "status", head->status);
    fuzz_number(r, "minor", head->minor_version);
    fuzz_number(r, "length", head->content_length);
    fuzz_number(r, "bytes", (int64_t)head->head_bytes);
    fuzz_number(r, "framing", (int64_t)p->framing);
    fuzz_number(r, "marks",
                head->is_chunked | head->has_body << 1 | head->keeps_alive << 2 |
                    head->expects_continue << 3 | head->wants_upgrade << 4 | p->is_interim << 5 |
                    p->is_complete << 6);
    for (int i = 0; i < head->fields_len; i++) {
        fuzz_add(r, head->fields[i].is_hop_by_hop ? "hop" : "field", head->fields[i].name);
        fuzz_add(r, "value", head->fields[i].value);
    }
}

/* What holds of every head that is let through. */
static inline void fuzz_check_head(const struct http_parser *p)
{
    const struct http_head *head = p->head;

    ASSERT(p->fault == HTTP_FAULT_NONE);
    ASSERT(head->head_bytes <= p->limits.head_bytes);
    ASSERT(head->fields_len >= 0 && head->fields_len <= HEAD_FIELDS_MAX);
    ASSERT(head_field_count(head, TEXT("Content-Length")) <= 1);
    ASSERT(head_field_count(head, TEXT("Transfer-Encoding")) <= 1);
    ASSERT(!head->is_chunked || head->content_length == -1);
    if (p->side == HTTP_REQUESTS) {
        ASSERT(head->target.len <= p->limits.target_bytes && head->path.len > 0);
        ASSERT(head_field_count(head, TEXT("Host")) == 1 || head->minor_version == 0);
        ASSERT(head->method != METHOD_NONE && p->framing != FRAMING_UNTIL_CLOSE);
    } else {
        ASSERT(head->status >= 100 && head->status <= 599);
    }
    for (int i = 0; i < head->fields_len; i++) {
        const struct http_field *field = &head->fields[i];
        ASSERT(field->name.len > 0 && field->value.ptr);
        for (size_t k = 0; k < field->name.len; k++)
            ASSERT(field->name.ptr[k] > ' ' && field->name.ptr[k] != ':');
        for (size_t k = 0; k < field->value.len; k++)
            ASSERT(!memchr("\r\n", field->value.ptr[k], 3));
        ASSERT(text_trim(field->value).len == field->value.len);
    }
}

/* Feeds one head; each feed lies at the end of a buffer of its own, so that reading past it, or into an older one, is
 * found out.  Returns how many bytes were taken; *buf holds the head until it is freed by the caller. */
static inline size_t fuzz_feed_head(struct http_parser *p, struct fuzz_way *way, struct text bytes,
                                    enum status *st, char **buf)
{
    size_t at = 0;

    *st = ST_PENDING;
    while (*st == ST_PENDING && at < bytes.len) {
        size_t len = fuzz_step(way, bytes.len - at);
        size_t taken = 0;
        char *moved = malloc(at + len);
        ASSERT(moved);
        memcpy(moved, bytes.ptr, at + len);
        free(*buf);
        *buf = moved;
        *st = http_parser_head(p, *buf + at, len, &taken);
        ASSERT(taken <= len && (*st != ST_PENDING || taken == len));
        at += taken;
    }
    return at;
}

static inline size_t fuzz_feed_body(struct http_parser *p, struct fuzz_way *way, struct text bytes,
                                    struct fuzz_record *r)
{
    size_t at = 0;

    text_out_add(&r->out, TEXT("body:"));
    while (!p->is_complete && at < bytes.len) {
        size_t len = fuzz_step(way, bytes.len - at);
        size_t taken = 0;
        struct text piece = TEXT_NONE;
        char *copy = malloc(len);
        ASSERT(copy);
        memcpy(copy, bytes.ptr + at, len);
        enum status st = http_parser_body(p, copy, len, &taken, &piece);
        if (st == ST_OK) {
            ASSERT(taken > 0 && taken <= len && piece.len <= taken);
            ASSERT(piece.len == 0 || (piece.ptr >= copy && piece.ptr + piece.len <= copy + taken));
            text_out_add(&r->out, piece);
            at += taken;
        }
        free(copy);
        if (st)
            break;
    }
    return at;
}

/* All messages of a connection, until a fault or the end. */
static inline struct fuzz_record fuzz_read(struct fuzz_way way, struct text bytes)
{
    struct fuzz_record r = {.text = malloc(FUZZ_RECORD_MAX)};
    struct http_parser p;
    static struct http_head head;
    bool is_first = true;

    ASSERT(r.text);
    text_out_init(&r.out, r.text, FUZZ_RECORD_MAX);
    http_parser_init(&p, way.side, &way.limits);
    while (is_first || (bytes.len > 0 && p.is_complete)) {
        char *buf = NULL;
        enum status st;
        http_parser_next(&p, &head);
        p.answers_head |= way.answers_head && is_first;
        is_first = false;
        size_t taken = fuzz_feed_head(&p, &way, bytes, &st, &buf);
        if (st == ST_OK) {
            fuzz_check_head(&p);
            fuzz_head(&r, &p);
            bytes = (struct text){bytes.ptr + taken, bytes.len - taken};
            taken = fuzz_feed_body(&p, &way, bytes, &r);
            bytes = (struct text){bytes.ptr + taken, bytes.len - taken};
        }
        free(buf);
    }
    fuzz_number(&r, "fault", (int64_t)p.fault);
    fuzz_number(&r, "end", (int64_t)http_parser_end(&p));
    fuzz_number(&r, "complete", p.is_complete);
    /* How much was taken of a message that is refused depends on how it was cut. */
    fuzz_number(&r, "left", p.fault ? 0 : (int64_t)bytes.len);
    ASSERT(!r.out.is_full);
    return r;
}

/* The three ways of cutting must tell the same. */
static inline void fuzz_compare(struct fuzz_way way, struct text bytes, unsigned seed)
{
    way.seed = 0;
    struct fuzz_record whole = fuzz_read(way, bytes);
    way.seed = 1;
    struct fuzz_record by_byte = fuzz_read(way, bytes);
    way.seed = seed + 2;
    struct fuzz_record odd = fuzz_read(way, bytes);

    if (!text_equal(text_out_text(&whole.out), text_out_text(&by_byte.out)) ||
        !text_equal(text_out_text(&whole.out), text_out_text(&odd.out)))
        (void)fprintf(stderr, "--- whole:\n%s\n--- byte by byte:\n%s\n--- in odd pieces:\n%s\n",
                      whole.text, by_byte.text, odd.text);
    ASSERT(text_equal(text_out_text(&whole.out), text_out_text(&by_byte.out)));
    ASSERT(text_equal(text_out_text(&whole.out), text_out_text(&odd.out)));
    free(whole.text);
    free(by_byte.text);
    free(odd.text);
}
