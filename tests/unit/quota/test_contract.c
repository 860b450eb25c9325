/* SPDX-License-Identifier: Apache-2.0 */
/* test_contract.c - what every quota store promises, asked of each.  Each scenario ends with nothing held. */

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "unit/quota/rig.h"

CONTRACT(admits_up_to_the_limit_and_no_more)
{
    struct reservation r[4];

    for (int i = 0; i < 4; i++) {
        rig_reservation(&r[i], 1, 0, 1, 3);
        cr_assert_eq(rig_reserve(rig, rig->q[i % 2], &r[i]), i < 3 ? ST_OK : ST_LIMIT);
        cr_assert_eq(r[i].state, i < 3 ? RESERVATION_HELD : RESERVATION_NONE);
        cr_assert_eq(r[i].limits[0].used_units, MIN(i + 1, 3) * UNITS_PER_IMAGE);
    }
    cr_assert_eq(r[3].refused_by, 0);
    cr_assert_eq(rig_used(rig, 2, 0), 0, "another account of the bucket");
    cr_assert_eq(rig_used(rig, 1, 1), 0, "another day");
    for (int i = 0; i < 3; i++)
        quota_settle(rig->q[i % 2], &r[i], 1);
    cr_assert_eq(rig_used(rig, 1, 0), 3);
}

CONTRACT(many_images_fit_whole_or_not_at_all)
{
    struct reservation r, more;

    rig_reservation(&r, 1, 0, 3, 4);
    rig_reservation(&more, 1, 0, 2, 4);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &more), ST_LIMIT);
    cr_assert_eq(more.limits[0].used_units, 3 * UNITS_PER_IMAGE);
    cr_assert_eq(rig_used(rig, 1, 0), 3);
    quota_settle(rig->q[0], &r, 0);
}

CONTRACT(every_limit_or_none)
{
    struct reservation r, again;
    struct limit limits[2] = {rig_limit(1, LIMIT_DAY, 5000), rig_limit(1, LIMIT_DAY, 3000)};

    limits[1].window.ordinal++;
    limits[1].window.end_s += 86400;
    rig_reservation_of(&r, 1, 2, limits, 2);
    again = rig_again(&r);
    list_init(&again.live);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(r.limits[0].used_units, 2 * UNITS_PER_IMAGE);
    cr_assert_eq(r.limits[1].used_units, 2 * UNITS_PER_IMAGE);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &again), ST_LIMIT);
    cr_assert_eq(again.refused_by, 1);
    cr_assert_eq(again.limits[0].used_units, 2 * UNITS_PER_IMAGE);
    cr_assert_eq(rig_used(rig, 1, 0), 2);
    quota_settle(rig->q[0], &r, 1);
    cr_assert_eq(rig_used(rig, 1, 0), 1);
    cr_assert_eq(rig_used(rig, 1, 1), 1);
}

CONTRACT(settle_gives_back_what_was_not_used)
{
    struct reservation r;

    rig_reservation(&r, 1, 0, 4, 4);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(rig_commit(rig, rig->q[0], &r, -1), ST_OK);
    cr_assert_eq(r.state, RESERVATION_COMMITTED);
    quota_settle(rig->q[0], &r, 3);
    cr_assert_eq(r.state, RESERVATION_SETTLED);
    cr_assert_eq(rig_used(rig, 1, 0), 3);
    quota_settle(rig->q[0], &r, 0);
    cr_assert_eq(rig_used(rig, 1, 0), 3, "a second settle does nothing");
}

CONTRACT(settle_with_nothing_used_is_a_refund)
{
    struct reservation r;

    rig_reservation(&r, 1, 0, 2, 3);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    quota_settle(rig->q[0], &r, 0);
    cr_assert_eq(rig_used(rig, 1, 0), 0);
}

CONTRACT(commit_may_settle_at_once)
{
    struct reservation r;

    rig_reservation(&r, 1, 0, 4, 4);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(rig_commit(rig, rig->q[0], &r, 1), ST_OK);
    cr_assert_eq(r.state, RESERVATION_SETTLED);
    cr_assert_eq(rig_used(rig, 1, 0), 1);
    rig_reservation(&r, 1, 0, 3, 4);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(rig_commit(rig, rig->q[0], &r, 3), ST_OK);
    cr_assert_eq(rig_used(rig, 1, 0), 4);
}

