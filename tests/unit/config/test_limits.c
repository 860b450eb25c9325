/* SPDX-License-Identifier: Apache-2.0 */
/* test_limits.c - limits and teams as operators write them. */
#include "config/limits.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "unit/config/fixture.h"

static struct policy policy;

TestSuite(limits, .init = fixture_open, .fini = fixture_close);

#define MIN_US INT64_C(60000000)

static void load(const char *text)
{
    cr_assert_eq(fixture_load_policy(text, &policy), ST_OK, "%s", fixture_error);
}

static void expect_rule(const struct limit_rule *rule, const struct limit_rule *expected)
{
    cr_expect_eq(rule->kind, expected->kind);
    cr_expect_eq(rule->scope, expected->scope);
    cr_expect_eq(rule->measure, expected->measure);
    cr_expect_eq(rule->units, expected->units, "%lld", (long long)rule->units);
    cr_expect_eq(rule->period_us, expected->period_us, "%lld", (long long)rule->period_us);
    cr_expect_eq(rule->burst_units, expected->burst_units);
    cr_expect_eq(rule->is_dry_run, expected->is_dry_run);
    cr_expect_eq(rule->model == NULL, expected->model == NULL);
    if (rule->model && expected->model)
        cr_expect_str_eq(rule->model, expected->model);
}

/* The policy, word for word. */
Test(limits, the_promised_schema_loads)
{
    load("timezone: Asia/Seoul\n"
         "stagger: 30min\n"
         "sizes: {small: 512x512, medium: 1024x1024, large: 4096x4096}      # size classes\n"
         "prices:                                # credits an image; the first row that fits\n"
         "  - {model: \"dall-e-3\", quality: hd, credits: 4}\n"
         "  - {size: large, credits: 2.5}\n"
         "  - {credits: 1}\n"
         "tiers:\n"
         "  free:\n"
         "    images: {per_day: 3, rate: 2/min burst 3, in_flight: 1}\n"
         "    credits: {per_month: 100}\n"
         "    models: {\"dall-e-3\": {images: {per_day: 1}}}\n"
         "    on_store_down: closed\n"
         "  plus:\n"
         "    images: {per_day: {limit: 200, dry_run: true}, per_week: 900, rolling: {limit: 50, "
         "period: 3h}}\n"
         "teams:\n"
         "  acme: {images: {per_day: 1000}}\n");
    static const struct limit_rule free_rules[] = {
        {LIMIT_DAY, SCOPE_ACCOUNT, MEASURE_IMAGES, 3000, 0, 0, NULL, false},
        {LIMIT_RATE, SCOPE_ACCOUNT, MEASURE_IMAGES, 2000, MIN_US, 3000, NULL, false},
        {LIMIT_IN_FLIGHT, SCOPE_ACCOUNT, MEASURE_IMAGES, 1000, 0, 0, NULL, false},
        {LIMIT_MONTH, SCOPE_ACCOUNT, MEASURE_CREDITS, 100000, 0, 0, NULL, false},
        {LIMIT_DAY, SCOPE_MODEL, MEASURE_IMAGES, 1000, 0, 0, "dall-e-3", false},
    };
    static const struct limit_rule plus_rules[] = {
        {LIMIT_WEEK, SCOPE_ACCOUNT, MEASURE_IMAGES, 900000, 0, 0, NULL, false},
        {LIMIT_DAY, SCOPE_ACCOUNT, MEASURE_IMAGES, 200000, 0, 0, NULL, true},
        {LIMIT_ROLLING, SCOPE_ACCOUNT, MEASURE_IMAGES, 50000, 180 * MIN_US, 0, NULL, false},
    };

    cr_assert_eq(policy.tiers[0].rules_len, (int)ARRAY_LEN(free_rules));
    for (size_t i = 0; i < ARRAY_LEN(free_rules); i++)
        expect_rule(&policy.tiers[0].rules[i], &free_rules[i]);
    cr_assert_eq(policy.tiers[1].rules_len, (int)ARRAY_LEN(plus_rules));
    for (size_t i = 0; i < ARRAY_LEN(plus_rules); i++)
        expect_rule(&policy.tiers[1].rules[i], &plus_rules[i]);
    cr_assert_eq(policy.teams_len, 1);
    cr_expect_str_eq(policy.teams[0].name, "acme");
    cr_expect_eq(policy.teams[0].rules[0].scope, SCOPE_TEAM);
    cr_expect_eq(policy.teams[0].rules[0].units, 1000000);
    cr_expect_eq(policy.stagger_s, 1800);
}

