/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.c - see cluster.h.      Runs on: worker.
 * A map is read into the table first; only then are the links closed that it does not need any more, and those told who
 * wait, so that whoever looks for a link finds the new one. */

#include "redis/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Among so many each of the slots is met. */
#define PROBE_BUCKETS 262144
#define SPACING_US    INT64_C(100000) /* between two times of asking, unless nothing is known */
#define TROUBLE_US    INT64_C(200000) /* while a node is not up */

/* --- slots --- */

/* CRC16-CCITT, XMODEM: polynomial 0x1021, from zero (Redis Cluster specification, appendix A). */
static uint16_t crc16(const char *bytes, size_t len)
{
    uint16_t crc = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned x = (crc >> 8 ^ (unsigned char)bytes[i]) & 0xff;

        x ^= x >> 4;
        crc = (uint16_t)(crc << 8 ^ x << 12 ^ x << 5 ^ x);
    }
    return crc;
}

int redis_slot_of(uint32_t bucket)
{
    char buf[16];
    struct text_out tag;

    text_out_init(&tag, buf, sizeof(buf));
    text_out_int(&tag, bucket);
    return crc16(tag.buf, tag.len) % REDIS_SLOTS;
}

struct redis_link *redis_cluster_link(struct redis_cluster *cluster, uint32_t bucket)
{
    struct redis_node *owner = cluster->owners[redis_slot_of(bucket)];

    return owner ? &owner->link : &cluster->nowhere;
}

/* --- asking --- */

static void ask_at(struct redis_cluster *cluster, int64_t at_us)
{
    int64_t now_us = loop_now_us(cluster->route->loop);

    at_us = MAX(at_us, cluster->asked_us + SPACING_US);
    at_us = MAX(at_us, now_us);
    if (!timer_is_set(&cluster->refresh) || cluster->refresh.deadline_us > at_us)
        timer_set(cluster->route->loop, &cluster->refresh, at_us);
}

static void ask_soon(struct redis_cluster *cluster)
{
    ask_at(cluster, 0);
}

/* The next in turn that is up: one that is cut off from the others does not know. */
static struct redis_node *whom_to_ask(struct redis_cluster *cluster)
{
    const struct redis_route *route = cluster->route;

    for (int i = 0; i < route->nodes_len; i++) {
        struct redis_node *node = route->nodes[++cluster->asked % (unsigned)route->nodes_len];

        if (redis_link_is_up(&node->link))
            return node;
    }
    return NULL;
}

static void add_seeds(struct redis_cluster *cluster)
{
    const struct redis_target *target = cluster->route->target;

    for (int i = 0; i < target->places_len; i++)
        (void)redis_route_node(cluster->route, &target->places[i], -1);
}

static void ask(struct redis_cluster *cluster)
{
    struct redis_node *node = whom_to_ask(cluster);

    if (cluster->is_asking)
        return;
    cluster->asked_us = loop_now_us(cluster->route->loop);
    if (!node) { /* all may have moved: the configured ones may be known again */
        add_seeds(cluster);
        ask_at(cluster, cluster->asked_us + TROUBLE_US);
        return;
    }
    cluster->is_asking = true;
    redis_link_begin(&node->link, 2);
    redis_link_arg(&node->link, TEXT("CLUSTER"));
    redis_link_arg(&node->link, TEXT("SLOTS"));
    redis_link_end(&node->link, &cluster->ask);
}

static void on_refresh(struct timer *timer)
{
    ask(container_of(timer, struct redis_cluster, refresh));
}

/* --- the map --- */

/* Where [host, port, id, ...] is; a host that is not told is the one that was asked. */
static enum status read_place(const redisReply *node, const struct redis_link *asked,
                              struct redis_place *out)
{
    struct text host = redis_place_host(&asked->place);

    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
        node->element[1]->type != REDIS_REPLY_INTEGER)
        return ST_INVALID;
    if (node->element[0]->type == REDIS_REPLY_STRING && node->element[0]->len > 0)
        host = (struct text){node->element[0]->str, node->element[0]->len};
    return redis_place_make(host, node->element[1]->integer, out);
}

/* [first, last, master, replica...] */
static void read_range(struct redis_cluster *cluster, const redisReply *range,
                       const struct redis_link *asked)
{
    struct redis_place place;

    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
        range->element[0]->type != REDIS_REPLY_INTEGER ||
        range->element[1]->type != REDIS_REPLY_INTEGER || range->element[0]->integer < 0 ||
        range->element[1]->integer >= REDIS_SLOTS || read_place(range->element[2], asked, &place))
        return;

    struct redis_node *node = redis_route_node(cluster->route, &place, -1);

    if (!node)
        return;
    node->is_wanted = true;
    for (long long slot = range->element[0]->integer; slot <= range->element[1]->integer; slot++)
        cluster->owners[slot] = node;
}

/* Each node's check for writes is to be made where it has a slot. */
static void choose_probes(struct redis_cluster *cluster)
{
    const struct redis_route *route = cluster->route;
    int left = 0;

    for (int i = 0; i < route->nodes_len; i++)
        left += route->nodes[i]->is_wanted && route->nodes[i]->link.probe_bucket < 0;
    for (uint32_t bucket = 0; left > 0 && bucket < PROBE_BUCKETS; bucket++) {
        struct redis_link *link = redis_cluster_link(cluster, bucket);

        if (link == &cluster->nowhere || link->probe_bucket >= 0)
            continue;
        link->probe_bucket = (int)bucket;
        left--;
    }
}

