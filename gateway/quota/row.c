/* SPDX-License-Identifier: Apache-2.0 */
/* row.c - see row.h.  Runs on: any thread. */

#include "quota/row.h"

#include "core/cost.h"
#include "quota/quota.h"

#define US_PER_S INT64_C(1000000)
#define HOUR_S   INT64_C(3600)
#define DAY_S    INT64_C(86400)
/* Nobody knows when an image will be made; a look a second later costs little. */
#define IN_FLIGHT_RETRY_US US_PER_S
/* Room for a clock that is a little behind. */
#define SEGMENT_SPARE_US (60 * US_PER_S)

struct row_shape row_shape(enum limit_measure measure)
{
    static const struct row_shape images = {
        .grain_units = UNITS_PER_IMAGE,
        .span = INT64_C(1) << 24,
        .grant_grains = 1,
        .granted_max = (INT64_C(1) << 28) - 1,
    };
    static const struct row_shape credits = {
        .grain_units = 1,
        .span = INT64_C(1) << 32,
        .grant_grains = UNITS_PER_IMAGE,
        .granted_max = (INT64_C(1) << 20) - 1,
    };

    return measure == MEASURE_CREDITS ? credits : images;
}

static struct row_shape shape_of(const struct limit *limit)
{
    return row_shape(limit->rule.measure);
}

/* Grains, microseconds or images, as kind and measure say, that so many images take. */
static int64_t amount_of(const struct limit *limit, int64_t images)
{
    int64_t units = images * limit->image_units;

    switch (limit->rule.kind) {
    case LIMIT_NONE:
        return 0;
    case LIMIT_RATE:
        return bucket_cost_us(&limit->rule, units);
    case LIMIT_IN_FLIGHT:
        return images;
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
    case LIMIT_ROLLING:
        break;
    }
    ASSERT(limit->image_units % shape_of(limit).grain_units == 0);
    return units / shape_of(limit).grain_units;
}

int64_t limit_allowed(const struct limit *limit)
{
    const struct limit_rule *rule = &limit->rule;

    if (rule->kind == LIMIT_IN_FLIGHT)
        return rule->units / UNITS_PER_IMAGE;
    if (rule->kind != LIMIT_RATE)
        return rule->units / shape_of(limit).grain_units;

    int64_t burst_us = bucket_cost_us(rule, rule->burst_units);

    return burst_us == INT64_MAX ? 0 : burst_us; /* no units ever: no room either */
}

int64_t limit_segment_s(const struct limit_rule *rule)
{
    static const int64_t ladder_s[] = {HOUR_S, DAY_S, 32 * DAY_S, 1024 * DAY_S};
    int64_t needed_us = rule->kind == LIMIT_RATE ? bucket_cost_us(rule, rule->burst_units)
                                                 : rolling_slot_us(rule) * ROLLING_COUNTS;
    size_t i = 0;

    while (i + 1 < ARRAY_LEN(ladder_s) && ladder_s[i] * US_PER_S - SEGMENT_SPARE_US < needed_us)
        i++;
    return ladder_s[i];
}

struct charge charge_of(const struct limit *limit, int64_t images, int64_t now_us)
{
    const struct limit_rule *rule = &limit->rule;
    struct charge charge = {
        .subject = limit->subject,
        .amount = amount_of(limit, images),
        .kind = rule->kind,
        .measure = rule->measure,
    };

    if (limit_is_calendar(rule->kind))
        charge.until_s = limit->window.end_s;
    if (rule->kind != LIMIT_ROLLING && rule->kind != LIMIT_RATE)
        return charge;
    charge.segment_s = limit_segment_s(rule);
    charge.until_s = (now_us / US_PER_S / charge.segment_s + 2) * charge.segment_s;
    if (rule->kind == LIMIT_ROLLING)
        charge.slot = rolling_slot(rule, now_us);
    else
        charge.at_us = now_us;
    return charge;
}

static bool calendar_has_room(int64_t number, const struct limit *limit, int64_t amount)
{
    struct row_shape shape = shape_of(limit);
    int64_t allowed = limit_allowed(limit) + row_granted(shape, number) * shape.grant_grains;

    return row_used(shape, number) + amount <= MIN(allowed, shape.span - 1);
}

static bool rolling_has_room(struct rolling rolling, const struct limit *limit,
                             const struct charge *charge)
{
    rolling_advance(&rolling, charge->slot);
    return rolling_sum(&rolling) / shape_of(limit).grain_units + charge->amount <=
           limit_allowed(limit);
}

bool row_has_room(const struct row *row, const struct limit *limit, const struct charge *charge,
                  int64_t now_us)
{
    switch (limit->rule.kind) {
    case LIMIT_NONE:
        break;
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
        return calendar_has_room(row->number, limit, charge->amount);
    case LIMIT_ROLLING:
        return rolling_has_room(row->rolling, limit, charge);
    case LIMIT_RATE:
        return charge->amount == 0 ||
               charge->amount <= limit_allowed(limit) - (MAX(row->number, now_us) - now_us);
    case LIMIT_IN_FLIGHT:
        return row->number + charge->amount <= limit_allowed(limit);
    }
    return true;
}

void row_add(struct row *row, const struct charge *charge, int64_t now_us)
{
    struct row_shape shape = row_shape((enum limit_measure)charge->measure);

    switch ((enum limit_kind)charge->kind) {
    case LIMIT_NONE:
        return;
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
        row->number += MIN(charge->amount, shape.span - 1 - row_used(shape, row->number));
        return;
    case LIMIT_ROLLING:
        rolling_advance(&row->rolling, charge->slot);
        rolling_add(&row->rolling, charge->amount * shape.grain_units);
        return;
    case LIMIT_RATE:
        if (charge->amount > 0)
            row->number = MAX(row->number, now_us) + charge->amount;
        return;
    case LIMIT_IN_FLIGHT:
        row->number += charge->amount;
        return;
    }
}

