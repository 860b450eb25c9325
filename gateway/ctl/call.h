/* SPDX-License-Identifier: Apache-2.0 */
/* call.h - one request to the admin API, by its address or its Unix socket.  Blocks. */
#pragma once

#include "ctl/ctl.h"

struct call_answer {
    int status;
    char *body; /* owned, with a NUL behind it */
    size_t len;
};

/* json: TEXT_NONE for none.  EXIT_DONE with *out, whatever its status; else it has been said what is wrong. */
MUST_CHECK int call_api(const struct ctl *ctl, const char *method, const char *target,
                        struct text json, struct call_answer *out);
void call_free(struct call_answer *answer);

/* Adds a text as one segment, or value of a query, percent-encoded (RFC 3986 2.3). */
void call_encode(struct text_out *out, struct text t);
