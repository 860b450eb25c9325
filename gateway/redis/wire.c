/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c - commands into a link's buffer.      Runs on: worker.
 * Nothing is written to the connection here, so nothing can break in a caller's call. */

#include "redis/wire.h"

#include <stdlib.h>

#include "redis/link.h"

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

char *redis_link_room(struct redis_link *link, size_t len)
{
    ASSERT(link->state == LINK_GREETING || link->state == LINK_UP);
    if (link->out_from == link->out_len)
        link->out_from = link->out_len = 0;
    if (link->out_size - link->out_len < len && !make_room(link, len))
        return NULL;
    return link->out + link->out_len;
}

void redis_link_took(struct redis_link *link, const char *end)
{
    link->out_len = (size_t)(end - link->out);
    ASSERT(link->out_len <= link->out_size);
}

void redis_link_begin(struct redis_link *link, int args)
{
    char *out = redis_link_room(link, WIRE_COUNT_MAX);

    if (out)
        redis_link_took(link, wire_count(out, '*', (size_t)args));
}

void redis_link_arg(struct redis_link *link, struct text arg)
{
    char *out = redis_link_room(link, WIRE_ARG_MAX(arg.len));

    if (out)
        redis_link_took(link, wire_arg(out, arg.len > 0 ? arg.ptr : "", arg.len));
}

void redis_link_arg_int(struct redis_link *link, int64_t arg)
{
    char *out = redis_link_room(link, WIRE_INT_MAX);

    if (out)
        redis_link_took(link, wire_arg_int(out, arg));
}

void redis_link_end(struct redis_link *link, struct redis_call *call)
{
    call->of = link;
    call->replies_left = link->replies_to_drop;
    link->replies_to_drop = 0;
    call->queued_us = loop_now_us(link->loop);
    call->stood_us = link->stood_us;
    call->end = link->written_bytes + (link->out_len - link->out_from);
    if (list_is_empty(&link->calls) && link->state == LINK_UP)
        redis_link_look_at(link, call->queued_us + MIN(link->target->timeout_us, REDIS_LINGER_US));
    list_push_back(&link->calls, &call->link);
    link->awaited += !call->can_wait;
    link->must_push = link->must_push || !call->can_ride;
    if (link->to_write == &link->calls)
        link->to_write = &call->link;
    loop_at_turn_end(link->loop, &link->flush);
}

void redis_link_later(struct redis_link *link, struct redis_call *call)
{
    call->of = link;
    list_push_back(&link->later, &call->link);
    loop_at_turn_end(link->loop, &link->flush);
}

void redis_link_ask(struct redis_link *link)
{
    redis_link_begin(link, 1);
    redis_link_arg(link, TEXT("ASKING"));
    link->replies_to_drop = 1;
}
