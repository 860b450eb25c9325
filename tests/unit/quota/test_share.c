/* SPDX-License-Identifier: Apache-2.0 */
/* test_share.c - shares on a store that does as it is told; a model in which workers crash, answers are lost and windows
 * end in any order. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "quota/share.h"
#include "quota/store.h"
#include "unit/core/random.h"
#include "unit/whole.h"

#define WORKERS  4
#define CLAIMS   64
#define WINDOWS  512
#define US_PER_S INT64_C(1000000)
/* 2026-11-22 00:00:00 UTC */
#define BASE_S INT64_C(1795305600)

/* --- the store -------------------------------------------------------------------------------------------------------- */

struct counter {
    int row;
    uint32_t ordinal;
    int64_t leased_units;
    int64_t delivered_units;
};

struct fake_claim {
    struct quota *q;
    struct quota_claim claim;
    struct quota_claim *asked;
    struct op *op; /* NULL: cancelled */
};

static struct fake {
    enum status answer; /* ST_PENDING: later, by fake_answer() */
    int claims;
    int pending_len;
    struct fake_claim pending[CLAIMS];
    int counters_len;
    struct counter counters[WINDOWS];
} fake;

static struct loop *loop;
static struct quota quotas[WORKERS];
static struct stats stats;
static struct shares shares[WORKERS];
static struct policy policy;
static const struct zone_offset utc = {.from_s = 0, .offset_s = 0};

static struct counter *counter_of(int row, uint32_t ordinal)
{
    for (int i = 0; i < fake.counters_len; i++)
        if (fake.counters[i].row == row && fake.counters[i].ordinal == ordinal)
            return &fake.counters[i];
    cr_assert_lt(fake.counters_len, WINDOWS);
    fake.counters[fake.counters_len] = (struct counter){.row = row, .ordinal = ordinal};
    return &fake.counters[fake.counters_len++];
}

static void apply(struct quota_claim *claim)
{
    struct counter *counter = counter_of(service_row(&claim->rule), claim->window.ordinal);

    claim->got_units = service_grant(claim->rule.units, counter->leased_units, claim->held_units,
                                     claim->need_units, claim->want_units);
    counter->leased_units += claim->got_units - claim->held_units;
    claim->leased_units = counter->leased_units;
    cr_assert_geq(counter->leased_units, 0);
}

static void on_cancel(struct op *op)
{
    for (int i = 0; i < fake.pending_len; i++)
        if (fake.pending[i].op == op)
            fake.pending[i].op = NULL;
}

static enum status claim(struct quota *q, struct quota_claim *asked, struct op *op)
{
    fake.claims++;
    if (fake.answer == ST_OK)
        apply(asked);
    if (fake.answer != ST_PENDING)
        return fake.answer;
    cr_assert_lt(fake.pending_len, CLAIMS);
    fake.pending[fake.pending_len++] = (struct fake_claim){q, *asked, asked, op};
    op->cancel = on_cancel;
    return ST_PENDING;
}

/* One that waits is done, or not; and is told so, or that the store was too slow. */
static void fake_answer(int which, bool is_done, enum status st)
{
    struct fake_claim it = fake.pending[which];

    fake.pending[which] = fake.pending[--fake.pending_len];
    if (is_done)
        apply(&it.claim);
    if (!it.op)
        return;
    if (st == ST_OK)
        *it.asked = it.claim;
    op_done(it.op, st);
}

static const struct quota_ops ops = {.name = "fake", .claim = claim};

/* --- the rig ---------------------------------------------------------------------------------------------------------- */

static void limit(enum service_period period, enum limit_measure measure, int64_t units)
{
    policy.service[policy.service_len++] =
        (struct service_rule){.period = period, .measure = measure, .units = units};
}

static void configure(void)
{
    for (int i = 0; i < WORKERS; i++)
        shares_configure(&shares[i], &policy);
}

static void per_minute(int64_t images)
{
    policy.service_len = 0;
    limit(SERVICE_MINUTE, MEASURE_IMAGES, images * UNITS_PER_IMAGE);
    configure();
}

