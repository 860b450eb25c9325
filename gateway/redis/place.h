/* SPDX-License-Identifier: Apache-2.0 */
/* place.h - where one Redis is, as it was named: by the configuration, by a sentinel, or by a node of a Cluster. */
#pragma once

#include "base/text.h"

#define REDIS_PLACE_MAX 288 /* a host name of 253 bytes, and its port; a Unix path of 107 */

/* "10.0.0.1:6379", "[::1]:6379", "redis.example:6379", "unix:/run/redis.sock"; empty: not known. */
struct redis_place {
    char at[REDIS_PLACE_MAX];
};

/* host: a name or an address, without brackets.  ST_OK, or ST_INVALID for what is neither. */
MUST_CHECK enum status redis_place_make(struct text host, int64_t port, struct redis_place *out);
void redis_place_make_unix(const char *path, struct redis_place *out);
bool redis_place_is_known(const struct redis_place *place);
bool redis_place_is_same(const struct redis_place *a, const struct redis_place *b);
/* The host alone, which a certificate must name: a part of place. */
struct text redis_place_host(const struct redis_place *place);
