/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.c - see buffer.h. */
#include "simgpu/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

char *buffer_reserve(struct buffer *buffer, size_t len)
{
    if (buffer->size - buffer->len < len) {
        size_t size = MAX(buffer->size * 2, buffer->len + len);
        char *bytes = realloc(buffer->bytes, size);

        ASSERT(bytes != NULL);
        buffer->bytes = bytes;
        buffer->size = size;
    }
    return buffer->bytes + buffer->len;
}

void buffer_add(struct buffer *buffer, struct text t)
{
    if (t.len == 0)
        return;
    memcpy(buffer_reserve(buffer, t.len), t.ptr, t.len);
    buffer->len += t.len;
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    ASSERT(len >= 0 && (size_t)len < sizeof(line));
    buffer_add(buffer, (struct text){line, (size_t)len});
}

void buffer_json(struct buffer *buffer, struct text t)
{
    /* The longest escape of one byte has six. */
    size_t most = t.len * 6 + 3;
    struct text_out out;

    text_out_init(&out, buffer_reserve(buffer, most), most);
    json_out_string(&out, t);
    buffer->len += out.len;
}

struct text buffer_text(const struct buffer *buffer)
{
    return (struct text){buffer->bytes, buffer->len};
}

void buffer_clear(struct buffer *buffer, size_t keep_bytes)
{
    buffer->len = 0;
    if (buffer->size <= keep_bytes)
        return;
    free(buffer->bytes);
    buffer->bytes = NULL;
    buffer->size = 0;
}