static void begin(void)
{
    struct stats_shape shape = {.outcomes = 1, .backends = 1, .store_ops = 1};

    memset(&fake, 0, sizeof(fake));
    memset(&policy, 0, sizeof(policy));
    policy.zone = (struct zone){1, &utc};
    cr_assert_eq(loop_new(&loop), ST_OK);
    loop_run_once(loop, 0);
    cr_assert_eq(stats_init(&stats, &shape), ST_OK);
    for (int i = 0; i < WORKERS; i++) {
        quotas[i] = (struct quota){
            .ops = &ops,
            .loop = loop,
            .has_clock = true,
            .clock_offset_us = BASE_S * US_PER_S - loop_now_us(loop),
        };
        shares_init(&shares[i], &quotas[i], &stats);
    }
}

/* What is in hand goes back, so that what is leased is what was delivered. */
static void end(void)
{
    enum status answer = fake.answer;

    fake.answer = ST_OK;
    for (int i = 0; i < WORKERS; i++)
        shares_close(&shares[i]);
    for (int i = 0; i < fake.counters_len && answer != ST_UNAVAILABLE; i++)
        if (fake.counters[i].delivered_units >= 0 && fake.pending_len == 0)
            cr_assert_leq(fake.counters[i].delivered_units, fake.counters[i].leased_units);
    stats_fini(&stats);
    loop_free(&loop);
}

static int64_t leased(void)
{
    return fake.counters_len ? fake.counters[fake.counters_len - 1].leased_units / UNITS_PER_IMAGE
                             : 0;
}

/* The loop's timers fire. */
static void pass_us(int64_t us)
{
    clock_skip_us(us);
    loop_run_once(loop, 0);
    loop_run_once(loop, 0);
}

struct asker {
    struct share_hold hold;
    struct op op;
    bool is_done;
    enum status st;
};

static void on_done(struct op *op, enum status st)
{
    struct asker *a = container_of(op, struct asker, op);

    a->is_done = true;
    a->st = st;
}

static enum status ask(struct asker *a, int worker, int64_t images)
{
    *a = (struct asker){.op.done = on_done};
    share_init(&a->hold, images, 500);
    a->st = shares_take(&shares[worker], &a->hold, &a->op);
    cr_assert_eq(a->st == ST_PENDING, op_is_pending(&a->op));
    cr_assert_eq(a->st == ST_OK, a->hold.state == SHARE_TAKEN);
    return a->st;
}

/* --- one worker ------------------------------------------------------------------------------------------------------- */

WHOLE_TEST(share, without_a_limit_nothing_is_asked)
{
    struct asker a;

    configure();
    cr_assert(!shares_are_limited(&shares[0]));
    cr_assert_eq(ask(&a, 0, 10), ST_OK);
    cr_assert_eq(fake.claims, 0);
}

WHOLE_TEST(share, at_once)
{
    struct asker a;

    per_minute(3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(ask(&a, 0, 1), ST_OK);
    cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);
    cr_assert_eq(a.hold.refused_by, 0);
    cr_assert_eq(a.hold.reset_us, (BASE_S + 60) * US_PER_S);
    cr_assert_eq(leased(), 3);
}

WHOLE_TEST(share, later)
{
    struct asker a, b;

    per_minute(3);
    fake.answer = ST_PENDING;
    cr_assert_eq(ask(&a, 0, 1), ST_PENDING);
    cr_assert_eq(ask(&b, 0, 2), ST_PENDING);
    cr_assert_eq(fake.claims, 1);
    fake_answer(0, true, ST_OK);
    cr_assert(a.is_done);
    cr_assert_eq(a.st, ST_OK);
    cr_assert_eq(a.hold.state, SHARE_TAKEN);
    cr_assert(!b.is_done);
    while (!b.is_done)
        fake_answer(0, true, ST_OK);
    cr_assert_eq(b.st, ST_OK);
    cr_assert_leq(fake.claims, 3);
}

