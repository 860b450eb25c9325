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
        terms.limits[i] = (struct limit){
            .rule = {.kind = LIMIT_DAY, .scope = SCOPE_ACCOUNT, .units = 3000 * (i + 1)},
            .window = {100, 200, (uint32_t)i},
            .image_units = 1000};
    return terms;
}

static struct reservation fresh(int64_t images)
{
    struct terms terms = terms_with(2);
    struct reservation r;

    reservation_init(&r, &alice, &terms, images, 77);
    return r;
}

Test(reservation, begins_with_nothing_held)
{
    struct terms terms = terms_with(2);
    struct reservation r;

    reservation_init(&r, &alice, &terms, 2, 77);
    cr_expect_eq(r.state, RESERVATION_NONE);
    cr_expect_eq(r.id, 77);
    cr_expect_eq(r.held_images, 2);
    cr_expect_eq(r.used_images, 0);
    cr_expect_eq(r.refused_by, -1);
    cr_expect_eq(r.limits_len, 2);
    cr_expect_eq(r.limits[1].limit.rule.units, 6000);
    cr_expect_eq(r.limits[1].limit.window.ordinal, 1);
    cr_expect_eq(r.account.bytes[2], 3);
    cr_expect(list_is_empty(&r.live));
}

Test(reservation, held_committed_settled)
{
    struct reservation r = fresh(4);

    reservation_hold(&r, 12345);
    cr_expect_eq(r.state, RESERVATION_HELD);
    cr_expect_eq(r.expires_us, 12345);
    reservation_commit(&r);
    cr_expect_eq(r.state, RESERVATION_COMMITTED);
    cr_expect_eq(reservation_settle(&r, 3), 1, "asked for four, got three");
    cr_expect_eq(r.state, RESERVATION_SETTLED);
    cr_expect_eq(r.used_images, 3);
}

Test(reservation, a_hold_that_never_committed_can_be_given_back)
{
    struct reservation r = fresh(4);

    reservation_hold(&r, 1);
    cr_expect_eq(reservation_settle(&r, 0), 4);
    cr_expect_eq(r.state, RESERVATION_SETTLED);
}

Test(reservation, sums_are_exact_whatever_was_used)
{
    uint64_t state = 5;

    for (int n = 0; n < 5000; n++) {
        struct reservation r = fresh(random_between(&state, 0, 10));
        int64_t used = random_between(&state, -5, 15);

        reservation_hold(&r, 1);
        if (n % 2)
            reservation_commit(&r);
        int64_t back = reservation_settle(&r, used);

        cr_assert(back >= 0 && r.used_images >= 0);
        cr_assert_eq(back + r.used_images, r.held_images);
        if (used >= 0 && used <= r.held_images)
            cr_assert_eq(r.used_images, used);
    }
}

static struct reserved_limit limit_of(enum limit_kind kind, int64_t units, int64_t used_units)
{
    return (struct reserved_limit){
        .limit = {.rule = {.kind = kind, .units = units, .burst_units = 3000}, .image_units = 1000},
        .used_units = used_units};
}

