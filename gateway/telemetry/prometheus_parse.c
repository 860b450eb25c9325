/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_parse.c - from an exporter's metrics to one load sample.      Runs on: control thread.
 *
 * A metric is one row of a table: its name, what it says, and the power of ten from its unit to ours.  Readings are kept
 * a GPU, known by its UUID: with MIG an exporter repeats a GPU's temperature and power once an instance, and two
 * generations of names may stand side by side.  Of repeated readings the largest counts, none is added up twice.
 * Queue gauges are added up over their series (models, replicas), each series once. */
#include "telemetry/telemetry.h"

#include "telemetry/decimal.h"
#include "telemetry/prometheus_line.h"

enum reading {
    READING_NONE,
    READING_TEMPERATURE, /* thousandths of a degree Celsius */
    READING_MEMORY_TEMPERATURE,
    READING_POWER,       /* mW */
    READING_ENERGY,      /* mJ */
    READING_UTILIZATION, /* thousandths */
    READINGS_PER_GPU,
    READING_QUEUE = READINGS_PER_GPU, /* jobs */
    READINGS_LEN,
};

/*    metric                                    reading              shift: the unit it comes in */
/* clang-format off */
#define METRIC_TABLE(X)                                                                          \
    X("DCGM_FI_DEV_GPU_TEMP",                   TEMPERATURE,         3)  /* C */                 \
    X("DCGM_FI_DEV_GPU_TEMP_CELSIUS",           TEMPERATURE,         3)                          \
    X("DCGM_FI_DEV_MEMORY_TEMP",                MEMORY_TEMPERATURE,  3)                          \
    X("DCGM_FI_DEV_MEMORY_TEMP_CELSIUS",        MEMORY_TEMPERATURE,  3)                          \
    X("DCGM_FI_DEV_POWER_USAGE",                POWER,               3)  /* W */                 \
    X("DCGM_FI_DEV_BOARD_POWER_WATTS",          POWER,               3)                          \
    X("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",   ENERGY,              0)  /* mJ */                \
    X("DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL",    ENERGY,              3)  /* J */                 \
    X("DCGM_FI_DEV_GPU_UTIL",                   UTILIZATION,         1)  /* % */                 \
    X("DCGM_FI_DEV_GPU_UTIL_RATIO",             UTILIZATION,         3)  /* 0..1 */              \
    X("nv_gpu_power_usage",                     POWER,               3)  /* Triton: W */         \
    X("nv_energy_consumption",                  ENERGY,              3)  /* J */                 \
    X("nv_gpu_utilization",                     UTILIZATION,         3)  /* 0..1 */              \
    X("gpu_junction_temperature",               TEMPERATURE,         3)  /* AMD: C */            \
    X("gpu_edge_temperature",                   TEMPERATURE,         3)                          \
    X("gpu_memory_temperature",                 MEMORY_TEMPERATURE,  3)                          \
    X("gpu_power_usage",                        POWER,               3)  /* W */                 \
    X("gpu_package_power",                      POWER,               3)                          \
    X("gpu_energy_consumed",                    ENERGY,              -3) /* uJ */                \
    X("gpu_gfx_activity",                       UTILIZATION,         1)  /* % */                 \
    X("amd_gpu_junction_temperature",           TEMPERATURE,         3)                          \
    X("amd_gpu_edge_temperature",               TEMPERATURE,         3)                          \
    X("amd_gpu_memory_temperature",             MEMORY_TEMPERATURE,  3)                          \
    X("amd_gpu_power_usage",                    POWER,               3)                          \
    X("amd_gpu_package_power",                  POWER,               3)                          \
    X("amd_gpu_energy_consumed",                ENERGY,              -3)                         \
    X("amd_gpu_gfx_activity",                   UTILIZATION,         1)                          \
    X("nv_inference_pending_request_count",     QUEUE,               0)                          \
    X("sglang:diffusion_num_queue_reqs",        QUEUE,               0)                          \
    X("vllm_omni:num_requests_waiting",         QUEUE,               0)                          \
    X("simgpu_queue_depth",                     QUEUE,               0)
/* clang-format on */

static const struct metric {
    struct text name;
    enum reading reading;
    int shift;
} metrics[] = {
#define X(name, reading, shift) {TEXT(name), READING_##reading, shift},
    METRIC_TABLE(X)
#undef X
};

/* What can be true; all else is missing.  Temperatures are core's to judge. */
static const struct range {
    int64_t low, high;
} ranges[READINGS_LEN] = {
    [READING_TEMPERATURE] = {INT64_MIN, INT64_MAX},
    [READING_MEMORY_TEMPERATURE] = {INT64_MIN, INT64_MAX},
    [READING_POWER] = {0, 20 * INT64_C(1000000)},       /* 20 kW */
    [READING_ENERGY] = {0, INT64_C(10000000000000000)}, /* 10 TJ: a sum over GPUS_MAX fits */
    [READING_UTILIZATION] = {0, 1000},
    [READING_QUEUE] = {0, INT64_C(1000000000)},
};

/* Blanks of DCGM: "no value", "not found", "not supported", "no permission", one after the other, of its integers and
 * doubles.  Those of 64 bits, which exporters print rounded too, are the largest numbers there are. */
#define BLANKS      4
#define BLANK_INT32 INT64_C(2147483632)
#define BLANK_FP64  INT64_C(140737488355328)
#define BLANK_INT64 INT64_C(9223372036854775792)

#define GPUS_MAX   128
#define SERIES_MAX 512

struct gpu {
    struct text id;
    int64_t readings[READINGS_PER_GPU];
};

