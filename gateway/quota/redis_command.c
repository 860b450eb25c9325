/* SPDX-License-Identifier: Apache-2.0 */
/* redis_command.c - a request as a Redis command.      Runs on: worker.
 * Commit, renewal and a settle of all that was held are plain commands: a tenth of a script's cost. */

#include "quota/redis.h"
#include "redis/wire.h"

#define REAP_EVERY 16
/* The kernel holds nothing for longer, should this thread stand still. */
#define RIDE_MARGIN_US INT64_C(250000)

#define FACTS_HEAD_LEN (1 + 4 + 2)
#define FACTS_ROW_LEN  (6 + 6)

/* Every command that is written here fits: the script and its keys, the token, the longest of plans, five numbers. */
#define COMMAND_MAX                                                                                \
    (2 * WIRE_COUNT_MAX + SCRIPT_CALL_LEN + (2 + TOKEN_ROWS_MAX) * WIRE_ARG_MAX(REDIS_KEY_MAX) +   \
     WIRE_ARG_MAX(HOLD_TOKEN_MAX) + WIRE_ARG_MAX(PLAN_HEAD_LEN + PLAN_LIMIT_LEN * LIMITS_MAX) +    \
     5 * WIRE_INT_MAX)

static char *put_token(char *out, const struct hold_handle *handle)
{
    return wire_arg(out, handle->token, handle->token_len);
}

char *redis_put_script(char *out, const struct redis_link *link, enum redis_script script, int keys,
                       int args)
{
    out = wire_count(out, '*', 3 + (size_t)keys + (size_t)args);
    out = wire_bytes(out, link->target->scripts.calls[script], SCRIPT_CALL_LEN);
    return wire_arg_int(out, keys);
}

/* A script's call, and its first key. */
static char *begin_script(char *out, const struct redis_link *link, enum redis_script script,
                          const struct redis_key *head, int keys, int args)
{
    out = redis_put_script(out, link, script, keys, args);
    return redis_put_key(out, head, "h", 1);
}

/* One of the rows that are in use, to be looked at by redis_poll.c. */
static void remember_row(struct redis_quota *rq, const unsigned char *suffix, uint32_t bucket)
{
    memcpy(rq->last_row, suffix, SUFFIX_LEN);
    rq->last_bucket = bucket;
    rq->has_last_row = true;
}

struct redis_question redis_question_of(const struct redis_request *request)
{
    return (struct redis_question){
        .from = request->from,
        .r = request->r,
        .part = request->part,
        .bucket = request->record.handle.bucket,
        .asked_us = request->asked_us,
        .now_us = quota_now_us(&request->from->base),
        .task = request->task,
        .amend_units = request->amend_units,
    };
}

static char *put_limits(struct redis_request *request, const struct redis_link *link, char *out)
{
    struct redis_quota *rq = request->from;
    const struct hold_handle *handle = &request->record.handle;
    const struct redis_question question = redis_question_of(request);
    bool is_amend = request->task >= TASK_INSPECT;
    bool is_committed = request->is_late || request->task >= TASK_GRANT;
    struct redis_key head = redis_key_head(handle->bucket);
    struct redis_plan plan;

    redis_plan_make(&question, &plan);
    if (plan.rows_len > 0)
        remember_row(rq, plan.rows[0], handle->bucket);
    out = begin_script(out, link, is_amend ? SCRIPT_AMEND : SCRIPT_LIMITS, &head, 1 + plan.rows_len,
                       is_amend ? 4 : 3);
    for (int i = 0; i < plan.rows_len; i++)
        out = redis_put_key(out, &head, plan.rows[i], SUFFIX_LEN);
    out = put_token(out, handle);
    out = wire_arg_int(out, redis_score(request->record.expires_us, is_committed));
    out = wire_arg(out, plan.bytes, (size_t)plan.len);
    return is_amend ? wire_arg_int(out, request->amend_until_s) : out;
}

