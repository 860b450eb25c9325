/* SPDX-License-Identifier: Apache-2.0 */
/* test_ledger.c - the embedded store's rules with time as a number; what it logs, reads back and saves. */

#include <criterion/criterion.h>
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
static struct ledger ledger;
static struct ledger_record record;

static enum status open_db(size_t map_bytes, char *reason, size_t size)
{
    struct text_out error;

    text_out_init(&error, reason, size);
    return embedded_db_open(dir, map_bytes, &error, &db);
}

static void open_ledger(size_t map_bytes)
{
    char reason[256];

    cr_assert_eq(open_db(map_bytes, reason, sizeof(reason)), ST_OK, "%s", reason);
    cr_assert_eq(table_init(&ledger, db, 8), ST_OK);
}

static void close_ledger(void)
{
    table_fini(&ledger);
    embedded_db_close(&db);
}

static void up(void)
{
    log_set_level(LOG_NONE);
    strcpy(dir, "/tmp/mg-ledger-XXXXXX");
    cr_assert(mkdtemp(dir));
    open_ledger(1 << 20);
}

static void remove_files(void)
{
    static const char *const names[] = {"data.mdb", "lock"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
}

static void down(void)
{
    close_ledger();
    ledger_record_fini(&record);
    remove_files();
    rmdir(dir);
}

TestSuite(quota_ledger, .init = up, .fini = down);

/* One call, and what came of it. */
struct ask {
    struct hold hold;
    struct reserved_limit l;
    int64_t now_us;
    struct ledger_answer answer;
};

static struct ask ask_for(uint64_t id, int64_t images)
{
    struct ask ask = {
        .hold = {.id = id, .images = images, .charges_len = 1},
        .l.limit = {.rule = {.kind = LIMIT_DAY,
                             .measure = MEASURE_IMAGES,
                             .units = 3 * UNITS_PER_IMAGE},
                    .window = {.end_s = DAY_END_S},
                    .image_units = UNITS_PER_IMAGE},
    };

    ask.hold.charges[0] = charge_of(&ask.l.limit, images, 0);
    return ask;
}

static void reserve(struct ask *ask, enum status expected)
{
    cr_assert_eq(ledger_reserve(&ledger, &ask->hold, &ask->l, ask->now_us, &ask->answer), expected);
    cr_assert_eq(ask->answer.refused_by, expected == ST_OK ? -1 : 0);
}

static void settle(const struct ask *ask, int64_t used)
{
    cr_assert_eq(ledger_settle(&ledger, &ask->hold, used, true, ask->now_us), ST_OK);
}

static void commit(const struct ask *ask)
{
    cr_assert_eq(ledger_commit(&ledger, &ask->hold, ask->now_us), ST_OK);
}

static int64_t used_of(const struct ask *ask)
{
    struct ask look = *ask;

    cr_assert_eq(ledger_inspect(&ledger, &look.hold, &look.l, look.now_us), ST_OK);
    return look.l.used_units / UNITS_PER_IMAGE;
}

static size_t holds(void)
{
    size_t len = 0;

    LIST_EACH (node, &ledger.live)
        len++;
    cr_assert(ledger.holds_by_id.len >= len);
    return len;
}

static void log_all(void)
{
    cr_assert_eq(ledger_log(&ledger, &record), ST_OK);
    ledger_logged(&ledger);
}

static void sync_all(void)
{
    ledger_sync_begins(&ledger);
    while (ledger_synced_some(&ledger))
        continue;
}

static struct ledger_slice slice;

static void write_slice(void)
{
    enum status st;

    cr_assert_eq(db_keep_view(db), ST_OK);
    st = db_write(db, ledger_slice_write, &slice);
    while (st == ST_LIMIT) {
        cr_assert_eq(db_grow(db), ST_OK);
        st = db_write(db, ledger_slice_write, &slice);
    }
    cr_assert_eq(st, ST_OK);
    db_renew_view(db);
}

static void save_all(int64_t before_s)
{
    log_all();
    sync_all();
    ledger_save_begins(&ledger);
    slice.drop_before_s = before_s;
    while (ledger_slice_take(&ledger, &slice)) {
        write_slice();
        ledger_slice_end(&ledger, &slice, true);
        table_tidy(&ledger, SLICE_MOST);
    }
}

/* As a later process would: from the database alone. */
static void open_again(void)
{
    close_ledger();
    open_ledger(1 << 20);
}

Test(quota_ledger, a_refusal_changes_nothing)
{
    struct ask ask = ask_for(1, 4);

    reserve(&ask, ST_LIMIT);
    cr_assert_eq(holds(), 0);
    cr_assert(!ledger_is_unlogged(&ledger));
}

Test(quota_ledger, a_hold_lasts_until_it_is_ended)
{
    struct ask first = ask_for(1, 3), second = ask_for(2, 1);

    reserve(&first, ST_OK);
    second.now_us = INT64_C(1000000000) * SECOND_US;
    reserve(&second, ST_LIMIT);
    cr_assert_eq(second.answer.in_hand_images, 3);
    cr_assert_eq(second.l.used_units, 3 * UNITS_PER_IMAGE);
    cr_assert(ledger_end(&ledger, 1, 0));
    cr_assert(!ledger_end(&ledger, 1, 0));
    reserve(&second, ST_OK);
    cr_assert_eq(second.l.used_units, 1 * UNITS_PER_IMAGE);
    settle(&second, 0);
    cr_assert_eq(holds(), 0);
}

Test(quota_ledger, giving_back_creates_no_row)
{
    struct ask ask = ask_for(1, 2), none = ask_for(2, 3);

    cr_assert_eq(ledger_settle(&ledger, &none.hold, 0, true, 0), ST_OK);
    cr_assert(!ledger_is_unlogged(&ledger));
    reserve(&ask, ST_OK);
    settle(&ask, 0);
    settle(&ask, 0);
    cr_assert_eq(used_of(&ask), 0);
    cr_assert_eq(holds(), 0);
}

Test(quota_ledger, all_that_is_held_ends_and_what_was_committed_is_kept)
{
    for (uint64_t id = 1; id <= 3; id++) {
        struct ask ask = ask_for(id, 1);

        reserve(&ask, ST_OK);
        if (id == 2)
            commit(&ask);
    }
    cr_assert_eq(holds(), 3);
    cr_assert(ledger_end_all(&ledger, 0));
    cr_assert_eq(holds(), 0);

    struct ask look = ask_for(9, 1);

    cr_assert_eq(used_of(&look), 1);
}

/* --- rows of segments --- */

static struct ask metered(uint64_t id, enum limit_kind kind, int64_t images, int64_t now_s)
{
    struct ask ask = ask_for(id, images);

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

    reserve(&first, ST_OK);
    save_all(0);
    open_again();
    cr_assert_eq(table_hold_add(&ledger, &first.hold) == NULL, false);
    reserve(&second, ST_OK);
    reserve(&third, ST_LIMIT); /* counted on */
    first.now_us = 36000 * SECOND_US;
    settle(&first, 0);
    reserve(&fourth, ST_OK); /* given back */
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
    reserve(&one, ST_OK);
    reserve(&two, ST_LIMIT);
    cr_assert_eq(two.l.used_units, 3 * UNITS_PER_IMAGE);
    cr_assert_eq(two.answer.in_hand_images, 3);
    reserve(&other, ST_OK);
    settle(&one, 3);
    reserve(&two, ST_OK);
    cr_assert_eq(holds(), 2);
    save_all(0);
    cr_assert_eq(db_count(db), 0, "a count in flight has no row");
}

/* --- the log --- */

static void replay_all(const struct ledger_record *from)
{
    cr_assert(ledger_replay(&ledger, from->bytes, from->len));
    ledger_logged(&ledger);
    sync_all();
}

Test(quota_ledger, what_is_logged_can_be_read_back)
{
    struct ask held = ask_for(1, 1), committed = ask_for(2, 1),
               rate = metered(3, LIMIT_ROLLING, 2, 7);

    reserve(&held, ST_OK);
    reserve(&committed, ST_OK);
    reserve(&rate, ST_OK);
    commit(&committed);
    log_all();
    cr_assert(!ledger_is_unlogged(&ledger));
    open_again();
    replay_all(&record);
    replay_all(&record); /* it sets what it says */
    cr_assert_eq(holds(), 3);
    cr_assert_eq(used_of(&held), 2);
    cr_assert_eq(used_of(&rate), 2);
    cr_assert(ledger_end_all(&ledger, rate.now_us));
    cr_assert_eq(used_of(&held), 1);
    cr_assert_eq(used_of(&rate), 0);
}

Test(quota_ledger, a_hold_that_came_and_went_is_not_logged)
{
    struct ask ask = ask_for(1, 1);
    size_t len;

    reserve(&ask, ST_OK);
    settle(&ask, 1);
    log_all();
    len = record.len;
    reserve(&ask, ST_OK);
    log_all();
    cr_assert_gt(record.len, len, "the row and the hold");
    settle(&ask, 1);
    log_all();
    cr_assert_lt(record.len, len, "its end");
}

Test(quota_ledger, what_was_not_logged_is_said_again_and_so_is_an_end)
{
    struct ask ask = ask_for(1, 1), more = ask_for(2, 1);

    reserve(&ask, ST_OK);
    cr_assert_eq(ledger_log(&ledger, &record), ST_OK); /* and it fails, but may be found */

    struct ledger_record first = record;

    record = (struct ledger_record){0};
    settle(&ask, 0);
    reserve(&more, ST_OK);
    log_all();
    open_again();
    replay_all(&first);
    cr_assert_eq(holds(), 1);
    replay_all(&record);
    cr_assert_eq(holds(), 1);
    cr_assert_null(table_hold(&ledger, 1));
    cr_assert_eq(used_of(&ask), 1);
    ledger_record_fini(&first);
}

Test(quota_ledger, holds_and_marks_are_logged_again_when_the_log_turns)
{
    struct ask ask = ask_for(1, 1), amend = ask_for(2, 0);
    struct quota_change grant = {CHANGE_GRANT, 2 * UNITS_PER_IMAGE, 0};

    reserve(&ask, ST_OK);
    amend.hold.expires_us = 100;
    cr_assert_eq(ledger_amend(&ledger, &amend.hold, &grant, &amend.l, 0), ST_OK);
    cr_assert_eq(amend.l.granted_units, 2 * UNITS_PER_IMAGE);
    save_all(0);
    ledger_log_again(&ledger);
    log_all();
    open_again();
    replay_all(&record);
    cr_assert_eq(holds(), 1);
    cr_assert_eq(ledger_amend(&ledger, &amend.hold, &grant, &amend.l, 0), ST_OK);
    cr_assert_eq(amend.l.granted_units, 2 * UNITS_PER_IMAGE, "done once");
    ledger_end_marks(&ledger, 99);
    cr_assert_eq(ledger.holds_by_id.len, 2);
    ledger_end_marks(&ledger, 100);
    cr_assert_eq(ledger.holds_by_id.len, 1);
    cr_assert_eq(ledger_amend(&ledger, &amend.hold, &grant, &amend.l, 101), ST_OK);
    cr_assert_eq(amend.l.granted_units, 4 * UNITS_PER_IMAGE, "forgotten");
}

Test(quota_ledger, a_record_cut_short_makes_no_sense)
{
    struct ask ask = ask_for(1, 1), rate = metered(3, LIMIT_ROLLING, 2, 7);
    size_t whole[3], len = 0;

    reserve(&ask, ST_OK);
    reserve(&rate, ST_OK);
    log_all();
    for (size_t cut = 1; cut < record.len; cut++) {
        unsigned char *copy = malloc(cut); /* so that reading past its end shows */

        memcpy(copy, record.bytes, cut);
        if (ledger_replay(&ledger, copy, cut) && len < ARRAY_LEN(whole))
            whole[len++] = cut;
        free(copy);
    }
    cr_assert_eq(len, 3, "two rows and a hold, and the last one missing");
    memset(record.bytes, 0xff, record.len);
    cr_assert(!ledger_replay(&ledger, record.bytes, record.len));
}

Test(quota_ledger, what_was_only_written_is_said_again_when_its_sync_fails)
{
    struct ask durable = ask_for(1, 1), ended = ask_for(2, 1),
               late = metered(3, LIMIT_ROLLING, 2, 7);

    reserve(&durable, ST_OK);
    reserve(&ended, ST_OK);
    log_all();
    sync_all();

    struct ledger_record first = record;

    record = (struct ledger_record){0};
    settle(&ended, 0);
    log_all();
    ledger_sync_begins(&ledger);
    reserve(&late, ST_OK);
    log_all(); /* written while the sync runs, which fails */
    ledger_unlog(&ledger);
    cr_assert(ledger_is_unlogged(&ledger));
    log_all();
    open_again();
    replay_all(&first);
    replay_all(&record);
    cr_assert_eq(holds(), 2);
    cr_assert_null(table_hold(&ledger, 2), "its end, too");
    cr_assert_eq(used_of(&durable), 1);
    cr_assert_eq(used_of(&late), 2);
    ledger_record_fini(&first);
}

Test(quota_ledger, what_changes_during_a_sync_is_not_taken_for_durable)
{
    struct ask ask = ask_for(1, 1);

    reserve(&ask, ST_OK);
    log_all();
    ledger_sync_begins(&ledger);
    commit(&ask);
    while (ledger_synced_some(&ledger))
        continue;
    cr_assert(ledger_is_unlogged(&ledger));
    log_all();
    ledger_unlog(&ledger);
    cr_assert(ledger_is_unlogged(&ledger));
}

/* --- the database --- */

static struct ask of_account(uint64_t id, unsigned account)
{
    struct ask ask = ask_for(id, 1);

    memcpy(ask.hold.charges[0].subject.bytes, &account, sizeof(account));
    return ask;
}

static void do_many(unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        struct ask ask = of_account(i + 1, i);

        reserve(&ask, ST_OK);
        settle(&ask, 1);
    }
}