void row_give(struct row *row, const struct charge *charge, int64_t images, int64_t held_images,
              int64_t now_us)
{
    struct row_shape shape = row_shape((enum limit_measure)charge->measure);
    int64_t amount = charge->amount / held_images * images;

    switch ((enum limit_kind)charge->kind) {
    case LIMIT_NONE:
    case LIMIT_IN_FLIGHT:
        return;
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
        row->number -= MIN(amount, row_used(shape, row->number));
        return;
    case LIMIT_ROLLING:
        rolling_give(&row->rolling, charge->slot, amount * shape.grain_units);
        return;
    case LIMIT_RATE:
        row->number = bucket_give_us(row->number, amount, charge->at_us, now_us);
        return;
    }
}

/* --- what an operator says --- */

static void amend_calendar(struct row *row, struct row_shape shape,
                           const struct quota_change *change)
{
    int64_t used = row_used(shape, row->number);
    int64_t granted = row_granted(shape, row->number);

    if (change->kind == CHANGE_GRANT)
        granted = MIN(MAX(granted + change->units / UNITS_PER_IMAGE, 0), shape.granted_max);
    else
        used = MIN(MAX(change->units / shape.grain_units, 0), shape.span - 1);
    row->number = granted * shape.span + used;
}

/* The oldest first: they would come back soonest anyway. */
static void rolling_take_back(struct rolling *rolling, int64_t units)
{
    for (int i = 0; i < ROLLING_COUNTS && units > 0; i++) {
        int64_t taken = MIN(units, rolling->counts[i]);

        rolling->counts[i] -= taken;
        units -= taken;
    }
}

static void amend_rolling(struct row *row, int64_t slot, const struct quota_change *change)
{
    rolling_advance(&row->rolling, slot);
    if (change->kind == CHANGE_GRANT) {
        rolling_take_back(&row->rolling, change->units);
        rolling_add(&row->rolling, -change->units);
        return;
    }
    row->rolling = (struct rolling){.slot = row->rolling.slot};
    rolling_add(&row->rolling, change->units);
}

int64_t limit_amend_us(const struct limit *limit, const struct quota_change *change)
{
    int64_t units = change->units < 0 ? -change->units : change->units;
    int64_t moved_us = MIN(bucket_cost_us(&limit->rule, units), limit_allowed(limit));
    bool is_back = (change->kind == CHANGE_GRANT) == (change->units > 0);

    return is_back ? -moved_us : moved_us;
}

static void amend_rate(struct row *row, const struct limit *limit,
                       const struct quota_change *change, int64_t now_us)
{
    int64_t base_us = change->kind == CHANGE_GRANT ? MAX(row->number, now_us) : now_us;

    row->number = MAX(base_us + limit_amend_us(limit, change), 0);
}

void row_amend(struct row *row, const struct limit *limit, const struct quota_change *change,
               int64_t now_us)
{
    if (change->kind == CHANGE_RESET) {
        *row = (struct row){0};
        return;
    }
    switch (limit->rule.kind) {
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
        amend_calendar(row, shape_of(limit), change);
        return;
    case LIMIT_ROLLING:
        amend_rolling(row, rolling_slot(&limit->rule, now_us), change);
        return;
    case LIMIT_RATE:
        amend_rate(row, limit, change, now_us);
        return;
    case LIMIT_NONE:
    case LIMIT_IN_FLIGHT:
        return;
    }
}

/* --- how it stands --- */

static void tell_calendar(int64_t number, struct reserved_limit *l)
{
    struct row_shape shape = shape_of(&l->limit);

    l->used_units = row_used(shape, number) * shape.grain_units;
    l->granted_units = row_granted(shape, number) * UNITS_PER_IMAGE;
    l->reset_us = l->limit.window.end_s * US_PER_S;
}

static void tell_rolling(const struct row *row, struct reserved_limit *l, int64_t units,
                         int64_t now_us)
{
    const struct limit_rule *rule = &l->limit.rule;
    struct rolling rolling = row->rolling;

    rolling_advance(&rolling, rolling_slot(rule, now_us));
    l->used_units = rolling_sum(&rolling);
    l->reset_us = MAX(rolling_free_at_us(rule, &rolling, units), now_us);
}

static void tell_rate(int64_t tat_us, struct reserved_limit *l, int64_t units, int64_t now_us)
{
    const struct limit_rule *rule = &l->limit.rule;
    struct bucket_answer now = bucket_take(rule, tat_us, 0, now_us);

    l->used_units = rule->burst_units - now.left_units;
    l->reset_us = bucket_take(rule, tat_us, units, now_us).retry_at_us;
}

void row_tell(const struct row *row, struct reserved_limit *l, int64_t images, int64_t now_us)
{
    int64_t units = MAX(images, 1) * l->limit.image_units;

    l->granted_units = 0;
    switch (l->limit.rule.kind) {
    case LIMIT_NONE:
        return;
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
        tell_calendar(row->number, l);
        return;
    case LIMIT_ROLLING:
        tell_rolling(row, l, units, now_us);
        return;
    case LIMIT_RATE:
        tell_rate(row->number, l, units, now_us);
        return;
    case LIMIT_IN_FLIGHT:
        l->used_units = row->number * UNITS_PER_IMAGE;
        l->reset_us = now_us + IN_FLIGHT_RETRY_US;
        return;
    }
}
