/* SPDX-License-Identifier: Apache-2.0 */
/* link.c - see link.h.      Runs on: worker.
 * The calls list and the connection share one fate: break_link() answers every call with NULL, in order, and only then
 * tells the owner. */

#include "redis/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/resolve.h"

#define READ_BYTES     16384
#define RIDE_BYTES     512 /* less than any segment */
#define REPLY_MIN      4   /* bytes: ":1" */
#define LEAD_MAX       16
#define STANDING_US    INT64_C(16000) /* two ticks of the loop's timers */
#define BACKOFF_MIN_US INT64_C(50000)
#define BACKOFF_MAX_US INT64_C(1000000)

static bool is_talking(const struct redis_link *link)
{
    return link->state == LINK_GREETING || link->state == LINK_UP;
}

bool redis_link_is_up(const struct redis_link *link)
{
    return link->state == LINK_UP && !redis_link_is_refusing(link);
}

bool redis_link_is_refusing(const struct redis_link *link)
{
    return link->breaker.state != BREAKER_CLOSED;
}

bool redis_error_is_down(const char *error)
{
    static const char *const words[] = {"OOM ",        "MISCONF ",   "READONLY ",  "LOADING ",
                                        "BUSY ",       "NOAUTH ",    "WRONGPASS ", "NOPERM ",
                                        "MASTERDOWN ", "NOREPLICAS "};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strncmp(error, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* --- the end of a connection --- */

static void answer_lost(struct redis_link *link)
{
    link->to_write = &link->calls;
    link->awaited = 0;
    list_append(&link->calls, &link->later);
    for (struct list *node = list_pop_front(&link->calls); node;
         node = list_pop_front(&link->calls)) {
        struct redis_call *call = container_of(node, struct redis_call, link);

        call->replies_left = 0;
        call->done(call, NULL);
    }
    redis_wait_lost(link);
}

static void drop_connection(struct redis_link *link)
{
    op_cancel(&link->connected);
    stream_close(&link->stream);
    redis_replies_close(&link->replies);
    link->out_from = link->out_len = 0;
    link->is_out_of_memory = false;
    timer_clear(&link->deadline);
    timer_clear(&link->sync);
    turn_hook_cancel(&link->flush);
    link->state = LINK_WAITING;
}

static void say_down(struct redis_link *link, const char *why)
{
    if (!link->is_down_said)
        log_event(LOG_ERROR, link->target->is_keystore ? "keystore_down" : "quota_store_down",
                  "store=redis %s=%s why=\"%s\"", link->target->is_sentinel ? "sentinel" : "node",
                  redis_place_is_known(&link->place) ? link->place.at : "unknown", why);
    link->is_down_said = true;
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
    say_down(link, why);
    link->backoff_us = MIN(link->backoff_us * 2, BACKOFF_MAX_US);
    timer_set(link->loop, &link->deadline, link->breaker.retry_at_us);
}

static void be_patient(struct redis_link *link)
{
    if (!timer_is_set(&link->patience) && !redis_link_is_refusing(link))
        timer_set(link->loop, &link->patience, loop_now_us(link->loop) + link->target->timeout_us);
}

static void break_link(struct redis_link *link, const char *why, int open_after)
{
    drop_connection(link);
    be_patient(link);
    judge(link, why, open_after);
    answer_lost(link);
    link->lost(link);
}

void redis_link_give_up(struct redis_link *link, const char *why)
{
    break_link(link, why, 1);
}

/* --- waking up --- */

/* By so many bytes the first reply that somebody waits for has begun to come, or one more than was asked for.  Of the first
 * of all, but for its last byte, the reader may have everything. */
static int lead_bytes(const struct redis_link *link)
{
    int lead = 0;

    LIST_EACH (node, &link->calls) {
        if (lead == LEAD_MAX || !container_of(node, struct redis_call, link)->can_wait)
            break;
        lead++;
    }
    return lead * REPLY_MIN + 1;
}

/* In a steady flow the number stays as it is, and costs no system call: each question follows the reply to the settle
 * before it.  With many at once it stays at 1. */
static void choose_wake(struct redis_link *link)
{
    int bytes;

    if (list_is_empty(&link->calls) || (link->awaited > 0 && link->wake_bytes == 1))
        return;
    bytes = lead_bytes(link);
    if (link->awaited > 0 ? bytes >= link->wake_bytes : bytes <= link->wake_bytes)
        return;
    link->wake_bytes = bytes;
    stream_wake_at(&link->stream, bytes);
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

static const char *why_lost(const struct redis_link *link)
{
    return link->stream.why ? link->stream.why : "the connection was lost";
}

/* Redis owes no reply, unless to what is held. */
static bool owes_nothing(const struct redis_link *link)
{
    return list_is_empty(&link->calls) ||
           container_of(link->calls.next, struct redis_call, link)->end > link->pushed_bytes;
}

/* The kernel drops what it holds where this process dies with replies unread; so none may come meanwhile, and no part may
 * leave before the rest, as what fills a segment does. */
static bool may_ride(const struct redis_link *link)
{
    uint64_t held = link->written_bytes + (link->out_len - link->out_from) - link->pushed_bytes;

    return !link->must_push && held <= RIDE_BYTES && owes_nothing(link);
}

static void push(struct redis_link *link)
{
    if (link->pushed_bytes == link->written_bytes)
        return;
    link->pushed_bytes = link->written_bytes;
    stream_push(&link->stream);
}

static void put_together(struct redis_link *link)
{
    for (struct list *node = list_pop_front(&link->later); node;
         node = list_pop_front(&link->later)) {
        struct redis_call *call = container_of(node, struct redis_call, link);

        call->put(call);
    }
}

static void flush(struct redis_link *link)
{
    enum status st = ST_OK;
    bool rides;

    put_together(link);
    redis_wait_send(link);
    if (link->is_out_of_memory) {
        break_link(link, "no memory", 1);
        return;
    }
    rides = may_ride(link);
    stream_hold(&link->stream, rides);
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
        break_link(link, why_lost(link), 2);
        return;
    }
    if (!rides)
        link->pushed_bytes = link->written_bytes;
    link->must_push = link->must_push && st;
    unsigned wanted = st ? STREAM_READ | STREAM_WRITE : STREAM_READ;
    if (link->stream.wanted != wanted)
        stream_want(&link->stream, wanted);
    choose_wake(link);
    tell_written(link);
}

static void on_flush(struct turn_hook *hook)
{
    flush(container_of(hook, struct redis_link, flush));
}

static void say_up(struct redis_link *link)
{
    link->backoff_us = BACKOFF_MIN_US;
    breaker_succeeded(&link->breaker);
    if (link->is_down_said)
        log_event(LOG_NOTE, link->target->is_keystore ? "keystore_up" : "quota_store_up",
                  "store=redis %s=%s", link->target->is_sentinel ? "sentinel" : "node",
                  link->place.at);
    link->is_down_said = false;
    link->up(link);
}

/* It answers again. */
static void recover(struct redis_link *link)
{
    if (link->state == LINK_UP && redis_link_is_refusing(link))
        say_up(link);
}

static void on_reply(struct redis_link *link, const redisReply *reply)
{
    struct redis_call *call = container_of(link->calls.next, struct redis_call, link);

    if (list_is_empty(&link->calls) || link->to_write == &call->link) {
        break_link(link, "a reply to nothing", 1);
        return;
    }
    if (call->replies_left > 0) {
        call->replies_left--;
        return;
    }
    list_remove(&call->link);
    link->awaited -= !call->can_wait;
    if (reply->type != REDIS_REPLY_ERROR) {
        call->redirects = 0;
        call->refused_us = 0;
    }
    call->done(call, reply);
    recover(link);
}

/* Until there is no whole one left, or the connection is no more the one that they belong to. */
static void take_replies(struct redis_link *link, const char *bytes, size_t len)
{
    struct redis_replies *replies = &link->replies;
    const redisReader *reader = replies->reader;

    redis_replies_give(replies, bytes, len);
    while (replies->reader == reader) {
        redisReply *reply;
        enum status st = redis_replies_next(replies, &reply);

        if (st == ST_PENDING)
            return;
        if (st) {
            break_link(link, st == ST_NOMEM ? "no memory" : "a malformed reply", 1);
            return;
        }
        on_reply(link, reply);
        redis_replies_free(replies, reply);
    }
}

static void read_replies(struct redis_link *link)
{
    char buf[READ_BYTES];

    while (is_talking(link)) {
        size_t len = 0;
        enum status st = stream_read(&link->stream, buf, sizeof(buf), &len);

        if (st == ST_PENDING)
            break;
        if (st) {
            break_link(link, why_lost(link), 2);
            return;
        }
        take_replies(link, buf, len);
        /* That was all: another read would only find nothing.  But TLS may have more in its own buffers. */
        if (len < sizeof(buf) && !link->target->tls)
            break;
    }
    if (is_talking(link))
        choose_wake(link);
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
    timer_clear(&link->deadline);
    timer_clear(&link->patience);
    say_up(link);
}

static void begin_greeting(struct redis_link *link)
{
    if (redis_replies_open(&link->replies)) {
        break_link(link, "no memory", 1);
        return;
    }
    link->written_bytes = link->pushed_bytes = 0;
    link->must_push = false;
    link->wake_bytes = 1;
    stream_want(&link->stream, STREAM_READ);
    link->state = LINK_GREETING;
    redis_greeting_send(link);
}

static void on_connected(struct op *op, enum status st)
{
    struct redis_link *link = container_of(op, struct redis_link, connected);

    if (st)
        break_link(link, link->stream.why ? link->stream.why : status_name(st), 2);
    else
        begin_greeting(link);
}

static enum status connect_stream(struct redis_link *link)
{
    struct text host = redis_place_host(&link->place);
    char name[REDIS_PLACE_MAX];
    struct text_out out;

    link->connected.done = on_connected;
    link->stream.why = NULL;
    if (!link->target->tls)
        return stream_connect(&link->stream, link->loop, &link->address, &link->connected);
    text_out_init(&out, name, sizeof(name));
    text_out_add(&out, host);
    return tls_connect(&link->stream, link->loop, &link->address, link->target->tls, name,
                       &link->connected);
}

static void on_looked_up(struct op *op, enum status st)
{
    struct redis_link *link = container_of(op, struct redis_link, connected);

    if (st) {
        break_link(link, "its name is not known", 2);
        return;
    }
    st = connect_stream(link);
    if (st != ST_PENDING)
        on_connected(&link->connected, st);
}

static void connect_now(struct redis_link *link)
{
    link->state = LINK_CONNECTING;
    link->connected.done = on_looked_up;
    timer_set(link->loop, &link->deadline, loop_now_us(link->loop) + link->target->connect_us);

    enum status st =
        resolve_start(link->loop, text_of(link->place.at), &link->address, &link->connected);

    if (st != ST_PENDING)
        on_looked_up(&link->connected, st);
}

/* When the oldest call has been out for so long, by the time that this thread had for it. */
static int64_t out_for_us(const struct redis_link *link, int64_t wait_us)
{
    if (list_is_empty(&link->calls))
        return INT64_MAX;

    const struct redis_call *oldest = container_of(link->calls.next, struct redis_call, link);

    return oldest->queued_us + link->stood_us - oldest->stood_us + wait_us;
}

static int64_t due_us(const struct redis_link *link)
{
    /* Once callers are refused, the connection has as long as a new one would take. */
    return out_for_us(link, redis_link_is_refusing(link) ? link->target->connect_us
                                                         : link->target->timeout_us);
}

/* What has come meanwhile is read first. */
static bool is_overdue(struct redis_link *link)
{
    int64_t now_us = loop_now_us(link->loop);

    if (MIN(due_us(link), out_for_us(link, REDIS_LINGER_US)) > now_us)
        return false;
    read_replies(link);
    return link->state == LINK_UP && due_us(link) <= now_us;
}

void redis_link_look_at(struct redis_link *link, int64_t at_us)
{
    link->look_us = at_us;
    timer_set(link->loop, &link->deadline, at_us);
}

/* Calls that are out are looked at every few milliseconds, unless this thread stands still. */
static void note_standing(struct redis_link *link)
{
    int64_t late_us = loop_now_us(link->loop) - link->look_us;

    if (late_us >= STANDING_US)
        link->stood_us += late_us;
}

/* No callers any more, whatever the present attempt, or what is on its way, will bring. */
static void refuse(struct redis_link *link)
{
    struct breaker_rule rule = {.open_after = 1, .open_for_us = link->backoff_us};

    if (redis_link_is_refusing(link) ||
        !breaker_failed(&link->breaker, &rule, loop_now_us(link->loop)))
        return;
    say_down(link, "no answer in time");
    link->lost(link);
}

static void on_deadline(struct timer *timer)
{
    struct redis_link *link = container_of(timer, struct redis_link, deadline);
    int64_t now_us = loop_now_us(link->loop);

    if (link->state == LINK_WAITING) {
        if (!redis_place_is_known(&link->place))
            return;
        if (breaker_allows(&link->breaker, now_us))
            connect_now(link);
        else
            timer_set(link->loop, timer, link->breaker.retry_at_us);
        return;
    }
    bool is_breaking = link->state != LINK_UP;

    if (!is_breaking) {
        note_standing(link);
        push(link);
    }
    if (!is_breaking && is_overdue(link)) {
        is_breaking = redis_link_is_refusing(link);
        refuse(link);
    }
    if (is_breaking)
        break_link(link, "no answer in time", 1);
    else if (link->state == LINK_UP && !list_is_empty(&link->calls))
        redis_link_look_at(link, MIN(due_us(link), now_us + REDIS_LINGER_US));
}

static void on_patience(struct timer *timer)
{
    refuse(container_of(timer, struct redis_link, patience));
}

void redis_link_open(struct redis_link *link, struct loop *loop, const struct redis_target *target,
                     const struct redis_place *place)
{
    link->loop = loop;
    link->target = target;
    link->place = *place;
    link->state = LINK_WAITING;
    link->stream = (struct stream){.ready = on_ready};
    link->backoff_us = BACKOFF_MIN_US;
    list_init(&link->later);
    list_init(&link->calls);
    link->to_write = &link->calls;
    timer_init(&link->deadline, on_deadline);
    timer_init(&link->patience, on_patience);
    redis_greeting_init(link);
    redis_wait_init(link);
    turn_hook_init(&link->flush, on_flush);
    be_patient(link);
    timer_set(loop, &link->deadline, loop_now_us(loop));
}

void redis_link_aim(struct redis_link *link, const struct redis_place *place)
{
    link->place = *place;
}

void redis_link_move(struct redis_link *link, const struct redis_place *place)
{
    if (redis_place_is_same(&link->place, place))
        return;
    link->place = *place;
    if (link->state != LINK_WAITING) {
        drop_connection(link);
        be_patient(link);
        answer_lost(link);
        link->lost(link);
    }
    if (link->state != LINK_WAITING) /* lost() has closed it */
        return;
    /* The attempt that was out has ended with the connection. */
    if (link->breaker.state == BREAKER_HALF_OPEN)
        link->breaker.state = BREAKER_OPEN;
    link->breaker.retry_at_us = loop_now_us(link->loop);
    timer_set(link->loop, &link->deadline, loop_now_us(link->loop));
}

void redis_link_close(struct redis_link *link)
{
    if (link->state == LINK_CLOSED)
        return;
    drop_connection(link);
    timer_clear(&link->patience);
    link->state = LINK_CLOSED;
    answer_lost(link);
    free(link->out);
    link->out = NULL;
    link->out_size = 0;
}
