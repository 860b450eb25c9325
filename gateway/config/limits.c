/* SPDX-License-Identifier: Apache-2.0 */
/* limits.c - limits of policies.      Runs on: control thread.
 * Each limit is written short, as one value, or as {limit: VALUE, dry_run: true}; a rolling one also as {limit, period}. */
#include "config/limits.h"

#include <string.h>

#include "config/value.h"
#include "core/bucket.h"
#include "core/cost.h"

/* What the stores can count in one row: 24 bits of images, 32 bits of thousandths of credits. */
#define IMAGES_MAX  INT64_C(16777215)
#define CREDITS_MAX INT64_C(4294967)
#define FLIGHT_MAX  INT64_C(10000)

#define US_PER_MS         INT64_C(1000)
#define US_PER_S          INT64_C(1000000)
#define DAY_US            (86400 * US_PER_S)
#define ROLLING_MIN_MS    INT64_C(10000)
#define ROLLING_MAX_MS    (31 * INT64_C(86400000))
#define BURST_TIME_MAX_US (366 * DAY_US)

#define NUMBER_OF_IMAGES  "a whole number of images, 0 to 16777215"
#define NUMBER_OF_CREDITS "a number of credits such as 100 or 2.5, 0 to 4294967"
#define IN_FLIGHT         "a whole number of images being made at once, 1 to 10000"
#define ROLLING           "a number and a period such as 50/3h, 10s to 744h"
#define RATE              "a rate such as 2/min burst 3, a unit of s, min or h"
#define OR_MAPPING        ", or {limit, dry_run}"

/* One limit at work. */
struct draft {
    struct limit_rule made;
};

/* An amount of what the rule counts, in units. */
static enum status parse_units(struct text t, enum limit_measure measure, int64_t *out)
{
    int64_t value;
    enum status st =
        measure == MEASURE_IMAGES ? value_integer(t, &value) : value_thousandths(t, &value);

    if (st)
        return st;
    if (value > (measure == MEASURE_IMAGES ? IMAGES_MAX : CREDITS_MAX * UNITS_PER_IMAGE))
        return ST_INVALID;
    *out = measure == MEASURE_IMAGES ? value * UNITS_PER_IMAGE : value;
    return ST_OK;
}

static enum status parse_period(struct text t, struct limit_rule *rule)
{
    int64_t period_ms;
    enum status st = value_duration_ms(t, &period_ms);

    if (st)
        return st;
    if (period_ms < ROLLING_MIN_MS || period_ms > ROLLING_MAX_MS)
        return ST_INVALID;
    rule->period_us = period_ms * US_PER_MS;
    return ST_OK;
}

/* 50/3h, or 50 alone where the period is a key of its own. */
static enum status parse_rolling(struct text t, struct limit_rule *rule)
{
    struct text rest = t;
    struct text units;

    if (!text_next(&rest, '/', &units))
        return ST_INVALID;
    enum status st = parse_units(units, rule->measure, &rule->units);
    return st || units.len == t.len ? st : parse_period(rest, rule);
}

static enum status parse_rate_period(struct text unit, int64_t *out)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"s", US_PER_S}, {"min", 60 * US_PER_S}, {"h", 3600 * US_PER_S}};

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!text_equal(unit, text_of(units[i].name)))
            continue;
        *out = units[i].us;
        return ST_OK;
    }
    return ST_INVALID;
}

/* 2/min, or 2/min burst 3.  Without a burst, it is what one period has. */
static enum status parse_rate(struct text t, struct limit_rule *rule)
{
    struct text rest = t;
    struct text units, unit, word, burst;

    if (!text_next(&rest, '/', &units) || !text_next(&rest, ' ', &unit))
        return ST_INVALID;
    enum status st = parse_units(units, rule->measure, &rule->units);
    if (!st)
        st = parse_rate_period(unit, &rule->period_us);
    if (st)
        return st;
    rule->burst_units = rule->units;
    if (!text_next(&rest, ' ', &word))
        return ST_OK;
    if (!text_equal(word, TEXT("burst")) || !text_next(&rest, ' ', &burst) || rest.len > 0)
        return ST_INVALID;
    return parse_units(burst, rule->measure, &rule->burst_units);
}

static enum status parse_in_flight(struct text t, struct limit_rule *rule)
{
    int64_t images;
    enum status st = value_integer(t, &images);

    if (st || images < 1 || images > FLIGHT_MAX)
        return ST_INVALID;
    rule->units = images * UNITS_PER_IMAGE;
    return ST_OK;
}

