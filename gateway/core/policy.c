/* SPDX-License-Identifier: Apache-2.0 */
/* policy.c - the terms of one request: the rules of its tier and its team, each for this instant, account and job. */

#include "core/policy.h"

#include <string.h>

/* What the rules are resolved for. */
struct situation {
    const struct policy *policy;
    const struct job *job; /* NULL: the least that any may be */
    int64_t now_s;
};

/* Those whose windows and rows a rule is about: an account or a team. */
struct owner {
    struct account_digest digest;
    const struct zone *zone;
};

static uint64_t low_half(const struct account_digest *digest)
{
    uint64_t value = 0;

    for (size_t i = sizeof(digest->bytes) / 2; i < sizeof(digest->bytes); i++)
        value = value << 8 | digest->bytes[i];
    return value;
}

/* By the half of the digest that chooses no bucket: the resets of a bucket's accounts are spread like all others. */
static int64_t shift_s(const struct policy *policy, const struct owner *owner)
{
    if (policy->stagger_s <= 0)
        return 0;
    return (int64_t)(low_half(&owner->digest) % (uint64_t)policy->stagger_s);
}

static struct window calendar_window(enum limit_kind kind, const struct zone *zone, int64_t now_s)
{
    switch (kind) {
    case LIMIT_DAY:
        return window_day(zone, now_s);
    case LIMIT_WEEK:
        return window_week(zone, now_s);
    case LIMIT_MONTH:
        return window_month(zone, now_s);
    case LIMIT_NONE:
    case LIMIT_ROLLING:
    case LIMIT_RATE:
    case LIMIT_IN_FLIGHT:
        break;
    }
    return (struct window){0};
}

static int64_t image_units(const struct limit_rule *rule, const struct situation *at)
{
    if (rule->measure != MEASURE_CREDITS)
        return UNITS_PER_IMAGE;
    return at->job ? cost_image_units(&at->policy->prices, at->job)
                   : cost_least_units(&at->policy->prices);
}

static struct window window_of(const struct limit_rule *rule, const struct owner *owner,
                               const struct situation *at)
{
    int64_t shift = shift_s(at->policy, owner);
    struct window window = calendar_window(rule->kind, owner->zone, at->now_s - shift);

    window.start_s += shift;
    window.end_s += shift;
    return window;
}

static void add_limit(const struct limit_rule *rule, const struct owner *owner,
                      const struct situation *at, struct terms *out)
{
    struct limit *limit = &out->limits[out->limits_len++];

    limit->rule = *rule;
    limit->subject = limit_subject(rule, owner->digest);
    limit->image_units = image_units(rule, at);
    limit->window = (struct window){0};
    if (!limit_is_calendar(rule->kind))
        return;
    limit->window = window_of(rule, owner, at);
    out->from_s = MAX(out->from_s, limit->window.start_s);
    out->until_s = MIN(out->until_s, limit->window.end_s);
}

static bool names_fit(const struct limit_rule *rule, struct text model)
{
    return rule->scope != SCOPE_MODEL || cost_name_fits(rule->model, model);
}

/* The least of jobs is of no model. */
static bool applies(const struct limit_rule *rule, const struct situation *at)
{
    return rule->scope != SCOPE_MODEL || (at->job && names_fit(rule, at->job->model));
}

static void add_rules(const struct limit_rule *rules, int len, const struct owner *owner,
                      const struct situation *at, struct terms *out)
{
    for (int i = 0; i < len; i++) {
        if (rules[i].scope == SCOPE_MODEL || rules[i].measure == MEASURE_CREDITS)
            out->fits_all_jobs = false;
        if (!applies(&rules[i], at))
            continue;
        if (out->limits_len == LIMITS_MAX) {
            out->is_over_limits_max = true;
            return;
        }
        add_limit(&rules[i], owner, at, out);
    }
}

/* What there is without limits. */
static void begin_terms(const struct tier *tier, struct terms *out)
{
    out->tier = tier->index;
    out->priority = tier->priority;
    out->max_images_per_request = tier->max_images_per_request;
    out->max_wait_ms = tier->max_wait_ms;
    out->on_store_down = tier->on_store_down;
    out->from_s = INT64_MIN;
    out->until_s = INT64_MAX;
    out->fits_all_jobs = true;
    out->is_over_limits_max = false;
    out->limits_len = 0;
}

static void resolve(const struct account *account, const struct situation *at, struct terms *out)
{
    const struct policy *policy = at->policy;

    ASSERT(account->tier >= 0 && account->tier < policy->tiers_len);
    ASSERT(account->team >= -1 && account->team < policy->teams_len);
    const struct tier *tier = &policy->tiers[account->tier];

    begin_terms(tier, out);
    if (at->job && at->job->operation == OPERATION_PASS) /* makes no image: nothing to limit */
        return;
    const struct owner payer = {account->digest, account->zone ? account->zone : &policy->zone};

    add_rules(tier->rules, tier->rules_len, &payer, at, out);
    if (account->team < 0)
        return;
    const struct team *team = &policy->teams[account->team];
    const struct owner all = {account_of_team(text_of(team->name)), &policy->zone};

    add_rules(team->rules, team->rules_len, &all, at, out);
}

void policy_terms(const struct policy *policy, const struct account *account, const struct job *job,
                  int64_t now_s, struct terms *out)
{
    const struct situation at = {policy, job, now_s};

    resolve(account, &at, out);
}

void policy_least_terms(const struct policy *policy, const struct account *account, int64_t now_s,
                        struct terms *out)
{
    const struct situation at = {policy, NULL, now_s};

    resolve(account, &at, out);
}

int policy_tier(const struct policy *policy, struct text name)
{
    for (int i = 0; i < policy->tiers_len; i++)
        if (text_equal(text_of(policy->tiers[i].name), name))
            return i;
    return -1;
}

/* As strcmp() orders them. */
static int compare(struct text a, struct text b)
{
    size_t len = MIN(a.len, b.len);
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

int policy_team(const struct policy *policy, struct text name)
{
    int low = 0;
    int high = policy->teams_len;

    while (low < high) {
        int middle = low + (high - low) / 2;
        int order = compare(text_of(policy->teams[middle].name), name);

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static int rules_for(const struct tier *tier, struct text model)
{
    int len = 0;

    for (int i = 0; i < tier->rules_len; i++)
        len += names_fit(&tier->rules[i], model);
    return len;
}

/* Names that fit many patterns at once: of all patterns that a name fits the longest, without its star, fits them all,
 * too.  So it is enough to try each rule's own. */
static struct text longest_name(const char *pattern)
{
    struct text name = text_of(pattern);

    if (name.len > 0 && name.ptr[name.len - 1] == '*')
        name.len--;
    return name;
}

int policy_most_limits(const struct policy *policy, const struct tier *tier)
{
    int most = rules_for(tier, TEXT_NONE);
    int most_team = 0;

    for (int i = 0; i < tier->rules_len; i++)
        if (tier->rules[i].scope == SCOPE_MODEL)
            most = MAX(most, rules_for(tier, longest_name(tier->rules[i].model)));
    for (int i = 0; i < policy->teams_len; i++)
        most_team = MAX(most_team, policy->teams[i].rules_len);
    return most + most_team;
}
