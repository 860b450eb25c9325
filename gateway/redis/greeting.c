/* SPDX-License-Identifier: Apache-2.0 */
/* greeting.c - what a link says first on every connection, and the clock that it keeps.      Runs on: worker. */

#include <string.h>

#include "base/log.h"
#include "redis/link.h"

#define SYNC_US INT64_C(10000000)
/* A clock this far from Redis's is worth a line. */
#define CLOCK_SKEW_US INT64_C(5000000)

static bool take_time(struct redis_link *link, const redisReply *reply)
{
    uint64_t seconds, micros;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str ||
        !reply->element[1]->str)
        return false;
    if (text_to_u64((struct text){reply->element[0]->str, reply->element[0]->len}, &seconds) ||
        text_to_u64((struct text){reply->element[1]->str, reply->element[1]->len}, &micros))
        return false;

    int64_t now_us = loop_now_us(link->loop);
    int64_t halfway_us = (link->time.queued_us + now_us) / 2;

    link->clock_offset_us = (int64_t)(seconds * 1000000 + micros) - halfway_us;
    return true;
}

static void call_time(struct redis_link *link)
{
    redis_link_begin(link, 1);
    redis_link_arg(link, TEXT("TIME"));
    redis_link_end(link, &link->time);
}

static void on_sync(struct timer *timer)
{
    call_time(container_of(timer, struct redis_link, sync));
}

static void report_skew(const struct redis_link *link)
{
    int64_t skew_us = loop_now_us(link->loop) + link->clock_offset_us - loop_wall_us(link->loop);

    if (skew_us > CLOCK_SKEW_US || skew_us < -CLOCK_SKEW_US)
        log_event(LOG_WARN, "quota_clock_skew", "store=redis node=%s ahead_ms=%lld", link->place.at,
                  (long long)(skew_us / 1000));
}

static void on_time(struct redis_call *call, const redisReply *reply)
{
    struct redis_link *link = call->of;

    if (!reply)
        return;
    if (!take_time(link, reply)) {
        redis_link_give_up(link, reply->type == REDIS_REPLY_ERROR ? reply->str : "no TIME");
        return;
    }
    link->synced(link);
    timer_set(link->loop, &link->sync, loop_now_us(link->loop) + SYNC_US);
    if (link->state == LINK_GREETING) {
        report_skew(link);
        redis_link_greeted(link);
    }
}

/* A step of the greeting that must go well. */
static void on_greeted(struct redis_call *call, const redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_ERROR)
        redis_link_give_up(call->of, reply->str);
}

/* Sentinels often know no password, though their master has one. */
static void on_answered(struct redis_call *call, const redisReply *reply)
{
    UNUSED(call);
    UNUSED(reply);
}

