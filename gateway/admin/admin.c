/* SPDX-License-Identifier: Apache-2.0 */
/* admin.c - a small HTTP/1.1 server for GET, on the control loop.      Runs on: control thread. */
#include "admin/admin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/parser.h"
#include "http/writer.h"
#include "net/stream.h"

#define HEAD_BYTES        8192
#define TARGET_BYTES      2048
#define ANSWER_HEAD_BYTES 512
#define VISIT_US          INT64_C(10000000)
#define VISITORS_MAX      64

struct admin {
    struct loop *loop;
    struct listener *listener;
    const struct admin_route *routes;
    void *owner;
    struct list visitors;
    int visitors_len;
};

/* One connection: a head in, an answer out, the end. */
struct visitor {
    struct stream stream;
    struct admin *admin;
    struct list link;
    struct timer timer;
    struct retired retired;
    struct http_parser parser;
    struct http_head head;
    char in[HEAD_BYTES];
    size_t in_len;
    char *out; /* owned; NULL while reading */
    size_t out_len, out_sent;
};

static void free_retired(struct retired *retired)
{
    free(container_of(retired, struct visitor, retired));
}

static void visitor_close(struct visitor *v)
{
    stream_close(&v->stream);
    timer_clear(&v->timer);
    list_remove(&v->link);
    v->admin->visitors_len--;
    free(v->out);
    loop_retire(v->admin->loop, &v->retired, free_retired);
}

static void on_timer(struct timer *timer)
{
    visitor_close(container_of(timer, struct visitor, timer));
}

static void write_more(struct visitor *v)
{
    while (v->out_sent < v->out_len) {
        struct iovec iov = {v->out + v->out_sent, v->out_len - v->out_sent};
        size_t len = 0;
        enum status st = stream_write(&v->stream, &iov, 1, &len);

        if (st == ST_PENDING) {
            stream_want(&v->stream, STREAM_WRITE);
            return;
        }
        if (st != ST_OK)
            break;
        v->out_sent += len;
    }
    visitor_close(v);
}

/* Puts head and body together; an answer that finds no memory is a closed connection. */
static void send_answer(struct visitor *v, struct admin_answer *answer)
{
    bool has_body = v->head.method != METHOD_HEAD;
    struct text_out out;

    v->out = malloc(ANSWER_HEAD_BYTES + answer->body_len);
    if (!v->out) {
        free(answer->body);
        visitor_close(v);
        return;
    }
    text_out_init(&out, v->out, ANSWER_HEAD_BYTES);
    http_write_status(&out, answer->status);
    http_write_field(&out, TEXT("content-type"), text_of(answer->content_type));
    http_write_int_field(&out, TEXT("content-length"), (int64_t)answer->body_len);
    http_write_field(&out, TEXT("cache-control"), TEXT("no-store"));
    http_write_field(&out, TEXT("connection"), TEXT("close"));
    if (answer->status == 405)
        http_write_field(&out, TEXT("allow"), TEXT("GET, HEAD"));
    http_write_end(&out);
    v->out_len = out.len;
    if (has_body && answer->body_len) {
        memcpy(v->out + out.len, answer->body, answer->body_len);
        v->out_len += answer->body_len;
    }
    free(answer->body);
    write_more(v);
}

static void refuse(struct visitor *v, int status)
{
    struct admin_answer answer = {.status = status, .content_type = "text/plain"};

    send_answer(v, &answer);
}

static void answer_request(struct visitor *v)
{
    struct admin *admin = v->admin;
    struct admin_answer answer = {.status = 200, .content_type = "text/plain; charset=utf-8"};

    if (v->head.method != METHOD_GET && v->head.method != METHOD_HEAD) {
        refuse(v, 405);
        return;
    }
    for (const struct admin_route *route = admin->routes; route->path; route++) {
        if (text_equal(v->head.path, text_of(route->path))) {
            route->answer(admin->owner, &answer);
            send_answer(v, &answer);
            return;
        }
    }
    refuse(v, 404);
}

static void read_more(struct visitor *v)
{
    size_t len = 0, consumed = 0;
    enum status st;

    if (v->in_len == sizeof(v->in)) {
        refuse(v, 431);
        return;
    }
    st = stream_read(&v->stream, v->in + v->in_len, sizeof(v->in) - v->in_len, &len);
    if (st == ST_PENDING)
        return;
    if (st != ST_OK) {
        visitor_close(v);
        return;
    }
    v->in_len += len;
    st = http_parser_head(&v->parser, v->in + v->in_len - len, len, &consumed);
    if (st == ST_OK)
        answer_request(v);
    else if (st == ST_INVALID)
        refuse(v, (int)v->parser.fault);
}

static void on_ready(struct stream *stream, unsigned what)
{
    struct visitor *v = container_of(stream, struct visitor, stream);

    UNUSED(what);
    if (v->out)
        write_more(v);
    else
        read_more(v);
}

static void on_accept(void *owner, int fd, const struct address *from)
{
    static const struct http_limits limits = {TARGET_BYTES, HEAD_BYTES};
    struct admin *admin = owner;
    struct visitor *v = admin->visitors_len < VISITORS_MAX ? calloc(1, sizeof(*v)) : NULL;

    UNUSED(from);
    if (!v) {
        close(fd);
        return;
    }
    v->admin = admin;
    list_init(&v->link);
    list_push_back(&admin->visitors, &v->link);
    admin->visitors_len++;
    http_parser_init(&v->parser, HTTP_REQUESTS, &limits);
    http_parser_next(&v->parser, &v->head);
    timer_init(&v->timer, on_timer);
    timer_set(admin->loop, &v->timer, loop_now_us(admin->loop) + VISIT_US);
    stream_open(&v->stream, admin->loop, fd);
    v->stream.ready = on_ready;
    stream_want(&v->stream, STREAM_READ);
}

enum status admin_open(struct loop *loop, const struct address *at,
                       const struct admin_route *routes, void *owner, struct admin **out)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    enum status st;

    if (!admin)
        return ST_NOMEM;
    admin->loop = loop;
    admin->routes = routes;
    admin->owner = owner;
    list_init(&admin->visitors);
    st = listener_open(loop, at, on_accept, admin, &admin->listener);
    if (st) {
        free(admin);
        return st;
    }
    *out = admin;
    return ST_OK;
}

const struct address *admin_address(const struct admin *admin)
{
    return listener_address(admin->listener);
}

void admin_close(struct admin **where)
{
    struct admin *admin = *where;

    if (!admin)
        return;
    *where = NULL;
    listener_close(&admin->listener);
    LIST_EACH (node, &admin->visitors)
        visitor_close(container_of(node, struct visitor, link));
    free(admin);
}
