/* SPDX-License-Identifier: Apache-2.0 */
/* test_interplay.c - what was made apart, together: grants until a date, late charges, outages, teams, shares while the
 * store is down, and the refusals that a worker remembers. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "quota/row.h"
#include "unit/quota/rig.h"
#include "unit/whole.h"

#define DAY_S     INT64_C(86400)
#define MINUTE_US INT64_C(60000000)

/* The same limit, so many windows of a day later. */
static struct limit in_days(struct limit limit, int days)
{
    limit.window.start_s += days * DAY_S;
    limit.window.end_s += days * DAY_S;
    limit.window.ordinal += (uint32_t)days;
    return limit;
}

static struct limit rate_of(int account)
{
    struct limit limit = rig_limit(account, LIMIT_RATE, 60000);

    limit.rule.period_us = 60 * MINUTE_US;
    limit.rule.burst_units = 60000;
    return limit;
}

/* So many more images in each window of these limits for three days. */
static void give(struct rig *rig, const struct limit *limits, int len, int64_t images)
{
    const struct quota_change change = {CHANGE_GRANT, images * UNITS_PER_IMAGE,
                                        clock_wall_us() / 1000000 + 3 * DAY_S};
    struct reservation r;

    rig_reservation_of(&r, 1, 0, limits, len);
    cr_assert_eq(rig_change(rig, rig->q[0], &r, &change), ST_OK);
    rig_quiet(rig);
}

static enum status reserve(struct rig *rig, struct reservation *r, int64_t images,
                           const struct limit *limits, int len)
{
    rig_reservation_of(r, 1, images, limits, len);
    return rig_reserve(rig, rig->q[1], r);
}

static void expect_granted(struct rig *rig, const struct limit *limit, int64_t images)
{
    struct reservation r;

    rig_reservation_of(&r, 1, 0, limit, 1);
    cr_assert_eq(rig_inspect(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(r.limits[0].granted_units, images * UNITS_PER_IMAGE, "%lld",
                 (long long)r.limits[0].granted_units);
}

/* --- grants until a date, by each way that a reserve is judged --- */

/* In the next window, with a limit of three and two more; the others of the limits have room. */
static void expect_five(struct rig *rig, const struct limit *limits, int len)
{
    struct reservation r[2], none;

    cr_assert_eq(reserve(rig, &r[0], 4, limits, len), ST_OK);
    cr_assert_eq(reserve(rig, &none, 2, limits, len), ST_LIMIT);
    cr_assert_eq(reserve(rig, &r[1], 1, limits, len), ST_OK);
    cr_assert_eq(reserve(rig, &none, 1, limits, len), ST_LIMIT);
    quota_settle(rig->q[1], &r[0], 0);
    cr_assert_eq(rig_commit(rig, rig->q[1], &r[1], 1), ST_OK);
    rig_quiet(rig);
    for (int i = 0; i < len; i++)
        if (limit_is_calendar(limits[i].rule.kind))
            cr_assert_eq(rig_used_of(rig, 1, limits[i]), UNITS_PER_IMAGE);
    cr_assert_eq(reserve(rig, &r[0], 4, limits, len), ST_OK, "the grant outlives what came back");
    quota_settle(rig->q[1], &r[0], 0);
    rig_quiet(rig);
}

CONTRACT(a_grant_until_a_date_beside_a_rate_and_a_limit_in_flight)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 3000), rate_of(1),
                             rig_limit(1, LIMIT_IN_FLIGHT, 9000)};

    give(rig, limits, 1, 2);
    limits[0] = in_days(limits[0], 1);
    expect_five(rig, limits, 3);
    limits[0] = in_days(limits[0], 1);
    expect_five(rig, limits, 2);
}

CONTRACT(a_grant_until_a_date_beside_a_month)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 3000), rig_limit(1, LIMIT_MONTH, 99000)};

    give(rig, limits, 1, 2);
    limits[0] = in_days(limits[0], 1);
    expect_five(rig, limits, 2);
    expect_granted(rig, &limits[1], 0);
}

CONTRACT(a_grant_until_a_date_to_a_team)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000),
                             rig_of_team(2, rig_limit(1, LIMIT_DAY, 3000)),
                             rig_of_team(2, rig_limit(1, LIMIT_IN_FLIGHT, 9000))};

    give(rig, &limits[1], 1, 2);
    for (int i = 0; i < 2; i++)
        limits[i] = in_days(limits[i], 1);
    expect_five(rig, limits, 3);
    expect_granted(rig, &limits[0], 0);
    expect_granted(rig, &limits[1], 2);
}

