/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "config/parse.h"
#include "unit/config/fixture.h"

static struct policy policy;

TestSuite(policies, .init = fixture_open, .fini = fixture_close);

/* The schema as it was promised. */
static const char promised[] =
    "timezone: Asia/Seoul\n"
    "tiers:\n"
    "  free:  {images: {per_day: 3},   priority: 0, max_images_per_request: 1, max_wait: 0s}\n"
    "  plus:  {images: {per_day: 200}, priority: 1, max_images_per_request: 4, max_wait: 30s}\n"
    "  staff: {images: unlimited,      priority: 2}\n"
    "shed:                                # the ladder\n"
    "  gpu_temperature: [{above: 80, resume_below: 76, tiers: [free]}, {above: 86, resume_below: "
    "80, tiers: all}]\n"
    "  queue_depth:     [{above: 32, resume_below: 24, tiers: [free]}, {above: 128, resume_below: "
    "96, tiers: all}]\n"
    "unavailable_message:\n"
    "  en: image generation unavailable\n"
    "  ko: 지금은 이미지 생성을 사용할 수 없습니다\n";

Test(policies, the_promised_schema_loads)
{
    cr_assert_eq(fixture_load_policy(promised, &policy), ST_OK, "%s", fixture_error);
    cr_expect_str_eq(policy.name, "p");
    cr_expect_str_eq(policy.timezone, "Asia/Seoul");
    cr_expect_eq(zone_offset_at(&policy.zone, FIXTURE_NOW_S), 32400);
    cr_assert_eq(policy.tiers_len, 3);
    const struct tier *plus = &policy.tiers[1];
    cr_expect_str_eq(plus->name, "plus");
    cr_expect_eq(plus->index, 1);
    cr_expect_eq(plus->priority, 1);
    cr_expect_eq(plus->max_images_per_request, 4);
    cr_expect_eq(plus->max_wait_ms, 30000);
    cr_expect_eq(plus->rules_len, 1);
    cr_expect_eq(plus->rules[0].kind, LIMIT_DAY);
    cr_expect_eq(plus->rules[0].units, 200000);
    const struct tier *staff = &policy.tiers[2];
    cr_expect_eq(staff->rules_len, 0);
    cr_expect_eq(staff->max_images_per_request, 10);
    cr_expect_eq(staff->max_wait_ms, 0);
    cr_expect_eq(policy.messages_len, 2);
    cr_expect_str_eq(policy.messages[0].language, "en");
    cr_expect_str_eq(policy.messages[1].text, "지금은 이미지 생성을 사용할 수 없습니다");
}

static void expect_step(int i, enum load_signal signal, int64_t above, int64_t resume_below,
                        uint32_t tiers)
{
    const struct ladder_step *step = &policy.ladder.steps[i];

    cr_expect_eq(step->signal, signal);
    cr_expect_eq(step->above, above);
    cr_expect_eq(step->resume_below, resume_below);
    cr_expect_eq(step->tiers, tiers);
}

Test(policies, the_ladder_is_in_thousandths_and_bits)
{
    cr_assert_eq(fixture_load_policy(promised, &policy), ST_OK, "%s", fixture_error);
    cr_assert_eq(policy.ladder.len, 4);
    expect_step(0, SIGNAL_GPU_TEMPERATURE, 80000, 76000, 1);
    expect_step(1, SIGNAL_GPU_TEMPERATURE, 86000, 80000, 7);
    expect_step(2, SIGNAL_QUEUE_DEPTH, 32, 24, 1);
    expect_step(3, SIGNAL_QUEUE_DEPTH, 128, 96, 7);
}

Test(policies, the_order_of_the_file_does_not_matter)
{
    cr_assert_eq(fixture_load_policy("shed: {gpu_temperature: [{tiers: [b], resume_below: 70.25, "
                                     "above: 70.5}]}\n"
                                     "tiers: {a: {images: unlimited}, b: {images: unlimited}}\n",
                                     &policy),
                 ST_OK, "%s", fixture_error);
    expect_step(0, SIGNAL_GPU_TEMPERATURE, 70500, 70250, 2);
}

