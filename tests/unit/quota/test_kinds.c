/* SPDX-License-Identifier: Apache-2.0 */
/* test_kinds.c - every kind of limit, alone and together, on each store. */

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"
#include "core/bucket.h"
#include "unit/quota/rig.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_US   (3600 * SECOND_US)

static struct limit rate(int account, int64_t units, int64_t period_us, int64_t burst)
{
    struct limit limit = rig_limit(account, LIMIT_RATE, units);

    limit.rule.period_us = period_us;
    limit.rule.burst_units = burst;
    return limit;
}

static struct limit rolling(int account, int64_t units, int64_t period_us)
{
    struct limit limit = rig_limit(account, LIMIT_ROLLING, units);

    limit.rule.period_us = period_us;
    limit.subject = limit_subject(&limit.rule, rig_digest(account));
    return limit;
}

static struct limit on_trial(struct limit limit)
{
    limit.rule.is_dry_run = true;
    return limit;
}

/* Images under these limits are refused. */
static struct reservation refuse(struct rig *rig, int64_t images, const struct limit *limits,
                                 int len)
{
    struct reservation r;

    rig_reservation_of(&r, 1, images, limits, len);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_LIMIT);
    return r;
}

static void hold(struct rig *rig, struct reservation *r, int64_t images, const struct limit *limits,
                 int len)
{
    rig_reservation_of(r, 1, images, limits, len);
    cr_assert_eq(rig_reserve(rig, rig->q[0], r), ST_OK);
}

/* Takes images, and uses them. */
static void take(struct rig *rig, int64_t images, const struct limit *limits, int len)
{
    struct reservation r;

    rig_reservation_of(&r, 1, images, limits, len);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    quota_settle(rig->q[0], &r, images);
}

CONTRACT(weeks_and_months_count_beside_days)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 5000), rig_limit(1, LIMIT_WEEK, 3000),
                             rig_limit(1, LIMIT_MONTH, 9000)};
    struct reservation r;

    take(rig, 2, limits, 3);
    r = refuse(rig, 2, limits, 3);
    cr_assert_eq(r.refused_by, 1);
    cr_assert_eq(r.limits[0].used_units, 2000);
    cr_assert_eq(r.limits[2].used_units, 2000);
    cr_assert_eq(r.limits[1].reset_us, limits[1].window.end_s * SECOND_US);
    take(rig, 1, limits, 1);
    cr_assert_eq(rig_used_of(rig, 1, limits[0]), 3000);
    cr_assert_eq(rig_used_of(rig, 1, limits[1]), 2000);
    cr_assert_eq(rig_used_of(rig, 1, limits[2]), 2000);
}

CONTRACT(credits_are_exact_in_thousandths)
{
    struct limit limits[] = {rig_credits(1, LIMIT_MONTH, 10000, 2501),
                             rig_limit(1, LIMIT_MONTH, 99000)};
    struct reservation r;

    (void)refuse(rig, 4, limits, 2);
    limits[0].image_units = 2500;
    rig_reservation_of(&r, 1, 4, limits, 2);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(r.limits[0].used_units, 10000);
    cr_assert_eq(r.limits[1].used_units, 4000);
    cr_assert_eq(rig_commit(rig, rig->q[0], &r, -1), ST_OK);
    quota_settle(rig->q[0], &r, 3);
    cr_assert_eq(rig_used_of(rig, 1, limits[0]), 7500);
    cr_assert_eq(rig_used_of(rig, 1, limits[1]), 3000);
    limits[0].image_units = 1;
    take(rig, 1, limits, 2);
    cr_assert_eq(rig_used_of(rig, 1, limits[0]), 7501);
    limits[0].image_units = 0;
    take(rig, 1, limits, 2);
    cr_assert_eq(rig_used_of(rig, 1, limits[0]), 7501, "free of charge");
}

