/* SPDX-License-Identifier: Apache-2.0 */
/* test_redis_cluster.c - a Cluster of three masters: buckets over nodes, slots that move, nodes that die.  Account n is in
 * bucket n modulo 4: of those, slot and first node are below. */

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "redis/cluster.h"
#include "unit/quota/rig.h"
#include "unit/quota/servers.h"

#define TIMEOUT_MS 50

static const struct {
    int slot, node;
} places[4] = {{13907, 2}, {9842, 1}, {5649, 1}, {1584, 0}};

static struct rig rig;
static struct server_cluster cluster;

static void up(void)
{
    rig_init(&rig, STORE_REDIS);
    rig_redis_kill(&rig);
    cluster_start(&cluster);
    rig.config.store.path = NULL;
    rig.config.store.topology = TOPOLOGY_CLUSTER;
    rig.config.store.hosts_len = 1;
    rig.config.store.hosts[0] = (struct store_host){"localhost", cluster.nodes[1].port};
}

static void down(void)
{
    rig_fini(&rig);
    cluster_remove(&cluster);
}

TestSuite(quota_redis_cluster, .init = up, .fini = down, .timeout = 60);

static struct redis_quota *door(int i)
{
    return (struct redis_quota *)rig.q[i];
}

static bool is_up_everywhere(int i)
{
    for (uint32_t bucket = 0; bucket < 4; bucket++)
        if (!redis_link_is_up(redis_route_link(&door(i)->route, bucket)))
            return false;
    return true;
}

static void start(void)
{
    rig_start(&rig);
    for (int i = 0; i < RIG_WORKERS; i++)
        RIG_UNTIL(&rig, is_up_everywhere(i));
}

/* Where it is tested what comes of its end; else a busy machine would meet it. */
static void start_impatiently(void)
{
    rig.config.quota_timeout_ms = TIMEOUT_MS;
    start();
}

static void hold(struct reservation *r, int account, int64_t images, int64_t limit)
{
    rig_reservation(r, account, 0, images, limit);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], r), ST_OK);
}

static long long holds(int bucket)
{
    long long sum = 0;

    for (int i = 0; i < CLUSTER_NODES; i++)
        if (cluster.nodes[i].pid)
            sum += MAX(server_ask(&cluster.nodes[i], "ZCARD mg:{%d}:h", bucket), 0);
    return sum;
}

static void end_with_nothing_held(void)
{
    rig_quiet(&rig);
    for (int bucket = 0; bucket < 4; bucket++)
        cr_assert_eq(holds(bucket), 0);
}

Test(quota_redis_cluster, buckets_are_where_their_slots_are)
{
    struct reservation r[4];

    start();
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(redis_slot_of((uint32_t)i), places[i].slot);
        hold(&r[i], i, 2, 3);
        cr_assert_eq(server_ask(&cluster.nodes[places[i].node], "ZCARD mg:{%d}:h", i), 1);
        cr_assert_eq(rig_commit(&rig, rig.q[0], &r[i], -1), ST_OK);
    }
    for (int i = 0; i < 4; i++) {
        quota_settle(rig.q[0], &r[i], 1);
        cr_assert_eq(rig_used(&rig, i, 0), 1);
    }
    cr_assert_eq(door(0)->route.nodes_len, 3, "the host that was configured is one of them");
    end_with_nothing_held();
}

Test(quota_redis_cluster, a_slot_that_has_moved)
{
    struct reservation held, more;
    struct rig_wait wait;

    start();
    hold(&held, 1, 2, 3);
    cluster_move_begin(&cluster, places[1].slot, 1, 0);
    cluster_move_all(&cluster, places[1].slot, 1, 0);
    cluster_move_end(&cluster, places[1].slot, 1, 0);
    rig_wait_init(&wait);
    cr_assert_eq(quota_commit(rig.q[0], &held, QUOTA_SETTLE_LATER, &wait.op), ST_PENDING);
    quota_settle(rig.q[0], &held, 1);
    cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_OK);
    rig_quiet(&rig);
    hold(&more, 1, 2, 3);
    cr_assert_eq(server_ask(&cluster.nodes[0], "ZCARD mg:{1}:h"), 1);
    quota_settle(rig.q[0], &more, 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    end_with_nothing_held();
}

static struct redis_node *node_at(struct redis_quota *rq, int node)
{
    for (int i = 0; i < rq->route.nodes_len; i++) {
        struct text at = text_of(rq->route.nodes[i]->link.place.at);
        char port[16];
        int len = snprintf(port, sizeof(port), ":%d", cluster.nodes[node].port);

        if (at.len > (size_t)len && strcmp(at.ptr + at.len - (size_t)len, port) == 0)
            return rq->route.nodes[i];
    }
    cr_assert_fail("no such node");
    return NULL;
}

