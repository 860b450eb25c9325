/* SPDX-License-Identifier: Apache-2.0 */
/* policies.c - policy files.      Runs on: control thread.
 * Tiers are read before the ladder, which names them, whatever their order in the file. */
#include "config/policies.h"

#include <string.h>

#include "config/keys.h"
#include "config/ladder.h"
#include "config/tier_names.h"
#include "config/parse.h"
#include "config/value.h"
#include "config/zone.h"
#include "core/cost.h"

#define IMAGES_PER_DAY_MAX INT64_C(1000000000)
#define MAX_WAIT_MAX_MS    INT64_C(86400000)
#define TIER_NAME_MAX      32
#define MESSAGE_MAX        1000
#define LANGUAGE_MAX       8

/* --- tiers --- */

static const struct key images_keys[] = {
    {"per_day", NODE_SCALAR, KEY_REQUIRED, key_int64, offsetof(struct limit_rule, units), 0,
     IMAGES_PER_DAY_MAX, "a whole number of images, 0 to 1000000000"},
};

static enum status read_images(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    struct tier *tier = object;

    UNUSED(key);
    if (node->kind == NODE_SCALAR)
        return text_equal(node->text, TEXT("unlimited")) ? ST_OK : ST_INVALID;
    if (node->kind != NODE_MAPPING)
        return ST_INVALID;
    struct limit_rule *rule = &tier->rules[0];
    enum status st = keys_read(r, node, images_keys, ARRAY_LEN(images_keys), rule);
    if (st)
        return st;
    rule->kind = LIMIT_DAY;
    rule->units *= UNITS_PER_IMAGE;
    tier->rules_len = 1;
    return ST_OK;
}

static const struct key tier_keys[] = {
    {"images", NODE_NONE, KEY_REQUIRED, read_images, 0, 0, 0, "unlimited or {per_day: N}"},
    {"priority", NODE_SCALAR, 0, key_int, offsetof(struct tier, priority), 0, 1000,
     "a whole number, 0 to 1000"},
    {"max_images_per_request", NODE_SCALAR, 0, key_int64,
     offsetof(struct tier, max_images_per_request), 1, JOB_IMAGES_MAX, "a whole number, 1 to 10"},
    {"max_wait", NODE_SCALAR, 0, key_duration_ms, offsetof(struct tier, max_wait_ms), 0,
     MAX_WAIT_MAX_MS, "a duration such as 0s, 250ms, 30s or 5min, at most 24h"},
};

static enum status read_tier(struct reader *r, const struct node *node, struct policy *policy)
{
    struct tier *tier = &policy->tiers[policy->tiers_len];
    char echo[READER_ECHO_MAX];

    if (!value_is_name(node->key->text, TIER_NAME_MAX))
        return reader_fail(r, node->key,
                           "wrong name '%s' for a tier, expected 1 to %d letters, digits, '_', "
                           "'-', '.'",
                           reader_echo(node->key, echo), TIER_NAME_MAX);
    *tier = (struct tier){
        .name = memory_text(r->memory, node->key->text),
        .index = policy->tiers_len,
        .max_images_per_request = JOB_IMAGES_MAX,
    };
    if (!tier->name)
        return reader_no_memory(r);
    enum status st = keys_read(r, node, tier_keys, ARRAY_LEN(tier_keys), tier);
    if (!st)
        policy->tiers_len++;
    return st;
}

static enum status read_tiers(struct reader *r, const struct key *key, const struct node *mapping,
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

/* --- messages --- */

/* The primary subtag of BCP 47: it is matched against ranges that are cut to theirs. */
static bool is_language(struct text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.ptr[i] < 'a' || t.ptr[i] > 'z')
            return false;
    return t.len >= 2 && t.len <= LANGUAGE_MAX;
}

static enum status read_message(struct reader *r, const struct node *node, struct policy *policy)
{
    char echo[READER_ECHO_MAX];

    if (!is_language(node->key->text))
        return reader_fail(r, node->key,
                           "wrong language '%s', expected a lower-case subtag such as en or ko",
                           reader_echo(node->key, echo));
    if (node->kind != NODE_SCALAR || !value_is_line(node->text) || node->text.len > MESSAGE_MAX)
        return key_wrong(r, node, "unavailable_message", "one line of at most 1000 bytes", false);
    struct message made = {memory_text(r->memory, node->key->text),
                           memory_text(r->memory, node->text)};
    if (!made.language || !made.text)
        return reader_no_memory(r);
    policy->messages[policy->messages_len++] = made;
    return ST_OK;
}

