/* SPDX-License-Identifier: Apache-2.0 */
/* test_keystore.c - keys looked up in a real Redis: at once, later, cancelled, timed out; what is remembered, and for how
 * long; what a revocation does, and a Redis that is down. */
#include "unit/identity/keys_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/cluster.h"
#include "unit/quota/servers.h"

static struct keys_rig rig;

static void begin(void)
{
    keys_rig_init(&rig);
    keys_rig_open(&rig);
}

static void end(void)
{
    for (int i = 0; i < KEYS_DOORS; i++) {
        cr_assert_eq(rig.keys[i]->lookups.len, 0U);
        cr_assert(list_is_empty(&rig.keys[i]->line.parked));
    }
    keys_rig_fini(&rig);
}

TestSuite(keystore, .timeout = 60);

static long long lookups_of_redis(void)
{
    const redisReply *reply = redisCommand(rig.redis.server.side, "INFO commandstats");
    const char *hget = reply && reply->str ? strstr(reply->str, "cmdstat_hget:calls=") : NULL;
    long long calls = hget ? atoll(hget + strlen("cmdstat_hget:calls=")) : 0;

    freeReplyObject((void *)(uintptr_t)reply);
    return calls;
}

WHOLE_TEST(keystore, later_and_then_at_once)
{
    struct keys_ask_of ask;

    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    keys_rig_begin(&rig, 0, "a key", &ask);
    cr_assert_eq(ask.st, ST_PENDING);
    cr_assert_eq(rig_ended(&rig.redis, &ask.op, ask.st), ST_OK);
    cr_expect_eq(ask.wait.verdict, KEY_KNOWN);
    cr_expect(ask.wait.is_fitting);
    cr_expect_str_eq(ask.wait.account.id, "alice");
    cr_expect_eq(ask.wait.account.tier, 1);
    cr_expect_eq(ask.wait.account.team, -1);

    long long asked = lookups_of_redis();

    for (int i = 0; i < 100; i++) {
        keys_rig_begin(&rig, 0, "a key", &ask);
        cr_assert_eq(ask.st, ST_OK);
        cr_assert_str_eq(ask.wait.account.id, "alice");
    }
    cr_expect_eq(lookups_of_redis(), asked, "from memory");
    cr_expect_eq(keys_rig_count(&rig, 0, KEY_RESULT_FOUND), 1U);
    cr_expect_eq(keys_rig_count(&rig, 0, KEY_RESULT_HIT), 100U);
}

WHOLE_TEST(keystore, many_wait_for_one_lookup)
{
    struct keys_ask_of asks[50];

    for (int i = 0; i < 50; i++) {
        keys_rig_begin(&rig, 0, "nobody's", &asks[i]);
        cr_assert_eq(asks[i].st, ST_PENDING);
    }
    op_cancel(&asks[7].op.op);
    RIG_UNTIL(&rig.redis, asks[49].op.is_done);
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(asks[i].op.is_done, i != 7);
        if (i != 7)
            cr_assert_eq(asks[i].wait.verdict, KEY_UNKNOWN);
    }
    cr_expect_eq(lookups_of_redis(), 1);
    keys_rig_begin(&rig, 0, "nobody's", &asks[0]);
    cr_expect_eq(asks[0].st, ST_OK);
    cr_expect_eq(asks[0].wait.verdict, KEY_UNKNOWN);
    cr_expect_eq(keys_rig_count(&rig, 0, KEY_RESULT_REFUSED), 1U);
}

WHOLE_TEST(keystore, one_whose_asker_left_is_looked_up_for_the_next)
{
    struct keys_ask_of first, second;

    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    keys_rig_begin(&rig, 0, "a key", &first);
    op_cancel(&first.op.op);
    keys_rig_begin(&rig, 0, "a key", &second);
    cr_assert_eq(second.st, ST_PENDING);
    RIG_UNTIL(&rig.redis, second.op.is_done);
    cr_expect_str_eq(second.wait.account.id, "alice");
    cr_expect(!first.op.is_done);
}

