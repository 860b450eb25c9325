/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c - commands into a link's buffer.      Runs on: worker.
 * Nothing is written to the connection here, so nothing can break in a caller's call. */

#include <stdlib.h>
#include <string.h>

#include "redis/link.h"

#define COUNT_MAX 23 /* a letter, 20 digits, CR LF */

static bool make_room(struct redis_link *link, size_t len)
{
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

/* The tail of the buffer, with room for so many bytes; took() takes in what was put there.  NULL: no memory. */
static char *tail(struct redis_link *link, size_t len)
{
    if (link->out_from == link->out_len)
        link->out_from = link->out_len = 0;
    if (link->out_size - link->out_len < len && !make_room(link, len))
        return NULL;
    return link->out + link->out_len;
}

static void took(struct redis_link *link, const char *end)
{
    link->out_len = (size_t)(end - link->out);
}

/* These give the place behind what they put. */
static char *put_number(char *out, uint64_t number)
{
    char digits[20];
    int len = 0;

    for (; number >= 10; number /= 10)
        digits[len++] = (char)('0' + number % 10);
    *out++ = (char)('0' + number);
    while (len > 0)
        *out++ = digits[--len];
    return out;
}

static char *put_line_end(char *out)
{
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

/* "*3\r\n", "$11\r\n" */
static char *put_count(char *out, char kind, size_t count)
{
    *out++ = kind;
    return put_line_end(put_number(out, count));
}

void redis_link_begin(struct redis_link *link, int args)
{
    ASSERT(link->state == LINK_GREETING || link->state == LINK_UP);
    char *out = tail(link, COUNT_MAX);

    if (out)
        took(link, put_count(out, '*', (size_t)args));
}

void redis_link_arg(struct redis_link *link, struct text arg)
{
    char *out = tail(link, COUNT_MAX + arg.len + 2);

    if (!out)
        return;
    out = put_count(out, '$', arg.len);
    if (arg.len > 0)
        memcpy(out, arg.ptr, arg.len);
    took(link, put_line_end(out + arg.len));
}

void redis_link_arg_int(struct redis_link *link, int64_t arg)
{
    bool is_negative = arg < 0;
    char buf[24] = "-";
    char *end = put_number(buf + is_negative, is_negative ? 0 - (uint64_t)arg : (uint64_t)arg);

    redis_link_arg(link, (struct text){buf, (size_t)(end - buf)});
}

void redis_link_end(struct redis_link *link, struct redis_call *call)
{
    call->of = link;
    call->replies_left = link->replies_to_drop;
    link->replies_to_drop = 0;
    call->queued_us = loop_now_us(link->loop);
    call->end = link->written_bytes + (link->out_len - link->out_from);
    if (list_is_empty(&link->calls) && link->state == LINK_UP)
        timer_set(link->loop, &link->deadline,
                  call->queued_us + MIN(link->target->timeout_us, REDIS_LINGER_US));
    list_push_back(&link->calls, &call->link);
    link->awaited += !call->can_wait;
    if (link->to_write == &link->calls)
        link->to_write = &call->link;
    loop_at_turn_end(link->loop, &link->flush);
}

void redis_link_ask(struct redis_link *link)
{
    redis_link_begin(link, 1);
    redis_link_arg(link, TEXT("ASKING"));
    link->replies_to_drop = 1;
}
