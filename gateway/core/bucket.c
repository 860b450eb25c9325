/* SPDX-License-Identifier: Apache-2.0 */
/* bucket.c - GCRA and rolling slots. */

#include "core/bucket.h"

#include <string.h>

#include "core/cost.h"

#define US_PER_S  INT64_C(1000000)
#define US_PER_MS INT64_C(1000)

/* Both >= 0. */
static int64_t add(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static int64_t multiply(int64_t a, int64_t b)
{
    return a > 0 && b > INT64_MAX / a ? INT64_MAX : a * b;
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b > 0);
}

/* What one image is worth.  An image is UNITS_PER_IMAGE units, so whole milliseconds an image are whole microseconds a
 * unit, and sums of parts are exact. */
static int64_t interval_us(const struct limit_rule *rule)
{
    if (rule->units <= 0)
        return INT64_MAX;
    int64_t interval = divide_up(multiply(rule->period_us, UNITS_PER_IMAGE), rule->units);

    return interval < US_PER_S ? MAX(interval, 1)
                               : multiply(divide_up(interval, US_PER_MS), US_PER_MS);
}

int64_t bucket_cost_us(const struct limit_rule *rule, int64_t units)
{
    int64_t interval = interval_us(rule);

    if (units <= 0)
        return 0;
    if (interval == INT64_MAX)
        return INT64_MAX;
    if (interval % UNITS_PER_IMAGE == 0)
        return multiply(units, interval / UNITS_PER_IMAGE);

    /* whole images apart, so that the product stays small */
    int64_t whole = multiply(units / UNITS_PER_IMAGE, interval);
    int64_t part = divide_up(units % UNITS_PER_IMAGE * interval, UNITS_PER_IMAGE);

    return add(whole, part);
}

int64_t bucket_units_in(const struct limit_rule *rule, int64_t room_us)
{
    int64_t interval = interval_us(rule);

    if (room_us <= 0 || interval == INT64_MAX)
        return 0;
    if (interval % UNITS_PER_IMAGE == 0)
        return room_us / (interval / UNITS_PER_IMAGE);
    return add(multiply(room_us / interval, UNITS_PER_IMAGE),
               room_us % interval * UNITS_PER_IMAGE / interval);
}

struct bucket_answer bucket_take(const struct limit_rule *rule, int64_t tat_us, int64_t units,
                                 int64_t now_us)
{
    ASSERT(units >= 0);
    int64_t now = MAX(now_us, 0);
    int64_t base_us = MAX(tat_us, now);
    int64_t room_us = bucket_cost_us(rule, rule->burst_units) - (base_us - now);
    int64_t cost_us = bucket_cost_us(rule, units);
    bool fits_ever = units <= rule->burst_units;
    bool is_allowed = units == 0 || (fits_ever && cost_us < INT64_MAX && cost_us <= room_us);
    struct bucket_answer answer = {.is_allowed = is_allowed, .value = tat_us, .retry_at_us = now};

    if (is_allowed && units > 0) {
        answer.value = add(base_us, cost_us);
        room_us -= cost_us;
    }
    answer.left_units = MIN(bucket_units_in(rule, room_us), rule->burst_units);
    if (!is_allowed)
        answer.retry_at_us = fits_ever && cost_us < INT64_MAX
                                 ? add(now, add(cost_us, -MIN(room_us, 0)) - MAX(room_us, 0))
                                 : INT64_MAX;
    return answer;
}

int64_t bucket_give(const struct limit_rule *rule, int64_t tat_us, int64_t units,
                    int64_t charged_at_us, int64_t now_us)
{
    return bucket_give_us(tat_us, bucket_cost_us(rule, units), charged_at_us, now_us);
}

int64_t bucket_give_us(int64_t tat_us, int64_t cost_us, int64_t charged_at_us, int64_t now_us)
{
    int64_t now = MAX(now_us, 0);
    int64_t charged_at = MAX(charged_at_us, 0);
    int64_t gone_us = now - MIN(charged_at, now);
    int64_t back_us = cost_us - gone_us;

    return back_us <= 0 ? tat_us : MAX(tat_us, 0) - MIN(back_us, MAX(tat_us, 0));
}

int64_t rolling_slot_us(const struct limit_rule *rule)
{
    return MAX(divide_up(MAX(rule->period_us, 0), ROLLING_SLOTS), 1);
}

int64_t rolling_slot(const struct limit_rule *rule, int64_t now_us)
{
    return MAX(now_us, 0) / rolling_slot_us(rule);
}

void rolling_advance(struct rolling *r, int64_t slot)
{
    if (slot <= r->slot)
        return;
    uint64_t steps = (uint64_t)slot - (uint64_t)r->slot;

    if (steps >= ROLLING_COUNTS) {
        memset(r->counts, 0, sizeof(r->counts));
    } else {
        memmove(r->counts, r->counts + steps, (ROLLING_COUNTS - steps) * sizeof(r->counts[0]));
        memset(r->counts + (ROLLING_COUNTS - steps), 0, steps * sizeof(r->counts[0]));
    }
    r->slot = slot;
}

int64_t rolling_sum(const struct rolling *r)
{
    int64_t sum = 0;

    for (int i = 0; i < ROLLING_COUNTS; i++)
        sum = add(sum, MAX(r->counts[i], 0));
    return sum;
}

void rolling_add(struct rolling *r, int64_t units)
{
    int64_t *newest = &r->counts[ROLLING_COUNTS - 1];

    *newest = add(MAX(*newest, 0), MAX(units, 0));
}

void rolling_give(struct rolling *r, int64_t slot, int64_t units)
{
    if (slot > r->slot || slot < r->slot - ROLLING_SLOTS)
        return;
    int64_t *count = &r->counts[slot - (r->slot - ROLLING_SLOTS)];

    *count -= MIN(MAX(units, 0), MAX(*count, 0));
}

int64_t rolling_free_at_us(const struct limit_rule *rule, const struct rolling *r, int64_t units)
{
    int64_t length_us = rolling_slot_us(rule);
    int64_t sum = rolling_sum(r);
    int gone = 0;

    if (units > rule->units)
        return INT64_MAX;
    for (; gone < ROLLING_COUNTS && sum > rule->units - MAX(units, 0); gone++)
        sum -= MAX(r->counts[gone], 0);
    return multiply(add(MAX(r->slot, 0), gone), length_us);
}
