/* SPDX-License-Identifier: Apache-2.0 */
/* rig.h - a pool over one backend, with upstreams on in-memory pairs. */
#pragma once

#include <criterion/criterion.h>

#include "backend/pool.h"
#include "unit/config/fixture.h"

#define RIG_SEEN_MAX 65536

struct pool_rig {
    struct loop *loop;
    struct config *config;
    struct backend_set *set;
    struct slab_pool slabs;
    struct pool pool;
    struct stream far; /* the backend's end of the last upstream */
    char seen[RIG_SEEN_MAX + 1];
    size_t seen_len;
};

void pool_rig_open(struct pool_rig *rig);
/* No upstream may be at work.  Checks that no slab is lent. */
void pool_rig_close(struct pool_rig *rig);
struct upstream *pool_rig_upstream(struct pool_rig *rig, size_t capacity);
void pool_rig_turns(struct pool_rig *rig, int turns);
void pool_rig_say(struct pool_rig *rig, const char *bytes);
/* All that the backend has got. */
const char *pool_rig_seen(struct pool_rig *rig);
int pool_rig_idle(const struct pool_rig *rig);
