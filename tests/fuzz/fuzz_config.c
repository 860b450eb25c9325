/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_config.c - whatever stands in a main, policy or account file: it loads, or there is an error with its place.
 * The first byte says which of the two readers that need no other file is tried. */
#include <stdlib.h>
#include <string.h>

#include "config/policies.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

#define NOW_S INT64_C(1795262400)

static const char *const dialects[] = {"openai", NULL};
static const struct config_known known = {dialects};

static void check(enum status st, const char *error)
{
    ASSERT(st == ST_OK || st == ST_INVALID || st == ST_NOMEM);
    ASSERT(strlen(error) < CONFIG_ERROR_MAX);
    ASSERT((st == ST_OK) == (error[0] == '\0'));
    if (st == ST_INVALID)
        ASSERT(strncmp(error, "/nonexistent/", strlen("/nonexistent/")) == 0);
}

static void try_main(struct text document)
{
    char error[CONFIG_ERROR_MAX];
    struct config *config = NULL;

    check(config_load_text("/nonexistent/main.yaml", document, &known, NOW_S, error, &config),
          error);
    config_unref(&config);
}

/* A policy that loads can be applied: to each tier and team, for every model that a rule names. */
static void apply_to(const struct policy *policy, int tier, int team, struct text model)
{
    const struct account account = {.tier = tier, .team = team};
    const struct job job = {.operation = OPERATION_GENERATE, .images = 1, .model = model};
    struct terms terms;

    policy_terms(policy, &account, &job, NOW_S, &terms);
    ASSERT(!terms.is_over_limits_max);
    for (int i = 0; i < terms.limits_len; i++) {
        const struct limit *limit = &terms.limits[i];

        ASSERT(limit->rule.units >= 0 && limit->image_units >= 0);
        ASSERT(!limit_is_calendar(limit->rule.kind) ||
               (limit->window.start_s <= NOW_S && NOW_S < limit->window.end_s));
    }
}

static void apply(const struct policy *policy)
{
    for (int i = 0; i < policy->tiers_len; i++)
        for (int team = -1; team < policy->teams_len; team++) {
            apply_to(policy, i, team, TEXT_NONE);
            for (int k = 0; k < policy->tiers[i].rules_len; k++)
                apply_to(policy, i, team, text_of(policy->tiers[i].rules[k].model));
        }
}

static void try_policy(struct text document)
{
    char error[CONFIG_ERROR_MAX];
    struct policy policy;
    struct reader r;
    struct config_memory *memory = config_memory_new();

    ASSERT(memory);
    reader_init(&r, memory, NULL, NOW_S, error);
    /* The 64 names of tiers are soon used up: an error like any other. */
    enum status st = policies_read_text(&r, "/nonexistent/policy.yaml", document, &policy);

    check(st, error);
    if (st == ST_OK)
        apply(&policy);
    reader_fini(&r);
    config_memory_free(&memory);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    if (len == 0)
        return 0;
    struct text document = {(const char *)bytes + 1, len - 1};
    if (bytes[0] & 1)
        try_main(document);
    else
        try_policy(document);
    return 0;
}
