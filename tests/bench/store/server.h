/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - Redis itself, by a connection beside the store's: what it has used so far, and plain commands for
 * comparison. */
#pragma once

#include <hiredis/hiredis.h>
#include <stdint.h>

/* Since the server began. */
struct usage {
    double cpu_us;
    double evalsha_us, zrem_us, pair_us; /* within these commands alone; pair: INCRBY and EXPIRE */
    int64_t scripts;                     /* EVALSHA that were run */
};

redisContext *server_connect(const char *path);
struct usage server_usage(redisContext *server);

/* INCRBY and EXPIRE of a key an account, pipelined: what a counter costs without limits, holds and refunds. */
void server_pairs(redisContext *server, int64_t first, int64_t accounts);
/* The rows that a reserve of one image leaves, without the script: a plain HSET for each account. */
void server_rows(redisContext *server, int64_t accounts, uint32_t buckets);
