/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

Test(text, compares)
{
    cr_assert(text_equal(TEXT("a"), TEXT("a")));
    cr_assert(text_equal(TEXT_NONE, TEXT("")));
    cr_assert_not(text_equal(TEXT("a"), TEXT("A")));
    cr_assert_not(text_equal(TEXT("a"), TEXT("ab")));
    cr_assert(text_equal_nocase(TEXT("Content-LENGTH"), TEXT("content-length")));
    cr_assert_not(text_equal_nocase(TEXT("@"), TEXT("`")), "only letters differ by case");
    cr_assert_not(text_equal_nocase(TEXT("\xc3\x84"), TEXT("\xc3\xa4")), "ASCII only");
    cr_assert(text_starts_with(TEXT("unix:/x"), TEXT("unix:")));
    cr_assert(text_starts_with(TEXT("a"), TEXT_NONE));
    cr_assert_not(text_starts_with(TEXT("un"), TEXT("unix:")));
    cr_assert_eq(text_of(NULL).len, 0);
    cr_assert_eq(text_of("abc").len, 3);
}

static bool differ_by_case(unsigned a, unsigned b)
{
    return a == b || ((a ^ b) == 0x20 && (a | 0x20) >= 'a' && (a | 0x20) <= 'z');
}

/* Every two bytes at every place of texts of every length up to three words. */
Test(text, letters_alone_differ_by_case)
{
    char a[20], b[20];

    memset(a, 'x', sizeof(a));
    memset(b, 'X', sizeof(b));
    for (size_t len = 1; len <= sizeof(a); len++)
        for (size_t at = 0; at < len; at++) {
            for (unsigned pair = 0; pair < 1 << 16; pair++) {
                a[at] = (char)(pair >> 8);
                b[at] = (char)(pair & 0xff);
                cr_assert_eq(text_same_nocase(a, b, len), differ_by_case(pair >> 8, pair & 0xff),
                             "%04x at %zu of %zu", pair, at, len);
            }
            a[at] = 'x';
            b[at] = 'X';
        }
    cr_assert(text_same_nocase(a, b, 0));
}

Test(text, trims_blanks_only)
{
    cr_assert(text_equal(text_trim(TEXT(" \t a b\t ")), TEXT("a b")));
    cr_assert_eq(text_trim(TEXT(" \t ")).len, 0);
    cr_assert(text_equal(text_trim(TEXT("\na\r")), TEXT("\na\r")));
    cr_assert_eq(text_trim(TEXT_NONE).len, 0);
}

Test(text, next_cuts_elements)
{
    struct text rest = TEXT("gzip , ,br,");
    struct text element;

    cr_assert(text_next(&rest, ',', &element));
    cr_assert(text_equal(element, TEXT("gzip")));
    cr_assert(text_next(&rest, ',', &element));
    cr_assert_eq(element.len, 0);
    cr_assert(text_next(&rest, ',', &element));
    cr_assert(text_equal(element, TEXT("br")));
    cr_assert_not(text_next(&rest, ',', &element));
    rest = TEXT_NONE;
    cr_assert_not(text_next(&rest, ',', &element));
}

Test(text, to_u64_is_strict)
{
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "0x10", "1.0", "18446744073709551616", "1e3"};
    uint64_t value = 7;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_eq(text_to_u64(text_of(bad[i]), &value), ST_INVALID, "%s", bad[i]);
    cr_assert_eq(value, 7, "written only on ST_OK");
    cr_assert_eq(text_to_u64(TEXT("18446744073709551615"), &value), ST_OK);
    cr_assert_eq(value, UINT64_MAX);
    cr_assert_eq(text_to_u64(TEXT("007"), &value), ST_OK);
    cr_assert_eq(value, 7);
}