CONTRACT(a_grant_until_a_date_is_no_larger_than_one_that_a_row_can_keep)
{
    struct limit images = rig_limit(1, LIMIT_DAY, 3000);
    struct limit credits = rig_credits(1, LIMIT_DAY, 3000, 1500);
    struct reservation r;

    for (int i = 0; i < 2; i++) {
        struct limit limit = i ? credits : images;
        int64_t most = MIN(row_shape(limit.rule.measure).granted_max, (1 << 24) - 1);

        give(rig, &limit, 1, INT64_C(1) << 40);
        expect_granted(rig, &limit, most);
        limit = in_days(limit, 1);
        cr_assert_eq(reserve(rig, &r, 2, &limit, 1), ST_OK);
        cr_assert_eq(r.limits[0].granted_units, most * UNITS_PER_IMAGE);
        quota_settle(rig->q[1], &r, 1);
        cr_assert_eq(rig_used_of(rig, 1, limit), limit.image_units);
        expect_granted(rig, &limit, most);
    }
}

/* --- late charges --- */

static struct rig rig;

static void begin(void)
{
    rig_init(&rig, STORE_REDIS);
    rig.config.quota_timeout_ms = 250;
    rig.config.lease_ms = 1000;
    rig.config.policy.tiers_len = 1;
    rig.config.policy.tiers[0].on_store_down = STORE_DOWN_LOCAL;
    rig_start(&rig);
}

static void end(void)
{
    cr_assert_eq(rig_held(&rig), 0);
    rig_fini(&rig);
}

static struct redis_link *link_of(int worker)
{
    return redis_route_link(&((struct redis_quota *)rig.q[worker])->route, 1);
}

static void lose_redis(void)
{
    rig_redis_kill(&rig);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)) && redis_link_is_refusing(link_of(1)));
}

static void find_redis(void)
{
    rig_redis_start(&rig);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)) && redis_link_is_up(link_of(1)));
    rig_quiet(&rig);
}

static void reserve_locally(struct reservation *r, int64_t images, const struct limit *limits,
                            int len)
{
    struct rig_wait wait;

    rig_reservation_of(r, 1, images, limits, len);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], r), ST_UNAVAILABLE);
    rig_wait_init(&wait);
    cr_assert_eq(rig_ended(&rig, &wait, quota_reserve_locally(rig.q[0], r, &wait.op)), ST_OK);
}

/* Whoever looks at the bucket ends what has expired there. */
static void look(const struct limit *limit)
{
    (void)rig_used_of(&rig, 1, *limit);
}

WHOLE_TEST(quota_interplay, a_window_that_begins_with_a_late_charge_has_its_grant)
{
    for (int later = 0; later < 2; later++) {
        struct limit limit = in_days(rig_limit(1, LIMIT_DAY, 4000), later * 4);
        struct reservation r;

        give(&rig, &limit, 1, 2);
        limit = in_days(limit, 1);
        lose_redis();
        reserve_locally(&r, 2, &limit, 1);
        cr_assert_eq(rig_commit(&rig, rig.q[0], &r, later ? QUOTA_SETTLE_LATER : 2), ST_OK);
        if (later)
            quota_settle(rig.q[0], &r, 2);
        find_redis();
        cr_assert_eq(rig_used_of(&rig, 1, limit), 2000);
        expect_granted(&rig, &limit, 2);
    }
}

WHOLE_TEST(quota_interplay, an_outage_longer_than_the_lease)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 20000),
                             rig_of_team(2, rig_limit(1, LIMIT_DAY, 40000))};
    struct reservation before[3], local[3];

    for (int i = 0; i < 3; i++) {
        rig_reservation_of(&before[i], 1, 2, limits, 2);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &before[i]), ST_OK);
    }
    cr_assert_eq(rig_commit(&rig, rig.q[0], &before[0], -1), ST_OK);
    lose_redis();
    for (int i = 0; i < 3; i++)
        reserve_locally(&local[i], 2, limits, 2);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &before[1], -1), ST_OK);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &local[0], 1), ST_OK);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &local[1], -1), ST_OK);
    clock_skip_us(MINUTE_US);
    quota_settle(rig.q[0], &before[0], 1);
    quota_settle(rig.q[0], &before[1], 2);
    quota_settle(rig.q[0], &before[2], 0);
    quota_settle(rig.q[0], &local[1], 2);
    quota_settle(rig.q[0], &local[2], 0);
    find_redis();
    for (int i = 0; i < 2; i++)
        cr_assert_eq(rig_used_of(&rig, 1, limits[i]), (1 + 2 + 1 + 2) * UNITS_PER_IMAGE);
    rig_stop(&rig);
    rig_start(&rig);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(rig_used_of(&rig, 1, limits[i]), 6000, "nothing is said again");
}