WHOLE_TEST(keystore, a_new_key_is_known_when_the_refusal_is_forgotten)
{
    cr_assert_eq(keys_rig_ask(&rig, 1, "a key"), KEY_UNKNOWN);
    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    keys_rig_later(&rig, 1000000);
    cr_expect_eq(keys_rig_ask(&rig, 1, "a key"), KEY_UNKNOWN, "an addition disturbs nobody");
    keys_rig_later(&rig, 4100000);
    cr_expect_eq(keys_rig_ask(&rig, 1, "a key"), KEY_KNOWN);
}

WHOLE_TEST(keystore, a_revoked_key_is_refused_everywhere_after_a_poll)
{
    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    cr_assert_eq(keys_rig_ask(&rig, 0, "a key"), KEY_KNOWN);
    cr_assert_eq(keys_rig_ask(&rig, 1, "a key"), KEY_KNOWN);
    cr_assert_eq(keys_rig_revoke(&rig, keys_rig_digits("a key")), ST_OK);
    keys_rig_later(&rig, 1010000);
    cr_expect_eq(keys_rig_ask(&rig, 0, "a key"), KEY_UNKNOWN);
    cr_expect_eq(keys_rig_ask(&rig, 1, "a key"), KEY_UNKNOWN);
}

WHOLE_TEST(keystore, what_is_not_known_of_is_asked_for)
{
    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    cr_assert_eq(keys_rig_ask(&rig, 0, "a key"), KEY_KNOWN);
    rig_redis(&rig.redis, "FLUSHALL");
    cr_assert_eq(keys_rig_ask(&rig, 0, "a key"), KEY_KNOWN, "it is remembered");
    rig.keys[0]->trusted_until_us = loop_now_us(rig.redis.loop);
    cr_expect_eq(keys_rig_ask(&rig, 0, "a key"), KEY_UNKNOWN);
}

WHOLE_TEST(keystore, a_revocation_that_nobody_announced_is_known_in_the_end)
{
    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    cr_assert_eq(keys_rig_ask(&rig, 0, "a key"), KEY_KNOWN);
    rig_redis(&rig.redis, "FLUSHALL");
    keys_rig_later(&rig, 58000000);
    cr_expect_eq(keys_rig_ask(&rig, 0, "a key"), KEY_KNOWN);
    keys_rig_later(&rig, 3000000);
    cr_expect_eq(keys_rig_ask(&rig, 0, "a key"), KEY_UNKNOWN);
}

WHOLE_TEST(keystore, an_answer_from_before_a_revocation_is_not_remembered)
{
    struct keys_ask_of ask;

    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    keys_rig_begin(&rig, 0, "a key", &ask);
    key_cache_clear(&rig.keys[0]->cache); /* the poll was answered first */
    RIG_UNTIL(&rig.redis, ask.op.is_done);
    cr_expect_eq(ask.wait.verdict, KEY_KNOWN);
    cr_expect_eq(rig.keys[0]->cache.known_len, 0);
}

