/* SPDX-License-Identifier: Apache-2.0 */
/* rig.c - see rig.h. */

#include "unit/quota/rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
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
    rig->config.store.path = rig->store_path;
    rig->config.outbox_dir = rig->outbox_path;
    rig->config.lease_ms = 60000;
    rig->config.quota_timeout_ms = 2000;
    rig->config.commit = COMMIT_SENT;
    if (kind == STORE_REDIS)
        rig_redis_start(rig);
    cr_assert_eq(loop_new(&rig->loop), ST_OK);
}

void rig_fini(struct rig *rig)
{
    rig_stop(rig);
    loop_free(&rig->loop);
    rig_redis_kill(rig);
    nftw(rig->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void rig_start(struct rig *rig)
{
    char error[CONFIG_ERROR_MAX];

    cr_assert_eq(quota_store_open(&rig->config, error, &rig->store), ST_OK, "%s", error);
    for (int i = 0; i < RIG_WORKERS; i++)
        cr_assert_eq(quota_open(rig->store, rig->loop, &rig->config, &rig->q[i]), ST_OK);
    if (rig->redis)
        for (int i = 0; i < RIG_WORKERS; i++)
            RIG_UNTIL(rig, rig->q[i]->has_clock);
}

void rig_stop(struct rig *rig)
{
    for (int i = 0; i < RIG_WORKERS; i++)
        quota_close(&rig->q[i]);
    quota_store_close(&rig->store);
}

static void exec_redis(const struct rig *rig)
{
    const char *args[32] = {"redis-server",
                            "--port",
                            "0",
                            "--unixsocket",
                            rig->store_path,
                            "--dir",
                            rig->dir,
                            "--save",
                            "",
                            "--appendonly",
                            "yes",
                            "--appendfsync",
                            "no"};
    int len = 13;

    for (int i = 0; rig->redis_args[i]; i++)
        args[len++] = rig->redis_args[i];

    int null = open("/dev/null", O_RDWR);

    dup2(null, 1);
    dup2(null, 2);
    execvp(args[0], (char *const *)(uintptr_t)args);
    _exit(127);
}

void rig_redis_start(struct rig *rig)
{
    pid_t parent = getpid();
    const struct timespec pause = {.tv_nsec = 5000000};

    unlink(rig->store_path);
    rig->redis = fork();
    cr_assert(rig->redis >= 0);
    if (rig->redis == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            exec_redis(rig);
        _exit(127);
    }
    for (int tries = 0; tries < 1600; tries++) {
        rig->side = redisConnectUnix(rig->store_path);
        if (rig->side && !rig->side->err && rig_redis(rig, "EXISTS none") == 0)
            return;
        redisFree(rig->side);
        rig->side = NULL;
        nanosleep(&pause, NULL);
    }
    cr_assert_fail("redis-server does not start");
}

void rig_redis_kill(struct rig *rig)
{
    if (rig->side)
        redisFree(rig->side);
    rig->side = NULL;
    if (rig->redis <= 0)
        return;
    kill(rig->redis, SIGKILL);
    kill(rig->redis, SIGCONT);
    waitpid(rig->redis, NULL, 0);
    rig->redis = 0;
}

long long rig_redis(struct rig *rig, const char *format, ...)
{
    va_list args;
    long long value = -1;

    va_start(args, format);
    redisReply *reply = redisvCommand(rig->side, format, args);
    va_end(args);
    if (!reply)
        return -1;
    if (reply->type == REDIS_REPLY_INTEGER)
        value = reply->integer;
    else if (reply->type == REDIS_REPLY_NIL)
        value = 0;
    else if (reply->type == REDIS_REPLY_ARRAY)
        value = (long long)reply->elements;
    else if (reply->type == REDIS_REPLY_STRING)
        value = atoll(reply->str);
    freeReplyObject(reply);
    return value;
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

void rig_reservation(struct reservation *r, int account, int day, int64_t images, int64_t limit)
{
    static uint64_t next_id = 0;
    struct account who = {0};
    struct terms terms = {.limits_len = 1};
    int64_t today = clock_wall_us() / 1000000 / DAY_S;

    next_id += UINT64_C(0x9e3779b97f4a7c15);
    who.digest.bytes[3] = (unsigned char)(account % 4);
    who.digest.bytes[9] = (unsigned char)account;
    terms.limits[0] = (struct limit){
        .kind = LIMIT_DAY,
        .units = limit * UNITS_PER_IMAGE,
        .window = {(today + day) * DAY_S, (today + day + 1) * DAY_S, (uint32_t)(today + day)},
    };
    reservation_init(r, &who, &terms, images * UNITS_PER_IMAGE,
                     next_id ^ (uint64_t)clock_monotonic_us());
}

enum status rig_reserve(struct rig *rig, struct quota *q, struct reservation *r)
{
    struct rig_wait wait;

    rig_wait_init(&wait);
    return rig_ended(rig, &wait, quota_reserve(q, r, &wait.op));
}

enum status rig_commit(struct rig *rig, struct quota *q, struct reservation *r, int64_t images)
{
    struct rig_wait wait;

    rig_wait_init(&wait);
    return rig_ended(
        rig, &wait,
        quota_commit(q, r, images < 0 ? QUOTA_SETTLE_LATER : images * UNITS_PER_IMAGE, &wait.op));
}

static bool is_quiet(const struct rig *rig, const struct quota *q)
{
    if (rig->config.store.kind == STORE_EMBEDDED)
        return ((const struct embedded_quota *)q)->outstanding == 0;

    const struct redis_quota *rq = (const struct redis_quota *)q;

    return !redis_requests_are_due(rq) &&
           (list_is_empty(&rq->unsent) || redis_link_is_refusing(&rq->link));
}

void rig_quiet(struct rig *rig)
{
    for (int i = 0; i < RIG_WORKERS; i++)
        RIG_UNTIL(rig, is_quiet(rig, rig->q[i]));
}

int64_t rig_used(struct rig *rig, int account, int day)
{
    struct reservation r;

    rig_quiet(rig);

    rig_reservation(&r, account, day, 1, 0);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_LIMIT);
    cr_assert_eq(r.state, RESERVATION_NONE);
    cr_assert_eq(r.refused_by, 0);
    return r.limits[0].used_units / UNITS_PER_IMAGE;
}

static struct embedded_db *open_db(struct rig *rig)
{
    char buf[256];
    struct text_out error;
    struct embedded_db *db;

    text_out_init(&error, buf, sizeof(buf));
    cr_assert_eq(embedded_db_open(rig->store_path, 1 << 20, &error, &db), ST_OK, "%s", buf);
    return db;
}

static void expire_work(struct db_txn *txn, void *owner)
{
    ledger_renew(txn, owner);
}

static void expire_embedded(struct rig *rig, const struct reservation *r)
{
    struct hold hold = {.id = r->id, .expires_us = 1};

    rig_stop(rig);

    struct embedded_db *db = open_db(rig);

    cr_assert_eq(db_write(db, expire_work, &hold), ST_OK);
    embedded_db_close(&db);
    rig_start(rig);
}

void rig_expire(struct rig *rig, struct reservation *r)
{
    int64_t old_us = clock_wall_us() - 100 * 1000000;

    list_remove(&r->live);
    rig_quiet(rig);
    if (rig->config.store.kind == STORE_EMBEDDED) {
        expire_embedded(rig, r);
        return;
    }
    RIG_UNTIL(rig, rig_redis(rig, "ZADD mg:{%d}:h XX CH %lld %b", (int)r->bucket,
                             (long long)redis_score(old_us, r->state == RESERVATION_COMMITTED),
                             r->token, (size_t)r->token_len) >= 0);
}

static void count_work(struct db_txn *txn, void *owner)
{
    size_t *held = owner;

    *held = db_count(txn, TABLE_HOLDS);
    cr_assert_eq(*held, db_count(txn, TABLE_EXPIRY));
}

int64_t rig_held(struct rig *rig)
{
    size_t held = 0;

    rig_stop(rig);
    if (rig->config.store.kind == STORE_EMBEDDED) {
        struct embedded_db *db = open_db(rig);

        cr_assert_eq(db_write(db, count_work, &held), ST_OK);
        embedded_db_close(&db);
    } else {
        for (int bucket = 0; bucket < 4; bucket++)
            held += (size_t)rig_redis(rig, "ZCARD mg:{%d}:h", bucket);
    }
    rig_start(rig);
    return (int64_t)held;
}
