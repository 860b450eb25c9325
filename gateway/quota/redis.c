/* SPDX-License-Identifier: Apache-2.0 */
/* redis.c - the quota store on Redis: the ops, and what the workers share.      Runs on: worker; start-up.
 * Each worker has a route and an outbox of its own; they share where Redis is, and how many routes are up. */

#include "quota/redis.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct redis_store {
    struct quota_store base;
    struct redis_target target;
    char *outbox_dir;         /* owned; NULL: none */
    atomic_int routes_up;     /* write: workers    read: all */
    atomic_flag is_warned_of; /* that the outbox cannot be used */
};

static struct redis_quota *redis_of(struct quota *q)
{
    return (struct redis_quota *)q;
}

/* --- questions --- */

enum status redis_request_ask(struct redis_request *request, struct reservation *r, struct op *op)
{
    if (!request)
        return ST_UNAVAILABLE;

    struct redis_quota *rq = request->from;

    redis_request_begin(request, r);
    if (redis_link_is_refusing(redis_route_link(&rq->route, request->record.handle.bucket)) ||
        redis_layout_is_refusing(rq)) {
        redis_request_free(request);
        return ST_UNAVAILABLE;
    }
    redis_request_wait(request, op);
    redis_request_launch(request);
    return ST_PENDING;
}

static enum status reserve(struct quota *q, struct reservation *r, struct op *op)
{
    return redis_request_ask(redis_request_new(redis_of(q), REQUEST_RESERVE), r, op);
}

static enum status inspect(struct quota *q, struct reservation *r, struct op *op)
{
    struct redis_request *request = redis_request_new(redis_of(q), REQUEST_ASK);

    if (request)
        request->task = TASK_INSPECT;
    return redis_request_ask(request, r, op);
}

static enum redis_task task_of(enum quota_change_kind kind)
{
    switch (kind) {
    case CHANGE_GRANT:
        return TASK_GRANT;
    case CHANGE_SET_USED:
        return TASK_SET_USED;
    case CHANGE_RESET:
        return TASK_RESET;
    case CHANGE_NONE:
        break;
    }
    return TASK_INSPECT;
}

static enum status amend(struct quota *q, struct reservation *r, const struct quota_change *change,
                         struct op *op)
{
    struct redis_request *request = redis_request_new(redis_of(q), REQUEST_ASK);

    if (request) {
        request->task = task_of(change->kind);
        request->amend_units = change->units;
        request->amend_until_s = change->until_s;
        request->record.expires_us = quota_now_us(q) + AMEND_MEMORY_US;
    }
    return redis_request_ask(request, r, op);
}

/* --- the end of a hold --- */

/* Of rows that the reservation charged in calendar windows; no other is made anew. */
static int64_t row_expiry_s(const struct quota *q, const struct reservation *r, int part,
                            uint32_t bucket)
{
    const struct reservation_part *p = &r->parts[part];
    int64_t end_s = 0;

    for (int i = p->first; i < p->first + p->len; i++)
        end_s = MAX(end_s, r->limits[i].limit.window.end_s);
    return redis_row_expiry(end_s, bucket, q->lease_us);
}

struct redis_request *redis_request_new_end(struct redis_quota *rq, struct reservation *r, int part,
                                            enum outbox_kind kind)
{
    struct redis_request *request = redis_request_new(rq, REQUEST_END);

    if (kind == OUTBOX_SETTLE)
        redis_request_tie_settle(request, r, part);
    if (!request)
        return NULL;
    if (kind == OUTBOX_COMMIT)
        redis_request_tie(request, r, part);

    struct outbox_record *record = &request->record;

    redis_token_put(r, part, &record->handle);
    record->kind = kind;
    record->expires_us = r->expires_us;
    record->row_expiry_s = row_expiry_s(&rq->base, r, part, record->handle.bucket);
    record->used_images = r->used_images;
    request->is_quiet = kind == OUTBOX_COMMIT || !reservation_gives_back(r, r->used_images);
    return request;
}

/* A request for each part that is held. */
struct ending {
    int len;
    struct redis_request *requests[RESERVATION_PARTS_MAX];
};

/* Changes the state of r. */
static void change(struct quota *q, struct reservation *r, int64_t used_images)
{
    if (used_images >= 0)
        (void)reservation_settle(r, used_images);
    else if (r->state == RESERVATION_HELD)
        reservation_commit(r);
    if (used_images < 0)
        r->expires_us = quota_now_us(q) + q->lease_us;
}

/* Changes the state of r, and says it. */
static struct ending ending(struct quota *q, struct reservation *r, int64_t used_images)
{
    enum outbox_kind kind = used_images >= 0 ? OUTBOX_SETTLE : OUTBOX_COMMIT;
    struct ending ending = {.len = 0};
    bool was_held = r->state == RESERVATION_HELD;

