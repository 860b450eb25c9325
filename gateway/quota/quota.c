/* SPDX-License-Identifier: Apache-2.0 */
/* quota.c - the door to whichever store is configured, and the renewal of leases.      Runs on: worker.
 * A reservation is in its worker's live list exactly while it is HELD or COMMITTED. */

#include "quota/quota.h"

#include <stdlib.h>

#include "quota/denied.h"
#include "quota/local.h"
#include "quota/store.h"

static bool counts_locally(const struct config *config)
{
    for (int i = 0; i < config->policy.tiers_len; i++)
        if (config->policy.tiers[i].on_store_down == STORE_DOWN_LOCAL)
            return true;
    return false;
}

/* And what stands in for it, where a tier wants that. */
static enum status open_redis(const struct config *config, char error[CONFIG_ERROR_MAX],
                              struct quota_store **out)
{
    struct quota_store *store;
    enum status st = redis_store_open(config, error, &store);

    if (st)
        return st;
    if (counts_locally(config))
        st = embedded_store_open(config->local_dir, error, &store->local);
    if (st)
        quota_store_close(&store);
    else
        *out = store;
    return st;
}

enum status quota_store_open(const struct config *config, char error[CONFIG_ERROR_MAX],
                             struct quota_store **out)
{
    error[0] = '\0';
    switch (config->store.kind) {
    case STORE_EMBEDDED:
        return embedded_store_open(config->store.path, error, out);
    case STORE_REDIS:
        return open_redis(config, error, out);
    case STORE_NONE:
        break;
    }

    struct text_out text;

    text_out_init(&text, error, CONFIG_ERROR_MAX);
    text_out_add(&text, TEXT("quota_store: none is configured"));
    return ST_INVALID;
}

void quota_store_close(struct quota_store **store)
{
    struct quota_store *closing = *store;

    if (!closing)
        return;
    *store = NULL;
    quota_store_close(&closing->local);
    closing->ops->close(closing);
}

bool quota_store_is_up(const struct quota_store *store)
{
    return store->ops->is_up(store);
}

const char *quota_store_words(const struct quota_store *store)
{
    const char *trouble = atomic_load_explicit(&store->trouble, memory_order_relaxed);

    if (quota_store_is_up(store))
        return "up";
    return trouble ? trouble : "down";
}

double quota_store_bucket_accounts(const struct quota_store *store)
{
    return (double)atomic_load_explicit(&store->bucket_milli, memory_order_relaxed) / 1000;
}

static enum status open_local(struct quota *q, const struct config *config)
{
    struct local *local = calloc(1, sizeof(*local));
    enum status st = ST_NOMEM;

    if (local) {
        local->share_percent = (int)config->local_share;
        st = quota_open(q->store->local, q->loop, config, &local->door);
    }
    if (st) {
        free(local);
        quota_close(&q);
        return st;
    }
    q->local = local;
    return ST_OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): the store that stands in has none to stand in for it */
enum status quota_open(struct quota_store *store, struct loop *loop, const struct config *config,
                       struct quota **out)
{
    struct quota *q;
    enum status st = store->ops->open(store, loop, config, &q);

    if (st == ST_OK && store->local)
        st = open_local(q, config);
    if (st == ST_OK)
        *out = q;
    return st;
}

int64_t quota_now_us(const struct quota *q)
{
    return q->has_clock ? loop_now_us(q->loop) + q->clock_offset_us : loop_wall_us(q->loop);
}

/* Renews what has less than that left of its lease. */
static void renew_below(struct quota *q, int64_t left_us)
{
    int64_t now_us = quota_now_us(q);

    LIST_EACH (node, &q->live) {
        struct reservation *r = container_of(node, struct reservation, live);

        if (r->expires_us - now_us >= left_us)
            continue;
        r->expires_us = now_us + q->lease_us;
        q->ops->renew(q, r);
    }
}

static void schedule_renewals(struct quota *q)
{
    timer_set(q->loop, &q->renewals, loop_now_us(q->loop) + q->lease_us / 4);
}

static void on_renewals(struct timer *timer)
{
    struct quota *q = container_of(timer, struct quota, renewals);

    renew_below(q, q->lease_us / 2);
    if (!list_is_empty(&q->live))
        schedule_renewals(q);
}

void quota_init(struct quota *q, const struct quota_ops *ops, struct quota_store *store,
                struct loop *loop, int64_t lease_us)
{
    *q = (struct quota){.ops = ops, .store = store, .loop = loop, .lease_us = lease_us};
    q->denied = denied_new(DENIED_ENTRIES);
    q->amends_known_until_us = INT64_MAX;
    q->amends_seen = quota_amends(q);
    list_init(&q->live);
    timer_init(&q->renewals, on_renewals);
}

