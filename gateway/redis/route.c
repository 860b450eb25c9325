/* SPDX-License-Identifier: Apache-2.0 */
/* route.c - see route.h.      Runs on: worker.
 * A link that is closed here may be the very one whose reply is being read: nodes are freed at the end of the turn. */

#include "redis/route.h"

#include <stdlib.h>
#include <string.h>

#include "redis/cluster.h"
#include "redis/sentinel.h"

#define REDIRECTS_MAX 8
#define AGAIN_US      INT64_C(20000)
/* A slot that is being moved, or a Cluster that elects, is worth some more patience than a Redis that is silent. */
#define NOWHERE_AFTER 10 /* timeouts */

/* --- nodes --- */

static struct redis_node *node_of(struct redis_link *link)
{
    return container_of(link, struct redis_node, link);
}

/* Gateways on one Cluster are to keep time by the same node. */
static bool is_clock(const struct redis_node *node)
{
    const struct redis_cluster *cluster = node->route->cluster;

    return !cluster || cluster->owners[0] == node;
}

static void on_synced(struct redis_link *link)
{
    struct redis_route *route = node_of(link)->route;

    if (route->has_clock && !is_clock(node_of(link)))
        return;
    route->has_clock = true;
    route->synced(route, link->clock_offset_us);
}

static void on_up(struct redis_link *link)
{
    struct redis_route *route = node_of(link)->route;

    if (route->cluster)
        redis_cluster_up(route->cluster, node_of(link));
    route->up(route);
    route->ready(route);
}

static void on_lost(struct redis_link *link)
{
    struct redis_route *route = node_of(link)->route;

    if (route->is_closing)
        return;
    if (route->cluster)
        redis_cluster_lost(route->cluster);
    if (route->sentinel)
        redis_sentinel_lost(route->sentinel);
    route->lost(route);
}

static struct redis_node *add_node(struct redis_route *route, const struct redis_place *place,
                                   int probe_bucket)
{
    struct redis_node *node;

    if (route->nodes_len == REDIS_NODES_MAX)
        return NULL;
    node = calloc(1, sizeof(*node));
    if (!node)
        return NULL;
    node->route = route;
    node->link.synced = on_synced;
    node->link.up = on_up;
    node->link.lost = on_lost;
    node->link.probe_bucket = probe_bucket;
    redis_link_open(&node->link, route->loop, route->target, place);
    route->nodes[route->nodes_len++] = node;
    return node;
}

struct redis_node *redis_route_node(struct redis_route *route, const struct redis_place *place,
                                    int probe_bucket)
{
    for (int i = 0; i < route->nodes_len; i++)
        if (redis_place_is_same(&route->nodes[i]->link.place, place))
            return route->nodes[i];
    return add_node(route, place, probe_bucket);
}

static void free_node(struct retired *retired)
{
    free(container_of(retired, struct redis_node, retired));
}

/* Takes them all out of the table before any is closed: closing makes requests look for other links. */
void redis_route_sweep(struct redis_route *route)
{
    struct redis_node *gone[REDIS_NODES_MAX];
    int gone_len = 0, kept = 0;

    for (int i = 0; i < route->nodes_len; i++) {
        if (route->nodes[i]->is_wanted)
            route->nodes[kept++] = route->nodes[i];
        else
            gone[gone_len++] = route->nodes[i];
    }
    route->nodes_len = kept;
    for (int i = 0; i < gone_len; i++) {
        redis_link_close(&gone[i]->link);
        loop_retire(route->loop, &gone[i]->retired, free_node);
    }
}

/* --- the life of a route --- */

static void on_again(struct timer *timer)
{
    struct redis_route *route = container_of(timer, struct redis_route, again);

    route->ready(route);
}

static enum status open_topology(struct redis_route *route)
{
    const struct redis_place unknown = {""};
    const struct redis_target *target = route->target;

    if (target->topology == TOPOLOGY_CLUSTER)
        return redis_cluster_open(route, &route->cluster);
    if (target->topology == TOPOLOGY_SENTINEL)
        return add_node(route, &unknown, -1) ? redis_sentinel_open(route, &route->sentinel)
                                             : ST_NOMEM;
    return add_node(route, &target->places[0], -1) ? ST_OK : ST_NOMEM;
}

enum status redis_route_open(struct redis_route *route, struct loop *loop,
                             const struct redis_target *target)
{
    route->loop = loop;
    route->target = target;
    timer_init(&route->again, on_again);

    enum status st = open_topology(route);

    if (st)
        redis_route_close(route);
    return st;
}

void redis_route_close(struct redis_route *route)
{
    route->is_closing = true;
    timer_clear(&route->again);
    redis_sentinel_close(&route->sentinel);
    for (int i = 0; i < route->nodes_len; i++)
        redis_link_close(&route->nodes[i]->link);
    redis_cluster_close(&route->cluster);
    for (int i = 0; i < route->nodes_len; i++)
        free(route->nodes[i]);
    route->nodes_len = 0;
}

/* --- which link --- */

struct redis_link *redis_route_link(struct redis_route *route, uint32_t bucket)
{
    return route->cluster ? redis_cluster_link(route->cluster, bucket) : &route->nodes[0]->link;
}

bool redis_route_is_up(const struct redis_route *route)
{
    if (route->cluster && !route->cluster->has_map)
        return false;
    for (int i = 0; i < route->nodes_len; i++)
        if (redis_link_is_up(&route->nodes[i]->link))
            return true;
    return false;
}

/* --- errors --- */

static bool begins(const char *error, const char *word)
{
    return strncmp(error, word, strlen(word)) == 0;
}

static enum redis_route_verdict come_back(struct redis_route *route, struct redis_call *call)
{
    int64_t now_us = loop_now_us(route->loop);

    call->redirects = 0;
    if (call->refused_us == 0)
        call->refused_us = now_us;
    if (!timer_is_set(&route->again))
        timer_set(route->loop, &route->again, now_us + AGAIN_US);
    return now_us - call->refused_us > NOWHERE_AFTER * route->target->timeout_us ? ROUTE_NOWHERE
                                                                                 : ROUTE_LATER;
}

static enum redis_route_verdict redirect(struct redis_route *route, struct redis_link *link,
                                         struct redis_call *call, const char *error)
{
    struct redis_node *node = redis_cluster_redirected(route->cluster, link, error);
    bool is_ask = begins(error, "ASK ");

    if (!node || ++call->redirects > REDIRECTS_MAX)
        return come_back(route, call);
    if (is_ask && !redis_link_is_up(&node->link))
        return come_back(route, call);
    if (is_ask)
        call->ask = &node->link;
    return ROUTE_RESEND;
}

enum redis_route_verdict redis_route_error(struct redis_route *route, struct redis_link *link,
                                           struct redis_call *call, const char *error)
{
    call->ask = NULL;
    if (route->cluster && (begins(error, "MOVED ") || begins(error, "ASK ")))
        return redirect(route, link, call, error);
    if (route->cluster && (begins(error, "TRYAGAIN") || begins(error, "CLUSTERDOWN") ||
                           strstr(error, "non local key"))) /* a script met a row that has left */
        return come_back(route, call);
    return redis_error_is_down(error) ? ROUTE_DOWN : ROUTE_ERROR;
}

struct redis_link *redis_route_resend_link(struct redis_route *route, uint32_t bucket,
                                           struct redis_call *call, bool *out_asks)
{
    struct redis_link *ask = call->ask;

    call->ask = NULL;
    *out_asks = ask && redis_link_is_up(ask);
    return *out_asks ? ask : redis_route_link(route, bucket);
}
