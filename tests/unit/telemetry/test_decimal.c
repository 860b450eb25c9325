/* SPDX-License-Identifier: Apache-2.0 */
/* test_decimal.c - decimals to scaled integers. */
#include <criterion/criterion.h>

#include "telemetry/decimal.h"

struct sample {
    const char *text;
    int shift;
    int64_t value;
};

static const struct sample samples[] = {
    {"0", 3, 0},
    {"-0", 3, 0},
    {"44", 3, 44000},
    {"+44", 3, 44000},
    {"-40.5", 3, -40500},
    {"52.636000", 3, 52636},
    {"5.2e+01", 3, 52000},
    {"5.2E1", 3, 52000},
    {"520e-1", 3, 52000},
    {".5", 3, 500},
    {"5.", 3, 5000},
    {"0.0004", 3, 0},
    {"0.0005", 3, 1},
    {"-0.0005", 3, -1},
    {"1499", -3, 1},
    {"1500", -3, 2},
    {"4", -1, 0},
    {"5", -1, 1},
    {"0000000000000000000000000000012.5", 1, 125},
    {"0.00000000000000000000000000125", 28, 13},
    {"1.00000000000000000000000000000000001", 3, 1000},
    {"9223372036854775807", 0, INT64_MAX},
    {"-9223372036854775807", 0, -INT64_MAX},
    {"0e999999999999999999999", 3, 0},
    {"1e-999999999999999999999", 3, 0},
    {"92233720368547758070", -1, INT64_MAX},
};

Test(decimal, scales)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        int64_t value = -7;

        cr_assert_eq(decimal_scaled(text_of(samples[i].text), samples[i].shift, &value), ST_OK,
                     "%s", samples[i].text);
        cr_assert_eq(value, samples[i].value, "%s: %ld", samples[i].text, (long)value);
    }
}

Test(decimal, refuses)
{
    static const char *const beyond[] = {"NaN",
                                         "nan",
                                         "+Inf",
                                         "-Inf",
                                         "Inf",
                                         "infinity",
                                         "1e19",
                                         "9223372036854775808",
                                         "18446744073709551615",
                                         "1e999999999999999999999"};
    static const char *const invalid[] = {"",    "+",     "-",  ".",    "e5",    "1e",
                                          "1e+", "1 ",    " 1", "0x10", "1_000", "1,5",
                                          "--1", "1.2.3", "in", "nano", "1e5x"};
    int64_t value;

    for (size_t i = 0; i < ARRAY_LEN(beyond); i++)
        cr_assert_eq(decimal_scaled(text_of(beyond[i]), 0, &value), ST_LIMIT, "%s", beyond[i]);
    for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
        cr_assert_eq(decimal_scaled(text_of(invalid[i]), 0, &value), ST_INVALID, "%s", invalid[i]);
    cr_assert_eq(decimal_scaled(TEXT("9223372036854775807"), 3, &value), ST_LIMIT);
}
