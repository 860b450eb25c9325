/* SPDX-License-Identifier: Apache-2.0 */
/* share_rig.c - see share_rig.h. */
#include "unit/quota/share_rig.h"

#include <string.h>

#include "base/clock.h"

struct share_rig rig;

static const struct zone_offset utc = {.from_s = 0, .offset_s = 0};

struct share_counter *share_rig_counter(int row, uint32_t ordinal)
{
    for (int i = 0; i < rig.counters_len; i++)
        if (rig.counters[i].row == row && rig.counters[i].ordinal == ordinal)
            return &rig.counters[i];
    cr_assert_lt(rig.counters_len, SHARE_WINDOWS);
    rig.counters[rig.counters_len] = (struct share_counter){.row = row, .ordinal = ordinal};
    return &rig.counters[rig.counters_len++];
}

static void apply(struct quota_claim *claim)
{
    struct share_counter *counter =
        share_rig_counter(service_row(&claim->rule), claim->window.ordinal);

    claim->got_units = service_grant(claim->rule.units, counter->leased_units, claim->held_units,
                                     claim->need_units, claim->want_units);
    counter->leased_units += claim->got_units - claim->held_units;
    claim->leased_units = counter->leased_units;
    cr_assert_geq(counter->leased_units, 0);
}

static void on_cancel(struct op *op)
{
    for (int i = 0; i < rig.pending_len; i++)
        if (rig.pending[i].op == op)
            rig.pending[i].op = NULL;
}

static enum status claim(struct quota *q, struct quota_claim *asked, struct op *op)
{
    UNUSED(q);
    rig.claims++;
    if (rig.answer == ST_OK)
        apply(asked);
    if (rig.answer != ST_PENDING)
        return rig.answer;
    cr_assert_lt(rig.pending_len, SHARE_CLAIMS);
    rig.pending[rig.pending_len++] = (struct fake_claim){*asked, asked, op};
    op->cancel = on_cancel;
    return ST_PENDING;
}

void share_rig_answer(int which, bool is_done, enum status st)
{
    struct fake_claim it = rig.pending[which];

    rig.pending[which] = rig.pending[--rig.pending_len];
    if (is_done)
        apply(&it.claim);
    if (!it.op)
        return;
    if (st == ST_OK)
        *it.asked = it.claim;
    op_done(it.op, st);
}

static const struct quota_ops ops = {.name = "fake", .claim = claim};

void share_rig_limit(enum service_period period, enum limit_measure measure, int64_t units)
{
    rig.policy.service[rig.policy.service_len++] =
        (struct service_rule){.period = period, .measure = measure, .units = units};
}

void share_rig_configure(void)
{
    for (int i = 0; i < SHARE_WORKERS; i++)
        shares_configure(&rig.shares[i], &rig.policy);
}

void share_rig_per_minute(int64_t images)
{
    rig.policy.service_len = 0;
    share_rig_limit(SERVICE_MINUTE, MEASURE_IMAGES, images * UNITS_PER_IMAGE);
    share_rig_configure();
}

void share_rig_begin(void)
{
    struct stats_shape shape = {.outcomes = 1, .backends = 1, .store_ops = 1};

    memset(&rig, 0, sizeof(rig));
    rig.policy.zone = (struct zone){1, &utc};
    cr_assert_eq(loop_new(&rig.loop), ST_OK);
    loop_run_once(rig.loop, 0);
    cr_assert_eq(stats_init(&rig.stats, &shape), ST_OK);
    for (int i = 0; i < SHARE_WORKERS; i++) {
        rig.quotas[i] = (struct quota){
            .ops = &ops,
            .loop = rig.loop,
            .has_clock = true,
            .clock_offset_us = BASE_S * US_PER_S - loop_now_us(rig.loop),
        };
        shares_init(&rig.shares[i], &rig.quotas[i], &rig.stats);
    }
}

void share_rig_end(void)
{
    rig.answer = ST_OK;
    for (int i = 0; i < SHARE_WORKERS; i++)
        shares_close(&rig.shares[i]);
    for (int i = 0; i < rig.counters_len; i++)
        cr_assert_leq(rig.counters[i].delivered_units, rig.counters[i].leased_units);
    stats_fini(&rig.stats);
    loop_free(&rig.loop);
}

int64_t share_rig_leased(void)
{
    return rig.counters_len ? rig.counters[rig.counters_len - 1].leased_units / UNITS_PER_IMAGE : 0;
}

void share_rig_pass_us(int64_t us)
{
    clock_skip_us(us);
    loop_run_once(rig.loop, 0);
    loop_run_once(rig.loop, 0);
}

void asker_done(struct op *op, enum status st)
{
    struct asker *a = container_of(op, struct asker, op);

    a->is_done = true;
    a->st = st;
}

enum status asker_ask(struct asker *a, int worker, int64_t images)
{
    *a = (struct asker){.op.done = asker_done};
    share_init(&a->hold, images, 500);
    a->st = shares_take(&rig.shares[worker], &a->hold, &a->op);
    cr_assert_eq(a->st == ST_PENDING, op_is_pending(&a->op));
    cr_assert_eq(a->st == ST_OK, a->hold.state == SHARE_TAKEN);
    return a->st;
}
