/* SPDX-License-Identifier: Apache-2.0 */
/* test_redis.c - what only Redis can do to a gateway: be down, slow, full, read-only, forgetful; and what its keys look
 * like.  The hazards H1.. are those of the ledger's layout: see quota/redis_scripts.h. */

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "unit/quota/rig.h"

/* For %b: the token of a part. */
#define TOKEN(r, i) redis_token_make(&(r), i).token, (size_t)redis_token_make(&(r), i).token_len

#define TIMEOUT_MS 150

static struct rig rig;

static void up(void)
{
    rig_init(&rig, STORE_REDIS);
    rig.config.quota_timeout_ms = TIMEOUT_MS;
}

static void down(void)
{
    rig_fini(&rig);
}

TestSuite(quota_redis_trouble, .init = up, .fini = down, .timeout = 30);

static struct redis_quota *door(int i)
{
    return (struct redis_quota *)rig.q[i];
}

static struct redis_link *link_of(int i)
{
    return redis_route_link(&door(i)->route, 1);
}

static void end_with_nothing_held(void)
{
    cr_assert_eq(rig_held(&rig), 0);
}

static void hold(struct reservation *r, int account, int64_t images, int64_t limit)
{
    rig_reservation(r, account, 0, images, limit);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], r), ST_OK);
}

Test(quota_redis_trouble, a_dead_one_costs_next_to_nothing)
{
    struct reservation r;

    rig_redis_kill(&rig);
    rig_start(&rig);
    rig_reservation(&r, 1, 0, 1, 3);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    cr_assert(!quota_store_is_up(rig.store));
    for (int i = 0; i < 100; i++) {
        struct rig_wait wait;
        int64_t before_us = clock_monotonic_us();

        rig_wait_init(&wait);
        cr_assert_eq(quota_reserve(rig.q[0], &r, &wait.op), ST_UNAVAILABLE);
        cr_assert(clock_monotonic_us() - before_us < 5000);
        loop_run_once(rig.loop, 1);
    }
    rig_redis_start(&rig);
    RIG_UNTIL(&rig, quota_store_is_up(rig.store));
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    quota_settle(rig.q[0], &r, 0);
    end_with_nothing_held();
}

Test(quota_redis_trouble, one_that_does_not_answer_is_given_up)
{
    struct reservation r;
    int64_t before_us;

    rig_start(&rig);
    RIG_UNTIL(&rig, quota_store_is_up(rig.store));
    kill(rig.server.pid, SIGSTOP);
    rig_reservation(&r, 1, 0, 1, 3);
    before_us = clock_monotonic_us();
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    cr_assert(clock_monotonic_us() - before_us >= TIMEOUT_MS * 1000);
    cr_assert_eq(quota_reserve(rig.q[0], &r, &(struct op){0}), ST_UNAVAILABLE, "at once");
    kill(rig.server.pid, SIGCONT);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)) && redis_link_is_up(link_of(1)));
    cr_assert_eq(rig_used(&rig, 1, 0), 0, "the reserve that was given up is undone");
    end_with_nothing_held();
}

Test(quota_redis_trouble, a_reserve_waits_for_the_first_connection)
{
    struct reservation r, cancelled;
    struct rig_wait wait, cancelled_wait;
    char error[CONFIG_ERROR_MAX];

    cr_assert_eq(quota_store_open(&rig.config, error, &rig.store), ST_OK);
    cr_assert_eq(quota_open(rig.store, rig.loop, &rig.config, &rig.q[0]), ST_OK);
    rig_reservation(&r, 1, 0, 1, 3);
    rig_reservation(&cancelled, 1, 0, 1, 3);
    rig_wait_init(&wait);
    rig_wait_init(&cancelled_wait);
    cr_assert_eq(quota_reserve(rig.q[0], &cancelled, &cancelled_wait.op), ST_PENDING);
    cr_assert_eq(quota_reserve(rig.q[0], &r, &wait.op), ST_PENDING);
    op_cancel(&cancelled_wait.op);
    cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_OK);
    cr_assert_eq(r.limits[0].used_units, UNITS_PER_IMAGE);
    quota_settle(rig.q[0], &r, 0);
    end_with_nothing_held();
}