WHOLE_TEST(keystore, without_redis_known_keys_work_for_a_while_and_others_are_neither)
{
    struct keys_ask_of ask;

    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    cr_assert_eq(keys_rig_ask(&rig, 0, "a key"), KEY_KNOWN);
    cr_assert_eq(keys_rig_ask(&rig, 0, "nobody's"), KEY_UNKNOWN);
    rig_redis_kill(&rig.redis);
    RIG_UNTIL(&rig.redis, redis_link_is_refusing(redis_route_link(&rig.keys[0]->line.route, 0)));
    clock_skip_us(10000000);
    loop_run_once(rig.redis.loop, 0);
    keys_rig_begin(&rig, 0, "a key", &ask);
    cr_assert_eq(ask.st, ST_OK, "the breaker is open: nobody waits");
    cr_expect_str_eq(ask.wait.account.id, "alice");
    cr_expect_eq(keys_rig_count(&rig, 0, KEY_RESULT_STALE), 1U);
    keys_rig_begin(&rig, 0, "another", &ask);
    cr_assert_eq(ask.st, ST_OK);
    cr_expect_eq(ask.wait.verdict, KEY_FAILED);
    keys_rig_begin(&rig, 0, "nobody's", &ask);
    cr_expect_eq(ask.wait.verdict, KEY_FAILED, "it may have been added since");
    clock_skip_us(3600000000);
    loop_run_once(rig.redis.loop, 0);
    keys_rig_begin(&rig, 0, "a key", &ask);
    cr_expect_eq(ask.wait.verdict, KEY_FAILED, "for too long");
}

WHOLE_TEST(keystore, a_redis_that_is_back_is_asked_again)
{
    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    rig_redis_kill(&rig.redis);
    RIG_UNTIL(&rig.redis, redis_link_is_refusing(redis_route_link(&rig.keys[0]->line.route, 0)));
    cr_assert_eq(keys_rig_ask(&rig, 0, "a key"), KEY_FAILED);
    rig_redis_start(&rig.redis);
    RIG_UNTIL(&rig.redis, redis_route_is_up(&rig.keys[0]->line.route));
    cr_expect_eq(keys_rig_ask(&rig, 0, "a key"), KEY_KNOWN);
}

WHOLE_TEST(keystore, a_silent_redis_keeps_nobody_waiting)
{
    struct keys_ask_of known, unknown, later;

    cr_assert_eq(keys_rig_add(&rig, "a key", "alice", "plus"), ST_OK);
    cr_assert_eq(keys_rig_ask(&rig, 0, "a key"), KEY_KNOWN);
    kill(rig.redis.server.pid, SIGSTOP);
    rig.keys[0]->trusted_until_us = 0;
    keys_rig_begin(&rig, 0, "a key", &known);
    keys_rig_begin(&rig, 0, "another", &unknown);
    cr_assert_eq(known.st, ST_PENDING);
    cr_assert_eq(unknown.st, ST_PENDING);
    RIG_UNTIL(&rig.redis, known.op.is_done && unknown.op.is_done);
    cr_expect_eq(rig.keys[0]->lookups.len, 2U, "Redis may answer yet");
    cr_expect_str_eq(known.wait.account.id, "alice");
    cr_expect_eq(unknown.wait.verdict, KEY_FAILED);
    keys_rig_begin(&rig, 0, "another", &later);
    cr_expect_eq(later.st, ST_OK, "its lookup is on its way still, but nobody waits for that");
    cr_expect_eq(later.wait.verdict, KEY_FAILED);
    kill(rig.redis.server.pid, SIGCONT);
    RIG_UNTIL(&rig.redis, redis_route_is_up(&rig.keys[0]->line.route));
    cr_expect_eq(keys_rig_ask(&rig, 0, "another"), KEY_UNKNOWN);
    RIG_UNTIL(&rig.redis, rig.keys[0]->lookups.len == 0);
}

WHOLE_TEST(keystore, what_still_waits_is_told_at_the_end)
{
    struct keys_ask_of ask;

    kill(rig.redis.server.pid, SIGSTOP);
    keys_rig_begin(&rig, 0, "a key", &ask);
    cr_assert_eq(ask.st, ST_PENDING);
    keys_close(&rig.keys[0]);
    cr_expect(ask.op.is_done);
    cr_expect_eq(ask.wait.verdict, KEY_FAILED);
    kill(rig.redis.server.pid, SIGCONT);
    cr_assert_eq(keys_open(rig.store, rig.redis.loop, &rig.stats[0], &rig.keys[0]), ST_OK);
}