/* The facts of ROWS; the rows' keys end as its token's entries begin. */
static size_t put_facts(unsigned char *facts, const struct redis_request *request)
{
    const struct redis_quota *rq = request->from;
    const struct reservation *r = request->r;
    const struct reservation_part *part = &r->parts[request->part];
    int64_t most = row_shape(MEASURE_IMAGES).span - 1;
    int64_t now_us = quota_now_us(&rq->base);
    size_t len = FACTS_HEAD_LEN;

    facts[0] = (unsigned char)request->task;
    redis_put(facts + 1, 4, (uint64_t)redis_horizon(now_us));
    redis_put(facts + 5, 2, (uint64_t)r->held_images);
    for (int i = 0; i < part->len; i++, len += FACTS_ROW_LEN) {
        const struct limit *limit = &r->limits[part->first + i].limit;
        struct redis_row row =
            redis_row_of(rq, request->record.handle.bucket, limit, request->asked_us);
        bool is_seen = redis_rows_are_seen(rq, &row, now_us);

        redis_put(facts + len, 6, (uint64_t)MIN(limit_allowed(limit), most));
        redis_put(facts + len + 6, 6, is_seen ? 0 : (uint64_t)row.expiry_s);
    }
    return len;
}

static char *put_rows(struct redis_request *request, const struct redis_link *link, char *out)
{
    const struct hold_handle *handle = &request->record.handle;
    const unsigned char *rows = handle->token + TOKEN_HEAD_LEN;
    int rows_len = request->r->parts[request->part].len;
    struct redis_key head = redis_key_head(handle->bucket);
    unsigned char facts[FACTS_HEAD_LEN + FACTS_ROW_LEN * LIMITS_MAX];
    size_t facts_len = put_facts(facts, request);

    remember_row(request->from, rows, handle->bucket);
    out = begin_script(out, link, SCRIPT_ROWS, &head, 1 + rows_len, 3);
    for (int i = 0; i < rows_len; i++)
        out = redis_put_key(out, &head, rows + i * SUFFIX_LEN, SUFFIX_LEN);
    out = put_token(out, handle);
    out = wire_arg_int(out, redis_score(request->record.expires_us, request->is_late));
    return wire_arg(out, facts, facts_len);
}

static enum redis_task next_task(struct redis_request *request)
{
    if (request->is_late)
        return TASK_RESERVE_LATE;
    return ++request->from->reserves % REAP_EVERY == 0 ? TASK_REAP_AND_RESERVE : TASK_RESERVE;
}

void redis_reserve_set_out(struct redis_request *request)
{
    const struct quota *q = &request->from->base;

    request->task = next_task(request);
    if (request->record.expires_us == 0) /* a lease counts from the first time it is asked for */
        request->record.expires_us = quota_now_us(q) + q->lease_us;
}

static char *put_reserve(struct redis_request *request, const struct redis_link *link, char *out)
{
    if (redis_part_is_rows(request->r, request->part))
        return put_rows(request, link, out);
    return put_limits(request, link, out);
}

/* Never back: a renewal from an old connection may arrive after the commit, which has the higher score. */
static char *put_score(const struct redis_request *request, char *out, bool is_committed)
{
    static const char flags[] = "$2\r\nXX\r\n$2\r\nGT\r\n$2\r\nCH\r\n";
    struct redis_key head = redis_key_head(request->record.handle.bucket);

    out = wire_bytes(out, "*7\r\n$4\r\nZADD\r\n", 14);
    out = redis_put_key(out, &head, "h", 1);
    out = wire_bytes(out, flags, sizeof(flags) - 1);
    out = wire_arg_int(out, redis_score(request->record.expires_us, is_committed));
    return put_token(out, &request->record.handle);
}

/* The keys of all rows that ending a hold may touch. */
static char *put_token_rows(char *out, const struct redis_key *rows, int len)
{
    for (int i = 0; i < len; i++)
        out = wire_arg(out, rows[i].buf, rows[i].len);
    return out;
}

static char *put_refund(const struct redis_request *request, const struct redis_link *link,
                        char *out, int64_t images)
{
    const struct hold_handle *handle = &request->record.handle;
    struct redis_key head = redis_key_head(handle->bucket);
    struct redis_key rows[TOKEN_ROWS_MAX];
    int len = redis_token_rows(handle, rows);

    out = begin_script(out, link, SCRIPT_SETTLE, &head, 1 + len, 3);
    out = put_token_rows(out, rows, len);
    out = put_token(out, handle);
    out = wire_arg_int(out, images);
    return wire_arg_int(out, quota_now_us(&request->from->base));
}