/* Its machine's clock is wrong, and the store's is not known yet: nothing is counted in another day. */
Test(quota_redis_trouble, a_reserve_before_the_clock_is_known_counts_by_it)
{
    struct reservation r[2];
    struct rig_wait waits[2];
    char error[CONFIG_ERROR_MAX];

    cr_assert_eq(quota_store_open(&rig.config, error, &rig.store), ST_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(quota_open(rig.store, rig.loop, &rig.config, &rig.q[i]), ST_OK);
        rig_reservation(&r[i], 1, -i, 1, 3);
        rig_wait_init(&waits[i]);
        cr_assert_eq(quota_reserve(rig.q[i], &r[i], &waits[i].op), ST_PENDING);
        r[i].asked_us = 1;
    }
    cr_assert_eq(rig_ended(&rig, &waits[0], ST_PENDING), ST_OK);
    cr_assert_eq(rig_ended(&rig, &waits[1], ST_PENDING), ST_UNAVAILABLE);
    cr_assert_lt(llabs(r[0].asked_us - quota_now_us(rig.q[0])), 8000000);
    cr_assert_eq(rig_used(&rig, 1, -1), 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    quota_settle(rig.q[0], &r[0], 0);
    end_with_nothing_held();
}

Test(quota_redis_trouble, a_lost_connection_goes_unnoticed)
{
    struct reservation r[3];

    rig_start(&rig);
    for (int i = 0; i < 3; i++) {
        rig_redis(&rig, "CLIENT KILL TYPE normal SKIPME yes");
        hold(&r[i], 1, 2, 9);
    }
    rig_redis(&rig, "CLIENT KILL TYPE normal SKIPME yes");
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r[0], -1), ST_OK);
    rig_redis(&rig, "CLIENT KILL TYPE normal SKIPME yes");
    quota_settle(rig.q[0], &r[0], 1);
    quota_settle(rig.q[0], &r[1], 2);
    quota_settle(rig.q[0], &r[2], 0);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
    cr_assert_eq(rig_used(&rig, 1, 0), 3);
    end_with_nothing_held();
}

Test(quota_redis_trouble, charges_wait_until_it_is_back)
{
    struct reservation r[4];

    rig_start(&rig);
    for (int i = 0; i < 4; i++)
        hold(&r[i], 1, 3, 12);
    rig_redis_kill(&rig);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)));
    for (int i = 0; i < 2; i++)
        cr_assert_eq(quota_commit(rig.q[0], &r[i], QUOTA_SETTLE_LATER, &(struct op){0}), ST_OK);
    quota_settle(rig.q[0], &r[1], 2);
    cr_assert_eq(quota_commit(rig.q[0], &r[2], 1, &(struct op){0}), ST_OK);
    quota_settle(rig.q[0], &r[3], 0);
    cr_assert_eq(door(0)->on_disk, 5);
    rig_redis_start(&rig);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
    cr_assert_eq(rig_used(&rig, 1, 0), 3 + 2 + 1);
    cr_assert_eq(door(0)->on_disk, 0);
    quota_settle(rig.q[0], &r[0], 3);
    end_with_nothing_held();
}

Test(quota_redis_trouble, a_charge_outlives_the_lease_while_it_is_down)
{
    struct reservation r;

    rig_start(&rig);
    hold(&r, 1, 3, 12);
    rig_redis_kill(&rig);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)));
    cr_assert_eq(quota_commit(rig.q[0], &r, 2, &(struct op){0}), ST_OK);
    rig_redis_start(&rig);
    /* Another gateway is back first, and the lease is over by its clock. */
    cr_assert_eq(rig_redis(&rig, "ZREM mg:{1}:h %b", TOKEN(r, 0)), 1);
    cr_assert_eq(rig_redis(&rig, "FLUSHDB") >= -1, 1);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
    cr_assert_eq(rig_used(&rig, 1, 0), 2);
    end_with_nothing_held();
}