Test(policies, defaults)
{
    cr_assert_eq(fixture_load_policy("tiers: {a: {images: {per_day: 0}}}\n", &policy), ST_OK, "%s",
                 fixture_error);
    cr_expect_str_eq(policy.timezone, "UTC");
    cr_expect_eq(policy.ladder.len, 0);
    cr_expect_eq(policy.tiers[0].rules_len, 1);
    cr_expect_eq(policy.tiers[0].rules[0].units, 0);
    cr_expect_eq(policy.messages_len, 1);
    cr_expect_str_eq(policy.messages[0].text, "image generation unavailable");
}

Test(policies, steps_on_trial_and_what_to_do_without_a_store)
{
    cr_assert_eq(
        fixture_load_policy(
            "stagger: 30min\n"
            "tiers:\n"
            "  a: {images: unlimited}\n"
            "  b: {images: unlimited, on_store_down: open}\n"
            "  c: {images: unlimited, on_store_down: open}\n"
            "  d: {images: unlimited, on_store_down: closed}\n"
            "  e: {images: unlimited, on_store_down: local}\n"
            "shed: {queue_depth: [{above: 9, resume_below: 8, tiers: all, dry_run: true},\n"
            "                     {above: 9, resume_below: 8, tiers: all}]}\n",
            &policy),
        ST_OK, "%s", fixture_error);
    cr_expect_eq(policy.stagger_s, 1800);
    cr_expect_eq(policy.tiers[0].on_store_down, STORE_DOWN_CLOSED, "unless it is said");
    cr_expect_eq(policy.tiers[1].on_store_down, STORE_DOWN_OPEN);
    cr_expect_eq(policy.tiers[2].on_store_down, STORE_DOWN_OPEN);
    cr_expect_eq(policy.tiers[3].on_store_down, STORE_DOWN_CLOSED);
    cr_expect_eq(policy.tiers[4].on_store_down, STORE_DOWN_LOCAL);
    cr_expect(policy.ladder.steps[0].is_dry_run);
    cr_expect_not(policy.ladder.steps[1].is_dry_run);
}

Test(policies, sixteen_tiers_have_a_bit_each)
{
    char text[2048] = "shed: {queue_depth: [{above: 1, resume_below: 1, tiers: all}]}\ntiers:\n";

    for (int i = 0; i < 16; i++)
        sprintf(text + strlen(text), "  t%d: {images: unlimited}\n", i);
    cr_assert_eq(fixture_load_policy(text, &policy), ST_OK, "%s", fixture_error);
    cr_expect_eq(policy.ladder.steps[0].tiers, 0xffff);
    strcat(text, "  t16: {images: unlimited}\n");
    cr_expect_eq(fixture_load_policy(text, &policy), ST_INVALID);
    cr_expect_str_eq(fixture_error, "p.yaml:3:3: 17 tiers, expected 1 to 16");
}

#define TIERS "tiers: {free: {images: unlimited}}\n"
#define STEP  TIERS "shed: {gpu_temperature: ["
#define DEPTH TIERS "shed: {queue_depth: ["

