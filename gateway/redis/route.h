/* SPDX-License-Identifier: Apache-2.0 */
/* route.h - which link leads to a bucket, however Redis is run.  One a worker.
 *
 *   SINGLE     one node, where the configuration says
 *   SENTINEL   one node, where the sentinels say its master is (sentinel.h)
 *   CLUSTER    one node a master of the Cluster; a bucket's slot chooses it (cluster.h)
 *
 * All requests carry tokens, so what a node refused, or what was lost with a link, may be sent again to another one. */
#pragma once

#include "redis/link.h"

struct redis_cluster;
struct redis_sentinel;

/* One Redis that is, or may be, asked. */
struct redis_node {
    struct redis_link link;
    struct redis_route *route;
    struct retired retired;
    bool is_wanted; /* while a new map is read: it is in it */
};

#define REDIS_NODES_MAX 1024

struct redis_route {
    struct loop *loop;
    const struct redis_target *target;
    /* Set by the owner before redis_route_open().  synced: Redis TIME less loop_now_us().  up: a link came up; ready()
     * follows.  ready: try again whatever waits for a link.  lost: whoever waits for a link that is refusing now need not
     * wait any more. */
    void (*synced)(struct redis_route *route, int64_t clock_offset_us);
    void (*up)(struct redis_route *route);
    void (*ready)(struct redis_route *route);
    void (*lost)(struct redis_route *route);

    bool has_clock;
    bool is_closing;
    int nodes_len;
    struct redis_node *nodes[REDIS_NODES_MAX]; /* owned */
    struct redis_cluster *cluster;             /* owned; NULL: none */
    struct redis_sentinel *sentinel;           /* owned; NULL: none */
    struct timer again;                        /* something was told to come back later */
};

/* ST_OK or ST_NOMEM. */
MUST_CHECK enum status redis_route_open(struct redis_route *route, struct loop *loop,
                                        const struct redis_target *target);
/* All calls are answered with NULL.  The memory of its links goes at the end of the turn. */
void redis_route_close(struct redis_route *route);

/* The link to a bucket: never NULL; up, or not yet, or refusing.  Ask each time: links come and go. */
struct redis_link *redis_route_link(struct redis_route *route, uint32_t bucket);
/* Decisions can be had for some bucket at least. */
bool redis_route_is_up(const struct redis_route *route);

/* What an error reply means for whoever sent the call. */
enum redis_route_verdict {
    ROUTE_NONE,
    ROUTE_RESEND, /* send it again at once: by redis_route_resend_link(), if that is up, else when ready() is called */
    ROUTE_LATER,  /* send it again when ready() is called */
    ROUTE_NOWHERE, /* nobody serves its slot, and that has lasted: whoever waits is told; what must not be lost is sent
                      again when ready() is called */
    ROUTE_DOWN,  /* this Redis is of no use now: redis_link_give_up() */
    ROUTE_ERROR, /* the call's own trouble */
};
/* The call is the one that got the error, on that link. */
enum redis_route_verdict redis_route_error(struct redis_route *route, struct redis_link *link,
                                           struct redis_call *call, const char *error);
/* Where the call goes next: redis_route_link() of its bucket, or where it was told to ask.  It must be up to be written to;
 * before the command, redis_link_ask() where *out_asks. */
struct redis_link *redis_route_resend_link(struct redis_route *route, uint32_t bucket,
                                           struct redis_call *call, bool *out_asks);

/* --- between route.c, cluster.c and sentinel.c --- */

/* The node at that place, made where there is none.  NULL: no memory, or too many. */
struct redis_node *redis_route_node(struct redis_route *route, const struct redis_place *place,
                                    int probe_bucket);
/* Closes those that are not wanted. */
void redis_route_sweep(struct redis_route *route);