/* In a process of its own: holds two, sees Redis die, commits one, tells, and waits to be killed. */
static void commit_without_redis(int tell)
{
    struct reservation kept, dropped;

    rig_start(&rig);
    hold(&kept, 1, 2, 9);
    hold(&dropped, 2, 2, 9);
    kill(rig.server.pid, SIGKILL);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)));
    cr_assert_eq(quota_commit(rig.q[0], &kept, 1, &(struct op){0}), ST_OK);
    cr_assert_eq(write(tell, "x", 1), 1);
    pause();
}

Test(quota_redis_trouble, a_gateway_killed_while_it_is_down_loses_no_charge)
{
    int pipe_of[2];
    char byte;

    cr_assert_eq(pipe(pipe_of), 0);

    pid_t child = rig_fork(&rig);

    if (child == 0) {
        commit_without_redis(pipe_of[1]);
        _exit(0);
    }
    close(pipe_of[1]);
    cr_assert_eq(read(pipe_of[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipe_of[0]);
    rig_redis_kill(&rig);
    rig_redis_start(&rig);
    rig_start(&rig);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    cr_assert_eq(rig_used(&rig, 2, 0), 2, "until its lease ends");
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:h"), 0);
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{2}:h"), 1);
}

Test(quota_redis_trouble, works_without_an_outbox)
{
    struct reservation r;

    rig.config.outbox_dir = "/proc/no/such/folder";
    rig_start(&rig);
    hold(&r, 1, 2, 9);
    rig_redis_kill(&rig);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)));
    cr_assert_eq(quota_commit(rig.q[0], &r, 1, &(struct op){0}), ST_OK);
    rig_redis_start(&rig);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    end_with_nothing_held();
}

Test(quota_redis_trouble, scripts_that_it_forgot_are_sent_again)
{
    struct reservation r[20];
    struct rig_wait waits[20];

    rig_start(&rig);
    hold(&r[0], 1, 2, 99);
    rig_redis(&rig, "SCRIPT FLUSH");
    quota_settle(rig.q[0], &r[0], 1);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    rig_redis(&rig, "SCRIPT FLUSH");
    for (int i = 0; i < 20; i++) {
        rig_reservation(&r[i], 1, 0, 1, 99);
        rig_wait_init(&waits[i]);
        cr_assert_eq(quota_reserve(rig.q[0], &r[i], &waits[i].op), ST_PENDING);
    }
    op_cancel(&waits[19].op);
    for (int i = 0; i < 19; i++)
        cr_assert_eq(rig_ended(&rig, &waits[i], ST_PENDING), ST_OK);
    cr_assert_eq(rig_used(&rig, 1, 0), 20);
    for (int i = 0; i < 19; i++)
        quota_settle(rig.q[0], &r[i], 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    end_with_nothing_held();
}

static void expect_down_until(const char *trouble, const char *mended)
{
    struct reservation r, held;

    rig_start(&rig);
    hold(&held, 1, 2, 9);
    rig_redis(&rig, trouble);
    rig_reservation(&r, 1, 0, 1, 9);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    cr_assert_eq(quota_reserve(rig.q[0], &r, &(struct op){0}), ST_UNAVAILABLE, "at once");
    cr_assert_eq(rig_commit(&rig, rig.q[0], &held, -1), ST_OK);
    quota_settle(rig.q[0], &held, 1);
    rig_redis(&rig, mended);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    end_with_nothing_held();
}

Test(quota_redis_trouble, full_memory_counts_as_down)
{
    expect_down_until("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0");
}

Test(quota_redis_trouble, a_replica_counts_as_down)
{
    expect_down_until("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE");
}

Test(quota_redis_trouble, one_without_its_replicas_counts_as_down)
{
    expect_down_until("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0");
}

Test(quota_redis_trouble, a_key_of_another_type_is_that_calls_trouble_alone)
{
    struct reservation r;

    rig_start(&rig);
    cr_assert_eq(rig_redis(&rig, "LPUSH mg:{1}:h x"), 1);
    rig_reservation(&r, 1, 0, 1, 9);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    cr_assert(redis_link_is_up(link_of(0)));
    cr_assert_eq(rig_redis(&rig, "DEL mg:{1}:h"), 1);
    cr_assert_eq(rig_used(&rig, 1, 0), 0);
    end_with_nothing_held();
}

Test(quota_redis_trouble, password_and_database)
{
    struct reservation r;

    cr_assert_eq(rig_redis(&rig, "CONFIG SET requirepass secret"), 1);
    rig.config.store.password = "wrong";
    rig.config.store.db = 3;

    pid_t redis = rig.server.pid;

    rig.server.pid = 0; /* rig_start() is not to wait until it is up */
    rig_start(&rig);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)));
    rig_stop(&rig);
    rig.server.pid = redis;
    rig.config.store.password = "secret";
    rig_start(&rig);
    hold(&r, 1, 1, 9);
    cr_assert_eq(rig_redis(&rig, "SELECT 3"), 1);
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:h"), 1);
    quota_settle(rig.q[0], &r, 0);
    end_with_nothing_held();
}

