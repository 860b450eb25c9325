/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the quota store alone, driven by the gateway's own client of Redis, pipelined, in one thread; prints a line of
 * JSON for each step. */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "bench/store/accounts.h"
#include "bench/store/server.h"
#include "quota/denied.h"
#include "quota/redis.h"

static const char help[] =
    "store-load --socket PATH [options] STEP...\n"
    "  --accounts N     numbered from 0; they come in turn (1000000)\n"
    "  --sized-for N    quota.accounts of the gateways (as many as --accounts)\n"
    "  --batch N        reserves on their way at once (4096)\n"
    "  --limits WORDS   day,rate,flight: those that an account has (day)\n"
    "  --per-day N      images (1000000)\n"
    "steps:\n"
    "  reserve          a batch, which stays held\n"
    "  settle, refund   ends what is held: all of it used, or none\n"
    "  pairs            a batch of INCRBY and EXPIRE, a key an account\n"
    "  fill, keys, rows every account once: by reserve and settle; by INCRBY and EXPIRE; by plain "
    "HSET\n"
    "  flood            a batch of reserves of one account that has none left\n";

/* A busy gateway asks about so many accounts in a turn. */
#define TURN_RESERVES 16

struct lab {
    const char *socket;
    int64_t accounts, sized_for, batch;
    struct plan plan;
    struct config config;
    struct loop *loop;
    struct quota_store *store;
    struct quota *q;
    redisContext *server;
    int64_t next; /* account */
    int64_t held, pending, refused;
    struct waiting *waiting; /* a batch of them */
    struct turn_hook turn;
};

struct waiting {
    struct op op;
    struct lab *lab;
    struct reservation r;
};

static int64_t parse_number(const char *text)
{
    uint64_t number;

    if (text_to_u64(text_of(text), &number) == ST_OK && number <= INT64_MAX)
        return (int64_t)number;
    fprintf(stderr, "store-load: %s is no number\n%s", text, help);
    exit(2);
}

static void parse_option(struct lab *lab, int option)
{
    if (option == 's')
        lab->socket = optarg;
    else if (option == 'a')
        lab->accounts = parse_number(optarg);
    else if (option == 'z')
        lab->sized_for = parse_number(optarg);
    else if (option == 'b')
        lab->batch = parse_number(optarg);
    else if (option == 'd')
        lab->plan.per_day = parse_number(optarg);
    else if (option != 'l' || !plan_parse(optarg, &lab->plan)) {
        fputs(help, stderr);
        exit(2);
    }
}

