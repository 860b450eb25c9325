/* SPDX-License-Identifier: Apache-2.0 */
/* test_share.c - a worker's shares: each wait at once, later, cancelled and timed out; several limits, trials, windows. */
#include "unit/quota/share_rig.h"
#include "unit/whole.h"

static void begin(void)
{
    share_rig_begin();
}

static void end(void)
{
    share_rig_end();
}

/* --- one worker ------------------------------------------------------------------------------------------------------- */

WHOLE_TEST(share, without_a_limit_nothing_is_asked)
{
    struct asker a;

    share_rig_configure();
    cr_assert(!shares_are_limited(&rig.shares[0]));
    cr_assert_eq(asker_ask(&a, 0, 10), ST_OK);
    cr_assert_eq(rig.claims, 0);
}

WHOLE_TEST(share, at_once)
{
    struct asker a;

    share_rig_per_minute(3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);
    cr_assert_eq(a.hold.refused_by, 0);
    cr_assert_eq(a.hold.reset_us, (BASE_S + 60) * US_PER_S);
    cr_assert_eq(share_rig_leased(), 3);
}

WHOLE_TEST(share, later)
{
    struct asker a, b;

    share_rig_per_minute(3);
    rig.answer = ST_PENDING;
    cr_assert_eq(asker_ask(&a, 0, 1), ST_PENDING);
    cr_assert_eq(asker_ask(&b, 0, 2), ST_PENDING);
    cr_assert_eq(rig.claims, 1);
    share_rig_answer(0, true, ST_OK);
    cr_assert(a.is_done);
    cr_assert_eq(a.st, ST_OK);
    cr_assert_eq(a.hold.state, SHARE_TAKEN);
    cr_assert(!b.is_done);
    while (!b.is_done)
        share_rig_answer(0, true, ST_OK);
    cr_assert_eq(b.st, ST_OK);
    cr_assert_leq(rig.claims, 3);
}

WHOLE_TEST(share, cancelled)
{
    struct asker a, b;

    share_rig_per_minute(3);
    rig.answer = ST_PENDING;
    cr_assert_eq(asker_ask(&a, 0, 1), ST_PENDING);
    cr_assert_eq(asker_ask(&b, 0, 1), ST_PENDING);
    op_cancel(&a.op);
    cr_assert_eq(a.hold.state, SHARE_NONE);
    share_rig_answer(0, true, ST_OK);
    cr_assert(!a.is_done);
    cr_assert(b.is_done);
    /* What was leased for the one that left is there for the other. */
    cr_assert_eq(b.st, ST_OK);
}

WHOLE_TEST(share, timed_out)
{
    struct asker a, b;

    share_rig_per_minute(3);
    rig.answer = ST_PENDING;
    cr_assert_eq(asker_ask(&a, 0, 1), ST_PENDING);
    cr_assert_eq(asker_ask(&b, 0, 1), ST_PENDING);
    share_rig_answer(0, true, ST_UNAVAILABLE);
    cr_assert_eq(a.st, ST_UNAVAILABLE);
    cr_assert_eq(b.st, ST_UNAVAILABLE);
    cr_assert_eq(a.hold.state, SHARE_NONE);
    cr_assert_eq(rig.claims, 1);
}

WHOLE_TEST(share, a_store_that_is_down_says_so_at_once)
{
    struct asker a;

    share_rig_per_minute(3);
    rig.answer = ST_UNAVAILABLE;
    cr_assert_eq(asker_ask(&a, 0, 1), ST_UNAVAILABLE);
    rig.answer = ST_OK;
    cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
}

WHOLE_TEST(share, what_makes_no_image_is_there_for_the_next)
{
    struct asker a, b;

    share_rig_per_minute(4);
    cr_assert_eq(asker_ask(&a, 0, 4), ST_OK);
    cr_assert_eq(asker_ask(&b, 0, 1), ST_LIMIT);
    shares_settle(&rig.shares[0], &a.hold, 3);
    cr_assert_eq(a.hold.state, SHARE_SETTLED);
    shares_settle(&rig.shares[0], &a.hold, 0);
    cr_assert_eq(asker_ask(&b, 0, 1), ST_OK);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);
}