/* --- TCP, and a replica: servers with a port --- */

Test(quota_redis_trouble, over_tcp)
{
    struct reservation r;

    rig_redis_kill(&rig);
    rig.server.port = server_port();
    rig_redis_start(&rig);
    rig.config.store.path = NULL;
    rig.config.store.hosts_len = 1;
    rig.config.store.hosts[0] = (struct store_host){"127.0.0.1", rig.server.port};
    rig_start(&rig);
    hold(&r, 1, 2, 2);
    cr_assert_eq(rig_used(&rig, 1, 0), 2);
    quota_settle(rig.q[0], &r, 0);
    end_with_nothing_held();
}

Test(quota_redis_trouble, an_unknown_host_is_said_at_start)
{
    char error[CONFIG_ERROR_MAX];
    struct quota_store *store;

    rig.config.store.path = NULL;
    rig.config.store.hosts_len = 1;
    rig.config.store.hosts[0] = (struct store_host){"no-such-host.invalid", 6379};
    rig.config.store.password = "secret";
    cr_assert_neq(quota_store_open(&rig.config, error, &store), ST_OK);
    cr_assert(strstr(error, "no-such-host.invalid:6379"));
    cr_assert(!strstr(error, "secret"));
}

/* --- the layout --- */

/* The name of the row that the first limit charges. */
static void row_of(const struct reservation *r, char out[REDIS_KEY_MAX])
{
    const struct limit *limit = &r->limits[0].limit;
    struct redis_key key = redis_row_key(redis_token_make(r, 0).bucket,
                                         redis_row_letter(&limit->rule), limit->window.ordinal);

    snprintf(out, REDIS_KEY_MAX, "%.*s", (int)key.len, key.buf);
}

Test(quota_redis_trouble, what_its_keys_look_like)
{
    struct reservation r;
    char row[REDIS_KEY_MAX];

    rig_start(&rig);
    hold(&r, 1, 2, 9);
    cr_assert_eq(redis_token_make(&r, 0).token_len, 22);
    row_of(&r, row);
    cr_assert_eq(
        rig_redis(&rig, "HGET %s %b", row, redis_token_make(&r, 0).token, (size_t)ROW_FIELD_LEN),
        2);

    long long left_s = rig_redis(&rig, "TTL %s", row);
    long long day_left_s = r.limits[0].limit.window.end_s - clock_wall_us() / 1000000;

    cr_assert(left_s > day_left_s + 3600 && left_s < day_left_s + 60 + 2 * 3600);
    cr_assert_eq(rig_redis(&rig, "TTL mg:{1}:h"), -1, "a ledger never expires");
    quota_settle(rig.q[0], &r, 2);
    rig_quiet(&rig);
    cr_assert_eq(rig_redis(&rig, "EXISTS mg:{1}:h"), 0, "an empty ledger does not exist");
    cr_assert_eq(rig_redis(&rig, "DBSIZE"), 3, "the row, the layout, and mg:up");
}

