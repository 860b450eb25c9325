/* SPDX-License-Identifier: Apache-2.0 */
/* test_redis_link.c - ways to reach one Redis: TLS, logins; replicas that are waited for; places and what they are. */

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "redis/place.h"
#include "unit/net/certs.h"
#include "unit/quota/rig.h"
#include "unit/quota/servers.h"

static struct rig rig;
static struct server server;
static struct certs certs;
static char tls_port[16];

static void up(void)
{
    rig_init(&rig, STORE_REDIS);
    rig_redis_kill(&rig);
    certs_make(&certs);
    snprintf(tls_port, sizeof(tls_port), "%d", server_port());
    rig.config.store.path = NULL;
    rig.config.store.topology = TOPOLOGY_SINGLE;
    rig.config.store.hosts_len = 1;
    rig.config.quota_timeout_ms = 500;
}

static void down(void)
{
    rig_fini(&rig);
    server_remove(&server);
    certs_remove(&certs);
}

TestSuite(quota_redis_link, .init = up, .fini = down, .timeout = 60);

static struct redis_link *link_of(int i)
{
    return redis_route_link(&((struct redis_quota *)rig.q[i])->route, 1);
}

static void start_tls(const char *cert, const char *key)
{
    const char *options[] = {"--tls-port",
                             tls_port,
                             "--tls-cert-file",
                             cert,
                             "--tls-key-file",
                             key,
                             "--tls-auth-clients",
                             "yes",
                             "--tls-ca-cert-file",
                             certs.ca,
                             NULL};

    server_start(&server, options);
    rig.config.store.is_tls = true;
    rig.config.tls_ca = certs.ca;
    rig.config.tls_cert = certs.client;
    rig.config.tls_key = certs.client_key;
    rig.config.store.hosts[0] = (struct store_host){"localhost", atoi(tls_port)};
}

static void expect_three(void)
{
    struct reservation r;

    rig_start(&rig);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
    for (int i = 0; i < 3; i++) {
        rig_reservation(&r, 1, 0, 1, 3);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
        cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 1), ST_OK);
    }
    cr_assert_eq(rig_used(&rig, 1, 0), 3);
}

Test(quota_redis_link, over_tls)
{
    start_tls(certs.server, certs.server_key);
    expect_three();
}

Test(quota_redis_link, over_tls_to_an_address)
{
    start_tls(certs.server, certs.server_key);
    rig.config.store.hosts[0].name = "127.0.0.1";
    expect_three();
}

static void expect_down(void)
{
    struct reservation r;

    rig_start(&rig);
    RIG_UNTIL(&rig, redis_link_is_refusing(link_of(0)));
    rig_reservation(&r, 1, 0, 1, 3);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    cr_assert(!quota_store_is_up(rig.store));
}

Test(quota_redis_link, a_certificate_for_another_name_is_down)
{
    start_tls(certs.other, certs.other_key);
    expect_down();
}

Test(quota_redis_link, an_authority_that_is_not_trusted_is_down)
{
    start_tls(certs.server, certs.server_key);
    rig.config.tls_ca = certs.stranger_ca;
    expect_down();
}

Test(quota_redis_link, without_the_certificate_that_it_wants_is_down)
{
    start_tls(certs.server, certs.server_key);
    rig.config.tls_cert = rig.config.tls_key = "";
    expect_down();
}

Test(quota_redis_link, wrong_files_are_said_at_start)
{
    char error[CONFIG_ERROR_MAX];

    start_tls(certs.server, certs.server_key);
    rig.config.tls_ca = "/no/such/file";
    cr_assert_eq(quota_store_open(&rig.config, error, &rig.store), ST_INVALID);
    cr_assert(strstr(error, "CA file /no/such/file: No such file"), "%s", error);
}

static void start_plain(const char *const *options)
{
    server_start(&server, options);
    rig.config.store.hosts[0] = (struct store_host){"127.0.0.1", server.port};
}

