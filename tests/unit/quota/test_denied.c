/* SPDX-License-Identifier: Apache-2.0 */
/* test_denied.c - what a worker remembers of refusals: as values, and in front of each store. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "quota/denied.h"
#include "quota/store.h"
#include "unit/quota/rig.h"

#define SECOND_US INT64_C(1000000)

static struct denied *denied;

static void up(void)
{
    denied = denied_new(64);
}

static void down(void)
{
    denied_free(&denied);
}

TestSuite(quota_denied, .init = up, .fini = down);

/* The store refused: so much is used. */
static void note(const struct reservation *r, int64_t used_units, int64_t reset_us, int64_t in_hand,
                 int64_t now_us)
{
    struct reservation refused = *r;

    refused.refused_by = 0;
    refused.limits[0].used_units = used_units;
    refused.limits[0].reset_us = reset_us;
    denied_note(denied, &refused, in_hand, now_us);
}

static bool is_denied(struct reservation *r, int64_t now_us)
{
    return denied_find(denied, r, now_us) == 0;
}

Test(quota_denied, entries_live_as_long_as_they_may)
{
    static const struct {
        enum limit_kind kind;
        int64_t in_hand, reset_us, life_us;
    } rows[] = {
        {LIMIT_DAY, 0, 1000 * SECOND_US, 60 * SECOND_US}, /* all that is used is final */
        {LIMIT_DAY, 0, 5 * SECOND_US, 5 * SECOND_US},     /* the window ends */
        {LIMIT_WEEK, 1, 1000 * SECOND_US, 0},             /* a job may fail */
        {LIMIT_ROLLING, 0, 1000 * SECOND_US, SECOND_US},
        {LIMIT_RATE, 0, SECOND_US / 2, SECOND_US / 2},
        {LIMIT_IN_FLIGHT, 0, SECOND_US, 0},
        {LIMIT_MONTH, 0, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct limit limit = rig_limit(1, rows[i].kind, 3000);
        struct reservation r;

        rig_reservation_of(&r, 1, 1, &limit, 1);
        denied_clear(denied);
        note(&r, 3000, 7 + rows[i].reset_us, rows[i].in_hand, 7);
        cr_assert_eq(is_denied(&r, 7 + rows[i].life_us - 1), rows[i].life_us > 0, "%zu", i);
        cr_assert(!is_denied(&r, 7 + rows[i].life_us), "%zu", i);
    }
}

Test(quota_denied, only_what_surely_does_not_fit_is_refused)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 5000), rate = rig_limit(1, LIMIT_RATE, 5000);
    struct limit trial = limit;
    struct reservation r;

    trial.rule.is_dry_run = true;
    rig_reservation_of(&r, 1, 3, &limit, 1);
    note(&r, 3000, SECOND_US, 0, 1);
    cr_assert(is_denied(&r, 2));
    cr_assert_eq(r.limits[0].used_units, 3000);
    cr_assert_eq(r.limits[0].reset_us, SECOND_US);
    rig_reservation_of(&r, 1, 2, &limit, 1);
    cr_assert(!is_denied(&r, 2), "two may fit");
    rig_reservation_of(&r, 1, 3, &trial, 1);
    cr_assert(!is_denied(&r, 2), "on trial now");
    rig_reservation_of(&r, 5, 3, &limit, 1);
    r.limits[0].limit.subject = rig_digest(5);
    cr_assert(!is_denied(&r, 2), "another account");
    limit.rule.units = 6000;
    rig_reservation_of(&r, 1, 3, &limit, 1);
    cr_assert(!is_denied(&r, 2), "a changed limit");
    limit.rule.units = 5000;
    limit.window.ordinal++;
    rig_reservation_of(&r, 1, 3, &limit, 1);
    cr_assert(!is_denied(&r, 2), "another day");
    rig_reservation_of(&r, 1, 2, &rate, 1);
    note(&r, 5000, SECOND_US, 0, 1);
    cr_assert(is_denied(&r, 2));
    rig_reservation_of(&r, 1, 1, &rate, 1);
    cr_assert(!is_denied(&r, 2), "one image comes back sooner than two");
}

