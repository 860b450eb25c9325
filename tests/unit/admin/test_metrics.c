/* SPDX-License-Identifier: Apache-2.0 */
/* test_metrics.c - the page of metrics: sums of the workers, gauges that are known, text that Prometheus reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/metrics.h"
#include "quota/store.h"
#include "unit/gate/scripted.h"
#include "unit/whole.h"

static struct scripted s;
static char *page;
static size_t page_len;

static bool is_up(const struct quota_store *store)
{
    UNUSED(store);
    return true;
}

static const struct quota_store_ops store_ops = {.name = "up", .is_up = is_up};
static const struct quota_store store = {.ops = &store_ops};

static void begin(void)
{
    scripted_open(&s, "");
}

static void end(void)
{
    free(page);
    scripted_close(&s);
}

static void print(void)
{
    struct metrics_source source = {s.gates, SCRIPTED_WORKERS, s.backends, &s.shared, &store, 7};

    free(page);
    cr_assert_eq(metrics_print(&source, INT64_C(60000000), &page, &page_len), ST_OK);
    cr_assert_eq(strlen(page), page_len);
}

static void has(const char *line)
{
    cr_assert(strstr(page, line), "%s in\n%s", line, page);
}

static void lacks(const char *what)
{
    cr_assert_null(strstr(page, what), "%s in\n%s", what, page);
}

WHOLE_TEST(metrics, of_a_gateway_at_rest)
{
    print();
    has("meltguard_build_info{version=\"" MELTGUARD_VERSION "\"} 1\n");
    has("# TYPE meltguard_requests_total counter\n");
    has("# HELP meltguard_connections ");
    has("meltguard_workers 2\n");
    has("meltguard_config_generation 7\n");
    has("meltguard_quota_store_up 1\n");
    has("meltguard_requests_in_progress 0\n");
    has("meltguard_backend_up{backend=\"gpu0\"} 1\n");
    has("meltguard_backend_slots{backend=\"gpu1\"} 1\n");
    has("meltguard_backend_connects_total{backend=\"gpu0\"} 0\n");
    lacks("meltguard_requests_total{");
    lacks("meltguard_backend_gpu_temperature_celsius{");
    lacks("meltguard_backend_telemetry_age_seconds{");
}

WHOLE_TEST(metrics, workers_are_added_up)
{
    for (int i = 0; i < SCRIPTED_WORKERS; i++) {
        struct stats *stats = &s.gates[i]->stats;

        stats_add(stats, STAT_REQUESTS, 0 * OUTCOMES_LEN + OUTCOME_MISSING_KEY, 2);
        stats_add(stats, STAT_REQUESTS, 1 * OUTCOMES_LEN + OUTCOME_DELIVERED, 3);
        stats_add(stats, STAT_BACKEND_ANSWERS, 1 * STAT_CLASSES + 2, 5);
        stats_add(stats, STAT_STORE_OPS, STORE_OP_SETTLED, 4);
        stats_observe_us(stats, STAT_FIRST_BYTE_SECONDS, 0, 3000);
        stats_observe_us(stats, STAT_FIRST_BYTE_SECONDS, 0, 400000000);
    }
    print();
    has("meltguard_requests_total{tier=\"none\",outcome=\"missing_key\"} 4\n");
    has("meltguard_requests_total{tier=\"free\",outcome=\"delivered\"} 6\n");
    has("meltguard_backend_answers_total{backend=\"gpu1\",class=\"2xx\"} 10\n");
    has("meltguard_quota_store_operations_total{result=\"settled\"} 8\n");
    has("meltguard_backend_first_byte_seconds_bucket{backend=\"gpu0\",le=\"0.0025\"} 0\n");
    has("meltguard_backend_first_byte_seconds_bucket{backend=\"gpu0\",le=\"0.005\"} 2\n");
    has("meltguard_backend_first_byte_seconds_bucket{backend=\"gpu0\",le=\"300\"} 2\n");
    has("meltguard_backend_first_byte_seconds_bucket{backend=\"gpu0\",le=\"+Inf\"} 4\n");
    has("meltguard_backend_first_byte_seconds_sum{backend=\"gpu0\"} 800.006000\n");
    has("meltguard_backend_first_byte_seconds_count{backend=\"gpu0\"} 4\n");
}

WHOLE_TEST(metrics, readings)
{
    struct load_sample sample;

    load_sample_clear(&sample);
    sample.taken_us = 58500000;
    sample.temperature_mc = 71500;
    sample.power_mw = 350250;
    backend_report(&s.backends->backends[1], &sample);
    atomic_store(&s.backends->backends[0].now.is_up, false);
    print();
    has("meltguard_backend_gpu_temperature_celsius{backend=\"gpu1\"} 71.5\n");
    has("meltguard_backend_gpu_power_watts{backend=\"gpu1\"} 350.25\n");
    has("meltguard_backend_telemetry_age_seconds{backend=\"gpu1\"} 1.5\n");
    has("meltguard_backend_up{backend=\"gpu0\"} 0\n");
    lacks("meltguard_backend_gpu_temperature_celsius{backend=\"gpu0\"}");
    lacks("meltguard_backend_queue_depth{");
}

/* Every line is a comment or `name{labels} value`, and every name was announced before. */
WHOLE_TEST(metrics, every_line_is_one_that_prometheus_reads)
{
    char type[128] = "", *rest = NULL;

    for (int stat = 0; stat < STATS_LEN; stat++)
        for (int label = 0; label < 2 && label < stats_labels(&s.gate->stats, stat); label++) {
            if (stat_rows[stat].kind == STAT_COUNTER)
                stats_add(&s.gate->stats, stat, label, 1);
            if (stat_rows[stat].kind == STAT_HISTOGRAM)
                stats_observe_us(&s.gate->stats, stat, label, 1);
        }
    print();
    for (char *line = strtok_r(page, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *end = NULL;
        const char *value = strrchr(line, ' ');

        if (strncmp(line, "# HELP ", 7) == 0)
            continue;
        if (sscanf(line, "# TYPE %127s", type) == 1)
            continue;
        cr_assert_eq(strncmp(line, type, strlen(type)), 0, "%s under %s", line, type);
        cr_assert_not_null(value);
        (void)strtod(value + 1, &end);
        cr_assert_eq(*end, '\0', "%s", line);
    }
}

/* The label of the last tier that there can be does not run into the next metric. */
WHOLE_TEST(metrics, there_is_a_cell_for_every_tier)
{
    cr_assert_geq(STAT_TIERS_MAX, TIER_NAMES_MAX + 1);
}
