/* SPDX-License-Identifier: Apache-2.0 */
/* limit.c - what limits are called, and whose rows they charge. */

#include "core/limit.h"

#include "base/hash.h"

#define US_PER_S INT64_C(1000000)

/* What is mixed into a subject, each under a seed of its own: a model named "credits" is not the measure. */
#define SEED_MODEL   UINT64_C(0x6d6f64656c)     /* "model" */
#define SEED_MEASURE UINT64_C(0x6d656173757265) /* "measure" */
#define SEED_PERIOD  UINT64_C(0x706572696f64)   /* "period" */

static void mix(struct account_digest *digest, struct text fact, uint64_t seed)
{
    unsigned char hash[HASH_LEN];

    hash_128(fact, seed, hash);
    for (size_t i = LIMIT_SUBJECT_KEPT; i < sizeof(digest->bytes); i++)
        digest->bytes[i] ^= hash[i];
}

static void mix_number(struct account_digest *digest, int64_t number, uint64_t seed)
{
    char bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(unsigned char)((uint64_t)number >> (8 * i));
    mix(digest, (struct text){bytes, sizeof(bytes)}, seed);
}

struct account_digest limit_subject(const struct limit_rule *rule, struct account_digest owner)
{
    if (rule->scope == SCOPE_MODEL)
        mix(&owner, text_of(rule->model), SEED_MODEL);
    if (rule->measure == MEASURE_CREDITS)
        mix_number(&owner, MEASURE_CREDITS, SEED_MEASURE);
    /* A row's slots have the length that the period gives them: with another period it is another row. */
    if (rule->kind == LIMIT_ROLLING)
        mix_number(&owner, rule->period_us, SEED_PERIOD);
    return owner;
}

const char *limit_name(enum limit_kind kind)
{
    switch (kind) {
    case LIMIT_NONE:
        return "none";
    case LIMIT_DAY:
        return "daily";
    case LIMIT_WEEK:
        return "weekly";
    case LIMIT_MONTH:
        return "monthly";
    case LIMIT_ROLLING:
        return "rolling";
    case LIMIT_RATE:
        return "rate";
    case LIMIT_IN_FLIGHT:
        return "in_flight";
    }
    return "none";
}

int64_t limit_window_s(const struct limit *limit)
{
    if (limit_is_calendar(limit->rule.kind))
        return limit->window.end_s - limit->window.start_s;
    return limit->rule.period_us / US_PER_S + (limit->rule.period_us % US_PER_S > 0);
}