/* In a Cluster, a replica names its master, and who has not the slot names who has: both answer, and take what is theirs. */
static bool is_redirection(const struct redis_link *link, const redisReply *reply)
{
    static const char *const words[] = {"MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN "};

    if (link->target->topology != TOPOLOGY_CLUSTER || reply->type != REDIS_REPLY_ERROR)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strncmp(reply->str, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* The last but one: TIME is asked alone, so that its way there and back is short, and half of it a good guess. */
static void on_probed(struct redis_call *call, const redisReply *reply)
{
    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_ERROR && !is_redirection(call->of, reply))
        redis_link_give_up(call->of, reply->str);
    else
        call_time(call->of);
}

/* What a sentinel calls the master may be so no more, or not yet. */
static void on_role(struct redis_call *call, const redisReply *reply)
{
    bool is_known = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                    reply->element[0]->type == REDIS_REPLY_STRING;

    if (is_known && strcmp(reply->element[0]->str, "master") != 0)
        redis_link_give_up(call->of, "it is no master");
}

/* The value of a line "name:value" of INFO. */
static struct text info_line(const redisReply *reply, struct text name)
{
    struct text rest = {reply->str, reply->len};
    struct text line;

    while (text_next(&rest, '\n', &line)) {
        if (!text_starts_with(line, name))
            continue;
        line.ptr += name.len;
        line.len -= name.len;
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        return line;
    }
    return TEXT_NONE;
}

/* Without "noeviction", Redis may drop counts when its memory is full.  Not every Redis lets one ask. */
static void on_memory(struct redis_call *call, const redisReply *reply)
{
    struct redis_link *link = call->of;

    if (!reply || reply->type != REDIS_REPLY_STRING || link->is_policy_said)
        return;
    struct text policy = info_line(reply, TEXT("maxmemory_policy:"));

    if (policy.len == 0 || text_equal(policy, TEXT("noeviction")))
        return;
    link->is_policy_said = true;
    log_event(
        LOG_WARN, "quota_eviction",
        "store=redis node=%s maxmemory_policy=%.*s expected=noeviction why=\"counts may be lost\"",
        link->place.at, TEXT_ARG(policy));
}

static void greet(struct redis_link *link, const struct text *args, int len,
                  void (*done)(struct redis_call *call, const redisReply *reply))
{
    struct redis_call *call = &link->greetings[link->greetings_len++];

    ASSERT(link->greetings_len <= GREETINGS_MAX);
    *call = (struct redis_call){.done = done};
    redis_link_begin(link, len);
    for (int i = 0; i < len; i++)
        redis_link_arg(link, args[i]);
    redis_link_end(link, call);
}

#define GREET(link, done, ...)                                                                     \
    greet(link, (const struct text[]){__VA_ARGS__},                                                \
          (int)ARRAY_LEN(((const struct text[]){__VA_ARGS__})), done)

static void greet_auth(struct redis_link *link)
{
    const struct redis_target *target = link->target;
    void (*done)(struct redis_call * call, const redisReply *reply) =
        target->is_sentinel ? on_answered : on_greeted;

    if (target->password && target->user)
        GREET(link, done, TEXT("AUTH"), text_of(target->user), text_of(target->password));
    else if (target->password)
        GREET(link, done, TEXT("AUTH"), text_of(target->password));
}

static void greet_db(struct redis_link *link)
{
    char buf[16];
    struct text_out db;

    if (link->target->db == 0)
        return;
    text_out_init(&db, buf, sizeof(buf));
    text_out_int(&db, link->target->db);
    GREET(link, on_greeted, TEXT("SELECT"), text_out_text(&db));
}

/* A replica, a full memory and a failing disk show here, and not first to a client. */
static void greet_write(struct redis_link *link)
{
    char buf[32];
    struct text_out key;

    text_out_init(&key, buf, sizeof(buf));
    if (link->probe_bucket >= 0)
        text_out_printf(&key, "mg:{%d}:up", link->probe_bucket);
    else
        text_out_add(&key, TEXT("mg:up"));
    GREET(link, on_probed, TEXT("SET"), text_out_text(&key), TEXT("1"), TEXT("EX"), TEXT("60"));
}

static void on_pong(struct redis_call *call, const redisReply *reply)
{
    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        redis_link_give_up(call->of, reply->str);
    else
        redis_link_greeted(call->of);
}

void redis_greeting_send(struct redis_link *link)
{
    link->greetings_len = 0;
    greet_auth(link);
    if (link->target->is_sentinel) {
        GREET(link, on_pong, TEXT("PING"));
        return;
    }
    greet_db(link);
    for (int i = 0; i < link->target->scripts.len; i++)
        GREET(link, on_greeted, TEXT("SCRIPT"), TEXT("LOAD"),
              text_of(link->target->scripts.sources[i]));
    if (!link->is_policy_said)
        GREET(link, on_memory, TEXT("INFO"), TEXT("memory"));
    if (link->target->topology == TOPOLOGY_SENTINEL)
        GREET(link, on_role, TEXT("ROLE"));
    greet_write(link);
}

void redis_link_load_scripts(struct redis_link *link)
{
    if (link->scripts_loaded_turn == loop_turn(link->loop))
        return;
    for (int i = 0; i < link->target->scripts.len; i++)
        if (!list_is_empty(&link->reload[i].link))
            return; /* on their way */
    link->scripts_loaded_turn = loop_turn(link->loop);
    for (int i = 0; i < link->target->scripts.len; i++) {
        redis_link_begin(link, 3);
        redis_link_arg(link, TEXT("SCRIPT"));
        redis_link_arg(link, TEXT("LOAD"));
        redis_link_arg(link, text_of(link->target->scripts.sources[i]));
        redis_link_end(link, &link->reload[i]);
    }
}

static void on_reloaded(struct redis_call *call, const redisReply *reply)
{
    UNUSED(call); /* scripts that could not be loaded show in the calls that need them */
    UNUSED(reply);
}

void redis_greeting_init(struct redis_link *link)
{
    link->time.done = on_time;
    timer_init(&link->sync, on_sync);
    for (int i = 0; i < REDIS_SCRIPTS_MAX; i++) {
        list_init(&link->reload[i].link);
        link->reload[i].done = on_reloaded;
    }
}
