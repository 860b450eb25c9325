/* SPDX-License-Identifier: Apache-2.0 */
/* test_service.c - limits of the whole service, as a policy writes them. */
#include <criterion/criterion.h>

#include "unit/config/fixture.h"

static struct policy policy;

TestSuite(config_service, .init = fixture_open, .fini = fixture_close);

#define TIERS "tiers: {free: {images: unlimited}}\n"

static void load(const char *text)
{
    cr_assert_eq(fixture_load_policy(text, &policy), ST_OK, "%s", fixture_error);
}

static void refuse(const char *text, const char *error)
{
    cr_assert_eq(fixture_load_policy(text, &policy), ST_INVALID);
    cr_assert_str_eq(fixture_error, error);
}

Test(config_service, none)
{
    load(TIERS);
    cr_assert_eq(policy.service_len, 0);
}

Test(config_service, of_each_period_and_measure)
{
    load(TIERS "service:\n"
               "  credits: {per_minute: 2.5}\n"
               "  images: {per_minute: 1200, per_day: {limit: 100000, dry_run: true}, "
               "per_hour: 0}\n");
    cr_assert_eq(policy.service_len, 4);
    cr_assert_eq(policy.service[0].period, SERVICE_DAY);
    cr_assert_eq(policy.service[0].units, 100000000);
    cr_assert(policy.service[0].is_dry_run);
    cr_assert_eq(policy.service[1].period, SERVICE_HOUR);
    cr_assert_eq(policy.service[1].units, 0);
    cr_assert(!policy.service[1].is_dry_run);
    cr_assert_eq(policy.service[2].period, SERVICE_MINUTE);
    cr_assert_eq(policy.service[2].measure, MEASURE_IMAGES);
    cr_assert_eq(policy.service[3].measure, MEASURE_CREDITS);
    cr_assert_eq(policy.service[3].units, 2500);
}

Test(config_service, what_is_wrong)
{
    refuse(TIERS "service: 5\n",
           "p.yaml:2:10: wrong value '5' for 'service', expected limits of all "
           "accounts together such as {images: {per_minute: 1200}}");
    refuse(TIERS "service: {}\n", "p.yaml:2:10: no key 'images' or 'credits' here, expected limits "
                                  "such as {per_minute: 1200}");
    refuse(TIERS "service: {images: unlimited}\n",
           "p.yaml:2:19: wrong value 'unlimited' for 'images', expected limits such as "
           "{per_minute: 1200}");
    refuse(TIERS "service: {images: {}}\n",
           "p.yaml:2:19: no limit for 'images', expected limits such as {per_minute: 1200}");
    refuse(TIERS "service: {images: {per_minute: 1.5}}\n",
           "p.yaml:2:32: wrong value '1.5' for 'per_minute', expected a whole number of images, 0 "
           "to 1000000000, or {limit, dry_run}");
    refuse(
        TIERS "service: {credits: {per_hour: 1000000001}}\n",
        "p.yaml:2:31: wrong value '1000000001' for 'per_hour', expected a number of credits such "
        "as 100 or 2.5, 0 to 1000000000, or {limit, dry_run}");
    refuse(TIERS "service: {images: {per_week: 5}}\n",
           "p.yaml:2:20: unknown key 'per_week', expected one of: per_day, per_hour, per_minute");
    refuse(TIERS "service: {images: {per_day: {dry_run: true}}}\n",
           "p.yaml:2:29: no key 'limit' here, expected a whole number of images, 0 to 1000000000");
    refuse(TIERS "service: {images: {per_day: {limit: x}}}\n",
           "p.yaml:2:37: wrong value 'x' for 'limit', expected a whole number of images, 0 to "
           "1000000000");
}
