/* SPDX-License-Identifier: Apache-2.0 */
/* redis_link.c - see redis_link.h.      Runs on: worker.
 * The calls list and the connection share one fate: break_link() answers every call with NULL, in order, and only then
 * tells the owner.  Nothing is written inside a caller's call, so nothing can break there. */

#include "quota/redis_link.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define READ_BYTES     16384
#define BACKOFF_MIN_US INT64_C(50000)
#define BACKOFF_MAX_US INT64_C(1000000)

static bool is_talking(const struct redis_link *link)
{
    return link->state == LINK_GREETING || link->state == LINK_UP;
}

bool redis_link_is_up(const struct redis_link *link)
{
    return link->state == LINK_UP;
}

bool redis_link_is_refusing(const struct redis_link *link)
{
    return link->breaker.state != BREAKER_CLOSED;
}

bool redis_error_is_down(const char *error)
{
    static const char *const words[] = {"OOM ",    "MISCONF ",    "READONLY ",    "LOADING ",
                                        "BUSY ",   "NOAUTH ",     "CLUSTERDOWN ", "TRYAGAIN ",
                                        "NOPERM ", "MASTERDOWN ", "NOREPLICAS "};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strncmp(error, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* --- commands out --- */

static bool make_room(struct redis_link *link, size_t len)
{
    if (link->out_from == link->out_len)
        link->out_from = link->out_len = 0;
    if (link->out_size - link->out_len >= len)
        return true;

    size_t size = MAX(link->out_size * 2, link->out_len + len + 4096);
    char *out = realloc(link->out, size);

    if (!out) {
        link->is_out_of_memory = true;
        return false;
    }
    link->out = out;
    link->out_size = size;
    return true;
}

static void add(struct redis_link *link, const char *bytes, size_t len)
{
    if (!make_room(link, len))
        return;
    memcpy(link->out + link->out_len, bytes, len);
    link->out_len += len;
}

/* "*3\r\n", "$11\r\n" */
static void add_count(struct redis_link *link, char kind, size_t count)
{
    char buf[32];
    struct text_out text;

    text_out_init(&text, buf, sizeof(buf));
    text_out_char(&text, kind);
    text_out_int(&text, (int64_t)count);
    text_out_add(&text, TEXT("\r\n"));
    add(link, buf, text.len);
}

void redis_link_begin(struct redis_link *link, int args)
{
    ASSERT(is_talking(link));
    add_count(link, '*', (size_t)args);
}

void redis_link_arg(struct redis_link *link, struct text arg)
{
    add_count(link, '$', arg.len);
    add(link, arg.ptr, arg.len);
    add(link, "\r\n", 2);
}

void redis_link_arg_int(struct redis_link *link, int64_t arg)
{
    char buf[24];
    struct text_out text;

    text_out_init(&text, buf, sizeof(buf));
    text_out_int(&text, arg);
    redis_link_arg(link, text_out_text(&text));
}

void redis_link_end(struct redis_link *link, struct redis_call *call)
{
    call->of = link;
    call->queued_us = loop_now_us(link->loop);
    call->end = link->written_bytes + (link->out_len - link->out_from);
    if (list_is_empty(&link->calls) && link->state == LINK_UP)
        timer_set(link->loop, &link->deadline, call->queued_us + link->target->timeout_us);
    list_push_back(&link->calls, &call->link);
    if (link->to_write == &link->calls)
        link->to_write = &call->link;
    loop_at_turn_end(link->loop, &link->flush);
}

/* --- the end of a connection --- */

static void answer_lost(struct redis_link *link)
{
    link->to_write = &link->calls;
    for (struct list *node = list_pop_front(&link->calls); node;
         node = list_pop_front(&link->calls)) {
        struct redis_call *call = container_of(node, struct redis_call, link);

        call->done(call, NULL);
    }
}

static void drop_connection(struct redis_link *link)
{
    op_cancel(&link->connected);
    stream_close(&link->stream);
    if (link->reader)
        redisReaderFree(link->reader);
    link->reader = NULL;
    link->out_from = link->out_len = 0;
    link->is_out_of_memory = false;
    timer_clear(&link->deadline);
    timer_clear(&link->sync);
    turn_hook_cancel(&link->flush);
    link->state = LINK_WAITING;
}

/* Decides when the next attempt is made. */
static void judge(struct redis_link *link, const char *why, int open_after)
{
    int64_t now_us = loop_now_us(link->loop);
    struct breaker_rule rule = {.open_after = open_after, .open_for_us = link->backoff_us};

    if (!breaker_failed(&link->breaker, &rule, now_us)) {
        timer_set(link->loop, &link->deadline, now_us);
        return;
    }
    if (!link->is_down_said)
        log_event(LOG_ERROR, "quota_store_down", "store=redis why=\"%s\"", why);
    link->is_down_said = true;
    link->backoff_us = MIN(link->backoff_us * 2, BACKOFF_MAX_US);
    timer_set(link->loop, &link->deadline, link->breaker.retry_at_us);
}

static void break_link(struct redis_link *link, const char *why, int open_after)
{
    drop_connection(link);
    judge(link, why, open_after);
    answer_lost(link);
    link->lost(link);
}

void redis_link_give_up(struct redis_link *link, const char *why)
{
    break_link(link, why, 1);
}

/* --- bytes --- */

static void tell_written(struct redis_link *link)
{
    while (link->to_write != &link->calls) {
        struct redis_call *call = container_of(link->to_write, struct redis_call, link);

        if (call->end > link->written_bytes)
            return;
        link->to_write = link->to_write->next;
        if (call->written)
            call->written(call);
    }
}

static void flush(struct redis_link *link)
{
    enum status st = ST_OK;

    if (link->is_out_of_memory) {
        break_link(link, "no memory", 1);
        return;
    }
    while (!st && link->out_from < link->out_len) {
        struct iovec iov = {link->out + link->out_from, link->out_len - link->out_from};
        size_t len = 0;

        st = stream_write(&link->stream, &iov, 1, &len);
        if (!st) {
            link->out_from += len;
            link->written_bytes += len;
        }
    }
    if (st && st != ST_PENDING) {
        break_link(link, "the connection was lost", 2);
        return;
    }
    stream_want(&link->stream, st ? STREAM_READ | STREAM_WRITE : STREAM_READ);
    tell_written(link);
}

static void on_flush(struct turn_hook *hook)
{
    flush(container_of(hook, struct redis_link, flush));
}

static void on_reply(struct redis_link *link, const redisReply *reply)
{
    struct redis_call *call = container_of(link->calls.next, struct redis_call, link);

    if (list_is_empty(&link->calls) || link->to_write == &call->link) {
        break_link(link, "a reply to nothing", 1);
        return;
    }
    list_remove(&call->link);

    call->done(call, reply);
}

/* Until the reader has no whole reply left, or the connection is no more the one that it belongs to. */
static void take_replies(struct redis_link *link)
{
    redisReader *reader = link->reader;

    while (link->reader == reader && reader) {
        void *reply = NULL;

        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            break_link(link, "a malformed reply", 1);
            return;
        }
        if (!reply)
            return;
        on_reply(link, reply);
        freeReplyObject(reply);
    }
}

static void read_replies(struct redis_link *link)
{
    char buf[READ_BYTES];

    while (is_talking(link)) {
        size_t len = 0;
        enum status st = stream_read(&link->stream, buf, sizeof(buf), &len);

        if (st == ST_PENDING)
            return;
        if (st || redisReaderFeed(link->reader, buf, len) != REDIS_OK) {
            break_link(link, st ? "the connection was lost" : "no memory", 2);
            return;
        }
        take_replies(link);
    }
}

static void on_ready(struct stream *stream, unsigned what)
{
    struct redis_link *link = container_of(stream, struct redis_link, stream);

    if (what & STREAM_WRITE)
        loop_at_turn_end(link->loop, &link->flush);
    if (what & STREAM_READ)
        read_replies(link);
}

/* --- connecting --- */

void redis_link_greeted(struct redis_link *link)
{
    link->state = LINK_UP;
    link->backoff_us = BACKOFF_MIN_US;
    breaker_succeeded(&link->breaker);
    timer_clear(&link->deadline);
    if (link->is_down_said)
        log_event(LOG_NOTE, "quota_store_up", "store=redis");
    link->is_down_said = false;
    link->up(link);
}

static void on_connected(struct op *op, enum status st)
{
    struct redis_link *link = container_of(op, struct redis_link, connected);

    if (st) {
        break_link(link, status_name(st), 2);
        return;
    }
    link->reader = redisReaderCreate();
    if (!link->reader) {
        break_link(link, "no memory", 1);
        return;
    }
    link->written_bytes = 0;
    stream_want(&link->stream, STREAM_READ);
    link->state = LINK_GREETING;
    redis_greeting_send(link);
}

static void connect_now(struct redis_link *link)
{
    link->state = LINK_CONNECTING;
    timer_set(link->loop, &link->deadline, loop_now_us(link->loop) + link->target->timeout_us);

    enum status st =
        stream_connect(&link->stream, link->loop, &link->target->address, &link->connected);

    if (st != ST_PENDING)
        on_connected(&link->connected, st);
}

static int64_t due_us(const struct redis_link *link)
{
    if (list_is_empty(&link->calls))
        return INT64_MAX;

    const struct redis_call *oldest = container_of(link->calls.next, struct redis_call, link);

    return oldest->queued_us + link->target->timeout_us;
}

static void on_deadline(struct timer *timer)
{
    struct redis_link *link = container_of(timer, struct redis_link, deadline);
    int64_t now_us = loop_now_us(link->loop);

    if (link->state == LINK_WAITING) {
        if (breaker_allows(&link->breaker, now_us))
            connect_now(link);
        else
            timer_set(link->loop, timer, link->breaker.retry_at_us);
        return;
    }
    if (link->state != LINK_UP || due_us(link) <= now_us)
        break_link(link, "no answer in time", 1);
    else if (!list_is_empty(&link->calls))
        timer_set(link->loop, timer, due_us(link));
}

enum status redis_link_open(struct redis_link *link, struct loop *loop,
                            const struct redis_target *target)
{
    link->loop = loop;
    link->target = target;
    link->state = LINK_WAITING;
    link->stream = (struct stream){.ready = on_ready};
    link->connected.done = on_connected;
    link->backoff_us = BACKOFF_MIN_US;
    list_init(&link->calls);
    link->to_write = &link->calls;
    timer_init(&link->deadline, on_deadline);
    redis_greeting_init(link);
    turn_hook_init(&link->flush, on_flush);

    enum status st = redis_scripts_digest(&link->digests);

    if (!st)
        timer_set(loop, &link->deadline, loop_now_us(loop));
    return st;
}

void redis_link_close(struct redis_link *link)
{
    if (link->state == LINK_CLOSED)
        return;
    drop_connection(link);
    link->state = LINK_CLOSED;
    answer_lost(link);
    free(link->out);
    link->out = NULL;
    link->out_size = 0;
}
