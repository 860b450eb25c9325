/* SPDX-License-Identifier: Apache-2.0 */
/* redis.c - the quota store on Redis: the ops, and what the workers share.      Runs on: worker; start-up.
 * Each worker has a link and an outbox of its own; they share where Redis is, and how many links are up. */

#include "quota/redis.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/resolve.h"
#include "quota/row.h"

struct redis_store {
    struct quota_store base;
    struct redis_target target;
    char *user; /* owned, as the next two; a config generation may end before the store does */
    char *password;
    char *outbox_dir;         /* NULL: none */
    atomic_int links_up;      /* write: workers    read: all */
    atomic_flag is_warned_of; /* that the outbox cannot be used */
};

static struct redis_quota *redis_of(struct quota *q)
{
    return (struct redis_quota *)q;
}

/* --- the ops --- */

static struct hold_handle handle_of(const struct reservation *r)
{
    struct hold_handle handle = {.bucket = r->bucket, .token_len = (uint32_t)r->token_len};

    memcpy(handle.token, r->token, (size_t)r->token_len);
    return handle;
}

static enum status reserve(struct quota *q, struct reservation *r, struct op *op)
{
    struct redis_quota *rq = redis_of(q);
    struct redis_request *request;

    if (redis_link_is_refusing(&rq->link))
        return ST_UNAVAILABLE;
    request = redis_request_new(rq, REQUEST_RESERVE);
    if (!request)
        return ST_UNAVAILABLE;
    redis_token_make(r);
    request->record.handle = handle_of(r);
    request->r = r;
    redis_request_wait(request, op);
    redis_request_launch(request);
    return ST_PENDING;
}

/* Changes the state of r, and says it in a request. */
static struct redis_request *ending(struct quota *q, struct reservation *r, enum outbox_kind kind,
                                    int64_t used_units)
{
    bool was_held = r->state == RESERVATION_HELD;
    struct redis_request *request = redis_request_new(redis_of(q), REQUEST_END);

    if (kind == OUTBOX_SETTLE)
        (void)reservation_settle(r, used_units);
    else if (was_held)
        reservation_commit(r);
    if (kind == OUTBOX_COMMIT)
        r->expires_us = quota_now_us(q) + q->lease_us;
    if (!request)
        return NULL;
    request->record = (struct outbox_record){
        .handle = handle_of(r),
        .kind = kind,
        .expires_us = r->expires_us,
        .row_expiry_s = redis_row_expiry(r, q->lease_us),
        .used_grains = grains_of(r->used_units),
    };
    request->record.charges_if_gone =
        was_held && (kind == OUTBOX_COMMIT || request->record.used_grains > 0);
    return request;
}

static enum status commit(struct quota *q, struct reservation *r, int64_t used_units, struct op *op)
{
    enum outbox_kind kind = used_units >= 0 ? OUTBOX_SETTLE : OUTBOX_COMMIT;
    struct redis_request *request = ending(q, r, kind, used_units);

    if (!request)
        return ST_UNAVAILABLE;
    if (!redis_link_is_up(&redis_of(q)->link)) {
        redis_request_launch(request);
        return ST_OK;
    }
    redis_request_wait(request, op);
    redis_request_launch(request);
    return ST_PENDING;
}

static void settle(struct quota *q, struct reservation *r, int64_t used_units)
{
    struct redis_request *request = ending(q, r, OUTBOX_SETTLE, used_units);

    if (request)
        redis_request_launch(request);
}

static void renew(struct quota *q, struct reservation *r)
{
    struct redis_request *request = redis_request_new(redis_of(q), REQUEST_RENEW);

    if (!request)
        return;
    request->record.handle = handle_of(r);
    request->record.expires_us = r->expires_us;
    request->is_committed = r->state == RESERVATION_COMMITTED;
    redis_request_launch(request);
}

/* --- the link --- */

static void count_link(struct redis_quota *rq, bool is_up)
{
    if (rq->is_counted == is_up)
        return;
    rq->is_counted = is_up;
    atomic_fetch_add_explicit(&rq->store->links_up, is_up ? 1 : -1, memory_order_relaxed);
}