/* Redis has ended the holds of who lost it; then what was delivered meanwhile comes, once, whoever brings it. */
WHOLE_TEST(quota_interplay, charges_of_an_outage_find_tombstones)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 20000);
    struct reservation held[2], local;
    struct rig_wait wait;

    for (int i = 0; i < 2; i++) {
        rig_reservation_of(&held[i], 1, 2, &limit, 1);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &held[i]), ST_OK);
    }
    kill(rig.server.pid, SIGSTOP);
    rig_wait_init(&wait);
    cr_assert_eq(rig_ended(&rig, &wait, quota_commit(rig.q[0], &held[0], 1, &wait.op)), ST_OK);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)));
    reserve_locally(&local, 3, &limit, 1);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &local, 3), ST_OK);
    list_remove(&held[1].live);
    rig_stop(&rig);
    kill(rig.server.pid, SIGCONT);
    rig_start(&rig);
    rig_quiet(&rig);
    rig_expire(&rig, &held[1]);
    look(&limit);
    cr_assert_eq(rig_used_of(&rig, 1, limit), (1 + 3) * UNITS_PER_IMAGE);
    rig_stop(&rig);
    rig_start(&rig);
    cr_assert_eq(rig_used_of(&rig, 1, limit), 4000);
}

/* --- a gateway killed while it counts locally --- */

static void die_with_local_holds(int tell)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 8000);
    struct reservation settled, committed, held;

    kill(rig.server.pid, SIGKILL);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)));
    reserve_locally(&settled, 1, &limit, 1);
    reserve_locally(&committed, 1, &limit, 1);
    reserve_locally(&held, 2, &limit, 1);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &settled, 1), ST_OK);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &committed, -1), ST_OK);
    cr_assert_eq(write(tell, "x", 1), 1);
    pause();
}

/* Of a share of four, two were delivered; what was only held is there again for the next process. */
WHOLE_TEST(quota_interplay, a_gateway_killed_with_local_holds)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 8000);
    struct reservation r;
    struct rig_wait wait;
    int pipe_of[2];
    char byte;

    rig_stop(&rig);
    cr_assert_eq(pipe(pipe_of), 0);

    pid_t child = rig_fork(&rig);

    if (child == 0) {
        rig_start(&rig);
        die_with_local_holds(pipe_of[1]);
        _exit(0);
    }
    close(pipe_of[1]);
    cr_assert_eq(read(pipe_of[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipe_of[0]);
    rig_redis_kill(&rig);
    rig_start(&rig);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)));
    rig_reservation_of(&r, 1, 3, &limit, 1);
    rig_wait_init(&wait);
    cr_assert_eq(rig_ended(&rig, &wait, quota_reserve_locally(rig.q[0], &r, &wait.op)),
                 ST_UNAVAILABLE);
    reserve_locally(&r, 2, &limit, 1);
    quota_settle(rig.q[0], &r, 0);
    find_redis();
    cr_assert_eq(rig_used_of(&rig, 1, limit), 2000, "what was delivered is charged, once");
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:h"), 1, "committed, and nobody settles it");
    cr_assert_eq(rig_redis(&rig, "DEL mg:{1}:h"), 1);
}

/* --- late, with a team --- */

WHOLE_TEST(quota_interplay, a_late_commit_finds_what_a_team_was_granted)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000),
                             rig_of_team(2, rig_limit(1, LIMIT_DAY, 2000))};
    struct reservation r, other;

    give(&rig, &limits[1], 1, 2);
    for (int i = 0; i < 2; i++)
        limits[i] = in_days(limits[i], 1);
    for (int64_t taken = 2; taken <= 3; taken++) {
        cr_assert_eq(reserve(&rig, &r, 2, limits, 2), ST_OK);
        list_remove(&r.live);
        rig_expire(&rig, &r);
        for (int i = 0; i < 2; i++)
            look(&limits[i]);
        rig_reservation_of(&other, 5, taken, &limits[1], 1);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &other), ST_OK);
        r.parts[0].sure_until_us = 1;
        cr_assert_eq(rig_commit(&rig, rig.q[1], &r, 2), taken == 2 ? ST_OK : ST_LIMIT);
        quota_settle(rig.q[0], &other, 0);
        rig_quiet(&rig);
        for (int i = 0; i < 2; i++) {
            struct reservation none;

            cr_assert_eq(rig_used_of(&rig, 1, limits[i]), taken == 2 ? 2000 : 0, "%d", i);
            rig_reservation_of(&none, 1, 0, &limits[i], 1);
            cr_assert_eq(rig_amend(&rig, rig.q[0], &none, CHANGE_SET_USED, 0), ST_OK);
            rig_quiet(&rig);
        }
    }
    expect_granted(&rig, &limits[1], 2);
}
