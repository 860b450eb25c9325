/* SPDX-License-Identifier: Apache-2.0 */
/* ids.h - x-request-id and W3C traceparent: passed on where the client sends good ones, else made here. */
#pragma once

#include "base/address.h"
#include "gate/request.h"

#define REQUEST_ID_MADE_LEN 32

/* The client's own where it is good: 1..128 letters, digits and -._; else one that is made, in that buffer.  head may be
 * NULL. */
struct text ids_request(struct gate *gate, const struct http_head *head,
                        char made[REQUEST_ID_MADE_LEN + 1]);
/* The client's own traceparent where it is good, so that its tracestate means something; else TEXT_NONE.
 * https://www.w3.org/TR/trace-context/: version 00, lower-case hex, ids not all zero. */
struct text ids_sent_trace(const struct http_head *head);
void ids_make_trace(struct gate *gate, struct text_out *out);
/* One element of X-Forwarded-For: an address, in brackets or not, with a port or not. */
MUST_CHECK enum status ids_forwarded_address(struct text t, struct address *out);
