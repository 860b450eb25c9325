/* SPDX-License-Identifier: Apache-2.0 */
/* feed.c - feeds messages to the parser, cut in every way that matters. */
#include "unit/http/feed.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A fresh copy of the head so far, with more bytes behind it. */
static char *grow(char *buf, size_t len, const char *more, size_t more_len)
{
    char *grown = malloc(len + more_len > 0 ? len + more_len : 1);

    cr_assert(grown);
    if (len > 0)
        memcpy(grown, buf, len);
    if (more_len > 0)
        memcpy(grown + len, more, more_len);
    free(buf);
    return grown;
}

static size_t feed_head(struct fed *fed, struct text bytes, size_t step)
{
    size_t at = 0;

    while (fed->st == ST_PENDING && at < bytes.len) {
        size_t len = MIN(step, bytes.len - at);
        size_t taken = 0;
        fed->buf = grow(fed->buf, at, bytes.ptr + at, len);
        fed->st = http_parser_head(&fed->parser, fed->buf + at, len, &taken);
        cr_assert_leq(taken, len);
        if (fed->st == ST_PENDING)
            cr_assert_eq(taken, len);
        at += taken;
    }
    return at;
}

static void feed_body(struct fed *fed, struct text bytes, size_t step)
{
    size_t at = 0;

    while (!fed->st && !fed->parser.is_complete && at < bytes.len) {
        size_t len = MIN(step, bytes.len - at);
        size_t taken = 0;
        struct text piece = TEXT_NONE;
        fed->st = http_parser_body(&fed->parser, bytes.ptr + at, len, &taken, &piece);
        if (fed->st)
            return;
        cr_assert(taken > 0 && taken <= len && piece.len <= taken);
        cr_assert_leq(fed->body_len + piece.len, FEED_BODY_MAX);
        if (piece.len > 0)
            memcpy(fed->body + fed->body_len, piece.ptr, piece.len);
        fed->body_len += piece.len;
        at += taken;
        fed->consumed += taken;
    }
}

void feed(struct fed *fed, const struct feed_options *options, struct text bytes)
{
    struct http_limits limits = options->limits;
    size_t step = options->step > 0 ? options->step : MAX(bytes.len, 1U);

    if (limits.target_bytes == 0)
        limits.target_bytes = 8192;
    if (limits.head_bytes == 0)
        limits.head_bytes = 16384;
    memset(fed, 0, sizeof(*fed));
    http_parser_init(&fed->parser, options->side, &limits);
    http_parser_next(&fed->parser, &fed->head);
    fed->parser.answers_head = options->answers_head;
    fed->st = ST_PENDING;
    fed->consumed = feed_head(fed, bytes, step);
    if (!fed->st)
        feed_body(fed, (struct text){bytes.ptr + fed->consumed, bytes.len - fed->consumed}, step);
}

void fed_free(struct fed *fed)
{
    free(fed->buf);
    fed->buf = NULL;
}

static void assert_same_head(const struct http_head *a, const struct http_head *b)
{
    cr_assert(text_equal(a->method_text, b->method_text) && text_equal(a->target, b->target));
    cr_assert(text_equal(a->path, b->path) && text_equal(a->query, b->query));
    cr_assert(a->status == b->status && a->content_length == b->content_length);
    cr_assert(a->has_body == b->has_body && a->keeps_alive == b->keeps_alive);
    cr_assert(a->head_bytes == b->head_bytes && a->fields_len == b->fields_len);
    for (int i = 0; i < a->fields_len; i++) {
        cr_assert(text_equal(a->fields[i].name, b->fields[i].name));
        cr_assert(text_equal(a->fields[i].value, b->fields[i].value));
        cr_assert_eq(a->fields[i].is_hop_by_hop, b->fields[i].is_hop_by_hop);
    }
}

void feed_all_ways(struct fed *fed, const struct feed_options *options, struct text bytes)
{
    struct fed *cut = malloc(sizeof(*cut));

    cr_assert(cut);
    feed(fed, options, bytes);
    for (size_t step = 1; step < 8; step++) {
        struct feed_options stepped = *options;
        stepped.step = step;
        feed(cut, &stepped, bytes);
        cr_assert_eq(cut->st, fed->st, "step %zu: %s, whole: %s, for %.60s", step,
                     status_name(cut->st), status_name(fed->st), bytes.ptr);
        cr_assert_eq(cut->parser.fault, fed->parser.fault, "step %zu: %d, whole: %d, for %.60s",
                     step, (int)cut->parser.fault, (int)fed->parser.fault, bytes.ptr);
        cr_assert_eq(cut->parser.is_complete, fed->parser.is_complete);
        if (fed->parser.is_head_done)
            assert_same_head(&cut->head, &fed->head);
        cr_assert(text_equal((struct text){cut->body, cut->body_len},
                             (struct text){fed->body, fed->body_len}));
        if (!fed->st)
            cr_assert_eq(cut->consumed, fed->consumed);
        fed_free(cut);
    }
    free(cut);
}

void feed_request(struct fed *fed, struct text bytes)
{
    feed_all_ways(fed, &(struct feed_options){.side = HTTP_REQUESTS}, bytes);
}

void feed_refuse_all(const struct refusal *refusals, size_t len)
{
    static struct fed fed;

    for (size_t i = 0; i < len; i++) {
        feed_request(&fed, refusals[i].bytes);
        cr_expect_eq(fed.st, ST_INVALID, "%s: %s", refusals[i].what, status_name(fed.st));
        cr_expect_eq(fed.parser.fault, refusals[i].fault, "%s: %d", refusals[i].what,
                     (int)fed.parser.fault);
        fed_free(&fed);
    }
}

void feed_assert_text(struct text got, const char *expected)
{
    cr_assert(text_equal(got, text_of(expected)), "got '%.*s', expected '%s'", TEXT_ARG(got),
              expected);
}