CONTRACT(a_price_that_changed_meanwhile_is_given_back_as_it_was_charged)
{
    struct limit limit = rig_credits(1, LIMIT_MONTH, 100000, 2500);
    struct reservation dead, late;

    rig_reservation_of(&dead, 1, 4, &limit, 1);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &dead), ST_OK);
    rig_reservation_of(&late, 1, 2, &limit, 1);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &late), ST_OK);
    limit.image_units = 1000;
    take(rig, 1, &limit, 1);
    cr_assert_eq(rig_used_of(rig, 1, limit), 16000);
    rig_expire(rig, &dead);
    cr_assert_eq(rig_used_of(rig, 1, limit), 6000);
    rig_expire(rig, &late);
    cr_assert_eq(rig_used_of(rig, 1, limit), 1000);
    cr_assert_eq(rig_commit(rig, rig->q[0], &late, -1), ST_OK);
    cr_assert_eq(rig_used_of(rig, 1, limit), 6000, "charged again at the old price");
    quota_settle(rig->q[0], &late, 1);
    cr_assert_eq(rig_used_of(rig, 1, limit), 3500);
}

CONTRACT(a_rate_allows_its_burst_and_then_its_pace)
{
    struct limit limit = rate(1, 2000, 60 * SECOND_US, 3000);
    struct rig_moment first = rig_now(rig);
    struct reservation r[3], more, look;

    for (int i = 0; i < 3; i++) {
        rig_reservation_of(&r[i], 1, 1, &limit, 1);
        cr_assert_eq(rig_reserve(rig, rig->q[i % 2], &r[i]), ST_OK);
        rig_expect_of_rate(rig, &r[i].limits[0], (i + 1) * UNITS_PER_IMAGE, &first);
    }
    more = refuse(rig, 1, &limit, 1);
    list_init(&more.live);

    int64_t wait_us = more.limits[0].reset_us - quota_now_us(rig->q[0]);
    int64_t skew_us = rig_skew_since_us(rig, &first);
    int64_t past_us = clock_monotonic_us() - first.us;

    cr_assert_leq(wait_us, 30 * SECOND_US + skew_us);
    cr_assert_geq(wait_us, 30 * SECOND_US - skew_us - past_us);
    quota_settle(rig->q[0], &r[0], 0);
    quota_settle(rig->q[1], &r[1], 1);
    rig_quiet(rig);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &more), ST_OK, "what failed at once comes back");
    (void)refuse(rig, 1, &limit, 1);
    quota_settle(rig->q[0], &r[2], 1);
    quota_settle(rig->q[0], &more, 1);
    rig_quiet(rig);
    rig_reservation_of(&look, 1, 0, &limit, 1);
    cr_assert_eq(rig_inspect(rig, rig->q[0], &look), ST_OK);
    rig_expect_of_rate(rig, &look.limits[0], 3 * UNITS_PER_IMAGE, &first);
    (void)refuse(rig, 4, &limit, 1);
}

CONTRACT(a_rate_of_nothing_and_one_past_its_burst_never_fit)
{
    struct limit none = rate(1, 0, 60 * SECOND_US, 3000);
    struct limit slow = rate(2, 1000, 400 * 24 * HOUR_US, 2000);

    (void)refuse(rig, 1, &none, 1);
    (void)refuse(rig, 3, &slow, 1);
    take(rig, 2, &slow, 1);
    (void)refuse(rig, 1, &slow, 1);
}

static void wait_ms(struct rig *rig, int64_t ms)
{
    int64_t until_us = clock_monotonic_us() + ms * 1000;

    RIG_UNTIL(rig, clock_monotonic_us() > until_us);
}

CONTRACT(what_has_dripped_away_does_not_come_back_as_well)
{
    struct limit limit = rate(1, 1000, 600000, 3000);
    struct reservation first, rest;

    hold(rig, &first, 1, &limit, 1);
    wait_ms(rig, 650);
    hold(rig, &rest, 3, &limit, 1);
    quota_settle(rig->q[0], &first, 0);
    rig_quiet(rig);
    (void)refuse(rig, 1, &limit, 1);
    quota_settle(rig->q[0], &rest, 3);
}

CONTRACT(a_rate_saves_up_no_more_than_its_burst)
{
    struct limit limit = rate(1, 1000, 400000, 2000);

    take(rig, 1, &limit, 1);
    wait_ms(rig, 1700);
    take(rig, 2, &limit, 1);
    (void)refuse(rig, 2, &limit, 1);
}

