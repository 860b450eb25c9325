/* SPDX-License-Identifier: Apache-2.0 */
/* rig.c - see rig.h. */

#include "unit/quota/rig.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/bucket.h"
#include "quota/denied.h"
#include "quota/embedded.h"
#include "quota/redis.h"

#define DAY_S INT64_C(86400)

static int remove_one(const char *path, const struct stat *stat_of, int kind, struct FTW *ftw)
{
    UNUSED(stat_of);
    UNUSED(kind);
    UNUSED(ftw);
    return remove(path);
}

void rig_init(struct rig *rig, enum store_kind kind)
{
    memset(rig, 0, sizeof(*rig));
    log_set_level(LOG_NONE);
    strcpy(rig->dir, "/tmp/mg-quota-XXXXXX");
    cr_assert(mkdtemp(rig->dir));
    snprintf(rig->store_path, sizeof(rig->store_path), "%s/store", rig->dir);
    snprintf(rig->outbox_path, sizeof(rig->outbox_path), "%s/out/box", rig->dir);
    rig->config.store.kind = kind;
    rig->config.store.topology = TOPOLOGY_SINGLE;
    rig->config.store.path = kind == STORE_REDIS ? rig->server.socket : rig->store_path;
    rig->config.outbox_dir = rig->outbox_path;
    snprintf(rig->local_path, sizeof(rig->local_path), "%s/local", rig->dir);
    rig->config.local_dir = rig->local_path;
    rig->config.local_share = 50;
    rig->config.lease_ms = 60000;
    rig->config.quota_accounts = 8000000;
    rig->config.quota_timeout_ms = 2000;
    rig->config.commit = COMMIT_SENT;
    if (kind == STORE_REDIS) {
        rig->server.port = SERVER_NO_PORT;
        rig_redis_start(rig);
    }
    cr_assert_eq(loop_new(&rig->loop), ST_OK);
}