WHOLE_TEST(keystore, what_a_policy_lacks_fits_no_more)
{
    struct key_record record = {"alice", "plus", "red", "Europe/Berlin", "2026-11-22", ""};
    struct keys_ask_of ask;

    cr_assert_eq(keys_rig_add_as(&rig, "a key", &record), ST_OK);
    cr_assert_eq(keys_rig_ask(&rig, 0, "a key"), KEY_KNOWN);
    keys_rig_begin(&rig, 0, "a key", &ask);
    cr_assert_eq(ask.st, ST_OK);
    cr_expect_eq(ask.wait.account.team, 1);
    cr_expect_eq(ask.wait.account.zone, &rig.zone);
    rig.config->policy.tiers[1].name = "basic";
    rig.config->generation++;
    keys_rig_begin(&rig, 0, "a key", &ask);
    cr_assert_eq(ask.st, ST_OK);
    cr_expect(ask.wait.verdict == KEY_KNOWN && !ask.wait.is_fitting, "its tier is gone");
    rig.config->policy.tiers[1].name = "plus";
    rig.config->policy.teams_len = 1;
    rig.config->generation++;
    keys_rig_begin(&rig, 0, "a key", &ask);
    cr_expect(!ask.wait.is_fitting, "its team is gone");
    rig.config->policy.teams_len = 2;
    rig.conf.zones_len = 0;
    rig.config->generation++;
    keys_rig_begin(&rig, 0, "a key", &ask);
    cr_expect(!ask.wait.is_fitting, "its zone is gone");
    rig.conf.zones_len = 1;
    rig.config->generation++;
    keys_rig_begin(&rig, 0, "a key", &ask);
    cr_expect(ask.wait.is_fitting);
}

WHOLE_TEST(keystore, a_record_that_is_not_understood_is_neither)
{
    unsigned char sha256[KEY_SHA256_LEN];

    identity_sha256(TEXT("a key"), sha256);
    rig_redis(&rig.redis, "HSET mg:{%d}:k %b %s", (int)key_bucket(sha256), sha256, sizeof(sha256),
              "2 a later version");
    cr_expect_eq(keys_rig_ask(&rig, 0, "a key"), KEY_FAILED);
}

/* --- the source --------------------------------------------------------------------------------------------------------- */

static struct http_head head;
static char credential[128];

static enum status resolve(struct identity_wait *wait, struct identity_found *found,
                           enum identity_fault *fault, struct keys *keys)
{
    static struct address_short nobody;
    struct identity_ask ask = {rig.config, &head, &nobody, &nobody, keys, wait};
    struct rig_wait op;

    rig_wait_init(&op);
    enum status st = identity_resolve(&ask, found, fault, &op.op);
    if (st != ST_PENDING)
        return st;
    RIG_UNTIL(&rig.redis, op.is_done);
    return identity_resolve(&ask, found, fault, &op.op);
}

static enum status identify(const char *key, struct identity_found *found,
                            enum identity_fault *fault, struct keys *keys)
{
    struct identity_wait wait = {.source = 0};

    snprintf(credential, sizeof(credential), "Bearer %s", key);
    head_clear(&head);
    head_add(&head, TEXT("authorization"), text_of(credential));
    *fault = IDENTITY_FAULT_NONE;
    return resolve(&wait, found, fault, keys);
}

