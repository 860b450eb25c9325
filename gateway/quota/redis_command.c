/* SPDX-License-Identifier: Apache-2.0 */
/* redis_command.c - a request as a Redis command.      Runs on: worker.
 * Commit, renewal and a settle of all that was held are plain commands: a tenth of a script's cost. */

#include "quota/redis.h"
#include "quota/row.h"

#define REAP_EVERY   16
#define RESERVE_ARGS 5 /* before those of each limit */

static void begin_script(struct redis_link *link, enum redis_script script,
                         const struct hold_handle *handle, int args)
{
    struct redis_key ledger = redis_ledger_key(handle);
    int windows = redis_token_windows(handle);

    redis_link_begin(link, 3 + 1 + windows + args);
    redis_link_arg(link, TEXT("EVALSHA"));
    redis_link_arg(link, (struct text){link->digests.hex[script], SHA1_HEX_LEN});
    redis_link_arg_int(link, 1 + windows);
    redis_link_arg(link, redis_key_text(&ledger));
    for (int i = 0; i < windows; i++) {
        struct redis_key row = redis_row_key(handle, i);

        redis_link_arg(link, redis_key_text(&row));
    }
    redis_link_arg(link, redis_token_text(handle));
}

static void write_reserve(struct redis_request *request)
{
    struct redis_quota *rq = request->from;
    struct redis_link *link = &rq->link;
    const struct reservation *r = request->r;
    struct outbox_record *record = &request->record;
    int64_t now_us = quota_now_us(&rq->base);
    bool is_reaping = ++rq->reserves % REAP_EVERY == 0;

    if (record->expires_us == 0) /* a lease counts from the first time that it is asked for */
        record->expires_us = now_us + rq->base.lease_us;
    begin_script(link, SCRIPT_RESERVE, &record->handle, RESERVE_ARGS + 2 * r->limits_len);
    redis_link_arg_int(link, redis_score(record->expires_us, false));
    redis_link_arg_int(link, redis_token_grains(&record->handle));
    redis_link_arg_int(link, redis_horizon(now_us));
    redis_link_arg_int(link, is_reaping);
    for (int i = 0; i < r->limits_len; i++) {
        redis_link_arg_int(link, grains_of(r->limits[i].limit.units));
        redis_link_arg_int(link, redis_row_expiry(r, rq->base.lease_us));
    }
}

static void write_score(struct redis_request *request, bool is_committed)
{
    struct redis_link *link = &request->from->link;
    struct redis_key ledger = redis_ledger_key(&request->record.handle);

    redis_link_begin(link, 6);
    redis_link_arg(link, TEXT("ZADD"));
    redis_link_arg(link, redis_key_text(&ledger));
    redis_link_arg(link, TEXT("XX"));
    redis_link_arg(link, TEXT("CH"));
    redis_link_arg_int(link, redis_score(request->record.expires_us, is_committed));
    redis_link_arg(link, redis_token_text(&request->record.handle));
}

static void write_settle(struct redis_request *request)
{
    struct redis_link *link = &request->from->link;
    const struct hold_handle *handle = &request->record.handle;
    int64_t left = redis_token_grains(handle) - request->record.used_grains;
    struct redis_key ledger = redis_ledger_key(handle);

    if (left > 0) {
        begin_script(link, SCRIPT_SETTLE, handle, 2);
        redis_link_arg_int(link, left);
        return;
    }
    redis_link_begin(link, 3);
    redis_link_arg(link, TEXT("ZREM"));
    redis_link_arg(link, redis_key_text(&ledger));
    redis_link_arg(link, redis_token_text(handle));
}

static void write_revive(struct redis_request *request)
{
    struct redis_quota *rq = request->from;
    const struct outbox_record *record = &request->record;
    int64_t expires_us = MAX(record->expires_us, quota_now_us(&rq->base) + rq->base.lease_us);

    begin_script(&rq->link, SCRIPT_REVIVE, &record->handle, 4);
    redis_link_arg_int(&rq->link, redis_score(expires_us, true));
    redis_link_arg_int(&rq->link, redis_token_grains(&record->handle));
    redis_link_arg_int(&rq->link, record->row_expiry_s);
}

void redis_request_write(struct redis_request *request)
{
    if (request->kind == REQUEST_RESERVE)
        write_reserve(request);
    else if (request->kind == REQUEST_RENEW)
        write_score(request, request->is_committed);
    else if (request->is_reviving)
        write_revive(request);
    else if (request->record.kind == OUTBOX_COMMIT)
        write_score(request, true);
    else
        write_settle(request);
}
