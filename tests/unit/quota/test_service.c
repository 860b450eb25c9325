/* SPDX-License-Identifier: Apache-2.0 */
/* test_service.c - shares of the limits of the whole service, as both stores lease them. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "quota/service_rows.h"
#include "quota/share.h"
#include "quota/store.h"
#include "unit/core/random.h"
#include "unit/quota/rig.h"

static uint64_t last_holder = UINT64_C(1) << 63; /* numbers need not be small */

/* By one more holder, of a row that all share. */
static struct quota_claim fresh(int64_t limit_images)
{
    int64_t now_s = clock_wall_us() / 1000000;

    return (struct quota_claim){
        .rule = {.period = SERVICE_HOUR,
                 .measure = MEASURE_IMAGES,
                 .units = limit_images * UNITS_PER_IMAGE},
        .window = {now_s - 60, now_s + 600, 495000},
        .holder = ++last_holder,
    };
}

static enum status claim(struct rig *rig, int worker, struct quota_claim *c, int64_t images)
{
    struct rig_wait wait;

    c->serial++;
    c->need_units = c->want_units = images * UNITS_PER_IMAGE;
    rig_wait_init(&wait);

    enum status st = rig_ended(rig, &wait, quota_claim(rig->q[worker], c, &wait.op));

    if (st == ST_OK)
        c->held_units = c->got_units;
    return st;
}

static int64_t got(struct rig *rig, int worker, struct quota_claim *c, int64_t images)
{
    cr_assert_eq(claim(rig, worker, c, images), ST_OK);
    return c->got_units / UNITS_PER_IMAGE;
}

static int64_t leased(struct rig *rig, struct quota_claim asked)
{
    asked.serial = -1;
    asked.held_units = 0;
    cr_assert_eq(claim(rig, 0, &asked, 0), ST_OK);
    return asked.leased_units / UNITS_PER_IMAGE;
}

CONTRACT(service_shares_never_exceed_the_limit)
{
    struct quota_claim a = fresh(10);
    struct quota_claim b = fresh(10);

    cr_assert_eq(leased(rig, a), 0);
    cr_assert_eq(got(rig, 0, &a, 4), 4);
    cr_assert_eq(got(rig, 1, &b, 8), 6);
    cr_assert_eq(b.leased_units, 10000);
    cr_assert_eq(got(rig, 0, &a, 5), 4);
    cr_assert_eq(leased(rig, a), 10);
    /* What one gives back another has. */
    cr_assert_eq(got(rig, 1, &b, 2), 2);
    cr_assert_eq(got(rig, 0, &a, 9), 8);
    cr_assert_eq(leased(rig, a), 10);
}

CONTRACT(service_limits_that_change_count_at_the_next_claim)
{
    struct quota_claim a = fresh(10);

    cr_assert_eq(got(rig, 0, &a, 20), 10);
    a.rule.units = 15000;
    cr_assert_eq(got(rig, 0, &a, 20), 15);
    a.rule.units = 5000;
    cr_assert_eq(got(rig, 0, &a, 20), 15);
}

CONTRACT(service_rows_are_apart)
{
    struct quota_claim a = fresh(10);
    struct quota_claim next = fresh(10), minute = fresh(10), credits = fresh(10);

    next.window.ordinal++;
    minute.rule.period = SERVICE_MINUTE;
    credits.rule.measure = MEASURE_CREDITS;
    cr_assert_eq(got(rig, 0, &a, 20), 10);
    cr_assert_eq(got(rig, 0, &next, 20), 10);
    cr_assert_eq(got(rig, 1, &minute, 20), 10);
    cr_assert_eq(got(rig, 1, &credits, 20), 10);
}

CONTRACT(service_shares_stay_leased_after_a_restart)
{
    struct quota_claim a = fresh(10), b = fresh(10);

    cr_assert_eq(got(rig, 0, &a, 4), 4);
    rig_stop(rig);
    rig_start(rig);
    cr_assert_eq(got(rig, 0, &b, 20), 6);
}

CONTRACT(service_windows_that_are_over_are_not_claimed_in)
{
    struct quota_claim a = fresh(10);

    a.window.end_s -= 700; /* a gateway whose clock is a little behind */
    cr_assert_eq(got(rig, 0, &a, 4), 4);
    a.window.end_s -= SERVICE_CLAIMED_S;
    cr_assert_eq(claim(rig, 0, &a, 8), ST_UNAVAILABLE);
}