static const struct limit_rule *only_rule(const char *measure, const char *limit)
{
    char text[256];

    snprintf(text, sizeof(text), "tiers: {a: {%s: {%s}}}\n", measure, limit);
    load(text);
    cr_assert_eq(policy.tiers[0].rules_len, 1);
    return &policy.tiers[0].rules[0];
}

Test(limits, every_way_to_write_a_rolling_one)
{
    static const char *const ways[] = {"rolling: 50/3h", "rolling: {limit: 50, period: 3h}",
                                       "rolling: {limit: 50/3h}",
                                       "rolling: {period: 180min, limit: 50, dry_run: false}"};

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        const struct limit_rule *rule = only_rule("images", ways[i]);

        cr_expect_eq(rule->units, 50000);
        cr_expect_eq(rule->period_us, 180 * MIN_US);
        cr_expect_not(rule->is_dry_run);
    }
    cr_expect(only_rule("images", "rolling: {limit: 5/10s, dry_run: true}")->is_dry_run);
    cr_expect_eq(only_rule("credits", "rolling: 0.125/744h")->units, 125);
}

Test(limits, every_way_to_write_a_rate)
{
    const struct limit_rule *rule = only_rule("images", "rate: 2/min");

    cr_expect_eq(rule->burst_units, 2000, "as much as a period has");
    rule = only_rule("images", "rate: 10/s burst 40");
    cr_expect_eq(rule->period_us, 1000000);
    cr_expect_eq(rule->burst_units, 40000);
    rule = only_rule("images", "rate: {limit: 30/h burst 1, dry_run: true}");
    cr_expect_eq(rule->period_us, 60 * MIN_US);
    cr_expect_eq(rule->burst_units, 1000);
    cr_expect(rule->is_dry_run);
    rule = only_rule("credits", "rate: 0.5/min burst 2.25");
    cr_expect_eq(rule->units, 500);
    cr_expect_eq(rule->burst_units, 2250);
}

Test(limits, credits_are_exact_in_thousandths)
{
    cr_expect_eq(only_rule("credits", "per_day: 0.001")->units, 1);
    cr_expect_eq(only_rule("credits", "per_month: {limit: 2.5, dry_run: true}")->units, 2500);
    cr_expect_eq(only_rule("credits", "per_week: 4294967")->units, INT64_C(4294967000));
}

Test(limits, a_tier_of_credits_alone)
{
    load("tiers: {a: {credits: {per_day: 1}}, b: {credits: unlimited}}\n");
    cr_expect_eq(policy.tiers[1].rules_len, 0);
}

Test(limits, teams_are_ordered_by_name)
{
    load("tiers: {a: {images: unlimited}}\n"
         "teams: {zeta: {images: {per_day: 1}}, acme: {credits: {per_month: 2.5}, images: "
         "{in_flight: 4}}, mid: {images: unlimited}}\n");
    cr_assert_eq(policy.teams_len, 3);
    cr_expect_eq(policy_team(&policy, TEXT("acme")), 0);
    cr_expect_eq(policy_team(&policy, TEXT("mid")), 1);
    cr_expect_eq(policy_team(&policy, TEXT("zeta")), 2);
    cr_expect_eq(policy.teams[0].rules_len, 2);
    cr_expect_eq(policy.teams[0].rules[1].measure, MEASURE_CREDITS);
    cr_expect_eq(policy.teams[1].rules_len, 0);
}

