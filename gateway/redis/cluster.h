/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.h - the slots of a Redis Cluster, and who serves them.
 *
 * The map comes from CLUSTER SLOTS, asked of any node that is up: at first, after a MOVED, and again and again while a node
 * of the map is not up, for its replica may have taken over.  A MOVED is believed at once for its one slot. */
#pragma once

#include "redis/route.h"

#define REDIS_SLOTS 16384

struct redis_cluster {
    struct redis_route *route;
    bool has_map;
    bool is_moved;                          /* the map is known to be out of date */
    bool is_complained;                     /* of a Redis that is no Cluster, or a map of nothing */
    struct redis_node *owners[REDIS_SLOTS]; /* NULL: nobody that is known */
    struct redis_link nowhere; /* never open: stands in for a NULL; refuses once there is a map */
    struct redis_call ask;
    bool is_asking;
    unsigned asked; /* counts who was */
    int64_t asked_us;
    struct timer refresh;
    struct timer patience; /* until there is a map */
};

/* The slot of a hash tag that is the bucket's decimal number: CRC16 (XMODEM) modulo 16384. */
int redis_slot_of(uint32_t bucket);

MUST_CHECK enum status redis_cluster_open(struct redis_route *route, struct redis_cluster **out);
void redis_cluster_close(struct redis_cluster **cluster);
struct redis_link *redis_cluster_link(struct redis_cluster *cluster, uint32_t bucket);
/* A node's link came up, or is not up. */
void redis_cluster_up(struct redis_cluster *cluster, struct redis_node *node);
void redis_cluster_lost(struct redis_cluster *cluster);
/* "MOVED 3999 host:port" and "ASK 3999 host:port", as that link said.  The node that was named; NULL: nobody can be
 * made of it. */
struct redis_node *redis_cluster_redirected(struct redis_cluster *cluster, struct redis_link *by,
                                            const char *error);