Test(quota_ledger, the_map_grows)
{
    close_ledger();
    remove_files();
    open_ledger(1 << 16);
    do_many(5000);
    save_all(0);
    cr_assert_eq(db_count(db), 5000);
    close_ledger();
    open_ledger(1 << 16);
    do_many(5000);
    save_all(0);
    cr_assert_eq(db_count(db), 5000);

    struct ask ask = of_account(1, 4999);

    cr_assert_eq(used_of(&ask), 2);
}

Test(quota_ledger, a_row_that_changes_while_it_is_saved_is_saved_again)
{
    struct ask first = ask_for(1, 1), second = ask_for(2, 1), look = ask_for(9, 1);

    reserve(&first, ST_OK);
    settle(&first, 1);
    log_all();
    ledger_save_begins(&ledger);
    cr_assert(ledger_slice_take(&ledger, &slice));
    reserve(&second, ST_OK);
    settle(&second, 1);
    write_slice();
    ledger_slice_end(&ledger, &slice, true);
    log_all();
    cr_assert(!ledger_slice_take(&ledger, &slice), "not in this round, which the log goes beyond");
    save_all(0);
    open_again();
    cr_assert_eq(used_of(&look), 2);
}

Test(quota_ledger, a_slice_that_was_not_saved_comes_again)
{
    struct ask ask = ask_for(1, 1), look = ask_for(9, 1);

    reserve(&ask, ST_OK);
    settle(&ask, 1);
    log_all();
    ledger_save_begins(&ledger);
    cr_assert(ledger_slice_take(&ledger, &slice));
    ledger_slice_end(&ledger, &slice, false);
    table_tidy(&ledger, 9);
    cr_assert(ledger_slice_take(&ledger, &slice));
    cr_assert_eq(slice.len, 1);
    write_slice();
    ledger_slice_end(&ledger, &slice, true);
    cr_assert(!ledger_slice_take(&ledger, &slice));
    open_again();
    cr_assert_eq(used_of(&look), 1);
}

