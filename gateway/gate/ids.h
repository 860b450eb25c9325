/* SPDX-License-Identifier: Apache-2.0 */
/* ids.h - x-request-id and W3C traceparent: passed on where the client sends good ones, else made here. */
#pragma once

#include "base/address.h"
#include "gate/request.h"

/* head may be NULL.  Good: 1..128 letters, digits and -._ */
void ids_request(struct gate *gate, const struct http_head *head, char out[REQUEST_ID_MAX + 1]);
/* https://www.w3.org/TR/trace-context/: version 00, lower-case hex, ids not all zero. */
/* True: the client's own was good, so its tracestate means something. */
bool ids_traceparent(struct gate *gate, const struct http_head *head,
                     char out[TRACEPARENT_LEN + 1]);
/* One element of X-Forwarded-For: an address, in brackets or not, with a port or not. */
MUST_CHECK enum status ids_forwarded_address(struct text t, struct address *out);