CONTRACT(commit_may_wait_for_the_reply)
{
    struct reservation r;

    rig_stop(rig);
    rig->config.commit = COMMIT_ACKNOWLEDGED;
    rig_start(rig);
    rig_reservation(&r, 1, 0, 1, 4);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(rig_commit(rig, rig->q[0], &r, -1), ST_OK);
    quota_settle(rig->q[0], &r, 1);
    cr_assert_eq(rig_used(rig, 1, 0), 1);
}

CONTRACT(a_reserve_asked_twice_is_charged_once)
{
    struct reservation r, again;

    rig_reservation(&r, 1, 0, 2, 2);
    again = r;
    list_init(&again.live);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(rig_reserve(rig, rig->q[1], &again), ST_OK, "not refused by its own units");
    cr_assert_eq(again.limits[0].used_units, 2 * UNITS_PER_IMAGE);
    quota_settle(rig->q[1], &again, 1);
    cr_assert_eq(rig_used(rig, 1, 0), 1);
    quota_settle(rig->q[0], &r, 0);
    cr_assert_eq(rig_used(rig, 1, 0), 1, "what is settled is not settled again");
}

CONTRACT(nothing_is_held_without_limits)
{
    struct reservation r;

    rig_reservation(&r, 1, 0, 2, 2);
    r.limits_len = 0;
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(r.state, RESERVATION_NONE);
    cr_assert_eq(rig_commit(rig, rig->q[0], &r, 2), ST_OK);
    quota_settle(rig->q[0], &r, 0);
    cr_assert_eq(rig_used(rig, 1, 0), 0);
}

CONTRACT(what_is_given_back_goes_to_the_day_that_was_charged)
{
    struct reservation r, next;

    rig_reservation(&r, 1, 0, 3, 3);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    rig_reservation(&next, 1, 1, 2, 3);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &next), ST_OK, "midnight has passed");
    quota_settle(rig->q[0], &r, 1);
    cr_assert_eq(rig_used(rig, 1, 0), 1);
    cr_assert_eq(rig_used(rig, 1, 1), 2);
    quota_settle(rig->q[0], &next, 2);
}

CONTRACT(an_expired_hold_comes_back_before_anybody_is_refused)
{
    struct reservation dead, r;

    rig_reservation(&dead, 1, 0, 3, 3);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &dead), ST_OK);
    cr_assert_eq(rig_used(rig, 1, 0), 3, "a live one does not");
    rig_expire(rig, &dead);
    rig_reservation(&r, 1, 0, 3, 3);
    cr_assert_eq(rig_reserve(rig, rig->q[1], &r), ST_OK);
    quota_settle(rig->q[1], &r, 0);
    cr_assert_eq(rig_used(rig, 1, 0), 0);
}

CONTRACT(an_expired_hold_keeps_its_charge_once_committed)
{
    struct reservation dead;

    rig_reservation(&dead, 1, 0, 2, 3);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &dead), ST_OK);
    cr_assert_eq(rig_commit(rig, rig->q[0], &dead, -1), ST_OK);
    rig_expire(rig, &dead);
    cr_assert_eq(rig_used(rig, 1, 0), 2);
}

CONTRACT(an_image_made_after_its_lease_ended_is_charged_again)
{
    struct reservation late[3];

    for (int i = 0; i < 3; i++) {
        rig_reservation(&late[i], 1, 0, 2, 9);
        cr_assert_eq(rig_reserve(rig, rig->q[0], &late[i]), ST_OK);
        rig_expire(rig, &late[i]);
        cr_assert_eq(rig_used(rig, 1, 0), 0);
    }
    cr_assert_eq(rig_commit(rig, rig->q[0], &late[0], -1), ST_OK);
    cr_assert_eq(rig_used(rig, 1, 0), 2);
    quota_settle(rig->q[0], &late[0], 1);
    cr_assert_eq(rig_used(rig, 1, 0), 1);
    cr_assert_eq(rig_commit(rig, rig->q[0], &late[1], 1), ST_OK);
    cr_assert_eq(rig_used(rig, 1, 0), 2);
    quota_settle(rig->q[0], &late[2], 0);
    cr_assert_eq(rig_used(rig, 1, 0), 2);
}

CONTRACT(commit_and_settle_in_one_turn_after_the_lease_ended)
{
    struct reservation late;
    struct rig_wait wait;

    rig_reservation(&late, 1, 0, 3, 9);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &late), ST_OK);
    rig_expire(rig, &late);
    cr_assert_eq(rig_used(rig, 1, 0), 0);
    rig_wait_init(&wait);

    enum status st = quota_commit(rig->q[0], &late, QUOTA_SETTLE_LATER, &wait.op);

    quota_settle(rig->q[0], &late, 1);
    cr_assert_eq(rig_ended(rig, &wait, st), ST_OK);
    cr_assert_eq(rig_used(rig, 1, 0), 1);
}