WHOLE_TEST(keystore, as_a_source_among_others)
{
    struct identity_found found;
    enum identity_fault fault;

    rig.config->identity[1] = (struct identity_source){.kind = IDENTITY_BEARER, .tier = 0};
    rig.config->identity_len = 2;
    cr_assert_eq(keys_rig_add(&rig, "mg_alice", "alice", "plus"), ST_OK);
    cr_assert_eq(identify("mg_alice", &found, &fault, rig.keys[0]), ST_OK);
    cr_expect_str_eq(found.account.id, "alice");
    cr_expect_eq(found.kind, IDENTITY_KEYSTORE);
    cr_expect(found.hides_key);
    cr_assert_eq(identify("another", &found, &fault, rig.keys[0]), ST_OK,
                 "the next source decides");
    cr_expect_eq(found.kind, IDENTITY_BEARER);
    cr_expect(!found.hides_key);
    cr_assert_eq(identify("another", &found, &fault, rig.keys[0]), ST_OK, "from memory");
    cr_expect_eq(found.kind, IDENTITY_BEARER);
    cr_assert_eq(identify("mg_alice", &found, &fault, NULL), ST_REFUSED);
    cr_expect_eq(fault, IDENTITY_FAULT_UNAVAILABLE, "it is not open");
    rig.config->policy.tiers[1].name = "basic";
    rig.config->generation++;
    cr_assert_eq(identify("mg_alice", &found, &fault, rig.keys[0]), ST_REFUSED);
    cr_expect_eq(fault, IDENTITY_FAULT_BAD_TIER);
    rig_redis_kill(&rig.redis);
    RIG_UNTIL(&rig.redis, redis_link_is_refusing(redis_route_link(&rig.keys[0]->line.route, 0)));
    cr_assert_eq(identify("a-third", &found, &fault, rig.keys[0]), ST_REFUSED);
    cr_expect_eq(fault, IDENTITY_FAULT_UNAVAILABLE, "no weaker source decides");
}

WHOLE_TEST(keystore, without_a_key_the_next_source_decides)
{
    struct identity_found found;
    enum identity_fault fault = IDENTITY_FAULT_NONE;
    struct identity_wait wait = {.source = 0};

    head = (struct http_head){.fields_len = 0};
    cr_assert_eq(resolve(&wait, &found, &fault, rig.keys[0]), ST_REFUSED);
    cr_expect_eq(fault, IDENTITY_FAULT_MISSING);
}

/* --- a Cluster ---------------------------------------------------------------------------------------------------------- */

Test(keystore, in_a_cluster_that_moves_slots)
{
    static struct server_cluster cluster;
    char key[16], place[KEY_PLACE_MAX];
    unsigned char sha256[KEY_SHA256_LEN];

    keys_rig_init(&rig);
    cluster_start(&cluster);
    rig.conf.url = (struct store_url){.kind = STORE_REDIS,
                                      .topology = TOPOLOGY_CLUSTER,
                                      .hosts_len = 1,
                                      .hosts = {{"127.0.0.1", cluster.nodes[0].port}}};
    keys_rig_open(&rig);
    for (int i = 0; i < 30; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        cr_assert_eq(keys_rig_add(&rig, key, i % 2 ? "odd" : "even", "free"), ST_OK);
    }
    cr_assert_eq(keys_rig_list(&rig, "odd", "", 100), ST_OK);
    cr_expect_eq(keys_rig_answer()->len, 15);
    identity_sha256(TEXT("key-1"), sha256);
    int slot = redis_slot_of(key_bucket(sha256));
    int from = slot * CLUSTER_NODES / 16384;
    int to = (from + 1) % CLUSTER_NODES;
    cluster_move_begin(&cluster, slot, from, to);
    struct text at = key_place(key_bucket(sha256), 'k', place);
    cluster_move_key(&cluster, from, to, at.ptr);
    cr_expect_str_eq(keys_rig_account(&rig, 0, "key-1"), "odd", "asked for there");
    cluster_move_end(&cluster, slot, from, to);
    cr_expect_str_eq(keys_rig_account(&rig, 1, "key-1"), "odd", "moved");
    cr_assert_eq(keys_rig_revoke_account(&rig, "odd"), ST_OK);
    cr_expect_eq(keys_rig_answer()->len, 15);
    keys_rig_later(&rig, 1010000);
    for (int i = 0; i < 30; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        cr_expect_str_eq(keys_rig_account(&rig, 1, key), i % 2 ? "" : "even");
    }
    keys_rig_fini(&rig);
    cluster_remove(&cluster);
}