static bool has_wanted(const struct redis_route *route)
{
    for (int i = 0; i < route->nodes_len; i++)
        if (route->nodes[i]->is_wanted)
            return true;
    return false;
}

static bool is_any_down(const struct redis_route *route)
{
    for (int i = 0; i < route->nodes_len; i++)
        if (!redis_link_is_up(&route->nodes[i]->link))
            return true;
    return false;
}

static void complain(struct redis_cluster *cluster, const struct redis_link *asked, const char *why)
{
    if (!cluster->is_complained)
        log_event(LOG_ERROR, "quota_cluster_unknown", "store=redis node=%s why=\"%s\"",
                  asked->place.at, why);
    cluster->is_complained = true;
}

static void read_map(struct redis_cluster *cluster, const redisReply *map,
                     const struct redis_link *asked)
{
    struct redis_route *route = cluster->route;

    for (int i = 0; i < route->nodes_len; i++)
        route->nodes[i]->is_wanted = false;
    memset(cluster->owners, 0, sizeof(cluster->owners));
    for (size_t i = 0; i < map->elements; i++)
        read_range(cluster, map->element[i], asked);
    cluster->is_moved = false;
    if (!has_wanted(route)) {
        complain(cluster, asked, "no slot is served");
        ask_at(cluster, loop_now_us(route->loop) + TROUBLE_US);
        return;
    }
    cluster->has_map = true;
    cluster->is_complained = false;
    cluster->nowhere.breaker.state = BREAKER_OPEN;
    timer_clear(&cluster->patience);
    choose_probes(cluster);
    redis_route_sweep(route);
    if (is_any_down(route))
        ask_at(cluster, loop_now_us(route->loop) + TROUBLE_US);
    route->ready(route);
    route->lost(route);
}

static void on_map(struct redis_call *call, const redisReply *reply)
{
    struct redis_cluster *cluster = container_of(call, struct redis_cluster, ask);
    const struct redis_link *asked = call->of;

    cluster->is_asking = false;
    if (cluster->route->is_closing)
        return;
    if (reply && reply->type == REDIS_REPLY_ARRAY) {
        read_map(cluster, reply, asked);
        return;
    }
    if (reply)
        complain(cluster, asked, reply->type == REDIS_REPLY_ERROR ? reply->str : "no map");
    ask_at(cluster, loop_now_us(cluster->route->loop) + TROUBLE_US);
}

/* --- what happens to nodes --- */

void redis_cluster_up(struct redis_cluster *cluster, struct redis_node *node)
{
    UNUSED(node);
    if (!cluster->has_map)
        ask(cluster);
    else if (cluster->is_moved)
        ask_soon(cluster);
}

void redis_cluster_lost(struct redis_cluster *cluster)
{
    ask_soon(cluster);
}

struct redis_node *redis_cluster_redirected(struct redis_cluster *cluster, struct redis_link *by,
                                            const char *error)
{
    struct text rest = text_of(error);
    struct text word, slot_text, at;
    struct redis_place place;
    uint64_t slot, port;

    if (!text_next(&rest, ' ', &word) || !text_next(&rest, ' ', &slot_text) ||
        !text_next(&rest, ' ', &at) || text_to_u64(slot_text, &slot) || slot >= REDIS_SLOTS)
        return NULL;

    const char *colon = at.len > 0 ? memrchr(at.ptr, ':', at.len) : NULL;
    struct text host = {at.ptr, colon ? (size_t)(colon - at.ptr) : 0};

    if (!colon || text_to_u64((struct text){colon + 1, at.len - host.len - 1}, &port) ||
        port > 65535)
        return NULL;
    if (host.len == 0)
        host = redis_place_host(&by->place);
    if (redis_place_make(host, (int64_t)port, &place))
        return NULL;

    struct redis_node *node = redis_route_node(cluster->route, &place, -1);

    if (!node || !text_equal(word, TEXT("MOVED")))
        return node;
    cluster->owners[slot] = node;
    cluster->is_moved = true;
    ask_soon(cluster);
    return node;
}

/* --- the life of a map --- */

static void on_patience(struct timer *timer)
{
    struct redis_cluster *cluster = container_of(timer, struct redis_cluster, patience);

    cluster->nowhere.breaker.state = BREAKER_OPEN;
    cluster->route->lost(cluster->route);
}

enum status redis_cluster_open(struct redis_route *route, struct redis_cluster **out)
{
    struct redis_cluster *cluster = calloc(1, sizeof(*cluster));

    if (!cluster)
        return ST_NOMEM;
    cluster->route = route;
    cluster->ask.done = on_map;
    cluster->nowhere.probe_bucket = -1;
    list_init(&cluster->nowhere.calls);
    timer_init(&cluster->refresh, on_refresh);
    timer_init(&cluster->patience, on_patience);
    timer_set(route->loop, &cluster->patience,
              loop_now_us(route->loop) + route->target->timeout_us);
    add_seeds(cluster);
    if (route->nodes_len == 0) {
        redis_cluster_close(&cluster);
        return ST_NOMEM;
    }
    *out = cluster;
    return ST_OK;
}

void redis_cluster_close(struct redis_cluster **cluster)
{
    if (!*cluster)
        return;
    timer_clear(&(*cluster)->refresh);
    timer_clear(&(*cluster)->patience);
    free(*cluster);
    *cluster = NULL;
}
