/* SPDX-License-Identifier: Apache-2.0 */
/* service.c - limits of the whole service.      Runs on: control thread.
 * Each is written short, as one value, or as {limit: VALUE, dry_run: true}. */
#include "config/service.h"

#include "config/value.h"

/* In thousandths all sums stay exact, also in a store that counts in doubles. */
#define AMOUNT_MAX INT64_C(1000000000)

#define NUMBER_OF_IMAGES  "a whole number of images, 0 to 1000000000"
#define NUMBER_OF_CREDITS "a number of credits such as 100 or 2.5, 0 to 1000000000"
#define OR_MAPPING        ", or {limit, dry_run}"
#define LIMITS_EXPECTED   "limits such as {per_minute: 1200}"

/* One limit at work, and where it goes. */
struct draft {
    struct policy *policy;
    struct service_rule made;
};

static enum status read_amount(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    struct draft *draft = object;
    bool is_images = draft->made.measure == MEASURE_IMAGES;
    int64_t value;
    enum status st =
        is_images ? value_integer(node->text, &value) : value_thousandths(node->text, &value);

    UNUSED(r);
    UNUSED(key);
    if (st || value > (is_images ? AMOUNT_MAX : AMOUNT_MAX * UNITS_PER_IMAGE))
        return ST_INVALID;
    draft->made.units = is_images ? value * UNITS_PER_IMAGE : value;
    return ST_OK;
}

#define DRAFT_KEYS(expected)                                                                       \
    {                                                                                              \
        {"limit", NODE_SCALAR, KEY_REQUIRED, read_amount, 0, 0, 0, expected},                      \
        {                                                                                          \
            "dry_run", NODE_SCALAR, 0, key_bool, offsetof(struct draft, made.is_dry_run), 0, 0,    \
                "true or false"                                                                    \
        }                                                                                          \
    }

static const struct key image_keys[] = DRAFT_KEYS(NUMBER_OF_IMAGES);
static const struct key credit_keys[] = DRAFT_KEYS(NUMBER_OF_CREDITS);

static enum status read_rule(struct reader *r, const struct node *node, enum service_period period,
                             struct draft *draft)
{
    struct policy *policy = draft->policy;
    const struct key *keys = draft->made.measure == MEASURE_IMAGES ? image_keys : credit_keys;
    enum status st = ST_INVALID;

    draft->made.period = period;
    draft->made.is_dry_run = false;
    if (node->kind == NODE_SCALAR)
        st = read_amount(r, NULL, node, draft);
    else if (node->kind == NODE_MAPPING)
        st = keys_read(r, node, keys, ARRAY_LEN(image_keys), draft);
    if (st)
        return st;
    ASSERT(policy->service_len < SERVICE_ROWS);
    policy->service[policy->service_len++] = draft->made;
    return ST_OK;
}

#define READ_RULE(name, period)                                                                    \
    static enum status name(struct reader *r, const struct key *key, const struct node *node,      \
                            void *object)                                                          \
    {                                                                                              \
        UNUSED(key);                                                                               \
        return read_rule(r, node, period, object);                                                 \
    }

READ_RULE(read_minute, SERVICE_MINUTE)
READ_RULE(read_hour, SERVICE_HOUR)
READ_RULE(read_day, SERVICE_DAY)

/* The longest first: of several that refuse the first is told, and that is the wait which helps. */
#define PERIOD_KEYS(expected)                                                                      \
    {                                                                                              \
        {"per_day", NODE_NONE, 0, read_day, 0, 0, 0, expected OR_MAPPING},                         \
            {"per_hour", NODE_NONE, 0, read_hour, 0, 0, 0, expected OR_MAPPING},                   \
        {                                                                                          \
            "per_minute", NODE_NONE, 0, read_minute, 0, 0, 0, expected OR_MAPPING                  \
        }                                                                                          \
    }

static const struct key images_keys[] = PERIOD_KEYS(NUMBER_OF_IMAGES);
static const struct key credits_keys[] = PERIOD_KEYS(NUMBER_OF_CREDITS);

static enum status read_measure(struct reader *r, const struct key *key, const struct node *node,
                                struct draft *draft)
{
    const struct key *keys = draft->made.measure == MEASURE_IMAGES ? images_keys : credits_keys;

    if (node->len == 0)
        return reader_fail(r, node, "no limit for '%s', expected " LIMITS_EXPECTED, key->name);
    return keys_read(r, node, keys, ARRAY_LEN(images_keys), draft);
}

static enum status read_images(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    struct draft draft = {.policy = object, .made.measure = MEASURE_IMAGES};

    return read_measure(r, key, node, &draft);
}

static enum status read_credits(struct reader *r, const struct key *key, const struct node *node,
                                void *object)
{
    struct draft draft = {.policy = object, .made.measure = MEASURE_CREDITS};

    return read_measure(r, key, node, &draft);
}

static const struct key service_keys[] = {
    {"images", NODE_MAPPING, 0, read_images, 0, 0, 0, LIMITS_EXPECTED},
    {"credits", NODE_MAPPING, 0, read_credits, 0, 0, 0, LIMITS_EXPECTED},
};

enum status service_read(struct reader *r, const struct key *key, const struct node *mapping,
                         void *object)
{
    enum status st = keys_read(r, mapping, service_keys, ARRAY_LEN(service_keys), object);

    UNUSED(key);
    if (!st && mapping->len == 0)
        return reader_fail(r, mapping,
                           "no key 'images' or 'credits' here, expected " LIMITS_EXPECTED);
    return st;
}
