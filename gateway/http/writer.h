/* SPDX-License-Identifier: Apache-2.0 */
/* writer.h - HTTP/1.1 heads and chunk framing, into a text_out (RFC 9112).  Nothing here formats by printf. */
#pragma once

#include "base/text.h"

void http_write_status(struct text_out *out, int status); /* "HTTP/1.1 429 Too Many Requests\r\n" */
void http_write_request(struct text_out *out, struct text method, struct text target);
/* A field whose name or value holds CR, LF or NUL, or whose name is empty, is dropped whole: no text, wherever it comes
 * from, can make a second field or end the head. */
void http_write_field(struct text_out *out, struct text name, struct text value);
/* Inline, so that a literal name costs a few stores. */
static inline void http_write_int_field(struct text_out *out, struct text name, int64_t value)
{
    text_out_add(out, name);
    text_out_add(out, TEXT(": "));
    text_out_int(out, value);
    text_out_add(out, TEXT("\r\n"));
}
/* Date: IMF-fixdate, cached a second. */
void http_write_date(struct text_out *out, int64_t wall_us);
void http_write_end(struct text_out *out);

/* "1f4\r\n" before a chunk of that many bytes (> 0); each chunk ends with HTTP_CHUNK_END. */
#define HTTP_CHUNK_END       "\r\n"
#define HTTP_LAST_CHUNK      "0\r\n\r\n"
#define HTTP_CHUNK_BEGIN_MAX 20
void http_write_chunk_begin(struct text_out *out, size_t chunk_bytes);
