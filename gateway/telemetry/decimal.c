/* SPDX-License-Identifier: Apache-2.0 */
/* decimal.c - decimal numbers to integers.      Runs on: any thread.
 * A number is kept as its first 19 digits, which an unsigned 64-bit integer holds, and a power of ten. */
#include "telemetry/decimal.h"

#define DIGITS_MAX   19
#define EXPONENT_MAX 9999 /* larger ones do as well */

struct decimal {
    uint64_t digits;
    int digits_len; /* without leading zeros */
    int64_t exponent;
    bool is_negative;
};

static bool is_digit(struct text t)
{
    return t.len > 0 && t.ptr[0] >= '0' && t.ptr[0] <= '9';
}

static char cut(struct text *t)
{
    char c = t->ptr[0];

    t->ptr++;
    t->len--;
    return c;
}

/* Digits before the point (step 0) or behind it (step -1: each is worth a tenth of the one before).  How many. */
static int read_digits(struct text *t, struct decimal *d, int step)
{
    int count = 0;

    for (; is_digit(*t); count++) {
        unsigned digit = (unsigned)(cut(t) - '0');
        if (d->digits_len == DIGITS_MAX) {
            d->exponent += step + 1; /* dropped */
            continue;
        }
        d->digits = d->digits * 10 + digit;
        d->digits_len += d->digits > 0 ? 1 : 0;
        d->exponent += step;
    }
    return count;
}

static bool read_sign(struct text *t)
{
    return t->len > 0 && (t->ptr[0] == '-' || t->ptr[0] == '+') && cut(t) == '-';
}

static enum status read_exponent(struct text *t, struct decimal *d)
{
    int64_t exponent = 0;

    if (t->len == 0 || (t->ptr[0] | 0x20) != 'e')
        return ST_OK;
    cut(t);
    bool is_negative = read_sign(t);
    if (!is_digit(*t))
        return ST_INVALID;
    while (is_digit(*t)) {
        exponent = exponent * 10 + (cut(t) - '0');
        exponent = MIN(exponent, EXPONENT_MAX);
    }
    d->exponent += is_negative ? -exponent : exponent;
    return ST_OK;
}

static bool is_not_finite(struct text t)
{
    return text_equal_nocase(t, TEXT("nan")) || text_equal_nocase(t, TEXT("inf")) ||
           text_equal_nocase(t, TEXT("infinity"));
}

static enum status read(struct text t, struct decimal *d)
{
    d->is_negative = read_sign(&t);
    if (is_not_finite(t))
        return ST_LIMIT;
    int count = read_digits(&t, d, 0);
    if (t.len > 0 && t.ptr[0] == '.') {
        cut(&t);
        count += read_digits(&t, d, -1);
    }
    if (count == 0 || read_exponent(&t, d))
        return ST_INVALID;
    return t.len == 0 ? ST_OK : ST_INVALID;
}

/* digits times 10^exponent. */
static enum status scale(uint64_t digits, int64_t exponent, uint64_t *out)
{
    if (exponent < -DIGITS_MAX - 1 || digits == 0) {
        *out = 0;
        return ST_OK;
    }
    for (; exponent < -1; exponent++)
        digits /= 10;
    if (exponent == -1)
        digits = (digits + 5) / 10;
    for (; exponent > 0; exponent--) {
        if (digits > INT64_MAX / 10)
            return ST_LIMIT;
        digits *= 10;
    }
    *out = digits;
    return digits > INT64_MAX ? ST_LIMIT : ST_OK;
}

enum status decimal_scaled(struct text t, int shift, int64_t *out)
{
    struct decimal d = {.digits = 0};
    uint64_t value = 0;
    enum status st = read(t, &d);

    if (st)
        return st;
    st = scale(d.digits, d.exponent + shift, &value);
    if (st)
        return st;
    *out = d.is_negative ? -(int64_t)value : (int64_t)value;
    return ST_OK;
}
