/* SPDX-License-Identifier: Apache-2.0 */
/* test_prices.c - sizes and prices as operators write them. */
#include "config/prices.h"

#include <string.h>

#include <criterion/criterion.h>

#include "unit/config/fixture.h"

static struct policy policy;

TestSuite(prices, .init = fixture_open, .fini = fixture_close);

#define TIERS "tiers: {a: {credits: {per_day: 1}}}\n"

Test(prices, a_list)
{
    cr_assert_eq(fixture_load_policy(TIERS
                                     "prices:\n"
                                     "  - {model: dall-e-3, quality: hd, credits: 4}\n"
                                     "  - {model: \"sdxl*\", max_steps: 20, credits: 0.333}\n"
                                     "  - {size: large, credits: 2.5}\n"
                                     "  - {credits: 0}\n"
                                     "sizes: {large: 4096x4096, small: 512x512, wide: 1024x768}\n",
                                     &policy),
                 ST_OK, "%s", fixture_error);
    const struct price_list *list = &policy.prices;

    cr_assert_eq(list->classes_len, 3);
    cr_expect_str_eq(list->classes[0].name, "small");
    cr_expect_str_eq(list->classes[1].name, "wide");
    cr_expect_eq(list->classes[1].pixels_max, 1024 * 768);
    cr_expect_str_eq(list->classes[2].name, "large");
    cr_assert_eq(list->len, 4);
    cr_expect_str_eq(list->prices[0].model, "dall-e-3");
    cr_expect_str_eq(list->prices[0].quality, "hd");
    cr_expect_eq(list->prices[0].size_class, -1);
    cr_expect_eq(list->prices[0].units, 4000);
    cr_expect_eq(list->prices[1].steps_max, 20);
    cr_expect_eq(list->prices[1].units, 333);
    cr_expect_eq(list->prices[2].size_class, 2, "whatever the order in the file");
    cr_expect_null(list->prices[3].model);
    cr_expect_eq(list->prices[3].units, 0);
}

Test(prices, none_at_all)
{
    cr_assert_eq(fixture_load_policy(TIERS, &policy), ST_OK);
    cr_expect_eq(policy.prices.len, 0);
    cr_expect_eq(policy.prices.classes_len, 0);
}

Test(prices, what_is_wrong_is_said_with_its_place)
{
    static const struct row {
        const char *text, *error;
    } rows[] = {
        {TIERS "sizes: {}\n", "p.yaml:2:8: 0 sizes, expected 1 to 8"},
        {TIERS "sizes: {a: 1x1, b: 2x1, c: 3x1, d: 4x1, e: 5x1, f: 6x1, g: 7x1, h: 8x1, i: 9x1}\n",
         "p.yaml:2:8: 9 sizes, expected 1 to 8"},
        {TIERS "sizes: {a: 512}\n",
         "p.yaml:2:12: wrong value '512' for 'sizes', expected a width and height"},
        {TIERS "sizes: {a: 512x}\n", "p.yaml:2:12: wrong value '512x'"},
        {TIERS "sizes: {a: 0x512}\n", "p.yaml:2:12: wrong value '0x512'"},
        {TIERS "sizes: {a: 512x512x3}\n", "p.yaml:2:12: wrong value '512x512x3'"},
        {TIERS "sizes: {a: 65537x1}\n", "p.yaml:2:12: wrong value '65537x1'"},
        {TIERS "sizes: {a: [1, 2]}\n", "p.yaml:2:12: a list for 'sizes', expected"},
        {TIERS "sizes: {a: 2x8, b: 4x4}\n", "p.yaml:2:20: as many pixels as 'a', expected"},
        {TIERS "sizes: {a b: 2x8}\n", "p.yaml:2:9: wrong name 'a b' for a size, expected"},
        {TIERS "prices: []\n", "p.yaml:2:9: 0 prices, expected 1 to 1024"},
        {TIERS "prices: [{model: x}]\n",
         "p.yaml:2:10: no key 'credits' here, expected credits an image such as 1 or 0.25"},
        {TIERS "prices: [{credits: -1}]\n", "p.yaml:2:20: wrong value '-1' for 'credits'"},
        {TIERS "prices: [{credits: 0.0005}]\n", "p.yaml:2:20: wrong value '0.0005'"},
        {TIERS "prices: [{credits: 100001}]\n", "p.yaml:2:20: wrong value '100001'"},
        {TIERS "prices: [{size: large, credits: 1}]\n",
         "p.yaml:2:17: wrong value 'large' for 'size', expected the name of a size under 'sizes'"},
        {TIERS "prices: [{model: \"a*b\", credits: 1}]\n", "p.yaml:2:18: wrong value 'a*b'"},
        {TIERS "prices: [{model: \"a b\", credits: 1}]\n", "p.yaml:2:18: wrong value 'a b'"},
        {TIERS "prices: [{quality: \"h d\", credits: 1}]\n", "p.yaml:2:20: wrong value 'h d'"},
        {TIERS "prices: [{max_steps: 0, credits: 1}]\n", "p.yaml:2:22: wrong value '0'"},
        {TIERS "prices: [{steps: 1, credits: 1}]\n", "p.yaml:2:11: unknown key 'steps'"},
        {TIERS "prices:\n  - {credits: 1}\n  - {model: x, credits: 2}\n",
         "p.yaml:4:5: a price that is never reached, expected the one of line 3, which fits all, "
         "to be the last"},
        {TIERS "prices:\n  - {model: \"*\", credits: 1}\n  - {credits: 2}\n",
         "p.yaml:4:5: a price that is never reached"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fixture_error[0] = '\0';
        cr_expect_eq(fixture_load_policy(rows[i].text, &policy), ST_INVALID, "%s", rows[i].text);
        cr_expect_eq(strncmp(fixture_error, rows[i].error, strlen(rows[i].error)), 0,
                     "%s: got \"%s\", not \"%s\"", rows[i].text, fixture_error, rows[i].error);
        cr_expect_not_null(strstr(fixture_error, "expected"), "%s", fixture_error);
    }
}
