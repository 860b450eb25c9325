/* SPDX-License-Identifier: Apache-2.0 */
/* test_prometheus_parse.c - recorded metrics of each exporter, and the traps in them.  Runs in the top folder. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "telemetry/telemetry.h"

static struct load_sample parse(const char *body)
{
    struct load_sample sample;

    cr_assert_eq(prometheus_parse(text_of(body), &sample), ST_OK, "%s", body);
    return sample;
}

static struct load_sample parse_file(const char *name)
{
    static char body[65536];
    char path[128];

    (void)snprintf(path, sizeof(path), "tests/unit/telemetry/%s.prom", name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    body[fread(body, 1, sizeof(body) - 1, file)] = '\0';
    cr_assert_eq(fclose(file), 0);
    return parse(body);
}

/* Compares every field, so that nothing that is missing passes for zero. */
static void expect(const char *what, struct load_sample got, struct load_sample expected)
{
    cr_assert_eq(got.temperature_mc, expected.temperature_mc, "%s: %ld", what,
                 (long)got.temperature_mc);
    cr_assert_eq(got.memory_temperature_mc, expected.memory_temperature_mc, "%s: %ld", what,
                 (long)got.memory_temperature_mc);
    cr_assert_eq(got.power_mw, expected.power_mw, "%s: %ld", what, (long)got.power_mw);
    cr_assert_eq(got.energy_mj, expected.energy_mj, "%s: %ld", what, (long)got.energy_mj);
    cr_assert_eq(got.utilization_permille, expected.utilization_permille, "%s: %ld", what,
                 (long)got.utilization_permille);
    cr_assert_eq(got.queue_depth, expected.queue_depth, "%s: %ld", what, (long)got.queue_depth);
    cr_assert_eq(got.gpus, expected.gpus, "%s: %ld", what, (long)got.gpus);
}

static struct load_sample missing(void)
{
    struct load_sample sample;

    load_sample_clear(&sample);
    return sample;
}

Test(prometheus_parse, reads_dcgm)
{
    struct load_sample expected = {.temperature_mc = 64000,
                                   .memory_temperature_mc = 71000, /* the other GPU has none */
                                   .power_mw = 682501,
                                   .energy_mj = 1299346600,
                                   .utilization_permille = 485,
                                   .queue_depth = LOAD_MISSING,
                                   .gpus = 2};

    expect("dcgm", parse_file("dcgm"), expected);
}

Test(prometheus_parse, counts_a_gpu_once_however_many_instances_it_has)
{
    struct load_sample expected = missing();

    expected.temperature_mc = 50000;
    expected.power_mw = 52636;
    expected.gpus = 1;
    expect("mig", parse_file("dcgm_mig"), expected);
}

Test(prometheus_parse, reads_the_new_names_of_dcgm_beside_the_old)
{
    struct load_sample expected = {.temperature_mc = 52000,
                                   .memory_temperature_mc = 58000,
                                   .power_mw = 412250,
                                   .energy_mj = 1206346587,
                                   .utilization_permille = 875,
                                   .queue_depth = LOAD_MISSING,
                                   .gpus = 1};

    expect("new names", parse_file("dcgm_new_names"), expected);
}

Test(prometheus_parse, reads_triton)
{
    struct load_sample expected = {.temperature_mc = LOAD_MISSING,
                                   .memory_temperature_mc = LOAD_MISSING,
                                   .power_mw = 399750,
                                   .energy_mj = 26612561,
                                   .utilization_permille = 375,
                                   .queue_depth = 9,
                                   .gpus = 2};

    expect("triton", parse_file("triton"), expected);
}

Test(prometheus_parse, reads_amd)
{
    struct load_sample expected = {.temperature_mc = 66000,
                                   .memory_temperature_mc = 43000,
                                   .power_mw = 330000,
                                   .energy_mj = 2500000,
                                   .utilization_permille = 125,
                                   .queue_depth = LOAD_MISSING,
                                   .gpus = 2};

    expect("amd", parse_file("amd"), expected);
    expected = missing();
    expected.temperature_mc = 61000;
    expected.gpus = 1;
    expect("amd prefix", parse("amd_gpu_junction_temperature{gpu_id=\"0\"} 61\n"), expected);
}