struct series {
    const struct metric *metric;
    struct text labels;
    int64_t value;
};

/* One body being read. */
struct scrape {
    int gpus_len;
    struct gpu gpus[GPUS_MAX]; /* any beyond share the last one: the hottest stays right */
    int series_len;
    struct series series[SERIES_MAX]; /* any beyond share the last one, too */
};

static const struct metric *find_metric(struct text name)
{
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
        if (text_equal(metrics[i].name, name))
            return &metrics[i];
    return NULL;
}

static bool is_blank(struct text value)
{
    int64_t n;

    if (decimal_scaled(value, 0, &n))
        return true;
    return n >= BLANK_INT64 || (n >= BLANK_INT32 && n < BLANK_INT32 + BLANKS) ||
           (n >= BLANK_FP64 && n < BLANK_FP64 + BLANKS);
}

/* The value in our unit, or LOAD_MISSING. */
static int64_t value_of(const struct metric *metric, struct text text)
{
    const struct range *range = &ranges[metric->reading];
    int64_t value;

    if (is_blank(text) || decimal_scaled(text, metric->shift, &value))
        return LOAD_MISSING;
    if (metric->reading == READING_TEMPERATURE || metric->reading == READING_MEMORY_TEMPERATURE)
        return load_plausible_temperature(value);
    return value >= range->low && value <= range->high ? value : LOAD_MISSING;
}

/* What tells one GPU from another, by exporter; TEXT_NONE where there is but one, without a name. */
static struct text gpu_id(const struct prometheus_line *line)
{
    static const char *const names[] = {"UUID",          "uuid",   "gpu_uuid",
                                        "serial_number", "gpu_id", "gpu"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct text id = prometheus_label(line, text_of(names[i]));
        if (id.len > 0)
            return id;
    }
    return TEXT_NONE;
}

static struct gpu *gpu_of(struct scrape *scrape, struct text id)
{
    for (int i = 0; i < scrape->gpus_len; i++)
        if (text_equal(scrape->gpus[i].id, id))
            return &scrape->gpus[i];
    if (scrape->gpus_len == GPUS_MAX)
        return &scrape->gpus[GPUS_MAX - 1];
    struct gpu *gpu = &scrape->gpus[scrape->gpus_len++];
    gpu->id = id;
    for (int r = 0; r < READINGS_PER_GPU; r++)
        gpu->readings[r] = LOAD_MISSING;
    return gpu;
}

static struct series *series_of(struct scrape *scrape, const struct metric *metric,
                                struct text labels)
{
    for (int i = 0; i < scrape->series_len; i++) {
        struct series *series = &scrape->series[i];
        if (series->metric == metric && text_equal(series->labels, labels))
            return series;
    }
    if (scrape->series_len == SERIES_MAX)
        return &scrape->series[SERIES_MAX - 1];
    struct series *series = &scrape->series[scrape->series_len++];
    *series = (struct series){metric, labels, LOAD_MISSING};
    return series;
}

static void take_line(struct scrape *scrape, const struct prometheus_line *line)
{
    const struct metric *metric = find_metric(line->name);

    if (!metric)
        return;
    /* LOAD_MISSING is less than every value. */
    int64_t value = value_of(metric, line->value);
    int64_t *known = metric->reading == READING_QUEUE
                         ? &series_of(scrape, metric, line->labels)->value
                         : &gpu_of(scrape, gpu_id(line))->readings[metric->reading];
    *known = MAX(*known, value);
}

/* LOAD_MISSING is the neutral element of all three. */

static int64_t hottest(const struct scrape *scrape, enum reading reading)
{
    int64_t most = LOAD_MISSING;

    for (int i = 0; i < scrape->gpus_len; i++)
        most = MAX(most, scrape->gpus[i].readings[reading]);
    return most;
}

static void add(int64_t *sum, int64_t value)
{
    if (value != LOAD_MISSING)
        *sum = *sum == LOAD_MISSING ? value : *sum + value;
}

static int64_t sum_of(const struct scrape *scrape, enum reading reading, int64_t *out_len)
{
    int64_t sum = LOAD_MISSING;

    *out_len = 0;
    for (int i = 0; i < scrape->gpus_len; i++) {
        int64_t value = scrape->gpus[i].readings[reading];
        add(&sum, value);
        *out_len += value != LOAD_MISSING ? 1 : 0;
    }
    return sum;
}

static void summarize(const struct scrape *scrape, struct load_sample *out)
{
    int64_t len;

    load_sample_clear(out);
    out->temperature_mc = hottest(scrape, READING_TEMPERATURE);
    out->memory_temperature_mc = hottest(scrape, READING_MEMORY_TEMPERATURE);
    out->power_mw = sum_of(scrape, READING_POWER, &len);
    out->energy_mj = sum_of(scrape, READING_ENERGY, &len);
    out->utilization_permille = sum_of(scrape, READING_UTILIZATION, &len);
    if (len > 0)
        out->utilization_permille /= len;
    for (int i = 0; i < scrape->series_len; i++)
        add(&out->queue_depth, scrape->series[i].value);
    if (scrape->gpus_len > 0)
        out->gpus = scrape->gpus_len;
}

enum status prometheus_parse(struct text body, struct load_sample *out)
{
    struct scrape scrape;
    struct prometheus_line line;
    enum status st = ST_OK;

    scrape.gpus_len = 0;
    scrape.series_len = 0;
    while (st == ST_OK) {
        st = prometheus_line_next(&body, &line);
        if (st == ST_OK)
            take_line(&scrape, &line);
    }
    if (st != ST_CLOSED)
        return st;
    summarize(&scrape, out);
    return ST_OK;
}
