/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - JSON in and out (RFC 8259), over yajl: a streaming parser without a tree, and a writer into a text_out. */
#pragma once

#include "base/status.h"
#include "base/text.h"

/* What the parser met.  A number is handed over as it was written. */
enum json_kind {
    JSON_NONE,
    JSON_NULL,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NUMBER,
    JSON_STRING, /* text: unescaped */
    JSON_KEY,    /* text: unescaped */
    JSON_OBJECT_BEGIN,
    JSON_OBJECT_END,
    JSON_ARRAY_BEGIN,
    JSON_ARRAY_END,
};

/* Called for every token in order; depth is 0 for the outermost value (its begin and its end), 1 for its keys and
 * members.  The text is lent for this call; it may hold NUL bytes, and an escaped surrogate without its other half,
 * which RFC 8259 allows, makes it bad UTF-8 or "?".  Returning false stops the parse, which then ends with ST_INVALID. */
typedef bool json_token_fn(void *owner, enum json_kind kind, struct text text, int depth);

/* Parses one whole document.  ST_INVALID for anything RFC 8259 does not allow, bad UTF-8, trailing bytes, and nesting
 * deeper than 64; out_offset (may be NULL) is then about where it went wrong.  ST_NOMEM. */
MUST_CHECK enum status json_parse(struct text document, json_token_fn *token, void *owner,
                                  size_t *out_offset);

/* Writes t as a JSON string, with its quotes, escaped by RFC 8259; bytes that are not UTF-8 become U+FFFD. */
void json_out_string(struct text_out *out, struct text t);
