/* SPDX-License-Identifier: Apache-2.0 */
/* test_limit.c - the words of limits, and the subjects that keep their rows apart. */

#include "core/limit.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/cost.h"
#include "unit/core/random.h"

static const struct account_digest alice = {{0xa1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static bool is_same(struct account_digest a, struct account_digest b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

Test(limit, kinds_have_words)
{
    cr_expect_str_eq(limit_name(LIMIT_NONE), "none");
    cr_expect_str_eq(limit_name(LIMIT_DAY), "daily");
    cr_expect_str_eq(limit_name(LIMIT_WEEK), "weekly");
    cr_expect_str_eq(limit_name(LIMIT_MONTH), "monthly");
    cr_expect_str_eq(limit_name(LIMIT_ROLLING), "rolling");
    cr_expect_str_eq(limit_name(LIMIT_RATE), "rate");
    cr_expect_str_eq(limit_name(LIMIT_IN_FLIGHT), "in_flight");
}

Test(limit, windows_are_told_in_seconds)
{
    struct limit day = {.rule = {.kind = LIMIT_DAY}, .window = {.start_s = 100, .end_s = 90100}};
    struct limit rolling = {.rule = {.kind = LIMIT_ROLLING, .period_us = INT64_C(10800000000)}};
    struct limit rate = {.rule = {.kind = LIMIT_RATE, .period_us = 1500000}};
    struct limit in_flight = {.rule = {.kind = LIMIT_IN_FLIGHT}};

    cr_expect_eq(limit_window_s(&day), 90000);
    cr_expect_eq(limit_window_s(&rolling), 10800);
    cr_expect_eq(limit_window_s(&rate), 2, "rounded up");
    cr_expect_eq(limit_window_s(&in_flight), 0);
}

Test(limit, images_of_an_account_are_under_its_own_digest)
{
    static const enum limit_kind plain[] = {LIMIT_DAY, LIMIT_WEEK, LIMIT_MONTH, LIMIT_RATE,
                                            LIMIT_IN_FLIGHT};

    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        struct limit_rule rule = {
            .kind = plain[i], .scope = SCOPE_ACCOUNT, .measure = MEASURE_IMAGES, .units = 3000};

        cr_expect(is_same(limit_subject(&rule, alice), alice));
    }
}

/* Rules that could meet in one row of one kind and window. */
Test(limit, rules_of_a_kind_have_rows_of_their_own)
{
    static const struct limit_rule rules[] = {
        {.kind = LIMIT_ROLLING, .measure = MEASURE_IMAGES, .period_us = 1000000},
        {.kind = LIMIT_ROLLING, .measure = MEASURE_IMAGES, .period_us = 2000000},
        {.kind = LIMIT_ROLLING, .measure = MEASURE_CREDITS, .period_us = 1000000},
        {.kind = LIMIT_DAY, .scope = SCOPE_ACCOUNT, .measure = MEASURE_IMAGES},
        {.kind = LIMIT_DAY, .scope = SCOPE_ACCOUNT, .measure = MEASURE_CREDITS},
        {.kind = LIMIT_DAY, .scope = SCOPE_MODEL, .measure = MEASURE_IMAGES, .model = "dall-e-3"},
        {.kind = LIMIT_DAY, .scope = SCOPE_MODEL, .measure = MEASURE_CREDITS, .model = "dall-e-3"},
        {.kind = LIMIT_DAY, .scope = SCOPE_MODEL, .measure = MEASURE_IMAGES, .model = "dall-e-*"},
        {.kind = LIMIT_DAY, .scope = SCOPE_MODEL, .measure = MEASURE_IMAGES, .model = "credits"},
        {.kind = LIMIT_DAY, .scope = SCOPE_MODEL, .measure = MEASURE_IMAGES, .model = "*"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct account_digest subject = limit_subject(&rules[i], alice);

        cr_expect_eq(memcmp(&subject, &alice, LIMIT_SUBJECT_KEPT), 0, "all in one bucket");
        cr_expect(is_same(subject, limit_subject(&rules[i], alice)));
        for (size_t j = 0; j < i; j++)
            cr_expect_not(is_same(subject, limit_subject(&rules[j], alice)), "%zu and %zu", i, j);
    }
}

/* Rows outlive programs and are shared by machines: these bytes must never change. */
Test(limit, subjects_are_the_same_everywhere)
{
    const struct limit_rule rule = {
        .kind = LIMIT_DAY, .scope = SCOPE_MODEL, .measure = MEASURE_IMAGES, .model = "dall-e-3"};
    struct account_digest none = limit_subject(&rule, (struct account_digest){{0}});
    struct account_digest team = account_of_team(TEXT("acme"));
    char hex[64];
    struct text_out out;

    text_out_init(&out, hex, sizeof(hex));
    text_out_hex(&out, none.bytes, sizeof(none.bytes));
    cr_expect_str_eq(hex, "000000003eb8fef6e507de7a9fc06c25");
    text_out_init(&out, hex, sizeof(hex));
    text_out_hex(&out, team.bytes, sizeof(team.bytes));
    cr_expect_str_eq(hex, "d1684686fbd8c542820d19fd034fecdd");
}

Test(limit, teams_have_digests_of_their_own)
{
    cr_expect(is_same(account_of_team(TEXT("acme")), account_of_team(TEXT("acme"))));
    cr_expect_not(is_same(account_of_team(TEXT("acme")), account_of_team(TEXT("acm"))));
    cr_expect_not(is_same(account_of_team(TEXT("acme")), account_of_team(TEXT("Acme"))));
}

/* Two rules move every account by the same distance, so that two accounts meet under both or under neither. */
Test(limit, accounts_that_differ_stay_apart)
{
    const struct limit_rule rule = {
        .kind = LIMIT_DAY, .scope = SCOPE_MODEL, .measure = MEASURE_CREDITS, .model = "dall-e-3"};
    uint64_t state = 8;

    for (int n = 0; n < 1000; n++) {
        struct account_digest other = alice;

        other.bytes[random_next(&state) % sizeof(other.bytes)] ^=
            (unsigned char)random_between(&state, 1, 255);
        cr_assert_not(is_same(limit_subject(&rule, other), limit_subject(&rule, alice)));
    }
}