static void parse(struct lab *lab, int argc, char **argv)
{
    static const struct option rows[] = {
        {"socket", required_argument, NULL, 's'},
        {"accounts", required_argument, NULL, 'a'},
        {"sized-for", required_argument, NULL, 'z'},
        {"batch", required_argument, NULL, 'b'},
        {"limits", required_argument, NULL, 'l'},
        {"per-day", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };

    *lab = (struct lab){.accounts = 1000000, .batch = 4096, .plan = {.per_day = 1000000}};
    for (int option = getopt_long(argc, argv, "", rows, NULL); option != -1;
         option = getopt_long(argc, argv, "", rows, NULL))
        parse_option(lab, option);
    if (!lab->plan.has_day && !lab->plan.has_rate && !lab->plan.has_flight)
        lab->plan.has_day = true;
    if (lab->sized_for == 0)
        lab->sized_for = lab->accounts;
    if (!lab->socket || lab->batch < 1 || lab->accounts < 1) {
        fputs(help, stderr);
        exit(2);
    }
}

static void open_store(struct lab *lab)
{
    struct config *config = &lab->config;
    char error[CONFIG_ERROR_MAX];

    config->store.kind = STORE_REDIS;
    config->store.topology = TOPOLOGY_SINGLE;
    config->store.path = (char *)(uintptr_t)lab->socket;
    config->lease_ms = 600000;
    config->quota_timeout_ms = 60000; /* a whole batch is on its way at once */
    config->quota_accounts = lab->sized_for;
    config->commit = COMMIT_SENT;
    lab->waiting = calloc((size_t)lab->batch, sizeof(*lab->waiting));
    if (!lab->waiting || loop_new(&lab->loop) || quota_store_open(config, error, &lab->store) ||
        quota_open(lab->store, lab->loop, config, &lab->q)) {
        fprintf(stderr, "store-load: %s\n", error);
        exit(1);
    }
    lab->server = server_connect(lab->socket);
    for (int i = 0; i < 1000 && !quota_store_is_up(lab->store); i++)
        loop_run_once(lab->loop, 10);
    if (!quota_store_is_up(lab->store)) {
        fprintf(stderr, "store-load: the store is %s\n", quota_store_words(lab->store));
        exit(1);
    }
}

static void on_reserved(struct op *op, enum status st)
{
    struct waiting *waiting = container_of(op, struct waiting, op);

    waiting->lab->pending--;
    waiting->lab->refused += st != ST_OK;
}

static void reserve_one(struct lab *lab, int64_t account)
{
    struct waiting *waiting = &lab->waiting[lab->held++];

    *waiting = (struct waiting){.op.done = on_reserved, .lab = lab};
    reservation_of(&waiting->r, &lab->plan, account);

    enum status st = quota_reserve(lab->q, &waiting->r, &waiting->op);

    lab->pending += st == ST_PENDING;
    lab->refused += st != ST_PENDING && st != ST_OK;
}

static void wait_for_replies(struct lab *lab)
{
    while (lab->pending > 0 || redis_requests_are_due((struct redis_quota *)lab->q))
        loop_run_once(lab->loop, 10);
}

static void reserve_some(struct turn_hook *hook)
{
    struct lab *lab = container_of(hook, struct lab, turn);

    for (int i = 0; i < TURN_RESERVES && lab->held < lab->batch; i++) {
        reserve_one(lab, lab->next);
        lab->next = (lab->next + 1) % lab->accounts;
    }
    if (lab->held < lab->batch)
        loop_at_next_turn(lab->loop, hook);
}

static void reserve(struct lab *lab)
{
    lab->held = 0;
    turn_hook_init(&lab->turn, reserve_some);
    loop_at_next_turn(lab->loop, &lab->turn);
    while (lab->held < lab->batch)
        loop_run_once(lab->loop, 0);
    wait_for_replies(lab);
}

static void settle(struct lab *lab, int64_t used_images)
{
    for (int64_t i = 0; i < lab->held; i++)
        quota_settle(lab->q, &lab->waiting[i].r, used_images);
    lab->held = 0;
    wait_for_replies(lab);
}

static void fill(struct lab *lab)
{
    int64_t batch = lab->batch;

    for (int64_t left = lab->accounts; left > 0; left -= lab->batch) {
        lab->batch = left < batch ? left : batch;
        reserve(lab);
        settle(lab, 1);
    }
    lab->batch = batch;
}

static void flood(struct lab *lab)
{
    for (lab->held = 0; lab->held < lab->batch;)
        reserve_one(lab, 0);
    wait_for_replies(lab);
    lab->held = 0;
}

/* How many decisions that were. */
static int64_t run(struct lab *lab, const char *step)
{
    if (strcmp(step, "reserve") == 0)
        reserve(lab);
    else if (strcmp(step, "settle") == 0)
        settle(lab, 1);
    else if (strcmp(step, "refund") == 0)
        settle(lab, 0);
    else if (strcmp(step, "pairs") == 0)
        server_pairs(lab->server, lab->next, lab->batch);
    else if (strcmp(step, "flood") == 0)
        flood(lab);
    else {
        if (strcmp(step, "fill") == 0)
            fill(lab);
        else if (strcmp(step, "keys") == 0)
            server_pairs(lab->server, 0, lab->accounts);
        else
            server_rows(lab->server, lab->accounts, ((struct redis_quota *)lab->q)->layout.buckets);
        return lab->accounts;
    }
    return lab->batch;
}

static void run_and_tell(struct lab *lab, const char *step)
{
    struct usage before = server_usage(lab->server);
    int64_t begun_us = clock_monotonic_us();
    int64_t ops = run(lab, step);
    double seconds = (double)(clock_monotonic_us() - begun_us) / 1e6;
    struct usage after = server_usage(lab->server);

    printf("{\"step\":\"%s\",\"ops\":%lld,\"refused\":%lld,\"seconds\":%.6f,\"cpu_us\":%.0f,"
           "\"evalsha_us\":%.0f,\"zrem_us\":%.0f,\"pair_us\":%.0f,\"scripts\":%lld,"
           "\"denied_bytes\":%zu,\"denied_hits\":%llu,\"denied_evicted\":%llu}\n",
           step, (long long)ops, (long long)lab->refused, seconds, after.cpu_us - before.cpu_us,
           after.evalsha_us - before.evalsha_us, after.zrem_us - before.zrem_us,
           after.pair_us - before.pair_us, (long long)(after.scripts - before.scripts),
           denied_bytes(lab->q->denied), (unsigned long long)denied_counts(lab->q->denied).hits,
           (unsigned long long)denied_counts(lab->q->denied).evicted);
    fflush(stdout);
    lab->refused = 0;
}

int main(int argc, char **argv)
{
    static const char *const steps[] = {"reserve", "settle", "refund", "pairs",
                                        "fill",    "keys",   "rows",   "flood"};
    struct lab lab;

    parse(&lab, argc, argv);
    log_set_level(LOG_WARN);
    open_store(&lab);
    for (int i = optind; i < argc; i++) {
        size_t known = 0;

        while (known < ARRAY_LEN(steps) && strcmp(argv[i], steps[known]) != 0)
            known++;
        if (known == ARRAY_LEN(steps)) {
            fprintf(stderr, "store-load: no step %s\n%s", argv[i], help);
            return 2;
        }
        run_and_tell(&lab, argv[i]);
    }
    quota_close(&lab.q);
    quota_store_close(&lab.store);
    loop_free(&lab.loop);
    redisFree(lab.server);
    free(lab.waiting);
    return 0;
}