static enum status parse_limit(struct text t, struct limit_rule *rule)
{
    switch (rule->kind) {
    case LIMIT_NONE:
        break;
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
        return parse_units(t, rule->measure, &rule->units);
    case LIMIT_ROLLING:
        return parse_rolling(t, rule);
    case LIMIT_RATE:
        return parse_rate(t, rule);
    case LIMIT_IN_FLIGHT:
        return parse_in_flight(t, rule);
    }
    return ST_INVALID;
}

/* What no script and no row could count: nothing at all, more than one unit a microsecond, or a burst of years. */
static enum status check_rate(struct reader *r, const struct node *node,
                              const struct limit_rule *rule)
{
    if (rule->kind != LIMIT_RATE)
        return ST_OK;
    if (rule->units == 0 || rule->burst_units == 0)
        return reader_fail(r, node, "a rate or burst of nothing, expected more than 0");
    if (rule->units > rule->period_us)
        return reader_fail(r, node, "more than 1000 a second, expected a slower rate");
    if (bucket_cost_us(rule, rule->burst_units) > BURST_TIME_MAX_US)
        return reader_fail(r, node,
                           "a burst that takes over 366 days to come back, expected less of it");
    return ST_OK;
}

/* --- {limit, period, dry_run} --- */

static enum status read_limit(struct reader *r, const struct key *key, const struct node *node,
                              void *object)
{
    struct draft *draft = object;

    UNUSED(r);
    UNUSED(key);
    return parse_limit(node->text, &draft->made);
}

static enum status read_period(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    struct draft *draft = object;

    UNUSED(key);
    if (draft->made.period_us > 0)
        return reader_fail(r, node, "the period for the second time, expected it once");
    return parse_period(node->text, &draft->made);
}

/* The rows of `limit`, by what it may say; the others are the same for all. */
#define DRAFT_KEYS(expected)                                                                       \
    {"limit", NODE_SCALAR, KEY_REQUIRED, read_limit, 0, 0, 0, expected},                           \
    {                                                                                              \
        "dry_run", NODE_SCALAR, 0, key_bool, offsetof(struct draft, made.is_dry_run), 0, 0,        \
            "true or false"                                                                        \
    }

static const struct key image_keys[] = {DRAFT_KEYS(NUMBER_OF_IMAGES)};
static const struct key credit_keys[] = {DRAFT_KEYS(NUMBER_OF_CREDITS)};
static const struct key rate_keys[] = {DRAFT_KEYS(RATE)};
static const struct key flight_keys[] = {DRAFT_KEYS(IN_FLIGHT)};
static const struct key rolling_keys[] = {
    DRAFT_KEYS("a number, or a number and a period such as 50/3h"),
    {"period", NODE_SCALAR, 0, read_period, 0, 0, 0, "a duration such as 3h, 10s to 744h"}};

static enum status read_mapping(struct reader *r, const struct node *node, struct draft *draft)
{
    switch (draft->made.kind) {
    case LIMIT_NONE:
        break;
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
        return keys_read(r, node, draft->made.measure == MEASURE_IMAGES ? image_keys : credit_keys,
                         ARRAY_LEN(image_keys), draft);
    case LIMIT_ROLLING:
        return keys_read(r, node, rolling_keys, ARRAY_LEN(rolling_keys), draft);
    case LIMIT_RATE:
        return keys_read(r, node, rate_keys, ARRAY_LEN(rate_keys), draft);
    case LIMIT_IN_FLIGHT:
        return keys_read(r, node, flight_keys, ARRAY_LEN(flight_keys), draft);
    }
    return ST_INVALID;
}

static enum status read_draft(struct reader *r, const struct node *node, struct draft *draft)
{
    enum status st = ST_INVALID;

    if (node->kind == NODE_SCALAR)
        st = parse_limit(node->text, &draft->made);
    else if (node->kind == NODE_MAPPING)
        st = read_mapping(r, node, draft);
    if (!st && draft->made.kind == LIMIT_ROLLING && draft->made.period_us == 0)
        return reader_fail(r, node, "no period, expected " ROLLING);
    return st ? st : check_rate(r, node, &draft->made);
}

/* --- the table of a measure --- */

struct target {
    enum limit_measure measure;
    struct rule_set *set;
};

static enum status read_rule(struct reader *r, const struct node *node, enum limit_kind kind,
                             void *object)
{
    const struct target *target = object;
    struct rule_set *set = target->set;
    struct draft draft = {
        .made = {
            .kind = kind, .scope = set->scope, .measure = target->measure, .model = set->model}};
    enum status st = read_draft(r, node, &draft);

    if (st)
        return st;
    if (*set->len == set->max)
        return reader_fail(r, node, "one limit too many, expected at most %d %s", set->max,
                           set->where);
    set->rules[(*set->len)++] = draft.made;
    return ST_OK;
}

