/* SPDX-License-Identifier: Apache-2.0 */
/* scripts.h - the scripts that a link loads when it comes up, and the digests that EVALSHA calls them by. */
#pragma once

#include "base/status.h"

#define REDIS_SCRIPTS_MAX 8
#define SHA1_HEX_LEN      40
#define SCRIPT_CALL_LEN   (4 + 9 + 5 + SHA1_HEX_LEN + 2)

struct redis_scripts {
    int len;
    const char *const *sources; /* Lua; outlive this */
    char digests[REDIS_SCRIPTS_MAX][SHA1_HEX_LEN + 1];
    char calls[REDIS_SCRIPTS_MAX]
              [SCRIPT_CALL_LEN + 1]; /* EVALSHA and the digest, as they are sent */
};

/* ST_OK, or ST_UNAVAILABLE: this OpenSSL does no SHA-1. */
MUST_CHECK enum status redis_scripts_init(struct redis_scripts *scripts, const char *const *sources,
                                          int len);
