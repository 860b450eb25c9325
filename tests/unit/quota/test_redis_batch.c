/* SPDX-License-Identifier: Apache-2.0 */
/* test_redis_batch.c - the plain reserves of a turn share a call, and each is as exact as alone. */

#include <criterion/criterion.h>
#include <unistd.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "unit/quota/rig.h"

#define MANY 12

static struct rig rig;

static void up(void)
{
    rig_init(&rig, STORE_REDIS);
}

static void down(void)
{
    rig_fini(&rig);
}

TestSuite(redis_batch, .init = up, .fini = down, .timeout = 60);

static struct redis_quota *door(void)
{
    return (struct redis_quota *)rig.q[0];
}

static struct redis_link *link_of(void)
{
    return redis_route_link(&door()->route, 1);
}

/* Of a window that began long ago: what is known of a bucket is believed only two minutes after that. */
static void plain(struct reservation *r, int account, int64_t images, int64_t limit)
{
    struct limit daily = rig_limit(account, LIMIT_DAY, limit * UNITS_PER_IMAGE);

    daily.window.start_s -= 3600;
    rig_reservation_of(r, account, images, &daily, 1);
}

/* The buckets of all accounts are known from then on. */
static void start(void)
{
    rig_start(&rig);
    for (int account = 1; account <= 4; account++) {
        struct reservation r;

        plain(&r, account, 1, 99);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
        quota_settle(rig.q[0], &r, 0);
    }
    RIG_UNTIL(&rig, list_is_empty(&link_of()->calls));
    door()->reserves = 0; /* the next of them to reap is far */
}

struct asked {
    struct reservation r;
    struct rig_wait wait;
};

static void ask(struct asked *asked, int account, int64_t images, int64_t limit)
{
    plain(&asked->r, account, images, limit);
    rig_wait_init(&asked->wait);
    cr_assert_eq(quota_reserve(rig.q[0], &asked->r, &asked->wait.op), ST_PENDING);
}

static int calls_of_turn(void)
{
    int calls = 0;

    loop_run_once(rig.loop, 0);
    LIST_EACH (node, &link_of()->calls)
        calls++;
    return calls;
}

/* Accounts 1..4 in turn. */
static void ask_round(struct asked *asked, int len, int64_t limit)
{
    for (int i = 0; i < len; i++)
        ask(&asked[i], 1 + i % 4, 1, limit);
}

/* All of this turn; how many calls that took. */
static int ask_all(struct asked *asked, int len)
{
    ask_round(asked, len, 99);
    return calls_of_turn();
}

static void expect_all(struct asked *asked, int len, enum status st)
{
    for (int i = 0; i < len; i++)
        cr_assert_eq(rig_ended(&rig, &asked[i].wait, ST_PENDING), st, "%d", i);
}

static void settle_all(struct asked *asked, int len, int64_t used_images)
{
    for (int i = 0; i < len; i++)
        quota_settle(rig.q[0], &asked[i].r, used_images);
}

/* They are held, and were used; the next one to reap is far again. */
static void use_all(struct asked *asked, int len)
{
    expect_all(asked, len, ST_OK);
    settle_all(asked, len, 1);
    RIG_UNTIL(&rig, door()->on_way == 0);
    door()->reserves = 0;
}

static void give_all_back(struct asked *asked, int len)
{
    settle_all(asked, len, 0);
    for (int account = 1; account <= 4; account++)
        cr_assert_eq(rig_used(&rig, account, 0), 0);
    cr_assert_eq(rig_held(&rig), 0);
}

Test(redis_batch, many_share_a_call)
{
    struct asked asked[MANY];

    start();
    cr_assert_eq(ask_all(asked, MANY), 1);
    expect_all(asked, MANY, ST_OK);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(asked[i].r.limits[0].used_units, (1 + i / 4) * UNITS_PER_IMAGE, "%d", i);
    cr_assert_eq(rig_used(&rig, 1, 0), MANY / 4);
    give_all_back(asked, MANY);
}

Test(redis_batch, one_goes_alone)
{
    struct asked asked;

    start();
    cr_assert_eq(ask_all(&asked, 1), 1);
    cr_assert_not(asked.wait.is_done);
    expect_all(&asked, 1, ST_OK);
    give_all_back(&asked, 1);
}