Test(quota_ledger, memory_is_bounded_by_what_changed)
{
    struct ask held = of_account(9999, 3);

    reserve(&held, ST_OK);
    do_many(1000);
    table_tidy(&ledger, 5000);
    cr_assert_eq(ledger.subjects_by_digest.len, 1000, "unsaved ones stay");
    save_all(0);
    table_tidy(&ledger, 3000);
    cr_assert_leq(ledger.subjects_by_digest.len, 9, "the most, and one that is held");
    cr_assert_eq(used_of(&held), 2, "from memory");
    do_many(1000);

    struct ask ask = of_account(1, 7);

    cr_assert_eq(used_of(&ask), 2, "from the database, and on");
    settle(&held, 0);
    cr_assert_eq(used_of(&held), 2);
}

Test(quota_ledger, windows_are_dropped_by_their_end_and_no_sooner)
{
    struct ask ask = ask_for(1, 1), later = ask_for(2, 1), held = ask_for(3, 1);

    later.hold.charges[0].until_s++;
    reserve(&ask, ST_OK);
    settle(&ask, 1);
    reserve(&held, ST_OK);
    reserve(&later, ST_OK);
    settle(&later, 1);
    save_all(DAY_END_S);
    cr_assert_eq(db_count(db), 2);
    reserve(&later, ST_OK);
    save_all(DAY_END_S + 1);
    cr_assert_eq(db_count(db), 1);
    settle(&held, 0); /* where its row has gone, there is nothing to do */
    cr_assert_eq(holds(), 1);
}