CONTRACT(a_rolling_window_counts_what_it_spans)
{
    struct limit limit = rolling(1, 3000, 3 * HOUR_US);
    struct limit other = rolling(1, 3000, 2 * HOUR_US);
    struct reservation r, more;

    rig_reservation_of(&r, 1, 2, &limit, 1);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(r.limits[0].used_units, 2000);
    more = refuse(rig, 2, &limit, 1);
    cr_assert_eq(more.limits[0].used_units, 2000);

    int64_t wait_us = more.limits[0].reset_us - quota_now_us(rig->q[0]);

    cr_assert(wait_us > 3 * HOUR_US - SECOND_US && wait_us <= 3 * HOUR_US + 900 * SECOND_US);
    quota_settle(rig->q[0], &r, 1);
    cr_assert_eq(rig_used_of(rig, 1, limit), 1000);
    cr_assert_eq(rig_used_of(rig, 1, other), 0, "another period is another row");
    take(rig, 2, &limit, 1);
    (void)refuse(rig, 1, &limit, 1);
}

CONTRACT(images_in_flight_are_what_the_ledger_holds)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 99000), rig_limit(1, LIMIT_IN_FLIGHT, 3000)};
    struct reservation r[2], dead;

    for (int i = 0; i < 2; i++) {
        rig_reservation_of(&r[i], 1, 1 + i, limits, 1 + i);
        cr_assert_eq(rig_reserve(rig, rig->q[i], &r[i]), ST_OK);
    }
    cr_assert_eq(r[1].limits[1].used_units, 3000, "also what was held without the limit");
    dead = refuse(rig, 1, limits, 2);
    list_init(&dead.live);
    cr_assert_eq(dead.refused_by, 1);
    cr_assert_eq(dead.limits[0].used_units, 3000);
    cr_assert_eq(rig_commit(rig, rig->q[0], &r[0], -1), ST_OK);
    (void)refuse(rig, 1, limits, 2);
    quota_settle(rig->q[0], &r[0], 1);
    rig_quiet(rig);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &dead), ST_OK, "the image is made");
    rig_expire(rig, &dead);
    hold(rig, &dead, 1, limits, 2);
    quota_settle(rig->q[0], &dead, 0);
    cr_assert_eq(rig_commit(rig, rig->q[1], &r[1], -1), ST_OK);
    rig_expire(rig, &r[1]);
    hold(rig, &dead, 3, limits, 2);
    quota_settle(rig->q[0], &dead, 0);
    cr_assert_eq(rig_used(rig, 1, 0), 3);
}

CONTRACT(a_model_has_rows_and_a_count_in_flight_of_its_own)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000), rig_limit(1, LIMIT_DAY, 2000),
                             rig_limit(1, LIMIT_IN_FLIGHT, 1000)};
    struct limit other;
    struct reservation r, plain;

    limits[1] = rig_of_model(1, "dall-e-3", limits[1]);
    limits[2] = rig_of_model(1, "dall-e-3", limits[2]);
    hold(rig, &plain, 3, limits, 1);
    hold(rig, &r, 1, limits, 3);
    cr_assert_eq(r.limits[0].used_units, 4000);
    cr_assert_eq(r.limits[1].used_units, 1000);
    cr_assert_eq(r.limits[2].used_units, 1000, "other models do not count");
    cr_assert_eq(refuse(rig, 1, limits, 3).refused_by, 2);
    quota_settle(rig->q[0], &r, 1);
    rig_quiet(rig);
    cr_assert_eq(refuse(rig, 2, limits, 2).refused_by, 1);
    other = rig_of_model(1, "sdxl", rig_limit(1, LIMIT_DAY, 2000));
    cr_assert_eq(rig_used_of(rig, 1, other), 0);
    quota_settle(rig->q[0], &plain, 0);
    cr_assert_eq(rig_used_of(rig, 1, limits[1]), 1000);
    cr_assert_eq(rig_used(rig, 1, 0), 1);
}

