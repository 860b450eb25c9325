/* SPDX-License-Identifier: Apache-2.0 */
/* redis_command.c - a request as a Redis command.      Runs on: worker.
 * Commit, renewal and a settle of all that was held are plain commands: a tenth of a script's cost. */

#include "quota/redis.h"

#define REAP_EVERY 16

static void begin_script(struct redis_link *link, enum redis_script script,
                         const struct hold_handle *handle, const struct redis_key *rows,
                         int rows_len, int args)
{
    struct redis_key ledger = redis_ledger_key(handle);

    redis_link_begin(link, 3 + 1 + rows_len + 1 + args);
    redis_link_arg(link, TEXT("EVALSHA"));
    redis_link_arg(link, (struct text){link->target->scripts.digests[script], SHA1_HEX_LEN});
    redis_link_arg_int(link, 1 + rows_len);
    redis_link_arg(link, redis_key_text(&ledger));
    for (int i = 0; i < rows_len; i++)
        redis_link_arg(link, redis_key_text(&rows[i]));
    redis_link_arg(link, redis_token_text(handle));
}

/* One of the rows that are in use, to be looked at by redis_poll.c. */
static void remember_row(struct redis_quota *rq, const struct redis_key *row, uint32_t bucket)
{
    rq->last_row = *row;
    rq->last_bucket = bucket;
}

static void write_limits(struct redis_request *request, struct redis_link *link)
{
    struct redis_quota *rq = request->from;
    const struct hold_handle *handle = &request->record.handle;
    const struct redis_question question = {
        .from = rq,
        .r = request->r,
        .part = request->part,
        .bucket = handle->bucket,
        .asked_us = request->asked_us,
        .now_us = quota_now_us(&rq->base),
        .task = request->task,
        .amend_units = request->amend_units,
    };
    bool is_amend = request->task >= TASK_INSPECT;
    struct redis_plan plan;

    redis_plan_make(&question, &plan);
    if (plan.rows_len > 0)
        remember_row(rq, &plan.rows[0], handle->bucket);
    begin_script(link, is_amend ? SCRIPT_AMEND : SCRIPT_LIMITS, handle, plan.rows, plan.rows_len,
                 is_amend ? 4 : 3);
    redis_link_arg_int(link, redis_score(request->record.expires_us,
                                         request->is_late || request->task >= TASK_GRANT));
    redis_link_arg_int(link, request->r->held_images);
    redis_link_arg(link, (struct text){(const char *)plan.bytes, (size_t)plan.len});
    if (is_amend)
        redis_link_arg_int(link, request->amend_until_s);
}

#define FACTS_HEAD_LEN (1 + 4 + 2)
#define FACTS_ROW_LEN  (6 + 6)

static void write_rows(struct redis_request *request, struct redis_link *link)
{
    struct redis_quota *rq = request->from;
    const struct reservation *r = request->r;
    const struct reservation_part *part = &r->parts[request->part];
    const struct hold_handle *handle = &request->record.handle;
    int64_t now_us = quota_now_us(&rq->base);
    struct redis_key rows[LIMITS_MAX];
    unsigned char facts[FACTS_HEAD_LEN + FACTS_ROW_LEN * LIMITS_MAX];
    size_t len = FACTS_HEAD_LEN;

    facts[0] = (unsigned char)request->task;
    redis_put(facts + 1, 4, (uint64_t)redis_horizon(now_us));
    redis_put(facts + 5, 2, (uint64_t)r->held_images);
    for (int i = 0; i < part->len; i++, len += FACTS_ROW_LEN) {
        const struct limit *limit = &r->limits[part->first + i].limit;
        struct redis_row row = redis_row_of(rq, handle->bucket, limit, request->asked_us);
        bool is_seen = redis_rows_are_seen(rq, &row, now_us);

        rows[i] = redis_row_key(handle->bucket, row.letter, row.ordinal);
        redis_put(facts + len, 6,
                  (uint64_t)MIN(limit_allowed(limit), row_shape(MEASURE_IMAGES).span - 1));
        redis_put(facts + len + 6, 6, is_seen ? 0 : (uint64_t)row.expiry_s);
    }
    remember_row(rq, &rows[0], handle->bucket);
    begin_script(link, SCRIPT_ROWS, handle, rows, part->len, 3);
    redis_link_arg_int(link, redis_score(request->record.expires_us, request->is_late));
    redis_link_arg_int(link, r->held_images);
    redis_link_arg(link, (struct text){(const char *)facts, len});
}

