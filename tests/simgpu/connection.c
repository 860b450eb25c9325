/* SPDX-License-Identifier: Apache-2.0 */
/* connection.c - see connection.h. */
#include "simgpu/connection.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/writer.h"
#include "simgpu/route.h"
#include "simgpu/work.h"

#define BODY_MAX      ((size_t)256 * 1024 * 1024)
#define OUT_KEEP      ((size_t)64 * 1024)
#define RESET_WAIT_US 50000

static const struct http_limits limits = {.target_bytes = 16384, .head_bytes = SIM_HEAD_MAX};

static void free_retired(struct retired *retired)
{
    free(container_of(retired, struct connection, retired));
}

/* What is left to do once the stream is closed. */
static void leave(struct connection *c)
{
    timer_clear(&c->reset);
    list_remove(&c->link);
    if (c->job != NULL)
        work_abandon(c->job);
    buffer_clear(&c->body, 0);
    buffer_clear(&c->out, 0);
    loop_retire(c->sim->loop, &c->retired, free_retired);
}

void connection_close(struct connection *c)
{
    if (!stream_is_open(&c->stream))
        return;
    stream_close(&c->stream);
    leave(c);
}

static void fire_reset(struct timer *timer)
{
    struct connection *c = container_of(timer, struct connection, reset);

    stream_reset(&c->stream);
    leave(c);
}

/* Is the request in what was read so far?  ST_OK, ST_PENDING, ST_INVALID. */
static enum status parse_head(struct connection *c)
{
    size_t used;
    enum status st =
        http_parser_head(&c->parser, c->in + c->parsed_len, c->in_len - c->parsed_len, &used);

    if (st == ST_PENDING)
        c->parsed_len = c->in_len;
    if (st != ST_OK)
        return st;
    c->parsed_len += used;
    c->head_len = c->parsed_len;
    if (c->head.expects_continue && c->parsed_len == c->in_len) {
        buffer_add(&c->out, TEXT("HTTP/1.1 100 Continue\r\n\r\n"));
        connection_flush(c);
    }
    return ST_OK;
}

/* The usual body lies whole behind its head and is not copied. */
static enum status collect(struct connection *c, struct text piece)
{
    if (c->parser.is_complete && c->body.len == 0) {
        if (piece.len > 0)
            c->content = piece;
        return ST_OK;
    }
    if (piece.len > BODY_MAX - c->body.len)
        return ST_INVALID;
    buffer_add(&c->body, piece);
    c->content = buffer_text(&c->body);
    return ST_OK;
}

static enum status parse_body(struct connection *c)
{
    while (c->head.has_body && !c->parser.is_complete) {
        size_t used;
        struct text piece;

        if (c->parsed_len == c->in_len) {
            /* The head must stay where it is; its body need not. */
            c->parsed_len = c->head_len;
            c->in_len = c->head_len;
            return ST_PENDING;
        }
        if (http_parser_body(&c->parser, c->in + c->parsed_len, c->in_len - c->parsed_len, &used,
                             &piece))
            return ST_INVALID;
        c->parsed_len += used;
        if (collect(c, piece))
            return ST_INVALID;
    }
    return ST_OK;
}

static enum status parse_request(struct connection *c)
{
    if (c->head_len == 0) {
        if (c->parsed_len == c->in_len)
            return ST_PENDING;
        enum status st = parse_head(c);
        if (st != ST_OK)
            return st;
    }
    return parse_body(c);
}

static void refuse(struct connection *c)
{
    int status = c->head_len == 0 && c->parser.fault ? (int)c->parser.fault : 400;
    char line[200];
    struct text_out out;

    text_out_init(&out, line, sizeof(line));
    http_write_status(&out, status);
    http_write_int_field(&out, TEXT("Content-Length"), 0);
    http_write_field(&out, TEXT("Connection"), TEXT("close"));
    http_write_end(&out);
    buffer_add(&c->out, text_out_text(&out));
    c->is_answering = true;
    connection_end(c, ENDING_CLOSE);
}

/* Makes ready for the next request, whose first bytes may be there already. */
static void next_request(struct connection *c)
{
    memmove(c->in, c->in + c->parsed_len, c->in_len - c->parsed_len);
    c->in_len -= c->parsed_len;
    c->parsed_len = 0;
    c->head_len = 0;
    c->content = TEXT_NONE;
    c->ending = ENDING_NONE;
    c->is_answering = false;
    buffer_clear(&c->body, OUT_KEEP);
    http_parser_next(&c->parser, &c->head);
}