Test(quota_redis_trouble, a_renewal_reaches_both_parts)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000),
                             rig_of_team(2, rig_limit(1, LIMIT_DAY, 9000))};
    struct reservation r;
    int64_t first_us;
    long long before[2];

    rig.config.lease_ms = 1000;
    rig_start(&rig);
    rig_reservation_of(&r, 1, 1, limits, 2);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    first_us = r.expires_us;
    for (int i = 0; i < 2; i++)
        before[i] = rig_redis(&rig, "ZSCORE mg:{%d}:h %b", (int)redis_token_make(&r, i).bucket,
                              TOKEN(r, i));
    RIG_UNTIL(&rig, r.expires_us >= first_us + 1000000);
    rig_quiet(&rig);
    for (int i = 0; i < 2; i++)
        cr_assert_gt(rig_redis(&rig, "ZSCORE mg:{%d}:h %b", (int)redis_token_make(&r, i).bucket,
                               TOKEN(r, i)),
                     before[i]);
    quota_settle(rig.q[0], &r, 0);
    end_with_nothing_held();
}

/* Rows of accounts in two time zones lie in one hash: it must outlive the later of the two windows. */
Test(quota_redis_trouble, a_row_lives_as_long_as_the_latest_zone_needs)
{
    static const int orders[2][2] = {{0, 14}, {14, 0}};

    rig_start(&rig);
    for (int order = 0; order < 2; order++) {
        char row[REDIS_KEY_MAX];
        struct reservation r[2];

        for (int i = 0; i < 2; i++) {
            rig_reservation(&r[i], 1 + 4 * i, order, 1, 9);
            r[i].limits[0].limit.window.end_s += INT64_C(3600) * orders[order][i];
            cr_assert_eq(rig_reserve(&rig, rig.q[0], &r[i]), ST_OK);
            quota_settle(rig.q[0], &r[i], 1);
            rig_quiet(&rig);
        }
        row_of(&r[0], row);

        long long left_s = rig_redis(&rig, "TTL %s", row);
        int64_t end_s = MAX(r[0].limits[0].limit.window.end_s, r[1].limits[0].limit.window.end_s);

        cr_assert_gt(left_s, end_s + 3600 - clock_wall_us() / 1000000);
    }
}

/* Grants count on top of the limit, and survive a refund of all that was used. */
Test(quota_redis_trouble, grants_are_kept_apart_from_use)
{
    struct reservation r;
    char row[REDIS_KEY_MAX];

    rig_start(&rig);
    hold(&r, 1, 1, 1);

    row_of(&r, row);
    cr_assert_eq(rig_redis(&rig, "HINCRBY %s %b 33554432", row, redis_token_make(&r, 0).token,
                           (size_t)ROW_FIELD_LEN),
                 33554433);
    quota_settle(rig.q[0], &r, 0);
    hold(&r, 1, 3, 1);
    cr_assert_eq(r.limits[0].used_units, 3 * UNITS_PER_IMAGE);
    quota_settle(rig.q[0], &r, 1);
    rig_quiet(&rig);
    cr_assert_eq(
        rig_redis(&rig, "HGET %s %b", row, redis_token_make(&r, 0).token, (size_t)ROW_FIELD_LEN),
        33554433);
    end_with_nothing_held();
}

Test(quota_redis_trouble, a_retry_does_not_undo_a_commit)
{
    struct reservation r, again;

    rig_start(&rig);
    hold(&r, 1, 1, 9);
    again = r;
    again.state = RESERVATION_NONE;
    list_init(&again.live);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_OK);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &again), ST_OK);
    cr_assert_gt(rig_redis(&rig, "ZSCORE mg:{1}:h %b", TOKEN(r, 0)), 1 << 30);
    quota_settle(rig.q[0], &r, 0);
    end_with_nothing_held();
}
