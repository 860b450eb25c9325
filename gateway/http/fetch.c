/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.c - one request, from connecting to closing.      Runs on: the thread of the loop.
 * While op is set, the timer runs, and either connect is pending or the stream is open; ending clears all of them before
 * the owner is told, so the owner may start the next fetch, or free this one at the end of the turn. */
#include "http/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "http/writer.h"

/* The request besides what the terms bring. */
#define ASKED_BYTES 256

static void stop(struct fetch *fetch)
{
    fetch->op = NULL;
    op_cancel(&fetch->connect);
    timer_clear(&fetch->timer);
    stream_close(&fetch->stream);
}

static void finish(struct fetch *fetch, enum status st)
{
    struct op *op = fetch->op;

    stop(fetch);
    op_done(op, st);
}

static enum status send_request(struct fetch *fetch)
{
    while (fetch->asked_sent < fetch->asked_len) {
        struct iovec rest = {fetch->asked + fetch->asked_sent,
                             fetch->asked_len - fetch->asked_sent};
        size_t sent = 0;
        enum status st = stream_write(&fetch->stream, &rest, 1, &sent);
        if (st == ST_PENDING) {
            stream_want(&fetch->stream, STREAM_READ | STREAM_WRITE);
            return ST_PENDING;
        }
        if (st)
            return ST_UNAVAILABLE;
        fetch->asked_sent += sent;
    }
    stream_want(&fetch->stream, STREAM_READ);
    return ST_PENDING;
}

/* A head is whole: of the answer, or of an interim one, which is dropped. */
static enum status take_head(struct fetch *fetch, size_t end_at)
{
    /* Nothing else than HTTP was asked for. */
    if (fetch->head.status == 101)
        return ST_INVALID;
    if (fetch->parser.is_interim) {
        http_parser_next(&fetch->parser, &fetch->head);
        return ST_OK;
    }
    fetch->body_at = end_at;
    return ST_OK;
}

/* Bytes from *at on are new; moves *at behind those that were taken.  Content moves down over its framing. */
static enum status take_some(struct fetch *fetch, size_t *at, size_t end)
{
    struct http_parser *p = &fetch->parser;
    size_t taken = 0;

    if (!p->is_head_done) {
        enum status st = http_parser_head(p, fetch->buf + *at, end - *at, &taken);
        if (st == ST_INVALID && p->fault == HTTP_FAULT_HEAD_TOO_LARGE)
            return ST_LIMIT;
        if (st == ST_INVALID)
            return st;
        *at += taken;
        return st == ST_OK ? take_head(fetch, *at) : ST_OK;
    }
    struct text piece;
    if (http_parser_body(p, fetch->buf + *at, end - *at, &taken, &piece))
        return ST_INVALID;
    if (piece.len > 0)
        memmove(fetch->buf + fetch->body_at + fetch->body_len, piece.ptr, piece.len);
    fetch->body_len += piece.len;
    *at += taken;
    return ST_OK;
}

static enum status take(struct fetch *fetch, size_t len)
{
    size_t at = fetch->buf_len;
    size_t end = at + len;

    while (at < end && !fetch->parser.is_complete) {
        enum status st = take_some(fetch, &at, end);
        if (st)
            return st;
    }
    fetch->buf_len = fetch->parser.is_head_done ? fetch->body_at + fetch->body_len : end;
    if (fetch->buf_len > fetch->max_bytes)
        return ST_LIMIT;
    return fetch->parser.is_complete ? ST_OK : ST_PENDING;
}

static enum status receive(struct fetch *fetch)
{
    enum status st = ST_PENDING;

    while (st == ST_PENDING) {
        size_t got = 0;
        /* buf is one byte longer than an answer may be, so there is room while the limit is not met. */
        st = stream_read(&fetch->stream, fetch->buf + fetch->buf_len,
                         fetch->buf_size - fetch->buf_len, &got);
        if (st == ST_PENDING)
            return ST_PENDING;
        if (st == ST_CLOSED)
            return http_parser_end(&fetch->parser) == ST_OK ? ST_OK : ST_UNAVAILABLE;
        if (st)
            return ST_UNAVAILABLE;
        st = take(fetch, got);
    }
    return st;
}

/* Carries on from whatever has become possible. */
static void advance(struct fetch *fetch)
{
    enum status st = send_request(fetch);

    if (st == ST_PENDING)
        st = receive(fetch);
    if (st == ST_PENDING)
        return;
    if (st == ST_OK)
        fetch->status = fetch->head.status;
    finish(fetch, st);
}

static void on_ready(struct stream *stream, unsigned what)
{
    UNUSED(what);
    advance(container_of(stream, struct fetch, stream));
}

static void on_connected(struct op *op, enum status st)
{
    struct fetch *fetch = container_of(op, struct fetch, connect);

    if (st)
        finish(fetch, st == ST_CLOSED ? ST_UNAVAILABLE : st);
    else
        advance(fetch);
}

