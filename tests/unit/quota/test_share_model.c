/* SPDX-License-Identifier: Apache-2.0 */
/* test_share_model.c - shares of several workers that crash, of answers that are lost, and of windows that end, in any
 * order: never is more delivered than the limit. */
#include <string.h>

#include "unit/core/random.h"
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
        t->ordinals[i] = rig.shares[t->worker].rows[i].window.ordinal;
}

static void on_taken(struct op *op, enum status st)
{
    asker_done(op, st);
    if (st == ST_OK)
        note_windows(container_of(op, struct taken, asker.op));
}

/* Delivered, in the windows that it was taken from. */
static void deliver(const struct taken *t, int64_t images)
{
    for (int i = 0; i < SERVICE_ROWS; i++) {
        if (!t->asker.hold.holders[i])
            continue;

        struct share_counter *counter = share_rig_counter(i, t->ordinals[i]);

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
    t->worker = (int)below(random, SHARE_WORKERS);
    share_init(&t->asker.hold, 1 + below(random, 4), 500);
    t->asker.st = shares_take(&rig.shares[t->worker], &t->asker.hold, &t->asker.op);
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
    shares_settle(&rig.shares[t->worker], &t->asker.hold, images);
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
        op_cancel(&rig.shares[worker].rows[i].op);
    timer_clear(&rig.shares[worker].trim);
    shares_init(&rig.shares[worker], &rig.quotas[worker], &rig.stats);
    shares_configure(&rig.shares[worker], &rig.policy);
}

static void model_answer(uint64_t *random, bool has_faults)
{
    int which = (int)below(random, rig.pending_len);
    bool is_lost = has_faults && below(random, 10) == 0;
    bool is_done = !is_lost || below(random, 2);

    share_rig_answer(which, is_done, is_lost ? ST_UNAVAILABLE : ST_OK);
}

static void model_step(uint64_t *random, bool has_faults)
{
    struct taken *t = &askers[below(random, ASKERS)];
    int64_t dice = below(random, 1000);

    rig.answer = below(random, 3) ? ST_PENDING : ST_OK;
    if (dice < 4 && has_faults)
        model_crash((int)below(random, SHARE_WORKERS));
    else if (dice < 200 && rig.pending_len)
        model_answer(random, has_faults);
    else if (dice < 230)
        share_rig_pass_us(below(random, 2000000));
    else if (!t->is_used)
        model_ask(random, t);
    else
        model_end(random, t);
    if (rig.pending_len > SHARE_CLAIMS / 2)
        model_answer(random, has_faults);
}

static void model_quiet(uint64_t *random)
{
    for (int i = 0; i < ASKERS; i++)
        if (askers[i].is_used)
            model_end(random, &askers[i]);
    for (int rounds = 0; rounds < 4; rounds++) {
        while (rig.pending_len)
            share_rig_answer(0, true, ST_OK);
        rig.answer = ST_OK;
        share_rig_pass_us(US_PER_S);
    }
}

static void model(uint64_t seed, bool has_faults)
{
    uint64_t random = seed;

    memset(askers, 0, sizeof(askers));
    share_rig_limit(SERVICE_MINUTE, MEASURE_IMAGES, 40 * UNITS_PER_IMAGE);
    share_rig_limit(SERVICE_HOUR, MEASURE_IMAGES, 400 * UNITS_PER_IMAGE);
    share_rig_limit(SERVICE_MINUTE, MEASURE_CREDITS, 15 * UNITS_PER_IMAGE);
    share_rig_configure();
    for (int step = 0; step < 20000; step++)
        model_step(&random, has_faults);
    model_quiet(&random);

    int64_t most = 0;

    for (int i = 0; i < rig.counters_len; i++) {
        const struct share_counter *c = &rig.counters[i];

        cr_assert_leq(c->leased_units, c->row == 0 ? 40000 : c->row == 1 ? 400000 : 15000);
        cr_assert_leq(c->delivered_units, c->leased_units);
        most = c->row == 3 ? MAX(most, c->delivered_units) : most;
        /* Without faults what is leased in the present window is what was delivered. */
        if (!has_faults && c->ordinal == rig.shares[0].rows[c->row].window.ordinal)
            cr_assert_eq(c->delivered_units, c->leased_units);
    }
    /* And the limits were met, not only kept. */
    cr_assert_geq(most, 14000);
}

WHOLE_TEST(share_model, without_faults)
{
    model(7, false);
}

WHOLE_TEST(share_model, with_crashes_and_lost_answers)
{
    model(11, true);
}