/* As many as may hold for one request, and no more, whichever model and team it has. */
Test(limits, not_more_than_six_for_one_request)
{
    static const char six[] =
        "tiers: {a: {images: {per_day: 1, rate: 1/s, in_flight: 1}, models: {x: {images: {per_day: "
        "1}}, y: {images: {per_day: 1}}}}}\n"
        "teams: {t: {images: {per_day: 1, per_week: 1}}, u: {images: {per_day: 1}}}\n";
    static const char seven[] =
        "tiers: {a: {images: {per_day: 1}},\n"
        "        b: {images: {per_day: 1, rate: 1/s, in_flight: 1}, models: {x: {images: {per_day: "
        "1}}, \"x*\": {images: {per_day: 1}}}}}\n"
        "teams: {t: {images: {per_day: 1, per_week: 1}}, u: {images: {per_day: 1}}}\n";

    load(six);
    cr_expect_eq(policy_most_limits(&policy, &policy.tiers[0]), LIMITS_MAX);
    cr_expect_eq(fixture_load_policy(seven, &policy), ST_INVALID);
    cr_expect_str_eq(fixture_error, "p.yaml:2:12: up to 7 limits for one request of tier 'b', with "
                                    "its models and the largest team, expected at most 6");
}

Test(limits, a_tier_has_at_most_twelve_rules)
{
    char text[1024] = "tiers: {a: {images: unlimited, models: {";

    for (int i = 0; i < 13; i++)
        sprintf(text + strlen(text), "%sm%d: {images: {per_day: 1}}", i ? ", " : "", i);
    strcat(text, "}}}\n");
    cr_expect_eq(fixture_load_policy(text, &policy), ST_INVALID);
    cr_expect_not_null(strstr(fixture_error, "one limit too many, expected at most 12 in a tier"));
}

#define TIERS   "tiers: {a: {images: unlimited}}\n"
#define IMAGES  "tiers: {a: {images: {"
#define CREDITS "tiers: {a: {credits: {"

