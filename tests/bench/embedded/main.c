/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - how many durable decisions the embedded store makes: one worker that always has so many requests under way,
 * each a reserve and then a commit that settles.  Prints one line of JSON.
 *
 *   embedded-load FOLDER SECONDS OUTSTANDING ACCOUNTS */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/cost.h"
#include "quota/embedded.h"

#define DAY_S   INT64_C(86400)
#define PER_DAY 1000000
#define WARM_US INT64_C(200000)

struct load {
    struct config config;
    struct loop *loop;
    struct quota_store *store;
    struct quota *q;
    int64_t accounts;
    int64_t begun, decided, refused;
};

struct asker {
    struct load *load;
    struct op op;
    struct reservation r;
};

static atomic_llong syncs;

static int counted_sync(int fd)
{
    atomic_fetch_add_explicit(&syncs, 1, memory_order_relaxed);
    return fdatasync(fd);
}

/* splitmix64 */
static uint64_t scramble(uint64_t z)
{
    z += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct account account_of(struct load *load)
{
    uint64_t number = scramble((uint64_t)load->begun) % (uint64_t)load->accounts;
    struct account account = {.digest = {{0}}};

    for (int i = 0; i < 16; i++)
        account.digest.bytes[i] = (unsigned char)(scramble(number + 1) >> (i % 8 * 8));
    return account;
}

static struct limit limit_of(const struct account *account)
{
    int64_t day = clock_wall_us() / 1000000 / DAY_S;
    struct limit limit = {
        .rule = {.kind = LIMIT_DAY,
                 .scope = SCOPE_ACCOUNT,
                 .measure = MEASURE_IMAGES,
                 .units = PER_DAY * UNITS_PER_IMAGE},
        .window = {day * DAY_S, (day + 1) * DAY_S, (uint32_t)day},
        .image_units = UNITS_PER_IMAGE,
    };

    limit.subject = limit_subject(&limit.rule, account->digest);
    return limit;
}

static void begin(struct asker *asker);

static void on_committed(struct op *op, enum status st)
{
    struct asker *asker = container_of(op, struct asker, op);

    asker->load->decided += st == ST_OK;
    asker->load->refused += st != ST_OK;
    begin(asker);
}

static void begin(struct asker *asker)
{
    struct load *load = asker->load;
    struct account account = account_of(load);
    struct terms terms = {.limits_len = 1, .limits = {limit_of(&account)}};

    reservation_init(&asker->r, &account, &terms, 1, scramble(~(uint64_t)load->begun++));
    asker->op.done = on_committed;

    enum status st = quota_reserve(load->q, &asker->r, &asker->op);

    ASSERT(st == ST_OK);
    st = quota_commit(load->q, &asker->r, 1, &asker->op);
    ASSERT(st == ST_PENDING);
}

static double cpu_s(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void run_for(struct load *load, int64_t us)
{
    int64_t until_us = clock_monotonic_us() + us;

    while (clock_monotonic_us() < until_us)
        loop_run_once(load->loop, 100);
}

static void measure(struct load *load, int64_t us)
{
    run_for(load, WARM_US);

    int64_t from_us = clock_monotonic_us();
    int64_t before = load->decided;
    long long syncs_before = atomic_load(&syncs);
    double cpu_before_s = cpu_s();

    run_for(load, us);

    double decided = (double)(load->decided - before);
    double seconds = (double)(clock_monotonic_us() - from_us) / 1e6;

    printf("{\"decisions\":%.0f,\"seconds\":%.3f,\"per_second\":%.0f,\"cpu_us\":%.3f,"
           "\"syncs\":%lld,\"refused\":%lld}\n",
           decided, seconds, decided / seconds, (cpu_s() - cpu_before_s) * 1e6 / decided,
           (long long)atomic_load(&syncs) - syncs_before, (long long)load->refused);
}

static int open_all(struct load *load, const char *folder)
{
    char error[CONFIG_ERROR_MAX];

    load->config.store.kind = STORE_EMBEDDED;
    load->config.store.path = (char *)(uintptr_t)folder;
    load->config.lease_ms = 60000;
    load->config.commit = COMMIT_ACKNOWLEDGED;
    if (quota_store_open(&load->config, error, &load->store)) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    embedded_log_sync_with(((struct embedded_store *)load->store)->log, counted_sync);
    return loop_new(&load->loop) || quota_open(load->store, load->loop, &load->config, &load->q);
}

int main(int argc, char **argv)
{
    static struct load load;

    if (argc != 5) {
        fprintf(stderr, "usage: embedded-load FOLDER SECONDS OUTSTANDING ACCOUNTS\n");
        return 2;
    }
    load.accounts = atoll(argv[4]);
    if (open_all(&load, argv[1]))
        return 1;

    int outstanding = atoi(argv[3]);
    struct asker *askers = calloc((size_t)outstanding, sizeof(*askers));

    for (int i = 0; i < outstanding; i++) {
        askers[i].load = &load;
        begin(&askers[i]);
    }
    measure(&load, (int64_t)(atof(argv[2]) * 1e6));
    fflush(stdout);
    _exit(0);
}