Test(prometheus_parse, reads_queue_gauges)
{
    struct load_sample expected = missing();

    expected.queue_depth = 7;
    expect("sglang", parse_file("sglang"), expected);
    expected.queue_depth = 9;
    expect("vllm_omni", parse_file("vllm_omni"), expected);
    expected.queue_depth = 0;
    expect("simgpu", parse("simgpu_queue_depth 0\n"), expected);
}

Test(prometheus_parse, adds_up_a_queue_series_once)
{
    cr_assert_eq(parse("simgpu_queue_depth 3\nsimgpu_queue_depth 3\n").queue_depth, 3);
    cr_assert_eq(parse("nv_inference_pending_request_count{model=\"a\"} 3\n"
                       "nv_inference_pending_request_count{model=\"a\"} 3\n"
                       "nv_inference_pending_request_count{model=\"b\"} 4\n")
                     .queue_depth,
                 7);
    cr_assert_eq(parse("simgpu_queue_depth NaN\n").queue_depth, LOAD_MISSING);
    cr_assert_eq(
        parse("simgpu_queue_depth{a=\"1\"} NaN\nsimgpu_queue_depth{a=\"2\"} 2\n").queue_depth, 2);
    cr_assert_eq(parse("simgpu_queue_depth -1\n").queue_depth, LOAD_MISSING);
}

Test(prometheus_parse, nothing_known_is_all_missing)
{
    static const char *const bodies[] = {"", "\n", "# only a comment", "up 1\n",
                                         "a{b=\"c\"} 1 2\n"};

    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        expect(bodies[i], parse(bodies[i]), missing());
}

Test(prometheus_parse, sentinels_and_the_implausible_are_missing)
{
    static const char *const values[] = {"9223372036854775794",
                                         "9223372036854776000",
                                         "9.223372036854776e+18",
                                         "9223372036854775792",
                                         "2147483632",
                                         "2147483635",
                                         "2.147483632e+09",
                                         "140737488355328",
                                         "140737488355328.000000",
                                         "NaN",
                                         "+Inf",
                                         "-Inf",
                                         "1e300",
                                         "18446744073709551615"};
    static const char *const names[] = {
        "DCGM_FI_DEV_GPU_TEMP",    "DCGM_FI_DEV_MEMORY_TEMP",
        "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "DCGM_FI_DEV_GPU_UTIL",    "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL",
        "gpu_energy_consumed"};

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            char body[128];
            struct load_sample expected = missing();
            expected.gpus = 1;
            (void)snprintf(body, sizeof(body), "%s{gpu=\"0\"} %s\n", names[n], values[v]);
            expect(body, parse(body), expected);
        }
    }
}

Test(prometheus_parse, values_have_their_bounds)
{
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_TEMP 200\n").temperature_mc, 200000);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_TEMP 200.001\n").temperature_mc, LOAD_MISSING);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_TEMP -273.15\n").temperature_mc, -273150);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_TEMP -274\n").temperature_mc, LOAD_MISSING);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_TEMP 0\n").temperature_mc, 0);
    cr_assert_eq(parse("DCGM_FI_DEV_POWER_USAGE -1\n").power_mw, LOAD_MISSING);
    cr_assert_eq(parse("DCGM_FI_DEV_POWER_USAGE 20001\n").power_mw, LOAD_MISSING);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_UTIL 101\n").utilization_permille, LOAD_MISSING);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_UTIL 100\n").utilization_permille, 1000);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_UTIL_RATIO 1.0\n").utilization_permille, 1000);
    cr_assert_eq(parse("nv_gpu_utilization 1.01\n").utilization_permille, LOAD_MISSING);
}