Test(quota_redis_link, a_user_with_few_rights)
{
    const char *options[] = {NULL};

    start_plain(options);
    cr_assert_eq(server_ask(&server, "ACL SETUSER gate on >pw ~mg:* +@all -@admin -@dangerous"), 1);
    rig.config.store.user = "gate";
    rig.config.store.password = "pw";
    expect_three();
}

Test(quota_redis_link, a_wrong_password_is_down)
{
    const char *options[] = {NULL};

    start_plain(options);
    cr_assert_eq(server_ask(&server, "CONFIG SET requirepass right"), 1);
    rig.config.store.password = "wrong";
    expect_down();
}

Test(quota_redis_link, a_silent_one_is_given_up_and_found_again)
{
    const char *options[] = {NULL};
    struct reservation r;

    start_plain(options);
    rig.config.quota_timeout_ms = 0;
    expect_three();
    kill(server.pid, SIGSTOP);
    rig_reservation(&r, 2, 0, 1, 3);

    int64_t before_us = clock_monotonic_us();

    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    int64_t took_us = clock_monotonic_us() - before_us;

    cr_assert(took_us >= 50000 && took_us < 500000, "50 ms, and the timer's 8: %lld us",
              (long long)took_us);
    for (int i = 0; i < 50; i++) {
        before_us = clock_monotonic_us();
        cr_assert_eq(quota_reserve(rig.q[0], &r, &(struct op){0}), ST_UNAVAILABLE);
        cr_assert(clock_monotonic_us() - before_us < 5000);
        loop_run_once(rig.loop, 5);
    }
    kill(server.pid, SIGCONT);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    quota_settle(rig.q[0], &r, 0);
    cr_assert_eq(rig_used(&rig, 2, 0), 0);
}

/* Nothing of it was sent before. */
Test(quota_redis_link, a_thread_that_stood_still_blames_nobody)
{
    const char *options[] = {NULL};
    struct reservation r;

    start_plain(options);
    rig.config.quota_timeout_ms = 50;
    expect_three();
    for (int ms = 20; ms < 160; ms += 10) {
        struct rig_wait wait;

        rig_reservation(&r, 2, 0, 1, 3);
        rig_wait_init(&wait);
        enum status st = quota_reserve(rig.q[0], &r, &wait.op);

        usleep((useconds_t)ms * 1000);
        cr_assert_eq(rig_ended(&rig, &wait, st), ST_OK, "%d ms", ms);
        quota_settle(rig.q[0], &r, 0);
    }
}

/* Else a thread with too much to do would wait for ever. */
Test(quota_redis_link, a_silent_one_is_given_up_by_a_thread_that_is_slow_too)
{
    const char *options[] = {NULL};
    struct reservation r;
    struct rig_wait wait;
    int turns = 0;

    start_plain(options);
    rig.config.quota_timeout_ms = 50;
    expect_three();
    kill(server.pid, SIGSTOP);
    rig_reservation(&r, 2, 0, 1, 3);
    rig_wait_init(&wait);
    cr_assert_eq(quota_reserve(rig.q[0], &r, &wait.op), ST_PENDING);
    for (; !wait.is_done && turns < 50; turns++) {
        usleep(30000);
        loop_run_once(rig.loop, 0);
    }
    cr_assert_eq(wait.st, ST_UNAVAILABLE);
    cr_assert_lt(turns, 15, "each leaves it some milliseconds");
    kill(server.pid, SIGCONT);
}

/* One reserve, settled; is the settle still out when Redis has answered it?  On a slow machine it may not be. */
static bool stays_out(void)
{
    struct redis_quota *rq = (struct redis_quota *)rig.q[0];
    struct reservation r;
    long long before = server_ask(&server, "ZCARD mg:{1}:h");

    rig_reservation(&r, 1, 0, 1, 100);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    cr_assert_eq(server_ask(&server, "ZCARD mg:{1}:h"), before + 1);
    quota_settle(rig.q[0], &r, 1);
    while (server_ask(&server, "ZCARD mg:{1}:h") != before)
        loop_run_once(rig.loop, 0);
    for (int i = 0; i < 3; i++)
        loop_run_once(rig.loop, 0);

    bool is_out = rq->on_way == 1;

    RIG_UNTIL(&rig, rq->on_way == 0);
    return is_out;
}