CONTRACT(service_claims_that_nobody_waits_for_stay_leased)
{
    struct quota_claim a = fresh(10), b = fresh(10);
    struct rig_wait wait;

    cr_assert_eq(leased(rig, a), 0, "and the store is there");
    a.serial = 1;
    a.need_units = a.want_units = 4000;
    rig_wait_init(&wait);
    cr_assert_eq(quota_claim(rig->q[0], &a, &wait.op), ST_PENDING);
    op_cancel(&wait.op);
    rig_quiet(rig);
    cr_assert(!wait.is_done);
    cr_assert_eq(got(rig, 0, &b, 20), 6);
}

CONTRACT(service_claims_under_way_are_sent_before_the_end)
{
    struct quota_claim a = fresh(10);
    struct rig_wait wait;

    cr_assert_eq(got(rig, 0, &a, 8), 8);
    a.serial++;
    a.need_units = a.want_units = 3000;
    rig_wait_init(&wait);
    cr_assert_eq(quota_claim(rig->q[0], &a, &wait.op), ST_PENDING);
    op_cancel(&wait.op);
    rig_stop(rig);
    rig_start(rig);
    cr_assert_eq(leased(rig, a), 3);
}

/* Redis does in Lua what core/service.c does in C. */
CONTRACT(service_grants_are_the_same_everywhere)
{
    uint64_t random = 5;
    struct quota_claim claims[3] = {fresh(0), fresh(0), fresh(0)};
    int64_t sum = 0;

    for (int i = 0; i < 300; i++) {
        struct quota_claim *c = &claims[random_between(&random, 0, 2)];
        int64_t expected;
        struct rig_wait wait;

        c->rule.units = random_between(&random, 20000, 90000);
        c->serial++;
        c->need_units = random_between(&random, 0, 20000);
        c->want_units = c->need_units + random_between(&random, 0, 20000);
        expected = service_grant(c->rule.units, sum, c->held_units, c->need_units, c->want_units);
        rig_wait_init(&wait);
        cr_assert_eq(rig_ended(rig, &wait, quota_claim(rig->q[0], c, &wait.op)), ST_OK);
        cr_assert_eq(c->got_units, expected);
        sum += expected - c->held_units;
        c->held_units = expected;
        cr_assert_eq(c->leased_units, sum);
    }
}

/* --- shares on real stores -------------------------------------------------------------------------------------------- */

static struct policy policy;
static struct stats stats;

static void shares_open(struct rig *rig, struct shares shares[RIG_WORKERS])
{
    struct stats_shape shape = {.outcomes = 1, .backends = 1, .store_ops = 1};

    policy.service_len = 1;
    policy.service[0] = (struct service_rule){
        .period = SERVICE_MINUTE, .measure = MEASURE_IMAGES, .units = 20 * UNITS_PER_IMAGE};
    cr_assert_eq(stats_init(&stats, &shape), ST_OK);
    for (int i = 0; i < RIG_WORKERS; i++) {
        shares_init(&shares[i], rig->q[i], &stats);
        shares_configure(&shares[i], &policy);
    }
}

/* So many of 30 that ask at two workers are served; those of a third have no image made. */
static int served(struct rig *rig, struct shares shares[RIG_WORKERS])
{
    int images = 0;

    for (int i = 0; i < 30; i++) {
        struct share_hold hold;
        struct rig_wait wait;

        share_init(&hold, 1, 0);
        rig_wait_init(&wait);

        enum status st =
            rig_ended(rig, &wait, shares_take(&shares[i % RIG_WORKERS], &hold, &wait.op));

        cr_assert(st == ST_OK || st == ST_LIMIT, "%s", status_name(st));
        shares_settle(&shares[i % RIG_WORKERS], &hold, i % 3 > 0);
        images += st == ST_OK && i % 3 > 0;
    }
    return images;
}

/* As if both were that much later. */
static void move_clocks(struct rig *rig, int64_t us)
{
    int64_t now_us = quota_now_us(rig->q[0]) + us;

    for (int i = 0; i < RIG_WORKERS; i++) {
        rig->q[i]->has_clock = true;
        rig->q[i]->clock_offset_us = now_us - loop_now_us(rig->loop);
    }
}