/* The map changes between the two: the settle waits until its commit has been where it belongs. */
Test(quota_redis_cluster, no_settle_overtakes_its_commit)
{
    struct reservation held, other;
    struct rig_wait wait;

    start();
    hold(&held, 1, 3, 9);
    hold(&other, 1, 1, 9);
    cluster_move_begin(&cluster, places[1].slot, 1, 0);
    cluster_move_all(&cluster, places[1].slot, 1, 0);
    cluster_move_end(&cluster, places[1].slot, 1, 0);
    rig_wait_init(&wait);
    cr_assert_eq(quota_commit(rig.q[0], &held, QUOTA_SETTLE_LATER, &wait.op), ST_PENDING);
    door(0)->route.cluster->owners[places[1].slot] = node_at(door(0), 0);
    quota_settle(rig.q[0], &held, 1);
    cr_assert_eq(door(0)->on_disk, 1, "it waits");
    quota_settle(rig.q[0], &other, 0);
    cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_OK);
    RIG_UNTIL(&rig, list_is_empty(&door(0)->unsent));
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    cr_assert_eq(door(0)->on_disk, 0);
    end_with_nothing_held();
}

/* A reap where a row has left already gives back nothing, and forgets nothing. */
Test(quota_redis_cluster, a_hold_that_expires_in_a_slot_half_moved)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000), rig_limit(1, LIMIT_WEEK, 9000)};
    struct reservation held, other;
    struct hold_handle handle;
    struct rig_wait wait;
    struct redis_key week;
    char name[REDIS_KEY_MAX];

    start();
    rig_reservation_of(&held, 1, 2, limits, 2);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &held), ST_OK);
    hold(&other, 1, 1, 9);
    quota_settle(rig.q[0], &other, 1);
    rig_quiet(&rig);
    list_remove(&held.live);
    handle = redis_token_make(&held, 0);
    cr_assert_eq(server_ask(&cluster.nodes[1], "ZADD mg:{1}:h XX CH 1000 %b", handle.token,
                            (size_t)handle.token_len),
                 1);
    week = redis_row_key(1, 'w', limits[1].window.ordinal);
    snprintf(name, sizeof(name), "%.*s", (int)week.len, week.buf);
    cluster_move_begin(&cluster, places[1].slot, 1, 0);
    cluster_move_key(&cluster, 1, 0, name);
    rig_reservation(&other, 1, 0, 9, 9);
    rig_wait_init(&wait);
    enum status st = quota_reserve(rig.q[0], &other, &wait.op);

    for (int i = 0; i < 20; i++)
        loop_run_once(rig.loop, 5);
    cr_assert_eq(holds(1), 1, "its charge and its entry stay");
    cluster_move_all(&cluster, places[1].slot, 1, 0);
    cluster_move_end(&cluster, places[1].slot, 1, 0);
    cr_assert_eq(rig_ended(&rig, &wait, st), ST_LIMIT, "one is used");
    cr_assert_eq(rig_used_of(&rig, 1, limits[0]), 1000);
    cr_assert_eq(rig_used_of(&rig, 1, limits[1]), 0);
    end_with_nothing_held();
}

/* Each slot once: moved to and fro within a second, nodes of a Cluster come to disagree about whose it is. */
Test(quota_redis_cluster, a_slot_that_moves_while_it_is_used)
{
    start();
    for (int account = 0; account < 4; account++) {
        int slot = places[account].slot, from = places[account].node, to = (from + 1) % 3;
        struct reservation r[16];

        for (int i = 0; i < 16; i++) {
            struct rig_wait wait;

            rig_reservation(&r[i], account, 0, 1, 1000);
            rig_wait_init(&wait);
            enum status st = quota_reserve(rig.q[i % 2], &r[i], &wait.op);

            if (i == 4)
                cluster_move_begin(&cluster, slot, from, to);
            if (i == 8)
                cluster_move_all(&cluster, slot, from, to);
            if (i == 12)
                cluster_move_end(&cluster, slot, from, to);
            cr_assert_eq(rig_ended(&rig, &wait, st), ST_OK);
            (void)rig_commit(&rig, rig.q[i % 2], &r[i], -1);
            if (i >= 2)
                quota_settle(rig.q[i % 2], &r[i - 2], i % 2);
        }
        for (int i = 14; i < 16; i++)
            quota_settle(rig.q[i % 2], &r[i], i % 2);
        rig_quiet(&rig);
        cr_assert_eq(rig_used(&rig, account, 0), 8);
    }
    end_with_nothing_held();
}

