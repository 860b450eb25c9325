/* SPDX-License-Identifier: Apache-2.0 */
/* value.c - scalars to values.      Runs on: control thread.  Pure. */
#include "config/value.h"

#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Ascending by factor. */
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}};
static const struct unit size_units[] = {
    {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

enum status value_integer(struct text t, int64_t *out)
{
    uint64_t number;
    enum status st = text_to_u64(t, &number);

    if (st)
        return st;
    if (number > INT64_MAX)
        return ST_INVALID;
    *out = (int64_t)number;
    return ST_OK;
}

static enum status with_unit(struct text t, const struct unit *units, size_t units_len,
                             int64_t *out)
{
    size_t digits = 0;

    while (digits < t.len && is_digit(t.ptr[digits]))
        digits++;
    int64_t number;
    enum status st = value_integer((struct text){t.ptr, digits}, &number);
    if (st)
        return st;
    struct text name = {t.ptr + digits, t.len - digits};
    for (size_t i = 0; i < units_len; i++) {
        if (!text_equal(name, text_of(units[i].name)))
            continue;
        if (number > INT64_MAX / units[i].factor)
            return ST_INVALID;
        *out = number * units[i].factor;
        return ST_OK;
    }
    return ST_INVALID;
}

enum status value_duration_ms(struct text t, int64_t *out)
{
    return with_unit(t, duration_units, ARRAY_LEN(duration_units), out);
}

enum status value_size(struct text t, int64_t *out)
{
    return with_unit(t, size_units, ARRAY_LEN(size_units), out);
}

enum status value_thousandths(struct text t, int64_t *out)
{
    const char *point = t.len > 0 ? memchr(t.ptr, '.', t.len) : NULL;
    size_t whole_len = point ? (size_t)(point - t.ptr) : t.len;
    int64_t whole;
    enum status st = value_integer((struct text){t.ptr, whole_len}, &whole);

    if (st)
        return st;
    int64_t fraction = 0;
    if (point) {
        size_t decimals = t.len - whole_len - 1;
        if (decimals > 3)
            return ST_INVALID;
        st = value_integer((struct text){point + 1, decimals}, &fraction);
        if (st)
            return st;
        for (; decimals < 3; decimals++)
            fraction *= 10;
    }
    if (whole > (INT64_MAX - fraction) / 1000)
        return ST_INVALID;
    *out = whole * 1000 + fraction;
    return ST_OK;
}

bool value_is_name(struct text t, size_t len_max)
{
    if (t.len == 0 || t.len > len_max || !(is_letter(t.ptr[0]) || is_digit(t.ptr[0])))
        return false;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.ptr[i];
        if (!is_letter(c) && !is_digit(c) && c != '_' && c != '-' && c != '.')
            return false;
    }
    return true;
}

bool value_is_visible(struct text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.ptr[i] < 0x21 || t.ptr[i] > 0x7e)
            return false;
    return t.len > 0;
}

bool value_is_line(struct text t)
{
    for (size_t i = 0; i < t.len; i++)
        if ((unsigned char)t.ptr[i] < 0x20 || t.ptr[i] == 0x7f)
            return false;
    return t.len > 0;
}

bool value_is_token(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        char c = t.ptr[i];
        if (!is_letter(c) && !is_digit(c) && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return t.len > 0;
}

static void print(int64_t value, const struct unit *units, size_t units_len, struct text_out *out)
{
    size_t i = units_len - 1;

    while (i > 0 && (value == 0 || value % units[i].factor != 0))
        i--;
    text_out_int(out, value / units[i].factor);
    text_out_add(out, text_of(units[i].name));
}

void value_print_duration_ms(int64_t ms, struct text_out *out)
{
    print(ms, duration_units, ARRAY_LEN(duration_units), out);
}

void value_print_size(int64_t bytes, struct text_out *out)
{
    print(bytes, size_units, ARRAY_LEN(size_units), out);
}