void quota_hold(struct quota *q, struct reservation *r, int64_t expires_us)
{
    reservation_hold(r, expires_us);
    list_push_back(&q->live, &r->live);
    if (!timer_is_set(&q->renewals))
        schedule_renewals(q);
}

void quota_renew_all(struct quota *q)
{
    renew_below(q, INT64_MAX);
}

static bool is_live(const struct reservation *r)
{
    return r->state == RESERVATION_HELD || r->state == RESERVATION_COMMITTED;
}

/* --- what has been refused --- */

unsigned quota_amends(const struct quota *q)
{
    return atomic_load_explicit(&q->store->amends, memory_order_acquire);
}

void quota_store_amended(struct quota_store *store)
{
    atomic_fetch_add_explicit(&store->amends, 1, memory_order_acq_rel);
}

void quota_refused(struct quota *q, const struct reservation *r, int64_t in_hand_images,
                   unsigned amends)
{
    if (q->denied && amends == quota_amends(q))
        denied_note(q->denied, r, in_hand_images, quota_now_us(q));
}

bool quota_denies_some(const struct quota *q)
{
    return q->denied && !denied_is_empty(q->denied);
}

bool quota_is_denied(struct quota *q, struct reservation *r)
{
    unsigned amends = quota_amends(q);

    if (!q->denied || loop_now_us(q->loop) >= q->amends_known_until_us)
        return false;
    if (amends != q->amends_seen)
        denied_clear(q->denied);
    q->amends_seen = amends;
    return denied_find(q->denied, r, quota_now_us(q)) >= 0;
}

/* What r held may be had again. */
static void forget_denied(struct quota *q, const struct reservation *r)
{
    for (int i = 0; i < r->limits_len && q->denied; i++)
        denied_forget(q->denied, &r->limits[i].limit.subject);
}

/* --- the ops --- */

enum status quota_reserve(struct quota *q, struct reservation *r, struct op *op)
{
    ASSERT(r->state == RESERVATION_NONE);
    if (r->limits_len == 0 || r->held_images == 0)
        return ST_OK;
    if (quota_is_denied(q, r))
        return ST_LIMIT;
    return q->ops->reserve(q, r, op);
}

enum status quota_reserve_locally(struct quota *q, struct reservation *r, struct op *op)
{
    ASSERT(r->state == RESERVATION_NONE);
    return q->local ? local_reserve(q, r, op) : ST_UNAVAILABLE;
}

enum status quota_commit(struct quota *q, struct reservation *r, int64_t used_images, struct op *op)
{
    if (!is_live(r))
        return ST_OK;
    if (r->local)
        return local_commit(q, r, used_images, op);
    if (used_images >= 0) {
        list_remove(&r->live);
        forget_denied(q, r);
    }
    return q->ops->commit(q, r, used_images, op);
}

void quota_settle(struct quota *q, struct reservation *r, int64_t used_images)
{
    if (!is_live(r))
        return;
    if (r->local) {
        local_settle(q, r, used_images);
        return;
    }
    list_remove(&r->live);
    forget_denied(q, r);
    q->ops->settle(q, r, used_images);
}

enum status quota_inspect(struct quota *q, struct reservation *r, struct op *op)
{
    ASSERT(r->state == RESERVATION_NONE);
    return r->limits_len == 0 ? ST_OK : q->ops->inspect(q, r, op);
}

enum status quota_amend(struct quota *q, struct reservation *r, const struct quota_change *change,
                        struct op *op)
{
    ASSERT(r->state == RESERVATION_NONE && change->kind != CHANGE_NONE);
    return r->limits_len == 0 ? ST_OK : q->ops->amend(q, r, change, op);
}

void quota_post(struct quota *q, const struct quota_note *note)
{
    q->ops->post(q, note);
}

enum status quota_read_board(struct quota *q, struct quota_reading *reading, struct op *op)
{
    return q->ops->read_board(q, reading, op);
}

enum status quota_claim(struct quota *q, struct quota_claim *claim, struct op *op)
{
    ASSERT(claim->need_units <= claim->want_units && claim->held_units >= 0);
    return q->ops->claim(q, claim, op);
}

void quota_close(struct quota **q)
{
    struct quota *closing = *q;

    if (!closing)
        return;
    *q = NULL;
    timer_clear(&closing->renewals);
    while (list_pop_front(&closing->live))
        continue;
    denied_free(&closing->denied);
    if (closing->local)
        quota_close(&closing->local->door);
    free(closing->local);
    closing->ops->close(closing);
}