CONTRACT(service_shares_of_one_minute_and_the_next)
{
    struct shares shares[RIG_WORKERS];
    int images;

    shares_open(rig, shares);
    /* The beginning of a minute. */
    move_clocks(rig, 60000000 - quota_now_us(rig->q[0]) % 60000000);
    images = served(rig, shares);
    cr_assert(images > 16 && images <= 20, "%d", images);
    cr_assert_leq(images + served(rig, shares), 20);
    move_clocks(rig, 60000000);
    images = served(rig, shares);
    cr_assert(images > 16 && images <= 20, "%d", images);
    for (int i = 0; i < RIG_WORKERS; i++)
        shares_close(&shares[i]);
    stats_fini(&stats);
}

/* --- Redis ------------------------------------------------------------------------------------------------------------ */

static void run_redis(void (*scenario)(struct rig *rig))
{
    rig_run(STORE_REDIS, scenario);
}

static void twice(struct rig *rig)
{
    struct quota_claim a = fresh(10), b = fresh(10);

    cr_assert_eq(got(rig, 0, &a, 4), 4);
    a.serial--; /* the same one, sent again over another link */
    cr_assert_eq(got(rig, 1, &a, 4), 4);
    cr_assert_eq(got(rig, 0, &a, 2), 2);
    /* One that comes late changes nothing. */
    a.serial--;
    a.serial--;
    cr_assert_eq(got(rig, 1, &a, 8), 2);
    cr_assert_eq(got(rig, 0, &b, 20), 8);
}

Test(quota_redis, service_claims_that_are_sent_twice_count_once)
{
    run_redis(twice);
}

static void lost_answer(struct rig *rig)
{
    struct quota_claim a = fresh(10);

    cr_assert_eq(got(rig, 0, &a, 4), 4);
    cr_assert_eq(got(rig, 0, &a, 7), 7);
    a.held_units = 4000; /* it never heard of the rest */
    cr_assert_eq(got(rig, 0, &a, 5), 5);
    cr_assert_eq(leased(rig, a), 5);
    a.held_units = 5000;
    cr_assert_eq(got(rig, 0, &a, 20), 10);
}

Test(quota_redis, service_shares_whose_answer_was_lost_are_found_again)
{
    run_redis(lost_answer);
}

static void lost_rows(struct rig *rig)
{
    struct quota_claim a = fresh(10), b = fresh(10);

    cr_assert_eq(got(rig, 0, &a, 6), 6);
    cr_assert_neq(rig_redis(rig, "FLUSHALL"),
                  -2); /* a replica that had not heard of it was made the master */
    cr_assert_eq(got(rig, 0, &a, 7), 7);
    cr_assert_eq(leased(rig, a), 7);
    cr_assert_eq(got(rig, 1, &b, 20), 3);
}

Test(quota_redis, service_shares_that_redis_lost_are_made_good)
{
    run_redis(lost_rows);
}

static void down(struct rig *rig)
{
    struct quota_claim a = fresh(10);

    cr_assert_eq(got(rig, 0, &a, 4), 4);
    rig_redis_kill(rig);
    cr_assert_eq(claim(rig, 0, &a, 8), ST_UNAVAILABLE);
    rig_redis_start(rig);
    RIG_UNTIL(rig, claim(rig, 0, &a, 8) == ST_OK);
    cr_assert_eq(a.got_units, 8000);
    cr_assert_eq(leased(rig, a), 8);
}

Test(quota_redis, service_claims_while_redis_is_down)
{
    run_redis(down);
}

static void scripts_lost(struct rig *rig)
{
    struct quota_claim a = fresh(10);

    rig_redis(rig, "SCRIPT FLUSH");
    cr_assert_eq(got(rig, 0, &a, 4), 4);
}

Test(quota_redis, service_claims_load_their_script)
{
    run_redis(scripts_lost);
}

static void expiry(struct rig *rig)
{
    struct quota_claim a = fresh(10);
    long long left_s;

    cr_assert_eq(got(rig, 0, &a, 4), 4);
    left_s = rig_redis(rig, "TTL mg:{8388608}:sh0aly0");
    cr_assert(left_s > 600 && left_s <= 600 + SERVICE_KEPT_S, "%lld", left_s);
}

Test(quota_redis, service_rows_expire)
{
    run_redis(expiry);
}

/* --- the embedded store's file ---------------------------------------------------------------------------------------- */

static char folder[64];
static struct service_rows *rows;

static void rows_open(void)
{
    char buf[256];
    struct text_out error;

    text_out_init(&error, buf, sizeof(buf));
    cr_assert_eq(service_rows_open(folder, &error, &rows), ST_OK, "%s", buf);
}