static void on_synced(struct redis_link *link)
{
    struct redis_quota *rq = container_of(link, struct redis_quota, link);

    rq->base.has_clock = true;
    rq->base.clock_offset_us = link->clock_offset_us;
}

static void on_up(struct redis_link *link)
{
    struct redis_quota *rq = container_of(link, struct redis_quota, link);

    count_link(rq, true);
    redis_requests_send(rq);
    quota_renew_all(&rq->base);
}

static void on_lost(struct redis_link *link)
{
    struct redis_quota *rq = container_of(link, struct redis_quota, link);

    count_link(rq, false);
    redis_requests_lost(rq);
}

/* --- a worker's door --- */

static void close_quota(struct quota *q)
{
    struct redis_quota *rq = redis_of(q);
    int64_t until_us = loop_now_us(q->loop) + rq->store->target.timeout_us;

    while (redis_requests_are_due(rq) && loop_now_us(q->loop) < until_us)
        loop_run_once(q->loop, 10);
    rq->is_closing = true;
    redis_link_close(&rq->link);
    on_lost(&rq->link);
    redis_requests_free(rq);
    outbox_close(&rq->outbox);
    free(rq);
}

static const struct quota_ops quota_ops = {
    .name = "redis",
    .reserve = reserve,
    .commit = commit,
    .settle = settle,
    .renew = renew,
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
    quota_init(&rq->base, &quota_ops, loop, config->lease_ms * 1000);
    rq->store = (struct redis_store *)base;
    rq->waits_for_reply = config->commit == COMMIT_ACKNOWLEDGED;
    rq->complained_us = INT64_MIN / 2;
    list_init(&rq->ops);
    list_init(&rq->unsent);
    rq->link.synced = on_synced;
    rq->link.up = on_up;
    rq->link.lost = on_lost;

    enum status st = redis_link_open(&rq->link, loop, &rq->store->target);

    if (st) {
        free(rq);
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

    return atomic_load_explicit(&store->links_up, memory_order_relaxed) > 0;
}

static void close_store(struct quota_store *base)
{
    struct redis_store *store = (struct redis_store *)base;

    free(store->user);
    free(store->password);
    free(store->outbox_dir);
    free(store);
}

static const struct quota_store_ops store_ops = {
    .name = "redis",
    .open = open_quota,
    .is_up = is_up,
    .close = close_store,
};

static enum status find_redis(const struct store_url *url, struct text_out *error,
                              struct address *out)
{
    char buf[512];
    struct text_out text;
    enum status st;

    text_out_init(&text, buf, sizeof(buf));
    if (url->path)
        text_out_printf(&text, "unix:%s", url->path);
    else
        text_out_printf(&text, strchr(url->host, ':') ? "[%s]:%d" : "%s:%d", url->host, url->port);
    st = text.is_full ? ST_INVALID : resolve_host_port(text_out_text(&text), out);
    if (st == ST_INVALID)
        text_out_printf(error, "%s is no address", buf);
    else if (st)
        text_out_printf(error, "the name in %s is not known", buf);
    return st;
}

/* NULL for NULL, and where there is no memory. */
static char *copy(const char *t)
{
    return t ? strdup(t) : NULL;
}

enum status redis_store_open(const struct config *config, char error[CONFIG_ERROR_MAX],
                             struct quota_store **out)
{
    struct redis_store *store = calloc(1, sizeof(*store));
    const struct store_url *url = &config->store;
    struct text_out text;
    enum status st;

    text_out_init(&text, error, CONFIG_ERROR_MAX);
    text_out_add(&text, TEXT("quota_store: "));
    if (!store)
        return ST_NOMEM;
    store->base.ops = &store_ops;
    atomic_init(&store->links_up, 0);
    atomic_flag_clear(&store->is_warned_of);
    st = find_redis(url, &text, &store->target.address);
    if (st) {
        free(store);
        return st;
    }
    store->user = copy(url->user);
    store->password = copy(url->password);
    store->outbox_dir = copy(config->outbox_dir);
    store->target.user = store->user;
    store->target.password = store->password;
    store->target.db = url->db;
    store->target.timeout_us = config->quota_timeout_ms * 1000;
    *out = &store->base;
    return ST_OK;
}
