/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy.c - terms of tiers, and messages by table. */

#include "core/policy.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "unit/cases.h"
#include "unit/core/random.h"

static const struct zone_offset seoul[] = {{0, 9 * 3600}};
static const struct zone_offset berlin[] = {{0, 3600}};

#define DAY_S            INT64_C(86400)
#define NOW_S            INT64_C(1795294260) /* 2026-11-21T20:51 in UTC is already the 22nd in Seoul */
#define SEOUL_MIDNIGHT_S INT64_C(1795273200)

static const struct price prices[] = {
    {.model = "dall-e-3", .size_class = -1, .units = 4000},
    {.size_class = -1, .units = 1500},
};

static struct team teams[] = {
    {.name = "acme",
     .rules_len = 1,
     .rules =
         {{.kind = LIMIT_DAY, .scope = SCOPE_TEAM, .measure = MEASURE_IMAGES, .units = 1000000}}},
    {.name = "acme-labs", .rules_len = 0},
    {.name = "zeta",
     .rules_len = 2,
     .rules =
         {{.kind = LIMIT_MONTH, .scope = SCOPE_TEAM, .measure = MEASURE_CREDITS, .units = 5000},
          {.kind = LIMIT_RATE,
           .scope = SCOPE_TEAM,
           .measure = MEASURE_IMAGES,
           .units = 1000,
           .period_us = 1000000,
           .burst_units = 1000}}},
};

enum { FREE, STAFF, MIXED, TIERS_LEN };

static struct policy policy = {
    .name = "test",
    .zone = {1, seoul},
    .prices = {.len = 2, .prices = prices},
    .tiers_len = TIERS_LEN,
    .tiers = {{.name = "free",
               .index = FREE,
               .max_images_per_request = 1,
               .on_store_down = STORE_DOWN_CLOSED,
               .rules_len = 1,
               .rules = {{.kind = LIMIT_DAY,
                          .scope = SCOPE_ACCOUNT,
                          .measure = MEASURE_IMAGES,
                          .units = 3000}}},
              {.name = "staff",
               .index = STAFF,
               .priority = 2,
               .max_images_per_request = 10,
               .max_wait_ms = 30000},
              {.name = "mixed",
               .index = MIXED,
               .max_images_per_request = 4,
               .rules_len = 5,
               .rules = {{.kind = LIMIT_IN_FLIGHT,
                          .scope = SCOPE_ACCOUNT,
                          .measure = MEASURE_IMAGES,
                          .units = 2000},
                         {.kind = LIMIT_WEEK,
                          .scope = SCOPE_ACCOUNT,
                          .measure = MEASURE_CREDITS,
                          .units = 900000,
                          .is_dry_run = true},
                         {.kind = LIMIT_DAY,
                          .scope = SCOPE_MODEL,
                          .measure = MEASURE_IMAGES,
                          .units = 1000,
                          .model = "dall-e-3"},
                         {.kind = LIMIT_DAY,
                          .scope = SCOPE_MODEL,
                          .measure = MEASURE_IMAGES,
                          .units = 5000,
                          .model = "dall-*"},
                         {.kind = LIMIT_DAY,
                          .scope = SCOPE_MODEL,
                          .measure = MEASURE_IMAGES,
                          .units = 9000,
                          .model = "sdxl"}}}},
    .teams_len = ARRAY_LEN(teams),
    .teams = teams,
    .messages_len = 3,
    .messages = {{"en", "unavailable"}, {"ko", "불가"}, {"pt", "indisponível"}},
};

static const struct account_digest alice = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static struct terms terms_for(struct account account, struct job job)
{
    struct terms terms;

    account.digest = alice;
    policy_terms(&policy, &account, &job, NOW_S, &terms);
    return terms;
}

static struct terms terms_of(int tier, enum operation operation)
{
    return terms_for((struct account){.tier = tier, .team = -1},
                     (struct job){.operation = operation, .images = 1});
}

static struct terms terms_with_model(int tier, int team, struct text model)
{
    return terms_for((struct account){.tier = tier, .team = team},
                     (struct job){.operation = OPERATION_GENERATE, .images = 1, .model = model});
}