CONTRACT(all_kinds_at_once_or_none)
{
    struct limit limits[] = {
        rig_limit(1, LIMIT_DAY, 9000),           rate(1, 6000, 60 * SECOND_US, 9000),
        rolling(1, 9000, 3 * HOUR_US),           rig_limit(1, LIMIT_IN_FLIGHT, 4000),
        rig_credits(1, LIMIT_WEEK, 90000, 1250), rolling(1, 3000, 6 * HOUR_US),
    };
    struct rig_moment first = rig_now(rig);
    struct reservation r, none;

    limits[5].rule.measure = MEASURE_CREDITS;
    limits[5].image_units = 700;
    limits[5].subject = limit_subject(&limits[5].rule, rig_digest(1));
    rig_reservation_of(&r, 1, 4, limits, 6);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    none = refuse(rig, 1, limits, 6);
    cr_assert_eq(none.refused_by, 3);
    cr_assert_eq(refuse(rig, 1, limits + 4, 2).refused_by, 1);
    quota_settle(rig->q[0], &r, 3);
    cr_assert_eq(rig_used_of(rig, 1, limits[0]), 3000);
    rig_reservation_of(&none, 1, 0, limits, 6);
    cr_assert_eq(rig_inspect(rig, rig->q[0], &none), ST_OK);
    rig_expect_of_rate(rig, &none.limits[1], 3000, &first);
    cr_assert_eq(rig_used_of(rig, 1, limits[2]), 3000);
    cr_assert_eq(rig_used_of(rig, 1, limits[3]), 0);
    cr_assert_eq(rig_used_of(rig, 1, limits[4]), 3750);
    cr_assert_eq(rig_used_of(rig, 1, limits[5]), 2100);
}

CONTRACT(a_limit_on_trial_counts_and_refuses_nobody)
{
    struct limit limits[] = {
        on_trial(rig_limit(1, LIMIT_DAY, 1000)), rig_limit(1, LIMIT_MONTH, 4000),
        on_trial(rate(1, 1000, HOUR_US, 1500)), on_trial(rig_limit(1, LIMIT_IN_FLIGHT, 1000))};
    struct rig_moment first = rig_now(rig);
    struct reservation r[2], more;

    for (int i = 0; i < 2; i++) {
        rig_reservation_of(&r[i], 1, 1, limits, 4);
        cr_assert_eq(rig_reserve(rig, rig->q[0], &r[i]), ST_OK);
        for (int k = 0; k < 4; k++)
            cr_assert_eq(r[i].limits[k].is_over, i == 1 && k != 1, "%d %d", i, k);
    }
    cr_assert_eq(r[1].limits[0].used_units, 2000);
    /* A rate on trial stays where it would be. */
    rig_expect_of_rate(rig, &r[1].limits[2], 1000, &first);
    more = refuse(rig, 3, limits, 4);
    cr_assert_eq(more.refused_by, 1);
    for (int i = 0; i < 2; i++)
        quota_settle(rig->q[0], &r[i], i);
    cr_assert_eq(rig_used_of(rig, 1, limits[0]), 1000);
}

/* --- operators --- */

CONTRACT(a_grant_adds_to_the_present_window)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 1000);
    struct reservation grant, r;

    take(rig, 1, &limit, 1);
    (void)refuse(rig, 1, &limit, 1);
    rig_reservation_of(&grant, 1, 0, &limit, 1);
    cr_assert_eq(rig_amend(rig, rig->q[1], &grant, CHANGE_GRANT, 2000), ST_OK);
    cr_assert_eq(grant.limits[0].granted_units, 2000);
    cr_assert_eq(grant.limits[0].used_units, 1000);
    grant = rig_same(&grant);
    cr_assert_eq(rig_amend(rig, rig->q[0], &grant, CHANGE_GRANT, 2000), ST_OK);
    cr_assert_eq(grant.limits[0].granted_units, 2000, "once a grant");
    (void)refuse(rig, 3, &limit, 1);
    rig_reservation_of(&r, 1, 2, &limit, 1);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(r.limits[0].used_units, 3000);
    cr_assert_eq(r.limits[0].granted_units, 2000);
    quota_settle(rig->q[0], &r, 0);
    grant = rig_again(&grant);
    cr_assert_eq(rig_amend(rig, rig->q[0], &grant, CHANGE_GRANT, -9000), ST_OK);
    cr_assert_eq(grant.limits[0].granted_units, 0);
    cr_assert_eq(grant.limits[0].used_units, 1000);
    (void)refuse(rig, 1, &limit, 1);
}

CONTRACT(a_grant_outlives_a_refund_of_all_that_was_used)
{
    struct limit limit = rig_credits(1, LIMIT_MONTH, 1000, 1500);
    struct reservation grant, r;

    rig_reservation_of(&grant, 1, 0, &limit, 1);
    cr_assert_eq(rig_amend(rig, rig->q[0], &grant, CHANGE_GRANT, 5900), ST_OK);
    cr_assert_eq(grant.limits[0].granted_units, 5000, "whole credits");
    hold(rig, &r, 4, &limit, 1);
    grant = rig_again(&grant);
    cr_assert_eq(rig_amend(rig, rig->q[0], &grant, CHANGE_SET_USED, 100), ST_OK);
    quota_settle(rig->q[0], &r, 0);
    cr_assert_eq(rig_used_of(rig, 1, limit), 0, "the floor");
    hold(rig, &r, 4, &limit, 1);
    quota_settle(rig->q[0], &r, 0);
    rig_quiet(rig);
    hold(rig, &r, 4, &limit, 1);
    cr_assert_eq(r.limits[0].granted_units, 5000);
    quota_settle(rig->q[0], &r, 0);
}