static char *put_settle(const struct redis_request *request, const struct redis_link *link,
                        char *out)
{
    const struct hold_handle *handle = &request->record.handle;
    int64_t left = redis_token_images(handle) - request->record.used_images;
    struct redis_key head;

    if (left > 0)
        return put_refund(request, link, out, left);
    head = redis_key_head(handle->bucket);
    out = wire_bytes(out, "*3\r\n$4\r\nZREM\r\n", 14);
    return put_token(redis_put_key(out, &head, "h", 1), handle);
}

static char *put_revive(const struct redis_request *request, const struct redis_link *link,
                        char *out)
{
    struct redis_quota *rq = request->from;
    const struct outbox_record *record = &request->record;
    int64_t now_us = quota_now_us(&rq->base);
    int64_t expires_us = MAX(record->expires_us, now_us + rq->base.lease_us);
    struct redis_key head = redis_key_head(record->handle.bucket);
    struct redis_key rows[TOKEN_ROWS_MAX];
    int len = redis_token_rows(&record->handle, rows);

    out = begin_script(out, link, SCRIPT_REVIVE, &head, 2 + len, 6);
    out = redis_put_key(out, &head, "t", 1);
    out = put_token_rows(out, rows, len);
    out = put_token(out, &record->handle);
    out = wire_arg_int(out, redis_score(expires_us, true));
    out = wire_arg_int(out, now_us);
    out = wire_arg_int(out, record->row_expiry_s);
    out = wire_arg_int(out, request->is_forced);
    return wire_arg_int(out, record->kind == OUTBOX_COMMIT ? -1 : record->used_images);
}

static char *put_end(const struct redis_request *request, const struct redis_link *link, char *out)
{
    if (request->is_reviving)
        return put_revive(request, link, out);
    if (request->record.kind == OUTBOX_COMMIT)
        return put_score(request, out, true);
    return put_settle(request, link, out);
}

/* Of the kinds that are about a hold, or an amend. */
static char *put_command(struct redis_request *request, const struct redis_link *link, char *out)
{
    if (request->kind == REQUEST_RESERVE)
        return put_reserve(request, link, out);
    if (request->kind == REQUEST_END)
        return put_end(request, link, out);
    if (request->kind == REQUEST_RENEW)
        return put_score(request, out, request->is_committed);
    return put_limits(request, link, out);
}

static void write_announcement(struct redis_link *link)
{
    redis_link_begin(link, 2);
    redis_link_arg(link, TEXT("INCR"));
    redis_link_arg(link, TEXT(REDIS_AMENDS_KEY));
}

/* --- its haste --- */

/* What waits is told when it is written, if anything waits at all. */
static bool can_wait(const struct redis_request *request)
{
    bool is_awaited = request->op || request->partner;

    return request->kind == REQUEST_RENEW ||
           (request->kind == REQUEST_END && (!is_awaited || request->call.written));
}

/* Not what has come back already, nor where the hold could end before it comes there. */
static bool can_ride(const struct redis_request *request)
{
    const struct redis_quota *rq = request->from;

    return request->is_quiet && !request->rounds && !request->is_reviving &&
           !request->record.was_sent && !rq->waits_for_reply &&
           request->sure_until_us - RIDE_MARGIN_US > quota_now_us(&rq->base);
}

void redis_request_write(struct redis_request *request, struct redis_link *link)
{
    char *out;

    request->call.can_wait = can_wait(request);
    request->call.can_ride = can_ride(request);
    if (request->kind == REQUEST_POLL) {
        redis_poll_write(request, link);
    } else if (request->kind == REQUEST_CLAIM) {
        redis_claim_write(request, link);
    } else if (request->is_announcing) {
        write_announcement(link);
    } else {
        ASSERT(request->kind != REQUEST_NONE);
        out = redis_link_room(link, COMMAND_MAX);
        if (out)
            redis_link_took(link, put_command(request, link, out));
    }
}