static void on_timer(struct timer *timer)
{
    finish(container_of(timer, struct fetch, timer), ST_TIMEOUT);
}

static void on_cancel(struct op *op)
{
    stop(op->callee);
}

static bool is_target(struct text target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f)
            return false;
    }
    return text_starts_with(target, TEXT("/"));
}

static void write_authorization(struct text_out *out, struct text bearer)
{
    text_out_add(out, TEXT("Authorization: Bearer "));
    text_out_add(out, bearer);
    text_out_add(out, TEXT("\r\n"));
}

/* A token that could end its field would make another one. */
static bool is_bearer(struct text bearer)
{
    for (size_t i = 0; i < bearer.len; i++) {
        if (bearer.ptr[i] <= ' ' || bearer.ptr[i] >= 0x7f)
            return false;
    }
    return true;
}

static enum status write_request(struct fetch *fetch, const struct fetch_terms *terms)
{
    size_t size = ASKED_BYTES + terms->method.len + terms->host.len + terms->target.len +
                  terms->bearer.len + terms->json.len;
    struct text_out out;

    if (!is_target(terms->target) || !is_bearer(terms->bearer))
        return ST_INVALID;
    free(fetch->asked);
    fetch->asked = malloc(size);
    if (!fetch->asked)
        return ST_NOMEM;
    text_out_init(&out, fetch->asked, size);
    http_write_request(&out, terms->method.len ? terms->method : TEXT("GET"), terms->target);
    http_write_field(&out, TEXT("Host"), terms->host);
    http_write_field(&out, TEXT("User-Agent"), TEXT("meltguard"));
    http_write_field(&out, TEXT("Accept"), TEXT("*/*"));
    if (terms->bearer.len)
        write_authorization(&out, terms->bearer);
    if (terms->json.ptr) {
        http_write_field(&out, TEXT("Content-Type"), TEXT("application/json"));
        http_write_int_field(&out, TEXT("Content-Length"), (int64_t)terms->json.len);
    }
    http_write_field(&out, TEXT("Connection"), TEXT("close"));
    http_write_end(&out);
    if (terms->json.ptr)
        text_out_add(&out, terms->json);
    ASSERT(!out.is_full);
    fetch->asked_len = out.len;
    fetch->asked_sent = 0;
    return ST_OK;
}

static enum status make_room(struct fetch *fetch, size_t max_bytes)
{
    fetch->max_bytes = max_bytes;
    fetch->buf_len = 0;
    fetch->body_at = 0;
    fetch->body_len = 0;
    if (fetch->buf_size == max_bytes + 1)
        return ST_OK;
    free(fetch->buf);
    fetch->buf_size = 0;
    fetch->buf = malloc(max_bytes + 1);
    if (!fetch->buf)
        return ST_NOMEM;
    fetch->buf_size = max_bytes + 1;
    return ST_OK;
}

/* Connecting may succeed at once; then as much is sent as goes, and the rest happens in the loop. */
static enum status begin(struct fetch *fetch, const struct address *to)
{
    enum status st = ST_OK;

    fetch->stream.ready = on_ready;
    if (!stream_is_open(&fetch->stream))
        st = stream_connect(&fetch->stream, fetch->loop, to, &fetch->connect);
    return st == ST_OK ? send_request(fetch) : st;
}

void fetch_init(struct fetch *fetch)
{
    memset(fetch, 0, sizeof(*fetch));
    fetch->connect.done = on_connected;
    timer_init(&fetch->timer, on_timer);
}

enum status fetch_start(struct fetch *fetch, struct loop *loop, const struct fetch_terms *terms,
                        struct op *op)
{
    struct http_limits limits = {.target_bytes = 0, .head_bytes = terms->max_bytes};

    ASSERT(!fetch->op && !op_is_pending(op));
    fetch->loop = loop;
    fetch->status = 0;
    enum status st = write_request(fetch, terms);
    if (!st)
        st = make_room(fetch, terms->max_bytes);
    if (!st) {
        http_parser_init(&fetch->parser, HTTP_ANSWERS, &limits);
        http_parser_next(&fetch->parser, &fetch->head);
        st = begin(fetch, terms->to);
    }
    if (st != ST_PENDING) {
        stop(fetch);
        return st;
    }
    timer_set(loop, &fetch->timer, loop_now_us(loop) + (int64_t)terms->timeout_ms * 1000);
    fetch->op = op;
    op->cancel = on_cancel;
    op->callee = fetch;
    return ST_PENDING;
}

struct text fetch_body(const struct fetch *fetch)
{
    return (struct text){fetch->buf ? fetch->buf + fetch->body_at : "", fetch->body_len};
}

void fetch_fini(struct fetch *fetch)
{
    if (fetch->op)
        op_cancel(fetch->op);
    stop(fetch);
    free(fetch->asked);
    free(fetch->buf);
    fetch->asked = NULL;
    fetch->buf = NULL;
    fetch->buf_size = 0;
}
