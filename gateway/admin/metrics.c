/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - one pass over stats.def.      Runs on: control thread.
 * Counters and histograms are the sums of the workers' cells; gauges are read from what threads share.  A label value that
 * never counted is left out, but for backends, which are few and always shown. */
#include "admin/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "identity/keystore.h"
_Static_assert(STAT_SERVICES == SERVICE_ROWS, "a label for each row");

struct page {
    const struct metrics_source *source;
    const struct stat_row *row;
    enum stat_id stat;
    FILE *file;
    int64_t now_us;
};

static const char *tier_name(int label)
{
    return label == 0 ? "none" : config_tier_name(label - 1);
}

static const char *class_name(int class)
{
    static const char *const names[STAT_CLASSES] = {"lost", "1xx", "2xx", "3xx", "4xx", "5xx"};

    return names[class];
}

/* The labels of one cell, without braces. */
static void print_labels(const struct page *page, int label, char *buf, size_t size)
{
    const struct backend *backends = page->source->backends->backends;

    buf[0] = '\0';
    switch (page->row->labels) {
    case STAT_NONE:
        break;
    case STAT_TIER:
        snprintf(buf, size, "tier=\"%s\"", tier_name(label));
        break;
    case STAT_OUTCOME:
        snprintf(buf, size, "outcome=\"%s\"", outcome_rows[label].word);
        break;
    case STAT_TIER_OUTCOME:
        snprintf(buf, size, "tier=\"%s\",outcome=\"%s\"", tier_name(label / OUTCOMES_LEN),
                 outcome_rows[label % OUTCOMES_LEN].word);
        break;
    case STAT_BACKEND:
        snprintf(buf, size, "backend=\"%s\"", backends[label].name);
        break;
    case STAT_BACKEND_CLASS:
        snprintf(buf, size, "backend=\"%s\",class=\"%s\"", backends[label / STAT_CLASSES].name,
                 class_name(label % STAT_CLASSES));
        break;
    case STAT_STORE_OP:
        snprintf(buf, size, "result=\"%s\"", store_op_words[label]);
        break;
    case STAT_KEY_RESULT:
        snprintf(buf, size, "result=\"%s\"", key_result_words[label]);
        break;
    case STAT_SERVICE:
        snprintf(buf, size, "limit=\"%s\"", service_row_name(label));
        break;
    }
}

static bool is_always_shown(const struct page *page)
{
    enum stat_labels labels = page->row->labels;

    return labels == STAT_NONE || labels == STAT_BACKEND;
}

static void print_counter(const struct page *page, int label)
{
    const struct metrics_source *source = page->source;
    uint64_t value = 0;
    char labels[256];

    for (int i = 0; i < source->gates_len; i++)
        value += stats_value(&source->gates[i]->stats, page->stat, label);
    if (!value && !is_always_shown(page))
        return;
    print_labels(page, label, labels, sizeof(labels));
    fprintf(page->file, "meltguard_%s%s%s%s %llu\n", page->row->name, *labels ? "{" : "", labels,
            *labels ? "}" : "", (unsigned long long)value);
}

static void print_histogram(const struct page *page, int label)
{
    const struct metrics_source *source = page->source;
    const char *name = page->row->name;
    uint64_t buckets[STAT_BUCKETS + 1] = {0};
    uint64_t sum_us = 0, count = 0;
    char labels[256];
    const char *comma;

    for (int i = 0; i < source->gates_len; i++) {
        const struct stats *stats = &source->gates[i]->stats;

        for (int bucket = 0; bucket <= STAT_BUCKETS; bucket++)
            buckets[bucket] += stats_bucket(stats, page->stat, label, bucket);
        sum_us += stats_sum_us(stats, page->stat, label);
    }
    for (int bucket = 0; bucket <= STAT_BUCKETS; bucket++)
        count += buckets[bucket];
    if (!count && !is_always_shown(page))
        return;
    print_labels(page, label, labels, sizeof(labels));
    comma = *labels ? "," : "";
    count = 0;
    for (int bucket = 0; bucket < STAT_BUCKETS; bucket++) {
        count += buckets[bucket];
        fprintf(page->file, "meltguard_%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma,
                (double)stat_bounds_us[bucket] / 1e6, (unsigned long long)count);
    }
    count += buckets[STAT_BUCKETS];
    fprintf(page->file, "meltguard_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
            (unsigned long long)count);
    fprintf(page->file, "meltguard_%s_sum%s%s%s %.6f\n", name, *labels ? "{" : "", labels,
            *labels ? "}" : "", (double)sum_us / 1e6);
    fprintf(page->file, "meltguard_%s_count%s%s%s %llu\n", name, *labels ? "{" : "", labels,
            *labels ? "}" : "", (unsigned long long)count);
}