WHOLE_TEST(share, cancelled)
{
    struct asker a, b;

    per_minute(3);
    fake.answer = ST_PENDING;
    cr_assert_eq(ask(&a, 0, 1), ST_PENDING);
    cr_assert_eq(ask(&b, 0, 1), ST_PENDING);
    op_cancel(&a.op);
    cr_assert_eq(a.hold.state, SHARE_NONE);
    fake_answer(0, true, ST_OK);
    cr_assert(!a.is_done);
    cr_assert(b.is_done);
    /* What was leased for the one that left is there for the other. */
    cr_assert_eq(b.st, ST_OK);
}

WHOLE_TEST(share, timed_out)
{
    struct asker a, b;

    per_minute(3);
    fake.answer = ST_PENDING;
    cr_assert_eq(ask(&a, 0, 1), ST_PENDING);
    cr_assert_eq(ask(&b, 0, 1), ST_PENDING);
    fake_answer(0, true, ST_UNAVAILABLE);
    cr_assert_eq(a.st, ST_UNAVAILABLE);
    cr_assert_eq(b.st, ST_UNAVAILABLE);
    cr_assert_eq(a.hold.state, SHARE_NONE);
    cr_assert_eq(fake.claims, 1);
}

WHOLE_TEST(share, a_store_that_is_down_says_so_at_once)
{
    struct asker a;

    per_minute(3);
    fake.answer = ST_UNAVAILABLE;
    cr_assert_eq(ask(&a, 0, 1), ST_UNAVAILABLE);
    fake.answer = ST_OK;
    cr_assert_eq(ask(&a, 0, 1), ST_OK);
}

WHOLE_TEST(share, what_makes_no_image_is_there_for_the_next)
{
    struct asker a, b;

    per_minute(4);
    cr_assert_eq(ask(&a, 0, 4), ST_OK);
    cr_assert_eq(ask(&b, 0, 1), ST_LIMIT);
    shares_settle(&shares[0], &a.hold, 3);
    cr_assert_eq(a.hold.state, SHARE_SETTLED);
    shares_settle(&shares[0], &a.hold, 0);
    cr_assert_eq(ask(&b, 0, 1), ST_OK);
    cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);
}

WHOLE_TEST(share, of_an_ended_window_nothing_comes_back)
{
    struct asker a, b;

    per_minute(2);
    cr_assert_eq(ask(&a, 0, 2), ST_OK);
    pass_us(60 * US_PER_S);
    cr_assert_eq(ask(&b, 0, 2), ST_OK);
    shares_settle(&shares[0], &a.hold, 0);
    cr_assert_eq(ask(&b, 0, 1), ST_LIMIT);
}

WHOLE_TEST(share, who_waits_as_the_window_ends_waits_on_in_the_next)
{
    struct asker a, b;

    per_minute(2);
    fake.answer = ST_PENDING;
    cr_assert_eq(ask(&a, 0, 2), ST_PENDING);
    pass_us(60 * US_PER_S);
    cr_assert_eq(ask(&b, 0, 1), ST_PENDING);
    cr_assert_eq(fake.pending_len, 2);
    cr_assert_null(fake.pending[0].op);
    fake_answer(1, true, ST_OK);
    cr_assert_eq(a.st, ST_OK);
    fake_answer(0, true, ST_OK); /* the old one, or a new one for b */
    while (fake.pending_len)
        fake_answer(0, true, ST_OK);
    cr_assert_eq(b.st, ST_LIMIT);
    cr_assert_eq(a.hold.holders[0], shares[0].rows[0].holder);
}

WHOLE_TEST(share, more_than_the_limit_is_hopeless)
{
    struct asker a;

    per_minute(2);
    cr_assert_eq(ask(&a, 0, 3), ST_LIMIT);
    cr_assert_eq(a.hold.reset_us, INT64_MAX);
    cr_assert_eq(fake.claims, 0);
    per_minute(0);
    cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);
}