Test(redis_batch, more_than_one_call_takes)
{
    struct asked asked[REDIS_NUMBERS_MAX + MANY];

    start();
    cr_assert_eq(ask_all(asked, REDIS_NUMBERS_MAX + MANY), 2 + (REDIS_NUMBERS_MAX + MANY) / 16);
    expect_all(asked, REDIS_NUMBERS_MAX + MANY, ST_OK);
    give_all_back(asked, REDIS_NUMBERS_MAX + MANY);
}

/* However they come. */
Test(redis_batch, what_differs_goes_apart)
{
    struct asked asked[MANY];

    start();
    for (int i = 0; i < MANY; i++)
        ask(&asked[i], 1, 1 + i % 2, 50 + i % 3);
    cr_assert_eq(calls_of_turn(), 6);
    expect_all(asked, MANY, ST_OK);
    cr_assert_eq(rig_used(&rig, 1, 0), MANY * 3 / 2);
    give_all_back(asked, MANY);
}

Test(redis_batch, it_is_exact)
{
    struct asked asked[MANY];
    int held = 0;

    start();
    for (int i = 0; i < MANY; i++)
        ask(&asked[i], 1 + i % 2, 1, 3);
    for (int i = 0; i < MANY; i++) {
        enum status st = rig_ended(&rig, &asked[i].wait, ST_PENDING);

        cr_assert(st == ST_OK || st == ST_LIMIT);
        held += st == ST_OK;
        if (st == ST_LIMIT)
            cr_assert_eq(asked[i].r.limits[0].used_units, 3 * UNITS_PER_IMAGE);
    }
    cr_assert_eq(held, 2 * 3);
    cr_assert_eq(rig_used(&rig, 1, 0), 3);
    cr_assert_eq(rig_used(&rig, 2, 0), 3);
    give_all_back(asked, MANY);
}

/* All is used, and nothing held: that is the last word. */
Test(redis_batch, one_call_refuses)
{
    struct asked asked[MANY];

    start();
    ask_round(asked, 8, 2);
    use_all(asked, 8);
    ask_round(asked, MANY, 2);
    cr_assert_eq(calls_of_turn(), 1);
    RIG_UNTIL(&rig, asked[0].wait.is_done);
    cr_assert(asked[MANY - 1].wait.is_done);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(asked[i].wait.st, ST_LIMIT);
        cr_assert_eq(asked[i].r.limits[0].used_units, 2 * UNITS_PER_IMAGE);
        cr_assert_eq(asked[i].r.refused_by, 0);
    }
    cr_assert_eq(rig_used(&rig, 1, 0), 2);
    cr_assert_eq(rig_held(&rig), 0);
}

/* A day, a rate and images in flight. */
static void common(struct asked *asked, int account, int64_t flights)
{
    struct limit limits[] = {rig_limit(account, LIMIT_DAY, 90000),
                             rig_limit(account, LIMIT_RATE, 90000),
                             rig_limit(account, LIMIT_IN_FLIGHT, flights * UNITS_PER_IMAGE)};

    limits[0].window.start_s -= 3600;
    limits[1].rule.period_us = INT64_C(3600) * 1000000;
    limits[1].rule.burst_units = 90000;
    rig_reservation_of(&asked->r, account, 1, limits, ARRAY_LEN(limits));
    rig_wait_init(&asked->wait);
    cr_assert_eq(quota_reserve(rig.q[0], &asked->r, &asked->wait.op), ST_PENDING);
}

/* In one turn, which has one time. */
struct common_turn {
    struct turn_hook hook;
    struct asked *asked;
};

static void ask_common(struct turn_hook *hook)
{
    struct asked *asked = container_of(hook, struct common_turn, hook)->asked;

    for (int i = 0; i < MANY; i++)
        common(&asked[i], 1 + i % 4, 2);
}