static enum redis_task next_task(struct redis_request *request)
{
    if (request->is_late)
        return TASK_RESERVE_LATE;
    return ++request->from->reserves % REAP_EVERY == 0 ? TASK_REAP_AND_RESERVE : TASK_RESERVE;
}

static void write_reserve(struct redis_request *request, struct redis_link *link)
{
    struct redis_quota *rq = request->from;

    request->task = next_task(request);
    if (request->record.expires_us == 0) /* a lease counts from the first time it is asked for */
        request->record.expires_us = quota_now_us(&rq->base) + rq->base.lease_us;
    if (redis_part_is_rows(request->r, request->part))
        write_rows(request, link);
    else
        write_limits(request, link);
}

/* Never back: a renewal from an old connection may arrive after the commit, which has the higher score. */
static void write_score(struct redis_request *request, struct redis_link *link, bool is_committed)
{
    struct redis_key ledger = redis_ledger_key(&request->record.handle);

    redis_link_begin(link, 7);
    redis_link_arg(link, TEXT("ZADD"));
    redis_link_arg(link, redis_key_text(&ledger));
    redis_link_arg(link, TEXT("XX"));
    redis_link_arg(link, TEXT("GT"));
    redis_link_arg(link, TEXT("CH"));
    redis_link_arg_int(link, redis_score(request->record.expires_us, is_committed));
    redis_link_arg(link, redis_token_text(&request->record.handle));
}

static void write_settle(struct redis_request *request, struct redis_link *link)
{
    const struct hold_handle *handle = &request->record.handle;
    int64_t left = redis_token_images(handle) - request->record.used_images;
    struct redis_key ledger = redis_ledger_key(handle);

    if (left > 0) {
        struct redis_key rows[TOKEN_ROWS_MAX];
        int len = redis_token_rows(handle, rows);

        begin_script(link, SCRIPT_SETTLE, handle, rows, len, 2);
        redis_link_arg_int(link, left);
        redis_link_arg_int(link, quota_now_us(&request->from->base));
        return;
    }
    redis_link_begin(link, 3);
    redis_link_arg(link, TEXT("ZREM"));
    redis_link_arg(link, redis_key_text(&ledger));
    redis_link_arg(link, redis_token_text(handle));
}

static void write_revive(struct redis_request *request, struct redis_link *link)
{
    struct redis_quota *rq = request->from;
    const struct outbox_record *record = &request->record;
    int64_t now_us = quota_now_us(&rq->base);
    int64_t expires_us = MAX(record->expires_us, now_us + rq->base.lease_us);
    struct redis_key keys[1 + TOKEN_ROWS_MAX];
    int len = redis_token_rows(&record->handle, keys + 1);

    keys[0] = redis_tombs_key(&record->handle);
    begin_script(link, SCRIPT_REVIVE, &record->handle, keys, 1 + len, 5);
    redis_link_arg_int(link, redis_score(expires_us, true));
    redis_link_arg_int(link, now_us);
    redis_link_arg_int(link, record->row_expiry_s);
    redis_link_arg_int(link, request->is_forced);
    redis_link_arg_int(link, record->kind == OUTBOX_COMMIT ? -1 : record->used_images);
}

static void write_end(struct redis_request *request, struct redis_link *link)
{
    if (request->is_reviving)
        write_revive(request, link);
    else if (request->record.kind == OUTBOX_COMMIT)
        write_score(request, link, true);
    else
        write_settle(request, link);
}

static void write_announcement(struct redis_link *link)
{
    redis_link_begin(link, 2);
    redis_link_arg(link, TEXT("INCR"));
    redis_link_arg(link, TEXT(REDIS_AMENDS_KEY));
}

void redis_request_write(struct redis_request *request, struct redis_link *link)
{
    switch (request->kind) {
    case REQUEST_RESERVE:
        write_reserve(request, link);
        return;
    case REQUEST_ASK:
        if (request->is_announcing)
            write_announcement(link);
        else
            write_limits(request, link);
        return;
    case REQUEST_RENEW:
        write_score(request, link, request->is_committed);
        return;
    case REQUEST_END:
        write_end(request, link);
        return;
    case REQUEST_POLL:
        redis_poll_write(request, link);
        return;
    case REQUEST_CLAIM:
        redis_claim_write(request, link);
        return;
    case REQUEST_NONE:
        ASSERT(false);
    }
}