Test(reservation, left_is_never_negative)
{
    struct reserved_limit l = limit_of(LIMIT_DAY, 3000, 0);

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

Test(reservation, grants_are_on_top)
{
    struct reserved_limit l = limit_of(LIMIT_DAY, 3000, 4000);

    l.granted_units = 5000;
    cr_expect_eq(reserved_limit_left(&l), 4000);
    l.granted_units = -5000;
    cr_expect_eq(reserved_limit_left(&l), 0);
    l.used_units = 0;
    cr_expect_eq(reserved_limit_left(&l), 0);
    l.granted_units = INT64_MAX;
    cr_expect_eq(reserved_limit_left(&l), INT64_MAX);
}

Test(reservation, of_a_rate_the_burst_is_left)
{
    struct reserved_limit l = limit_of(LIMIT_RATE, 2000, 1000);

    cr_expect_eq(reserved_limit_left(&l), 2000);
}

Test(reservation, images_left_by_their_price)
{
    struct reserved_limit l = limit_of(LIMIT_DAY, 10000, 1000);

    l.limit.image_units = 2500;
    cr_expect_eq(reserved_limit_images_left(&l), 3);
    l.limit.image_units = 9001;
    cr_expect_eq(reserved_limit_images_left(&l), 0);
    l.limit.image_units = 0;
    cr_expect_eq(reserved_limit_images_left(&l), INT64_MAX);
}

Test(reservation, the_smallest_share_is_told)
{
    struct reservation r = fresh(1);

    r.limits[0].used_units = 1000; /* of 3000: two thirds left */
    r.limits[1].used_units = 5000; /* of 6000: a sixth */
    cr_expect_eq(reservation_tightest(&r), &r.limits[1]);
    r.limits[0].used_units = 2900; /* a thirtieth */
    cr_expect_eq(reservation_tightest(&r), &r.limits[0]);
    r.limits[0].used_units = 2500;
    cr_expect_eq(reservation_tightest(&r), &r.limits[0], "of equals the first");
    r.limits[0].limit.rule.is_dry_run = true;
    cr_expect_eq(reservation_tightest(&r), &r.limits[1], "one on trial is not told");
    r.limits[1].limit.rule.kind = LIMIT_IN_FLIGHT;
    cr_expect_null(reservation_tightest(&r), "nor one of jobs under way");
    r.refused_by = 1;
    cr_expect_eq(reservation_tightest(&r), &r.limits[1], "but the one that refused before all");
}

/* Shares of numbers whose product fits no integer, against fractions of ten. */
Test(reservation, shares_are_compared_exactly)
{
    uint64_t state = 41;

    for (int n = 0; n < 100000; n++) {
        struct terms terms = terms_with(2);
        struct reservation r;
        int64_t used[2], tenth[2];

        reservation_init(&r, &alice, &terms, 1, 1);
        for (int i = 0; i < 2; i++) {
            tenth[i] = random_between(&state, 1, n % 2 ? 50 : INT64_MAX / 10);
            used[i] = random_between(&state, 0, 10);
            r.limits[i].limit.rule.units = tenth[i] * 10;
            r.limits[i].used_units = tenth[i] * used[i];
        }
        int expected = used[1] > used[0] ? 1 : 0;

        cr_assert_eq(reservation_tightest(&r), &r.limits[expected]);
        r.limits[0].used_units += used[0] < 10 ? 1 : 0; /* less left by a hair */
        if (used[0] < 10 && used[0] == used[1])
            cr_assert_eq(reservation_tightest(&r), &r.limits[0]);
    }
}

Test(reservation, a_limit_of_nothing_has_nothing_left)
{
    struct reservation r = fresh(1);

    r.limits[1].limit.rule.units = 0;
    cr_expect_eq(reservation_tightest(&r), &r.limits[1]);
}

Test(reservation, without_limits_there_is_none_to_tell)
{
    struct terms terms = terms_with(0);
    struct reservation r;

    reservation_init(&r, &alice, &terms, 1, 1);
    cr_expect_null(reservation_tightest(&r));
    cr_expect_eq(r.parts_len, 0);
}

Test(reservation, accounts_and_teams_are_two_parts)
{
    struct terms terms = terms_with(5);
    struct reservation r;

    terms.limits[1].rule.scope = SCOPE_MODEL;
    terms.limits[3].rule.scope = SCOPE_TEAM;
    terms.limits[4].rule.scope = SCOPE_TEAM;
    reservation_init(&r, &alice, &terms, 1, 1);
    cr_assert_eq(r.parts_len, 2);
    cr_expect_eq(r.parts[0].first, 0);
    cr_expect_eq(r.parts[0].len, 3);
    cr_expect_eq(r.parts[1].first, 3);
    cr_expect_eq(r.parts[1].len, 2);
    cr_expect_not(r.parts[0].is_held || r.parts[1].is_held);
    terms = terms_with(1);
    terms.limits[0].rule.scope = SCOPE_TEAM;
    reservation_init(&r, &alice, &terms, 1, 1);
    cr_assert_eq(r.parts_len, 1, "a team alone");
    cr_expect_eq(r.parts[0].len, 1);
}

Test(reservation, cannot_be_held_twice, .signal = SIGABRT)
{
    struct reservation r = fresh(1);

    reservation_hold(&r, 1);
    reservation_hold(&r, 1);
}

Test(reservation, cannot_be_committed_unheld, .signal = SIGABRT)
{
    struct reservation r = fresh(1);

    reservation_commit(&r);
}

Test(reservation, cannot_be_settled_twice, .signal = SIGABRT)
{
    struct reservation r = fresh(1);

    reservation_hold(&r, 1);
    reservation_settle(&r, 1);
    reservation_settle(&r, 0);
}

Test(reservation, cannot_be_settled_unheld, .signal = SIGABRT)
{
    struct reservation r = fresh(1);

    reservation_settle(&r, 0);
}