Test(quota_redis_link, a_reply_that_nobody_waits_for_wakes_nobody)
{
    const char *options[] = {NULL};
    struct reservation r;
    int stayed = 0;

    start_plain(options);
    rig_start(&rig);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
    for (int i = 0; i < 50; i++)
        stayed += stays_out();
    cr_assert_geq(stayed, 10);

    cr_assert_eq(link_of(0)->wake_bytes, 5, "by the settle");
    rig_reservation(&r, 1, 0, 1, 100);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    cr_assert_eq(link_of(0)->wake_bytes, 1, "else that reply would have been late");
    quota_settle(rig.q[0], &r, 1);
    rig_quiet(&rig);
}

Test(quota_redis_link, one_that_is_moved_while_an_attempt_is_out)
{
    const char *options[] = {NULL};
    struct server other = {0};
    struct redis_place place;
    struct reservation r;

    start_plain(options);
    expect_three();
    server_start(&other, options);
    cr_assert_eq(redis_place_make(TEXT("127.0.0.1"), other.port, &place), ST_OK);
    kill(server.pid, SIGSTOP);
    rig_reservation(&r, 2, 0, 1, 3);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    RIG_UNTIL(&rig, link_of(0)->breaker.state == BREAKER_HALF_OPEN);
    redis_link_move(link_of(0), &place);
    RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
    kill(server.pid, SIGCONT);
    server_remove(&other);
}

Test(quota_redis_link, a_charge_waits_for_replicas)
{
    const char *options[] = {"--repl-diskless-sync-delay", "0", NULL};
    struct server replica = {0};
    struct reservation r;
    int64_t before_us;

    start_plain(options);
    server_start(&replica, options);
    cr_assert_eq(server_ask(&replica, "REPLICAOF 127.0.0.1 %d", server.port), 1);
    while (!strstr(server_text(&replica, "INFO replication"), "master_link_status:up"))
        continue;
    rig.config.wait_replicas = 1;
    expect_three();
    cr_assert(strstr(server_text(&server, "INFO commandstats"), "cmdstat_wait:"));
    server_kill(&replica);
    rig_reservation(&r, 2, 0, 1, 3);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    before_us = clock_monotonic_us();
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_OK, "without it, half of the time later");
    cr_assert(clock_monotonic_us() - before_us >= 200000);
    cr_assert(redis_link_is_up(link_of(0)));
    quota_settle(rig.q[0], &r, 1);
    rig_quiet(&rig);
    server_remove(&replica);
}

Test(quota_redis_place, what_it_is_called)
{
    struct redis_place place, other;

    cr_assert_eq(redis_place_make(TEXT("10.0.0.1"), 6379, &place), ST_OK);
    cr_assert_str_eq(place.at, "10.0.0.1:6379");
    cr_assert(text_equal(redis_place_host(&place), TEXT("10.0.0.1")));
    cr_assert_eq(redis_place_make(TEXT("::1"), 1, &other), ST_OK);
    cr_assert_str_eq(other.at, "[::1]:1");
    cr_assert(text_equal(redis_place_host(&other), TEXT("::1")));
    cr_assert(!redis_place_is_same(&place, &other));
    cr_assert(redis_place_is_known(&place));
    cr_assert(!redis_place_is_known(&(struct redis_place){""}));
    cr_assert_eq(redis_place_make(TEXT(""), 1, &place), ST_INVALID);
    cr_assert_eq(redis_place_make(TEXT("?"), 1, &place), ST_INVALID);
    cr_assert_eq(redis_place_make(TEXT("a b"), 1, &place), ST_INVALID);
    cr_assert_eq(redis_place_make(TEXT("h"), 0, &place), ST_INVALID);
    cr_assert_eq(redis_place_make(TEXT("h"), 65536, &place), ST_INVALID);
}