Test(prometheus_parse, of_repeated_readings_the_largest_counts)
{
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_TEMP{UUID=\"a\"} 60\nDCGM_FI_DEV_GPU_TEMP{UUID=\"a\"} 61\n"
                       "DCGM_FI_DEV_GPU_TEMP{UUID=\"a\"} NaN\n")
                     .temperature_mc,
                 61000);
    cr_assert_eq(parse("DCGM_FI_DEV_POWER_USAGE{UUID=\"a\"} 100\n"
                       "DCGM_FI_DEV_BOARD_POWER_WATTS{UUID=\"a\"} 100\n")
                     .power_mw,
                 100000);
    /* Without any name there is one GPU. */
    cr_assert_eq(
        parse("DCGM_FI_DEV_POWER_USAGE 100\nDCGM_FI_DEV_POWER_USAGE{x=\"y\"} 100\n").power_mw,
        100000);
}

Test(prometheus_parse, stays_right_with_more_gpus_than_it_knows)
{
    static char body[65536];
    size_t at = 0;

    for (int i = 0; i < 300; i++)
        at += (size_t)snprintf(body + at, sizeof(body) - at,
                               "DCGM_FI_DEV_GPU_TEMP{gpu=\"%d\"} %d\n", i, i == 290 ? 90 : 40);
    cr_assert_eq(parse(body).temperature_mc, 90000);
}

Test(prometheus_parse, reads_all_of_the_format)
{
    cr_assert_eq(
        parse("  DCGM_FI_DEV_GPU_TEMP \t { gpu = \"0\" , x=\"\" , } \t 44 \t 1700000000000 \n")
            .temperature_mc,
        44000);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_TEMP{} 44\r\n").temperature_mc, 44000);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_TEMP 44 -1").temperature_mc, 44000);
    cr_assert_eq(parse("DCGM_FI_DEV_GPU_TEMP 44 # {a=\"b\"} 1\n# EOF\n").temperature_mc, 44000);
    struct load_sample two =
        parse("DCGM_FI_DEV_POWER_USAGE{modelName=\"a \\\"b\\\" } 9\\\\\",UUID=\"x\"} 1\n"
              "DCGM_FI_DEV_POWER_USAGE{modelName=\"UUID=\\\"x\\\"\\n\",UUID=\"y\"} 2\n");
    cr_assert_eq(two.power_mw, 3000);
    cr_assert_eq(two.gpus, 2);
}

Test(prometheus_parse, refuses_other_formats)
{
    static const char *const bodies[] = {
        "<html><body>502</body></html>",
        "{\"temperature\":44}",
        "Not Found\n",
        "OK",
        "DCGM_FI_DEV_GPU_TEMP\n",
        "DCGM_FI_DEV_GPU_TEMP hot\n",
        "DCGM_FI_DEV_GPU_TEMP{gpu=\"0\" 44\n",
        "DCGM_FI_DEV_GPU_TEMP{gpu=\"0} 44\n",
        "DCGM_FI_DEV_GPU_TEMP{gpu=\"0\\\"} 44\n",
        "DCGM_FI_DEV_GPU_TEMP{gpu=0} 44\n",
        "DCGM_FI_DEV_GPU_TEMP{gpu=\"0\"x=\"1\"} 44\n",
        "DCGM_FI_DEV_GPU_TEMP{,} 44\n",
        "DCGM_FI_DEV_GPU_TEMP{\"a\"} 44\n",
        "DCGM_FI_DEV_GPU_TEMP{gpu=\"0\"}\n",
        "DCGM_FI_DEV_GPU_TEMP 44 soon\n",
        "DCGM_FI_DEV_GPU_TEMP 44 1 2\n",
        "0abc 1\n",
        "up 1\nup 1\n\x01\n",
        "a{b=\"c\\",
    };
    struct load_sample sample;

    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        cr_assert_eq(prometheus_parse(text_of(bodies[i]), &sample), ST_INVALID, "%s", bodies[i]);
}
