/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - slices of bytes, and a bounded buffer to print into. */
#include "base/text.h"

#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* So many digits make no number that a uint64_t does not hold. */
#define SAFE_DIGITS 19

/* Each byte of a word is 0x01, or 0x80. */
#define ONES UINT64_C(0x0101010101010101)
#define TOPS UINT64_C(0x8080808080808080)

/* 16 bytes, which the compiler keeps in a vector register where there is one.  The attribute of a type wants a name. */
typedef signed char chars16 __attribute__((vector_size(16)));
typedef unsigned char bytes16 __attribute__((vector_size(16)));

/* "00" to "99", one behind the other. */
/* clang-format off */
#define TEN(h) #h "0" #h "1" #h "2" #h "3" #h "4" #h "5" #h "6" #h "7" #h "8" #h "9"
/* clang-format on */
static const char two_digits[] =
    TEN(0) TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9);

struct text text_of(const char *cstr)
{
    return cstr ? (struct text){cstr, strlen(cstr)} : TEXT_NONE;
}

static unsigned char lower(char c)
{
    unsigned char byte = (unsigned char)c;

    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static uint64_t word_at(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

/* Fewer than eight bytes as a word, some of them twice. */
static uint64_t short_word(const char *at, size_t len)
{
    uint32_t first, last;

    if (len == 0)
        return 0;
    if (len < sizeof(first))
        return (uint64_t)(unsigned char)at[0] << 16 | (uint64_t)(unsigned char)at[len / 2] << 8 |
               (unsigned char)at[len - 1];
    memcpy(&first, at, sizeof(first));
    memcpy(&last, at + len - sizeof(last), sizeof(last));
    return (uint64_t)last << 32 | first;
}

/* The top bit of each byte of a word that is one of a to z. */
static uint64_t small_letters(uint64_t word)
{
    uint64_t low_bits = word & ~TOPS;
    uint64_t from_a = low_bits + ONES * (0x80 - 'a');
    uint64_t past_z = low_bits + ONES * (0x7f - 'z');

    return from_a & ~past_z & ~word & TOPS;
}

/* Bytes may differ in 0x20, the bit that tells the case, and only where they are letters. */
static bool same_word_nocase(uint64_t a, uint64_t b)
{
    uint64_t different = a ^ b;

    if (different == 0)
        return true;
    if (different & ~(ONES * 0x20))
        return false;
    return (different & ~(small_letters(a | ONES * 0x20) >> 2)) == 0;
}

bool text_same_nocase(const char *a, const char *b, size_t len)
{
    const size_t step = sizeof(uint64_t);

    if (len < step)
        return same_word_nocase(short_word(a, len), short_word(b, len));
    /* The last word overlaps the one before. */
    for (size_t at = 0; at < len - step; at += step) {
        if (!same_word_nocase(word_at(a + at), word_at(b + at)))
            return false;
    }
    return same_word_nocase(word_at(a + len - step), word_at(b + len - step));
}

bool text_starts_with(struct text t, struct text prefix)
{
    return t.len >= prefix.len && text_equal((struct text){t.ptr, prefix.len}, prefix);
}

bool text_next(struct text *rest, char separator, struct text *out)
{
    if (rest->len == 0)
        return false;
    const char *cut = memchr(rest->ptr, separator, rest->len);

    if (!cut) {
        *out = text_trim(*rest);
        *rest = TEXT_NONE;
        return true;
    }
    size_t len = (size_t)(cut - rest->ptr);

    *out = text_trim((struct text){rest->ptr, len});
    *rest = (struct text){cut + 1, rest->len - len - 1};
    return true;
}

enum status text_to_u64(struct text t, uint64_t *out)
{
    uint64_t value = 0;

    if (t.len == 0)
        return ST_INVALID;
    for (size_t i = 0; i < t.len; i++) {
        unsigned digit = (unsigned char)t.ptr[i] - (unsigned)'0';

        if (digit > 9 || (i >= SAFE_DIGITS && value > (UINT64_MAX - digit) / 10))
            return ST_INVALID;
        value = value * 10 + digit;
    }
    *out = value;
    return ST_OK;
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The second byte's range rules out overlong forms, surrogates and code points past U+10FFFF (RFC 3629, section 4). */
static bool second_byte_fits(unsigned char first, unsigned char second)
{
    unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

    return second >= least && second <= most;
}

size_t text_utf8_len(struct text t)
{
    const unsigned char *byte = (const unsigned char *)t.ptr;

    if (t.len == 0)
        return 0;
    if (byte[0] < 0x80)
        return 1;
    if (byte[0] < 0xc2 || byte[0] > 0xf4)
        return 0;
    size_t len = byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;

    if (t.len < len || !second_byte_fits(byte[0], byte[1]))
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (!is_continuation(byte[i]))
            return 0;
    }
    return len;
}

/* The top bit of each byte of a word that is less than n, which is 0x80 at most; bytes above such a one, and those from
 * 0x80 on, may show it, too.  See "Bit Twiddling Hacks", hasless(). */
static uint64_t bytes_below(uint64_t word, uint64_t n)
{
    return word - ONES * n;
}

/* Of the bytes that do not stand for themselves in a JSON string, the top bits; those above the first may be wrong.  The
 * first byte of the text is the lowest. */
static uint64_t escaped_bytes(uint64_t word)
{
    return (bytes_below(word, 0x20) | bytes_below(word ^ ONES * '"', 1) |
            bytes_below(word ^ ONES * '\\', 1) | word) &
           TOPS;
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

static size_t short_plain_len(struct text t)
{
    size_t at = 0;

    while (at < t.len && is_plain(t.ptr[at]))
        at++;
    return at;
}

/* Where the first byte with such a bit is. */
static size_t first_marked(uint64_t tops)
{
    return (size_t)__builtin_ctzll(tops) / 8;
}

/* So many bytes of a word stand for themselves before one that does not. */
static size_t plain_in_word(const char *at)
{
    uint64_t escaped = escaped_bytes(le64toh(word_at(at)));

    return escaped ? first_marked(escaped) : sizeof(escaped);
}

/* The same of a block.  Bytes from 0x80 on are below zero. */
static size_t plain_in_block(const char *at)
{
    chars16 block;
    uint64_t words[2];

    memcpy(&block, at, sizeof(block));
    chars16 escaped = (block < 0x20) | (block == '"') | (block == '\\');
    memcpy(words, &escaped, sizeof(words));
    if (words[0])
        return first_marked(le64toh(words[0]));
    return sizeof(words[0]) + (words[1] ? first_marked(le64toh(words[1])) : sizeof(words[1]));
}

size_t text_plain_len(struct text t)
{
    const size_t step = t.len < sizeof(chars16) ? sizeof(uint64_t) : sizeof(chars16);

    if (t.len < step)
        return short_plain_len(t);
    for (size_t at = 0; at < t.len; at += step) {
        /* The last one overlaps the one before. */
        const char *from = t.ptr + MIN(at, t.len - step);
        size_t len = step == sizeof(uint64_t) ? plain_in_word(from) : plain_in_block(from);
        if (len < step)
            return (size_t)(from - t.ptr) + len;
    }
    return t.len;
}

/* As escaped_bytes(): 0x7f is below 1 once all its bits are turned. */
static uint64_t hidden_bytes(uint64_t word, char other)
{
    return (bytes_below(word, 0x21) | bytes_below(word ^ ONES * 0x7f, 1) |
            bytes_below(word ^ ONES * (unsigned char)other, 1) | word) &
           TOPS;
}

static bool is_visible(char c, char other)
{
    return (unsigned char)c > 0x20 && (unsigned char)c < 0x7f && c != other;
}

static size_t short_visible_len(struct text t, char other)
{
    size_t at = 0;

    while (at < t.len && is_visible(t.ptr[at], other))
        at++;
    return at;
}

size_t text_visible_len(struct text t, char other)
{
    const size_t step = sizeof(uint64_t);

    if (t.len < step)
        return short_visible_len(t, other);
    for (size_t at = 0; at < t.len; at += step) {
        size_t from = MIN(at, t.len - step);
        uint64_t hidden = hidden_bytes(le64toh(word_at(t.ptr + from)), other);
        if (hidden)
            return from + first_marked(hidden);
    }
    return t.len;
}

void text_out_init(struct text_out *out, char *buf, size_t size)
{
    *out = (struct text_out){.buf = buf, .size = size};
    if (size > 0)
        buf[0] = '\0';
}

/* Bytes that still fit, the NUL not counted. */
static size_t room(const struct text_out *out)
{
    return out->size > 0 ? out->size - 1 - out->len : 0;
}

void text_out_add_part(struct text_out *out, struct text t)
{
    size_t len = MIN(t.len, room(out));

    if (len > 0) {
        memcpy(out->buf + out->len, t.ptr, len);
        out->len += len;
        out->buf[out->len] = '\0';
    }
    if (len < t.len)
        out->is_full = true;
}

/* How many decimal digits it has. */
static size_t digits_of(uint64_t value)
{
    static const uint64_t powers[] = {
        0,
        UINT64_C(10),
        UINT64_C(100),
        UINT64_C(1000),
        UINT64_C(10000),
        UINT64_C(100000),
        UINT64_C(1000000),
        UINT64_C(10000000),
        UINT64_C(100000000),
        UINT64_C(1000000000),
        UINT64_C(10000000000),
        UINT64_C(100000000000),
        UINT64_C(1000000000000),
        UINT64_C(10000000000000),
        UINT64_C(100000000000000),
        UINT64_C(1000000000000000),
        UINT64_C(10000000000000000),
        UINT64_C(100000000000000000),
        UINT64_C(1000000000000000000),
        UINT64_C(10000000000000000000),
    };
    /* log10(2) is about 1233/4096: the digits of the least number with so many bits, less one. */
    size_t bits = 64 - (size_t)__builtin_clzll(value | 1);
    size_t least = bits * 1233 >> 12;

    return least + (value >= powers[least]);
}

/* Two digits at a time, from the last: divisions are what this costs, those of 64 bits most. */
static void print_digits(char *end, uint64_t value)
{
    for (; value > UINT32_MAX; value /= 100) {
        end -= 2;
        memcpy(end, two_digits + 2 * (value % 100), 2);
    }
    uint32_t rest = (uint32_t)value;

    for (; rest >= 100; rest /= 100) {
        end -= 2;
        memcpy(end, two_digits + 2 * (size_t)(rest % 100), 2);
    }
    if (rest >= 10)
        memcpy(end - 2, two_digits + 2 * (size_t)rest, 2);
    else
        end[-1] = (char)('0' + rest);
}

void text_out_int(struct text_out *out, int64_t value)
{
    size_t len = digits_of((uint64_t)value);

    if (value < 0 || !text_out_fits(out, len)) {
        text_out_printf(out, "%" PRId64, value);
        return;
    }
    print_digits(out->buf + out->len + len, (uint64_t)value);
    out->len += len;
    out->buf[out->len] = '\0';
}

void text_out_digits(struct text_out *out, unsigned value, int width)
{
    char digits[10];

    ASSERT(width >= 0 && width <= (int)sizeof(digits));
    for (int i = width - 1; i >= 0; i--, value /= 10)
        digits[i] = (char)('0' + value % 10);
    text_out_add(out, (struct text){digits, (size_t)width});
}

/* By hand, since strftime() takes a thousand instructions. */
void text_out_time(struct text_out *out, int64_t at_s)
{
    time_t when = (time_t)at_s;
    struct tm tm;

    ASSERT(gmtime_r(&when, &tm) != NULL);
    text_out_digits(out, (unsigned)tm.tm_year + 1900, 4);
    text_out_char(out, '-');
    text_out_digits(out, (unsigned)tm.tm_mon + 1, 2);
    text_out_char(out, '-');
    text_out_digits(out, (unsigned)tm.tm_mday, 2);
    text_out_char(out, 'T');
    text_out_digits(out, (unsigned)tm.tm_hour, 2);
    text_out_char(out, ':');
    text_out_digits(out, (unsigned)tm.tm_min, 2);
    text_out_char(out, ':');
    text_out_digits(out, (unsigned)tm.tm_sec, 2);
}

void text_out_printf(struct text_out *out, const char *format, ...)
{
    size_t left = room(out);
    va_list args;

    va_start(args, format);
    int len =
        vsnprintf(left > 0 ? out->buf + out->len : NULL, left > 0 ? left + 1 : 0, format, args);

    va_end(args);
    ASSERT(len >= 0);
    if ((size_t)len > left)
        out->is_full = true;
    out->len += MIN((size_t)len, left);
}

/* Eight digits of four bytes; both as they lie in memory. */
static uint64_t hex_digits(uint32_t bytes)
{
    const uint64_t low_nibbles = UINT64_C(0x000f000f000f000f);
    uint64_t spread = le32toh(bytes);

    spread = (spread | spread << 16) & UINT64_C(0x0000ffff0000ffff);
    spread = (spread | spread << 8) & UINT64_C(0x00ff00ff00ff00ff);
    uint64_t nibbles = (spread >> 4 & low_nibbles) | (spread & low_nibbles) << 8;
    uint64_t past_nine = (nibbles + ONES * 6) >> 4 & ONES;

    return htole64(nibbles + ONES * '0' + past_nine * ('a' - '9' - 1));
}

static bytes16 digits_of_nibbles(bytes16 nibbles)
{
    return nibbles + '0' + ((bytes16)(nibbles > 9) & (unsigned char)('a' - '9' - 1));
}

/* 32 digits of a block of bytes. */
static void put_block_hex(char *to, const unsigned char *at)
{
    bytes16 bytes;

    memcpy(&bytes, at, sizeof(bytes));
    bytes16 high = bytes >> 4, low = bytes & 0x0f;
    bytes16 first = digits_of_nibbles(
        __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    bytes16 second = digits_of_nibbles(__builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11,
                                                               27, 12, 28, 13, 29, 14, 30, 15, 31));
    memcpy(to, &first, sizeof(first));
    memcpy(to + sizeof(first), &second, sizeof(second));
}

static void put_word_hex(char *to, const unsigned char *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof(word));
    uint64_t digits = hex_digits(word);
    memcpy(to, &digits, sizeof(digits));
}

void text_out_hex(struct text_out *out, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    const unsigned char *end = at + len;

    if (text_out_fits(out, 2 * len)) {
        char *to = out->buf + out->len;
        for (; (size_t)(end - at) >= sizeof(bytes16);
             at += sizeof(bytes16), to += 2 * sizeof(bytes16))
            put_block_hex(to, at);
        for (; (size_t)(end - at) >= sizeof(uint32_t); at += sizeof(uint32_t), to += 8)
            put_word_hex(to, at);
        out->len = (size_t)(to - out->buf);
        *to = '\0';
    }
    /* What is less than a word, or for which there is no room. */
    for (; at < end; at++)
        text_out_printf(out, "%02x", *at);
}

struct text text_out_text(const struct text_out *out)
{
    return (struct text){out->buf, out->len};
}

/* 0..15, or 16 for anything else. */
static unsigned hex_value(char c)
{
    unsigned char digit = lower(c);

    if (digit >= '0' && digit <= '9')
        return digit - (unsigned)'0';
    return digit >= 'a' && digit <= 'f' ? digit - (unsigned)'a' + 10 : 16;
}

enum status text_unhex(struct text hex, void *out_bytes, size_t len)
{
    unsigned char *byte = out_bytes;

    if (hex.len % 2 != 0 || hex.len / 2 != len)
        return ST_INVALID;
    for (size_t i = 0; i < hex.len; i++) {
        if (hex_value(hex.ptr[i]) > 15)
            return ST_INVALID;
    }
    for (size_t i = 0; i < len; i++)
        byte[i] = (unsigned char)(hex_value(hex.ptr[2 * i]) << 4 | hex_value(hex.ptr[2 * i + 1]));
    return ST_OK;
}