static bool is_same(struct account_digest a, struct account_digest b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

Test(policy, terms_of_a_limited_tier)
{
    struct terms terms = terms_of(FREE, OPERATION_GENERATE);

    cr_expect_eq(terms.tier, FREE);
    cr_expect_eq(terms.priority, 0);
    cr_expect_eq(terms.max_images_per_request, 1);
    cr_expect_eq(terms.max_wait_ms, 0);
    cr_expect_eq(terms.on_store_down, STORE_DOWN_CLOSED);
    cr_expect_not(terms.is_over_limits_max);
    cr_assert_eq(terms.limits_len, 1);
    cr_expect_eq(terms.limits[0].rule.kind, LIMIT_DAY);
    cr_expect_eq(terms.limits[0].rule.units, 3000);
    cr_expect_eq(terms.limits[0].image_units, 1000);
    cr_expect(is_same(terms.limits[0].subject, alice));
    cr_expect_eq(terms.limits[0].window.start_s, SEOUL_MIDNIGHT_S);
    cr_expect_eq(terms.limits[0].window.end_s, SEOUL_MIDNIGHT_S + DAY_S);
}

Test(policy, terms_of_an_unlimited_tier)
{
    struct terms terms = terms_of(STAFF, OPERATION_GENERATE);

    cr_expect_eq(terms.tier, STAFF);
    cr_expect_eq(terms.priority, 2);
    cr_expect_eq(terms.max_wait_ms, 30000);
    cr_expect_eq(terms.limits_len, 0);
}

Test(policy, a_safe_path_has_no_limits)
{
    struct terms terms = terms_of(FREE, OPERATION_PASS);

    cr_expect_eq(terms.limits_len, 0);
    cr_expect_eq(terms.max_images_per_request, 1);
}

Test(policy, rules_of_models_apply_where_the_model_fits)
{
    cr_expect_eq(terms_with_model(MIXED, -1, TEXT_NONE).limits_len, 2);
    cr_expect_eq(terms_with_model(MIXED, -1, TEXT("other")).limits_len, 2);
    cr_expect_eq(terms_with_model(MIXED, -1, TEXT("sdxl")).limits_len, 3);
    cr_expect_eq(terms_with_model(MIXED, -1, TEXT("dall-e-2")).limits_len, 3);
    struct terms terms = terms_with_model(MIXED, -1, TEXT("dall-e-3"));

    cr_assert_eq(terms.limits_len, 4);
    cr_expect_eq(terms.limits[2].rule.units, 1000);
    cr_expect_eq(terms.limits[3].rule.units, 5000);
    cr_expect_not(is_same(terms.limits[2].subject, terms.limits[3].subject));
    cr_expect(is_same(terms.limits[3].subject,
                      terms_with_model(MIXED, -1, TEXT("dall-e-2")).limits[2].subject),
              "one row for all models of a pattern");
}

Test(policy, credits_by_the_price_list)
{
    struct terms terms = terms_with_model(MIXED, -1, TEXT("dall-e-3"));

    cr_expect_eq(terms.limits[0].rule.kind, LIMIT_IN_FLIGHT);
    cr_expect_eq(terms.limits[0].image_units, 1000);
    cr_expect_eq(terms.limits[0].window.end_s, 0);
    cr_expect_eq(terms.limits[1].rule.kind, LIMIT_WEEK);
    cr_expect(terms.limits[1].rule.is_dry_run);
    cr_expect_eq(terms.limits[1].image_units, 4000);
    cr_expect_eq(terms_with_model(MIXED, -1, TEXT_NONE).limits[1].image_units, 1500);
}

Test(policy, the_least_terms_refuse_nobody_who_might_be_admitted)
{
    struct account account = {.tier = MIXED, .team = 0};
    struct terms least;

    policy_least_terms(&policy, &account, NOW_S, &least);
    cr_assert_gt(least.limits_len, 0);
    for (int i = 0; i < least.limits_len; i++) {
        cr_expect_neq(least.limits[i].rule.scope, SCOPE_MODEL);
        if (least.limits[i].rule.measure == MEASURE_CREDITS)
            cr_expect_eq(least.limits[i].image_units, 1500);
    }
    cr_expect_eq(least.limits[least.limits_len - 1].rule.scope, SCOPE_TEAM);
}

Test(policy, the_least_terms_stand_where_no_rule_asks_what_image_it_is)
{
    static const struct {
        int tier, team;
        bool stand;
    } cases[] = {{FREE, -1, true}, {FREE, 0, true},   {STAFF, -1, true},
                 {STAFF, 0, true}, {STAFF, 2, false}, {MIXED, -1, false}};
    struct terms least;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct account account = {.tier = cases[i].tier, .team = cases[i].team};
        policy_least_terms(&policy, &account, NOW_S, &least);
        cr_expect_eq(policy_terms_stand(&least, NOW_S), cases[i].stand, "case %zu", i);
    }
}