void rig_fini(struct rig *rig)
{
    rig_stop(rig);
    loop_free(&rig->loop);
    server_remove(&rig->server);
    nftw(rig->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void rig_start(struct rig *rig)
{
    char error[CONFIG_ERROR_MAX];

    cr_assert_eq(quota_store_open(&rig->config, error, &rig->store), ST_OK, "%s", error);
    for (int i = 0; i < RIG_WORKERS; i++)
        cr_assert_eq(quota_open(rig->store, rig->loop, &rig->config, &rig->q[i]), ST_OK);
    if (rig->server.pid)
        for (int i = 0; i < RIG_WORKERS; i++)
            RIG_UNTIL(rig, rig->q[i]->has_clock);
}

void rig_stop(struct rig *rig)
{
    for (int i = 0; i < RIG_WORKERS; i++)
        quota_close(&rig->q[i]);
    quota_store_close(&rig->store);
}

pid_t rig_fork(struct rig *rig)
{
    pid_t child = fork();

    if (child == 0)
        cr_assert_eq(loop_new(&rig->loop), ST_OK);
    return child;
}

void rig_redis_start(struct rig *rig)
{
    static const char *const no_options[] = {NULL};

    server_start(&rig->server, no_options);
}

void rig_redis_kill(struct rig *rig)
{
    server_kill(&rig->server);
}

static void on_done(struct op *op, enum status st)
{
    struct rig_wait *wait = container_of(op, struct rig_wait, op);

    cr_assert(!wait->is_done);
    wait->is_done = true;
    wait->st = st;
}

void rig_wait_init(struct rig_wait *wait)
{
    *wait = (struct rig_wait){.op.done = on_done};
}

enum status rig_ended(struct rig *rig, struct rig_wait *wait, enum status st)
{
    if (st != ST_PENDING) {
        cr_assert(!wait->is_done && !op_is_pending(&wait->op));
        return st;
    }
    RIG_UNTIL(rig, wait->is_done);
    return wait->st;
}

void rig_give_up(struct quota *q, struct reservation *r, struct rig_wait *wait, enum status st)
{
    if (st == ST_PENDING && !wait->is_done) {
        op_cancel(&wait->op);
        cr_assert_eq(r->state, RESERVATION_NONE);
    }
    quota_settle(q, r, 0);
}

static uint64_t fresh_id(void)
{
    static uint64_t next_id = 0;

    next_id += UINT64_C(0x9e3779b97f4a7c15);
    return next_id ^ (uint64_t)clock_monotonic_us();
}

struct account_digest rig_digest(int account)
{
    struct account_digest digest = {{0}};

    digest.bytes[3] = (unsigned char)(account % 4);
    digest.bytes[8] = (unsigned char)account;
    digest.bytes[15] = (unsigned char)(account * 16);
    return digest;
}

static int64_t today(void)
{
    return clock_wall_us() / 1000000 / DAY_S;
}

struct limit rig_limit(int account, enum limit_kind kind, int64_t units)
{
    int64_t day = today();
    struct limit limit = {
        .rule = {.kind = kind, .scope = SCOPE_ACCOUNT, .measure = MEASURE_IMAGES, .units = units},
        .image_units = UNITS_PER_IMAGE,
    };

    if (limit_is_calendar(kind))
        limit.window = (struct window){day * DAY_S, (day + 1) * DAY_S, (uint32_t)day};
    limit.subject = limit_subject(&limit.rule, rig_digest(account));
    return limit;
}

struct limit rig_credits(int account, enum limit_kind kind, int64_t units, int64_t image_units)
{
    struct limit limit = rig_limit(account, kind, units);

    limit.rule.measure = MEASURE_CREDITS;
    limit.image_units = image_units;
    limit.subject = limit_subject(&limit.rule, rig_digest(account));
    return limit;
}

struct limit rig_of_team(int team, struct limit limit)
{
    struct account_digest digest = rig_digest(team);

    digest.bytes[3] += 4;
    digest.bytes[10] = 't';
    limit.rule.scope = SCOPE_TEAM;
    limit.subject = limit_subject(&limit.rule, digest);
    return limit;
}

struct limit rig_of_model(int account, const char *model, struct limit limit)
{
    limit.rule.scope = SCOPE_MODEL;
    limit.rule.model = model;
    limit.subject = limit_subject(&limit.rule, rig_digest(account));
    return limit;
}

void rig_reservation_of(struct reservation *r, int account, int64_t images,
                        const struct limit *limits, int len)
{
    struct account who = {.digest = rig_digest(account)};
    struct terms terms = {.limits_len = len};

    for (int i = 0; i < len; i++)
        terms.limits[i] = limits[i];
    reservation_init(r, &who, &terms, images, fresh_id());
}

void rig_reservation(struct reservation *r, int account, int day, int64_t images, int64_t limit)
{
    struct limit daily = rig_limit(account, LIMIT_DAY, limit * UNITS_PER_IMAGE);

    daily.window.start_s += day * DAY_S;
    daily.window.end_s += day * DAY_S;
    daily.window.ordinal += (uint32_t)day;
    rig_reservation_of(r, account, images, &daily, 1);
}

struct reservation rig_same(const struct reservation *r)
{
    struct reservation same;
    struct account who = {.digest = r->account};
    struct terms terms = {.limits_len = r->limits_len};

    for (int i = 0; i < r->limits_len; i++)
        terms.limits[i] = r->limits[i].limit;
    reservation_init(&same, &who, &terms, r->held_images, r->id);
    list_init(&same.live); /* its place in memory is the caller's */
    return same;
}

struct reservation rig_again(const struct reservation *r)
{
    struct reservation again = rig_same(r);

    again.id = fresh_id();
    return again;
}

enum status rig_reserve(struct rig *rig, struct quota *q, struct reservation *r)
{
    struct rig_wait wait;

    if (!rig->remembers)
        denied_clear(q->denied);
    rig_wait_init(&wait);
    return rig_ended(rig, &wait, quota_reserve(q, r, &wait.op));
}

enum status rig_commit(struct rig *rig, struct quota *q, struct reservation *r, int64_t images)
{
    struct rig_wait wait;

    rig_wait_init(&wait);
    return rig_ended(rig, &wait,
                     quota_commit(q, r, images < 0 ? QUOTA_SETTLE_LATER : images, &wait.op));
}

static bool is_quiet(const struct rig *rig, const struct quota *q)
{
    if (rig->config.store.kind == STORE_EMBEDDED)
        return ((const struct embedded_quota *)q)->outstanding == 0 &&
               ((const struct embedded_quota *)q)->waits.len == 0;

    const struct redis_quota *rq = (const struct redis_quota *)q;

    return !redis_requests_are_due(rq) &&
           (list_is_empty(&rq->unsent) || redis_link_is_refusing(redis_route_link(
                                              &((struct redis_quota *)(uintptr_t)rq)->route, 0)));
}

void rig_quiet(struct rig *rig)
{
    for (int i = 0; i < RIG_WORKERS; i++)
        RIG_UNTIL(rig, is_quiet(rig, rig->q[i]));
}

enum status rig_inspect(struct rig *rig, struct quota *q, struct reservation *r)
{
    struct rig_wait wait;

    list_init(&r->live);
    rig_wait_init(&wait);
    return rig_ended(rig, &wait, quota_inspect(q, r, &wait.op));
}

enum status rig_amend(struct rig *rig, struct quota *q, struct reservation *r,
                      enum quota_change_kind kind, int64_t units)
{
    struct quota_change change = {.kind = kind, .units = units};

    return rig_change(rig, q, r, &change);
}

enum status rig_change(struct rig *rig, struct quota *q, struct reservation *r,
                       const struct quota_change *change)
{
    struct rig_wait wait;

    list_init(&r->live);
    rig_wait_init(&wait);
    return rig_ended(rig, &wait, quota_amend(q, r, change, &wait.op));
}

static int64_t ask_used(struct rig *rig, struct reservation *r)
{
    rig_quiet(rig);
    cr_assert_eq(rig_inspect(rig, rig->q[0], r), ST_OK);
    cr_assert_eq(r->state, RESERVATION_NONE);
    cr_assert_eq(r->refused_by, -1);
    return r->limits[0].used_units;
}

int64_t rig_used(struct rig *rig, int account, int day)
{
    struct reservation r;

    rig_reservation(&r, account, day, 1, 0);
    return ask_used(rig, &r) / UNITS_PER_IMAGE;
}

int64_t rig_used_of(struct rig *rig, int account, struct limit limit)
{
    struct reservation r;

    rig_reservation_of(&r, account, 0, &limit, 1);
    return ask_used(rig, &r);
}

/* --- rates --- */

struct rig_moment rig_now(const struct rig *rig)
{
    struct rig_moment now = {.us = clock_monotonic_us()};

    for (int i = 0; i < RIG_WORKERS; i++)
        now.offsets_us[i] = rig->q[i]->clock_offset_us;
    return now;
}

/* A clock may have been set by the store's again in between. */
int64_t rig_skew_since_us(const struct rig *rig, const struct rig_moment *then)
{
    struct rig_moment now = rig_now(rig);
    int64_t least_us = then->offsets_us[0], most_us = least_us;

    for (int i = 0; i < RIG_WORKERS; i++) {
        least_us = MIN(least_us, MIN(then->offsets_us[i], now.offsets_us[i]));
        most_us = MAX(most_us, MAX(then->offsets_us[i], now.offsets_us[i]));
    }
    return most_us - least_us;
}

void rig_expect_of_rate(const struct rig *rig, const struct reserved_limit *told, int64_t units,
                        const struct rig_moment *then)
{
    const struct limit_rule *rule = &told->limit.rule;
    int64_t skew_us = rig_skew_since_us(rig, then);
    int64_t dripped_us = clock_monotonic_us() - then->us + skew_us;
    int64_t more_units = skew_us > 0 ? bucket_units_in(rule, skew_us) + 1 : 0;

    cr_assert_leq(told->used_units, units + more_units);
    cr_assert_geq(told->used_units, units - bucket_units_in(rule, dripped_us) - 1);
}

static void end_hold(struct embedded_store *store, uint64_t id)
{
    int64_t now_us = embedded_lock(store, 0);

    (void)ledger_end(&store->ledger, id, now_us);
    embedded_unlock(store);
}

static size_t count_holds(struct embedded_store *store)
{
    const struct ledger *ledger = &store->ledger;
    size_t count = 0;

    (void)embedded_lock(store, 0);
    LIST_EACH (node, &ledger->live)
        count++;
    LIST_EACH (node, &ledger->subjects)
        cr_assert(count > 0 || container_of(node, struct ledger_subject, link)->in_flight == 0);
    embedded_unlock(store);
    return count;
}

void rig_expire(struct rig *rig, struct reservation *r)
{
    int64_t old_us = clock_wall_us() - 100 * 1000000;

    list_remove(&r->live);
    rig_quiet(rig);
    if (rig->config.store.kind == STORE_EMBEDDED) {
        end_hold((struct embedded_store *)rig->store, r->id);
        return;
    }
    for (int i = 0; i < r->parts_len; i++) {
        struct hold_handle handle = redis_token_make(r, i);

        cr_assert_geq(rig_redis(rig, "ZADD mg:{%d}:h XX CH %lld %b", (int)handle.bucket,
                                (long long)redis_score(old_us, r->state == RESERVATION_COMMITTED),
                                handle.token, (size_t)handle.token_len),
                      0);
    }
}

/* Marks of amends that were done hold no images. */
static const char count_tokens[] =
    "local n = 0 for _, t in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do "
    "if string.sub(t, 15, 16) ~= '\\0\\0' then n = n + 1 end end return n";

int64_t rig_held(struct rig *rig)
{
    size_t held = 0;

    if (rig->config.store.kind == STORE_EMBEDDED) {
        rig_quiet(rig);
        return (int64_t)count_holds((struct embedded_store *)rig->store);
    }
    rig_stop(rig);
    for (int bucket = 0; bucket < 8; bucket++)
        held += (size_t)rig_redis(rig, "EVAL %s 1 mg:{%d}:h", count_tokens, bucket);
    rig_start(rig);
    return (int64_t)held;
}

void rig_run(enum store_kind kind, void (*scenario)(struct rig *rig))
{
    struct rig rig;

    rig_init(&rig, kind);
    rig_start(&rig);
    scenario(&rig);
    cr_assert_eq(rig_held(&rig), 0);
    rig_fini(&rig);
}