/* The ledger is there already, the rows are not: what needs the ledger alone asks there, what needs both comes again. */
Test(quota_redis_cluster, a_slot_half_moved)
{
    struct reservation held;

    start();
    hold(&held, 1, 2, 3);
    cluster_move_begin(&cluster, places[1].slot, 1, 0);
    cluster_move_key(&cluster, 1, 0, "mg:{1}:h");
    cr_assert_eq(rig_commit(&rig, rig.q[0], &held, -1), ST_OK);
    RIG_UNTIL(&rig, server_ask(&cluster.nodes[0], "ASKING") == 1 &&
                        server_ask(&cluster.nodes[0], "ZCOUNT mg:{1}:h 1073741824 +inf") == 1);
    quota_settle(rig.q[0], &held, 1);
    for (int i = 0; i < 20; i++)
        loop_run_once(rig.loop, 5);
    cr_assert(redis_requests_are_due(door(0)) || !list_is_empty(&door(0)->unsent));
    cluster_move_all(&cluster, places[1].slot, 1, 0);
    cluster_move_end(&cluster, places[1].slot, 1, 0);
    RIG_UNTIL(&rig, list_is_empty(&door(0)->unsent));
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    end_with_nothing_held();
}

Test(quota_redis_cluster, a_slot_that_stays_half_moved)
{
    struct reservation r, other;
    int64_t before_us = clock_monotonic_us();

    start_impatiently();
    cluster_move_begin(&cluster, places[1].slot, 1, 0);
    rig_reservation(&r, 1, 0, 1, 3);
    before_us = clock_monotonic_us();
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    cr_assert(clock_monotonic_us() - before_us >= 10 * TIMEOUT_MS * 1000);
    hold(&other, 2, 1, 3);
    cr_assert_eq(server_ask(&cluster.nodes[1], "ZCARD mg:{2}:h"), 1, "the same node's other slots");
    quota_settle(rig.q[0], &other, 0);
    cluster_move_all(&cluster, places[1].slot, 1, 0);
    cluster_move_end(&cluster, places[1].slot, 1, 0);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    quota_settle(rig.q[0], &r, 0);
    end_with_nothing_held();
}

Test(quota_redis_cluster, a_node_that_dies_takes_only_its_slots_along)
{
    struct reservation r, held[4];

    start_impatiently();
    for (int i = 0; i < 4; i++)
        hold(&held[i], i, 2, 9);
    server_kill(&cluster.nodes[0]);
    rig_reservation(&r, 3, 0, 1, 9);
    RIG_UNTIL(&rig, redis_link_is_refusing(redis_route_link(&door(0)->route, 3)));
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(rig_commit(&rig, rig.q[0], &held[i], 1), ST_OK);
        if (i != 3)
            cr_assert_eq(rig_used(&rig, i, 0), 1);
    }
    cr_assert_eq(door(0)->on_disk, 1);
    cr_assert(quota_store_is_up(rig.store));
    cluster_restart_node(&cluster, 0);
    RIG_UNTIL(&rig, list_is_empty(&door(0)->unsent));
    cr_assert_eq(rig_used(&rig, 3, 0), 1);
    cr_assert_eq(door(0)->on_disk, 0);
    end_with_nothing_held();
}

Test(quota_redis_cluster, nobody_serves_a_slot)
{
    struct reservation r;

    cr_assert_eq(server_ask(&cluster.nodes[0], "CLUSTER DELSLOTS %d", places[3].slot), 1);
    rig.config.quota_timeout_ms = TIMEOUT_MS;
    rig_start(&rig);
    RIG_UNTIL(&rig, door(0)->route.cluster->has_map);
    rig_reservation(&r, 3, 0, 1, 3);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    cr_assert_eq(server_ask(&cluster.nodes[0], "CLUSTER ADDSLOTS %d", places[3].slot), 1);
}

Test(quota_redis_cluster, a_question_waits_for_the_first_map)
{
    struct reservation r;
    struct rig_wait wait;
    char error[CONFIG_ERROR_MAX];

    cr_assert_eq(quota_store_open(&rig.config, error, &rig.store), ST_OK);
    cr_assert_eq(quota_open(rig.store, rig.loop, &rig.config, &rig.q[0]), ST_OK);
    rig_reservation(&r, 3, 0, 1, 3);
    rig_wait_init(&wait);
    cr_assert_eq(quota_reserve(rig.q[0], &r, &wait.op), ST_PENDING);
    cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_OK);
    quota_settle(rig.q[0], &r, 0);
    rig_stop(&rig);
    cr_assert_eq(holds(3), 0);
}