WHOLE_TEST(share, of_an_ended_window_nothing_comes_back)
{
    struct asker a, b;

    share_rig_per_minute(2);
    cr_assert_eq(asker_ask(&a, 0, 2), ST_OK);
    share_rig_pass_us(60 * US_PER_S);
    cr_assert_eq(asker_ask(&b, 0, 2), ST_OK);
    shares_settle(&rig.shares[0], &a.hold, 0);
    cr_assert_eq(asker_ask(&b, 0, 1), ST_LIMIT);
}

WHOLE_TEST(share, who_waits_as_the_window_ends_waits_on_in_the_next)
{
    struct asker a, b;

    share_rig_per_minute(2);
    rig.answer = ST_PENDING;
    cr_assert_eq(asker_ask(&a, 0, 2), ST_PENDING);
    share_rig_pass_us(60 * US_PER_S);
    cr_assert_eq(asker_ask(&b, 0, 1), ST_PENDING);
    cr_assert_eq(rig.pending_len, 2);
    cr_assert_null(rig.pending[0].op);
    share_rig_answer(1, true, ST_OK);
    cr_assert_eq(a.st, ST_OK);
    share_rig_answer(0, true, ST_OK); /* the old one, or a new one for b */
    while (rig.pending_len)
        share_rig_answer(0, true, ST_OK);
    cr_assert_eq(b.st, ST_LIMIT);
    cr_assert_eq(a.hold.holders[0], rig.shares[0].rows[0].holder);
}

WHOLE_TEST(share, more_than_the_limit_is_hopeless)
{
    struct asker a;

    share_rig_per_minute(2);
    cr_assert_eq(asker_ask(&a, 0, 3), ST_LIMIT);
    cr_assert_eq(a.hold.reset_us, INT64_MAX);
    cr_assert_eq(rig.claims, 0);
    share_rig_per_minute(0);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);
}

WHOLE_TEST(share, a_flood_costs_the_store_nothing)
{
    struct asker a;

    share_rig_per_minute(5);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);

    int claims = rig.claims;

    for (int i = 0; i < 10000; i++)
        cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);
    cr_assert_eq(rig.claims, claims);
    share_init(&a.hold, 1, 0);
    cr_assert(shares_would_refuse(&rig.shares[0], &a.hold));
    cr_assert_eq(a.hold.reset_us, (BASE_S + 60) * US_PER_S);
    /* Now and then one asks: others may have handed something back. */
    share_rig_pass_us(600000);
    cr_assert(!shares_would_refuse(&rig.shares[0], &a.hold));
    cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);
    cr_assert_eq(rig.claims, claims + 1);
}

WHOLE_TEST(share, ten_thousand_images_a_second_are_few_claims)
{
    struct asker a;

    share_rig_per_minute(1000000);
    for (int ms = 0; ms < 3000; ms++) {
        for (int i = 0; i < 10; i++) {
            cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
            shares_settle(&rig.shares[0], &a.hold, 1);
        }
        if (ms == 1000)
            rig.claims = 0;
        share_rig_pass_us(1000);
    }
    cr_assert_leq(rig.claims, 5, "%d claims in two seconds", rig.claims);
    cr_assert_leq(share_rig_leased(), 50000);
}

WHOLE_TEST(share, an_idle_worker_hands_back)
{
    struct asker a;

    share_rig_per_minute(1000);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
    cr_assert_gt(share_rig_leased(), 100);
    for (int i = 0; i < 4; i++)
        share_rig_pass_us(US_PER_S);
    cr_assert_eq(share_rig_leased(), 100);
}

WHOLE_TEST(share, what_one_worker_hands_back_another_has)
{
    struct asker a, b;

    share_rig_per_minute(2);
    cr_assert_eq(asker_ask(&a, 0, 2), ST_OK);
    cr_assert_eq(asker_ask(&b, 1, 1), ST_LIMIT);
    shares_settle(&rig.shares[0], &a.hold, 0);
    for (int i = 0; i < 3; i++)
        share_rig_pass_us(US_PER_S);
    cr_assert_eq(asker_ask(&b, 1, 2), ST_OK);
}

WHOLE_TEST(share, a_changed_limit_counts_at_the_next_lease)
{
    struct asker a;

    share_rig_per_minute(2);
    cr_assert_eq(asker_ask(&a, 0, 2), ST_OK);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);
    share_rig_per_minute(4);
    cr_assert_eq(asker_ask(&a, 0, 2), ST_OK);
    share_rig_per_minute(3);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);
    rig.policy.service_len = 0;
    share_rig_configure();
    cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
}