Test(policies, what_is_wrong_is_said_with_its_place)
{
    static const struct row {
        const char *text, *error;
    } rows[] = {
        {"[]", "p.yaml:1:1: a list, expected a mapping with the key 'timezone'"},
        {"timezone: UTC\n", "p.yaml:1:1: no key 'tiers' here, expected a mapping of tiers"},
        {"tier: {}\n", "p.yaml:1:1: unknown key 'tier', expected 'tiers' perhaps"},
        {TIERS "colour: red\n",
         "p.yaml:2:1: unknown key 'colour', expected one of: timezone, stagger, sizes, prices, "
         "tiers, teams, service, shed, unavailable_message"},
        {"timezone: Mars/Base\n" TIERS,
         "p.yaml:1:11: wrong value 'Mars/Base' for 'timezone', expected a zone of the tz database"},
        {"stagger: 90\n" TIERS, "p.yaml:1:10: wrong value '90' for 'stagger', expected a duration"},
        {"stagger: 1500ms\n" TIERS, "p.yaml:1:10: wrong value '1500ms'"},
        {"stagger: 13h\n" TIERS, "p.yaml:1:10: wrong value '13h'"},
        {"tiers: {free: {images: unlimited, on_store_down: maybe}}\n",
         "p.yaml:1:50: wrong value 'maybe' for 'on_store_down', expected closed, open or local"},
        {"timezone: ../../../etc/passwd\n" TIERS, "p.yaml:1:11: wrong value '../../../etc/passwd'"},
        {"tiers: {}\n", "p.yaml:1:8: 0 tiers, expected 1 to 16"},
        {"tiers: [free]\n", "p.yaml:1:8: a list for 'tiers', expected a mapping"},
        {"tiers: {a b: {images: unlimited}}\n",
         "p.yaml:1:9: wrong name 'a b' for a tier, expected"},
        {"tiers: {free: 3}\n",
         "p.yaml:1:15: a single value, expected a mapping with the key 'images'"},
        {"tiers: {free: {}}\n",
         "p.yaml:1:15: no key 'images' or 'credits' here, expected unlimited, or limits such as"},
        {"tiers: {free: {images: 3}}\n", "p.yaml:1:24: wrong value '3' for 'images', expected "
                                         "unlimited, or limits such as {per_day: 3}"},
        {"tiers: {free: {images: [3]}}\n",
         "p.yaml:1:24: a list for 'images', expected unlimited, or limits such as {per_day: 3}"},
        {"tiers: {free: {images: {}}}\n", "p.yaml:1:24: no limit for 'images', expected"},
        {"tiers: {free: {images: {per_day: -1}}}\n", "p.yaml:1:34: wrong value '-1' for 'per_day'"},
        {"tiers: {free: {images: {per_day: 1.5}}}\n",
         "p.yaml:1:34: wrong value '1.5' for 'per_day'"},
        {"tiers: {free: {images: {per_hour: 1}}}\n",
         "p.yaml:1:25: unknown key 'per_hour', expected"},
        {"tiers: {free: {images: {per_day: 16777216}}}\n",
         "p.yaml:1:34: wrong value '16777216' for 'per_day', expected a whole number of images, 0 "
         "to 16777215"},
        {"tiers: {free: {images: unlimited, max_images_per_request: 11}}\n",
         "p.yaml:1:59: wrong value '11' for 'max_images_per_request', expected a whole number, 1 "
         "to "
         "10"},
        {"tiers: {free: {images: unlimited, max_images_per_request: 0}}\n", "p.yaml:1:59: wrong"},
        {"tiers: {free: {images: unlimited, max_wait: 30}}\n",
         "p.yaml:1:45: wrong value '30' for 'max_wait', expected a duration such as"},
        {"tiers: {free: {images: unlimited}, free: {images: unlimited}}\n",
         "p.yaml:1:36: key 'free' is here for the second time"},
        {STEP "{above: 80, resume_below: 81, tiers: all}]}\n",
         "p.yaml:2:52: 'resume_below' is over 'above', expected it to be lower"},
        {STEP "{above: 80, tiers: all}]}\n", "p.yaml:2:26: no key 'resume_below' here, expected"},
        {STEP "{above: 80, resume_below: 76}]}\n",
         "p.yaml:2:26: no key 'tiers' here, expected all"},
        {STEP "{above: hot, resume_below: 76, tiers: all}]}\n",
         "p.yaml:2:34: wrong value 'hot' for 'above', expected degrees Celsius such as 80 or 76.5"},
        {STEP "{above: 80.0001, resume_below: 76, tiers: all}]}\n", "p.yaml:2:34: wrong value"},
        {STEP "{above: 353, resume_below: 76, tiers: all}]}\n", "p.yaml:2:34: wrong value '353'"},
        {STEP "{above: 80, resume_below: 76, tiers: [fre]}]}\n",
         "p.yaml:2:64: wrong value 'fre' for 'tiers', expected the name of a tier of this policy"},
        {STEP "{above: 80, resume_below: 76, tiers: free}]}\n",
         "p.yaml:2:63: wrong value 'free' for 'tiers', expected all, or a list"},
        {STEP "{above: 80, resume_below: 76, tiers: []}]}\n", "p.yaml:2:63: a list for 'tiers'"},
        {STEP "{above: 80, resume_below: 76, tiers: [free, free]}]}\n",
         "p.yaml:2:70: tier 'free' twice in one step"},
        {STEP "{above: 80, resume_below: 76, tiers: all, dry_run: yes}]}\n",
         "p.yaml:2:77: wrong value 'yes' for 'dry_run', expected true or false"},
        {DEPTH "{above: 0, resume_below: 0, tiers: all}]}\n", "p.yaml:2:30: wrong value '0'"},
        {DEPTH "{above: 1.5, resume_below: 1, tiers: all}]}\n", "p.yaml:2:30: wrong value '1.5'"},
        {TIERS "unavailable_message: no\n",
         "p.yaml:2:22: wrong value 'no' for 'unavailable_message'"},
        {TIERS "unavailable_message: {}\n", "p.yaml:2:22: 0 languages, expected 1 to 32"},
        {TIERS "unavailable_message: {EN: no}\n", "p.yaml:2:23: wrong language 'EN', expected"},
        {TIERS "unavailable_message: {ko-KR: no}\n", "p.yaml:2:23: wrong language 'ko-KR'"},
        {TIERS "unavailable_message: {en: \"a\\nb\"}\n", "p.yaml:2:27: wrong value 'a?b'"},
        {TIERS "unavailable_message: {en: }\n", "p.yaml:2:27: no value for 'unavailable_message'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fixture_error[0] = '\0';
        cr_expect_eq(fixture_load_policy(rows[i].text, &policy), ST_INVALID, "%s", rows[i].text);
        cr_expect_eq(strncmp(fixture_error, rows[i].error, strlen(rows[i].error)), 0,
                     "%s: got \"%s\", not \"%s\"", rows[i].text, fixture_error, rows[i].error);
        cr_expect_not_null(strstr(fixture_error, "expected"), "%s", fixture_error);
    }
}

Test(policies, the_ladder_has_at_most_sixteen_steps)
{
    char text[2048] = STEP;

    for (int i = 0; i < 17; i++)
        sprintf(text + strlen(text), "%s{above: 80, resume_below: 76, tiers: all}",
                i == 0 ? "" : ", ");
    strcat(text, "]}\n");
    cr_expect_eq(fixture_load_policy(text, &policy), ST_INVALID);
    cr_expect_not_null(strstr(fixture_error, "one step too many, expected at most 16"));
}

Test(policies, a_name_of_a_tier_keeps_its_number)
{
    cr_assert_eq(
        fixture_load_policy("tiers: {a: {images: unlimited}, b: {images: unlimited}}\n", &policy),
        ST_OK);
    int a = policy.tiers[0].stats_index;
    int b = policy.tiers[1].stats_index;
    cr_expect_neq(a, b);
    cr_assert_eq(fixture_load_policy("tiers: {c: {images: unlimited}, b: {images: unlimited}, a: "
                                     "{images: unlimited}}\n",
                                     &policy),
                 ST_OK);
    cr_expect_eq(policy.tiers[1].stats_index, b);
    cr_expect_eq(policy.tiers[2].stats_index, a);
    cr_expect_eq(config_tier_count(), 3);
    cr_expect_str_eq(config_tier_name(b), "b");
    /* A file that does not load takes no number. */
    cr_expect_eq(fixture_load_policy("tiers: {d: {images: unlimited}, e: {}}\n", &policy),
                 ST_INVALID);
    cr_expect_eq(config_tier_count(), 3);
}

Test(policies, there_are_64_names_of_tiers)
{
    char text[64];

    for (int i = 0; i < TIER_NAMES_MAX; i++) {
        sprintf(text, "tiers: {t%d: {images: unlimited}}\n", i);
        cr_assert_eq(fixture_load_policy(text, &policy), ST_OK);
    }
    cr_expect_eq(fixture_load_policy("tiers: {one_more: {images: unlimited}}\n", &policy),
                 ST_INVALID);
    cr_expect_not_null(strstr(fixture_error, "p.yaml:1:1: no place for the tier 'one_more'"));
    cr_expect_eq(fixture_load_policy("tiers: {t63: {images: unlimited}}\n", &policy), ST_OK);
}