/* And while they do, they are what any job gets. */
Test(policy, the_least_terms_stand_until_a_window_ends)
{
    struct account account = {.digest = alice, .tier = FREE, .team = 0};
    struct job job = {.operation = OPERATION_GENERATE, .images = 4, .model = TEXT("dall-e-3")};
    struct terms least, terms;

    policy_least_terms(&policy, &account, NOW_S, &least);
    cr_expect(policy_terms_stand(&least, SEOUL_MIDNIGHT_S));
    cr_expect(policy_terms_stand(&least, SEOUL_MIDNIGHT_S + DAY_S - 1));
    cr_expect_not(policy_terms_stand(&least, SEOUL_MIDNIGHT_S - 1));
    cr_expect_not(policy_terms_stand(&least, SEOUL_MIDNIGHT_S + DAY_S));
    policy_terms(&policy, &account, &job, SEOUL_MIDNIGHT_S + DAY_S - 1, &terms);
    cr_assert_eq(terms.limits_len, least.limits_len);
    for (int i = 0; i < terms.limits_len; i++) {
        cr_expect_eq(terms.limits[i].window.ordinal, least.limits[i].window.ordinal);
        cr_expect_eq(terms.limits[i].window.start_s, least.limits[i].window.start_s);
        cr_expect_eq(terms.limits[i].window.end_s, least.limits[i].window.end_s);
        cr_expect_eq(terms.limits[i].image_units, least.limits[i].image_units);
        cr_expect(is_same(terms.limits[i].subject, least.limits[i].subject));
    }
}

Test(policy, a_team_comes_last_with_a_row_for_all_its_accounts)
{
    struct terms terms = terms_with_model(FREE, 0, TEXT_NONE);

    cr_assert_eq(terms.limits_len, 2);
    cr_expect_eq(terms.limits[0].rule.scope, SCOPE_ACCOUNT);
    cr_expect_eq(terms.limits[1].rule.scope, SCOPE_TEAM);
    cr_expect(is_same(terms.limits[1].subject, account_of_team(TEXT("acme"))));
    cr_expect_eq(terms_with_model(FREE, 1, TEXT_NONE).limits_len, 1, "a team without limits");
    terms = terms_with_model(STAFF, 2, TEXT_NONE);
    cr_assert_eq(terms.limits_len, 2);
    cr_expect_eq(terms.limits[0].image_units, 1500);
    cr_expect_eq(terms.limits[1].image_units, 1000);
}

/* An account may live elsewhere; its team stays where the policy is. */
Test(policy, an_account_has_its_own_midnight)
{
    const struct zone zone = {1, berlin};
    struct terms terms = terms_for((struct account){.tier = FREE, .team = 0, .zone = &zone},
                                   (struct job){.operation = OPERATION_GENERATE, .images = 1});

    cr_expect_eq(terms.limits[0].window.end_s, SEOUL_MIDNIGHT_S + 8 * 3600);
    cr_expect_eq(terms.limits[1].window.end_s, SEOUL_MIDNIGHT_S + DAY_S);
}

/* Windows of accounts are moved by a fixed while below stagger_s, and their reset is where they say. */
Test(policy, staggered_windows)
{
    int moved[6] = {0};
    uint64_t state = 31;

    policy.stagger_s = 1800;
    for (int n = 0; n < 3000; n++) {
        struct account account = {.tier = FREE, .team = -1};
        const struct job job = {.operation = OPERATION_GENERATE, .images = 1};
        struct terms now, last, next;

        for (size_t i = 0; i < sizeof(account.digest.bytes); i++)
            account.digest.bytes[i] = (unsigned char)random_next(&state);
        policy_terms(&policy, &account, &job, NOW_S, &now);
        struct window w = now.limits[0].window;
        int64_t shift_s = w.start_s - SEOUL_MIDNIGHT_S;

        cr_assert(shift_s >= 0 && shift_s < 1800);
        cr_assert_eq(w.end_s - w.start_s, DAY_S);
        policy_terms(&policy, &account, &job, w.end_s - 1, &last);
        policy_terms(&policy, &account, &job, w.end_s, &next);
        cr_assert_eq(last.limits[0].window.ordinal, w.ordinal);
        cr_assert_eq(next.limits[0].window.ordinal, w.ordinal + 1);
        cr_assert_eq(next.limits[0].window.start_s, w.end_s);
        moved[shift_s / 300]++;
    }
    policy.stagger_s = 0;
    for (size_t i = 0; i < ARRAY_LEN(moved); i++)
        cr_expect(moved[i] > 400 && moved[i] < 600, "%d in the %zuth five minutes", moved[i], i);
}

Test(policy, more_limits_than_fit_are_told)
{
    struct tier crowded = policy.tiers[MIXED];
    struct tier kept = policy.tiers[MIXED];

    crowded.rules_len = 8;
    for (int i = 0; i < 8; i++)
        crowded.rules[i] = policy.tiers[FREE].rules[0];
    policy.tiers[MIXED] = crowded;
    struct terms terms = terms_with_model(MIXED, -1, TEXT_NONE);

    policy.tiers[MIXED] = kept;
    cr_expect_eq(terms.limits_len, LIMITS_MAX);
    cr_expect(terms.is_over_limits_max);
}