CONTRACT(a_cancelled_reserve_gives_its_units_back)
{
    struct reservation *r = malloc(sizeof(*r));
    struct rig_wait wait;

    rig_reservation(r, 1, 0, 2, 2);
    rig_wait_init(&wait);
    rig_give_up(rig->q[0], r, &wait, quota_reserve(rig->q[0], r, &wait.op));
    free(r); /* the store has copies of all that it needs */
    cr_assert_eq(rig_used(rig, 1, 0), 0);
    cr_assert(!wait.is_done);
}

CONTRACT(a_cancelled_commit_goes_on)
{
    struct reservation r;
    struct rig_wait wait;

    rig_reservation(&r, 1, 0, 2, 2);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    rig_wait_init(&wait);
    cr_assert_eq(quota_commit(rig->q[0], &r, QUOTA_SETTLE_LATER, &wait.op), ST_PENDING);
    op_cancel(&wait.op);
    rig_expire(rig, &r);
    cr_assert_eq(rig_used(rig, 1, 0), 2);
    cr_assert(!wait.is_done);
}

CONTRACT(leases_are_renewed)
{
    struct reservation r;

    rig_stop(rig);
    rig->config.lease_ms = 200;
    rig_start(rig);
    rig_reservation(&r, 1, 0, 2, 2);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);

    int64_t first_us = r.expires_us;

    RIG_UNTIL(rig, r.expires_us > first_us + 200000);
    cr_assert_eq(rig_used(rig, 1, 0), 2);
    cr_assert_eq(rig_commit(rig, rig->q[0], &r, -1), ST_OK);
    first_us = r.expires_us;
    RIG_UNTIL(rig, r.expires_us > first_us);
    quota_settle(rig->q[0], &r, 0);
    cr_assert_eq(rig_used(rig, 1, 0), 0);
}

CONTRACT(what_was_acknowledged_outlives_the_workers)
{
    struct reservation r, committed;

    rig_reservation(&r, 1, 0, 1, 9);
    rig_reservation(&committed, 1, 0, 2, 9);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &committed), ST_OK);
    cr_assert_eq(rig_commit(rig, rig->q[0], &committed, -1), ST_OK);
    rig_stop(rig);
    rig_start(rig);
    if (rig->config.store.kind == STORE_EMBEDDED) { /* one process has it: who held died with it */
        cr_assert_eq(rig_used(rig, 1, 0), 2);
        return;
    }
    cr_assert_eq(rig_used(rig, 1, 0), 3);
    quota_settle(rig->q[1], &r, 0);
    quota_settle(rig->q[1], &committed, 1);
    cr_assert_eq(rig_used(rig, 1, 0), 1);
}

/* --- at once, from two threads --- */

#define CROWD 100

struct crowd {
    struct rig *rig;
    struct loop *loop;
    struct quota *q;
    struct reservation r[CROWD];
    struct rig_wait waits[CROWD];
    enum status st[CROWD];
    int held;
};

static void *push_in(void *owner)
{
    struct crowd *crowd = owner;

    for (int i = 0; i < CROWD; i++)
        crowd->st[i] = quota_reserve(crowd->q, &crowd->r[i], &crowd->waits[i].op);
    for (int i = 0; i < CROWD; i++) {
        while (crowd->st[i] == ST_PENDING && !crowd->waits[i].is_done)
            loop_run_once(crowd->loop, 5);
        crowd->held += (crowd->st[i] == ST_PENDING ? crowd->waits[i].st : crowd->st[i]) == ST_OK;
        quota_settle(crowd->q, &crowd->r[i], 1);
    }
    quota_close(&crowd->q);
    return NULL;
}

CONTRACT(two_hundred_at_once_and_three_get_in)
{
    struct crowd crowds[2] = {{.rig = rig}, {.rig = rig}};
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(loop_new(&crowds[i].loop), ST_OK);
        cr_assert_eq(quota_open(rig->store, crowds[i].loop, &rig->config, &crowds[i].q), ST_OK);
        for (int k = 0; k < CROWD; k++) {
            rig_reservation(&crowds[i].r[k], 1, 0, 1, 3);
            rig_wait_init(&crowds[i].waits[k]);
        }
    }
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, push_in, &crowds[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(crowds[0].held + crowds[1].held, 3);
    for (int i = 0; i < 2; i++)
        loop_free(&crowds[i].loop);
    cr_assert_eq(rig_used(rig, 1, 0), 3);
}