    change(q, r, used_images);
    for (int i = 0; i < r->parts_len; i++) {
        struct redis_request *request =
            r->parts[i].is_held ? redis_request_new_end(redis_of(q), r, i, kind) : NULL;

        if (!request)
            continue;
        if (was_held && (kind == OUTBOX_COMMIT || r->used_images > 0)) {
            request->record.charges_if_gone = true;
            request->sure_until_us = r->parts[i].sure_until_us;
        }
        ending.requests[ending.len++] = request;
    }
    return ending;
}

static bool is_up_for(const struct redis_quota *rq, uint32_t bucket)
{
    return redis_link_is_up(redis_route_link((struct redis_route *)(uintptr_t)&rq->route, bucket));
}

/* Images are about to be delivered, for a hold that others may have given back.  What cannot be sent at once has no reply
 * that would tell, so then the clock is read anew. */
static bool is_late(struct quota *q, const struct reservation *r, int64_t used_images)
{
    if (r->state != RESERVATION_HELD || used_images == 0)
        return false;
    return redis_hold_is_late(r, is_up_for(redis_of(q), redis_part_bucket(r, 0))
                                     ? quota_now_us(q)
                                     : redis_fresh_now_us(q));
}

/* The op waits for those that can be sent now; what cannot is on disk at once. */
static enum status end_and_wait(struct quota *q, struct reservation *r, int64_t used_images,
                                struct op *op)
{
    struct ending end = ending(q, r, used_images);
    struct redis_request *waits[RESERVATION_PARTS_MAX];
    int waits_len = 0;

    for (int i = 0; i < end.len; i++)
        if (is_up_for(redis_of(q), end.requests[i]->record.handle.bucket))
            waits[waits_len++] = end.requests[i];
    if (waits_len > 0) {
        redis_request_wait(waits[0], op);
        waits[0]->r = r;
    }
    if (waits_len > 1) {
        waits[0]->partner = waits[1];
        waits[1]->partner = waits[0];
    }
    for (int i = 0; i < end.len; i++)
        redis_request_launch(end.requests[i]);
    if (waits_len > 0)
        return ST_PENDING;
    return end.len > 0 ? ST_OK : ST_UNAVAILABLE;
}

static enum status commit(struct quota *q, struct reservation *r, int64_t used_images,
                          struct op *op)
{
    if (!is_late(q, r, used_images))
        return end_and_wait(q, r, used_images, op);
    change(q, r, used_images);
    return redis_late_ask(redis_of(q), r, op);
}

static void settle(struct quota *q, struct reservation *r, int64_t used_images)
{
    struct ending end = ending(q, r, used_images);

    for (int i = 0; i < end.len; i++)
        redis_request_launch(end.requests[i]);
}

static void adopt(struct quota *q, struct reservation *r)
{
    redis_parts_adopt(redis_of(q), r);
    reservation_hold(r, quota_now_us(q) + q->lease_us);
}

static void renew(struct quota *q, struct reservation *r)
{
    for (int i = 0; i < r->parts_len; i++) {
        struct redis_request *request = r->parts[i].is_held && !r->parts[i].renewal
                                            ? redis_request_new(redis_of(q), REQUEST_RENEW)
                                            : NULL;

        if (!request)
            continue;
        redis_request_tie(request, r, i);
        redis_token_put(r, i, &request->record.handle);
        request->record.expires_us = r->expires_us;
        request->is_committed = r->state == RESERVATION_COMMITTED;
        redis_request_launch(request);
    }
}

/* --- the route --- */

static struct redis_quota *quota_of(struct redis_route *route)
{
    return container_of(route, struct redis_quota, route);
}

void redis_quota_count(struct redis_quota *rq)
{
    bool is_up =
        !rq->is_closing && redis_route_is_up(&rq->route) && rq->layout_state == LAYOUT_SAME;

    if (rq->is_counted == is_up)
        return;
    rq->is_counted = is_up;
    atomic_fetch_add_explicit(&rq->store->routes_up, is_up ? 1 : -1, memory_order_relaxed);
}

static void on_synced(struct redis_route *route, int64_t clock_offset_us)
{
    struct redis_quota *rq = quota_of(route);

    rq->base.has_clock = true;
    rq->base.clock_offset_us = clock_offset_us;
}

static void on_up(struct redis_route *route)
{
    quota_renew_all(&quota_of(route)->base);
}

static void on_ready(struct redis_route *route)
{
    redis_quota_count(quota_of(route));
    redis_requests_send(quota_of(route));
    redis_poll(quota_of(route));
}

static void on_lost(struct redis_route *route)
{
    redis_poll_lost(quota_of(route));
    redis_rows_forget(quota_of(route));
    redis_requests_lost(quota_of(route));
}