Test(quota_denied, the_second_limit_may_be_the_one)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 5000), rig_limit(1, LIMIT_MONTH, 3000)};
    struct reservation r;

    rig_reservation_of(&r, 1, 1, &limits[1], 1);
    note(&r, 3000, SECOND_US, 0, 1);
    rig_reservation_of(&r, 1, 1, limits, 2);
    cr_assert_eq(denied_find(denied, &r, 2), 1);
    cr_assert_eq(r.refused_by, 1);
    cr_assert_eq(r.limits[0].used_units, -1, "not known");
    denied_forget(denied, &limits[1].subject);
    cr_assert_eq(denied_find(denied, &r, 2), -1);
}

Test(quota_denied, memory_is_bounded)
{
    size_t bytes = denied_bytes(denied);
    int known = 0;

    cr_assert_leq(bytes, 64 * 64 + 64);
    for (int account = 0; account < 256; account++) {
        struct limit limit = rig_limit(account, LIMIT_DAY, 0);
        struct reservation r;

        limit.subject.bytes[8] = (unsigned char)(account * 37);
        rig_reservation_of(&r, account, 1, &limit, 1);
        note(&r, 0, (1000 + account) * SECOND_US, 0, 1);
        cr_assert(is_denied(&r, 2), "the newest is always known");
    }
    for (int account = 0; account < 256; account++) {
        struct limit limit = rig_limit(account, LIMIT_DAY, 0);
        struct reservation r;

        limit.subject.bytes[8] = (unsigned char)(account * 37);
        rig_reservation_of(&r, account, 1, &limit, 1);
        known += is_denied(&r, 2);
    }
    cr_assert(known > 32 && known <= 64, "%d", known);
    cr_assert_eq(denied_bytes(denied), bytes);
    cr_assert_eq(denied_counts(denied).noted, 256);
    cr_assert_geq(denied_counts(denied).evicted, 256 - 64);
    cr_assert_eq(denied_counts(denied).hits, 256 + (uint64_t)known);
}

/* --- in front of a store --- */

static enum status ask(struct rig *rig, struct quota *q, int64_t images, int64_t units)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, units);
    struct reservation r;
    enum status st;

    rig_reservation_of(&r, 1, images, &limit, 1);
    st = rig_reserve(rig, q, &r);
    if (st == ST_OK)
        quota_settle(q, &r, images);
    else
        cr_assert_eq(r.limits[r.refused_by].used_units, 2000);
    return st;
}

static uint64_t hits(const struct quota *q)
{
    return denied_counts(q->denied).hits;
}

/* Two of two images are used; the first worker has been told so, and listens to what is amended. */
static void use_up(struct rig *rig)
{
    rig->remembers = true;
    RIG_UNTIL(rig, loop_now_us(rig->loop) < rig->q[0]->amends_known_until_us &&
                       loop_now_us(rig->loop) < rig->q[1]->amends_known_until_us);
    cr_assert_eq(ask(rig, rig->q[0], 2, 2000), ST_OK);
    rig_quiet(rig);
    for (int i = 0; i < RIG_WORKERS; i++) {
        cr_assert_eq(ask(rig, rig->q[i], 1, 2000), ST_LIMIT);
        cr_assert_eq(hits(rig->q[i]), 0);
        cr_assert_eq(ask(rig, rig->q[i], 1, 2000), ST_LIMIT);
        cr_assert_eq(hits(rig->q[i]), 1);
    }
}

CONTRACT(an_account_out_of_quota_is_refused_at_once)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 2000);
    struct reservation r;

    use_up(rig);
    rig_reservation_of(&r, 1, 1, &limit, 1);
    cr_assert(quota_is_denied(rig->q[0], &r));
    rig_reservation_of(&r, 1, 1, &limit, 1);
    cr_assert_eq(quota_reserve(rig->q[0], &r, &(struct op){0}), ST_LIMIT, "nothing to wait for");
    cr_assert_eq(r.state, RESERVATION_NONE);
    cr_assert_eq(r.refused_by, 0);
}

CONTRACT(a_changed_limit_acts_at_once)
{
    use_up(rig);
    cr_assert_eq(ask(rig, rig->q[0], 1, 3000), ST_OK);
}

