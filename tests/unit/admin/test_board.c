/* SPDX-License-Identifier: Apache-2.0 */
/* test_board.c - notes, and what several gateways' together say: at once, later, cancelled, down. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/board.h"
#include "base/clock.h"

#define WORKERS 1

static struct loop *loop;
static struct mailbox *boxes[WORKERS];
static struct top *top;
static struct board *board;
static struct config config;
static struct team teams[1] = {{.name = "studio"}};
static struct zone_offset utc = {.offset_s = 0};

/* The store: what was left in it last, and the notes that others left. */
static struct {
    struct quota quota;
    int posts;
    char note[4096];
    uint64_t from;
    enum status answer; /* ST_PENDING: when the test says so */
    struct op *waiting;
    struct quota_reading *reading;
    int cancels;
} store;

static void post(struct quota *q, const struct quota_note *note)
{
    cr_assert_eq(q, &store.quota);
    cr_assert(text_starts_with(note->board, TEXT("top")));
    cr_assert_lt(note->text.len, sizeof(store.note));
    memcpy(store.note, note->text.ptr, note->text.len);
    store.note[note->text.len] = '\0';
    store.from = note->from;
    store.posts++;
}

static void on_cancel(struct op *op)
{
    UNUSED(op);
    store.cancels++;
}

static enum status read_board(struct quota *q, struct quota_reading *reading, struct op *op)
{
    cr_assert_eq(q, &store.quota);
    store.reading = reading;
    store.waiting = op;
    op->cancel = on_cancel;
    return store.answer;
}

static const struct quota_ops ops = {.name = "scripted", .post = post, .read_board = read_board};

/* --- the rig --- */

static struct board_list list;
static struct op op;
static int dones;
static enum status ended;

static void on_done(struct op *done, enum status st)
{
    cr_assert_eq(done, &op);
    dones++;
    ended = st;
}

static void begin(void)
{
    memset(&config, 0, sizeof(config));
    memset(&store, 0, sizeof(store));
    memset(&list, 0, sizeof(list));
    atomic_init(&config.refs, 100); /* never freed */
    config.generation = 5;
    config.policy.zone = (struct zone){1, &utc};
    config.policy.tiers_len = 2;
    config.policy.tiers[0] = (struct tier){.name = "free"};
    config.policy.tiers[1] = (struct tier){.name = "plus", .index = 1};
    config.policy.teams = teams;
    config.policy.teams_len = 1;
    dones = 0;
    op = (struct op){.done = on_done};
    cr_assert_eq(loop_new(&loop), ST_OK);
    cr_assert_eq(mailbox_new(loop, &boxes[0]), ST_OK);
    cr_assert_eq(top_open(loop, boxes, WORKERS, &top), ST_OK);
    store.quota.ops = &ops;
    store.quota.loop = loop;
    struct board_terms terms = {loop, &store.quota, top, &config};
    cr_assert_eq(board_open(&terms, &board), ST_OK);
}

static void end(void)
{
    top_list_free(&list.list);
    board_close(&board);
    mailbox_free(&boxes[0]);
    top_close(&top);
    loop_free(&loop);
}

TestSuite(board, .init = begin, .fini = end);

static void turns(void)
{
    for (int i = 0; i < 5; i++)
        loop_run_once(loop, 0);
}

static struct account account_of(int number, int tier, int team)
{
    struct account account = {.tier = tier, .team = team};

    snprintf(account.id, sizeof(account.id), "account %d", number);
    memcpy(account.digest.bytes, &number, sizeof(number));
    return account;
}

static void charge(int number, int64_t images)
{
    struct account account = account_of(number, 1, 0);

    top_add(top, 0, &account, config.generation, images, board_today(board));
}

/* A note of another gateway: these images each of the accounts 1.. */
static struct text other_note(char *buf, size_t size, const int64_t *images, int len)
{
    struct top_entry entries[8] = {{.images = 0}};
    struct top_list others = {len, entries, 0};
    struct text_out out;

    for (int i = 0; i < len; i++) {
        entries[i].account = account_of(i + 1, 0, -1);
        entries[i].generation = config.generation;
        entries[i].images = images[i];
    }
    text_out_init(&out, buf, size);
    board_note_print(&out, &config, &others);
    return text_out_text(&out);
}

/* --- notes --- */

Test(board, a_note_is_read_as_it_was_written)
{
    char buf[4096];
    struct text_out out;
    struct top_entry entries[2] = {
        {.account = account_of(7, 1, 0), .generation = 5, .images = 12, .error = 3},
        {.account = account_of(8, 0, -1), .generation = 4, .images = 5},
    };
    struct top_list written = {2, entries, 2}, read;

    text_out_init(&out, buf, sizeof(buf));
    board_note_print(&out, &config, &written);
    cr_assert_eq(board_note_read(text_out_text(&out), &config, &read), ST_OK);
    cr_assert_eq(read.len, 2);
    cr_expect_eq(read.least, 2);
    cr_expect_str_eq(read.entries[0].account.id, "account 7");
    cr_expect_eq(memcmp(&read.entries[0].account.digest, &entries[0].account.digest, 16), 0);
    cr_expect_eq(read.entries[0].account.tier, 1);
    cr_expect_eq(read.entries[0].account.team, 0);
    cr_expect_eq(read.entries[0].images, 12);
    cr_expect_eq(read.entries[0].error, 3);
    cr_expect_eq(read.entries[0].generation, 5);
    cr_expect_lt(read.entries[1].generation, 0, "its tier belongs to an older generation");
    top_list_free(&read);
}