static void process(struct connection *c)
{
    if (c->is_processing)
        return;
    c->is_processing = true;
    while (stream_is_open(&c->stream) && !c->is_answering) {
        enum status st = parse_request(c);

        if (st == ST_PENDING)
            break;
        if (st != ST_OK) {
            refuse(c);
            break;
        }
        c->is_answering = true;
        route(c);
    }
    c->is_processing = false;
    if (stream_is_open(&c->stream) && !c->is_answering)
        stream_want(&c->stream, STREAM_READ | (c->stream.wanted & STREAM_WRITE));
}

static void read_more(struct connection *c)
{
    size_t room = sizeof(c->in) - c->in_len;
    size_t len = 0;

    if (room == 0) {
        /* A whole head fits, so this is the next request: it waits in the kernel. */
        stream_want(&c->stream, c->stream.wanted & STREAM_WRITE);
        return;
    }
    enum status st = stream_read(&c->stream, c->in + c->in_len, room, &len);
    if (st == ST_PENDING)
        return;
    if (st != ST_OK) {
        connection_close(c);
        return;
    }
    c->in_len += len;
    if (!c->is_answering)
        process(c);
}

static void on_ready(struct stream *stream, unsigned what)
{
    struct connection *c = container_of(stream, struct connection, stream);

    if (what & STREAM_WRITE)
        connection_flush(c);
    if ((what & STREAM_READ) && stream_is_open(&c->stream))
        read_more(c);
}

/* All was sent: what the end of the answer means for the connection. */
static void all_sent(struct connection *c)
{
    c->out_sent = 0;
    c->lent = TEXT_NONE;
    c->lent_sent = 0;
    buffer_clear(&c->out, OUT_KEEP);
    if (c->stream.wanted & STREAM_WRITE)
        stream_want(&c->stream, c->stream.wanted & STREAM_READ);
    if (c->ending == ENDING_NONE)
        return;
    if (c->ending == ENDING_RESET) {
        stream_want(&c->stream, 0);
        timer_set(c->sim->loop, &c->reset, loop_now_us(c->sim->loop) + RESET_WAIT_US);
    } else if (connection_closes(c)) {
        connection_close(c);
    } else {
        next_request(c);
        process(c);
    }
}

void connection_flush(struct connection *c)
{
    while (c->out_sent < c->out.len || c->lent_sent < c->lent.len) {
        struct iovec iov[2] = {
            {c->out.bytes + c->out_sent, c->out.len - c->out_sent},
            {(char *)c->lent.ptr + c->lent_sent, c->lent.len - c->lent_sent},
        };
        int skip = iov[0].iov_len == 0;
        int len = 2 - skip - (iov[1].iov_len == 0);
        size_t sent = 0;
        enum status st = stream_write(&c->stream, iov + skip, len, &sent);

        if (st == ST_PENDING) {
            stream_want(&c->stream, c->stream.wanted | STREAM_WRITE);
            return;
        }
        if (st != ST_OK) {
            connection_close(c);
            return;
        }
        size_t of_out = MIN(sent, c->out.len - c->out_sent);
        c->out_sent += of_out;
        c->lent_sent += sent - of_out;
    }
    all_sent(c);
}

void connection_end(struct connection *c, enum ending ending)
{
    c->ending = ending;
    connection_flush(c);
}

bool connection_closes(const struct connection *c)
{
    return c->ending == ENDING_CLOSE || c->ending == ENDING_RESET || !c->head.keeps_alive;
}

void connection_close_idle(struct sim *sim)
{
    LIST_EACH (node, &sim->connections) {
        struct connection *c = container_of(node, struct connection, link);

        if (!c->is_answering && c->in_len == 0)
            connection_close(c);
    }
}

void connection_accept(struct sim *sim, int fd)
{
    struct connection *c = malloc(sizeof(*c));

    if (c == NULL) {
        close(fd);
        return;
    }
    memset(c, 0, offsetof(struct connection, in));
    c->sim = sim;
    sim->connections_total++;
    list_init(&c->link);
    list_push_back(&sim->connections, &c->link);
    timer_init(&c->reset, fire_reset);
    http_parser_init(&c->parser, HTTP_REQUESTS, &limits);
    http_parser_next(&c->parser, &c->head);
    stream_open(&c->stream, sim->loop, fd);
    c->stream.ready = on_ready;
    stream_want(&c->stream, STREAM_READ);
}