Test(limits, what_is_wrong_is_said_with_its_place)
{
    static const struct row {
        const char *text, *error;
    } rows[] = {
        {IMAGES "per_day: {dry_run: true}}}}\n",
         "p.yaml:1:31: no key 'limit' here, expected a whole number of images"},
        {IMAGES "per_day: {limit: 3, period: 3h}}}}\n", "p.yaml:1:42: unknown key 'period'"},
        {IMAGES "per_day: {limit: 3, dry_run: 1}}}}\n",
         "p.yaml:1:51: wrong value '1' for 'dry_run', expected true or false"},
        {IMAGES "per_day: [3]}}}\n", "p.yaml:1:31: a list for 'per_day', expected a whole number"},
        {IMAGES "per_days: 3}}}\n", "p.yaml:1:22: unknown key 'per_days', expected 'per_day'"},
        {CREDITS "per_day: 0.0001}}}\n",
         "p.yaml:1:32: wrong value '0.0001' for 'per_day', expected a number of credits"},
        {CREDITS "per_day: 4294968}}}\n", "p.yaml:1:32: wrong value '4294968'"},
        {CREDITS "in_flight: 1}}}\n", "p.yaml:1:23: unknown key 'in_flight', expected one of"},
        {IMAGES "in_flight: 0}}}\n",
         "p.yaml:1:33: wrong value '0' for 'in_flight', expected a whole number of images being"},
        {IMAGES "rolling: 50}}}\n", "p.yaml:1:31: no period, expected a number and a period"},
        {IMAGES "rolling: {limit: 50}}}}\n", "p.yaml:1:31: no period"},
        {IMAGES "rolling: {limit: 50/3h, period: 3h}}}}\n",
         "p.yaml:1:54: the period for the second time"},
        {IMAGES "rolling: 50/}}}\n", "p.yaml:1:31: wrong value '50/' for 'rolling'"},
        {IMAGES "rolling: 50/9s}}}\n", "p.yaml:1:31: wrong value '50/9s'"},
        {IMAGES "rolling: 50/745h}}}\n", "p.yaml:1:31: wrong value '50/745h'"},
        {IMAGES "rolling: 50/3h/3h}}}\n", "p.yaml:1:31: wrong value '50/3h/3h'"},
        {IMAGES "rolling: 3h}}}\n",
         "p.yaml:1:31: wrong value '3h' for 'rolling', expected a number "
         "and a period such as 50/3h"},
        {IMAGES "rate: 2}}}\n", "p.yaml:1:28: wrong value '2' for 'rate', expected a rate such as "
                                "2/min burst 3"},
        {IMAGES "rate: 2/day}}}\n", "p.yaml:1:28: wrong value '2/day'"},
        {IMAGES "rate: 2/min burst}}}\n", "p.yaml:1:28: wrong value '2/min burst'"},
        {IMAGES "rate: 2/min burst 3 4}}}\n", "p.yaml:1:28: wrong value '2/min burst 3 4'"},
        {IMAGES "rate: 2/min, burst: 3}}}\n", "p.yaml:1:35: unknown key 'burst'"},
        {IMAGES "rate: 2/min boost 3}}}\n", "p.yaml:1:28: wrong value '2/min boost 3'"},
        {IMAGES "rate: 0.5/min}}}\n", "p.yaml:1:28: wrong value '0.5/min'"},
        {IMAGES "rate: 0/min}}}\n", "p.yaml:1:28: a rate or burst of nothing"},
        {IMAGES "rate: 1/min burst 0}}}\n", "p.yaml:1:28: a rate or burst of nothing"},
        {IMAGES "rate: 1001/s}}}\n", "p.yaml:1:28: more than 1000 a second"},
        {IMAGES "rate: 1/h burst 8785}}}\n", "p.yaml:1:28: a burst that takes over 366 days"},
        {"tiers: {a: {images: unlimited, models: {\"a*b\": {images: {per_day: 1}}}}}\n",
         "p.yaml:1:41: wrong value 'a*b' for 'models', expected the name of a model"},
        {"tiers: {a: {images: unlimited, models: {x: {images: {in_flight: 1}}}}}\n",
         "p.yaml:1:54: unknown key 'in_flight'"},
        {"tiers: {a: {images: unlimited, models: {x: {}}}}\n",
         "p.yaml:1:44: no key 'images' or 'credits' here"},
        {"tiers: {a: {images: unlimited, models: {x: {per_day: 1}}}}\n",
         "p.yaml:1:45: unknown key 'per_day'"},
        {"tiers: {a: {models: {x: {images: {per_day: 1}}}}}\n",
         "p.yaml:1:12: no key 'images' or 'credits' here"},
        {TIERS "teams: {a b: {images: unlimited}}\n", "p.yaml:2:9: wrong name 'a b' for a team"},
        {TIERS "teams: {x: {}}\n", "p.yaml:2:12: no key 'images' or 'credits' here"},
        {TIERS "teams: {x: {models: {}}}\n", "p.yaml:2:13: unknown key 'models'"},
        {TIERS "teams: [x]\n", "p.yaml:2:8: a list for 'teams', expected a mapping of teams"},
        {TIERS "teams: {x: {images: {per_day: 1, per_week: 1, per_month: 1, rolling: 1/1h, rate: "
               "1/s, in_flight: 1}, credits: {per_day: 1}}}\n",
         "p.yaml:2:121: one limit too many, expected at most 6 in a team"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fixture_error[0] = '\0';
        cr_expect_eq(fixture_load_policy(rows[i].text, &policy), ST_INVALID, "%s", rows[i].text);
        cr_expect_eq(strncmp(fixture_error, rows[i].error, strlen(rows[i].error)), 0,
                     "%s: got \"%s\", not \"%s\"", rows[i].text, fixture_error, rows[i].error);
        cr_expect_not_null(strstr(fixture_error, "expected"), "%s", fixture_error);
    }
}

Test(limits, a_thousand_teams)
{
    static char text[64 * (TEAMS_MAX + 2)];
    char *end = text + sprintf(text, TIERS "teams:\n");

    for (int i = 0; i < TEAMS_MAX; i++)
        end += sprintf(end, "  t%d: {images: {per_day: %d}}\n", i, i);
    load(text);
    cr_expect_eq(policy.teams_len, TEAMS_MAX);
    for (int i = 0; i < TEAMS_MAX; i++) {
        char name[16];

        sprintf(name, "t%d", i);
        int team = policy_team(&policy, text_of(name));

        cr_assert_geq(team, 0);
        cr_expect_eq(policy.teams[team].rules[0].units, i * 1000);
    }
    sprintf(end, "  more: {images: unlimited}\n");
    cr_expect_eq(fixture_load_policy(text, &policy), ST_INVALID);
    cr_expect_str_eq(fixture_error, "p.yaml:1027:3: too many keys, expected at most 1024");
}
