/* SPDX-License-Identifier: Apache-2.0 */
/* policies.c - policy files.      Runs on: control thread.
 * Sizes are read before the prices that name them, and tiers before the ladder, whatever their order in the file. */
#include "config/policies.h"

#include <string.h>

#include "config/keys.h"
#include "config/ladder.h"
#include "config/limits.h"
#include "config/parse.h"
#include "config/prices.h"
#include "config/service.h"
#include "config/teams.h"
#include "config/tier_names.h"
#include "config/tiers.h"
#include "config/value.h"
#include "config/zone.h"

#define MESSAGE_MAX  1000
#define LANGUAGE_MAX 8
/* Half a day: resets stay on the day that they are about. */
#define STAGGER_MAX_MS (INT64_C(12) * 3600 * 1000)

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

static enum status read_stagger(struct reader *r, const struct key *key, const struct node *node,
                                void *object)
{
    struct policy *policy = object;
    int64_t ms;
    enum status st = value_duration_ms(node->text, &ms);

    UNUSED(r);
    UNUSED(key);
    if (st || ms > STAGGER_MAX_MS || ms % 1000 != 0)
        return ST_INVALID;
    policy->stagger_s = ms / 1000;
    return ST_OK;
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
    {"stagger", NODE_SCALAR, 0, read_stagger, 0, 0, 0,
     "a duration of whole seconds such as 30min, at most 12h"},
    {"sizes", NODE_MAPPING, 0, sizes_read, 0, 0, 0, "a mapping such as {small: 512x512}"},
    {"prices", NODE_LIST, 0, prices_read, 0, 0, 0,
     "a list of {model, quality, size, max_steps, credits}"},
    {"tiers", NODE_MAPPING, KEY_REQUIRED, tiers_read, 0, 0, 0,
     "a mapping of tiers such as free: {images: {per_day: 3}}"},
    {"teams", NODE_MAPPING, 0, teams_read, 0, 0, 0,
     "a mapping of teams such as acme: {images: {per_day: 1000}}"},
    {"service", NODE_MAPPING, 0, service_read, 0, 0, 0,
     "limits of all accounts together such as {images: {per_minute: 1200}}"},
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
    if (!st)
        st = tiers_check_limits(r, node_find(root, TEXT("tiers")), &policy);
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
