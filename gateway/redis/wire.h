/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - the pieces of a command as bytes.  Each gives the place behind what it puts; the room is the caller's matter. */
#pragma once

#include <string.h>

#include "base/text.h"

#define WIRE_COUNT_MAX 23 /* a letter, 20 digits, CR LF */
/* What an argument of so many bytes takes at most. */
#define WIRE_ARG_MAX(len) (WIRE_COUNT_MAX + (len) + 2)
#define WIRE_INT_MAX      WIRE_ARG_MAX(20)

static inline char *wire_end_line(char *out)
{
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

static inline char *wire_number(char *out, uint64_t number)
{
    char digits[20];
    int first = sizeof(digits);

    for (; number >= 10; number /= 10)
        digits[--first] = (char)('0' + number % 10);
    digits[--first] = (char)('0' + number);
    memcpy(out, digits + first, sizeof(digits) - (size_t)first);
    return out + sizeof(digits) - first;
}

/* "*3\r\n", "$11\r\n": hardly any has more than two digits. */
static inline char *wire_count(char *out, char kind, size_t count)
{
    *out++ = kind;
    if (count < 10) {
        *out++ = (char)('0' + count);
    } else if (count < 100) {
        *out++ = (char)('0' + count / 10);
        *out++ = (char)('0' + count % 10);
    } else {
        out = wire_number(out, count);
    }
    return wire_end_line(out);
}

static inline char *wire_bytes(char *out, const void *bytes, size_t len)
{
    memcpy(out, bytes, len);
    return out + len;
}

static inline char *wire_arg(char *out, const void *bytes, size_t len)
{
    return wire_end_line(wire_bytes(wire_count(out, '$', len), bytes, len));
}

static inline char *wire_arg_int(char *out, int64_t value)
{
    char buf[24] = "-";
    bool is_negative = value < 0;
    uint64_t size = is_negative ? 0 - (uint64_t)value : (uint64_t)value;

    if (size < 10 && !is_negative) {
        out = wire_bytes(out, "$1\r\n", 4);
        *out++ = (char)('0' + size);
        return wire_end_line(out);
    }
    return wire_arg(out, buf, (size_t)(wire_number(buf + is_negative, size) - buf));
}
