/* SPDX-License-Identifier: Apache-2.0 */
/* admin.c - a small HTTP/1.1 server on the control loop.      Runs on: control thread.
 * A visitor reads a head, a body where there is one, waits for its answer, writes it, and ends.  It reads on while it
 * waits: that is how its leaving is noticed. */
#include "admin/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "admin/api_json.h"
#include "http/body.h"
#include "http/parser.h"
#include "http/writer.h"
#include "identity/credential.h"
#include "identity/source.h"
#include "net/stream.h"

#define HEAD_BYTES        8192
#define TARGET_BYTES      2048
#define BODY_BYTES        ((size_t)65536)
#define ANSWER_HEAD_BYTES 512
#define VISIT_US          INT64_C(10000000)
#define VISITORS_MAX      64

struct admin {
    struct loop *loop;
    struct admin_terms terms;
    struct place {
        struct admin *admin;
        struct listener *listener;
        bool is_local;
    } places[ADMIN_PLACES_MAX];
    struct list visitors;
    int visitors_len;
};

enum visitor_state { VISITOR_NONE, READING_HEAD, READING_BODY, WAITING, WRITING };

/* One connection: a request in, an answer out, the end. */
struct visitor {
    struct stream stream;
    struct admin *admin;
    struct list link;
    struct timer timer;
    struct retired retired;
    enum visitor_state state;
    bool is_local; /* came by the Unix socket */
    struct http_parser parser;
    struct http_head head;
    char in[HEAD_BYTES];
    size_t in_len;
    struct body body;
    struct admin_found found;
    struct admin_ask ask;
    struct op op; /* the wait for the answer */
    struct admin_answer answer;
    char *out; /* owned; NULL until WRITING */
    size_t out_len, out_sent;
};

static void free_retired(struct retired *retired)
{
    free(container_of(retired, struct visitor, retired));
}

static void visitor_close(struct visitor *v)
{
    op_cancel(&v->op);
    stream_close(&v->stream);
    timer_clear(&v->timer);
    list_remove(&v->link);
    v->admin->visitors_len--;
    body_free(&v->body);
    free(v->answer.body);
    free(v->out);
    loop_retire(v->admin->loop, &v->retired, free_retired);
}

static void on_timer(struct timer *timer)
{
    visitor_close(container_of(timer, struct visitor, timer));
}

/* --- writing ------------------------------------------------------------------------------------------------------------ */

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

static void write_allow(struct text_out *out, unsigned methods)
{
    static const struct method {
        enum http_method method;
        const char *name;
    } names[] = {
        {METHOD_GET, "GET, HEAD"},
        {METHOD_POST, "POST"},
        {METHOD_DELETE, "DELETE"},
    };
    char buf[32];
    struct text_out list;

    text_out_init(&list, buf, sizeof(buf));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!(methods & 1U << names[i].method))
            continue;
        if (list.len > 0)
            text_out_add(&list, TEXT(", "));
        text_out_add(&list, text_of(names[i].name));
    }
    http_write_field(out, TEXT("allow"), text_out_text(&list));
}

/* Puts head and body together; an answer that finds no memory is a closed connection. */
static void send_answer(struct visitor *v)
{
    const struct admin_answer *answer = &v->answer;
    bool has_body = v->head.method != METHOD_HEAD;
    struct text_out out;

    v->state = WRITING;
    v->out = malloc(ANSWER_HEAD_BYTES + answer->body_len);
    if (!v->out) {
        visitor_close(v);
        return;
    }
    text_out_init(&out, v->out, ANSWER_HEAD_BYTES);
    http_write_status(&out, answer->status);
    http_write_field(&out, TEXT("content-type"), text_of(answer->content_type));
    http_write_int_field(&out, TEXT("content-length"), (int64_t)answer->body_len);
    http_write_field(&out, TEXT("cache-control"), TEXT("no-store"));
    if (answer->status == 401)
        http_write_field(&out, TEXT("www-authenticate"), TEXT("Bearer"));
    http_write_field(&out, TEXT("connection"), TEXT("close"));
    if (answer->status == 405)
        write_allow(&out, v->found.methods);
    http_write_end(&out);
    v->out_len = out.len;
    if (has_body && answer->body_len) {
        memcpy(v->out + out.len, answer->body, answer->body_len);
        v->out_len += answer->body_len;
    }
    write_more(v);
}

