/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy.c - terms of tiers, and messages by table. */

#include "core/policy.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "unit/cases.h"
#include "unit/core/random.h"

static const struct zone_offset seoul[] = {{0, 9 * 3600}};

static const struct policy policy = {
    .name = "test",
    .zone = {1, seoul},
    .tiers_len = 2,
    .tiers = {{.name = "free",
               .index = 0,
               .max_images_per_request = 1,
               .rules_len = 1,
               .rules = {{LIMIT_DAY, 3000}}},
              {.name = "staff",
               .index = 1,
               .priority = 2,
               .max_images_per_request = 10,
               .max_wait_ms = 30000}},
    .messages_len = 3,
    .messages = {{"en", "unavailable"}, {"ko", "불가"}, {"pt", "indisponível"}},
};

static struct terms terms_of(int tier, enum operation operation, int64_t now_s)
{
    const struct account account = {.tier = tier};
    const struct job job = {.operation = operation, .images = 1};
    struct terms terms;

    policy_terms(&policy, &account, &job, now_s, &terms);
    return terms;
}

Test(policy, terms_of_a_limited_tier)
{
    /* 2026-11-21T20:51 in UTC is already the 22nd in Seoul. */
    struct terms terms = terms_of(0, OPERATION_GENERATE, 1795294260);

    cr_expect_eq(terms.tier, 0);
    cr_expect_eq(terms.priority, 0);
    cr_expect_eq(terms.max_images_per_request, 1);
    cr_expect_eq(terms.max_wait_ms, 0);
    cr_assert_eq(terms.limits_len, 1);
    cr_expect_eq(terms.limits[0].kind, LIMIT_DAY);
    cr_expect_eq(terms.limits[0].units, 3000);
    cr_expect_eq(terms.limits[0].window.start_s, 1795273200);
    cr_expect_eq(terms.limits[0].window.end_s, 1795273200 + 86400);
}

Test(policy, terms_of_an_unlimited_tier)
{
    struct terms terms = terms_of(1, OPERATION_GENERATE, 1795294260);

    cr_expect_eq(terms.tier, 1);
    cr_expect_eq(terms.priority, 2);
    cr_expect_eq(terms.max_wait_ms, 30000);
    cr_expect_eq(terms.limits_len, 0);
}

Test(policy, a_safe_path_has_no_limits)
{
    struct terms terms = terms_of(0, OPERATION_PASS, 1795294260);

    cr_expect_eq(terms.limits_len, 0);
    cr_expect_eq(terms.max_images_per_request, 1);
}

Test(policy, tiers_are_found_by_name)
{
    cr_expect_eq(policy_tier(&policy, TEXT("free")), 0);
    cr_expect_eq(policy_tier(&policy, TEXT("staff")), 1);
    cr_expect_eq(policy_tier(&policy, TEXT("Free")), -1);
    cr_expect_eq(policy_tier(&policy, TEXT("fre")), -1);
    cr_expect_eq(policy_tier(&policy, TEXT_NONE), -1);
}

Test(policy, limits_have_words)
{
    cr_expect_str_eq(limit_name(LIMIT_DAY), "daily");
    cr_expect_str_eq(limit_name(LIMIT_NONE), "none");
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
