/* SPDX-License-Identifier: Apache-2.0 */
/* redis_service.c - shares of the limits of the whole service, in Redis.      Runs on: worker.
 * A row mg:{b}:s<letter><ordinal> is a hash: t, the units that all have leased; and for each holder "serial units", its
 * last claim and what it has.  So a claim says what its holder wants in all, not what more: one that is sent twice, or
 * whose answer was lost, changes nothing twice; and what a failover lost is made good by the next one. */

#include <stdlib.h>

#include "quota/redis.h"

/* In a hash tag of its own, beside those of the accounts. */
#define SERVICE_BUCKET BUCKETS_MAX

/* clang-format off */
/* row; holder, serial, held, need, want, limit, when claims end, when the row expires (Unix seconds).
 * Replies what the holder has (-1: too late), and what all have.  The arithmetic is service_grant(). */
const char redis_share_source[] =
    "local row, holder, serial = KEYS[1], ARGV[1], tonumber(ARGV[2])\n"
    "local leased = tonumber(redis.call('HGET', row, 't') or '0')\n"
    "if serial == 0 then return {0, leased} end\n"
    "if tonumber(redis.call('TIME')[1]) >= tonumber(ARGV[7]) then return {-1, leased} end\n"
    "local known = redis.call('HGET', row, holder)\n"
    "local stored = 0\n"
    "if known then\n"
    "  local last, units = string.match(known, '^(%d+) (%d+)$')\n"
    "  stored = tonumber(units)\n"
    "  if tonumber(last) >= serial then return {stored, leased} end\n"
    "end\n"
    "local mine = math.max(stored, tonumber(ARGV[3]))\n"
    "local got = tonumber(ARGV[5])\n"
    "leased = leased + mine - stored\n"
    "if got > mine then\n"
    "  local left = math.max(tonumber(ARGV[6]) - leased, 0)\n"
    "  local liked = math.min(got - mine, math.floor(left / 8))\n"
    "  local more = math.max(tonumber(ARGV[4]) - mine, liked - liked % 1000, 0)\n"
    "  got = mine + math.min(more, left)\n"
    "end\n"
    "leased = leased + got - mine\n"
    "redis.call('HSET', row, 't', string.format('%.0f', leased),\n"
    "  holder, string.format('%.0f %.0f', serial, got))\n"
    "redis.call('EXPIREAT', row, ARGV[8])\n"
    "return {got, leased}\n";
/* clang-format on */

static struct redis_key row_key(const struct quota_claim *claim)
{
    static const char letters[SERVICE_ROWS] = {'m', 'h', 'd', 'M', 'H', 'D'};

    return redis_service_key(SERVICE_BUCKET, letters[service_row(&claim->rule)],
                             claim->window.ordinal);
}

enum status redis_claim(struct quota *q, struct quota_claim *claim, struct op *op)
{
    struct redis_quota *rq = (struct redis_quota *)q;
    struct redis_request *request;

    if (redis_link_is_refusing(redis_route_link(&rq->route, SERVICE_BUCKET)))
        return ST_UNAVAILABLE;
    request = redis_request_new(rq, REQUEST_CLAIM);
    if (!request)
        return ST_UNAVAILABLE;
    request->claim = claim;
    request->is_undated = !q->has_clock;
    request->record.handle.bucket = SERVICE_BUCKET;
    redis_request_wait(request, op);
    redis_request_launch(request);
    return ST_PENDING;
}

void redis_claim_write(struct redis_request *request, struct redis_link *link)
{
    const struct quota_claim *claim = request->claim;
    struct redis_key row = row_key(claim);

    redis_link_begin(link, 3 + 1 + 8);
    redis_link_arg(link, TEXT("EVALSHA"));
    redis_link_arg(link, (struct text){link->target->scripts.digests[SCRIPT_SHARE], SHA1_HEX_LEN});
    redis_link_arg_int(link, 1);
    redis_link_arg(link, redis_key_text(&row));
    redis_link_arg_int(link, (int64_t)claim->holder);
    redis_link_arg_int(link, claim->serial);
    redis_link_arg_int(link, claim->held_units);
    redis_link_arg_int(link, claim->need_units);
    redis_link_arg_int(link, claim->want_units);
    redis_link_arg_int(link, claim->rule.units);
    redis_link_arg_int(link, claim->window.end_s + SERVICE_CLAIMED_S);
    redis_link_arg_int(link, claim->window.end_s + SERVICE_KEPT_S);
}

enum status redis_claim_answered(const struct redis_request *request, const redisReply *reply)
{
    struct quota_claim *claim = request->claim;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_INTEGER || reply->element[0]->integer < 0)
        return ST_UNAVAILABLE;
    if (claim) {
        claim->got_units = reply->element[0]->integer;
        claim->leased_units = reply->element[1]->integer;
    }
    return ST_OK;
}