Test(redis_batch, with_a_rate_and_images_in_flight)
{
    struct asked asked[MANY];
    struct common_turn turn = {.asked = asked};

    start();
    for (int i = 0; i < 4; i++)
        common(&asked[i], 1 + i, 9);
    use_all(asked, 4);
    turn_hook_init(&turn.hook, ask_common);
    loop_at_turn_end(rig.loop, &turn.hook);
    cr_assert_eq(calls_of_turn(), 1);
    expect_all(asked, 8, ST_OK);
    expect_all(asked + 8, 4, ST_LIMIT);
    for (int i = 0; i < MANY; i++) {
        const struct reserved_limit *limits = asked[i].r.limits;

        cr_assert_eq(limits[0].used_units, MIN(2 + i / 4, 3) * UNITS_PER_IMAGE, "%d", i);
        cr_assert_leq(limits[1].used_units, MIN(2 + i / 4, 3) * UNITS_PER_IMAGE, "%d", i);
        cr_assert_eq(limits[2].used_units, MIN(1 + i / 4, 2) * UNITS_PER_IMAGE, "%d", i);
    }
    cr_assert_eq(asked[MANY - 1].r.refused_by, 2);
    settle_all(asked, 8, 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    cr_assert_eq(rig_held(&rig), 0);
}

Test(redis_batch, nobody_waits_any_more)
{
    struct asked asked[MANY], one;

    start();
    ask(&one, 1, 1, 99);
    op_cancel(&one.wait.op);
    RIG_UNTIL(&rig, door()->on_way == 0);
    ask_round(asked, MANY, 99);
    for (int i = 0; i < MANY; i += 2)
        op_cancel(&asked[i].wait.op);
    loop_run_once(rig.loop, 0);
    op_cancel(&asked[1].wait.op);
    for (int i = 3; i < MANY; i += 2)
        cr_assert_eq(rig_ended(&rig, &asked[i].wait, ST_PENDING), ST_OK);
    RIG_UNTIL(&rig, door()->on_way == 0);
    cr_assert_eq(rig_held(&rig), MANY / 2 - 1);
    for (int i = 3; i < MANY; i += 2)
        quota_settle(rig.q[0], &asked[i].r, 0);
    give_all_back(asked, 0);
}

Test(redis_batch, its_link_is_lost_with_it)
{
    struct asked asked[MANY];

    start();
    rig_redis(&rig, "CLIENT KILL TYPE normal SKIPME yes");
    ask_all(asked, MANY);
    expect_all(asked, MANY, ST_OK);
    cr_assert_eq(rig_used(&rig, 1, 0), MANY / 4);
    give_all_back(asked, MANY);
}

/* As if a link had been lost with it, when Redis had done it. */
static void hold_already(const struct asked *asked)
{
    struct hold_handle handle = redis_token_make(&asked->r, 0);
    struct redis_key row = redis_key_of(handle.bucket, handle.token + TOKEN_HEAD_LEN);

    cr_assert_eq(rig_redis(&rig, "ZADD mg:{%u}:h %lld %b", handle.bucket,
                           (long long)redis_score(quota_now_us(rig.q[0]) + 60000000, false),
                           handle.token, (size_t)handle.token_len),
                 1);
    cr_assert_eq(
        rig_redis(&rig, "HINCRBY %b %b 1", row.buf, row.len, handle.token, (size_t)ROW_FIELD_LEN),
        1);
}

static void ask_what_is_held(struct asked asked[2])
{
    start();
    for (int i = 0; i < 2; i++) {
        ask(&asked[i], 1 + i, 1, 99);
        hold_already(&asked[i]);
    }
    LIST_EACH (node, &door()->ops)
        container_of(node, struct redis_request, in_ops)->record.was_sent = true;
    loop_run_once(rig.loop, 0);
}

Test(redis_batch, what_is_held_already_is_held_once)
{
    struct asked asked[2];

    ask_what_is_held(asked);
    expect_all(asked, 2, ST_OK);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    give_all_back(asked, 2);
}

Test(redis_batch, what_is_held_already_is_not_forgotten)
{
    struct asked asked[2];

    ask_what_is_held(asked);
    for (int i = 0; i < 2; i++)
        op_cancel(&asked[i].wait.op);
    RIG_UNTIL(&rig, door()->on_way == 0);
    give_all_back(asked, 0);
}

Test(redis_batch, its_link_is_lost_before_the_turn_ends)
{
    struct asked asked[MANY];

    start();
    ask_round(asked, MANY, 99);
    redis_link_give_up(link_of(), "a test");
    cr_assert(list_is_empty(&door()->open_batches));
    for (int i = 0; i < MANY; i++) {
        enum status st = rig_ended(&rig, &asked[i].wait, ST_PENDING);

        cr_assert(st == ST_OK || st == ST_UNAVAILABLE);
    }
    RIG_UNTIL(&rig, redis_link_is_up(link_of()));
    give_all_back(asked, MANY);
}

Test(redis_batch, scripts_that_it_forgot)
{
    struct asked asked[MANY];

    start();
    rig_redis(&rig, "SCRIPT FLUSH");
    cr_assert_eq(ask_all(asked, MANY), 1);
    expect_all(asked, MANY, ST_OK);
    cr_assert_eq(rig_used(&rig, 1, 0), MANY / 4);
    give_all_back(asked, MANY);
}

Test(redis_batch, a_bad_key_is_the_trouble_of_its_account_alone)
{
    struct asked asked[MANY];
    char key[REDIS_KEY_MAX + 8];

    start();
    plain(&asked[0].r, 4, 1, 99);
    asked[0].r.buckets = door()->layout.buckets;
    snprintf(key, sizeof(key), "mg:{%u}:h", redis_part_bucket(&asked[0].r, 0));
    cr_assert_eq(rig_redis(&rig, "LPUSH %s x", key), 1);
    cr_assert_eq(ask_all(asked, MANY), 1);
    op_cancel(&asked[1].wait.op);
    for (int i = 0; i < MANY; i++)
        if (i != 1)
            cr_assert_eq(rig_ended(&rig, &asked[i].wait, ST_PENDING),
                         i % 4 == 3 ? ST_UNAVAILABLE : ST_OK, "%d", i);
    cr_assert(redis_link_is_up(link_of()));
    cr_assert_eq(rig_redis(&rig, "DEL %s", key), 1);
    RIG_UNTIL(&rig, door()->on_way == 0);
    for (int account = 1; account <= 3; account++)
        cr_assert_eq(rig_used(&rig, account, 0), account == 2 ? MANY / 4 - 1 : MANY / 4,
                     "those before it were held once");
    for (int i = 0; i < MANY; i++)
        if (i % 4 != 3 && i != 1)
            quota_settle(rig.q[0], &asked[i].r, 0);
    cr_assert_eq(rig_held(&rig), 0);
}

Test(redis_batch, full_memory_counts_as_down)
{
    struct asked asked[MANY];

    start();
    rig_redis(&rig, "CONFIG SET maxmemory 1");
    ask_all(asked, MANY);
    expect_all(asked, MANY, ST_UNAVAILABLE);
    rig_redis(&rig, "CONFIG SET maxmemory 0");
    RIG_UNTIL(&rig, redis_link_is_up(link_of()));
    give_all_back(asked, 0);
}

/* A node of a Cluster that is called a single one, or a proxy that spreads keys over several. */
Test(redis_batch, where_a_call_takes_one_slot_they_go_alone)
{
    static const char *const options[] = {"--cluster-enabled", "yes", NULL};
    struct asked asked[MANY];

    rig_redis_kill(&rig);
    server_start(&rig.server, options);
    cr_assert_eq(rig_redis(&rig, "CLUSTER ADDSLOTSRANGE 0 16383"), 1);
    for (int tries = 0; rig_redis(&rig, "SET mg:{0}:try 1") != 1 && tries < 500; tries++)
        usleep(10000);
    start();
    cr_assert_eq(ask_all(asked, 4), 1);
    expect_all(asked, 4, ST_OK);
    cr_assert_eq(ask_all(asked + 4, 8), 8);
    expect_all(asked + 4, 8, ST_OK);
    give_all_back(asked, MANY);
}

/* Rows that were there before this process, or that another one has made. */
Test(redis_batch, what_others_have_made_becomes_known)
{
    struct asked asked[MANY];

    rig_start(&rig);
    for (int account = 1; account <= 4; account++) {
        struct reservation r;

        plain(&r, account, 1, 99);
        cr_assert_eq(rig_reserve(&rig, rig.q[1], &r), ST_OK);
        quota_settle(rig.q[1], &r, 1);
    }
    RIG_UNTIL(&rig, ((struct redis_quota *)rig.q[1])->on_way == 0);
    cr_assert_eq(ask_all(asked, 4), 4);
    expect_all(asked, 4, ST_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(asked[i].r.limits[0].used_units, 2 * UNITS_PER_IMAGE);
    cr_assert_eq(ask_all(asked + 4, 8), 1);
    expect_all(asked + 4, 8, ST_OK);
    settle_all(asked, MANY, 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
}
