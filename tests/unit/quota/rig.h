/* SPDX-License-Identifier: Apache-2.0 */
/* rig.h - a quota store of either kind in a temporary folder, for tests; Redis is a real redis-server of its own, which
 * ends with the test, however that ends. */
#pragma once

#include <sys/types.h>

#include "config/config.h"
#include "core/cost.h"
#include "quota/quota.h"
#include "unit/quota/servers.h"

#define RIG_WORKERS 2

struct rig {
    struct config config;
    char dir[64];
    char store_path[96]; /* folder of the embedded store */
    char outbox_path[96];
    char local_path[96];  /* folder of what counts while Redis is down */
    struct server server; /* Redis */
    struct loop *loop;
    struct quota_store *store;
    struct quota *q[RIG_WORKERS]; /* both on one loop */
    bool
        remembers; /* rig_reserve() believes what was refused before (quota/denied.h); else the store is always asked */
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
/* Of a rig that is stopped; the child has a loop of its own, since processes share what the kernel keeps of one. */
pid_t rig_fork(struct rig *rig);

void rig_redis_start(struct rig *rig);
void rig_redis_kill(struct rig *rig);
/* rig_redis(rig, format, ...): as server_ask(). */
#define rig_redis(rig, ...) server_ask(&(rig)->server, __VA_ARGS__)

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

/* A reserve that nobody waits for any more, or that came already and is not wanted. */
void rig_give_up(struct quota *q, struct reservation *r, struct rig_wait *wait, enum status st);

/* An account by number (all with the same bucket for numbers that are equal modulo 4), on a day from today. */
void rig_reservation(struct reservation *r, int account, int day, int64_t images, int64_t limit);
/* A rule of one account's, on images: units of 1000, in today's window, period or burst as the kind needs them. */
struct limit rig_limit(int account, enum limit_kind kind, int64_t units);
/* The same in credits, at so many thousandths an image. */
struct limit rig_credits(int account, enum limit_kind kind, int64_t units, int64_t image_units);
/* Made a team's, or one of the account and a model. */
struct limit rig_of_team(int team, struct limit limit);
struct limit rig_of_model(int account, const char *model, struct limit limit);
struct account_digest rig_digest(int account);
/* With these limits; the account's first. */
void rig_reservation_of(struct reservation *r, int account, int64_t images,
                        const struct limit *limits, int len);
/* The reservation as it was before it was asked for, with a fresh id; or with the same one. */
struct reservation rig_again(const struct reservation *r);
struct reservation rig_same(const struct reservation *r);
enum status rig_inspect(struct rig *rig, struct quota *q, struct reservation *r);
enum status rig_amend(struct rig *rig, struct quota *q, struct reservation *r,
                      enum quota_change_kind kind, int64_t units);
enum status rig_change(struct rig *rig, struct quota *q, struct reservation *r,
                       const struct quota_change *change);
/* Units used of one limit, by asking. */
int64_t rig_used_of(struct rig *rig, int account, struct limit limit);
enum status rig_reserve(struct rig *rig, struct quota *q, struct reservation *r);
enum status rig_commit(struct rig *rig, struct quota *q, struct reservation *r, int64_t images);
/* Returns when the store has dealt with all that was asked. */
void rig_quiet(struct rig *rig);
/* Images that count as used; what has expired is given back by asking. */
int64_t rig_used(struct rig *rig, int account, int day);

/* A rate drips while the machine is busy, and each worker knows the store's clock in its own way: what is told of one is
 * exact but for the time since then, and for how far those clocks are apart. */
struct rig_moment {
    int64_t us;
    int64_t offsets_us[RIG_WORKERS];
};
struct rig_moment rig_now(const struct rig *rig);
int64_t rig_skew_since_us(const struct rig *rig, const struct rig_moment *then);
/* So many units were taken since then. */
void rig_expect_of_rate(const struct rig *rig, const struct reserved_limit *told, int64_t units,
                        const struct rig_moment *then);

/* As if the gateway that held it had died, and its lease had ended; the embedded store ends what is held only when the
 * next process opens it, so there a single hold is picked out. */
void rig_expire(struct rig *rig, struct reservation *r);
/* Holds in the store; it must be running, and Redis' side is stopped and started for this. */
int64_t rig_held(struct rig *rig);

/* A scenario on each store; it ends with nothing held. */
void rig_run(enum store_kind kind, void (*scenario)(struct rig *rig));

#define CONTRACT(name)                                                                             \
    static void name(struct rig *rig);                                                             \
    Test(quota_embedded, name)                                                                     \
    {                                                                                              \
        rig_run(STORE_EMBEDDED, name);                                                             \
    }                                                                                              \
    Test(quota_redis, name)                                                                        \
    {                                                                                              \
        rig_run(STORE_REDIS, name);                                                                \
    }                                                                                              \
    static void name(struct rig *rig)
