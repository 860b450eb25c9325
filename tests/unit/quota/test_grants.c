/* SPDX-License-Identifier: Apache-2.0 */
/* test_grants.c - grants until a date: more in each window that is first charged before then. */
#include <criterion/criterion.h>
#include <time.h>

#include "base/clock.h"
#include "unit/quota/rig.h"

static int64_t in_days(int days)
{
    return (int64_t)time(NULL) + (int64_t)days * 86400;
}

/* So much of each of the limits; those of a day from today where there is one only. */
static void give(struct rig *rig, struct reservation *r, int64_t images, int64_t until_s)
{
    const struct quota_change change = {CHANGE_GRANT, images * UNITS_PER_IMAGE, until_s};

    cr_assert_eq(rig_change(rig, rig->q[0], r, &change), ST_OK);
    rig_quiet(rig);
}

static void give_daily(struct rig *rig, int64_t images, int64_t until_s)
{
    struct reservation r;

    rig_reservation(&r, 1, 0, 1, 3);
    give(rig, &r, images, until_s);
}

static int64_t granted(struct rig *rig, int day)
{
    struct reservation r;

    rig_reservation(&r, 1, day, 1, 3);
    cr_assert_eq(rig_inspect(rig, rig->q[1], &r), ST_OK);
    return r.limits[0].granted_units / UNITS_PER_IMAGE;
}

static enum status spend(struct rig *rig, int day, int64_t images)
{
    struct reservation r;
    enum status st;

    rig_reservation(&r, 1, day, images, 3);
    st = rig_reserve(rig, rig->q[1], &r);
    if (st == ST_OK)
        quota_settle(rig->q[1], &r, images);
    return st;
}

CONTRACT(every_window_before_the_date_has_more)
{
    give_daily(rig, 2, in_days(3));
    for (int day = 0; day < 3; day++) {
        cr_assert_eq(granted(rig, day), 2);
        cr_assert_eq(spend(rig, day, 4), ST_OK);
        cr_assert_eq(spend(rig, day, 2), ST_LIMIT);
        cr_assert_eq(spend(rig, day, 1), ST_OK);
        cr_assert_eq(spend(rig, day, 1), ST_LIMIT);
        cr_assert_eq(granted(rig, day), 2);
    }
    cr_assert_eq(rig_used(rig, 1, 1), 5);
}

CONTRACT(a_grant_whose_date_is_over_is_none)
{
    give_daily(rig, 2, in_days(-1));
    cr_assert_eq(granted(rig, 0), 2, "the present window has it all the same");
    cr_assert_eq(granted(rig, 1), 0);
    cr_assert_eq(spend(rig, 1, 4), ST_LIMIT);
}

CONTRACT(the_next_grant_until_a_date_takes_its_place)
{
    give_daily(rig, 2, in_days(3));
    cr_assert_eq(spend(rig, 1, 1), ST_OK);
    give_daily(rig, 5, in_days(9));
    cr_assert_eq(granted(rig, 0), 5);
    cr_assert_eq(granted(rig, 1), 2, "this window had begun");
    cr_assert_eq(granted(rig, 2), 5);
    give_daily(rig, 0, in_days(9));
    cr_assert_eq(granted(rig, 0), 0);
    cr_assert_eq(granted(rig, 2), 0);
}

CONTRACT(a_grant_for_this_window_comes_on_top)
{
    struct reservation r;

    give_daily(rig, 2, in_days(3));
    rig_reservation(&r, 1, 0, 1, 3);
    cr_assert_eq(rig_amend(rig, rig->q[0], &r, CHANGE_GRANT, 1000), ST_OK);
    rig_quiet(rig);
    cr_assert_eq(granted(rig, 0), 3);
    cr_assert_eq(granted(rig, 1), 2);
    rig_reservation(&r, 1, 0, 1, 3);
    cr_assert_eq(rig_amend(rig, rig->q[0], &r, CHANGE_SET_USED, 3000), ST_OK);
    rig_quiet(rig);
    cr_assert_eq(granted(rig, 0), 3);
    cr_assert_eq(spend(rig, 0, 3), ST_OK);
    cr_assert_eq(spend(rig, 0, 1), ST_LIMIT);
}

CONTRACT(a_reset_ends_it)
{
    struct reservation r;

    give_daily(rig, 2, in_days(3));
    rig_reservation(&r, 1, 0, 1, 3);
    cr_assert_eq(rig_amend(rig, rig->q[0], &r, CHANGE_RESET, 0), ST_OK);
    rig_quiet(rig);
    cr_assert_eq(granted(rig, 0), 0);
    cr_assert_eq(granted(rig, 1), 0);
}

CONTRACT(one_id_is_one_grant_until_a_date)
{
    struct reservation r, again;

    rig_reservation(&r, 1, 0, 1, 3);
    again = rig_same(&r);
    give(rig, &r, 2, in_days(3));
    give(rig, &again, 2, in_days(3));
    cr_assert_eq(granted(rig, 0), 2);
}

/* Each limit keeps its own: images and credits, among others that have no windows. */
CONTRACT(each_limit_has_its_own)
{
    struct limit limits[3] = {
        rig_limit(1, LIMIT_DAY, 3000),
        rig_credits(1, LIMIT_DAY, 4000, 1500),
        rig_limit(1, LIMIT_IN_FLIGHT, 9000),
    };
    struct reservation r;

    rig_reservation_of(&r, 1, 1, &limits[1], 1);
    give(rig, &r, 7, in_days(3));
    for (int i = 0; i < 2; i++) {
        limits[i].window.ordinal++;
        limits[i].window.start_s += 86400;
        limits[i].window.end_s += 86400;
    }
    rig_reservation_of(&r, 1, 1, limits, 3);
    cr_assert_eq(rig_inspect(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(r.limits[0].granted_units, 0);
    cr_assert_eq(r.limits[1].granted_units, 7000);
    rig_reservation_of(&r, 1, 3, limits, 3);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(r.limits[1].used_units, 4500);
    quota_settle(rig->q[0], &r, 3);
}

/* What is given back after the grant ended stops at zero, and keeps the grant that its window had. */
CONTRACT(what_comes_back_leaves_the_grant)
{
    struct reservation r;

    give_daily(rig, 2, in_days(3));
    rig_reservation(&r, 1, 1, 4, 3);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    quota_settle(rig->q[0], &r, 0);
    rig_quiet(rig);
    cr_assert_eq(granted(rig, 1), 2);
    cr_assert_eq(rig_used(rig, 1, 1), 0);
    cr_assert_eq(spend(rig, 1, 5), ST_OK);
}