WHOLE_TEST(share, a_flood_costs_the_store_nothing)
{
    struct asker a;

    per_minute(5);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(ask(&a, 0, 1), ST_OK);
    cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);

    int claims = fake.claims;

    for (int i = 0; i < 10000; i++)
        cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);
    cr_assert_eq(fake.claims, claims);
    share_init(&a.hold, 1, 0);
    cr_assert(shares_would_refuse(&shares[0], &a.hold));
    cr_assert_eq(a.hold.reset_us, (BASE_S + 60) * US_PER_S);
    /* Now and then one asks: others may have handed something back. */
    pass_us(600000);
    cr_assert(!shares_would_refuse(&shares[0], &a.hold));
    cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);
    cr_assert_eq(fake.claims, claims + 1);
}

WHOLE_TEST(share, ten_thousand_images_a_second_are_few_claims)
{
    struct asker a;

    per_minute(1000000);
    for (int ms = 0; ms < 3000; ms++) {
        for (int i = 0; i < 10; i++) {
            cr_assert_eq(ask(&a, 0, 1), ST_OK);
            shares_settle(&shares[0], &a.hold, 1);
        }
        if (ms == 1000)
            fake.claims = 0;
        pass_us(1000);
    }
    cr_assert_leq(fake.claims, 5, "%d claims in two seconds", fake.claims);
    cr_assert_leq(leased(), 50000);
}

WHOLE_TEST(share, an_idle_worker_hands_back)
{
    struct asker a;

    per_minute(1000);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(ask(&a, 0, 1), ST_OK);
    cr_assert_gt(leased(), 100);
    for (int i = 0; i < 4; i++)
        pass_us(US_PER_S);
    cr_assert_eq(leased(), 100);
}

WHOLE_TEST(share, what_one_worker_hands_back_another_has)
{
    struct asker a, b;

    per_minute(2);
    cr_assert_eq(ask(&a, 0, 2), ST_OK);
    cr_assert_eq(ask(&b, 1, 1), ST_LIMIT);
    shares_settle(&shares[0], &a.hold, 0);
    for (int i = 0; i < 3; i++)
        pass_us(US_PER_S);
    cr_assert_eq(ask(&b, 1, 2), ST_OK);
}

WHOLE_TEST(share, a_changed_limit_counts_at_the_next_lease)
{
    struct asker a;

    per_minute(2);
    cr_assert_eq(ask(&a, 0, 2), ST_OK);
    cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);
    per_minute(4);
    cr_assert_eq(ask(&a, 0, 2), ST_OK);
    per_minute(3);
    cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);
    policy.service_len = 0;
    configure();
    cr_assert_eq(ask(&a, 0, 1), ST_OK);
}

WHOLE_TEST(share, of_a_limit_that_is_gone_all_goes_back)
{
    struct asker a;

    per_minute(100);
    cr_assert_eq(ask(&a, 0, 10), ST_OK);
    policy.service_len = 0;
    configure();
    shares_settle(&shares[0], &a.hold, 1);
    for (int i = 0; i < 4; i++)
        pass_us(US_PER_S);
    cr_assert_eq(leased(), 1);
}

/* --- several limits --------------------------------------------------------------------------------------------------- */

WHOLE_TEST(share, several_limits_all_hold)
{
    struct asker a;

    limit(SERVICE_HOUR, MEASURE_IMAGES, 3 * UNITS_PER_IMAGE);
    limit(SERVICE_MINUTE, MEASURE_IMAGES, 2 * UNITS_PER_IMAGE);
    limit(SERVICE_DAY, MEASURE_CREDITS, 100 * UNITS_PER_IMAGE); /* an image is half a credit */
    configure();
    cr_assert_eq(ask(&a, 0, 2), ST_OK);
    cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);
    cr_assert_str_eq(service_row_name(a.hold.refused_by), "images_per_minute");
    pass_us(60 * US_PER_S);
    /* The hour refuses, and nothing is taken of the minute. */
    cr_assert_eq(ask(&a, 0, 2), ST_LIMIT);
    cr_assert_str_eq(service_row_name(a.hold.refused_by), "images_per_hour");
    cr_assert_eq(a.hold.reset_us, (BASE_S + 3600) * US_PER_S);
    cr_assert_eq(ask(&a, 0, 1), ST_OK);
    /* Now both would; the longer wait is told. */
    cr_assert_eq(ask(&a, 0, 2), ST_LIMIT);
    cr_assert_str_eq(service_row_name(a.hold.refused_by), "images_per_hour");
}

