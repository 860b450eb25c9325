/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.c - see accounts.h. */

#include "bench/store/accounts.h"

#include <string.h>

#include "base/clock.h"
#include "core/cost.h"

#define DAY_S     INT64_C(86400)
#define MINUTE_US INT64_C(60000000)

bool plan_parse(const char *words, struct plan *out)
{
    struct text rest = text_of(words);
    struct text word;

    while (text_next(&rest, ',', &word)) {
        if (text_equal(word, TEXT("day")))
            out->has_day = true;
        else if (text_equal(word, TEXT("rate")))
            out->has_rate = true;
        else if (text_equal(word, TEXT("flight")))
            out->has_flight = true;
        else
            return false;
    }
    return out->has_day || out->has_rate || out->has_flight;
}

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static uint64_t mixed(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

struct account_digest account_of(int64_t number)
{
    uint64_t halves[2] = {mixed((uint64_t)number), mixed(~(uint64_t)number)};
    struct account_digest digest;

    memcpy(digest.bytes, halves, sizeof(digest.bytes));
    return digest;
}

static void add(struct terms *terms, const struct account_digest *digest, struct limit_rule rule)
{
    struct limit *limit = &terms->limits[terms->limits_len++];

    rule.scope = SCOPE_ACCOUNT;
    rule.measure = MEASURE_IMAGES;
    *limit = (struct limit){.rule = rule, .image_units = UNITS_PER_IMAGE};
    limit->subject = limit_subject(&limit->rule, *digest);
}

void reservation_of(struct reservation *r, const struct plan *plan, int64_t number)
{
    static uint64_t ids = 0;
    int64_t day = clock_wall_us() / 1000000 / DAY_S;
    struct account account = {.digest = account_of(number)};
    struct terms terms = {.limits_len = 0};

    if (plan->has_day) {
        add(&terms, &account.digest,
            (struct limit_rule){.kind = LIMIT_DAY, .units = plan->per_day * UNITS_PER_IMAGE});
        terms.limits[0].window = (struct window){day * DAY_S, (day + 1) * DAY_S, (uint32_t)day};
    }
    if (plan->has_rate)
        add(&terms, &account.digest,
            (struct limit_rule){.kind = LIMIT_RATE,
                                .units = 1000 * UNITS_PER_IMAGE,
                                .period_us = MINUTE_US,
                                .burst_units = 100 * UNITS_PER_IMAGE});
    if (plan->has_flight)
        add(&terms, &account.digest,
            (struct limit_rule){.kind = LIMIT_IN_FLIGHT, .units = 10 * UNITS_PER_IMAGE});
    reservation_init(r, &account, &terms, 1, mixed(++ids ^ (uint64_t)clock_monotonic_us()));
}
