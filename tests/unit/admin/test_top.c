/* SPDX-License-Identifier: Apache-2.0 */
/* test_top.c - the bounds of the sketch against exact counts, and collections over several workers. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/top.h"

#define DAY 20000

static struct account account_of(int number)
{
    struct account account = {.team = -1};

    snprintf(account.id, sizeof(account.id), "account-%d", number);
    memcpy(account.digest.bytes, &number, sizeof(number));
    return account;
}

static const struct top_entry *entry_of(const struct top_entry *entries, int len, int number)
{
    struct account account = account_of(number);

    for (int i = 0; i < len; i++) {
        if (strcmp(entries[i].account.id, account.id) == 0)
            return &entries[i];
    }
    return NULL;
}

/* Its copy, until the next one; NULL: the sketch has no such entry. */
static const struct top_entry *in_sketch(const struct top_sketch *sketch, int number)
{
    static struct top_entry copy;
    const struct top_entry *entry = entry_of(sketch->entries, sketch->len, number);

    if (!entry)
        return NULL;
    copy = top_sketch_entry(sketch, (int)(entry - sketch->entries));
    return &copy;
}

static void add(struct top_sketch *sketch, int number, int64_t images, int64_t day)
{
    struct account account = account_of(number);

    top_sketch_add(sketch, &account, 1, images, day);
}

/* --- one sketch --- */

Test(top, is_exact_while_there_is_room)
{
    struct top_sketch sketch;

    cr_assert_eq(top_sketch_init(&sketch), ST_OK);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < TOP_LEN; i++)
            add(&sketch, i, i % 7, DAY);
    }
    cr_expect_eq(sketch.len, TOP_LEN);
    for (int i = 0; i < TOP_LEN; i++) {
        const struct top_entry *entry = in_sketch(&sketch, i);

        cr_assert_not_null(entry);
        cr_assert_eq(entry->images, 3 * (i % 7));
        cr_assert_eq(entry->error, 0);
    }
    top_sketch_fini(&sketch);
}

/* Skewed charges of many more accounts than counters: the bounds that the header states. */
Test(top, keeps_its_bounds_when_full)
{
    enum { ACCOUNTS = 20000, CHARGES = 200000 };
    static int64_t exact[ACCOUNTS];
    struct top_sketch sketch;
    int64_t total = 0;

    srand(7);
    cr_assert_eq(top_sketch_init(&sketch), ST_OK);
    for (int i = 0; i < CHARGES; i++) {
        double uniform = (rand() + 1.0) / (RAND_MAX + 2.0);
        int number = (int)(ACCOUNTS * uniform * uniform * uniform * uniform);
        int64_t images = 1 + i % 4;

        exact[number] += images;
        total += images;
        add(&sketch, number, images, DAY);
    }
    cr_assert_eq(sketch.len, TOP_LEN);
    cr_expect_leq(top_sketch_least(&sketch, DAY), total / TOP_LEN);
    for (int i = 0; i < ACCOUNTS; i++) {
        const struct top_entry *entry = in_sketch(&sketch, i);

        if (!entry) {
            cr_assert_leq(exact[i], total / TOP_LEN);
            continue;
        }
        cr_assert_geq(entry->images, exact[i]);
        cr_assert_leq(entry->images - entry->error, exact[i]);
        cr_assert_leq(entry->error, total / TOP_LEN);
    }
    top_sketch_fini(&sketch);
}

Test(top, a_new_day_begins_at_zero_and_forgets_nobody)
{
    struct top_sketch sketch;

    cr_assert_eq(top_sketch_init(&sketch), ST_OK);
    add(&sketch, 1, 5, DAY);
    add(&sketch, 2, 9, DAY);
    add(&sketch, 2, 1, DAY + 1);
    cr_expect_eq(in_sketch(&sketch, 1)->images, 0);
    cr_expect_eq(in_sketch(&sketch, 2)->images, 1);
    top_sketch_fini(&sketch);
}

Test(top, who_is_only_seen_displaces_nobody)
{
    struct top_sketch sketch;

    cr_assert_eq(top_sketch_init(&sketch), ST_OK);
    for (int i = 0; i < TOP_LEN; i++)
        add(&sketch, i, 1, DAY);
    add(&sketch, TOP_LEN, 0, DAY);
    cr_expect_null(in_sketch(&sketch, TOP_LEN));
    cr_expect_eq(top_sketch_least(&sketch, DAY), 1);
    cr_expect_eq(top_sketch_least(&sketch, DAY + 1), 0);
    top_sketch_fini(&sketch);
}

Test(top, of_the_least_who_was_charged_longest_ago_gives_way)
{
    struct top_sketch sketch;

    cr_assert_eq(top_sketch_init(&sketch), ST_OK);
    for (int i = 0; i < TOP_LEN; i++)
        add(&sketch, i, 1, DAY);
    add(&sketch, 0, 1, DAY);
    add(&sketch, TOP_LEN, 1, DAY);
    cr_expect_not_null(in_sketch(&sketch, 0));
    cr_expect_null(in_sketch(&sketch, 1));
    cr_expect_not_null(in_sketch(&sketch, 2));
    cr_expect_eq(in_sketch(&sketch, TOP_LEN)->images, 2);
    cr_expect_eq(in_sketch(&sketch, TOP_LEN)->error, 1);
    top_sketch_fini(&sketch);
}