/* Unicode 15, table 3-7: well-formed UTF-8 byte sequences, and what lies just beside them. */
Test(text, utf8_by_rfc_3629)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"", 0},
        {"a", 1},
        {"\x7f", 1},
        {"\x80", 0},
        {"\xc0\x80", 0},
        {"\xc1\xbf", 0},
        {"\xc2\x80", 2},
        {"\xc2", 0},
        {"\xc2\x41", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xed\xa0\x80", 0},
        {"\xef\xbf\xbf", 3},
        {"\xef\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xf0\x9f\x98\x41", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cr_assert_eq(text_utf8_len(text_of(cases[i].bytes)), cases[i].len, "case %zu", i);
}

Test(text, out_prints)
{
    char buf[64];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    text_out_add(&out, TEXT("n="));
    text_out_int(&out, INT64_MIN);
    text_out_char(&out, ' ');
    text_out_int(&out, 0);
    text_out_printf(&out, " %s", "x");
    text_out_hex(&out, "\x0f\xa0", 2);
    cr_assert_str_eq(buf, "n=-9223372036854775808 0 x0fa0");
    cr_assert_eq(out.len, strlen(buf));
    cr_assert_not(out.is_full);
}

/* Against sprintf(), at every number of digits. */
Test(text, out_prints_numbers)
{
    char buf[64], expected[64];
    struct text_out out;

    for (int64_t value = 1; value > 0 && value < INT64_MAX / 10; value *= 10)
        for (int64_t n = value - 1; n <= value + 1; n++) {
            text_out_init(&out, buf, sizeof(buf));
            text_out_int(&out, n);
            text_out_char(&out, ' ');
            text_out_int(&out, -n);
            snprintf(expected, sizeof(expected), "%" PRId64 " %" PRId64, n, -n);
            cr_assert_str_eq(buf, expected);
        }
    text_out_init(&out, buf, sizeof(buf));
    text_out_digits(&out, 7, 3);
    text_out_digits(&out, 4321, 2);
    text_out_digits(&out, 0, 1);
    text_out_digits(&out, UINT32_MAX, 10);
    cr_assert_str_eq(buf, "0072104294967295");
}

Test(text, out_prints_hex)
{
    char buf[1024], expected[1024];
    unsigned char bytes[256];
    struct text_out out;

    for (int i = 0; i < 256; i++) {
        bytes[i] = (unsigned char)i;
        snprintf(expected + 2 * i, 3, "%02x", (unsigned)i);
    }
    text_out_init(&out, buf, sizeof(buf));
    text_out_hex(&out, bytes, sizeof(bytes));
    cr_assert_str_eq(buf, expected);
}

Test(text, out_prints_times)
{
    char buf[64];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    text_out_time(&out, 1795392000 + 3661);
    text_out_char(&out, ' ');
    text_out_time(&out, -1);
    cr_assert_str_eq(buf, "2026-11-23T01:01:01 1969-12-31T23:59:59");
}

/* Every byte at every place of texts of every length. */
Test(text, plain_len)
{
    char bytes[40];

    for (size_t len = 0; len <= sizeof(bytes); len++)
        for (size_t at = 0; at < len; at++)
            for (int byte = 0; byte < 256; byte++) {
                bool is_plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                memset(bytes, 'a', sizeof(bytes));
                bytes[at] = (char)byte;
                bytes[len - 1] = at == len - 1 ? (char)byte : '"';
                size_t expected = is_plain ? len - (at < len - 1) : at;
                cr_assert_eq(text_plain_len((struct text){bytes, len}), expected,
                             "%d at %zu of %zu", byte, at, len);
            }
    cr_assert_eq(text_plain_len(TEXT_NONE), 0);
}

Test(text, visible_len)
{
    char bytes[40];

    for (size_t len = 0; len <= sizeof(bytes); len++)
        for (size_t at = 0; at < len; at++)
            for (int byte = 0; byte < 256; byte++) {
                bool is_visible = byte > 0x20 && byte < 0x7f && byte != '#';
                memset(bytes, 'a', sizeof(bytes));
                bytes[at] = (char)byte;
                bytes[len - 1] = at == len - 1 ? (char)byte : '#';
                size_t expected = is_visible ? len - (at < len - 1) : at;
                cr_assert_eq(text_visible_len((struct text){bytes, len}, '#'), expected,
                             "%d at %zu of %zu", byte, at, len);
            }
    cr_assert_eq(text_visible_len(TEXT_NONE, '#'), 0);
}

Test(text, out_is_bounded)
{
    char buf[5] = "####";
    struct text_out out;

    text_out_init(&out, buf, 4);
    text_out_add(&out, TEXT("abc"));
    cr_assert_not(out.is_full);
    text_out_char(&out, 'd');
    cr_assert(out.is_full);
    cr_assert_str_eq(buf, "abc");
    text_out_init(&out, buf, 4);
    text_out_printf(&out, "%d", 12345);
    cr_assert(out.is_full);
    cr_assert_str_eq(buf, "123");
    text_out_add(&out, TEXT("x"));
    cr_assert_eq(out.len, 3);
    text_out_init(&out, buf, 4);
    text_out_add(&out, TEXT("abcd"));
    text_out_printf(&out, "%s", "");
    cr_assert_str_eq(buf, "abc");
}

static void assert_int_in(size_t size, int64_t value, const char *expected, bool is_full)
{
    char buf[8];
    struct text_out out;

    text_out_init(&out, buf, size);
    text_out_int(&out, value);
    cr_assert_str_eq(buf, expected);
    cr_assert_eq(out.is_full, is_full);
    cr_assert_eq(out.len, strlen(expected));
}

Test(text, numbers_and_hex_are_bounded)
{
    char buf[8];
    struct text_out out;

    assert_int_in(5, 1234, "1234", false);
    assert_int_in(5, -123, "-123", false);
    assert_int_in(4, 1234, "123", true);
    assert_int_in(4, -123, "-12", true);
    assert_int_in(2, 7, "7", false);
    assert_int_in(1, 7, "", true);
    text_out_init(&out, buf, 8);
    text_out_hex(&out, "\x01\x23\x45", 3);
    cr_assert_str_eq(buf, "012345");
    cr_assert_not(out.is_full);
    text_out_init(&out, buf, 8);
    text_out_hex(&out, "\x01\x23\x45\xab\xcd", 5);
    cr_assert_str_eq(buf, "012345a");
    cr_assert(out.is_full);
}

Test(text, out_without_room)
{
    struct text_out out;

    text_out_init(&out, NULL, 0);
    text_out_add(&out, TEXT_NONE);
    cr_assert_not(out.is_full);
    text_out_printf(&out, "%d", 1);
    cr_assert(out.is_full);
    text_out_char(&out, 'x');
    cr_assert_eq(out.len, 0);
}

Test(text, unhex)
{
    unsigned char bytes[2] = {9, 9};

    cr_assert_eq(text_unhex(TEXT("0fA0"), bytes, 2), ST_OK);
    cr_assert_eq(bytes[0], 0x0f);
    cr_assert_eq(bytes[1], 0xa0);
    cr_assert_eq(text_unhex(TEXT("0fA"), bytes, 2), ST_INVALID);
    cr_assert_eq(text_unhex(TEXT("0fA000"), bytes, 2), ST_INVALID);
    cr_assert_eq(text_unhex(TEXT("00g0"), bytes, 2), ST_INVALID);
    cr_assert_eq(bytes[0], 0x0f, "written only on ST_OK");
}