Test(board, what_does_not_fit_is_said_to_be_missing)
{
    char buf[110];
    struct text_out out;
    struct top_entry entries[3] = {
        {.account = account_of(1, 1, 0), .generation = 5, .images = 30},
        {.account = account_of(2, 1, 0), .generation = 5, .images = 20},
        {.account = account_of(3, 1, 0), .generation = 5, .images = 10},
    };
    struct top_list written = {3, entries, 1}, read;

    text_out_init(&out, buf, sizeof(buf));
    board_note_print(&out, &config, &written);
    cr_assert_not(out.is_full);
    cr_assert_eq(board_note_read(text_out_text(&out), &config, &read), ST_OK);
    cr_expect_eq(read.len, 1);
    cr_expect_eq(read.least, 20);
    top_list_free(&read);
}

Test(board, what_is_no_whole_note_is_none)
{
    static const char *const notes[] = {
        "",
        "least\n",
        "least\t-1\n",
        "00\t1\t0\tfree\t\ta\nleast\t0\n",
        "00000000000000000000000000000001\t1\t0\tfree\t\ta\n",
        "00000000000000000000000000000001\t1\tx\tfree\t\ta\nleast\t0\n",
        "00000000000000000000000000000001\t1\t0\tfree\ta\nleast\t0\n",
        "00000000000000000000000000000001\t1\t0\tfree\t\ta\tb\nleast\t0\n",
    };
    struct top_list list_read;

    for (size_t i = 0; i < ARRAY_LEN(notes); i++)
        cr_expect_eq(board_note_read(text_of(notes[i]), &config, &list_read), ST_INVALID, "%zu", i);
}

Test(board, a_note_is_left_now_and_then)
{
    turns();
    clock_skip_us(BOARD_INTERVAL_US + 100000);
    turns();
    cr_expect_eq(store.posts, 0, "nobody was charged");
    charge(1, 4);
    clock_skip_us(BOARD_INTERVAL_US + 100000);
    turns();
    cr_assert_eq(store.posts, 1);
    cr_expect_str_eq(store.note, "01000000000000000000000000000000\t4\t0\tplus\tstudio\taccount 1\n"
                                 "least\t0\n");
}

/* --- together --- */

Test(board, adds_up_what_all_gateways_charged)
{
    static const int64_t images[] = {5, 9};
    char buf[1024];

    charge(1, 6);
    store.answer = ST_PENDING;
    cr_assert_eq(board_collect(board, 10, &list, &op), ST_PENDING);
    turns();
    cr_assert_eq(dones, 0);
    store.reading->take(store.reading, 77, other_note(buf, sizeof(buf), images, 2));
    store.reading->take(store.reading, 78, TEXT("rubbish"));
    op_done(store.waiting, ST_OK);
    cr_assert_eq(dones, 1);
    cr_assert_eq(ended, ST_OK);
    cr_expect_eq(list.gateways, 2);
    cr_expect(list.is_whole);
    cr_assert_eq(list.list.len, 2);
    cr_expect_eq(list.list.entries[0].images, 11);
    cr_expect_str_eq(list.list.entries[0].account.id, "account 1");
    cr_expect_eq(list.list.entries[1].images, 9);
}

Test(board, its_own_note_does_not_count_twice)
{
    charge(1, 6);
    clock_skip_us(BOARD_INTERVAL_US + 100000);
    turns();
    store.answer = ST_PENDING;
    cr_assert_eq(board_collect(board, 10, &list, &op), ST_PENDING);
    turns();
    store.reading->take(store.reading, store.from, text_of(store.note));
    op_done(store.waiting, ST_OK);
    cr_expect_eq(list.gateways, 1);
    cr_assert_eq(list.list.len, 1);
    cr_expect_eq(list.list.entries[0].images, 6);
}

Test(board, without_the_store_it_is_this_gateway_s_alone)
{
    charge(1, 6);
    store.answer = ST_UNAVAILABLE;
    cr_assert_eq(board_collect(board, 10, &list, &op), ST_PENDING);
    turns();
    cr_assert_eq(ended, ST_OK);
    cr_expect_not(list.is_whole);
    cr_expect_eq(list.list.len, 1);
}

Test(board, who_stops_waiting_is_not_told)
{
    store.answer = ST_PENDING;
    cr_assert_eq(board_collect(board, 10, &list, &op), ST_PENDING);
    op_cancel(&op);
    turns();
    cr_assert_eq(board_collect(board, 10, &list, &op), ST_PENDING);
    turns();
    op_cancel(&op);
    cr_expect_eq(store.cancels, 1);
    cr_expect_eq(dones, 0);
}