static enum status read_messages(struct reader *r, const struct key *key,
                                 const struct node *mapping, void *object)
{
    struct policy *policy = object;

    UNUSED(key);
    if (mapping->len < 1 || mapping->len > MESSAGES_MAX)
        return reader_fail(r, mapping, "%d languages, expected 1 to %d", mapping->len,
                           MESSAGES_MAX);
    for (const struct node *node = mapping->first; node; node = node->next) {
        enum status st = read_message(r, node, policy);
        if (st)
            return st;
    }
    return ST_OK;
}

/* --- the file --- */

static enum status read_timezone(struct reader *r, const struct key *key, const struct node *node,
                                 void *object)
{
    struct policy *policy = object;

    UNUSED(key);
    if (!zone_exists(node->text))
        return ST_INVALID;
    policy->timezone = memory_text(r->memory, node->text);
    return policy->timezone ? ST_OK : reader_no_memory(r);
}

static enum status read_shed(struct reader *r, const struct key *key, const struct node *node,
                             void *object)
{
    UNUSED(key);
    return ladder_read(r, node, object);
}

static const struct key policy_keys[] = {
    {"timezone", NODE_SCALAR, 0, read_timezone, 0, 0, 0,
     "a zone of the tz database (package tzdata) such as Europe/Berlin, or UTC"},
    {"tiers", NODE_MAPPING, KEY_REQUIRED, read_tiers, 0, 0, 0,
     "a mapping of tiers such as free: {images: {per_day: 3}}"},
    {"shed", NODE_MAPPING, 0, read_shed, 0, 0, 0, "{gpu_temperature: [...], queue_depth: [...]}"},
    {"unavailable_message", NODE_MAPPING, 0, read_messages, 0, 0, 0,
     "a mapping of languages to texts"},
};

/* The file's name without folder and ending. */
static const char *policy_name(struct reader *r, const char *file)
{
    const char *slash = strrchr(file, '/');
    struct text name = text_of(slash ? slash + 1 : file);
    const char *dot = memrchr(name.ptr, '.', name.len);

    if (dot && dot > name.ptr)
        name.len = (size_t)(dot - name.ptr);
    return memory_text(r->memory, name);
}

/* Last of all, for names stay in the registry even where the policy does not. */
static enum status take_stats_indexes(struct reader *r, const struct node *root,
                                      struct policy *policy)
{
    for (int i = 0; i < policy->tiers_len; i++) {
        struct tier *tier = &policy->tiers[i];
        tier->stats_index = tier_names_index(tier->name);
        if (tier->stats_index < 0)
            return reader_fail(r, root,
                               "no place for the tier '%s' in the metrics, expected at most %d "
                               "names of tiers between two starts",
                               tier->name, TIER_NAMES_MAX);
    }
    return ST_OK;
}

static enum status read_policy(struct reader *r, const char *file, const struct node *root,
                               struct policy *out)
{
    struct policy policy = {.name = policy_name(r, file), .timezone = "UTC"};

    if (!policy.name)
        return reader_no_memory(r);
    enum status st = keys_read(r, root, policy_keys, ARRAY_LEN(policy_keys), &policy);
    if (st)
        return st;
    if (policy.messages_len == 0)
        policy.messages[policy.messages_len++] =
            (struct message){"en", "image generation unavailable"};
    if (zone_build(policy.timezone, r->now_s, r->memory, &policy.zone))
        return reader_no_memory(r);
    st = take_stats_indexes(r, root, &policy);
    if (!st)
        *out = policy;
    return st;
}

enum status policies_read(struct reader *r, const char *file, const struct node *at,
                          struct policy *out)
{
    const struct node *root;
    enum status st = parse_file(r, file, PARSE_BYTES_MAX, at, &root);

    return st ? st : read_policy(r, file, root, out);
}

enum status policies_read_text(struct reader *r, const char *file, struct text document,
                               struct policy *out)
{
    const struct node *root;
    enum status st = parse_text(r, file, document, &root);

    return st ? st : read_policy(r, file, root, out);
}

enum status policy_load(const char *file, int64_t now_s, struct config_memory *memory,
                        char error[CONFIG_ERROR_MAX], struct policy *out)
{
    struct reader r;

    reader_init(&r, memory, NULL, now_s, error);
    enum status st = policies_read(&r, file, NULL, out);
    reader_fini(&r);
    return st;
}
