/* SPDX-License-Identifier: Apache-2.0 */
/* sentinel.h - where the sentinels say that the master is.
 *
 * One link to one sentinel at a time, the next one when it is lost or does not know.  It is asked once a second, and every
 * tenth of one while the master is not up: so a failover is seen whether or not the old master still answers.  A master
 * that says it is none (or refuses writes) makes the next sentinel be asked. */
#pragma once

#include "redis/route.h"

MUST_CHECK enum status redis_sentinel_open(struct redis_route *route, struct redis_sentinel **out);
void redis_sentinel_close(struct redis_sentinel **sentinel);
/* The master's link is not up. */
void redis_sentinel_lost(struct redis_sentinel *sentinel);