WHOLE_TEST(share, credits_are_counted_by_price)
{
    struct asker a;

    limit(SERVICE_HOUR, MEASURE_CREDITS, 1500);
    configure();
    cr_assert_eq(ask(&a, 0, 2), ST_OK);
    cr_assert_eq(ask(&a, 0, 2), ST_LIMIT);
    cr_assert_eq(ask(&a, 0, 1), ST_OK);
    cr_assert_eq(ask(&a, 0, 1), ST_LIMIT);
}

WHOLE_TEST(share, a_limit_on_trial_refuses_nobody)
{
    struct asker a;

    per_minute(1);
    policy.service[0].is_dry_run = true;
    configure();
    cr_assert_eq(ask(&a, 0, 1), ST_OK);
    cr_assert_eq(a.hold.over, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(ask(&a, 0, 1), ST_OK);
        cr_assert_eq(a.hold.over, 1);
        shares_settle(&shares[0], &a.hold, 0); /* nothing was taken: nothing comes back */
    }
    pass_us(60 * US_PER_S);
    fake.answer = ST_UNAVAILABLE;
    cr_assert_eq(ask(&a, 0, 1), ST_OK);
    cr_assert_eq(a.hold.over, 0);
    fake.answer = ST_PENDING;
    cr_assert_eq(ask(&a, 0, 1), ST_PENDING);
    fake_answer(0, false, ST_UNAVAILABLE);
    cr_assert_eq(a.st, ST_OK);
    fake.answer = ST_OK;
}

WHOLE_TEST(share, is_seen)
{
    struct share_view view;
    struct asker a;

    per_minute(10);
    cr_assert(!shares_look(&shares[0], 1, &view));
    cr_assert_eq(ask(&a, 0, 4), ST_OK);
    shares_settle(&shares[0], &a.hold, 1);
    cr_assert(shares_look(&shares[0], 0, &view));
    cr_assert_eq(view.limit_units, 10000);
    cr_assert_eq(view.held_units, 4000);
    cr_assert_eq(view.in_hand_units, 3000);
    /* An idle one does not show an old window for ever. */
    for (int i = 0; i < 70; i++)
        pass_us(US_PER_S);
    cr_assert(shares_look(&shares[0], 0, &view));
    cr_assert_eq(view.held_units, 0);
}

/* --- the model -------------------------------------------------------------------------------------------------------- */

#define ASKERS 200

struct taken {
    struct asker asker;
    bool is_used;
    int worker;
    uint32_t ordinals[SERVICE_ROWS];
};

static struct taken askers[ASKERS];

static void note_windows(struct taken *t)
{
    for (int i = 0; i < SERVICE_ROWS; i++)
        t->ordinals[i] = shares[t->worker].rows[i].window.ordinal;
}

static void on_taken(struct op *op, enum status st)
{
    on_done(op, st);
    if (st == ST_OK)
        note_windows(container_of(op, struct taken, asker.op));
}

/* Delivered, in the windows that it was taken from. */
static void deliver(const struct taken *t, int64_t images)
{
    for (int i = 0; i < SERVICE_ROWS; i++) {
        if (!t->asker.hold.holders[i])
            continue;

        struct counter *counter = counter_of(i, t->ordinals[i]);

        counter->delivered_units +=
            images * (service_row_measure(i) == MEASURE_IMAGES ? UNITS_PER_IMAGE : 500);
        cr_assert_leq(counter->delivered_units, counter->leased_units);
    }
}

static int64_t below(uint64_t *random, int64_t end)
{
    return random_between(random, 0, end - 1);
}

static void model_ask(uint64_t *random, struct taken *t)
{
    *t = (struct taken){.asker.op.done = on_taken};
    t->worker = (int)below(random, WORKERS);
    share_init(&t->asker.hold, 1 + below(random, 4), 500);
    t->asker.st = shares_take(&shares[t->worker], &t->asker.hold, &t->asker.op);
    if (t->asker.st == ST_OK)
        note_windows(t);
    t->is_used = t->asker.st == ST_OK || t->asker.st == ST_PENDING;
}