CONTRACT(used_can_be_set_and_reset)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000), rate(1, 2000, 60 * SECOND_US, 9000),
                             rolling(1, 9000, HOUR_US), rig_credits(1, LIMIT_MONTH, 9000, 500),
                             rig_limit(1, LIMIT_IN_FLIGHT, 9000)};
    struct reservation amend, r;

    rig_reservation_of(&amend, 1, 0, limits, 5);
    cr_assert_eq(rig_amend(rig, rig->q[0], &amend, CHANGE_SET_USED, 7000), ST_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(amend.limits[i].used_units, 7000, "%d", i);
    cr_assert_eq(amend.limits[4].used_units, 0);
    hold(rig, &r, 2, limits, 5);
    cr_assert_eq(r.limits[0].used_units, 9000);
    (void)refuse(rig, 1, limits, 5);
    amend = rig_again(&amend);
    cr_assert_eq(rig_amend(rig, rig->q[0], &amend, CHANGE_RESET, 0), ST_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(amend.limits[i].used_units, 0, "%d", i);
    cr_assert_eq(amend.limits[4].used_units, 2000, "what is held stays held");
    quota_settle(rig->q[0], &r, 0);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(rig_used_of(rig, 1, limits[i]), 0, "the floor: %d", i);
}

CONTRACT(a_grant_where_there_is_no_window_gives_used_units_back)
{
    struct limit limits[] = {rate(1, 2000, HOUR_US, 4000), rolling(1, 4000, HOUR_US)};
    struct rig_moment first = rig_now(rig);
    struct reservation amend;

    take(rig, 4, limits, 2);
    rig_reservation_of(&amend, 1, 0, limits, 2);
    cr_assert_eq(rig_amend(rig, rig->q[0], &amend, CHANGE_GRANT, 3000), ST_OK);
    rig_expect_of_rate(rig, &amend.limits[0], 1000, &first);
    cr_assert_eq(amend.limits[1].used_units, 1000);
    amend = rig_again(&amend);
    cr_assert_eq(rig_amend(rig, rig->q[0], &amend, CHANGE_GRANT, -2000), ST_OK);
    rig_expect_of_rate(rig, &amend.limits[0], 3000, &first);
    cr_assert_eq(amend.limits[1].used_units, 3000);
    take(rig, 1, limits, 2);
    (void)refuse(rig, 1, limits, 2);
}

CONTRACT(an_inspection_changes_nothing)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 3000), rate(1, 2000, HOUR_US, 3000),
                             rolling(1, 3000, HOUR_US), rig_limit(1, LIMIT_IN_FLIGHT, 3000)};
    struct rig_moment first = rig_now(rig);
    struct reservation look, r;

    rig_reservation_of(&look, 1, 0, limits, 4);
    cr_assert_eq(rig_inspect(rig, rig->q[0], &look), ST_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(look.limits[i].used_units, 0);
    hold(rig, &r, 2, limits, 4);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(rig_inspect(rig, rig->q[1], &look), ST_OK);
    for (int i = 0; i < 4; i++)
        if (i != 1)
            cr_assert_eq(look.limits[i].used_units, 2000, "%d", i);
    rig_expect_of_rate(rig, &look.limits[1], 2000, &first);
    cr_assert_eq(look.limits[0].reset_us, limits[0].window.end_s * SECOND_US);
    quota_settle(rig->q[0], &r, 0);
    cr_assert_eq(rig_held(rig), 0);
}

/* --- a team --- */

static void of_team(struct reservation *r, int account, int64_t images)
{
    struct limit limits[] = {rig_limit(account, LIMIT_DAY, 5000),
                             rig_of_team(2, rig_limit(account, LIMIT_DAY, 6000)),
                             rig_of_team(2, rig_limit(account, LIMIT_IN_FLIGHT, 4000))};

    rig_reservation_of(r, account, images, limits, 3);
    cr_assert_eq(r->parts_len, 2);
}