WHOLE_TEST(share, of_a_limit_that_is_gone_all_goes_back)
{
    struct asker a;

    share_rig_per_minute(100);
    cr_assert_eq(asker_ask(&a, 0, 10), ST_OK);
    rig.policy.service_len = 0;
    share_rig_configure();
    shares_settle(&rig.shares[0], &a.hold, 1);
    for (int i = 0; i < 4; i++)
        share_rig_pass_us(US_PER_S);
    cr_assert_eq(share_rig_leased(), 1);
}

/* --- several limits --------------------------------------------------------------------------------------------------- */

WHOLE_TEST(share, several_limits_all_hold)
{
    struct asker a;

    share_rig_limit(SERVICE_HOUR, MEASURE_IMAGES, 3 * UNITS_PER_IMAGE);
    share_rig_limit(SERVICE_MINUTE, MEASURE_IMAGES, 2 * UNITS_PER_IMAGE);
    share_rig_limit(SERVICE_DAY, MEASURE_CREDITS,
                    100 * UNITS_PER_IMAGE); /* an image is half a credit */
    share_rig_configure();
    cr_assert_eq(asker_ask(&a, 0, 2), ST_OK);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);
    cr_assert_str_eq(service_row_name(a.hold.refused_by), "images_per_minute");
    share_rig_pass_us(60 * US_PER_S);
    /* The hour refuses, and nothing is taken of the minute. */
    cr_assert_eq(asker_ask(&a, 0, 2), ST_LIMIT);
    cr_assert_str_eq(service_row_name(a.hold.refused_by), "images_per_hour");
    cr_assert_eq(a.hold.reset_us, (BASE_S + 3600) * US_PER_S);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
    /* Now both would; the longer wait is told. */
    cr_assert_eq(asker_ask(&a, 0, 2), ST_LIMIT);
    cr_assert_str_eq(service_row_name(a.hold.refused_by), "images_per_hour");
}

WHOLE_TEST(share, credits_are_counted_by_price)
{
    struct asker a;

    share_rig_limit(SERVICE_HOUR, MEASURE_CREDITS, 1500);
    share_rig_configure();
    cr_assert_eq(asker_ask(&a, 0, 2), ST_OK);
    cr_assert_eq(asker_ask(&a, 0, 2), ST_LIMIT);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
    cr_assert_eq(asker_ask(&a, 0, 1), ST_LIMIT);
}

WHOLE_TEST(share, a_limit_on_trial_refuses_nobody)
{
    struct asker a;

    share_rig_per_minute(1);
    rig.policy.service[0].is_dry_run = true;
    share_rig_configure();
    cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
    cr_assert_eq(a.hold.over, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
        cr_assert_eq(a.hold.over, 1);
        shares_settle(&rig.shares[0], &a.hold, 0); /* nothing was taken: nothing comes back */
    }
    share_rig_pass_us(60 * US_PER_S);
    rig.answer = ST_UNAVAILABLE;
    cr_assert_eq(asker_ask(&a, 0, 1), ST_OK);
    cr_assert_eq(a.hold.over, 0);
    rig.answer = ST_PENDING;
    cr_assert_eq(asker_ask(&a, 0, 1), ST_PENDING);
    share_rig_answer(0, false, ST_UNAVAILABLE);
    cr_assert_eq(a.st, ST_OK);
    rig.answer = ST_OK;
}

WHOLE_TEST(share, is_seen)
{
    struct share_view view;
    struct asker a;

    share_rig_per_minute(10);
    cr_assert(!shares_look(&rig.shares[0], 1, &view));
    cr_assert_eq(asker_ask(&a, 0, 4), ST_OK);
    shares_settle(&rig.shares[0], &a.hold, 1);
    cr_assert(shares_look(&rig.shares[0], 0, &view));
    cr_assert_eq(view.limit_units, 10000);
    cr_assert_eq(view.held_units, 4000);
    cr_assert_eq(view.in_hand_units, 3000);
    /* An idle one does not show an old window for ever. */
    for (int i = 0; i < 70; i++)
        share_rig_pass_us(US_PER_S);
    cr_assert(shares_look(&rig.shares[0], 0, &view));
    cr_assert_eq(view.held_units, 0);
}