/* --- a worker's door --- */

static void free_quota(struct redis_quota *rq)
{
    shelf_fini(&rq->requests);
    shelf_fini(&rq->batches);
    free(rq->seen);
    free(rq);
}

static void close_quota(struct quota *q)
{
    struct redis_quota *rq = redis_of(q);
    int64_t until_us = loop_now_us(q->loop) + rq->store->target.timeout_us;

    while (redis_requests_are_due(rq) && loop_now_us(q->loop) < until_us)
        loop_run_once(q->loop, 10);
    rq->is_closing = true;
    timer_clear(&rq->poll);
    redis_route_close(&rq->route);
    on_lost(&rq->route);
    redis_requests_free(rq);
    outbox_close(&rq->outbox);
    free_quota(rq);
}

static const struct quota_ops quota_ops = {
    .name = "redis",
    .reserve = reserve,
    .commit = commit,
    .settle = settle,
    .inspect = inspect,
    .amend = amend,
    .adopt = adopt,
    .claim = redis_claim,
    .renew = renew,
    .post = redis_board_post,
    .read_board = redis_board_read,
    .close = close_quota,
};

static void on_left_behind(void *owner, const struct outbox_record *record)
{
    redis_request_resume(owner, record);
}

static void open_outbox(struct redis_quota *rq)
{
    struct redis_store *store = rq->store;
    char reason[256];
    struct text_out text;

    if (!store->outbox_dir)
        return;
    text_out_init(&text, reason, sizeof(reason));
    if (outbox_open(store->outbox_dir, on_left_behind, rq, &text, &rq->outbox) == ST_OK)
        return;
    if (!atomic_flag_test_and_set(&store->is_warned_of))
        log_event(LOG_WARN, "outbox_unusable",
                  "why=\"%s\" effect=\"commits are kept in memory only while Redis is down\"",
                  reason);
}

static enum status open_quota(struct quota_store *base, struct loop *loop,
                              const struct config *config, struct quota **out)
{
    struct redis_quota *rq = calloc(1, sizeof(*rq));

    if (!rq)
        return ST_NOMEM;
    quota_init(&rq->base, &quota_ops, base, loop, config->lease_ms * 1000);
    rq->base.amends_known_until_us = 0;
    redis_poll_init(rq, config->quota_accounts);
    redis_rows_init(rq);
    rq->store = (struct redis_store *)base;
    rq->waits_for_reply =
        config->commit == COMMIT_ACKNOWLEDGED || rq->store->target.wait_replicas > 0;
    rq->complained_us = INT64_MIN / 2;
    shelf_init(&rq->requests, sizeof(struct redis_request));
    redis_batches_init(rq);
    list_init(&rq->ops);
    list_init(&rq->unsent);
    rq->route.synced = on_synced;
    rq->route.up = on_up;
    rq->route.ready = on_ready;
    rq->route.lost = on_lost;

    enum status st = redis_route_open(&rq->route, loop, &rq->store->target);

    if (st) {
        free_quota(rq);
        return st;
    }
    open_outbox(rq);
    *out = &rq->base;
    return ST_OK;
}

/* --- what the workers share --- */

static bool is_up(const struct quota_store *base)
{
    const struct redis_store *store = (const struct redis_store *)base;

    return atomic_load_explicit(&store->routes_up, memory_order_relaxed) > 0;
}

static void close_store(struct quota_store *base)
{
    struct redis_store *store = (struct redis_store *)base;

    redis_target_fini(&store->target);
    free(store->outbox_dir);
    free(store);
}

static const struct quota_store_ops store_ops = {
    .name = "redis",
    .open = open_quota,
    .is_up = is_up,
    .close = close_store,
};

enum status redis_store_open(const struct config *config, char error[CONFIG_ERROR_MAX],
                             struct quota_store **out)
{
    struct redis_store *store = calloc(1, sizeof(*store));
    struct text_out text;

    text_out_init(&text, error, CONFIG_ERROR_MAX);
    text_out_add(&text, TEXT("quota_store: "));
    if (!store)
        return ST_NOMEM;
    store->base.ops = &store_ops;
    atomic_init(&store->base.amends, 0);
    atomic_init(&store->routes_up, 0);
    atomic_flag_clear(&store->is_warned_of);

    enum status st = redis_target_init(&store->target, &config->store, config, &text);

    if (!st)
        st = redis_scripts_init(&store->target.scripts, redis_script_sources, SCRIPTS);
    if (st) {
        redis_target_fini(&store->target);
        free(store);
        return st;
    }
    store->outbox_dir = config->outbox_dir ? strdup(config->outbox_dir) : NULL;
    *out = &store->base;
    return ST_OK;
}