/* As many buckets as there can be: each time the least one is charged past the most. */
Test(top, every_count_may_be_another)
{
    struct top_sketch sketch;

    cr_assert_eq(top_sketch_init(&sketch), ST_OK);
    for (int i = 0; i < TOP_LEN; i++)
        add(&sketch, i, 1 + 3 * i, DAY);
    for (int i = 0; i < TOP_LEN; i++)
        add(&sketch, i, 3 * TOP_LEN, DAY);
    cr_expect_eq(top_sketch_least(&sketch, DAY), 1 + 3 * TOP_LEN);
    for (int i = 0; i < TOP_LEN; i++)
        cr_assert_eq(in_sketch(&sketch, i)->images, 1 + 3 * (i + TOP_LEN));
    top_sketch_fini(&sketch);
}

/* --- several workers --- */

#define WORKERS 3

static struct loop *loop; /* of all: their boxes deliver by turns */
static struct mailbox *boxes[WORKERS];
static struct top *top;
static struct top_list list;
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
    dones = 0;
    op = (struct op){.done = on_done};
    cr_assert_eq(loop_new(&loop), ST_OK);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(mailbox_new(loop, &boxes[i]), ST_OK);
    cr_assert_eq(top_open(loop, boxes, WORKERS, &top), ST_OK);
}

static void end(void)
{
    top_list_free(&list);
    for (int i = 0; i < WORKERS; i++)
        mailbox_free(&boxes[i]);
    top_close(&top);
    loop_free(&loop);
}

static void charge(int worker, int number, int64_t images)
{
    struct account account = account_of(number);

    top_add(top, worker, &account, 1, images, DAY);
}

static void collect(int64_t day, struct text id, int limit)
{
    top_list_free(&list);
    cr_assert_eq(top_collect(top, day, id, limit, &list, &op), ST_PENDING);
    for (int i = 0; i < 5; i++)
        loop_run_once(loop, 0);
}

Test(collect, adds_up_workers, .init = begin, .fini = end)
{
    charge(0, 1, 2);
    charge(1, 1, 3);
    charge(1, 2, 9);
    charge(2, 3, 1);
    charge(2, 4, 0);
    collect(DAY, TEXT_NONE, 2);
    cr_assert_eq(dones, 1);
    cr_assert_eq(ended, ST_OK);
    cr_assert_eq(list.len, 2);
    cr_expect_str_eq(list.entries[0].account.id, "account-2");
    cr_expect_eq(list.entries[0].images, 9);
    cr_expect_str_eq(list.entries[1].account.id, "account-1");
    cr_expect_eq(list.entries[1].images, 5);
    cr_expect_eq(list.entries[1].error, 0);
}

Test(collect, finds_one_that_was_only_seen, .init = begin, .fini = end)
{
    charge(1, 4, 0);
    collect(DAY, TEXT("account-4"), 1);
    cr_assert_eq(list.len, 1);
    cr_expect_eq(list.entries[0].images, 0);
    collect(DAY, TEXT("account-5"), 1);
    cr_expect_eq(list.len, 0);
}

Test(collect, another_day_is_empty, .init = begin, .fini = end)
{
    charge(0, 1, 2);
    collect(DAY + 1, TEXT_NONE, 10);
    cr_expect_eq(list.len, 0);
    collect(DAY + 1, TEXT("account-1"), 1);
    cr_expect_eq(list.len, 1);
    cr_expect_eq(list.entries[0].images, 0);
}

/* A full sketch that lacks an account may have displaced it: its least count is what it may have missed. */
Test(collect, a_full_sketch_widens_the_bound, .init = begin, .fini = end)
{
    for (int i = 0; i < TOP_LEN; i++)
        charge(0, i, 2);
    charge(1, TOP_LEN, 5);
    charge(1, 0, 5);
    collect(DAY, TEXT_NONE, 2);
    cr_assert_eq(list.len, 2);
    cr_expect_str_eq(list.entries[0].account.id, "account-0");
    cr_expect_eq(list.entries[0].images, 7);
    cr_expect_eq(list.entries[0].error, 0);
    cr_expect_eq(list.entries[1].images, 7);
    cr_expect_eq(list.entries[1].error, 2);
}

Test(collect, can_be_cancelled, .init = begin, .fini = end)
{
    charge(0, 1, 2);
    cr_assert_eq(top_collect(top, DAY, TEXT_NONE, 1, &list, &op), ST_PENDING);
    op_cancel(&op);
    for (int i = 0; i < 5; i++)
        loop_run_once(loop, 0);
    cr_expect_eq(dones, 0);
    cr_expect_eq(list.len, 0);
}

Test(collect, letters_under_way_at_the_end_are_not_lost, .init = begin, .fini = end)
{
    cr_assert_eq(top_collect(top, DAY, TEXT_NONE, 1, &list, &op), ST_PENDING);
    op_cancel(&op);
}
