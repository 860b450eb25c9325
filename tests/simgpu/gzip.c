/* SPDX-License-Identifier: Apache-2.0 */
/* gzip.c - see gzip.h. */
#include "simgpu/gzip.h"

#define STORED_MAX ((size_t)65535)

static uint32_t crc32_of(struct text t)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < t.len; i++) {
        crc ^= (uint8_t)t.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

static void add_little_endian(struct buffer *out, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char byte = (char)(value >> (8 * i));
        buffer_add(out, (struct text){&byte, 1});
    }
}

void gzip_wrap(struct buffer *bytes)
{
    static const char head[] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, (char)0xff};
    struct buffer out = {0};
    size_t at = 0;

    buffer_add(&out, (struct text){head, sizeof(head)});
    do {
        size_t len = MIN(bytes->len - at, STORED_MAX);
        char last = at + len == bytes->len;

        buffer_add(&out, (struct text){&last, 1});
        add_little_endian(&out, (uint32_t)len, 2);
        add_little_endian(&out, ~(uint32_t)len, 2);
        buffer_add(&out, (struct text){bytes->bytes + at, len});
        at += len;
    } while (at < bytes->len);
    add_little_endian(&out, crc32_of(buffer_text(bytes)), 4);
    add_little_endian(&out, (uint32_t)bytes->len, 4);
    buffer_clear(bytes, 0);
    *bytes = out;
}