/* A gauge's value now; false: it is not known. */
static bool read_shared(const struct page *page, double *out)
{
    const struct metrics_source *source = page->source;

    switch ((int)page->stat) {
    case STAT_CONNECTIONS:
        *out = atomic_load(&source->shared->connections);
        return true;
    case STAT_IN_PROGRESS:
        *out = shared_requests(source->shared);
        return true;
    case STAT_WAITING:
        *out = atomic_load(&source->shared->waiting);
        return true;
    case STAT_STORE_UP:
        *out = quota_store_is_up(source->store);
        return true;
    case STAT_BUCKET_ACCOUNTS:
        *out = quota_store_bucket_accounts(source->store);
        return true;
    case STAT_WORKERS:
        *out = source->gates_len;
        return true;
    case STAT_GENERATION:
        *out = source->generation;
        return true;
    }
    ASSERT(!"a gauge without a reader");
    return false;
}

static bool read_known(const atomic_llong *value, const atomic_llong *at_us, double scale,
                       double *out)
{
    if (!atomic_load(at_us))
        return false;
    *out = (double)atomic_load(value) / scale;
    return true;
}

static bool read_backend(const struct page *page, const struct backend *b, double *out)
{
    switch ((int)page->stat) {
    case STAT_BACKEND_UP:
        *out = atomic_load(&b->now.is_up);
        return true;
    case STAT_BACKEND_IN_FLIGHT:
        *out = atomic_load(&b->now.in_flight);
        return true;
    case STAT_BACKEND_SLOTS:
        *out = b->max_in_flight;
        return true;
    case STAT_GPU_TEMPERATURE:
        return read_known(&b->now.temperature_mc, &b->now.temperature_us, 1e3, out);
    case STAT_GPU_POWER:
        return read_known(&b->now.power_mw, &b->now.power_us, 1e3, out);
    case STAT_BACKEND_QUEUE:
        return read_known(&b->now.queue_depth, &b->now.queue_us, 1, out);
    case STAT_TELEMETRY_AGE:
        if (!atomic_load(&b->now.sampled_us))
            return false;
        *out = (double)(page->now_us - atomic_load(&b->now.sampled_us)) / 1e6;
        return true;
    }
    ASSERT(!"a gauge without a reader");
    return false;
}

/* The workers' shares together. */
static bool read_service(const struct page *page, int row, double *out)
{
    const struct metrics_source *source = page->source;
    struct share_view view;
    int64_t units = 0;

    for (int i = 0; i < source->gates_len; i++) {
        if (!shares_look(&source->gates[i]->shares, row, &view))
            return false;
        units += page->stat == STAT_SERVICE_LEASED ? view.held_units : view.in_hand_units;
    }
    if (page->stat == STAT_SERVICE_LIMIT)
        units = view.limit_units;
    *out = (double)units / (double)UNITS_PER_IMAGE;
    return true;
}

static bool read_gauge(const struct page *page, int label, double *out)
{
    if (page->row->labels == STAT_BACKEND)
        return read_backend(page, &page->source->backends->backends[label], out);
    if (page->row->labels == STAT_SERVICE)
        return read_service(page, label, out);
    return read_shared(page, out);
}

static void print_gauge(const struct page *page, int label)
{
    double value = 0;
    char labels[256];

    if (!read_gauge(page, label, &value))
        return;
    print_labels(page, label, labels, sizeof(labels));
    fprintf(page->file, "meltguard_%s%s%s%s %.15g\n", page->row->name, *labels ? "{" : "", labels,
            *labels ? "}" : "", value);
}

static int label_count(const struct page *page)
{
    int labels = stats_labels(&page->source->gates[0]->stats, page->stat);
    int tiers = config_tier_count() + 1;

    if (page->row->labels == STAT_TIER)
        return tiers;
    return page->row->labels == STAT_TIER_OUTCOME ? tiers * OUTCOMES_LEN : labels;
}

static void print_stat(const struct page *page)
{
    static const char *const kinds[] = {"counter", "histogram", "gauge"};
    int labels = label_count(page);

    fprintf(page->file, "# HELP meltguard_%s %s.\n# TYPE meltguard_%s %s\n", page->row->name,
            page->row->help, page->row->name, kinds[page->row->kind]);
    for (int label = 0; label < labels; label++) {
        switch (page->row->kind) {
        case STAT_COUNTER:
            print_counter(page, label);
            break;
        case STAT_HISTOGRAM:
            print_histogram(page, label);
            break;
        case STAT_GAUGE:
            print_gauge(page, label);
            break;
        }
    }
}

enum status metrics_print(const struct metrics_source *source, int64_t now_us, char **out,
                          size_t *out_len)
{
    struct page page = {.source = source, .now_us = now_us};

    page.file = open_memstream(out, out_len);
    if (!page.file)
        return ST_NOMEM;
    fprintf(page.file,
            "# HELP meltguard_build_info The version that runs.\n"
            "# TYPE meltguard_build_info gauge\nmeltguard_build_info{version=\"%s\"} 1\n",
            MELTGUARD_VERSION);
    for (int stat = 0; stat < STATS_LEN; stat++) {
        page.stat = (enum stat_id)stat;
        page.row = &stat_rows[stat];
        print_stat(&page);
    }
    if (fclose(page.file)) {
        free(*out);
        return ST_NOMEM;
    }
    return ST_OK;
}
