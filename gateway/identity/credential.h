/* SPDX-License-Identifier: Apache-2.0 */
/* credential.h - the key that a request carries: Authorization (RFC 9110 11.6.2, Bearer of RFC 6750) or x-api-key. */
#pragma once

#include "http/head.h"

#define CREDENTIAL_MAX 4096 /* bytes of a token */

enum credential_state {
    CREDENTIAL_NONE,      /* none was sent */
    CREDENTIAL_TOKEN,     /* one token */
    CREDENTIAL_FOREIGN,   /* of a scheme that is not ours, such as Basic */
    CREDENTIAL_MALFORMED, /* two that differ, an empty or over-long one, or one that is not a token */
};

struct credential {
    enum credential_state state;
    struct text token; /* of CREDENTIAL_TOKEN; lives as long as the head */
};

struct credential credential_read(const struct http_head *head);
