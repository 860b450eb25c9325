/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c - commands into a link's buffer.      Runs on: worker.
 * Nothing is written to the connection here, so nothing can break in a caller's call. */

#include <stdlib.h>

#include "redis/link.h"

#define COUNT_MAX 23 /* a letter, 20 digits, CR LF */

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

/* The tail of the buffer, with room for so many bytes to be printed; took() takes them in.  Without memory it has no
 * room at all. */
static struct text_out tail(struct redis_link *link, size_t len)
{
    struct text_out out = {.buf = NULL};

    if (make_room(link, len + 1))
        out = (struct text_out){.buf = link->out + link->out_len, .size = len + 1};
    return out;
}

static void took(struct redis_link *link, const struct text_out *out)
{
    link->out_len += out->len;
}

/* "*3\r\n", "$11\r\n" */
static void print_count(struct text_out *out, char kind, size_t count)
{
    text_out_char(out, kind);
    text_out_int(out, (int64_t)count);
    text_out_add(out, TEXT("\r\n"));
}

void redis_link_begin(struct redis_link *link, int args)
{
    ASSERT(link->state == LINK_GREETING || link->state == LINK_UP);
    struct text_out out = tail(link, COUNT_MAX);

    print_count(&out, '*', (size_t)args);
    took(link, &out);
}

void redis_link_arg(struct redis_link *link, struct text arg)
{
    struct text_out out = tail(link, COUNT_MAX + arg.len + 2);

    print_count(&out, '$', arg.len);
    text_out_add(&out, arg);
    text_out_add(&out, TEXT("\r\n"));
    took(link, &out);
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