#define READ_RULE(name, kind)                                                                      \
    static enum status name(struct reader *r, const struct key *key, const struct node *node,      \
                            void *object)                                                          \
    {                                                                                              \
        UNUSED(key);                                                                               \
        return read_rule(r, node, kind, object);                                                   \
    }

READ_RULE(read_day, LIMIT_DAY)
READ_RULE(read_week, LIMIT_WEEK)
READ_RULE(read_month, LIMIT_MONTH)
READ_RULE(read_rolling, LIMIT_ROLLING)
READ_RULE(read_rate, LIMIT_RATE)
READ_RULE(read_in_flight, LIMIT_IN_FLIGHT)

/* The longest first: of several that refuse the first is told, and that is the wait which helps. */
static const struct key images_keys[] = {
    {"per_month", NODE_NONE, 0, read_month, 0, 0, 0, NUMBER_OF_IMAGES OR_MAPPING},
    {"per_week", NODE_NONE, 0, read_week, 0, 0, 0, NUMBER_OF_IMAGES OR_MAPPING},
    {"per_day", NODE_NONE, 0, read_day, 0, 0, 0, NUMBER_OF_IMAGES OR_MAPPING},
    {"rolling", NODE_NONE, 0, read_rolling, 0, 0, 0, ROLLING ", or {limit, period, dry_run}"},
    {"rate", NODE_NONE, 0, read_rate, 0, 0, 0, RATE OR_MAPPING},
    {"in_flight", NODE_NONE, 0, read_in_flight, 0, 0, 0, IN_FLIGHT OR_MAPPING},
};

static const struct key credits_keys[] = {
    {"per_month", NODE_NONE, 0, read_month, 0, 0, 0, NUMBER_OF_CREDITS OR_MAPPING},
    {"per_week", NODE_NONE, 0, read_week, 0, 0, 0, NUMBER_OF_CREDITS OR_MAPPING},
    {"per_day", NODE_NONE, 0, read_day, 0, 0, 0, NUMBER_OF_CREDITS OR_MAPPING},
    {"rolling", NODE_NONE, 0, read_rolling, 0, 0, 0, ROLLING ", or {limit, period, dry_run}"},
    {"rate", NODE_NONE, 0, read_rate, 0, 0, 0, RATE OR_MAPPING},
};

/* A hold says whose it is, and not for which model: so jobs under way are counted for accounts and teams alone. */
static bool has_in_flight(enum limit_measure measure, enum limit_scope scope)
{
    return measure == MEASURE_IMAGES && scope != SCOPE_MODEL;
}

enum status limits_read(struct reader *r, const struct key *key, const struct node *node,
                        enum limit_measure measure, struct rule_set *set)
{
    struct target target = {measure, set};

    if (node->kind == NODE_SCALAR && text_equal(node->text, TEXT("unlimited")))
        return ST_OK;
    if (node->kind != NODE_MAPPING)
        return ST_INVALID;
    if (node->len == 0)
        return reader_fail(r, node, "no limit for '%s', expected " LIMITS_EXPECTED, key->name);
    if (measure == MEASURE_CREDITS)
        return keys_read(r, node, credits_keys, ARRAY_LEN(credits_keys), &target);
    /* in_flight is the last row */
    return keys_read(r, node, images_keys,
                     ARRAY_LEN(images_keys) - !has_in_flight(measure, set->scope), &target);
}

/* --- images and credits --- */

static enum status read_images(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    return limits_read(r, key, node, MEASURE_IMAGES, object);
}

static enum status read_credits(struct reader *r, const struct key *key, const struct node *node,
                                void *object)
{
    return limits_read(r, key, node, MEASURE_CREDITS, object);
}

static const struct key both_keys[] = {
    {"images", NODE_NONE, 0, read_images, 0, 0, 0, LIMITS_EXPECTED},
    {"credits", NODE_NONE, 0, read_credits, 0, 0, 0, LIMITS_EXPECTED},
};

enum status limits_read_both(struct reader *r, const struct node *node, struct rule_set *set)
{
    enum status st = keys_read(r, node, both_keys, ARRAY_LEN(both_keys), set);

    if (!st && node->len == 0)
        return reader_fail(r, node, "no key 'images' or 'credits' here, expected " LIMITS_EXPECTED);
    return st;
}