static void refuse(struct visitor *v, int status, const char *why)
{
    free(v->answer.body);
    v->answer = (struct admin_answer){.status = status};
    api_answer_error(&v->answer, status, why);
    send_answer(v);
}

/* --- answering ---------------------------------------------------------------------------------------------------------- */

/* By digests of equal length, so that the time says nothing about either. */
static bool is_token(const struct visitor *v)
{
    struct credential credential = credential_read(&v->head);
    unsigned char given[32], expected[32];

    if (credential.state != CREDENTIAL_TOKEN)
        return false;
    identity_sha256(credential.token, given);
    identity_sha256(text_of(v->admin->terms.token), expected);
    return CRYPTO_memcmp(given, expected, sizeof(given)) == 0;
}

/* True when it was refused. */
static bool refuse_by_access(struct visitor *v)
{
    enum admin_access access = v->found.route->access;

    if (access == ACCESS_OPEN || v->is_local)
        return false;
    if (v->admin->terms.token && !is_token(v)) {
        refuse(v, 401, "this needs the admin token, sent as: Authorization: Bearer TOKEN");
        return true;
    }
    if (!v->admin->terms.token && access == ACCESS_CHANGE) {
        refuse(v, 403,
               "without an admin token in the configuration, changes are taken by the Unix socket "
               "alone");
        return true;
    }
    return false;
}

static void on_answered(struct op *op, enum status st)
{
    struct visitor *v = container_of(op, struct visitor, op);

    if (st)
        refuse(v, 500, st == ST_NOMEM ? "this gateway is short of memory" : status_name(st));
    else
        send_answer(v);
}

static void ask_route(struct visitor *v)
{
    enum status st = body_text(&v->body, &v->ask.body);

    v->state = WAITING;
    v->answer = (struct admin_answer){.status = 200, .content_type = "text/plain; charset=utf-8"};
    if (st == ST_OK)
        st = v->found.route->answer(v->found.owner, &v->ask, &v->answer, &v->op);
    if (st != ST_PENDING)
        on_answered(&v->op, st);
}

/* --- reading ------------------------------------------------------------------------------------------------------------ */

static enum status feed_body(struct visitor *v, const char *bytes, size_t len)
{
    while (len > 0 && !v->parser.is_complete) {
        size_t taken = 0;
        struct text piece;
        enum status st = http_parser_body(&v->parser, bytes, len, &taken, &piece);

        if (st == ST_OK && piece.len)
            st = body_append(&v->body, piece);
        if (st)
            return st;
        bytes += taken;
        len -= taken;
    }
    return v->parser.is_complete ? ST_OK : ST_PENDING;
}

static void take_body(struct visitor *v, const char *bytes, size_t len)
{
    enum status st = feed_body(v, bytes, len);

    if (st == ST_OK)
        ask_route(v);
    else if (st == ST_LIMIT)
        refuse(v, 413, "the body is longer than the admin takes");
    else if (st != ST_PENDING)
        refuse(v, st == ST_INVALID ? 400 : 500, status_name(st));
}

/* False: a socket that cannot take these few bytes at once is broken. */
static bool say_continue(struct visitor *v)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec iov = {(char *)line, sizeof(line) - 1};
    size_t len = 0;

    return stream_write(&v->stream, &iov, 1, &len) == ST_OK && len == iov.iov_len;
}

static void take_head(struct visitor *v, const char *rest, size_t rest_len)
{
    enum http_method method = v->head.method == METHOD_HEAD ? METHOD_GET : v->head.method;

    route_find(v->admin->terms.tables, v->admin->terms.tables_len, method, v->head.path, &v->found);
    if (!v->found.route) {
        refuse(v, v->found.status,
               v->found.status == 405 ? "this path takes other methods: see Allow"
                                      : "no such path here");
        return;
    }
    v->ask = (struct admin_ask){.method = method, .param = v->found.param, .query = v->head.query};
    if (refuse_by_access(v))
        return;
    v->state = READING_BODY;
    if (v->head.expects_continue && rest_len == 0 && !say_continue(v))
        visitor_close(v);
    else if (v->parser.is_complete)
        ask_route(v);
    else
        take_body(v, rest, rest_len);
}

