/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "config/value.h"

#define BAD INT64_MIN

struct row {
    const char *text;
    int64_t value;
};

static void check(const struct row *rows, size_t len, enum status (*read)(struct text, int64_t *))
{
    for (size_t i = 0; i < len; i++) {
        int64_t value = BAD;
        enum status st = read(text_of(rows[i].text), &value);
        cr_expect_eq(st, rows[i].value == BAD ? ST_INVALID : ST_OK, "%s", rows[i].text);
        cr_expect_eq(value, rows[i].value, "%s => %lld", rows[i].text, (long long)value);
    }
}

Test(value, durations)
{
    static const struct row rows[] = {
        {"0s", 0},
        {"10s", 10000},
        {"250ms", 250},
        {"5min", 300000},
        {"1h", 3600000},
        {"10", BAD},
        {"s", BAD},
        {"", BAD},
        {"10 s", BAD},
        {"-1s", BAD},
        {"1.5s", BAD},
        {"1d", BAD},
        {"1S", BAD},
        {"1m", BAD},
        {"9223372036854775807ms", INT64_MAX},
        {"1sx", BAD},
        {"2562047788016h", BAD},
        {"9223372036854775808ms", BAD},
    };

    check(rows, ARRAY_LEN(rows), value_duration_ms);
}

Test(value, sizes)
{
    static const struct row rows[] = {
        {"512", 512},  {"16KiB", 16384}, {"1MiB", 1048576}, {"4GiB", INT64_C(4294967296)},
        {"16KB", BAD}, {"1 MiB", BAD},   {"KiB", BAD},      {"0x10", BAD},
        {"1e3", BAD},  {"", BAD},        {"0", 0},          {"9007199254740992GiB", BAD},
    };

    check(rows, ARRAY_LEN(rows), value_size);
}

Test(value, thousandths)
{
    static const struct row rows[] = {
        {"80", 80000},
        {"76.5", 76500},
        {"76.05", 76050},
        {"76.005", 76005},
        {"0.001", 1},
        {"76.0005", BAD},
        {"76.", BAD},
        {".5", BAD},
        {"-1", BAD},
        {"1.2.3", BAD},
        {"9223372036854776", BAD},
        {"9223372036854775.807", INT64_MAX},
        {"", BAD},
        {"9223372036854775.808", BAD},
        {"nan", BAD},
        {"1e2", BAD},
    };

    check(rows, ARRAY_LEN(rows), value_thousandths);
}

Test(value, names)
{
    cr_expect(value_is_name(TEXT("gpu0"), 4));
    cr_expect(value_is_name(TEXT("a_b-c.d"), 64));
    cr_expect_not(value_is_name(TEXT("gpu01"), 4));
    cr_expect_not(value_is_name(TEXT(""), 4));
    cr_expect_not(value_is_name(TEXT("-gpu"), 64));
    cr_expect_not(value_is_name(TEXT("a b"), 64));
    cr_expect_not(value_is_name(TEXT("a\"b"), 64));
    cr_expect(value_is_token(TEXT("X-Account-Id")));
    cr_expect_not(value_is_token(TEXT("X Account")));
    cr_expect_not(value_is_token(TEXT("X:")));
    cr_expect_not(value_is_token((struct text){"a\0", 2}));
    cr_expect_not(value_is_visible(TEXT("a\x7f")));
    cr_expect_not(value_is_visible(TEXT("\xed\xa7\x80")));
    cr_expect(value_is_line(TEXT("\xec\xa7\x80 a")));
    cr_expect_not(value_is_line(TEXT("a\nb")));
}

static void check_print(void (*print)(int64_t, struct text_out *), int64_t value,
                        const char *expected)
{
    char buf[32];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    print(value, &out);
    cr_expect_str_eq(buf, expected);
}

Test(value, are_printed_in_the_largest_unit_that_fits)
{
    check_print(value_print_duration_ms, 3600000, "1h");
    check_print(value_print_duration_ms, 90000, "90s");
    check_print(value_print_duration_ms, 250, "250ms");
    check_print(value_print_duration_ms, 0, "0ms");
    check_print(value_print_size, 65536, "64KiB");
    check_print(value_print_size, 1000, "1000");
    check_print(value_print_size, INT64_C(4294967296), "4GiB");
}
