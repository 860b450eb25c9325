/* SPDX-License-Identifier: Apache-2.0 */
/* test_backend.c - slots, failures, readings, and the view of them. */
#include <string.h>

#include "backend/backend.h"
#include "unit/config/fixture.h"
#include "unit/whole.h"

#define SECOND INT64_C(1000000)

static struct config *config;
static struct backend_set *set;
static struct backend_load loads[2];
static char error[CONFIG_ERROR_MAX];

static void begin(void)
{
    fixture_open();
    fixture_write("policy.yaml", "timezone: UTC\n"
                                 "tiers: {free: {images: {per_day: 3}}}\n"
                                 "shed:\n"
                                 "  gpu_temperature: [{above: 80, resume_below: 76, tiers: all}]\n"
                                 "  queue_depth: [{above: 4, resume_below: 2, tiers: all}]\n"
                                 "unavailable_message: {en: no}\n");
    config = fixture_load_ok(
        MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY
        "backends:\n"
        "  - {name: a, url: 'http://127.0.0.1:1', dialect: openai, max_in_flight: 2,\n"
        "     telemetry: [{prometheus: 'http://127.0.0.1:2/metrics', interval: 1s}]}\n"
        "  - {name: b, url: 'http://127.0.0.1:1/prefix', dialect: openai, max_in_flight: 1}\n");
    config->generation = 1;
    cr_assert_eq(backend_set_open(config, error, &set), ST_OK);
    set->backends[0].awaited_since_us = 1000 * SECOND;
}

static void end(void)
{
    backend_set_close(&set);
    cr_assert_null(set);
    backend_set_close(&set);
    config_unref(&config);
    fixture_close();
}

static void report(int64_t at_s, int64_t degrees, int64_t depth)
{
    struct load_sample sample;

    load_sample_clear(&sample);
    sample.taken_us = at_s * SECOND;
    sample.temperature_mc = degrees == LOAD_MISSING ? LOAD_MISSING : degrees * 1000;
    sample.queue_depth = depth;
    backend_report(&set->backends[0], &sample);
}

static const struct backend_load *view_at(int64_t now_s)
{
    backend_view(set, config, 0, now_s * SECOND, loads);
    return &loads[0];
}

WHOLE_TEST(backend, is_what_the_configuration_says)
{
    cr_assert_eq(set->len, 2);
    cr_assert_str_eq(set->backends[1].name, "b");
    cr_assert_str_eq(set->backends[1].path, "/prefix");
    cr_assert(set->backends[0].is_metered);
    cr_assert_not(set->backends[1].is_metered);
    cr_assert_eq(set->backends[0].max_in_flight, 2);
    cr_assert(atomic_load(&set->backends[0].now.is_up));
}

WHOLE_TEST(backend, name_that_cannot_be_resolved)
{
    struct backend_set *none = NULL;
    struct config *bad = fixture_load_ok(
        MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY
        "backends: [{name: lost, url: 'http://no-such-host.invalid:9001', dialect: openai}]\n");

    cr_assert_eq(backend_set_open(bad, error, &none), ST_UNAVAILABLE);
    cr_assert_null(none);
    cr_assert(strstr(error, "backend lost: ") && strstr(error, "no-such-host.invalid"), "%s",
              error);
    config_unref(&bad);
}

WHOLE_TEST(backend, slots_are_as_many_as_there_are)
{
    struct backend *b = &set->backends[0];

    cr_assert(slot_take(b));
    cr_assert(slot_take(b));
    cr_assert_not(slot_take(b));
    cr_assert_eq(view_at(1000)->in_flight, 2);
    slot_give(b);
    cr_assert(slot_take(b));
    slot_give(b);
    slot_give(b);
    cr_assert_eq(view_at(1000)->in_flight, 0);
}

WHOLE_TEST(backend, failures_in_a_row_take_it_out_once)
{
    struct backend *b = &set->backends[0];

    cr_assert_not(backend_failed(b, 3));
    cr_assert_not(backend_failed(b, 3));
    backend_succeeded(b);
    cr_assert_not(backend_failed(b, 3));
    cr_assert_not(backend_failed(b, 3));
    cr_assert(backend_failed(b, 3));
    cr_assert_not(backend_failed(b, 3), "it is out already");
    cr_assert_not(view_at(1000)->is_up);
}

WHOLE_TEST(backend, reading_grows_old)
{
    cr_assert_not(view_at(1000)->is_stale, "awaited");
    cr_assert_eq(loads[0].temperature_mc, LOAD_MISSING);
    report(1001, 60, 3);
    cr_assert_eq(view_at(1002)->temperature_mc, 60000);
    cr_assert_eq(loads[0].queue_depth, 3);
    cr_assert_not(view_at(1011)->is_stale);
    cr_assert(view_at(1012)->is_stale);
    cr_assert_eq(loads[0].temperature_mc, LOAD_MISSING);
    cr_assert_not(loads[1].is_stale, "it has no telemetry");
}

WHOLE_TEST(backend, none_in_time_is_stale)
{
    cr_assert_not(view_at(1010)->is_stale);
    cr_assert(view_at(1011)->is_stale);
    config->when_stale = WHEN_STALE_UNKNOWN;
    cr_assert_not(view_at(1011)->is_stale);
}

/* One that tells its queue but no longer its temperature is not thereby cool. */
WHOLE_TEST(backend, missing_temperature_is_not_zero)
{
    report(1001, 90, 0);
    cr_assert_neq(view_at(1001)->active_steps & 1, 0);
    for (int64_t at_s = 1002; at_s < 1020; at_s++)
        report(at_s, LOAD_MISSING, 0);
    cr_assert(view_at(1019)->is_stale);
    cr_assert_neq(loads[0].active_steps & 1, 0);
    config->when_stale = WHEN_STALE_UNKNOWN;
    cr_assert_eq(view_at(1019)->active_steps & 1, 0);
}

WHOLE_TEST(backend, hysteresis_from_view_to_view)
{
    report(1001, 78, 0);
    cr_assert_eq(view_at(1001)->active_steps, 0);
    report(1002, 81, 0);
    cr_assert_eq(view_at(1002)->active_steps, 1);
    report(1003, 78, 0);
    cr_assert_eq(view_at(1003)->active_steps, 1, "not yet under 76");
    report(1004, 75, 0);
    cr_assert_eq(view_at(1004)->active_steps, 0);
}

WHOLE_TEST(backend, another_generation_judges_anew)
{
    report(1001, 81, 0);
    report(1002, 78, 0);
    cr_assert_eq(view_at(1002)->active_steps, 0);
    report(1003, 81, 0);
    (void)view_at(1003);
    report(1004, 78, 0);
    config->generation = 2;
    cr_assert_eq(view_at(1004)->active_steps, 0, "its steps may be others");
    report(1005, 81, 0);
    cr_assert_eq(view_at(1005)->active_steps, 1);
}

WHOLE_TEST(backend, waiting_requests_count_as_depth)
{
    report(1001, 20, 3);
    backend_view(set, config, 2, 1001 * SECOND, loads);
    cr_assert_eq(loads[0].active_steps, 0, "3 and its share of 2 waiting is 4");
    backend_view(set, config, 4, 1001 * SECOND, loads);
    cr_assert_eq(loads[0].active_steps, 2, "5 is over 4");
}
