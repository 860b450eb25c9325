/* SPDX-License-Identifier: Apache-2.0 */
/* tiers.c - tiers: classes of accounts, and the limits of each.      Runs on: control thread. */
#include "config/tiers.h"

#include "config/limits.h"
#include "config/prices.h"
#include "config/value.h"

#define MAX_WAIT_MAX_MS INT64_C(86400000)
#define NAME_MAX_LEN    32

static struct rule_set set_of(struct tier *tier)
{
    return (struct rule_set){.scope = SCOPE_ACCOUNT,
                             .rules = tier->rules,
                             .len = &tier->rules_len,
                             .max = RULES_MAX,
                             .where = "in a tier"};
}

static enum status read_images(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    struct rule_set set = set_of(object);

    return limits_read(r, key, node, MEASURE_IMAGES, &set);
}

static enum status read_credits(struct reader *r, const struct key *key, const struct node *node,
                                void *object)
{
    struct rule_set set = set_of(object);

    return limits_read(r, key, node, MEASURE_CREDITS, &set);
}

static enum status read_models(struct reader *r, const struct key *key, const struct node *mapping,
                               void *object)
{
    struct rule_set set = set_of(object);

    UNUSED(key);
    set.scope = SCOPE_MODEL;
    for (const struct node *node = mapping->first; node; node = node->next) {
        if (!prices_is_model(node->key->text))
            return key_wrong(r, node->key, "models", MODEL_EXPECTED, false);
        set.model = memory_text(r->memory, node->key->text);
        if (!set.model)
            return reader_no_memory(r);
        enum status st = limits_read_both(r, node, &set);
        if (st)
            return st;
    }
    return ST_OK;
}

static enum status read_store_down(struct reader *r, const struct key *key, const struct node *node,
                                   void *object)
{
    static const struct {
        const char *word;
        enum store_down value;
    } words[] = {
        {"closed", STORE_DOWN_CLOSED}, {"open", STORE_DOWN_OPEN}, {"local", STORE_DOWN_LOCAL}};
    struct tier *tier = object;

    UNUSED(r);
    UNUSED(key);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!text_equal(node->text, text_of(words[i].word)))
            continue;
        tier->on_store_down = words[i].value;
        return ST_OK;
    }
    return ST_INVALID;
}

static const struct key tier_keys[] = {
    {"images", NODE_NONE, 0, read_images, 0, 0, 0, LIMITS_EXPECTED},
    {"credits", NODE_NONE, 0, read_credits, 0, 0, 0, LIMITS_EXPECTED},
    {"models", NODE_MAPPING, 0, read_models, 0, 0, 0,
     "a mapping of models to limits such as dall-e-3: {images: {per_day: 1}}"},
    {"priority", NODE_SCALAR, 0, key_int, offsetof(struct tier, priority), 0, 1000,
     "a whole number, 0 to 1000"},
    {"max_images_per_request", NODE_SCALAR, 0, key_int64,
     offsetof(struct tier, max_images_per_request), 1, JOB_IMAGES_MAX, "a whole number, 1 to 10"},
    {"max_wait", NODE_SCALAR, 0, key_duration_ms, offsetof(struct tier, max_wait_ms), 0,
     MAX_WAIT_MAX_MS, "a duration such as 0s, 250ms, 30s or 5min, at most 24h"},
    {"on_store_down", NODE_SCALAR, 0, read_store_down, 0, 0, 0, "closed, open or local"},
};

static enum status read_tier(struct reader *r, const struct node *node, struct policy *policy)
{
    struct tier *tier = &policy->tiers[policy->tiers_len];
    char echo[READER_ECHO_MAX];

    if (!value_is_name(node->key->text, NAME_MAX_LEN))
        return reader_fail(r, node->key,
                           "wrong name '%s' for a tier, expected 1 to %d letters, digits, '_', "
                           "'-', '.'",
                           reader_echo(node->key, echo), NAME_MAX_LEN);
    *tier = (struct tier){
        .name = memory_text(r->memory, node->key->text),
        .index = policy->tiers_len,
        .max_images_per_request = JOB_IMAGES_MAX,
        .on_store_down = STORE_DOWN_CLOSED,
    };
    if (!tier->name)
        return reader_no_memory(r);
    enum status st = keys_read(r, node, tier_keys, ARRAY_LEN(tier_keys), tier);
    if (st)
        return st;
    /* Said, not assumed: nobody is unlimited for want of a line. */
    if (!node_find(node, TEXT("images")) && !node_find(node, TEXT("credits")))
        return reader_fail(r, node, "no key 'images' or 'credits' here, expected " LIMITS_EXPECTED);
    policy->tiers_len++;
    return ST_OK;
}

enum status tiers_read(struct reader *r, const struct key *key, const struct node *mapping,
                       void *object)
{
    struct policy *policy = object;

    UNUSED(key);
    if (mapping->len < 1 || mapping->len > TIERS_MAX)
        return reader_fail(r, mapping, "%d tiers, expected 1 to %d", mapping->len, TIERS_MAX);
    for (const struct node *node = mapping->first; node; node = node->next) {
        enum status st = read_tier(r, node, policy);
        if (st)
            return st;
    }
    return ST_OK;
}

enum status tiers_check_limits(struct reader *r, const struct node *mapping,
                               const struct policy *policy)
{
    const struct node *node = mapping->first;

    for (int i = 0; i < policy->tiers_len; i++, node = node->next) {
        int most = policy_most_limits(policy, &policy->tiers[i]);
        if (most > LIMITS_MAX)
            return reader_fail(r, node,
                               "up to %d limits for one request of tier '%s', with its models "
                               "and the largest team, expected at most %d",
                               most, policy->tiers[i].name, LIMITS_MAX);
    }
    return ST_OK;
}
