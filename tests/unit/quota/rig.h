/* SPDX-License-Identifier: Apache-2.0 */
/* rig.h - a quota store of either kind in a temporary folder, for tests; Redis is a real redis-server of its own, which
 * ends with the test, however that ends. */
#pragma once

#include <hiredis/hiredis.h>
#include <sys/types.h>

#include "config/config.h"
#include "core/cost.h"
#include "quota/quota.h"

#define RIG_WORKERS 2

struct rig {
    struct config config;
    char dir[64];
    char store_path[96]; /* folder of the embedded store, or socket of Redis */
    char outbox_path[96];
    pid_t redis;        /* 0: not running */
    redisContext *side; /* another client of Redis */
    struct loop *loop;
    struct quota_store *store;
    struct quota *q[RIG_WORKERS]; /* both on one loop */
    const char *redis_args[8];    /* more of them; NULL-terminated */
};

/* One wait, as a caller sees it. */
struct rig_wait {
    struct op op;
    bool is_done;
    enum status st;
};

/* A folder and the configuration; Redis is started, the store is not. */
void rig_init(struct rig *rig, enum store_kind kind);
void rig_fini(struct rig *rig);
/* The store and the workers' doors to it; for Redis, returns when both are up. */
void rig_start(struct rig *rig);
void rig_stop(struct rig *rig);

void rig_redis_start(struct rig *rig);
void rig_redis_kill(struct rig *rig);
/* An integer reply, 0 for nil, -1 for anything else. */
long long rig_redis(struct rig *rig, const char *format, ...);

/* Turns the loop until the condition holds; fails the test after some seconds. */
#define RIG_UNTIL(rig, cond)                                                                       \
    do {                                                                                           \
        int64_t rig_until_us = clock_monotonic_us() + 8000000;                                     \
        while (!(cond) && clock_monotonic_us() < rig_until_us)                                     \
            loop_run_once((rig)->loop, 5);                                                         \
        cr_assert(cond);                                                                           \
    } while (0)

void rig_wait_init(struct rig_wait *wait);
/* The status in the end, whether it came at once or later. */
enum status rig_ended(struct rig *rig, struct rig_wait *wait, enum status st);

/* An account by number (all with the same bucket for numbers that are equal modulo 4), on a day from today. */
void rig_reservation(struct reservation *r, int account, int day, int64_t images, int64_t limit);
enum status rig_reserve(struct rig *rig, struct quota *q, struct reservation *r);
enum status rig_commit(struct rig *rig, struct quota *q, struct reservation *r, int64_t images);
/* Returns when the store has dealt with all that was asked. */
void rig_quiet(struct rig *rig);
/* Images that count as used; what has expired is given back by asking. */
int64_t rig_used(struct rig *rig, int account, int day);
/* As if the gateway that held it had died, and its lease had ended. */
void rig_expire(struct rig *rig, struct reservation *r);
/* Holds in the store; it must be running, and is stopped and started for this. */
int64_t rig_held(struct rig *rig);