Test(policy, the_most_limits_of_any_model_and_team)
{
    cr_expect_eq(policy_most_limits(&policy, &policy.tiers[FREE]), 1 + 2);
    cr_expect_eq(policy_most_limits(&policy, &policy.tiers[STAFF]), 2);
    cr_expect_eq(policy_most_limits(&policy, &policy.tiers[MIXED]), 4 + 2, "dall-e-3");
}

/* The bound is met by some name, and passed by none. */
Test(policy, the_most_limits_against_all_names)
{
    static const char *const patterns[] = {"a", "ab", "a*", "ab*", "abc", "b*", "*", "ba"};
    static const char *const names[] = {"", "a", "b", "ab", "ba", "abc", "bc", "abcd", "aa", "c"};
    uint64_t state = 32;

    for (int n = 0; n < 5000; n++) {
        struct policy p = {.tiers_len = 1};
        struct tier *tier = &p.tiers[0];
        int most = 0;

        tier->rules_len = (int)random_between(&state, 0, LIMITS_MAX);
        for (int i = 0; i < tier->rules_len; i++)
            tier->rules[i] =
                (struct limit_rule){.kind = LIMIT_IN_FLIGHT,
                                    .scope = random_next(&state) % 3 ? SCOPE_MODEL : SCOPE_ACCOUNT,
                                    .measure = MEASURE_IMAGES,
                                    .model = patterns[random_next(&state) % ARRAY_LEN(patterns)]};
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            const struct account account = {.team = -1};
            const struct job job = {.operation = OPERATION_GENERATE, .model = text_of(names[i])};
            struct terms terms;

            policy_terms(&p, &account, &job, NOW_S, &terms);
            most = MAX(most, terms.limits_len);
        }
        cr_assert_eq(policy_most_limits(&p, tier), most);
    }
}

Test(policy, teams_are_found_by_name)
{
    cr_expect_eq(policy_team(&policy, TEXT("acme")), 0);
    cr_expect_eq(policy_team(&policy, TEXT("acme-labs")), 1);
    cr_expect_eq(policy_team(&policy, TEXT("zeta")), 2);
    cr_expect_eq(policy_team(&policy, TEXT("acm")), -1);
    cr_expect_eq(policy_team(&policy, TEXT("acme-lab")), -1);
    cr_expect_eq(policy_team(&policy, TEXT("zz")), -1);
    cr_expect_eq(policy_team(&policy, TEXT_NONE), -1);
}

Test(policy, tiers_are_found_by_name)
{
    cr_expect_eq(policy_tier(&policy, TEXT("free")), 0);
    cr_expect_eq(policy_tier(&policy, TEXT("staff")), 1);
    cr_expect_eq(policy_tier(&policy, TEXT("Free")), -1);
    cr_expect_eq(policy_tier(&policy, TEXT("fre")), -1);
    cr_expect_eq(policy_tier(&policy, TEXT_NONE), -1);
}

Test(policy, messages)
{
    struct cases c;

    cases_open(&c, "tests/unit/core/messages.cases");
    while (cases_next(&c)) {
        struct text wanted = text_of(cases_text(&c, "accept_language"));

        cases_expect_text(&c, "language", policy_message(&policy, wanted)->language);
    }
    cases_close(&c);
}

Test(policy, no_field_at_all_gives_the_first_message)
{
    cr_expect_str_eq(policy_message(&policy, TEXT_NONE)->language, "en");
}

/* A field as long as a head allows: answered by its first 64 elements. */
Test(policy, ranges_far_back_are_not_read)
{
    char text[3 * 70 + 3] = "";

    for (int i = 0; i < 63; i++)
        strcat(text, "fr,");
    size_t len = strlen(text);

    strcpy(text + len, "ko");
    cr_expect_str_eq(policy_message(&policy, text_of(text))->language, "ko");
    strcpy(text + len, "fr,ko");
    cr_expect_str_eq(policy_message(&policy, text_of(text))->language, "en");
}

/* Bytes at random from what the grammar is made of, in memory that ends where the text does. */
Test(policy, any_bytes_give_some_message)
{
    static const char alphabet[] = "koenpt*-;,=q01. \t\xff";
    uint64_t state = 6;

    for (int n = 0; n < 20000; n++) {
        size_t len = (size_t)random_between(&state, 0, 24);
        char *bytes = malloc(len ? len : 1);

        cr_assert(bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = alphabet[random_next(&state) % (sizeof(alphabet) - 1)];
        const struct message *message = policy_message(&policy, (struct text){bytes, len});

        cr_assert(message >= policy.messages && message < policy.messages + policy.messages_len);
        free(bytes);
    }
}