static void model_end(uint64_t *random, struct taken *t)
{
    int64_t images = below(random, t->asker.hold.images + 1);

    t->is_used = false;
    if (t->asker.hold.state == SHARE_TAKEN)
        deliver(t, images);
    op_cancel(&t->asker.op);
    shares_settle(&shares[t->worker], &t->asker.hold, images);
}

/* All that it had taken may have been delivered; what it had in hand is lost. */
static void model_crash(int worker)
{
    for (int i = 0; i < ASKERS; i++) {
        struct taken *t = &askers[i];

        if (!t->is_used || t->worker != worker)
            continue;
        t->is_used = false;
        if (t->asker.hold.state == SHARE_TAKEN)
            deliver(t, t->asker.hold.images);
        op_cancel(&t->asker.op);
    }
    for (int i = 0; i < SERVICE_ROWS; i++)
        op_cancel(&shares[worker].rows[i].op);
    timer_clear(&shares[worker].trim);
    shares_init(&shares[worker], &quotas[worker], &stats);
    shares_configure(&shares[worker], &policy);
}

static void model_answer(uint64_t *random, bool has_faults)
{
    int which = (int)below(random, fake.pending_len);
    bool is_lost = has_faults && below(random, 10) == 0;
    bool is_done = !is_lost || below(random, 2);

    fake_answer(which, is_done, is_lost ? ST_UNAVAILABLE : ST_OK);
}

static void model_step(uint64_t *random, bool has_faults)
{
    struct taken *t = &askers[below(random, ASKERS)];
    int64_t dice = below(random, 1000);

    fake.answer = below(random, 3) ? ST_PENDING : ST_OK;
    if (dice < 4 && has_faults)
        model_crash((int)below(random, WORKERS));
    else if (dice < 200 && fake.pending_len)
        model_answer(random, has_faults);
    else if (dice < 230)
        pass_us(below(random, 2000000));
    else if (!t->is_used)
        model_ask(random, t);
    else
        model_end(random, t);
    if (fake.pending_len > CLAIMS / 2)
        model_answer(random, has_faults);
}

static void model_quiet(uint64_t *random)
{
    for (int i = 0; i < ASKERS; i++)
        if (askers[i].is_used)
            model_end(random, &askers[i]);
    for (int rounds = 0; rounds < 4; rounds++) {
        while (fake.pending_len)
            fake_answer(0, true, ST_OK);
        fake.answer = ST_OK;
        pass_us(US_PER_S);
    }
}

static void model(uint64_t seed, bool has_faults)
{
    uint64_t random = seed;

    memset(askers, 0, sizeof(askers));
    limit(SERVICE_MINUTE, MEASURE_IMAGES, 40 * UNITS_PER_IMAGE);
    limit(SERVICE_HOUR, MEASURE_IMAGES, 400 * UNITS_PER_IMAGE);
    limit(SERVICE_MINUTE, MEASURE_CREDITS, 15 * UNITS_PER_IMAGE);
    configure();
    for (int step = 0; step < 20000; step++)
        model_step(&random, has_faults);
    model_quiet(&random);

    int64_t most = 0;

    for (int i = 0; i < fake.counters_len; i++) {
        const struct counter *c = &fake.counters[i];

        cr_assert_leq(c->leased_units, c->row == 0 ? 40000 : c->row == 1 ? 400000 : 15000);
        cr_assert_leq(c->delivered_units, c->leased_units);
        most = c->row == 3 ? MAX(most, c->delivered_units) : most;
        /* Without faults what is leased in the present window is what was delivered. */
        if (!has_faults && c->ordinal == shares[0].rows[c->row].window.ordinal)
            cr_assert_eq(c->delivered_units, c->leased_units);
    }
    /* And the limits were met, not only kept. */
    cr_assert_geq(most, 14000);
}

WHOLE_TEST(share, model_without_faults)
{
    model(7, false);
}

WHOLE_TEST(share, model_with_crashes_and_lost_answers)
{
    model(11, true);
}
