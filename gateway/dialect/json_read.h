/* SPDX-License-Identifier: Apache-2.0 */
/* json_read.h - the tokens of a JSON document (RFC 8259) that is at hand as a whole: the body of a request. */
#pragma once

#include "base/json.h"

/* As json_parse() of base/json.h does: the same documents are taken, the same tokens are told in the same order.  But an
 * escaped surrogate without its other half is U+FFFD, and tokens before a fault are told, whatever comes behind.
 * out_offset (may be NULL) is where it went wrong. */
MUST_CHECK enum status json_read(struct text document, json_token_fn *token, void *owner,
                                 size_t *out_offset);