static void expect_used(struct rig *rig, int64_t account_one, int64_t team_units, int64_t flights)
{
    struct reservation look;

    of_team(&look, 1, 0);
    rig_quiet(rig);
    cr_assert_eq(rig_inspect(rig, rig->q[0], &look), ST_OK);
    cr_assert_eq(look.limits[0].used_units, account_one);
    cr_assert_eq(look.limits[1].used_units, team_units);
    cr_assert_eq(look.limits[2].used_units, flights);
}

CONTRACT(account_and_team_both_hold)
{
    struct reservation one, two, more;

    of_team(&one, 1, 3);
    of_team(&two, 3, 1);
    of_team(&more, 3, 1);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &one), ST_OK);
    cr_assert_eq(one.limits[0].used_units, 3000);
    cr_assert_eq(one.limits[1].used_units, 3000);
    cr_assert_eq(rig_reserve(rig, rig->q[1], &two), ST_OK);
    cr_assert_eq(two.limits[0].used_units, 1000);
    cr_assert_eq(two.limits[1].used_units, 4000);
    cr_assert_eq(rig_reserve(rig, rig->q[1], &more), ST_LIMIT);
    cr_assert_eq(more.refused_by, 2, "the team's images in flight");
    cr_assert_eq(more.limits[0].used_units, 1000, "the account's part was given back");
    expect_used(rig, 3000, 4000, 4000);
    cr_assert_eq(rig_commit(rig, rig->q[0], &one, -1), ST_OK);
    quota_settle(rig->q[0], &one, 2);
    cr_assert_eq(rig_commit(rig, rig->q[1], &two, 1), ST_OK);
    expect_used(rig, 2000, 3000, 0);
    of_team(&more, 1, 4);
    cr_assert_eq(rig_reserve(rig, rig->q[1], &more), ST_LIMIT);
    cr_assert_eq(more.refused_by, 0);
    expect_used(rig, 2000, 3000, 0);
}

CONTRACT(both_parts_expire_and_are_charged_again)
{
    struct reservation dead, late;

    of_team(&dead, 1, 2);
    of_team(&late, 1, 2);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &dead), ST_OK);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &late), ST_OK);
    rig_expire(rig, &dead);
    rig_expire(rig, &late);
    expect_used(rig, 0, 0, 0);
    cr_assert_eq(rig_commit(rig, rig->q[0], &late, -1), ST_OK);
    expect_used(rig, 2000, 2000, 2000);
    quota_settle(rig->q[0], &late, 1);
    expect_used(rig, 1000, 1000, 0);
}

CONTRACT(a_cancelled_reserve_gives_both_parts_back)
{
    struct rig_wait wait;

    for (int turns = 0; turns < 4; turns++) {
        struct reservation *r = malloc(sizeof(*r));

        of_team(r, 1, 2);
        rig_wait_init(&wait);

        enum status st = quota_reserve(rig->q[0], r, &wait.op);

        for (int i = 0; i < turns && st == ST_PENDING && !wait.is_done; i++)
            loop_run_once(rig->loop, 1);
        rig_give_up(rig->q[0], r, &wait, st);
        free(r);
        expect_used(rig, 0, 0, 0);
    }
}

CONTRACT(leases_of_both_parts_are_renewed)
{
    struct reservation r;

    rig_stop(rig);
    rig->config.lease_ms = 200;
    rig_start(rig);
    of_team(&r, 1, 2);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);

    int64_t first_us = r.expires_us;

    RIG_UNTIL(rig, r.expires_us > first_us + 200000);
    expect_used(rig, 2000, 2000, 2000);
    quota_settle(rig->q[0], &r, 0);
    expect_used(rig, 0, 0, 0);
}

CONTRACT(a_team_alone)
{
    struct limit limit = rig_of_team(2, rig_limit(1, LIMIT_DAY, 2000));
    struct reservation r;

    hold(rig, &r, 2, &limit, 1);
    (void)refuse(rig, 1, &limit, 1);
    quota_settle(rig->q[0], &r, 0);
    rig_quiet(rig);
    hold(rig, &r, 2, &limit, 1);
    quota_settle(rig->q[0], &r, 1);
    cr_assert_eq(rig_used_of(rig, 1, limit), 1000);
}
