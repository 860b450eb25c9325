/* SPDX-License-Identifier: Apache-2.0 */
/* test_ledger.c - the embedded store's rules with time as a number, and its database. */

#include <criterion/criterion.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "core/cost.h"
#include "quota/ledger.h"

#define SECOND_US INT64_C(1000000)
#define DAY_END_S INT64_C(2000000)

static char dir[64];
static struct embedded_db *db;

static enum status open_db(size_t map_bytes, char *reason, size_t size)
{
    struct text_out error;

    text_out_init(&error, reason, size);
    return embedded_db_open(dir, map_bytes, &error, &db);
}

static void up(void)
{
    char reason[256];

    log_set_level(LOG_NONE);
    strcpy(dir, "/tmp/mg-ledger-XXXXXX");
    cr_assert(mkdtemp(dir));
    cr_assert_eq(open_db(1 << 20, reason, sizeof(reason)), ST_OK, "%s", reason);
}

static void remove_files(void)
{
    static const char *const names[] = {"data.mdb", "lock"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void down(void)
{
    embedded_db_close(&db);
    remove_files();
}

TestSuite(quota_ledger, .init = up, .fini = down);

/* One call in a transaction of its own. */
struct ask {
    struct hold hold;
    struct reserved_limit l;
    int64_t used, now_us;
    int at_most, done;
    struct ledger_answer answer;
    size_t holds, expiries, rows;
};

static struct ask ask_for(uint64_t id, int64_t images, int64_t expires_s)
{
    struct ask ask = {
        .hold = {.id = id, .images = images, .charges_len = 1, .expires_us = expires_s * SECOND_US},
        .l.limit = {.rule = {.kind = LIMIT_DAY,
                             .measure = MEASURE_IMAGES,
                             .units = 3 * UNITS_PER_IMAGE},
                    .window = {.end_s = DAY_END_S},
                    .image_units = UNITS_PER_IMAGE},
    };

    ask.hold.charges[0] = charge_of(&ask.l.limit, images, 0);
    return ask;
}

static void run(struct ask *ask, void (*work)(struct db_txn *txn, void *owner))
{
    cr_assert_eq(db_write(db, work, ask), ST_OK);
}

static void do_reserve(struct db_txn *txn, void *owner)
{
    struct ask *ask = owner;

    ask->answer = ledger_reserve(txn, &ask->hold, &ask->l, ask->now_us);
}

static void do_commit(struct db_txn *txn, void *owner)
{
    struct ask *ask = owner;

    ledger_commit(txn, &ask->hold, ask->now_us);
}

static void do_settle(struct db_txn *txn, void *owner)
{
    struct ask *ask = owner;

    ledger_settle(txn, &ask->hold, ask->used, true, ask->now_us);
}

static void do_reap(struct db_txn *txn, void *owner)
{
    struct ask *ask = owner;

    ask->done = ledger_reap(txn, ask->now_us, ask->at_most);
}

static void do_drop(struct db_txn *txn, void *owner)
{
    struct ask *ask = owner;

    ask->done = ledger_drop_rows(txn, ask->now_us / SECOND_US, ask->at_most);
}

static void do_count(struct db_txn *txn, void *owner)
{
    struct ask *ask = owner;

    ask->holds = db_count(txn, TABLE_HOLDS);
    ask->expiries = db_count(txn, TABLE_EXPIRY);
    ask->rows = db_count(txn, TABLE_USAGE);
}

static void expect(size_t holds, size_t rows)
{
    struct ask ask = {.holds = 0};

    run(&ask, do_count);
    cr_assert_eq(ask.holds, holds);
    cr_assert_eq(ask.expiries, holds, "one expiry a hold");
    cr_assert_eq(ask.rows, rows);
}

Test(quota_ledger, a_lease_ends_exactly_when_it_says)
{
    struct ask first = ask_for(1, 3, 100), second = ask_for(2, 1, 200);

    run(&first, do_reserve);
    cr_assert_eq(first.answer.refused_by, -1);
    second.now_us = 100 * SECOND_US - 1;
    run(&second, do_reserve);
    cr_assert_eq(second.answer.refused_by, 0);
    cr_assert_eq(second.l.used_units, 3 * UNITS_PER_IMAGE);
    second.now_us++;
    run(&second, do_reserve);
    cr_assert_eq(second.answer.refused_by, -1);
    cr_assert_eq(second.l.used_units, 1 * UNITS_PER_IMAGE);
    expect(1, 1);
    run(&second, do_settle);
    expect(0, 1);
}

Test(quota_ledger, a_refusal_changes_nothing)
{
    struct ask ask = ask_for(1, 4, 100);

    run(&ask, do_reserve);
    cr_assert_eq(ask.answer.refused_by, 0);
    expect(0, 0);
}

Test(quota_ledger, giving_back_creates_no_row)
{
    struct ask ask = ask_for(1, 2, 100), drop = {.now_us = (DAY_END_S + 1) * SECOND_US};

    run(&ask, do_reserve);
    drop.at_most = 10;
    run(&drop, do_drop);
    cr_assert_eq(drop.done, 1);
    expect(1, 0);
    run(&ask, do_settle);
    expect(0, 0);
}

Test(quota_ledger, windows_are_dropped_by_their_end_and_no_sooner)
{
    struct ask ask = ask_for(1, 1, 100), drop = {.at_most = 10};

    run(&ask, do_reserve);
    run(&ask, do_settle);
    ask.hold.charges[0].until_s++;
    run(&ask, do_reserve);
    run(&ask, do_settle);
    expect(0, 2);
    drop.now_us = DAY_END_S * SECOND_US;
    run(&drop, do_drop);
    cr_assert_eq(drop.done, 0);
    drop.now_us += SECOND_US;
    run(&drop, do_drop);
    cr_assert_eq(drop.done, 1);
    expect(0, 1);
}

Test(quota_ledger, reaping_is_bounded_and_keeps_committed_charges)
{
    struct ask reap = {.now_us = 1000 * SECOND_US, .at_most = 2}, look = ask_for(9, 9, 100);

    for (uint64_t id = 1; id <= 3; id++) {
        struct ask ask = ask_for(id, 1, 100 + (int64_t)id);

        run(&ask, do_reserve);
        if (id == 2)
            run(&ask, do_commit);
    }
    run(&reap, do_reap);
    cr_assert_eq(reap.done, 2);
    expect(1, 1);
    run(&reap, do_reap);
    cr_assert_eq(reap.done, 1);
    run(&look, do_reserve);
    cr_assert_eq(look.l.used_units, 1 * UNITS_PER_IMAGE);
    expect(0, 1);
}

Test(quota_ledger, settle_twice_and_settle_of_none)
{
    struct ask ask = ask_for(1, 3, 100), none = ask_for(2, 3, 100), look = ask_for(9, 9, 100);

    run(&none, do_settle);
    expect(0, 0);
    run(&ask, do_reserve);
    run(&ask, do_settle);
    run(&ask, do_settle);
    run(&look, do_reserve);
    cr_assert_eq(look.l.used_units, 0 * UNITS_PER_IMAGE);
    expect(0, 1);
}

/* --- rows of segments --- */

static struct ask metered(uint64_t id, enum limit_kind kind, int64_t images, int64_t now_s)
{
    struct ask ask = ask_for(id, images, now_s + 100);

    ask.l.limit.rule.kind = kind;
    ask.l.limit.rule.units = 4 * UNITS_PER_IMAGE;
    ask.l.limit.rule.period_us = 2400 * SECOND_US;
    ask.l.limit.rule.burst_units = 4 * UNITS_PER_IMAGE;
    ask.now_us = now_s * SECOND_US;
    ask.hold.charges[0] = charge_of(&ask.l.limit, images, ask.now_us);
    return ask;
}

/* An hour's segment ends between the two holds: what was used before counts on, and what is given back reaches it. */
static void cross(enum limit_kind kind)
{
    struct ask first = metered(1, kind, 3, 36000 - 1), second = metered(2, kind, 1, 36000);
    struct ask third = metered(3, kind, 1, 36000), fourth = metered(4, kind, 3, 36000);

    run(&first, do_reserve);
    cr_assert_eq(first.answer.refused_by, -1);
    run(&second, do_reserve);
    cr_assert_eq(second.answer.refused_by, -1);
    run(&third, do_reserve);
    cr_assert_eq(third.answer.refused_by, 0, "counted on");
    first.now_us = 36000 * SECOND_US;
    run(&first, do_settle);
    run(&fourth, do_reserve);
    cr_assert_eq(fourth.answer.refused_by, -1, "given back");
}

Test(quota_ledger, a_rate_goes_on_over_the_end_of_a_segment)
{
    cross(LIMIT_RATE);
}

Test(quota_ledger, a_rolling_window_goes_on_over_the_end_of_a_segment)
{
    cross(LIMIT_ROLLING);
}

Test(quota_ledger, in_flight_is_counted_by_subject_and_given_up_with_the_hold)
{
    struct ask one = metered(1, LIMIT_IN_FLIGHT, 3, 100), two = metered(2, LIMIT_IN_FLIGHT, 2, 100);
    struct ask other = metered(3, LIMIT_IN_FLIGHT, 4, 100);

    other.hold.charges[0].subject.bytes[0] = 1;
    run(&one, do_reserve);
    run(&two, do_reserve);
    cr_assert_eq(two.answer.refused_by, 0);
    cr_assert_eq(two.l.used_units, 3 * UNITS_PER_IMAGE);
    cr_assert_eq(two.answer.in_hand_images, 3);
    run(&other, do_reserve);
    cr_assert_eq(other.answer.refused_by, -1);
    run(&one, do_settle);
    run(&two, do_reserve);
    cr_assert_eq(two.answer.refused_by, -1);
    expect(2, 0);
}

/* --- the database --- */

static void do_many(struct db_txn *txn, void *owner)
{
    struct ask *ask = owner;

    for (uint64_t id = 1; id <= 5000; id++) {
        ask->hold.id = id;
        ask->hold.charges[0].subject.bytes[0] = (unsigned char)id;
        ask->hold.charges[0].subject.bytes[1] = (unsigned char)(id >> 8);
        do_reserve(txn, ask);
    }
}

Test(quota_ledger, the_map_grows)
{
    struct ask ask = ask_for(1, 1, 100);
    char reason[256];

    embedded_db_close(&db);
    remove_files();
    cr_assert_eq(open_db(1 << 16, reason, sizeof(reason)), ST_OK, "%s", reason);
    run(&ask, do_many);
    expect(5000, 5000);
    embedded_db_close(&db);
    cr_assert_eq(open_db(1 << 16, reason, sizeof(reason)), ST_OK, "%s", reason);
    run(&ask, do_many);
    expect(5000, 5000);
}

Test(quota_ledger, another_version_is_refused)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    MDB_val key = {7, "version"}, value = {5, "other"};
    char reason[256];

    embedded_db_close(&db);
    cr_assert_eq(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 8);
    cr_assert_eq(mdb_env_open(env, dir, MDB_NOLOCK, 0600), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    cr_assert_eq(mdb_put(txn, meta, &key, &value, 0), 0);
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    cr_assert_eq(open_db(1 << 20, reason, sizeof(reason)), ST_INVALID);
    cr_assert(strstr(reason, "another version"), "%s", reason);
}