CONTRACT(a_grant_acts_at_once_in_its_process)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 2000);
    struct reservation grant;

    use_up(rig);
    rig_reservation_of(&grant, 1, 0, &limit, 1);
    cr_assert_eq(rig_amend(rig, rig->q[0], &grant, CHANGE_GRANT, 1000), ST_OK);
    cr_assert_eq(ask(rig, rig->q[1], 1, 2000), ST_OK, "the other worker knows, too");
}

CONTRACT(what_is_given_back_here_can_be_had_here_at_once)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 2000);
    struct reservation r, more;

    rig->remembers = true;
    RIG_UNTIL(rig, loop_now_us(rig->loop) < rig->q[0]->amends_known_until_us);
    rig_reservation_of(&r, 1, 2, &limit, 1);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(ask(rig, rig->q[0], 1, 2000), ST_LIMIT);
    cr_assert_eq(ask(rig, rig->q[0], 1, 2000), ST_LIMIT);
    quota_settle(rig->q[0], &r, 0);
    rig_reservation_of(&more, 1, 2, &limit, 1);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &more), ST_OK);
    quota_settle(rig->q[0], &more, 0);
}

static struct rig redis;

static void redis_up(void)
{
    rig_init(&redis, STORE_REDIS);
    rig_start(&redis);
}

static void redis_down(void)
{
    rig_fini(&redis);
}

TestSuite(quota_denied_redis, .init = redis_up, .fini = redis_down, .timeout = 30);

static long long evalsha_calls(void)
{
    redisReply *reply = redisCommand(redis.server.side, "INFO commandstats");
    const char *found = strstr(reply->str, "cmdstat_evalsha:calls=");
    long long calls = found ? atoll(found + strlen("cmdstat_evalsha:calls=")) : 0;

    freeReplyObject(reply);
    return calls;
}

Test(quota_denied_redis, a_flood_costs_no_command)
{
    long long before;

    use_up(&redis);
    before = evalsha_calls();
    for (int i = 0; i < 5000; i++)
        cr_assert_eq(ask(&redis, redis.q[0], 1, 2000), ST_LIMIT);
    cr_assert_eq(evalsha_calls(), before);
    cr_assert_eq(hits(redis.q[0]), 5001);
}

/* Asks until it was granted once. */
static bool is_granted(bool *once)
{
    *once = *once || ask(&redis, redis.q[0], 1, 2000) == ST_OK;
    return *once;
}

/* Another gateway grants: it counts up, and this one hears of it within a second. */
Test(quota_denied_redis, a_grant_elsewhere_is_heard_of)
{
    struct quota_store *other;
    struct quota *q;
    struct limit limit = rig_limit(1, LIMIT_DAY, 2000);
    struct reservation grant;
    char error[CONFIG_ERROR_MAX];
    int64_t granted_us;
    bool once = false;

    use_up(&redis);
    cr_assert_eq(quota_store_open(&redis.config, error, &other), ST_OK);
    cr_assert_eq(quota_open(other, redis.loop, &redis.config, &q), ST_OK);
    rig_reservation_of(&grant, 1, 0, &limit, 1);
    cr_assert_eq(rig_amend(&redis, q, &grant, CHANGE_GRANT, 1000), ST_OK);
    granted_us = clock_monotonic_us();
    RIG_UNTIL(&redis, is_granted(&once));
    cr_assert_leq(clock_monotonic_us() - granted_us, 2 * SECOND_US);
    quota_close(&q);
    quota_store_close(&other);
}

/* Who does not hear from Redis believes nothing for long. */
Test(quota_denied_redis, without_redis_nothing_is_believed_for_long)
{
    use_up(&redis);
    rig_redis_kill(&redis);
    RIG_UNTIL(&redis, loop_now_us(redis.loop) >= redis.q[0]->amends_known_until_us);

    struct limit limit = rig_limit(1, LIMIT_DAY, 2000);
    struct reservation r;

    rig_reservation_of(&r, 1, 1, &limit, 1);
    cr_assert(!quota_is_denied(redis.q[0], &r));
}
