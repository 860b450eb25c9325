/* SPDX-License-Identifier: Apache-2.0 */
/* test_model.c - thousands of random steps on each store, against a model that is a handful of integers.
 * A decision must be exact.  used_units of an admitted reserve may count holds that have expired and were not dealt with
 * yet; that of a refused one may not. */

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"
#include "unit/quota/rig.h"

#define ACCOUNTS 6
#define DAYS     3
#define SLOTS    24

enum fate { FATE_FREE, FATE_HELD, FATE_COMMITTED, FATE_EXPIRED };

struct slot {
    enum fate fate;
    int account, day;
    int64_t images;
    struct reservation r;
};

struct model {
    struct rig *rig;
    int64_t used[ACCOUNTS][DAYS];
    int64_t ghosts[ACCOUNTS][DAYS]; /* expired, perhaps still counted in the store */
    struct slot slots[SLOTS];
    int day;
    int held, refused, expired;
};

static uint64_t seed;

/* splitmix64: the same run for the same seed. */
static int pick(int below)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (int)((z ^ (z >> 31)) % (uint64_t)below);
}

static struct quota *any_door(struct model *m)
{
    rig_quiet(m->rig); /* two links are not ordered among each other */
    return m->rig->q[pick(RIG_WORKERS)];
}

static struct slot *any_slot(struct model *m, unsigned fates)
{
    int start = pick(SLOTS);

    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &m->slots[(start + i) % SLOTS];

        if (fates & (1U << slot->fate))
            return slot;
    }
    return NULL;
}

static void step_reserve(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_FREE);

    if (!slot)
        return;
    slot->account = pick(ACCOUNTS);
    slot->day = m->day;
    slot->images = 1 + pick(4);

    int64_t *used = &m->used[slot->account][slot->day];
    int64_t limit = MAX(*used + pick(9) - 2, 0);
    int64_t ghosts = m->ghosts[slot->account][slot->day];
    bool fits = *used + slot->images <= limit;

    rig_reservation(&slot->r, slot->account, slot->day, slot->images, limit);
    cr_assert_eq(rig_reserve(m->rig, any_door(m), &slot->r), fits ? ST_OK : ST_LIMIT);

    int64_t told = slot->r.limits[0].used_units / UNITS_PER_IMAGE;

    if (!fits) {
        cr_assert_eq(told, *used);
        m->ghosts[slot->account][slot->day] = 0;
        m->refused++;
        return;
    }
    *used += slot->images;
    cr_assert(told >= *used && told <= *used + ghosts);
    slot->fate = FATE_HELD;
    m->held++;
}

static void step_retry(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_HELD);

    if (!slot)
        return;

    struct reservation again = slot->r;

    again.state = RESERVATION_NONE;
    again.limits[0].limit.units = 0;
    list_init(&again.live);
    cr_assert_eq(rig_reserve(m->rig, any_door(m), &again), ST_OK);
    list_remove(&again.live);
}

static void step_commit(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_HELD | 1U << FATE_EXPIRED);

    if (!slot)
        return;
    if (slot->fate == FATE_EXPIRED) {
        int64_t *ghosts = &m->ghosts[slot->account][slot->day];

        m->used[slot->account][slot->day] += slot->images;
        *ghosts = MAX(*ghosts - slot->images, 0);
    }
    cr_assert_eq(rig_commit(m->rig, any_door(m), &slot->r, -1), ST_OK);
    slot->fate = FATE_COMMITTED;
}

static void step_settle(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_HELD | 1U << FATE_COMMITTED | 1U << FATE_EXPIRED);

    if (!slot)
        return;

    int64_t images = pick((int)slot->images + 1);
    int64_t *used = &m->used[slot->account][slot->day];
    int64_t *ghosts = &m->ghosts[slot->account][slot->day];

    if (slot->fate == FATE_EXPIRED)
        *ghosts = MAX(*ghosts - slot->images, 0);
    else
        *used -= slot->images;
    *used += images;
    if (pick(2))
        cr_assert_eq(rig_commit(m->rig, any_door(m), &slot->r, images), ST_OK);
    else
        quota_settle(any_door(m), &slot->r, images * UNITS_PER_IMAGE);
    slot->fate = FATE_FREE;
}

/* The gateway that held it died. */
static void step_expire(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_HELD | 1U << FATE_COMMITTED);

    if (!slot)
        return;
    rig_expire(m->rig, &slot->r);
    m->expired++;
    if (slot->fate == FATE_COMMITTED) {
        slot->fate = FATE_FREE;
        return;
    }
    m->used[slot->account][slot->day] -= slot->images;
    m->ghosts[slot->account][slot->day] += slot->images;
    slot->fate = FATE_EXPIRED;
}

static void step_trouble(struct model *m)
{
    struct rig *rig = m->rig;

    rig_quiet(rig);
    if (rig->config.store.kind == STORE_EMBEDDED || pick(4) == 0) {
        rig_stop(rig);
        rig_start(rig);
    } else if (pick(2)) {
        rig_redis(rig, "SCRIPT FLUSH");
    } else {
        rig_redis(rig, "CLIENT KILL TYPE normal SKIPME yes");
    }
}

static void step(struct model *m)
{
    int dice = pick(1000);

    if (dice < 400)
        step_reserve(m);
    else if (dice < 480)
        step_retry(m);
    else if (dice < 640)
        step_commit(m);
    else if (dice < 965)
        step_settle(m);
    else if (dice < 990)
        step_expire(m);
    else if (dice < 996)
        step_trouble(m);
    else
        m->day = pick(DAYS);
}

static void run(enum store_kind kind, int steps)
{
    struct rig rig;
    struct model *m = calloc(1, sizeof(*m));

    m->rig = &rig;
    seed = (uint64_t)clock_monotonic_us();
    cr_log_info("seed %llu", (unsigned long long)seed);
    rig_init(&rig, kind);
    rig_start(&rig);
    for (int i = 0; i < steps; i++)
        step(m);
    for (struct slot *slot = any_slot(m, 1U << FATE_HELD | 1U << FATE_COMMITTED); slot;
         slot = any_slot(m, 1U << FATE_HELD | 1U << FATE_COMMITTED)) {
        m->used[slot->account][slot->day] -= slot->images;
        quota_settle(rig.q[0], &slot->r, 0);
        slot->fate = FATE_FREE;
    }
    for (int account = 0; account < ACCOUNTS; account++)
        for (int day = 0; day < DAYS; day++)
            cr_assert_eq(rig_used(&rig, account, day), m->used[account][day]);
    cr_assert(m->held > steps / 20 && m->refused > steps / 20 && m->expired > steps / 200,
              "%d %d %d", m->held, m->refused, m->expired);
    cr_assert_eq(rig_held(&rig), 0);
    rig_fini(&rig);
    free(m);
}

Test(quota_model, embedded, .timeout = 60)
{
    run(STORE_EMBEDDED, 3000);
}

Test(quota_model, redis, .timeout = 60)
{
    run(STORE_REDIS, 6000);
}
