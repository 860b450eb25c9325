/* SPDX-License-Identifier: Apache-2.0 */
/* What fits nowhere else: ASSERT, statuses, clocks, lists, ops. */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/op.h"

Test(base, assert_aborts, .signal = SIGABRT)
{
    log_set_level(LOG_NONE);
    ASSERT(1 + 1 == 3);
}

static int64_t next_of(int64_t *clock)
{
    return ++*clock;
}

/* Else a clock may pass the other one between two looks at it. */
Test(base, the_lesser_and_the_greater_are_worked_out_once)
{
    int64_t clock = 4;

    cr_assert_eq(MAX(next_of(&clock), 1), 5);
    cr_assert_eq(MIN(10, next_of(&clock)), 6);
    cr_assert_eq(MAX(MIN(next_of(&clock), 9), 2), 7);
    cr_assert_eq(clock, 7);
}

Test(base, status_names_and_errnos)
{
    cr_assert_str_eq(status_name(ST_OK), "ok");
    cr_assert_str_eq(status_name(ST_NOMEM), "nomem");
    cr_assert_eq(status_from_errno(EAGAIN), ST_PENDING);
    cr_assert_eq(status_from_errno(ECONNREFUSED), ST_REFUSED);
    cr_assert_eq(status_from_errno(ETIMEDOUT), ST_TIMEOUT);
    cr_assert_eq(status_from_errno(EPIPE), ST_CLOSED);
    cr_assert_eq(status_from_errno(ENOMEM), ST_NOMEM);
    cr_assert_eq(status_from_errno(EIO), ST_UNAVAILABLE);
}

Test(base, clocks)
{
    int64_t first_us = clock_monotonic_us();

    cr_assert_gt(first_us, 0);
    cr_assert_geq(clock_monotonic_us(), first_us);
    cr_assert_gt(clock_wall_us(), INT64_C(1700000000000000));
}

Test(base, list_keeps_order_and_forgets_twice)
{
    struct list l;
    struct list moved;
    struct list nodes[3];

    list_init(&l);
    cr_assert_null(list_pop_front(&l));
    for (size_t i = 0; i < 3; i++) {
        list_init(&nodes[i]);
        list_push_back(&l, &nodes[i]);
    }
    list_remove(&nodes[1]);
    list_remove(&nodes[1]);
    list_push_front(&l, &nodes[1]);
    list_move(&l, &moved);
    cr_assert(list_is_empty(&l));
    LIST_EACH (node, &moved) {
        if (node == &nodes[0])
            list_remove(node);
    }
    cr_assert_eq(list_pop_front(&moved), &nodes[1]);
    cr_assert_eq(list_pop_front(&moved), &nodes[2]);
    cr_assert_null(list_pop_front(&moved));
    list_move(&l, &moved);
    cr_assert(list_is_empty(&moved));
}

static int done_calls;
static int cancel_calls;
static enum status last_status;

static void cancel_wait(struct op *op)
{
    UNUSED(op);
    cancel_calls++;
}

static void restart(struct op *op, enum status st)
{
    done_calls++;
    last_status = st;
    if (done_calls == 1)
        op->cancel = cancel_wait;
}

Test(base, op_ends_once_and_may_begin_again)
{
    struct op op = {.done = restart};

    op_cancel(&op);
    cr_assert_eq(cancel_calls, 0, "nothing was pending");
    op.cancel = cancel_wait;
    op_done(&op, ST_TIMEOUT);
    cr_assert_eq(last_status, ST_TIMEOUT);
    cr_assert(op_is_pending(&op), "started again from within done()");
    op_cancel(&op);
    op_cancel(&op);
    cr_assert_eq(cancel_calls, 1);
    cr_assert_eq(done_calls, 1);
}
