/* SPDX-License-Identifier: Apache-2.0 */
/* test_reservation.c - the states of a hold, exact sums, and that a wrong order is a bug. */

#include "core/reservation.h"

#include <signal.h>

#include <criterion/criterion.h>

#include "unit/core/random.h"

static const struct account alice = {.id = "alice", .digest = {{1, 2, 3}}};

static struct terms terms_with(int limits_len)
{
    struct terms terms = {.limits_len = limits_len};

    for (int i = 0; i < limits_len; i++)
        terms.limits[i] = (struct limit){LIMIT_DAY, 3000 * (i + 1), {100, 200, (uint32_t)i}};
    return terms;
}

static struct reservation fresh(int64_t units)
{
    struct terms terms = terms_with(2);
    struct reservation r;

    reservation_init(&r, &alice, &terms, units, 77);
    return r;
}

Test(reservation, begins_with_nothing_held)
{
    struct terms terms = terms_with(2);
    struct reservation r;

    reservation_init(&r, &alice, &terms, 2000, 77);
    cr_expect_eq(r.state, RESERVATION_NONE);
    cr_expect_eq(r.id, 77);
    cr_expect_eq(r.held_units, 2000);
    cr_expect_eq(r.used_units, 0);
    cr_expect_eq(r.refused_by, -1);
    cr_expect_eq(r.limits_len, 2);
    cr_expect_eq(r.limits[1].limit.units, 6000);
    cr_expect_eq(r.limits[1].limit.window.ordinal, 1);
    cr_expect_eq(r.account.bytes[2], 3);
    cr_expect(list_is_empty(&r.live));
}

Test(reservation, held_committed_settled)
{
    struct reservation r = fresh(4000);

    reservation_hold(&r, 12345);
    cr_expect_eq(r.state, RESERVATION_HELD);
    cr_expect_eq(r.expires_us, 12345);
    reservation_commit(&r);
    cr_expect_eq(r.state, RESERVATION_COMMITTED);
    cr_expect_eq(reservation_settle(&r, 3000), 1000, "asked for four, got three");
    cr_expect_eq(r.state, RESERVATION_SETTLED);
    cr_expect_eq(r.used_units, 3000);
}

Test(reservation, a_hold_that_never_committed_can_be_given_back)
{
    struct reservation r = fresh(4000);

    reservation_hold(&r, 1);
    cr_expect_eq(reservation_settle(&r, 0), 4000);
    cr_expect_eq(r.state, RESERVATION_SETTLED);
}

Test(reservation, sums_are_exact_whatever_was_used)
{
    uint64_t state = 5;

    for (int n = 0; n < 5000; n++) {
        struct reservation r = fresh(random_between(&state, 0, 10000));
        int64_t used = random_between(&state, -5000, 15000);

        reservation_hold(&r, 1);
        if (n % 2)
            reservation_commit(&r);
        int64_t back = reservation_settle(&r, used);

        cr_assert(back >= 0 && r.used_units >= 0);
        cr_assert_eq(back + r.used_units, r.held_units);
        if (used >= 0 && used <= r.held_units)
            cr_assert_eq(r.used_units, used);
    }
}

Test(reservation, left_is_never_negative)
{
    struct reserved_limit l = {.limit = {.units = 3000}};

    cr_expect_eq(reserved_limit_left(&l), 3000);
    l.used_units = 1000;
    cr_expect_eq(reserved_limit_left(&l), 2000);
    l.used_units = 3000;
    cr_expect_eq(reserved_limit_left(&l), 0);
    l.used_units = 9000; /* the limit was lowered since */
    cr_expect_eq(reserved_limit_left(&l), 0);
    l.used_units = -1;
    cr_expect_eq(reserved_limit_left(&l), 3000, "nor more than there is");
}

Test(reservation, the_tightest_is_told)
{
    struct reservation r = fresh(1000);

    r.limits[0].used_units = 1000; /* of 3000 */
    r.limits[1].used_units = 5000; /* of 6000 */
    cr_expect_eq(reservation_tightest(&r), &r.limits[1]);
    r.limits[0].used_units = 2000;
    cr_expect_eq(reservation_tightest(&r), &r.limits[0], "of equals the first");
    r.refused_by = 1;
    cr_expect_eq(reservation_tightest(&r), &r.limits[1], "but the one that refused before all");
}

Test(reservation, without_limits_there_is_none_to_tell)
{
    struct terms terms = terms_with(0);
    struct reservation r;

    reservation_init(&r, &alice, &terms, 1000, 1);
    cr_expect_null(reservation_tightest(&r));
}

Test(reservation, cannot_be_held_twice, .signal = SIGABRT)
{
    struct reservation r = fresh(1000);

    reservation_hold(&r, 1);
    reservation_hold(&r, 1);
}

Test(reservation, cannot_be_committed_unheld, .signal = SIGABRT)
{
    struct reservation r = fresh(1000);

    reservation_commit(&r);
}

Test(reservation, cannot_be_settled_twice, .signal = SIGABRT)
{
    struct reservation r = fresh(1000);

    reservation_hold(&r, 1);
    reservation_settle(&r, 1000);
    reservation_settle(&r, 0);
}

Test(reservation, cannot_be_settled_unheld, .signal = SIGABRT)
{
    struct reservation r = fresh(1000);

    reservation_settle(&r, 0);
}
