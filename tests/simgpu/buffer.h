/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.h - bytes that grow.  A simulator without memory stops: nothing here fails. */
#pragma once

#include "base/text.h"

struct buffer {
    char *bytes; /* owned */
    size_t len;
    size_t size;
};

/* Room for len more bytes behind the end; the caller adds to buffer->len what it wrote there. */
char *buffer_reserve(struct buffer *buffer, size_t len);
void buffer_add(struct buffer *buffer, struct text t);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
/* t as a JSON string, with its quotes. */
void buffer_json(struct buffer *buffer, struct text t);
struct text buffer_text(const struct buffer *buffer);
/* Empties it; memory beyond keep_bytes is given back. */
void buffer_clear(struct buffer *buffer, size_t keep_bytes);