static void rows_begin(void)
{
    strcpy(folder, "/tmp/mg-service-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    rows_open();
}

static void rows_end(void)
{
    char file[96];

    service_rows_close(&rows);
    snprintf(file, sizeof(file), "%s/service", folder);
    unlink(file);
    rmdir(folder);
}

TestSuite(service_rows, .init = rows_begin, .fini = rows_end);

static int64_t rows_leased(const struct quota_claim *c)
{
    struct quota_claim asked = *c;

    asked.serial = 0;
    cr_assert_eq(service_rows_claim(rows, &asked, c->window.start_s), ST_OK);
    return asked.leased_units / UNITS_PER_IMAGE;
}

static void rows_want(struct quota_claim *c, int64_t images)
{
    c->serial++;
    c->need_units = c->want_units = images * UNITS_PER_IMAGE;
    cr_assert_eq(service_rows_claim(rows, c, c->window.start_s), ST_OK);
    c->held_units = c->got_units;
}

static int file(void)
{
    char name[96];
    int fd;

    snprintf(name, sizeof(name), "%s/service", folder);
    fd = open(name, O_RDWR);
    cr_assert_geq(fd, 0);
    return fd;
}

Test(service_rows, what_was_written_is_found_again)
{
    struct quota_claim a = fresh(100);

    for (int i = 1; i <= 5; i++) {
        rows_want(&a, i);
        cr_assert_eq(service_rows_write(rows), ST_OK);
        service_rows_close(&rows);
        rows_open();
        cr_assert_eq(rows_leased(&a), i);
    }
}

Test(service_rows, a_write_that_is_cut_short_leaves_the_one_before)
{
    struct quota_claim a = fresh(100);
    char zeros[512] = "";
    off_t len;
    int fd;

    for (int i = 1; i <= 2; i++) {
        rows_want(&a, i);
        cr_assert_eq(service_rows_write(rows), ST_OK);
    }
    service_rows_close(&rows);
    fd = file();
    len = lseek(fd, 0, SEEK_END);
    cr_assert_eq(pwrite(fd, zeros, sizeof(zeros), len / 2 + 24), (ssize_t)sizeof(zeros));
    rows_open();
    cr_assert_eq(rows_leased(&a), 1);
    service_rows_close(&rows);
    /* Both cannot be. */
    cr_assert_eq(pwrite(fd, zeros, sizeof(zeros), 24), (ssize_t)sizeof(zeros));
    close(fd);

    char buf[256];
    struct text_out error;

    text_out_init(&error, buf, sizeof(buf));
    cr_assert_eq(service_rows_open(folder, &error, &rows), ST_INVALID);
    cr_assert_not_null(strstr(buf, "/service is damaged"));
}

/* The file has one page and may not grow. */
static void forbid_growth(void)
{
    int fd = file();
    rlim_t len = (rlim_t)lseek(fd, 0, SEEK_END);

    close(fd);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){len, len}), 0);
}

Test(service_rows, what_could_not_be_written_was_not_leased)
{
    struct quota_claim a = fresh(100);

    log_set_level(LOG_NONE);
    rows_want(&a, 3);
    cr_assert_eq(service_rows_write(rows), ST_OK);
    forbid_growth();
    rows_want(&a, 8);
    cr_assert_eq(service_rows_write(rows), ST_UNAVAILABLE);
    cr_assert_eq(rows_leased(&a), 3);
    service_rows_close(&rows);
    rows_open();
    cr_assert_eq(rows_leased(&a), 3);
}

Test(service_rows, a_first_write_that_is_cut_short_had_leased_nothing)
{
    struct quota_claim a = fresh(100);
    int fd;

    rows_want(&a, 3);
    cr_assert_eq(service_rows_write(rows), ST_OK);
    service_rows_close(&rows);
    fd = file();
    cr_assert_eq(ftruncate(fd, 100), 0);
    close(fd);
    rows_open();
    cr_assert_eq(rows_leased(&a), 0);
}

Test(service_rows, old_windows_make_room)
{
    struct quota_claim a = fresh(100);

    for (int i = 0; i < 1000; i++) {
        a.window.start_s += 60;
        a.window.end_s = a.window.start_s + 60;
        a.window.ordinal++;
        a.held_units = 0;
        rows_want(&a, 1);
        cr_assert_eq(rows_leased(&a), 1);
    }
    a.window.start_s -= SERVICE_KEPT_S;
    a.window.ordinal -= SERVICE_KEPT_S / 60;
    cr_assert_eq(rows_leased(&a), 1);
}