static void read_head(struct visitor *v)
{
    size_t len = 0, consumed = 0;
    enum status st;

    if (v->in_len == sizeof(v->in)) {
        refuse(v, 431, "the head is too large");
        return;
    }
    st = stream_read(&v->stream, v->in + v->in_len, sizeof(v->in) - v->in_len, &len);
    if (st == ST_PENDING)
        return;
    if (st != ST_OK) {
        visitor_close(v);
        return;
    }
    const char *bytes = v->in + v->in_len;
    v->in_len += len;
    st = http_parser_head(&v->parser, bytes, len, &consumed);
    if (st == ST_OK)
        take_head(v, bytes + consumed, len - consumed);
    else if (st == ST_INVALID)
        refuse(v, (int)v->parser.fault, "not a request of HTTP/1.1");
}

/* The body's bytes, and after them only the visitor's end is of interest. */
static void read_on(struct visitor *v)
{
    char buf[4096];
    size_t len = 0;
    enum status st = stream_read(&v->stream, buf, sizeof(buf), &len);

    if (st == ST_PENDING)
        return;
    if (st != ST_OK)
        visitor_close(v);
    else if (v->state == READING_BODY)
        take_body(v, buf, len);
}

static void on_ready(struct stream *stream, unsigned what)
{
    struct visitor *v = container_of(stream, struct visitor, stream);

    UNUSED(what);
    switch (v->state) {
    case READING_HEAD:
        read_head(v);
        return;
    case READING_BODY:
    case WAITING:
        read_on(v);
        return;
    case WRITING:
        write_more(v);
        return;
    case VISITOR_NONE:
        break;
    }
    ASSERT(!"a visitor without a state");
}

/* --- listening ---------------------------------------------------------------------------------------------------------- */

static void on_accept(void *owner, int fd, const struct address *from)
{
    static const struct http_limits limits = {TARGET_BYTES, HEAD_BYTES};
    struct place *place = owner;
    struct admin *admin = place->admin;
    struct visitor *v = admin->visitors_len < VISITORS_MAX ? calloc(1, sizeof(*v)) : NULL;

    UNUSED(from);
    if (!v) {
        close(fd);
        return;
    }
    v->admin = admin;
    v->is_local = place->is_local;
    v->state = READING_HEAD;
    v->op.done = on_answered;
    body_init(&v->body, BODY_BYTES, BODY_BYTES, "/tmp");
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

/* For its owner and group: whoever can open a Unix socket may change quotas. */
static enum status open_place(struct admin *admin, struct place *place, const struct address *at)
{
    mode_t before;
    enum status st;

    place->admin = admin;
    place->is_local = at->sa.sa_family == AF_UNIX;
    before = umask(0117);
    st = listener_open(admin->loop, at, on_accept, place, &place->listener);
    umask(before);
    return st;
}

enum status admin_open(const struct admin_terms *terms, struct admin **out)
{
    struct admin *admin = calloc(1, sizeof(*admin));

    if (!admin)
        return ST_NOMEM;
    ASSERT(terms->places_len <= ADMIN_PLACES_MAX && terms->tables_len <= ADMIN_TABLES_MAX);
    admin->loop = terms->loop;
    admin->terms = *terms;
    list_init(&admin->visitors);
    for (int i = 0; i < terms->places_len; i++) {
        enum status st = open_place(admin, &admin->places[i], terms->places[i]);

        if (st) {
            admin_close(&admin);
            return st;
        }
    }
    *out = admin;
    return ST_OK;
}

const struct address *admin_address(const struct admin *admin, int place)
{
    return listener_address(admin->places[place].listener);
}

void admin_set_token(struct admin *admin, const char *token)
{
    admin->terms.token = token;
}

void admin_close(struct admin **where)
{
    struct admin *admin = *where;

    if (!admin)
        return;
    *where = NULL;
    for (int i = 0; i < ADMIN_PLACES_MAX; i++) {
        if (admin->places[i].listener)
            listener_close(&admin->places[i].listener);
    }
    LIST_EACH (node, &admin->visitors)
        visitor_close(container_of(node, struct visitor, link));
    free(admin);
}
